"""The reservations a charger holds. OCPP 1.6 sections 3.12, 5.1, 5.13. Knows no I/O; instants are milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ocppd.clock import Clock, DelayedCall
from ocppd.simulator.failures import NotAuthorized


@dataclass(frozen=True, slots=True)
class Reservation:
    """Connector `connector_id`, or any where it is 0, is kept for a tag and for the group it belongs to."""

    reservation_id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str | None

    def is_for(self, id_tag: str, parent_id_tag: str | None) -> bool:
        """Whether a tag, or the group of the tag, may use it; compared without case (REQUIREMENTS G-3)."""
        if id_tag.lower() == self.id_tag.lower():
            return True
        if self.parent_id_tag is None:
            return False
        return self.parent_id_tag.lower() in (id_tag.lower(), (parent_id_tag or "").lower())


class Reservations:
    """At most one reservation per connector; `ended` is called with each that ends without being used."""

    def __init__(self, clock: Clock, ended: Callable[[Reservation], None]) -> None:
        self._clock = clock
        self._ended = ended
        self._active: dict[int, tuple[Reservation, DelayedCall]] = {}

    def on(self, connector_id: int) -> Reservation | None:
        """The reservation of a connector."""
        return next((each for each, _ in self._active.values() if each.connector_id == connector_id), None)

    def add(self, reservation: Reservation, expires_in_s: float) -> None:
        """Keep it until it is used, cancelled or expired; the same id replaces (section 5.13)."""
        self._remove(reservation.reservation_id)
        timer = self._clock.callLater(max(0.0, expires_in_s), self.cancel, reservation.reservation_id)
        self._active[reservation.reservation_id] = (reservation, timer)

    def find(self, reservation_id: int) -> Reservation | None:
        """The reservation of an id."""
        found = self._active.get(reservation_id)
        return found[0] if found else None

    def cancel(self, reservation_id: int) -> bool:
        """End a reservation: cancelled or expired. False where there is none."""
        reservation = self._remove(reservation_id)
        if reservation is not None:
            self._ended(reservation)
        return reservation is not None

    def use(self, connector_id: int, id_tag: str, parent_id_tag: str | None, free_connectors: int) -> int | None:
        """The id of the reservation that a start consumes, None where it needs none. Raises NotAuthorized where it is another's.

        `free_connectors` counts the one that is asked for: a reservation of connector 0 wants one left.
        """
        own, anywhere = self.on(connector_id), self.on(0)
        for reservation in (own, anywhere):
            if reservation is not None and reservation.is_for(id_tag, parent_id_tag):
                self._remove(reservation.reservation_id)
                return reservation.reservation_id
        if own is not None or (anywhere is not None and free_connectors <= 1):
            raise NotAuthorized(id_tag, "Reserved")
        return None

    def stop(self) -> None:
        """End every timer; the reservations stay what they are."""
        for _, timer in self._active.values():
            if timer.active():
                timer.cancel()

    def _remove(self, reservation_id: int) -> Reservation | None:
        found = self._active.pop(reservation_id, None)
        if found is None:
            return None
        if found[1].active():
            found[1].cancel()
        return found[0]
