"""The seam to the records of reservations."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.reservations import Reservation, ReservationFilter


class ReservationRecords(Protocol):
    """Reservations. They are made by the ReserveNow that is journaled, and change with what follows from it."""

    def next_number(self, charger: str) -> Deferred[int]:
        """An id that no reservation of this charger has had, and that nobody else is given."""

    def are_over(self, now_ms: int) -> Deferred[bool]:
        """Whether some have expired by now, and nobody has said so yet."""

    def expire(self, now_ms: int) -> Deferred[int]:
        """End those that have expired by our clock; fires with how many there were."""

    def read(self, message_id: str) -> Deferred[Reservation | None]:
        """The one that this ReserveNow has asked for."""

    def list(self, which: ReservationFilter, after: int | None, limit: int) -> Deferred[list[Reservation]]:
        """Newest first, below the sequence `after`."""
