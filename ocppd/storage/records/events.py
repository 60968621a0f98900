"""What happened.

One sequence numbers what happened in the whole installation: the messages of the journal and what is in no message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ocppd.storage.records.messages import MessageRecord

#: Characters of a frame that an event carries; a larger one is in the journal alone.
FRAME_LIMIT = 16 * 1024


class EventKind(StrEnum):
    """What can happen (docs/http-api.md)."""

    CHARGER_CONNECTED = "chargerConnected"
    CHARGER_DISCONNECTED = "chargerDisconnected"
    MESSAGE_RECEIVED = "messageReceived"
    ANSWER_AMENDED = "answerAmended"
    COMMAND_ACCEPTED = "commandAccepted"
    COMMAND_ENDED = "commandEnded"
    SERIAL_NUMBER_CHANGED = "serialNumberChanged"
    FIRMWARE_CHANGED = "firmwareChanged"
    STOP_MISSING = "stopMissing"
    TRANSACTION_CLOSED = "transactionClosed"
    FOLLOW_UP_MISSING = "followUpMissing"
    FOLLOW_UP_FAILED = "followUpFailed"
    FOLLOW_UP_SEEN = "followUpSeen"
    CHARGING_PROFILE_REFUSED = "chargingProfileRefused"
    CERTIFICATE_REQUEST_PENDING = "certificateRequestPending"
    CERTIFICATE_REQUEST_ENDED = "certificateRequestEnded"
    CRITICAL_SECURITY_EVENT = "criticalSecurityEvent"
    CONFIGURATION_DRIFTED = "configurationDrifted"
    RESERVATION_CHANGED = "reservationChanged"
    LOCAL_LIST_CHANGED = "localListChanged"
    JOB_ENDED = "jobEnded"
    STATUS_WITHOUT_JOB = "statusWithoutJob"
    FILE_RECEIVED = "fileReceived"
    CHARGER_CHANGED = "chargerChanged"
    CREDENTIALS_CHANGED = "credentialsChanged"
    FLEET_JOB_PAUSED = "fleetJobPaused"
    FLEET_JOB_ENDED = "fleetJobEnded"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, once.

    `kind` is an `EventKind`, or what a newer node calls it. `message` is what the journal says of the message now; `cut`:
    without its frames, which are too large. `members` are what there is to tell besides.
    """

    sequence: int
    kind: str
    charger: str
    at_ms: int
    message: MessageRecord | None = None
    cut: bool = False
    members: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None is any. `action` is that of a message, so that events without one are left out."""

    charger: str | None = None
    kind: EventKind | None = None
    action: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Newest:
    """The highest number so far, and which of those shortly below it have appeared; None where numbers appear in order."""

    number: int
    appeared: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Tail:
    """Events as one state of the database has them, in the order of their numbers, and what was running then.

    Numbers are given before commits, so that an event may appear whose number is below others that were seen before. Every
    transaction below `oldest` had ended; None where numbers appear in order. Every one that had begun is below `following`;
    None where nobody asked for it.
    """

    events: tuple[Event, ...]
    oldest: int | None
    following: int | None
