"""The seam to the quarantine and to the counts of deviations. All Deferreds fail with StorageUnavailable alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.quarantine import Quarantined, QuarantineFilter, QuarantineRecord, QuarantineState, Tally


class QuarantineRecords(Protocol):
    """Frames that broke the specification. Those of durable messages are kept in the commit of their message."""

    def noted(self, tallies: Sequence[Tally], frames: Sequence[Quarantined]) -> Deferred[None]:
        """Add these counts, and keep these frames."""

    def tallies(self, charger: str) -> Deferred[list[Tally]]:
        """What was counted of a charger, by kind."""

    def state(self, charger: str) -> Deferred[QuarantineState]:
        """How much of it is in quarantine."""

    def list_frames(self, which: QuarantineFilter, after: int | None, limit: int) -> Deferred[list[QuarantineRecord]]:
        """Newest first, below the number `after`."""

    def clear(self, charger: str) -> Deferred[int]:
        """Forget the frames of a charger; fires with how many there were."""

    def forget(self, charger: str) -> Deferred[int]:
        """Count its deviations from nothing again; fires with how many counts there were."""
