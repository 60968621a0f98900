"""`RegistryRecords` over SQL. See `ocppd.storage.api.registry` for what each method does."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from ocppd.pki.passwords import Verifier, candidates
from ocppd.storage import charger_passwords, registry
from ocppd.storage.access import Access
from ocppd.storage.records.registry import Checked, Entry, Password, PasswordState, UnknownIdentity, Written
from ocppd.storage.unit import Unit


class SqlRegistry:
    """The chargers that operators have entered, and their passwords. `at_start` are all entries when the records were opened."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage
        self._verifier = Verifier()
        self.at_start: list[Entry] = []

    def changes(self, after: int, limit: int) -> Deferred[list[Entry]]:
        return self._storage.read(registry.changes, after, limit)

    def read(self, name: str) -> Deferred[Entry | None]:
        return self._storage.read(registry.read, name)

    def put(
        self, name: str, settings: str, expected: int | None, now_ms: int, password: bytes | None = None
    ) -> Deferred[Written]:
        return self._storage.write(registry.put, name, settings, expected, now_ms, password)

    def delete(self, name: str, expected: int | None, now_ms: int) -> Deferred[Written]:
        return self._storage.write(registry.deleted, name, expected, now_ms)

    def passwords(self, name: str, now_ms: int) -> Deferred[list[Password]]:
        return self._storage.read(charger_passwords.read, name, now_ms)

    def check_password(self, name: str, given: bytes | None, now_ms: int, *, tolerant: bool) -> Deferred[Checked]:
        return self._storage.read(self._check, name, given, now_ms, tolerant)

    def _check(self, unit: Unit, name: str, given: bytes | None, now_ms: int, tolerant: bool) -> Checked:
        """Computes hashes, on a reader's thread."""
        held = undecided = by_digits = False
        matched = None
        meant = () if given is None else candidates(given, tolerant=tolerant)
        for each in charger_passwords.read(unit, name, now_ms):
            held = held or each.state is PasswordState.CURRENT
            undecided = undecided or each.state is PasswordState.UNKNOWN
            if matched is None and self._verifier.is_one_of(each.kept, meant):
                matched = each
                by_digits = len(meant) > 1 and not self._verifier.is_one_of(each.kept, meant[:1])
        return Checked(held, matched, by_digits, undecided)

    def password_given(self, name: str, key: bytes, now_ms: int, *, at_once: bool) -> Deferred[None]:
        return self._storage.write(registry.password_given, name, key, now_ms, at_once=at_once)

    def password_proven(self, name: str, number: int | None, now_ms: int) -> Deferred[None]:
        return self._storage.write(registry.password_proven, name, number, now_ms)

    def passwords_forgotten(self, name: str, now_ms: int) -> Deferred[bool]:
        return self._storage.write(registry.passwords_forgotten, name, now_ms)

    def unknown_seen(self, identities: Sequence[UnknownIdentity]) -> Deferred[None]:
        return self._storage.write(registry.unknown_seen, tuple(identities))

    def list_unknown(self, after: str, limit: int) -> Deferred[list[UnknownIdentity]]:
        return self._storage.read(registry.list_unknown, after, limit)

    def is_unknown(self, name: str) -> Deferred[bool]:
        return self._storage.read(registry.is_unknown, name)

    def forget_unknown(self, name: str) -> Deferred[bool]:
        return self._storage.write(registry.forget_unknown, name)
