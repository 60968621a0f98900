"""What a charger tells becomes a record, with our default answer, before any handler sees it.

Decision 5 of docs/architecture.md: durable before answered, and not by the handler. One method per durable action;
each gives a Deferred of `Recorded`, whose `amend` records what a user's handler answers instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
from msgspec import UNSET, UnsetType
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ocppd.central.authorization import Rules, id_tag_key
from ocppd.central.foreign_tags import ForeignTags, Purpose, Question
from ocppd.central.meter_values import elements_of, instant_or, news_of, register_of, told_instant
from ocppd.central.registration import told_interval_s
from ocppd.config import ChargerSettings
from ocppd.errors import StorageUnavailable
from ocppd.ocppj.frames import Call, call_result_frame
from ocppd.storage.api import Storage
from ocppd.storage.records import (
    UNREADABLE_FLAG,
    UNREADABLE_MS,
    Boot,
    Inbound,
    Standing,
    Start,
    Started,
    Status,
    Stop,
    StopOutcome,
    Stopped,
)
from ocppd.storage.records.certificates import NewRequest, Requested, RequestState
from ocppd.storage.records.quarantine import Quarantined
from ocppd.v16 import core, firmware, security
from ocppd.v16.codec import encode
from ocppd.v16.salvage import ID_TAG_MISSING, METER_START_MISSING, METER_STOP_MISSING
from ocppd.v16.timestamps import format_timestamp
from ocppd.v16.types import AuthorizationStatus, GenericStatusEnumType, IdTagInfo, Message, Reason, RegistrationStatus

log = Logger()

#: G-2: a charger's clock that is further ahead than this is flagged.
CLOCK_TOLERANCE_MS: Final = 5 * 60 * 1000


class Peer(Protocol):
    """What recording needs to know of the connection."""

    name: str
    generation: int
    settings: ChargerSettings
    registration: RegistrationStatus | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message on disk, with the answer that stands there."""

    answer: Message
    sequence: int
    #: Records another answer: (confirmation, frame) → Deferred.
    amend: Callable[[Any, str], Deferred[None]]
    #: Whether what the answer says holds already; else `amend` makes it so, whatever the answer is in the end.
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """How a message was read: the flags of what was filled in (E-1), and what goes to the quarantine."""

    flags: tuple[str, ...] = ()
    quarantine: Quarantined | None = None


#: What a stop that stops nothing says about its charger.
_OUTCOMES: Final = {
    StopOutcome.ORPHAN: "stop-unknown",
    StopOutcome.REPEATED: "stop-repeated",
    StopOutcome.SUSPECT: "stop-suspect",
}

#: As nearly all are.
AS_SENT: Final = Reading()

Method = Callable[[Peer, Call, Any, int, Reading], Deferred[Recorded]]


