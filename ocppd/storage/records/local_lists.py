"""Local authorization lists (REQUIREMENTS 2.5, L-1 to L-6): what chargers are to hold, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import msgspec

from ocppd.storage.records.id_tags import Change
from ocppd.v16.types import AuthorizationData

#: Entries by the keys of their tags: as compared (REQUIREMENTS G-3), so that none stands there twice (L-3).
Entries: TypeAlias = Mapping[str, AuthorizationData]


def entries_of(listed: tuple[AuthorizationData, ...]) -> dict[str, AuthorizationData]:
    """Entries by their keys, in their order."""
    return {entry.id_tag.lower(): entry for entry in listed}


class ListState(StrEnum):
    """How things are with the list of a charger (docs/http-api.md)."""

    #: Nobody wants anything of it.
    UNMANAGED = "unmanaged"
    BEHIND = "behind"
    SENDING = "sending"
    IN_SYNC = "inSync"
    #: The charger took no full list: somebody has to see why.
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


#: In these a node goes on with it.
WORKED_ON = frozenset({ListState.BEHIND, ListState.SENDING})


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a list is to hold: these entries; or all id tags, or those that have one of these parents or keys."""

    entries: tuple[AuthorizationData, ...] = ()
    all_tags: bool = False
    #: As they are compared.
    parents: tuple[str, ...] = ()
    id_tags: tuple[str, ...] = ()
    #: Entries in one message; None where the charger, or the default, says so (L-3).
    send_limit: int | None = None

    @property
    def follows(self) -> bool:
        """Whether it changes with the id tags."""
        return self.all_tags or bool(self.parents or self.id_tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalList:
    """The list of a charger. `wanted_version` grows with each change of what is wanted; see the schema for the others."""

    charger: str
    wanted: Wanted | None = None
    wanted_version: int = 0
    state: ListState = ListState.UNMANAGED
    detail: str | None = None
    sent_version: int = 0
    confirmed_version: int | None = None
    confirmed: Entries | None = None
    confirmed_ms: int | None = None
    pending_version: int | None = None
    pending: Entries | None = None
    told_version: int | None = None
    told_ms: int | None = None
    revision: str | None = None
    whole: bool = False
    wholes: int = 0
    attempts: int = 0
    due_ms: int | None = None
    worker: str | None = None
    conflict_ms: int | None = None
    touched: int = 0
    applied: int = 0

    @property
    def is_as_told(self) -> bool:
        """Whether the charger says to hold what it has confirmed. An empty list may have version 0 (2.4)."""
        if self.confirmed is None or self.confirmed_version is None:
            return False
        return self.told_version == self.confirmed_version or (self.told_version == 0 and not self.confirmed)


@dataclass(frozen=True, slots=True)
class Work:
    """A list that a node is at: what it is to hold now, and what the id tags are like that it follows."""

    found: LocalList
    wanted: Entries
    revision: str


@dataclass(frozen=True, slots=True)
class ListChanged:
    """What became of a wish, and the list as it is now."""

    change: Change
    found: LocalList | None
