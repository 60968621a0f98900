"""Reservations in SQL; see `ocppd.storage.api.reservations.ReservationRecords` for what each method does."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ocppd.storage import reservations
from ocppd.storage.access import Access
from ocppd.storage.records.reservations import Reservation, ReservationFilter


class SqlReservations:
    """The use cases of `reservations`, each in a transaction."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage

    def next_number(self, charger: str) -> Deferred[int]:
        return self._storage.write(reservations.next_number, charger)

    def are_over(self, now_ms: int) -> Deferred[bool]:
        return self._storage.read(reservations.are_over, now_ms)

    def expire(self, now_ms: int) -> Deferred[int]:
        return self._storage.write(reservations.expire, now_ms)

    def read(self, message_id: str) -> Deferred[Reservation | None]:
        return self._storage.read(reservations.read, message_id)

    def list(self, which: ReservationFilter, after: int | None, limit: int) -> Deferred[list[Reservation]]:
        return self._storage.read(reservations.list_reservations, which, after, limit)
