"""Values to store, with what a test does not care about filled in."""

from __future__ import annotations

from itertools import count
from typing import Any

from ocppd.storage.records import Boot, Inbound, MeterValueElement, NewCall, Start, Status, Stop
from ocppd.v16.types import AuthorizationStatus, IdTagInfo, RegistrationStatus

#: 2026-03-01T12:00:00Z
NOON_MS = 1_772_366_400_000

MINUTE_MS = 60_000

_numbers = count(1)


def inbound(action: str = "Heartbeat", charger: str = "CP1", **members: Any) -> Inbound:
    """A CALL with an id of its own."""
    number = next(_numbers)
    defaults: dict[str, Any] = {
        "generation": 1,
        "received_ms": NOON_MS,
        "message_id": f"m{number}",
        "frame": f'[2,"m{number}","{action}",{{}}]',
        "answer": f'[3,"m{number}",{{}}]',
    }
    return Inbound(charger=charger, action=action, **defaults | members)


def boot(**members: Any) -> Boot:
    """An accepted boot."""
    defaults: dict[str, Any] = {
        "vendor": "Acme",
        "model": "One",
        "serial_number": None,
        "charge_box_serial_number": None,
        "firmware_version": "1.0",
        "iccid": None,
        "imsi": None,
        "meter_type": None,
        "meter_serial_number": None,
        "registration": RegistrationStatus.ACCEPTED,
        "interval_s": 300,
    }
    return Boot(**defaults | members)


def status(connector_id: int = 1, text: str = "Available", **members: Any) -> Status:
    """A status without an error."""
    defaults: dict[str, Any] = {
        "error_code": "NoError",
        "info": None,
        "vendor_id": None,
        "vendor_error_code": None,
        "timestamp_ms": NOON_MS,
    }
    return Status(connector_id=connector_id, status=text, **defaults | members)


def start(connector_id: int = 1, verdict: AuthorizationStatus = AuthorizationStatus.ACCEPTED, **members: Any) -> Start:
    """An accepted start at noon."""
    defaults: dict[str, Any] = {
        "id_tag": "Tag1",
        "id_tag_key": "tag1",
        "meter_start_wh": 1000,
        "timestamp_ms": NOON_MS,
        "reservation_id": None,
        "configured": {},
        "judge": lambda standing: IdTagInfo(status=verdict),
        "answer": lambda transaction_id, _: f'[3,"x",{{"transactionId":{transaction_id}}}]',
    }
    return Start(connector_id=connector_id, **defaults | members)


def stop(transaction_id: int, **members: Any) -> Stop:
    """A stop one minute past noon after 500 Wh."""
    defaults: dict[str, Any] = {
        "id_tag": "Tag1",
        "id_tag_key": "tag1",
        "meter_stop_wh": 1500,
        "timestamp_ms": NOON_MS + MINUTE_MS,
        "reason": "Local",
        "configured": {},
        "judge": lambda standing: IdTagInfo(status=AuthorizationStatus.ACCEPTED),
        "answer": lambda verdict: '[3,"x",{}]',
        "elements": (),
    }
    return Stop(transaction_id=transaction_id, **defaults | members)


def element(timestamp_ms: int = NOON_MS, value: str = "1") -> MeterValueElement:
    """One measured instant."""
    return MeterValueElement(timestamp_ms, f'[{{"value":"{value}"}}]')


def call(message_id: str, charger: str = "CP1", **members: Any) -> NewCall:
    """A call without secrets that expires in an hour."""
    frame = f'[2,"{message_id}","ClearCache",{{}}]'
    defaults: dict[str, Any] = {
        "action": "ClearCache",
        "frame": frame,
        "redacted": frame,
        "created_ms": NOON_MS,
        "expires_ms": NOON_MS + 60 * MINUTE_MS,
    }
    return NewCall(message_id=message_id, charger=charger, **defaults | members)
