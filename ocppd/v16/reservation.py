"""Messages of the Reservation profile. Knows no reservations. OCPP 1.6 sections 5.1, 5.13."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ocppd.v16.types import (
    CancelReservationStatus,
    ConnectorId,
    DateTime,
    IdToken,
    Integer,
    Message,
    OptionalIdToken,
    ReservationStatus,
)


class CancelReservationRequest(Message, frozen=True, kw_only=True):
    """Give up a reservation. Sections 5.1, 6.5."""

    reservation_id: Integer


class CancelReservationConfirmation(Message, frozen=True, kw_only=True):
    """Whether the charger knew it. Section 6.6."""

    status: CancelReservationStatus


class ReserveNowRequest(Message, frozen=True, kw_only=True):
    """Keep a connector for a tag until `expiry_date`. Sections 5.13, 6.37.

    Connector 0 means any, where the charger supports it. The same `reservation_id` again replaces the reservation.
    """

    connector_id: ConnectorId
    expiry_date: DateTime
    id_tag: IdToken
    reservation_id: Integer
    parent_id_tag: OptionalIdToken | UnsetType = UNSET


class ReserveNowConfirmation(Message, frozen=True, kw_only=True):
    """Whether it is reserved, and why not. Section 6.38."""

    status: ReservationStatus
