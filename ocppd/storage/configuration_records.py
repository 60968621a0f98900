"""`ConfigurationRecords` over SQL."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ocppd.storage import configuration, configuration_readings
from ocppd.storage.access import Access
from ocppd.storage.records.configuration import KeyRecord, Mirrored, Wish


class SqlConfiguration:
    """See `ocppd.storage.api.configuration.ConfigurationRecords` for what each method does."""

    def __init__(self, storage: Access, node: str) -> None:
        self._storage = storage
        self._node = node

    def read(self, charger: str) -> Deferred[Mirrored]:
        return self._storage.read(configuration.read, charger)

    def read_key(self, charger: str, name: str) -> Deferred[KeyRecord | None]:
        return self._storage.read(configuration.read_key, charger, name)

    def wish(self, charger: str, name: str, value: str, expected: int | None, now_ms: int) -> Deferred[Wish]:
        return self._storage.write(configuration.wish, charger, name, value, expected, now_ms)

    def wish_sent(self, now: KeyRecord, message_id: str) -> Deferred[KeyRecord | None]:
        return self._storage.write(configuration.wish_sent, now, message_id)

    def wish_undone(self, before: KeyRecord | None, now: KeyRecord, at_ms: int) -> Deferred[None]:
        return self._storage.write(configuration.wish_undone, before, now, at_ms)

    def withdraw(self, charger: str, name: str, expected: int | None, now_ms: int) -> Deferred[Wish]:
        return self._storage.write(configuration.withdraw, charger, name, expected, now_ms)

    def wishes_abandoned(self, now_ms: int) -> Deferred[int]:
        return self._storage.write(configuration.wishes_abandoned, now_ms)

    def readings_due(self, now_ms: int, limit: int) -> Deferred[list[str]]:
        return self._storage.read(configuration_readings.due_here, self._node, now_ms, limit)

    def claim_reading(self, charger: str, until_ms: int, now_ms: int) -> Deferred[bool]:
        return self._storage.write(configuration_readings.claimed, charger, until_ms, now_ms)
