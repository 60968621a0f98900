"""Local lists in SQL; see `ocppd.storage.api.local_lists.LocalListRecords` for what each method does."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ocppd.storage import local_lists
from ocppd.storage.access import Access
from ocppd.storage.records import Configured
from ocppd.storage.records.local_lists import ListChanged, ListState, LocalList, Wanted, Work


class SqlLocalLists:
    """The use cases of `local_lists`, each in a transaction. `node` is the identity of this process."""

    def __init__(self, storage: Access, node: str) -> None:
        self._storage = storage
        self._node = node

    def put(self, charger: str, wanted: Wanted, expected: int | None, now_ms: int) -> Deferred[ListChanged]:
        return self._storage.write(local_lists.put, charger, wanted, expected, now_ms)

    def delete(self, charger: str, expected: int | None) -> Deferred[ListChanged]:
        return self._storage.write(local_lists.delete, charger, expected)

    def ask_again(self, charger: str, now_ms: int, *, whole: bool) -> Deferred[LocalList | None]:
        return self._storage.write(local_lists.ask_again, charger, now_ms, whole=whole)

    def read(self, charger: str, digest: str) -> Deferred[LocalList | None]:
        return self._storage.read(local_lists.read, charger, digest)

    def compare(self, charger: str, configured: Configured) -> Deferred[Work | None]:
        return self._storage.read(local_lists.compare, charger, configured)

    def follow(self, digest: str, now_ms: int) -> Deferred[int]:
        def found(stale: list[str]) -> Deferred[int] | int:
            return self._storage.write(local_lists.follow, digest, now_ms) if stale else 0

        return self._storage.read(local_lists.stale, digest).addCallback(found)

    def due(self, now_ms: int, limit: int) -> Deferred[list[str]]:
        return self._storage.read(local_lists.due, self._node, now_ms, limit)

    def work(self, charger: str, configured: Configured, digest: str, now_ms: int) -> Deferred[Work | None]:
        return self._storage.write(local_lists.work, charger, self._node, configured, digest, now_ms)

    def sending(self, charger: str, version: int) -> Deferred[None]:
        return self._storage.write(local_lists.sending, charger, version)

    def settled(self, work: Work, state: ListState, detail: str | None, now_ms: int) -> Deferred[bool]:
        return self._storage.write(
            local_lists.settled, work.found.charger, work.found.touched, work.revision, state, detail, now_ms
        )

    def postponed(self, charger: str, detail: str, due_ms: int, *, attempt: bool) -> Deferred[None]:
        return self._storage.write(local_lists.postponed, charger, detail, due_ms, attempt=attempt)
