"""Messages, both ways, as the journal has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from ocppd.storage.records.follow_ups import FollowUp
from ocppd.storage.records.quarantine import Quarantined

#: Characters of frames, or of samples, that a page has; one frame of a charger may have as many.
PAGE_CHARACTERS = 4 * 1024 * 1024


class Direction(StrEnum):
    """Who sent the CALL of a message."""

    TO_CHARGER = "toCharger"
    FROM_CHARGER = "fromCharger"


class MessageState(StrEnum):
    """The life of a message. Messages from chargers know `completed` and `error` alone."""

    QUEUED = "queued"
    SENT = "sent"
    COMPLETED = "completed"
    ERROR = "error"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


#: States that a message leaves only through a late answer (`timeout`, `unknown` → `completed` or `error`).
FINAL_STATES = frozenset(MessageState) - {MessageState.QUEUED, MessageState.SENT}


def element_of(frame: str, place: int) -> bytes:
    """The JSON text of an element of a frame on record, also of one that a strict parser does not take (F-12).

    An empty object where there is none, because the frame is not to be read or was too odd to be kept.
    """
    try:
        return bytes(msgspec.json.decode(frame, type=list[msgspec.Raw])[place])
    except (msgspec.DecodeError, UnicodeError, RecursionError, IndexError):
        pass
    try:  # lone surrogates
        elements = json.loads(frame)
        return json.dumps(elements[place]).encode() if isinstance(elements, list) else b"{}"
    except (ValueError, RecursionError, IndexError):
        return b"{}"


class Inbound(msgspec.Struct, frozen=True, gc=False):
    """One CALL from a charger as it came, raw (REQUIREMENTS G-12).

    `answer` is the frame that ocppd answers by default: it is stored with the message, in the same commit. So is what goes
    to the `quarantine`, where the frame breaks the specification (E-1).
    """

    charger: str
    generation: int
    received_ms: int
    message_id: str
    action: str
    frame: str
    answer: str
    quarantine: Quarantined | None = None

    @property
    def payload(self) -> bytes:
        """The JSON text of its payload."""
        return element_of(self.frame, 3)


class MessageRecord(msgspec.Struct, frozen=True, gc=False):
    """A message as kept. `frame` is its CALL and `answer` its CALLRESULT or CALLERROR, both as JSON text."""

    sequence: int
    message_id: str
    charger: str
    direction: Direction
    action: str
    state: MessageState
    created_ms: int
    frame: str
    answer: str | None = None
    outcome: str | None = None
    late: bool = False
    durable: bool = True
    sent_ms: int | None = None
    answered_ms: int | None = None
    expires_ms: int | None = None
    detail: str | None = None
    origin: str | None = None
    #: The start or stop that it is; that meter values name; that came of our remote start.
    transaction_id: int | None = None
    #: What is to follow it, where that is known by how it came here; else it is to be looked for.
    follow_ups: tuple[FollowUp, ...] | None = None

    @property
    def characters(self) -> int:
        """Of its frames."""
        return len(self.frame) + len(self.answer or "")


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages; None is any."""

    charger: str | None = None
    action: str | None = None
    direction: Direction | None = None
    state: MessageState | None = None
    since_ms: int | None = None
    until_ms: int | None = None
