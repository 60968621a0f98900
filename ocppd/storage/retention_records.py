"""`RetentionRecords` over SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from twisted.internet.defer import Deferred

from ocppd.errors import StorageUnavailable
from ocppd.storage import filing, retention
from ocppd.storage.access import Access
from ocppd.storage.records.retention import Cut, Kind, Portion


class SqlRetention:
    """See `ocppd.storage.api.retention.RetentionRecords` for what each method does."""

    def __init__(self, storage: Access, node: str, clock: Callable[[], float] = monotonic) -> None:
        """`clock` gives seconds, on any thread."""
        self._storage = storage
        self._node = node
        self._clock = clock

    def take_turn(self, lease_s: float, *, at_once: bool = False) -> Deferred[bool]:
        return self._storage.write(retention.take_turn, self._node, int(lease_s * 1000), at_once)

    def cut(self, portion: Portion, lease_s: float) -> Deferred[Cut | None]:
        return Deferred.fromCoroutine(self._cut(portion, int(lease_s * 1000)))

    async def _cut(self, portion: Portion, lease_ms: int) -> Cut | None:
        cut = await self._storage.write(retention.cut, portion, self._node, lease_ms, self._clock)
        if cut is None:
            return None
        held_s = self._clock() - cut.begun_s
        if cut.removed:
            with suppress(StorageUnavailable):
                await self._storage.read(filing.written_back)
        return replace(cut, held_s=held_s)

    def rest(self, pause_s: float) -> Deferred[None]:
        return self._storage.write(retention.rest, self._node, int(pause_s * 1000))

    def removed(self) -> Deferred[Mapping[Kind, int]]:
        return self._storage.read(retention.removed)
