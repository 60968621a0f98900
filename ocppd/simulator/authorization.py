"""What a charger itself knows about id tags: its local list and its authorization cache. OCPP 1.6 section 3.5.

Knows no I/O; instants are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import AuthorizationData, AuthorizationStatus, IdTagInfo, UpdateStatus, UpdateType


def verdict(info: IdTagInfo, now_ms: int) -> AuthorizationStatus:
    """The status of a tag now: an expiry date that has passed makes an accepted tag Expired."""
    if info.status is AuthorizationStatus.ACCEPTED and info.expiry_date is not UNSET:
        try:
            if parse_timestamp(info.expiry_date) <= now_ms:
                return AuthorizationStatus.EXPIRED
        except ValueError:
            return info.status
    return info.status


class LocalList:
    """The local authorization list with its version (section 3.5.2). Tags are compared without case (REQUIREMENTS G-3)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[str, IdTagInfo] = {}
        self.version = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, id_tag: str) -> IdTagInfo | None:
        """What the list says about a tag."""
        return self._entries.get(id_tag.lower())

    def update(self, version: int, kind: UpdateType, entries: Iterable[AuthorizationData]) -> UpdateStatus:
        """Apply a SendLocalList, as a whole or not at all (section 5.15, REQUIREMENTS L-1 to L-3)."""
        given = list(entries)
        changes = {entry.id_tag.lower(): entry.id_tag_info for entry in given}
        if len(changes) != len(given):
            return UpdateStatus.FAILED
        if kind is UpdateType.DIFFERENTIAL and version <= self.version:
            return UpdateStatus.VERSION_MISMATCH
        wanted = {} if kind is UpdateType.FULL else dict(self._entries)
        for id_tag, info in changes.items():
            if info is not UNSET:
                wanted[id_tag] = info
            elif kind is UpdateType.FULL:
                return UpdateStatus.FAILED
            else:
                wanted.pop(id_tag, None)
        if len(wanted) > self._limit:
            return UpdateStatus.FAILED
        self._entries = wanted
        self.version = version
        return UpdateStatus.ACCEPTED


class Cache:
    """The authorization cache (section 3.5.1): the last verdict about each tag."""

    def __init__(self) -> None:
        self._entries: dict[str, IdTagInfo] = {}

    def find(self, id_tag: str) -> IdTagInfo | None:
        """The last verdict about a tag."""
        return self._entries.get(id_tag.lower())

    def store(self, id_tag: str, info: IdTagInfo) -> None:
        """Take over a verdict of the central system, refusals too."""
        self._entries[id_tag.lower()] = info

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
