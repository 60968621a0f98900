"""Conditional requests: changes that are made only where a thing is as its sender last saw it. RFC 9110 section 13. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ocppd.net.rest.problems import BadRequest

#: `If-Match: *`: whatever it is, if it is there.
ANY: Final = "*"
WEAK: Final = "W/"

_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[!\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Preconditions:
    """Entity tags, quotes included; None where the header is not there. Both are compared as they should be.

    A weak tag is never the one that If-Match asks for; to If-None-Match it is the same as the strong one.
    """

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    @classmethod
    def of(cls, match: str | None, none_match: str | None) -> Preconditions:
        """From the headers If-Match and If-None-Match. Raises BadRequest for what is neither `*` nor entity tags."""
        found = None if none_match is None else _entity_tags("If-None-Match", none_match)
        return cls(
            match=None if match is None else _entity_tags("If-Match", match),
            none_match=None if found is None else frozenset(tag.removeprefix(WEAK) for tag in found),
        )

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return self.match is not None or self.none_match is not None

    def permit(self, etag: str | None) -> bool:
        """Whether a thing with this entity tag, or none where it is not there, may be changed."""
        return (self.match is None or _is_of(etag, self.match)) and not self.has(etag)

    @property
    def permit_untagged(self) -> bool:
        """Whether a thing that never has an entity tag may be changed: it is none of those that If-Match names."""
        return self.match is None or ANY in self.match

    def has(self, etag: str | None) -> bool:
        """Whether whoever asks has a thing with this entity tag already (304)."""
        return self.none_match is not None and _is_of(etag, self.none_match)


def _is_of(etag: str | None, tags: frozenset[str]) -> bool:
    return etag is not None and (etag in tags or ANY in tags)


def _entity_tags(name: str, header: str) -> frozenset[str]:
    if header.strip() == ANY:
        return frozenset({ANY})
    found = _ENTITY_TAG.findall(header)
    # What is ignored here would be a change that nobody was to make.
    if not found or _ENTITY_TAG.sub("", header).strip(" \t,"):
        raise BadRequest(f'{name} is neither * nor entity tags such as "1767225600000"')
    return frozenset(found)
