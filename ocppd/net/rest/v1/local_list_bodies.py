"""Local lists as operators write them. docs/http-api.md. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ocppd.central.authorization import id_tag_key
from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.net.rest.v1.id_tag_bodies import TagStatus
from ocppd.storage.records.local_lists import Wanted
from ocppd.v16.timestamps import sendable
from ocppd.v16.types import (
    INT64_MAX,
    INT64_MIN,
    AuthorizationData,
    AuthorizationStatus,
    IdTagInfo,
    OptionalDateTime,
    OptionalIdToken,
)
from ocppd.v16.validation import check

SUBJECT: Final = "local list"
#: The members that say what a list follows, beside `entries`, which follow nothing.
FOLLOWING: Final = ("allTags", "parents", "idTags")


class EntryBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A tag, and what a charger is to know of it (REQUIREMENTS L-4)."""

    id_tag: OptionalIdToken
    status: TagStatus = TagStatus.ACCEPTED
    parent_id_tag: OptionalIdToken | UnsetType = UNSET
    expiry_date: OptionalDateTime | UnsetType = UNSET


class ListBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a list is to hold: `entries`, or what it follows."""

    entries: tuple[EntryBody, ...] | UnsetType = UNSET
    all_tags: bool | UnsetType = UNSET
    parents: tuple[OptionalIdToken, ...] | UnsetType = UNSET
    id_tags: tuple[OptionalIdToken, ...] | UnsetType = UNSET
    #: Entries in one message (L-3).
    send_limit: Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX, extra={"minimum": 1})] | UnsetType = UNSET


class SyncBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a list is seen to once more."""

    #: By a full list, whatever the charger is believed to hold.
    full: bool = False


def read_wanted(value: dict[str, Any]) -> Wanted:
    """What a body wants. Raises InvalidPayload with all that is wrong."""
    violations = list(check(ListBody, value))
    told = {violation.pointer for violation in violations}
    violations += [each for each in _beyond(value) if each.pointer not in told]
    if violations:
        raise InvalidPayload(SUBJECT, tuple(violations))
    body = msgspec.convert(value, ListBody)
    return Wanted(
        entries=tuple(map(_entry, body.entries or ())),
        all_tags=bool(body.all_tags),
        parents=tuple(dict.fromkeys(map(id_tag_key, body.parents or ()))),
        id_tags=tuple(dict.fromkeys(map(id_tag_key, body.id_tags or ()))),
        send_limit=body.send_limit or None,
    )


def read_sync(value: dict[str, Any]) -> bool:
    """Whether a full list is asked for. Raises InvalidPayload with all that is wrong."""
    violations = check(SyncBody, value)
    if violations:
        raise InvalidPayload(SUBJECT, violations)
    return msgspec.convert(value, SyncBody).full


def _entry(body: EntryBody) -> AuthorizationData:
    info = IdTagInfo(
        status=AuthorizationStatus(body.status),
        expiry_date=sendable(body.expiry_date) if body.expiry_date else UNSET,
        parent_id_tag=body.parent_id_tag,
    )
    return AuthorizationData(id_tag=body.id_tag, id_tag_info=info)


def _beyond(value: Mapping[str, Any]) -> Iterator[Violation]:
    """What is wrong with members that are right by themselves."""
    follows = [name for name in FOLLOWING if value.get(name) not in (None, False, [])]
    if "entries" in value:
        yield from (_wrong(f"/{name}", "not together with entries") for name in FOLLOWING if name in value)
    elif not follows:
        yield _wrong("", f"expected entries, or one of {', '.join(FOLLOWING)}")
    entries = value.get("entries")
    if isinstance(entries, list):
        yield from _twice(entries)
    for name in ("parents", "idTags"):
        tags = value.get(name)
        if isinstance(tags, list):
            yield from (each for place, tag in enumerate(tags) for each in _unprintable(tag, f"/{name}/{place}"))


def _twice(entries: list[Any]) -> Iterator[Violation]:
    """No tag stands twice in a list (L-3), and a charger's display can show each."""
    seen: dict[str, int] = {}
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        tag = entry.get("idTag")
        for name in ("idTag", "parentIdTag"):
            yield from _unprintable(entry.get(name), f"/entries/{place}/{name}")
        if isinstance(tag, str) and seen.setdefault(id_tag_key(tag), place) != place:
            yield _wrong(f"/entries/{place}/idTag", f"the tag stands there twice, as in /entries/{seen[id_tag_key(tag)]}")


def _unprintable(tag: Any, pointer: str) -> Iterator[Violation]:
    if isinstance(tag, str) and not tag.isprintable():
        yield _wrong(pointer, "the tag has characters that cannot be printed")


def _wrong(pointer: str, reason: str) -> Violation:
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)
