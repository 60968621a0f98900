"""Chargers, their connectors, and the nodes that hold them."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ocppd.storage.records.calls import DroppedCall, QueuedCall
from ocppd.v16.types import RegistrationStatus


@dataclass(frozen=True, slots=True)
class Boot:
    """A BootNotification and its verdict."""

    vendor: str
    model: str
    serial_number: str | None
    charge_box_serial_number: str | None
    firmware_version: str | None
    iccid: str | None
    imsi: str | None
    meter_type: str | None
    meter_serial_number: str | None
    #: None where the verdict is still to come: what is stored stays until then.
    registration: RegistrationStatus | None
    interval_s: int


class Status(msgspec.Struct, frozen=True, gc=False):
    """A StatusNotification. `timestamp_ms` is the charger's own, or the time of receipt where it sent none."""

    connector_id: int
    status: str
    error_code: str
    info: str | None
    vendor_id: str | None
    vendor_error_code: str | None
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Product:
    """What a charger is, by its last boot; blank where it never said so."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class ConnectedCharger:
    """What storage knows when a charger connects. `generation` is above every earlier one of this charger."""

    generation: int
    registration: RegistrationStatus | None
    queued: tuple[QueuedCall, ...]
    dropped: tuple[DroppedCall, ...] = ()
    product: Product = Product()


@dataclass(frozen=True, slots=True)
class Census:
    """What a node that says that it lives learns: others who do, calls that the dead left, whether it was taken for dead."""

    others: int
    dropped: tuple[DroppedCall, ...]
    revived: bool = False


@dataclass(frozen=True, slots=True)
class ChargerRecord:
    """What is kept of a charger. `node` is the living node that holds it, None while none does."""

    name: str
    generation: int
    node: str | None
    remote_ip: str | None
    connected_ms: int | None
    registration: RegistrationStatus | None
    registered_ms: int | None
    last_seen_ms: int | None
    boot: Boot | None


@dataclass(frozen=True, slots=True)
class ConnectorRecord:
    """The current state of a connector, in order of arrival (REQUIREMENTS N-1)."""

    charger: str
    connector_id: int
    status: str
    error_code: str
    info: str | None
    vendor_id: str | None
    vendor_error_code: str | None
    timestamp_ms: int
    received_ms: int
    transaction_id: int | None
    #: The status before this one.
    previous: str | None = None
    #: Error codes without a fault since the last NoError, between blanks (REQUIREMENTS N-3).
    warnings: str = ""


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """One entry of a connector's history."""

    sequence: int
    charger: str
    status: Status
    received_ms: int
