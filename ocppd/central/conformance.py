"""What chargers do against the specification: counted, with raw frames for the quarantine. REQUIREMENTS E-1, E-4, 4.4.

`note` is all that the rest of the central system calls. Counts are kept in memory and added to the records every few seconds;
a raw frame goes into the commit of its message, where that is durable, else along with the counts. Of each kind the first
frames of a day are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central import findings
from ocppd.central.calls import Ended
from ocppd.central.deviations import REFUSED
from ocppd.central.handlers import Charger
from ocppd.central.meter_values import told_instant
from ocppd.central.oddities import Oddity, oddities
from ocppd.central.recorder import AS_SENT, Reading, raw_frame
from ocppd.central.redaction import redact_raw
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, now_ms
from ocppd.config import ChargerSettings, Configuration
from ocppd.errors import StorageUnavailable, Violation
from ocppd.ocppj.frames import Call, shown_action
from ocppd.storage.api.quarantine import QuarantineRecords
from ocppd.storage.records.chargers import Product
from ocppd.storage.records.quarantine import Quarantined, Tally, Treatment
from ocppd.v16 import core
from ocppd.v16.actions import ACTIONS, Action
from ocppd.v16.repairs import switched_off
from ocppd.v16.tolerance import Repair
from ocppd.v16.types import Message

log = Logger()

#: Raw frames of one kind that are kept per charger and day.
SAMPLES_A_DAY: Final = 5
_DAY_MS: Final = 24 * 3600 * 1000
#: Of a larger frame the beginning is kept; where it is durable the journal has all of it.
FRAME_LIMIT: Final = 16 * 1024
#: Faults of one frame that are kept.
FAULTS_LIMIT: Final = 50
#: Frames that wait in memory; beyond it they are counted and not kept.
WAITING_LIMIT: Final = 500
#: Kinds of chargers whose samples of today are counted, and deviations that wait to be recorded.
COUNTS_LIMIT: Final = 50_000
#: Characters of what is told of a deviation.
DETAIL_LIMIT: Final = 200
#: Recorded messages that are looked at more closely: the first of a connection, and those after a transaction, which come late
#: or begin the next one. A look takes 6 to 50 µs.
FIRST_LOOKS: Final = 20
LOOKS_AFTER_STOP: Final = 10
#: What chargers are, that is held once for all that are the same.
PRODUCTS_KEPT: Final = 1_000


class Subject(Protocol):
    """A connection as its conformance is seen."""

    name: str
    settings: ChargerSettings
    product: Product
    repairs_off: frozenset[str]
    #: Messages that are still to be looked at more closely.
    looks: int
    #: The transaction that it has stopped last.
    stopped: int | None
    #: It was accepted when it connected, and has not booted since.
    returned: bool


@dataclass(slots=True)
class _Count:
    count: int
    first_ms: int
    last_ms: int
    detail: str


class Conformance(Watcher):
    """The deviations that this node has seen. `configuration` gives the one that holds."""

    messages = frozenset({"BootNotification", "StopTransaction"})
    calls = frozenset(action.name for action in ACTIONS.values() if action.to_charger)

    def __init__(
        self,
        records: QuarantineRecords,
        clock: Clock,
        configuration: Callable[[], Configuration],
        subject: Callable[[str], Subject | None],
    ) -> None:
        self._records = records
        self._clock = clock
        self._configuration = configuration
        self._subject = subject
        self._counts: dict[tuple[str, str, str], _Count] = {}
        self._frames: list[Quarantined] = []
        self._samples: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._flushing: Deferred[None] | None = None

    # What others tell

    def note(self, charger: str, kind: str, detail: str = "") -> None:
        """A charger was seen to deviate in this way, a kind of `deviations`."""
        at_ms = now_ms(self._clock)
        subject = self._subject(charger)
        key = (charger, kind, "" if subject is None else subject.product.firmware)
        count = self._counts.get(key)
        if count is not None:
            count.count += 1
            count.last_ms, count.detail = at_ms, detail[:DETAIL_LIMIT] or count.detail
        elif len(self._counts) < COUNTS_LIMIT:
            self._counts[key] = _Count(1, at_ms, at_ms, detail[:DETAIL_LIMIT])

    def introduce(self, subject: Subject, product: Product) -> None:
        """It is known now what a charger is: so are the repairs that are switched off for it."""
        subject.product = product = _shared(product)
        subject.repairs_off = repairs_off(self._configuration(), subject.settings, product)

    def read(self, subject: Subject, call: Call, action: Action, repairs: Sequence[Repair], received_ms: int) -> Reading:
        """A message was read, with these repairs; what is odd about it besides, where it is one of the first."""
        found = findings.of_repairs(repairs)
        if subject.looks:
            subject.looks -= 1
            try:
                found += findings.of_oddities(self._odd(subject, call, action, received_ms))
            except Exception:  # the boundary: whatever a closer look stumbles over, the message is answered
                log.failure("{charger}: {action} could not be looked at", charger=subject.name, action=action.name)
        flags = tuple(dict.fromkeys(repair.flag for repair in repairs if repair.flag is not None))
        if not found:
            return AS_SENT
        treatment = Treatment.MENDED if repairs else Treatment.TAKEN
        return Reading(flags, self._found(subject, call, found, treatment, received_ms))

    def refusal(self, subject: Subject, call: Call, violation: Violation, received_ms: int) -> Reading:
        """A message is answered CALLERROR for what it is."""
        kind = REFUSED.get(violation.code, "malformed-payload")
        found = [findings.Finding(kind, str(violation.code), violation.pointer, violation.reason)]
        if kind == "not-accepted":
            self.note(subject.name, kind, call.action)
            return AS_SENT
        return Reading((), self._found(subject, call, found, Treatment.REFUSED, received_ms))

    def frame(self, subject: Subject, kind: str, data: bytes, reason: str) -> None:
        """Something was wrong with a frame itself, or with when it came; without `data` it is only counted."""
        self.note(subject.name, kind, reason)
        received_ms = now_ms(self._clock)
        if data and self._may_keep(subject.name, [kind], received_ms):
            fault = findings.Finding(kind, "", "", reason)
            treatment = Treatment.REFUSED if kind == "frame-malformed" else Treatment.IGNORED
            text = data[: 2 * FRAME_LIMIT].decode("utf-8", "backslashreplace")
            self._keep(self._quarantined(subject, "", text, [fault], treatment, received_ms))

    # What is seen

    def _odd(self, subject: Subject, call: Call, action: Action, received_ms: int) -> list[Oddity]:
        try:
            value = msgspec.json.decode(call.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        found = list(oddities(action.name, action.request, value, received_ms, told_instant))
        named = value.get("transactionId") if isinstance(value, dict) else None
        if action.name == "MeterValues" and named is not None and named == subject.stopped:
            found.append(Oddity("values-after-stop", "/transactionId"))
        return found

    def _found(
        self, subject: Subject, call: Call, found: Sequence[findings.Finding], treatment: Treatment, received_ms: int
    ) -> Quarantined | None:
        """Count what was found; the frame, where it is to be kept in the commit of its message."""
        kinds = list(dict.fromkeys(each.kind for each in found))
        for kind in kinds:
            self.note(subject.name, kind, next(each.detail for each in found if each.kind == kind))
        if not self._may_keep(subject.name, kinds, received_ms):
            return None
        frame = raw_frame(call)
        kept = self._quarantined(subject, call.action, frame, found, treatment, received_ms)
        if call.action in findings.DURABLE:
            return kept
        self._keep(kept)
        return None

    def _quarantined(
        self,
        subject: Subject,
        action: str,
        frame: str,
        found: Sequence[findings.Finding],
        treatment: Treatment,
        received_ms: int,
    ) -> Quarantined:
        shown = redact_raw(action, frame)
        return Quarantined(
            charger=subject.name,
            kinds=tuple(dict.fromkeys(each.kind for each in found)),
            action=shown_action(action),
            treatment=treatment,
            received_ms=received_ms,
            frame=shown[:FRAME_LIMIT],
            faults=findings.encoded(found[:FAULTS_LIMIT]),
            firmware=subject.product.firmware,
            cut=len(shown) > FRAME_LIMIT,
        )

    def _may_keep(self, charger: str, kinds: Sequence[str], received_ms: int) -> bool:
        """Whether one of these kinds has room for another frame today."""
        day = received_ms // _DAY_MS
        open_kinds = []
        for kind in kinds:
            seen_day, count = self._samples.get((charger, kind), (day, 0))
            count = count if seen_day == day else 0
            if count < SAMPLES_A_DAY:
                open_kinds.append((kind, count))
        for kind, count in open_kinds:
            self._samples[(charger, kind)] = (day, count + 1)
            self._samples.move_to_end((charger, kind))
        while len(self._samples) > COUNTS_LIMIT:
            self._samples.popitem(last=False)
        return bool(open_kinds)

    def _keep(self, frame: Quarantined) -> None:
        if len(self._frames) < WAITING_LIMIT:
            self._frames.append(frame)

    # As a watcher

    def received(self, charger: Charger, request: Message, answer: Message) -> None:
        """A boot says what the charger is; after a stop values may follow that belong before it."""
        subject = self._subject(charger.name)
        if subject is None:
            return
        if isinstance(request, core.BootNotificationRequest):
            if subject.returned:
                subject.returned = False
                self.note(subject.name, "boot-while-accepted")
            firmware = "" if request.firmware_version is msgspec.UNSET else str(request.firmware_version)
            self.introduce(subject, Product(request.charge_point_vendor, request.charge_point_model, firmware))
        elif isinstance(request, core.StopTransactionRequest):
            subject.stopped = request.transaction_id
            subject.looks = max(subject.looks, LOOKS_AFTER_STOP)

    def ended(self, charger: str, request: Message, ended: Ended) -> None:
        """How a charger answers us says something about it, too (E-4)."""
        for kind, detail in findings.of_end(request, ended):
            self.note(charger, kind, detail)

    def sweep(self, now_ms: int) -> Deferred[Any]:
        """Add to the records what was counted since the last time."""
        return self.flush()

    def flush(self) -> Deferred[None]:
        """Fires when all that was seen so far is in the records, or could not be written."""
        if self._flushing is not None:
            waiting: Deferred[None] = Deferred()
            self._flushing.addCallback(lambda _: waiting.callback(None))
            return waiting.addCallback(lambda _: self.flush())
        if not self._counts and not self._frames:
            return succeed(None)
        counts, self._counts = self._counts, {}
        frames, self._frames = self._frames, []
        tallies = [Tally(*key, count.count, count.first_ms, count.last_ms, count.detail) for key, count in counts.items()]
        self._flushing = Deferred()
        written: Deferred[None] = self._records.noted(tallies, frames)
        return written.addErrback(self._not_written, counts, frames).addBoth(self._flushed)

    def _flushed(self, result: Any) -> Any:
        flushing, self._flushing = self._flushing, None
        assert flushing is not None
        flushing.callback(None)
        return result

    def _not_written(self, failure: Failure, counts: dict[tuple[str, str, str], _Count], frames: list[Quarantined]) -> None:
        """Storage is down: it is all added next time."""
        failure.trap(StorageUnavailable)
        self._frames = [*frames, *self._frames][:WAITING_LIMIT]
        for key, count in counts.items():
            newer = self._counts.get(key)
            if newer is None:
                self._counts[key] = count
            else:
                newer.count += count.count
                newer.first_ms = count.first_ms


@lru_cache(maxsize=PRODUCTS_KEPT)
def _shared(product: Product) -> Product:
    """The same for all chargers that are the same."""
    return product


def repairs_off(configuration: Configuration, settings: ChargerSettings, product: Product) -> frozenset[str]:
    """The repairs that are switched off for a charger: for all, then for its model, then for itself; the last word counts."""
    vendor, model = product.vendor.casefold(), product.model.casefold()
    models = [
        each.repairs
        for each in configuration.models
        if fnmatchcase(vendor, each.vendor.casefold()) and fnmatchcase(model, each.model.casefold())
    ]
    return switched_off(configuration.repairs, *models, settings.repairs)
