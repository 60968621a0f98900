"""Records as the JSON that operators see. docs/http-api.md. Pure.

Members that do not apply are left out. Instants are RFC 3339 in UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ocppd.central.meter_values import Sample
from ocppd.central.queries import ChargerView, node_name
from ocppd.net.rest import state_shapes
from ocppd.storage.records import (
    UNREADABLE_MS,
    Boot,
    ConnectorRecord,
    Event,
    IdTag,
    MessageRecord,
    MessageState,
    MeterValueRecord,
    StatusRecord,
    TransactionRecord,
    UnknownIdTag,
)
from ocppd.storage.records.follow_ups import FollowUp
from ocppd.storage.records.registry import UnknownIdentity
from ocppd.v16.types import IdTagInfo

Shape = dict[str, Any]
instant = state_shapes.instant

_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
#: What members of events are that are kept as texts.
MEMBERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "node": node_name,
    "transactionId": int,
    "connectorId": int,
    "chargingProfileId": int,
    "requestId": int,
    "reservationId": int,
    "securityEventId": int,
    "jobId": int,
    "fileId": int,
    "succeeded": int,
    "failed": int,
    "skipped": int,
    "size": int,
}
#: States in which the time to live of a call matters.
UNSENT: Final = frozenset({MessageState.QUEUED, MessageState.EXPIRED})
#: The element of a frame that holds the payload (OCPP-J 1.6 section 4.2).
CALL_PAYLOAD: Final = 3
CALL_RESULT_PAYLOAD: Final = 2


def _optional_instant(ms: int | None) -> str | None:
    return None if ms is None else instant(ms)


def _told(members: Mapping[str, Any]) -> Shape:
    """Without what does not apply."""
    return {name: value for name, value in members.items() if value is not None}


def charger(view: ChargerView) -> Shape:
    """A charger with its connectors."""
    return _told(
        {
            "name": view.name,
            "connected": view.connected,
            "remoteIp": view.remote_ip or None,
            "node": view.node,
            "connectedSince": _optional_instant(view.connected_ms),
            "lastSeen": _optional_instant(view.last_seen_ms),
            "registration": view.registration,
            "heartbeatInterval": view.heartbeat_interval_s,
            "queued": view.queued if view.connected else None,
            **_boot(view.boot),
            "tags": list(view.tags) or None,
            "acceptedWithoutBoot": view.accepted_without_boot or None,
            "clock": state_shapes.clock(view.connectors),
            "availability": state_shapes.availability(view.availability.get(0)),
            "connectors": connectors(view, view.connectors),
        }
    )


def _boot(boot: Boot | None) -> Shape:
    if boot is None:
        return {}
    return {
        "vendor": boot.vendor,
        "model": boot.model,
        "serialNumber": boot.serial_number,
        "chargeBoxSerialNumber": boot.charge_box_serial_number,
        "firmwareVersion": boot.firmware_version,
        "meterType": boot.meter_type,
        "meterSerialNumber": boot.meter_serial_number,
    }


def told_or(told_ms: int, received_ms: int) -> int:
    """A charger's own instant, or the time of receipt where it wrote none that can be read."""
    return received_ms if told_ms == UNREADABLE_MS else told_ms


def connectors(view: ChargerView, records: Iterable[ConnectorRecord]) -> list[Shape]:
    """The current states of some of a charger's connectors."""
    whole = next((each for each in view.connectors if each.connector_id == 0), None)
    return [connector(each, view.availability.get(each.connector_id), whole) for each in records]


def connector(record: ConnectorRecord, wish: FollowUp | None = None, whole: ConnectorRecord | None = None) -> Shape:
    """The current state of a connector, with the availability that is wished, and the state of the charger as a whole."""
    return _told(
        {
            "connectorId": record.connector_id,
            "status": record.status,
            "errorCode": record.error_code,
            "info": record.info,
            "vendorId": record.vendor_id,
            "vendorErrorCode": record.vendor_error_code,
            "since": instant(record.timestamp_ms),
            "transactionId": record.transaction_id,
            **state_shapes.connector_state(record, wish, whole),
        }
    )


def status(record: StatusRecord, before: StatusRecord | None = None) -> Shape:
    """One entry of a connector's history; `before` is the one before it."""
    return _told(
        {
            "charger": record.charger,
            "connectorId": record.status.connector_id,
            "status": record.status.status,
            "errorCode": record.status.error_code,
            "info": record.status.info,
            "vendorId": record.status.vendor_id,
            "vendorErrorCode": record.status.vendor_error_code,
            "timestamp": instant(record.status.timestamp_ms),
            "receivedAt": instant(record.received_ms),
            **state_shapes.transition(record, before),
        }
    )


def connection(view: ChargerView) -> Shape:
    """The live connection of a charger."""
    return _told(
        {
            "charger": view.name,
            "remoteIp": view.remote_ip,
            "node": view.node,
            "since": _optional_instant(view.connected_ms),
            "lastSeen": _optional_instant(view.last_seen_ms),
            "registration": view.registration,
            "authenticated": view.authenticated,
            "queued": view.queued,
        }
    )


