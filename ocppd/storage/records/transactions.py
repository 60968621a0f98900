"""Transactions and meter values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from ocppd.storage.records.id_tags import Configured, Standing
from ocppd.storage.records.messages import PAGE_CHARACTERS
from ocppd.v16.types import AuthorizationStatus, IdTagInfo

#: Gives the verdict on an id tag.
Judge = Callable[[Standing], IdTagInfo]

#: The instant of a timestamp that cannot be read: before every other, and the same at each repeat of its message.
UNREADABLE_MS = -(2**62)


#: The flag of a start or stop with such a timestamp.
UNREADABLE_FLAG = "timestampUnreadable"


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


class MeterValueElement(msgspec.Struct, frozen=True, gc=False):
    """One MeterValue: samples of one instant. `samples` is the JSON text of its `sampledValue` list, as sent."""

    timestamp_ms: int
    samples: str


@dataclass(frozen=True, slots=True)
class Start:
    """A StartTransaction. `id_tag_key` is the tag for comparison (REQUIREMENTS G-3).

    `judge` gives the verdict, `answer` the answer frame from the transaction id and the verdict; both are pure, and run
    inside the commit.
    """

    connector_id: int
    id_tag: str
    id_tag_key: str
    meter_start_wh: int
    timestamp_ms: int
    reservation_id: int | None
    configured: Configured
    judge: Judge
    answer: Callable[[int, IdTagInfo], str]
    flags: tuple[str, ...] = ()
    #: The charger told no register: what is known of it is taken (REQUIREMENTS E-1).
    meter_missing: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The transaction of a start. `repeated`: the same start was recorded before (REQUIREMENTS T-3)."""

    transaction_id: int
    repeated: bool
    #: Names this recorded message for `amend_answer`.
    sequence: int
    verdict: IdTagInfo


@dataclass(slots=True)
class Told:
    """What was told of an instant: rows of samples, and what is known of the first `read` of them, so that each is read once."""

    rows: list[str] = field(default_factory=list)
    read: int = 0
    known: set[Any] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Stop:
    """A StopTransaction. `judge` and `answer` are as in `Start`; there is a verdict only where an `id_tag` came (T-20)."""

    transaction_id: int
    id_tag: str | None
    id_tag_key: str | None
    meter_stop_wh: int
    timestamp_ms: int
    reason: str
    configured: Configured
    judge: Judge
    answer: Callable[[IdTagInfo | None], str]
    elements: tuple[MeterValueElement, ...]
    flags: tuple[str, ...] = ()
    #: As in `Start`; then `register_of` finds the newest register in samples, newest first. It is pure.
    meter_missing: bool = False
    register_of: Callable[[list[str]], int | None] = lambda _: None
    #: What samples tell that others of the same instant do not, None for nothing (REQUIREMENTS M-9). It changes `Told` alone.
    news_of: Callable[[str, Told], str | None] = lambda samples, _: samples


@dataclass(frozen=True, slots=True)
class Stopped:
    """What the stop turned out to be."""

    outcome: StopOutcome
    sequence: int
    verdict: IdTagInfo | None


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
    #: When an operator closed it, and why; a stop that comes after all counts all the same (REQUIREMENTS T-29).
    closed_ms: int | None = None
    close_reason: str | None = None
    #: The id of the RemoteStartTransaction that it came of.
    remote_start: str | None = None
    #: The reservation that it has used, by the id of the ReserveNow (REQUIREMENTS T-8).
    reservation: str | None = None


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


def ends(rows: Sequence[MeterValueRecord], limit: int) -> bool:
    """Whether nothing comes after these, of which `limit` were asked for."""
    return len(rows) < limit and sum(len(row.samples) for row in rows) < PAGE_CHARACTERS


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
