"""What a charger does with commands of the local list, reservations, remote trigger and firmware. OCPP 1.6 section 5."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, UnsetType

from ocppd.simulator.configuration_keys import MAX_LOCAL_LIST
from ocppd.simulator.machine import Machine
from ocppd.simulator.reservations import Reservation
from ocppd.v16 import firmware, local_auth_list, remote_trigger, reservation
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import (
    CancelReservationStatus,
    ChargePointStatus,
    Message,
    MessageTrigger,
    ReadingContext,
    RegistrationStatus,
    ReservationStatus,
    TriggerMessageStatus,
    UpdateStatus,
)

# The local list


def get_local_list_version(
    charger: Machine, _: local_auth_list.GetLocalListVersionRequest
) -> local_auth_list.GetLocalListVersionConfirmation:
    """-1 where the list is switched off (section 5.10)."""
    enabled = charger.configuration.enabled("LocalAuthListEnabled")
    return local_auth_list.GetLocalListVersionConfirmation(list_version=charger.local_list.version if enabled else -1)


def send_local_list(charger: Machine, request: local_auth_list.SendLocalListRequest) -> local_auth_list.SendLocalListConfirmation:
    """The list decides; too many entries at once fail (section 5.15)."""
    entries = () if request.local_authorization_list is UNSET else request.local_authorization_list
    status = UpdateStatus.FAILED
    if not charger.configuration.enabled("LocalAuthListEnabled"):
        status = UpdateStatus.NOT_SUPPORTED
    elif len(entries) <= MAX_LOCAL_LIST:
        status = charger.local_list.update(request.list_version, request.update_type, entries)
    return local_auth_list.SendLocalListConfirmation(status=status)


# Reservations

_NOT_FREE = {
    ChargePointStatus.FAULTED: ReservationStatus.FAULTED,
    ChargePointStatus.UNAVAILABLE: ReservationStatus.UNAVAILABLE,
    ChargePointStatus.RESERVED: ReservationStatus.OCCUPIED,
}


def reserve_now(charger: Machine, request: reservation.ReserveNowRequest) -> reservation.ReserveNowConfirmation:
    """Kept until used, cancelled or expired; the same id replaces (section 5.13)."""
    status = _may_reserve(charger, request)
    if status is ReservationStatus.ACCEPTED:
        _reserve(charger, request)
    return reservation.ReserveNowConfirmation(status=status)


def _may_reserve(charger: Machine, request: reservation.ReserveNowRequest) -> ReservationStatus:
    connector = charger.connectors.get(request.connector_id)
    if connector is None:
        return ReservationStatus.REJECTED
    before = charger.reservations.find(request.reservation_id)
    other = charger.reservations.on(request.connector_id)
    if other is not None and other is not before:
        return ReservationStatus.OCCUPIED
    if request.connector_id == 0:
        main = _NOT_FREE.get(connector.status)
        return main or (ReservationStatus.ACCEPTED if charger.free_connectors() else ReservationStatus.OCCUPIED)
    if connector.status is ChargePointStatus.AVAILABLE or (other is not None and other is before):
        return ReservationStatus.ACCEPTED
    return _NOT_FREE.get(connector.status, ReservationStatus.OCCUPIED)


def _reserve(charger: Machine, request: reservation.ReserveNowRequest) -> None:
    before = charger.reservations.find(request.reservation_id)
    parent = None if request.parent_id_tag is UNSET else request.parent_id_tag
    expires_in_s = (parse_timestamp(request.expiry_date) - charger.wall.now_ms()) / 1000
    charger.reservations.add(Reservation(request.reservation_id, request.connector_id, request.id_tag, parent), expires_in_s)
    connectors = [request.connector_id] if before is None else [before.connector_id, request.connector_id]
    for connector in (charger.connectors[number] for number in connectors if number):
        charger.afterwards(lambda connector=connector: charger.charging.rest(connector))  # type: ignore[misc]


def cancel_reservation(
    charger: Machine, request: reservation.CancelReservationRequest
) -> reservation.CancelReservationConfirmation:
    """Rejected where there is none of that id (section 5.1)."""
    if charger.reservations.find(request.reservation_id) is None:
        return reservation.CancelReservationConfirmation(status=CancelReservationStatus.REJECTED)
    charger.afterwards(lambda: charger.reservations.cancel(request.reservation_id))
    if not charger.automatic:
        charger.reservations.cancel(request.reservation_id)
    return reservation.CancelReservationConfirmation(status=CancelReservationStatus.ACCEPTED)


# Triggers


def trigger_message(charger: Machine, request: remote_trigger.TriggerMessageRequest) -> remote_trigger.TriggerMessageConfirmation:
    """Accepted, then the message; an accepted charger does not boot on request (section 5.17, errata 3.35, 3.40)."""
    follow_up = _TRIGGERS[request.requested_message]
    accepted = may_trigger(charger, request.requested_message, request.connector_id)
    if accepted:
        charger.afterwards(lambda: follow_up(charger, request.connector_id))
    return remote_trigger.TriggerMessageConfirmation(
        status=TriggerMessageStatus.ACCEPTED if accepted else TriggerMessageStatus.REJECTED
    )


def may_trigger(charger: Machine, message: str, connector_id: int | UnsetType) -> bool:
    """Whether the connector exists, and the boot is still to come where one is asked for."""
    if message == MessageTrigger.BOOT_NOTIFICATION and charger.registration is RegistrationStatus.ACCEPTED:
        return False
    return connector_id is UNSET or connector_id in charger.connectors


def follow_with(charger: Machine, message: Message) -> None:
    """Send a triggered message."""
    charger.background.run(_send(charger, message))


async def _send(charger: Machine, message: Message) -> None:
    await charger.call(message)


def trigger_boot(charger: Machine, _: int | UnsetType) -> None:
    """BootNotification, without waiting for its time."""
    charger.life.boot_now()


def trigger_heartbeat(charger: Machine, _: int | UnsetType) -> None:
    """Heartbeat."""
    charger.background.run(charger.life.heartbeat())


def trigger_statuses(charger: Machine, connector_id: int | UnsetType) -> None:
    """StatusNotification of one connector, or of all with 0."""
    numbers = list(charger.connectors) if connector_id is UNSET else [connector_id]
    for number in numbers:
        charger.background.run(charger.statuses.report(charger.connectors[number]))


def trigger_meter_values(charger: Machine, connector_id: int | UnsetType) -> None:
    """MeterValues with the measurands of MeterValuesSampledData, of one connector or of all with the main meter."""
    numbers = list(charger.connectors) if connector_id is UNSET else [connector_id]
    for number in numbers:
        connector = charger.connectors[number]
        charger.metering.send(connector, connector.transaction, ReadingContext.TRIGGER, "MeterValuesSampledData")


_TRIGGERS: dict[MessageTrigger, Callable[[Machine, int | UnsetType], None]] = {
    MessageTrigger.BOOT_NOTIFICATION: trigger_boot,
    MessageTrigger.HEARTBEAT: trigger_heartbeat,
    MessageTrigger.STATUS_NOTIFICATION: trigger_statuses,
    MessageTrigger.METER_VALUES: trigger_meter_values,
    MessageTrigger.DIAGNOSTICS_STATUS_NOTIFICATION: lambda charger, _: follow_with(charger, charger.jobs.diagnostics_message()),
    MessageTrigger.FIRMWARE_STATUS_NOTIFICATION: lambda charger, _: follow_with(charger, charger.jobs.firmware_message()),
}


# Firmware management


def get_diagnostics(charger: Machine, request: firmware.GetDiagnosticsRequest) -> firmware.GetDiagnosticsConfirmation:
    """A file name at once, the upload afterwards (section 5.9)."""
    name = f"diagnostics-{charger.wall.now_ms()}.log"
    charger.afterwards(lambda: charger.jobs.begin("diagnostics", charger.jobs.upload_diagnostics(request, name)))
    return firmware.GetDiagnosticsConfirmation(file_name=name)


def update_firmware(charger: Machine, request: firmware.UpdateFirmwareRequest) -> firmware.UpdateFirmwareConfirmation:
    """The update follows, from its retrieve date on (section 5.19)."""
    charger.afterwards(lambda: charger.jobs.begin("firmware", charger.jobs.update_firmware(request)))
    return firmware.UpdateFirmwareConfirmation()


COMMANDS: dict[str, Callable[[Machine, Any], Any]] = {
    "CancelReservation": cancel_reservation,
    "GetDiagnostics": get_diagnostics,
    "GetLocalListVersion": get_local_list_version,
    "ReserveNow": reserve_now,
    "SendLocalList": send_local_list,
    "TriggerMessage": trigger_message,
    "UpdateFirmware": update_firmware,
}