def unknown_charger(identity: UnknownIdentity) -> Shape:
    """An identity that tried to connect and is not configured (H-5)."""
    return {
        "name": identity.name,
        "remoteIp": identity.remote_ip,
        "firstSeen": instant(identity.first_ms),
        "lastSeen": instant(identity.last_ms),
        "attempts": identity.attempts,
    }


def message(record: MessageRecord, follow_ups: Sequence[FollowUp] = ()) -> Shape:
    """A message with its answer, and what is to follow it."""
    return _told(
        {
            "messageId": record.message_id,
            "charger": record.charger,
            "durable": record.durable,
            "direction": record.direction,
            "action": record.action,
            "state": record.state,
            "outcome": record.outcome,
            "transactionId": record.transaction_id,
            "late": record.late or None,
            "detail": record.detail,
            "createdAt": instant(record.created_ms),
            "sentAt": _optional_instant(record.sent_ms),
            "answeredAt": _optional_instant(record.answered_ms),
            "expiresAt": _optional_instant(record.expires_ms) if record.state in UNSENT else None,
            "request": payload(record.frame, CALL_PAYLOAD),
            **_answer(record.answer),
            "followUp": state_shapes.follow_up(follow_ups),
        }
    )


def event(record: Event) -> Shape:
    """Something that happened; the message is shown as it is now."""
    members = {name: MEMBERS.get(name, str)(value) for name, value in (record.members or {}).items()}
    return _told(
        {
            "id": record.sequence,
            "type": record.kind,
            "charger": record.charger or None,
            "at": instant(record.at_ms),
            **members,
            "message": None if record.message is None else message(record.message),
            "truncated": record.cut or None,
        }
    )


def elements(frame: str | None) -> list[bytes]:
    """The elements of a frame as JSON texts; chargers' frames are kept as they came, so there may be none to read."""
    try:
        return [bytes(element) for element in _elements(frame or "")]
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []


def payload(frame: str | None, index: int) -> msgspec.Raw | None:
    """The JSON text of the payload that stands at `index` of a frame, None where there is none."""
    parts = elements(frame)
    return msgspec.Raw(parts[index]) if index < len(parts) and parts[index] != b"null" else None


def _answer(frame: str | None) -> Shape:
    match elements(frame):
        case [b"3", _, found, *_]:
            return {"response": msgspec.Raw(found)}
        case [b"4", _, code, description, details, *_]:
            return {
                "error": {"code": msgspec.Raw(code), "description": msgspec.Raw(description), "details": msgspec.Raw(details)}
            }
    return {}


def transaction(record: TransactionRecord) -> Shape:
    """A transaction."""
    return _told(
        {
            "transactionId": record.transaction_id,
            "charger": record.charger,
            "connectorId": record.connector_id,
            "idTag": record.id_tag,
            "state": record.state,
            "meterStart": record.meter_start_wh,
            "meterStop": record.meter_stop_wh,
            "energyWh": record.energy_wh,
            "startedAt": instant(told_or(record.started_ms, record.start_received_ms)),
            "stoppedAt": _optional_instant(record.stopped_ms),
            "stopIdTag": record.stop_id_tag,
            "reason": record.reason,
            "verdict": record.verdict,
            "flags": list(record.flags) or None,
            "reservationId": record.reservation_id,
            "reservation": record.reservation,
            "messageId": record.message_id,
            "closedAt": _optional_instant(record.closed_ms),
            "closeReason": record.close_reason,
            "remoteStartId": record.remote_start,
        }
    )


def meter_value(record: MeterValueRecord, sample: Sample) -> Shape:
    """One sample. `value` is a number in `unit` where it can be one; `raw` is what was sent."""
    return _told(
        {
            "charger": record.charger,
            "connectorId": record.connector_id,
            "transactionId": record.transaction_id,
            "timestamp": instant(told_or(record.timestamp_ms, record.received_ms)),
            "context": sample.context,
            "measurand": sample.measurand,
            "phase": sample.phase,
            "location": sample.location,
            "format": sample.format if sample.format != "Raw" else None,
            "unit": sample.unit,
            "value": sample.value,
            "raw": _told({"value": sample.raw_value, "unit": sample.raw_unit}),
        }
    )


def id_tag(tag: IdTag) -> Shape:
    """An id tag."""
    return _told(
        {
            "idTag": tag.id_tag,
            "status": tag.status,
            "parentIdTag": tag.parent,
            "expiryDate": _optional_instant(tag.expiry_ms),
            "maxActiveTransactions": tag.max_active or 0,
            "groupMaxActiveTransactions": tag.group_limit,
            "note": tag.note,
            "source": "records" if tag.version else "configuration",
        }
    )


def verdict(info: IdTagInfo) -> Shape:
    """A verdict, its members as a charger is told them."""
    return _told({"status": info.status, "parentIdTag": info.parent_id_tag or None, "expiryDate": info.expiry_date or None})


def unknown_id_tag(seen: UnknownIdTag) -> Shape:
    """A tag that was refused because nobody knows it (A-5)."""
    return {
        "idTag": seen.id_tag,
        "charger": seen.charger,
        "firstSeen": instant(seen.first_ms),
        "lastSeen": instant(seen.last_ms),
        "attempts": seen.attempts,
    }
