"""What a charger's registration permits, in both directions. REQUIREMENTS 2.2, OCPP 1.6 section 4.2. Pure."""

from __future__ import annotations

from collections.abc import Set
from hashlib import blake2b
from typing import Final

from ocppd.v16.remote_trigger import EXTENDED_TRIGGERS, TriggerMessageRequest
from ocppd.v16.security import ExtendedTriggerMessageRequest
from ocppd.v16.types import Message, RegistrationStatus

#: Answered whatever the registration: the charger repeats security events until they are delivered (V-11).
ALWAYS: Final = frozenset({"BootNotification", "SecurityEventNotification"})
#: OCPP 1.6 section 4.2: not while the registration is Pending.
NOT_WHILE_PENDING: Final = frozenset({"RemoteStartTransaction", "RemoteStopTransaction"})
#: What a charger tells of transactions: it is recorded also where the charger is gone before its turn comes.
OF_TRANSACTIONS: Final = frozenset({"StartTransaction", "MeterValues", "StopTransaction"})
#: Which message of the charger a call of ours asks for, so that it is welcome while Pending.
ASKED_FOR: Final = {
    "GetDiagnostics": "DiagnosticsStatusNotification",
    "UpdateFirmware": "FirmwareStatusNotification",
    "GetLog": "LogStatusNotification",
    "SignedUpdateFirmware": "SignedFirmwareStatusNotification",
}


#: C-5: from so many connected chargers on they are told heartbeat intervals that differ.
CROWD: Final = 100
#: By how much of the interval, at most; it is never longer than configured.
SPREAD: Final = 0.1
#: No charger is told to beat more often (B-1).
LEAST_INTERVAL_S: Final = 10


def told_interval_s(name: str, interval_s: int, connected: int) -> int:
    """What a charger is told, of `connected` ones, whose heartbeat interval is `interval_s`: always the same by its name (C-5).

    Chargers that have all come back at once would else all beat at once, for ever.
    """
    if connected < CROWD:
        return interval_s
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    share = int.from_bytes(digest, "big") / 2**32
    return max(min(interval_s, LEAST_INTERVAL_S), interval_s - int(interval_s * SPREAD * share))


def may_receive(registration: RegistrationStatus | None, action: str, asked_for: Set[str]) -> bool:
    """Whether a CALL of the charger is processed, or answered SecurityError."""
    if registration is RegistrationStatus.ACCEPTED or action in ALWAYS:
        return True
    return registration is RegistrationStatus.PENDING and action in asked_for


def may_send(registration: RegistrationStatus | None, request: Message, action: str) -> bool:
    """Whether a CALL of ours may go to the charger now."""
    if asks_for_boot(request):
        # Never to one that is accepted (errata 3.40); an operator may ask one that does not boot by itself.
        return registration in (None, RegistrationStatus.PENDING)
    if registration is RegistrationStatus.ACCEPTED:
        return True
    return registration is RegistrationStatus.PENDING and action not in NOT_WHILE_PENDING


def may_wait(registration: RegistrationStatus | None, request: Message, action: str) -> bool:
    """Whether a later registration could permit what `may_send` refuses now."""
    return registration is not RegistrationStatus.ACCEPTED and not (
        registration is RegistrationStatus.PENDING and action in NOT_WHILE_PENDING
    )


def why_not(registration: RegistrationStatus | None, request: Message) -> str:
    """Why `may_send` refuses, in words for an operator."""
    if registration is RegistrationStatus.ACCEPTED and asks_for_boot(request):
        return "a charger that is accepted must not be asked to boot (errata 3.40)"
    return f"its registration is {registration or 'not yet known: it has to boot first'}"


def asks_for_boot(request: Message) -> bool:
    """A trigger of BootNotification, which an accepted charger must not get (errata 3.40)."""
    return (
        isinstance(request, TriggerMessageRequest | ExtendedTriggerMessageRequest)
        and request.requested_message == "BootNotification"
    )


def asked_message(request: Message, action: str) -> str | None:
    """The message of the charger that this call of ours asks for."""
    if isinstance(request, TriggerMessageRequest):
        return request.requested_message.value
    if isinstance(request, ExtendedTriggerMessageRequest):
        return EXTENDED_TRIGGERS.get(request.requested_message, request.requested_message.value)
    return ASKED_FOR.get(action)