class Recorder:
    """Turns durable messages into use cases of the storage. `rules` give the verdicts on id tags, `foreign` on others'."""

    def __init__(
        self,
        storage: Storage,
        rules: Rules,
        foreign: ForeignTags,
        settings_of: Callable[[str], ChargerSettings],
        *,
        boots_settle: bool = True,
        judge_csr: Callable[[str, str], Deferred[NewRequest]],
        note: Callable[[str, str], None] = lambda _, __: None,
        connected: Callable[[], int] = lambda: 1,
    ) -> None:
        """`settings_of` gives those of a charger as they are now; `judge_csr` says what becomes of a request for a certificate.

        `boots_settle`: our verdict on a boot holds at once. Where a user's handler has a say, only its verdict does. `note`
        hears of what a charger was found to do against the specification: (charger, kind of `deviations`). `connected` counts
        the chargers that are.
        """
        self._note = note
        self._connected = connected
        self._storage = storage
        self._boots_settle = boots_settle
        self._rules = rules
        self._foreign = foreign
        self._settings_of = settings_of
        self._judge_csr = judge_csr
        #: The durable actions: transaction frames, boots, statuses, security frames (docs/http-api.md).
        self.methods: dict[str, Method] = {
            "BootNotification": self._boot,
            "StatusNotification": self._status,
            "StartTransaction": self._start,
            "StopTransaction": self._stop,
            "MeterValues": self._meter_values,
            "SignCertificate": self._sign,
        }
        plain: dict[str, Message] = {
            "DiagnosticsStatusNotification": firmware.DiagnosticsStatusNotificationConfirmation(),
            "FirmwareStatusNotification": firmware.FirmwareStatusNotificationConfirmation(),
            "LogStatusNotification": security.LogStatusNotificationConfirmation(),
            "SecurityEventNotification": security.SecurityEventNotificationConfirmation(),
            "SignedFirmwareStatusNotification": security.SignedFirmwareStatusNotificationConfirmation(),
        }
        for action, answer in plain.items():
            self.methods[action] = self._journal(answer)

    def refused(self, peer: Peer, call: Call, frame: bytes, now_ms: int, reading: Reading = AS_SENT) -> Deferred[int]:
        """Journal a durable message whose payload cannot be processed, with the CALLERROR it gets."""
        return self._storage.message_received(_inbound(peer, call, frame.decode(), now_ms, reading), failed=True)

    def failed(self, recorded: Recorded, frame: bytes) -> Deferred[None]:
        """Record that a recorded message was answered CALLERROR after all, because a user's handler failed."""
        return self._storage.answer_amended(recorded.sequence, frame.decode(), failed=True)

    def accepts_without_boot(self, peer: Peer, now_ms: int) -> bool:
        """Whether a charger without a registration is accepted by what it sends (B-5); then it is, and its record says so.

        That is written before the record of what it sends, and is implied once more where neither is.
        """
        if peer.registration is not None or not self._settings_of(peer.name).accept_without_boot:
            return False
        peer.registration = RegistrationStatus.ACCEPTED
        log.info("{charger}: accepted without a boot", charger=peer.name)
        written = self._storage.follow_ups.accepted_implicitly(peer.name, now_ms)
        written.addErrback(lambda failure: failure.trap(StorageUnavailable) and None)
        written.addErrback(lambda failure: log.failure("{charger}: was not recorded as accepted", failure, charger=peer.name))
        return True

    def _boot(
        self, peer: Peer, call: Call, request: core.BootNotificationRequest, now_ms: int, reading: Reading
    ) -> Deferred[Recorded]:
        settings = self._settings_of(peer.name)
        status = RegistrationStatus(settings.registration)
        accepted = status is RegistrationStatus.ACCEPTED
        interval_s = self._interval_s(settings) if accepted else settings.retry_interval_s
        answer = core.BootNotificationConfirmation(status=status, current_time=format_timestamp(now_ms), interval=interval_s)
        boot = Boot(
            vendor=request.charge_point_vendor,
            model=request.charge_point_model,
            serial_number=_optional(request.charge_point_serial_number),
            charge_box_serial_number=_optional(request.charge_box_serial_number),
            firmware_version=_optional(request.firmware_version),
            iccid=_optional(request.iccid),
            imsi=_optional(request.imsi),
            meter_type=_optional(request.meter_type),
            meter_serial_number=_optional(request.meter_serial_number),
            registration=answer.status if self._boots_settle else None,
            interval_s=interval_s,
        )

        def recorded(sequence: int) -> Recorded:
            def amend(other: core.BootNotificationConfirmation, frame: str) -> Deferred[None]:
                return self._storage.registration_amended(sequence, frame, other.status, other.interval)

            return Recorded(answer, sequence, amend, self._boots_settle)

        message = _inbound(peer, call, _frame(call, answer), now_ms, reading)
        return self._storage.charger_booted(message, boot).addCallback(recorded)

    def _interval_s(self, settings: ChargerSettings) -> int:
        interval_s = settings.heartbeat_interval_s
        return told_interval_s(settings.name, interval_s, self._connected()) if settings.spread_heartbeats else interval_s

    def _status(
        self, peer: Peer, call: Call, request: core.StatusNotificationRequest, now_ms: int, reading: Reading
    ) -> Deferred[Recorded]:
        answer = core.StatusNotificationConfirmation()
        message = _inbound(peer, call, _frame(call, answer), now_ms, reading)
        done = self._storage.status_notified(message, status_of(request, now_ms))
        return done.addCallback(self._plainly_recorded, answer)

    def _start(
        self, peer: Peer, call: Call, request: core.StartTransactionRequest, now_ms: int, reading: Reading
    ) -> Deferred[Recorded]:
        if not self._foreign.asked:
            return self._started(None, peer, call, request, now_ms, reading)
        question = Question(peer.name, request.id_tag, Purpose.START, request.connector_id)
        return self._foreign.verdict(question, now_ms).addCallback(self._started, peer, call, request, now_ms, reading)

    def _started(
        self,
        foreign: IdTagInfo | None,
        peer: Peer,
        call: Call,
        request: core.StartTransactionRequest,
        now_ms: int,
        reading: Reading,
    ) -> Deferred[Recorded]:
        def answer(transaction_id: int, verdict: IdTagInfo) -> core.StartTransactionConfirmation:
            return core.StartTransactionConfirmation(id_tag_info=verdict, transaction_id=transaction_id)

        started_ms = told_instant(request.timestamp)
        unnamed = IdTagInfo(status=AuthorizationStatus.INVALID) if ID_TAG_MISSING in reading.flags else None
        start = Start(
            connector_id=request.connector_id,
            id_tag=request.id_tag,
            id_tag_key=id_tag_key(request.id_tag),
            meter_start_wh=request.meter_start,
            timestamp_ms=started_ms,
            reservation_id=_optional(request.reservation_id),
            configured=self._rules.configured,
            judge=lambda standing: unnamed or _foreign_or(foreign, standing) or self._rules.verdict_at_start(standing, now_ms),
            answer=lambda transaction_id, verdict: _frame(call, answer(transaction_id, verdict)),
            flags=(*_start_flags(request, started_ms, now_ms), *reading.flags),
            meter_missing=METER_START_MISSING in reading.flags,
        )

        def recorded(started: Started) -> Recorded:
            if started.repeated:
                self._note(peer.name, "start-repeated")
            given = answer(started.transaction_id, started.verdict)

            def amend(other: core.StartTransactionConfirmation, frame: str) -> Deferred[None]:
                if other.transaction_id != started.transaction_id:
                    raise ValueError("a handler may change the verdict of a start, not its transaction id")
                return self._storage.verdict_amended(started.sequence, frame, other.id_tag_info.status)

            return Recorded(given, started.sequence, amend)

        return self._storage.transaction_started(_inbound(peer, call, "", now_ms, reading), start).addCallback(recorded)

    def _stop(
        self, peer: Peer, call: Call, request: core.StopTransactionRequest, now_ms: int, reading: Reading
    ) -> Deferred[Recorded]:
        if not self._foreign.asked or isinstance(request.id_tag, UnsetType):
            return self._stopped(None, peer, call, request, now_ms, reading)
        question = Question(peer.name, request.id_tag, Purpose.STOP)
        return self._foreign.verdict(question, now_ms).addCallback(self._stopped, peer, call, request, now_ms, reading)

    def _stopped(
        self,
        foreign: IdTagInfo | None,
        peer: Peer,
        call: Call,
        request: core.StopTransactionRequest,
        now_ms: int,
        reading: Reading,
    ) -> Deferred[Recorded]:
        id_tag = _optional(request.id_tag)

        def answer(verdict: IdTagInfo | None) -> core.StopTransactionConfirmation:
            return core.StopTransactionConfirmation(id_tag_info=UNSET if verdict is None else verdict)

        stopped_ms = instant_or(request.timestamp, now_ms)
        data = request.transaction_data
        stop = Stop(
            transaction_id=request.transaction_id,
            id_tag=id_tag,
            id_tag_key=None if id_tag is None else id_tag_key(id_tag),
            meter_stop_wh=request.meter_stop,
            timestamp_ms=stopped_ms,
            reason=str(Reason.LOCAL if isinstance(request.reason, UnsetType) else request.reason),
            configured=self._rules.configured,
            judge=lambda standing: _foreign_or(foreign, standing) or self._rules.verdict(standing, now_ms),
            answer=lambda verdict: _frame(call, answer(verdict)),
            elements=() if isinstance(data, UnsetType) else elements_of(call.payload, data),
            flags=(*_time_flags(told_instant(request.timestamp), now_ms), *reading.flags),
            meter_missing=METER_STOP_MISSING in reading.flags,
            register_of=register_of,
            news_of=news_of,
        )

        def recorded(stopped: Stopped) -> Recorded:
            if stopped.outcome is not StopOutcome.STOPPED:
                self._note(peer.name, _OUTCOMES[stopped.outcome])
            return self._plainly_recorded(stopped.sequence, answer(stopped.verdict))

        return self._storage.transaction_stopped(_inbound(peer, call, "", now_ms, reading), stop).addCallback(recorded)

    def _meter_values(
        self, peer: Peer, call: Call, request: core.MeterValuesRequest, now_ms: int, reading: Reading
    ) -> Deferred[Recorded]:
        answer = core.MeterValuesConfirmation()
        elements = elements_of(call.payload, request.meter_value)
        message = _inbound(peer, call, _frame(call, answer), now_ms, reading)
        named = _optional(request.transaction_id)
        done = self._storage.meter_values_received(message, request.connector_id, named, elements)
        return done.addCallback(self._plainly_recorded, answer)

    def _sign(
        self, peer: Peer, call: Call, request: security.SignCertificateRequest, now_ms: int, reading: Reading
    ) -> Deferred[Recorded]:
        accepted, refused = GenericStatusEnumType.ACCEPTED, GenericStatusEnumType.REJECTED
        records = self._storage.certificates

        def judged(new: NewRequest) -> Deferred[Recorded]:
            answer = security.SignCertificateConfirmation(status=refused if new.state is RequestState.REFUSED else accepted)

            def recorded(requested: Requested) -> Recorded:
                def amend(other: security.SignCertificateConfirmation, frame: str) -> Deferred[None]:
                    return records.certificate_answer_amended(requested, frame, other.status is accepted, now_ms)

                return Recorded(answer, requested.sequence, amend)

            done = records.certificate_requested(_inbound(peer, call, _frame(call, answer), now_ms, reading), new)
            return done.addCallback(recorded)

        return self._judge_csr(peer.name, request.csr).addCallback(judged)

    def _journal(self, answer: Message) -> Method:
        def journal(peer: Peer, call: Call, request: Any, now_ms: int, reading: Reading) -> Deferred[Recorded]:
            done = self._storage.message_received(_inbound(peer, call, _frame(call, answer), now_ms, reading))
            return done.addCallback(self._plainly_recorded, answer)

        return journal

    def _plainly_recorded(self, sequence: int, answer: Message) -> Recorded:
        def amend(_: Any, frame: str) -> Deferred[None]:
            return self._storage.answer_amended(sequence, frame)

        return Recorded(answer, sequence, amend)


