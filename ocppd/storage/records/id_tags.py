"""Id tags, and what the verdict on one depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ocppd.v16.types import AuthorizationStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTag:
    """An id tag (REQUIREMENTS A-4). `key` is the tag for comparison (G-3), `status` anything but ConcurrentTx.

    `max_active`: how many transactions it may have open at the same time; `group_limit`: how many it and the tags whose
    parent it is may have together. None: any number.
    """

    key: str
    id_tag: str
    status: AuthorizationStatus = AuthorizationStatus.ACCEPTED
    parent: str | None = None
    parent_key: str | None = None
    expiry_ms: int | None = None
    max_active: int | None = 1
    group_limit: int | None = None
    note: str | None = None
    #: Grows with each change, also when the tag is deleted and made again; 0 where it is in the configuration.
    version: int = 0


#: Tags by their keys, from the configuration: they are not in the records, and come before what is.
Configured = Mapping[str, IdTag]


@dataclass(frozen=True, slots=True)
class Group:
    """A group with a limit: how many transactions it may have open, and has elsewhere."""

    limit: int
    active: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things are with an id tag.

    `tag` is None where it is not known, and `any_known` says whether any is. `active` counts the open transactions of the
    tag elsewhere; `groups` are those that it belongs to and that have a limit.
    """

    tag: IdTag | None
    any_known: bool
    active: int = 0
    groups: tuple[Group, ...] = ()
    #: A remote start with this tag waits at the charger that asks: it is a tag made for that (A-4).
    expected: bool = False


class Change(StrEnum):
    """What became of a wish to change an id tag."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    #: There is none to delete.
    MISSING = "missing"
    #: It is not as whoever wished it thought.
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a wish, and the tag as it is now."""

    change: Change
    tag: IdTag | None


@dataclass(frozen=True, slots=True)
class UnknownIdTag:
    """A tag that was presented and refused, because nobody knows it (A-5)."""

    id_tag: str
    charger: str
    first_ms: int
    last_ms: int
    attempts: int


@dataclass(frozen=True, slots=True)
class IdTagFilter:
    """Which id tags; None is any."""

    parent_key: str | None = None
    status: AuthorizationStatus | None = None
