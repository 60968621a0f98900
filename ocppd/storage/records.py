"""The values that cross the storage seam. Knows no SQL and no I/O.

Instants are integers: milliseconds since 1970-01-01T00:00:00Z, in names that end in `_ms`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ocppd.v16.types import AuthorizationStatus, RegistrationStatus

#: The instant of a timestamp that cannot be read: before every other, and the same at each repeat of its message.
UNREADABLE_MS = -(2**62)
#: The flag of a start or stop with such a timestamp.
UNREADABLE_FLAG = "timestampUnreadable"


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


class TransactionState(StrEnum):
    """The life of a transaction (docs/http-api.md)."""

    OPEN = "open"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    STOP_MISSING = "stopMissing"
    CLOSED = "closed"


class StopOutcome(StrEnum):
    """What a StopTransaction turned out to be (REQUIREMENTS T-21, T-23)."""

    STOPPED = "stopped"
    REPEATED = "repeated"
    ORPHAN = "orphan"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Inbound:
    """One CALL from a charger as it came, raw (REQUIREMENTS G-12).

    `answer` is the frame that ocppd answers by default: it is stored with the message, in the same commit.
    """

    charger: str
    generation: int
    received_ms: int
    message_id: str
    action: str
    frame: str
    answer: str


@dataclass(frozen=True, slots=True)
class QueuedCall:
    """A call of ours that waits in storage for its charger, in the order of `sequence`. `frame` has its secrets."""

    message_id: str
    charger: str
    action: str
    frame: str
    created_ms: int
    expires_ms: int
    sequence: int
    #: The node that accepted it.
    origin: str | None = None
    #: Whether it outlives the connection (REQUIREMENTS S-6).
    waits: bool = True


@dataclass(frozen=True, slots=True)
class DroppedCall:
    """A call of ours that storage has ended by itself; `origin` is the node that accepted it."""

    message_id: str
    origin: str | None


@dataclass(frozen=True, slots=True)
class ConnectedCharger:
    """What storage knows when a charger connects. `generation` is above every earlier one of this charger."""

    generation: int
    registration: RegistrationStatus | None
    queued: tuple[QueuedCall, ...]
    dropped: tuple[DroppedCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """Where a charger is when a call is accepted: the living node that holds it, None while none does."""

    node: str | None
    registration: RegistrationStatus | None


class Verdict(StrEnum):
    """What became of a call that was to be queued: refused by who asked, or for want of room."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What became of a call that was to be queued, and where its charger was in that moment."""

    verdict: Verdict
    holding: Holding
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Census:
    """What a node that says that it lives learns: others who do, calls that the dead left, whether it was taken for dead."""

    others: int
    dropped: tuple[DroppedCall, ...]
    revived: bool = False


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


@dataclass(frozen=True, slots=True)
class Status:
    """A StatusNotification. `timestamp_ms` is the charger's own, or the time of receipt where it sent none."""

    connector_id: int
    status: str
    error_code: str
    info: str | None
    vendor_id: str | None
    vendor_error_code: str | None
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class MeterValueElement:
    """One MeterValue: samples of one instant. `samples` is the JSON text of its `sampledValue` list, as sent."""

    timestamp_ms: int
    samples: str


@dataclass(frozen=True, slots=True)
class Start:
    """A StartTransaction with our verdict. `id_tag_key` is the tag for comparison (REQUIREMENTS G-3)."""

    connector_id: int
    id_tag: str
    id_tag_key: str
    meter_start_wh: int
    timestamp_ms: int
    reservation_id: int | None
    verdict: AuthorizationStatus
    #: Makes the answer frame from the transaction id; pure, and run inside the commit.
    answer: Callable[[int], str]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """The transaction of a start. `repeated`: the same start was recorded before (REQUIREMENTS T-3)."""

    transaction_id: int
    repeated: bool
    #: Names this recorded message for `amend_answer`.
    sequence: int


@dataclass(frozen=True, slots=True)
class Stop:
    """A StopTransaction."""

    transaction_id: int
    id_tag: str | None
    meter_stop_wh: int
    timestamp_ms: int
    reason: str
    verdict: AuthorizationStatus | None
    elements: tuple[MeterValueElement, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """What the stop turned out to be."""

    outcome: StopOutcome
    sequence: int


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call of ours, valid and about to be journaled.

    `frame` is whole; `redacted` is what is kept readable. Where they differ storage keeps `frame` encrypted and
    only until the call has ended.
    """

    message_id: str
    charger: str
    action: str
    frame: str
    redacted: str
    created_ms: int
    expires_ms: int
    waits: bool = True


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call of ours ended. `answer` is the frame of the charger, redacted, where one came."""

    message_id: str
    state: MessageState
    ended_ms: int
    outcome: str | None = None
    answer: str | None = None
    late: bool = False
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class MessageRecord:
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


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """One entry of a connector's history."""

    sequence: int
    charger: str
    status: Status
    received_ms: int


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """A transaction. `energy_wh` is None while it is open and where the meter cannot be right (T-25)."""

    transaction_id: int
    charger: str
    connector_id: int
    id_tag: str
    state: TransactionState
    verdict: AuthorizationStatus
    meter_start_wh: int
    started_ms: int
    start_received_ms: int
    message_id: str
    reservation_id: int | None = None
    meter_stop_wh: int | None = None
    energy_wh: int | None = None
    stopped_ms: int | None = None
    stop_received_ms: int | None = None
    stop_id_tag: str | None = None
    reason: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeterValueRecord:
    """A stored meter value element; `transaction_id` is None where it belongs to none."""

    sequence: int
    charger: str
    connector_id: int
    transaction_id: int | None
    timestamp_ms: int
    received_ms: int
    samples: str


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages; None is any."""

    charger: str | None = None
    action: str | None = None
    direction: Direction | None = None
    state: MessageState | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """Which transactions; None is any. Times are of the start."""

    charger: str | None = None
    connector_id: int | None = None
    id_tag: str | None = None
    state: TransactionState | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class MeterValueFilter:
    """Which meter values; None is any. Times are of the sample."""

    charger: str | None = None
    connector_id: int | None = None
    transaction_id: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None
