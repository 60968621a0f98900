"""What the calls and messages of jobs say: their JSON as values. Knows no tables.

REQUIREMENTS 2.4 (GetDiagnostics, UpdateFirmware), V-1 to V-3, V-10; DIS-45 and DIS-47 by the rules of `v16.tolerance`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import UNSET

from ocppd.errors import Violation
from ocppd.storage.clean import clean_text
from ocppd.storage.records import EndedCall, Inbound, MessageState
from ocppd.storage.records.charger_jobs import JobKind, JobState, NewJob
from ocppd.v16 import firmware, security
from ocppd.v16.codec import decode
from ocppd.v16.timestamps import parse_timestamp

#: The calls that begin a job.
CALLS: Final[Mapping[str, tuple[type[Any], JobKind]]] = {
    "GetDiagnostics": (firmware.GetDiagnosticsRequest, JobKind.DIAGNOSTICS),
    "GetLog": (security.GetLogRequest, JobKind.LOG),
    "UpdateFirmware": (firmware.UpdateFirmwareRequest, JobKind.FIRMWARE),
    "SignedUpdateFirmware": (security.SignedUpdateFirmwareRequest, JobKind.SIGNED_FIRMWARE),
}
#: The messages that tell how far one is.
NOTIFICATIONS: Final[Mapping[str, tuple[type[Any], JobKind]]] = {
    "DiagnosticsStatusNotification": (firmware.DiagnosticsStatusNotificationRequest, JobKind.DIAGNOSTICS),
    "LogStatusNotification": (security.LogStatusNotificationRequest, JobKind.LOG),
    "FirmwareStatusNotification": (firmware.FirmwareStatusNotificationRequest, JobKind.FIRMWARE),
    "SignedFirmwareStatusNotification": (security.SignedFirmwareStatusNotificationRequest, JobKind.SIGNED_FIRMWARE),
}
ACCEPTED: Final = frozenset({"Accepted", "AcceptedCanceled"})
#: The answer that ends the job before (V-2).
CANCELS: Final = "AcceptedCanceled"
NOT_SENT: Final = "its call was not sent"

_payload = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Told:
    """What the end of a call says of its job: `state` None where it is not known whether the charger has it.

    `wanted` is the job as the request describes it, None where that cannot be read.
    """

    wanted: NewJob | None
    state: JobState | None
    reason: str | None = None
    file_name: str | None = None
    cancels: bool = False
    #: The charger never heard of it.
    unsent: bool = False


def told_by(ended: EndedCall) -> Told:
    """What a call that has ended says."""
    wanted = _wanted(ended)
    match ended.state:
        case MessageState.COMPLETED:
            return _confirmed(ended, wanted)
        case MessageState.TIMEOUT | MessageState.UNKNOWN:
            return Told(wanted, None, "the charger did not answer")
        case MessageState.CANCELLED:
            return Told(wanted, JobState.CANCELLED, "its call was taken back", unsent=True)
    if ended.answer is None:
        return Told(wanted, JobState.FAILED, NOT_SENT, unsent=True)
    if ended.answer.startswith("[4"):
        return Told(wanted, JobState.FAILED, ended.outcome)
    return Told(wanted, None, "the charger's answer cannot be read")


def _confirmed(ended: EndedCall, wanted: NewJob | None) -> Told:
    try:
        answer = _payload.decode(ended.response or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = {}
    if ended.action == "UpdateFirmware":  # its confirmation has no members
        return Told(wanted, JobState.ACCEPTED)
    if ended.action == "GetDiagnostics":
        name = _text(answer.get("fileName"))
        return Told(wanted, JobState.ACCEPTED, file_name=name) if name else Told(wanted, JobState.NOTHING_AVAILABLE)
    if ended.outcome in ACCEPTED:
        return Told(wanted, JobState.ACCEPTED, file_name=_text(answer.get("filename")), cancels=ended.outcome == CANCELS)
    return Told(wanted, JobState.FAILED, ended.outcome)


def _text(value: Any) -> str | None:
    return clean_text(value) if isinstance(value, str) and value else None


def _wanted(ended: EndedCall) -> NewJob | None:
    request_type, kind = CALLS[ended.action]
    try:
        request, _ = decode(request_type, ended.request, strict=False)
    except (Violation, msgspec.DecodeError):  # written by another version of ocppd
        return None
    return NewJob(
        charger=ended.charger, kind=kind, message_id=ended.message_id, created_ms=ended.ended_ms, **MEMBERS[kind](request)
    )


def status_of(message: Inbound) -> tuple[JobKind, str, int | None] | None:
    """The kind of job, the status and the request id that a message tells; None where it cannot be read."""
    message_type, kind = NOTIFICATIONS[message.action]
    try:
        told, _ = decode(message_type, message.payload, strict=False)
    except Violation:
        return None
    return kind, str(told.status), _or_none(getattr(told, "request_id", UNSET))


# What a request says of its job


def _diagnostics(request: Any) -> dict[str, Any]:
    return {
        "location": request.location,
        "oldest_ms": _instant(request.start_time),
        "latest_ms": _instant(request.stop_time),
        **_retries(request),
    }


def _log(request: Any) -> dict[str, Any]:
    return {
        "location": request.log.remote_location,
        "log_type": str(request.log_type),
        "request_id": request.request_id,
        "oldest_ms": _instant(request.log.oldest_timestamp),
        "latest_ms": _instant(request.log.latest_timestamp),
        **_retries(request),
    }


def _firmware(request: Any) -> dict[str, Any]:
    return {"location": request.location, "retrieve_ms": _instant(request.retrieve_date), **_retries(request)}


def _signed(request: Any) -> dict[str, Any]:
    return {
        "location": request.firmware.location,
        "request_id": request.request_id,
        "retrieve_ms": _instant(request.firmware.retrieve_date_time),
        "install_ms": _instant(request.firmware.install_date_time),
        **_retries(request),
    }


def _retries(request: Any) -> dict[str, Any]:
    return {"retries": _or_none(request.retries), "retry_interval_s": _or_none(request.retry_interval)}


def _or_none(value: Any) -> Any:
    return None if value is UNSET else value


def _instant(text: Any) -> int | None:
    try:
        return None if text is UNSET else parse_timestamp(text)
    except ValueError:
        return None


#: The members of a `NewJob` that its request has.
MEMBERS: Final[Mapping[JobKind, Callable[[Any], dict[str, Any]]]] = {
    JobKind.DIAGNOSTICS: _diagnostics,
    JobKind.LOG: _log,
    JobKind.FIRMWARE: _firmware,
    JobKind.SIGNED_FIRMWARE: _signed,
}
