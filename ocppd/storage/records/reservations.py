"""Reservations (REQUIREMENTS 2.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReservationState(StrEnum):
    """The life of a reservation (docs/http-api.md). After `unknown`, too, the charger may hold it."""

    REQUESTED = "requested"
    ACTIVE = "active"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    USED = "used"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    ENDED = "ended"


#: In these the charger may hold it.
LIVE_STATES = frozenset({ReservationState.REQUESTED, ReservationState.ACTIVE, ReservationState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A reservation: what one ReserveNow has asked for, and what became of it. `message_id` names it.

    `reservation_id` is what its charger knows it by: another ReserveNow with it takes its place, and is another one here.
    """

    sequence: int
    message_id: str
    charger: str
    #: 0: any.
    connector_id: int
    reservation_id: int
    id_tag: str
    id_tag_key: str
    parent: str | None
    parent_key: str | None
    expiry_ms: int
    state: ReservationState
    created_ms: int
    #: What the charger refused it with: a status, or the code of a CALLERROR.
    status: str | None = None
    #: Why it is `ended` or `cancelled`.
    reason: str | None = None
    flags: tuple[str, ...] = ()
    ended_ms: int | None = None
    #: The one that used it.
    transaction_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationFilter:
    """Which reservations; None is any."""

    charger: str | None = None
    connector_id: int | None = None
    reservation_id: int | None = None
    id_tag_key: str | None = None
    state: ReservationState | None = None
