"""The seam to the chargers that operators enter, and to their passwords. All Deferreds fail with StorageUnavailable alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.registry import Checked, Entry, Password, UnknownIdentity, Written


class RegistryRecords(Protocol):
    """Chargers beside those of configs.json, passwords of both, and identities that tried to connect."""

    @property
    def at_start(self) -> list[Entry]:
        """All entries there were when the records were opened."""

    def changes(self, after: int, limit: int) -> Deferred[list[Entry]]:
        """The first entries that were changed after the change of that number, in the order of the changes."""

    def read(self, name: str) -> Deferred[Entry | None]:
        """The entry of that name."""

    def put(
        self, name: str, settings: str, expected: int | None, now_ms: int, password: bytes | None = None
    ) -> Deferred[Written]:
        """Enter a charger or change it, where its version is the one `expected` (0: there is none; None: whatever it is).

        With `password` that one holds from then on. The name is no unknown identity any more.
        """

    def delete(self, name: str, expected: int | None, now_ms: int) -> Deferred[Written]:
        """Delete a charger with its passwords, where its version is the one `expected`. Its history stays."""

    def passwords(self, name: str, now_ms: int) -> Deferred[list[Password]]:
        """The passwords of a charger that are valid, newest first."""

    def check_password(self, name: str, given: bytes | None, now_ms: int, *, tolerant: bool) -> Deferred[Checked]:
        """What the records say of a password that a charger presents; `tolerant`: also as the digits of its bytes (Z-4)."""

    def password_given(self, name: str, key: bytes, now_ms: int, *, at_once: bool) -> Deferred[None]:
        """An operator gives a password: it holds at once, or is valid beside the old one until a login with it."""

    def password_proven(self, name: str, number: int | None, now_ms: int) -> Deferred[None]:
        """A charger logged in with the password of that number, None: with the old one, and thereby decided (Z-6)."""

    def passwords_forgotten(self, name: str, now_ms: int) -> Deferred[bool]:
        """Forget the passwords of a charger, but those of calls that it may take yet; fires with whether there was one."""

    def unknown_seen(self, identities: Sequence[UnknownIdentity]) -> Deferred[None]:
        """These tried to connect (H-5). Of very many the oldest are forgotten."""

    def list_unknown(self, after: str, limit: int) -> Deferred[list[UnknownIdentity]]:
        """In order of their names as the database compares them, behind the name `after`."""

    def is_unknown(self, name: str) -> Deferred[bool]:
        """Whether it is remembered."""

    def forget_unknown(self, name: str) -> Deferred[bool]:
        """Fires with whether it was remembered."""