def status_of(request: core.StatusNotificationRequest, now_ms: int) -> Status:
    """The record of a StatusNotification that was received at `now_ms`."""
    return Status(
        request.connector_id,
        str(request.status),  # drivers take a while to find out what a member of an enum is
        str(request.error_code),
        _optional(request.info),
        _optional(request.vendor_id),
        _optional(request.vendor_error_code),
        instant_or(request.timestamp, now_ms),
    )


def _foreign_or(foreign: IdTagInfo | None, standing: Standing) -> IdTagInfo | None:
    """Somebody else's verdict, unless the tag has become known here meanwhile."""
    return None if standing.tag is not None or standing.expected else foreign


def _inbound(peer: Peer, call: Call, answer: str, now_ms: int, reading: Reading) -> Inbound:
    """The message as it came (G-12)."""
    frame = raw_frame(call)
    return Inbound(peer.name, peer.generation, now_ms, call.message_id, call.action, frame, answer, reading.quarantine)


def raw_frame(call: Call) -> str:
    """A CALL as it came, put together again from its parts, which are as they came."""
    frame = b"[2,%b,%b,%b]" % (call.wire_id, msgspec.json.encode(call.action), call.payload)
    return frame.decode("utf-8", "replace")


def _frame(call: Call, answer: Message) -> str:
    return call_result_frame(call.wire_id, encode(answer)).decode()


def _optional(value: Any) -> Any:
    """UNSET as None, which is how records write what is absent."""
    return None if value is UNSET else value


def _start_flags(request: core.StartTransactionRequest, started_ms: int, now_ms: int) -> tuple[str, ...]:
    """What cannot be right is stored as a flag and answered normally (T-6)."""
    flags = {"connectorZero": request.connector_id < 1, "meterNegative": request.meter_start < 0}
    return (*(flag for flag, raised in flags.items() if raised), *_time_flags(started_ms, now_ms))


def _time_flags(told_ms: int, now_ms: int) -> tuple[str, ...]:
    """What is wrong with the instant that a charger told (G-2)."""
    if told_ms == UNREADABLE_MS:
        return (UNREADABLE_FLAG,)
    return ("timeInFuture",) if told_ms > now_ms + CLOCK_TOLERANCE_MS else ()
