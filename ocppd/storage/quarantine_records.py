"""`QuarantineRecords` over SQL. See `ocppd.storage.api.quarantine` for what each method does."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from ocppd.storage import quarantine
from ocppd.storage.access import Access
from ocppd.storage.records.quarantine import Quarantined, QuarantineFilter, QuarantineRecord, QuarantineState, Tally


class SqlQuarantine:
    """The quarantine of an installation."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage

    def noted(self, tallies: Sequence[Tally], frames: Sequence[Quarantined]) -> Deferred[None]:
        return self._storage.write(quarantine.noted, tuple(tallies), tuple(frames))

    def tallies(self, charger: str) -> Deferred[list[Tally]]:
        return self._storage.read(quarantine.tallies, charger)

    def state(self, charger: str) -> Deferred[QuarantineState]:
        return self._storage.read(quarantine.state, charger)

    def list_frames(self, which: QuarantineFilter, after: int | None, limit: int) -> Deferred[list[QuarantineRecord]]:
        return self._storage.read(quarantine.list_frames, which, after, limit)

    def clear(self, charger: str) -> Deferred[int]:
        return self._storage.write(quarantine.clear, charger)

    def forget(self, charger: str) -> Deferred[int]:
        return self._storage.write(quarantine.forget, charger)
