"""A CALL of a charger: registration → payload → record → handler → answer or CALLERROR. REQUIREMENTS 1.7, 2.2.

Every way through here ends in one answer frame, at once or later, and never in an exception. What a charger may repeat
without end (E-1) is answered CALLERROR only where storage or a handler failed, or the payload cannot be read at all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.conformance import Conformance, Subject
from ocppd.central.handler_names import REQUEST_SUFFIX, is_overridden
from ocppd.central.handlers import CentralSystemHandlers, Charger
from ocppd.central.recorder import AS_SENT, Peer, Recorded, Recorder
from ocppd.central.registration import may_receive
from ocppd.central.vendors import VendorMessages
from ocppd.central.watching import Watchers
from ocppd.clock import Clock, DelayedCall, now_ms
from ocppd.errors import ErrorCode, StorageUnavailable, Violation
from ocppd.ocppj.frames import Call, call_error_frame, call_result_frame, shown_action
from ocppd.v16 import core
from ocppd.v16.actions import ACTIONS, Action
from ocppd.v16.codec import decode, encode, verify
from ocppd.v16.timestamps import format_timestamp
from ocppd.v16.types import DataTransferStatus, IdTagInfo, Message, RegistrationStatus

log = Logger()

#: S-8: how long a handler may take over a recorded message before it is answered as recorded.
RECORDED_DEADLINE_S: Final = 5.0
#: How long a handler may take over any other message before it is answered InternalError.
DEADLINE_S: Final = 20.0


class DeadlinePassed(Exception):
    """A user's handler took too long. Not TimeoutError: that one a handler may raise itself."""


class Caller(Peer, Charger, Subject, Protocol):
    """The connection a CALL came by."""

    strict: bool
    registration: RegistrationStatus | None
    asked_for: frozenset[str]

    def is_news(self, what: str) -> bool:
        """Whether the log has not had this of the charger's connection yet."""


#: Hears of messages that are not journaled: (charger, time of receipt, call, answer frame).
Observer = Callable[[str, int, Call, bytes], None]
#: Hears of verdicts on boots: (charger, sequence of the boot, verdict).
Registrar = Callable[[str, int, RegistrationStatus], None]


#: Gives the verdict of Authorize: (charger, id tag, time of receipt). Fails with StorageUnavailable.
Authorizer = Callable[[str, str, int], Deferred[IdTagInfo]]


class Dispatch:
    """Answers the calls of chargers."""

    def __init__(
        self,
        recorder: Recorder,
        handlers: CentralSystemHandlers,
        authorize: Authorizer,
        clock: Clock,
        observe: Observer,
        registered: Registrar,
        watchers: Watchers,
        conformance: Conformance,
    ) -> None:
        self._recorder = recorder
        self._authorize = authorize
        self._clock = clock
        self._observe = observe
        self._registered = registered
        self._watchers = watchers
        self._conformance = conformance
        #: Handlers that a user wrote; where ours would only give back the answer nothing is called.
        self._handlers: dict[str, Callable[[Charger, Any, Any], Any]] = {}
        for action in ACTIONS.values():
            name = f"{action.name}{REQUEST_SUFFIX}"
            if action.from_charger and is_overridden(handlers, name):
                self._handlers[action.name] = getattr(handlers, name)
        self._vendors = VendorMessages(handlers)
        self._vendors_are_theirs = "DataTransfer" in self._handlers
        if self._vendors:
            self._handlers["DataTransfer"] = self._vendors.before(self._handlers.get("DataTransfer"))
        self._unrecorded: dict[str, Callable[[Caller, Any, int], Message | Deferred[Message]]] = {
            "Heartbeat": self._heartbeat,
            "Authorize": self._authorized,
            "DataTransfer": self._data_transfer,
        }

    @property
    def handled(self) -> frozenset[str]:
        """Actions that a user's handler has a say in."""
        return frozenset(self._handlers)

    def __call__(self, caller: Caller, call: Call) -> bytes | Deferred[bytes]:
        """The answer frame to `call`."""
        received_ms = now_ms(self._clock)
        try:
            action = self._permitted_action(caller, call)
            request, repairs = decode(action.request, call.payload, strict=caller.strict, off=caller.repairs_off)
        except Violation as violation:
            return self._refuse(caller, call, violation, received_ms)
        if repairs:
            note = log.info if caller.is_news(f"read {action.name}") else log.debug
            note(
                "{charger}: {action} was read kindly: {repairs}",
                charger=caller.name, action=call.action, repairs=", ".join(sorted({repair.rule for repair in repairs})),
            )  # fmt: skip
        record = self._recorder.methods.get(action.name)
        reading = AS_SENT
        if repairs or (caller.looks and record is not None):
            reading = self._conformance.read(caller, call, action, repairs, received_ms)
        if record is None:
            return self._answer_unrecorded(caller, call, request, received_ms)
        recorded = record(caller, call, request, received_ms, reading)
        return recorded.addCallbacks(
            self._answer_recorded, self.not_recorded, callbackArgs=(caller, call, request), errbackArgs=(caller, call)
        )

    def _permitted_action(self, caller: Caller, call: Call) -> Action:
        action = ACTIONS.get(call.action)
        if action is None:
            raise Violation(ErrorCode.NOT_IMPLEMENTED, "", "no action of OCPP 1.6 has this name")
        if not action.from_charger:
            raise Violation(ErrorCode.NOT_SUPPORTED, "", f"{action.name} is sent by a central system, not to it")
        permitted = may_receive(caller.registration, action.name, caller.asked_for)
        if not permitted and not self._recorder.accepts_without_boot(caller, now_ms(self._clock)):
            state = "not accepted yet: send BootNotification first" if caller.registration is None else str(caller.registration)
            raise Violation(ErrorCode.SECURITY_ERROR, "", f"the registration of this charger is {state}")
        return action

    def _refuse(self, caller: Caller, call: Call, violation: Violation, received_ms: int) -> bytes | Deferred[bytes]:
        """Answer CALLERROR; what should have been recorded is at least journaled (G-12)."""
        frame = _error(call, violation)
        if violation.code is ErrorCode.SECURITY_ERROR and caller.registration is None:
            self._watchers.refused(caller, call.action)
        reading = self._conformance.refusal(caller, call, violation, received_ms)
        note = log.info if caller.is_news(f"{violation.code} to {call.action}") else log.debug
        note(
            "{charger}: {action} answered {code}: {reason}",
            charger=caller.name, action=shown_action(call.action), code=str(violation.code), reason=str(violation),
        )  # fmt: skip
        if call.action not in self._recorder.methods:
            self._observe(caller.name, received_ms, call, frame)
            return frame
        journaled = self._recorder.refused(caller, call, frame, received_ms, reading)
        return journaled.addCallbacks(lambda _: frame, self.not_recorded, errbackArgs=(caller, call))

    # What is not recorded

    def _heartbeat(self, _: Caller, __: core.HeartbeatRequest, received_ms: int) -> Message:
        return core.HeartbeatConfirmation(current_time=format_timestamp(received_ms))

    def _authorized(self, caller: Caller, request: core.AuthorizeRequest, received_ms: int) -> Deferred[Message]:
        answer = self._authorize(caller.name, request.id_tag, received_ms)
        return answer.addCallback(lambda verdict: core.AuthorizeConfirmation(id_tag_info=verdict))

    def _data_transfer(self, caller: Caller, request: core.DataTransferRequest, _: int) -> Message:
        answer = self._vendors.answer(request)
        if answer.status is not DataTransferStatus.ACCEPTED and not self._vendors_are_theirs:
            self._conformance.note(caller.name, "unknown-vendor", f"{request.vendor_id}: {answer.status}")
        return answer

    def _answer_unrecorded(self, caller: Caller, call: Call, request: Message, received_ms: int) -> bytes | Deferred[bytes]:
        answer = self._unrecorded[call.action](caller, request, received_ms)
        if isinstance(answer, Deferred):
            answered: Deferred[Any] = answer.addCallback(self._handled, caller, call, request, received_ms)
            return answered.addErrback(self._unanswered, caller, call, received_ms)
        return self._handled(answer, caller, call, request, received_ms)

    def _handled(
        self, answer: Message, caller: Caller, call: Call, request: Message, received_ms: int
    ) -> bytes | Deferred[bytes]:
        self._watchers.received(caller, call.action, request, answer)
        if call.action not in self._handlers:
            return self._observed(call_result_frame(call.wire_id, encode(answer)), caller.name, received_ms, call)
        handled: Deferred[Any] = self._handle(caller, call, request, answer, DEADLINE_S)
        handled.addCallback(lambda other: call_result_frame(call.wire_id, encode(other)))
        handled.addErrback(self._handler_failed, caller, call)
        return handled.addCallback(self._observed, caller.name, received_ms, call)

    def _unanswered(self, failure: Failure, caller: Caller, call: Call, received_ms: int) -> bytes:
        """What the answer depends on could not be read."""
        if not failure.check(StorageUnavailable):
            log.failure("{charger}: {action} could not be answered", failure, charger=caller.name, action=call.action)
        frame = call_error_frame(call.wire_id, ErrorCode.INTERNAL_ERROR, "the records cannot be read, please repeat it")
        return self._observed(frame, caller.name, received_ms, call)

    def _observed(self, frame: bytes, charger: str, received_ms: int, call: Call) -> bytes:
        self._observe(charger, received_ms, call, frame)
        return frame

    # What is recorded

    def _answer_recorded(self, recorded: Recorded, caller: Caller, call: Call, request: Message) -> bytes | Deferred[bytes]:
        if call.action not in self._handlers:
            return self._given(recorded.answer, recorded, caller, call, request)
        handled: Deferred[Any] = self._handle(caller, call, request, recorded.answer, RECORDED_DEADLINE_S)
        handled.addErrback(self._late_handler, recorded, caller, call)
        handled.addCallback(self._amend, recorded, caller, call, request)
        return handled.addErrback(self._recorded_handler_failed, recorded, caller, call)

    def _given(self, answer: Message, recorded: Recorded, caller: Caller, call: Call, request: Message) -> bytes:
        """The frame of an answer that is on disk, after which what it says holds."""
        if isinstance(answer, core.BootNotificationConfirmation):
            self._registered(caller.name, recorded.sequence, answer.status)
            log.info("{charger}: booted, {status}", charger=caller.name, status=str(answer.status))
        self._watchers.received(caller, call.action, request, answer)
        return call_result_frame(call.wire_id, encode(answer))

    def _amend(
        self, answer: Message, recorded: Recorded, caller: Caller, call: Call, request: Message
    ) -> bytes | Deferred[bytes]:
        if answer == recorded.answer and recorded.settled:
            return self._given(answer, recorded, caller, call, request)
        frame = call_result_frame(call.wire_id, encode(answer)).decode()
        return recorded.amend(answer, frame).addCallback(lambda _: self._given(answer, recorded, caller, call, request))

    def _recorded_handler_failed(self, failure: Failure, recorded: Recorded, caller: Caller, call: Call) -> Deferred[bytes]:
        frame = self._handler_failed(failure, caller, call)
        amended: Deferred[Any] = self._recorder.failed(recorded, frame)
        return amended.addCallbacks(lambda _: frame, lambda unwritten: self.not_recorded(unwritten, caller, call))

    def _late_handler(self, failure: Failure, recorded: Recorded, caller: Caller, call: Call) -> Message | Failure:
        failure.trap(DeadlinePassed)
        if not recorded.settled:  # nobody but the handler lets a charger in
            return failure
        log.error(
            "{charger}: the handler of {action} took longer than {seconds} s; answered as recorded",
            charger=caller.name, action=call.action, seconds=RECORDED_DEADLINE_S,
        )  # fmt: skip
        return recorded.answer

    def not_recorded(self, failure: Failure, caller: Caller, call: Call) -> bytes:
        """Nothing is on disk: InternalError, so that the charger repeats it (E-1)."""
        if failure.check(StorageUnavailable):  # the writer tells of the outage itself
            note = log.error if caller.is_news("not recorded") else log.debug
            note(
                "{charger}: {action} could not be recorded: {reason}",
                charger=caller.name,
                action=call.action,
                reason=failure.getErrorMessage(),
            )
        else:
            log.failure("{charger}: {action} could not be recorded", failure, charger=caller.name, action=call.action)
        return call_error_frame(call.wire_id, ErrorCode.INTERNAL_ERROR, "the message could not be recorded, please repeat it")

    # Users' handlers

    def _handle(self, caller: Caller, call: Call, request: Message, answer: Message, deadline_s: float) -> Deferred[Message]:
        """What the handler answers: a valid confirmation of the right type, or a failure."""
        handled = in_time(as_deferred(self._handlers[call.action], caller, request, answer), deadline_s, self._clock)

        def checked(other: Any) -> Message:
            if other is None:
                return answer
            if type(other) is not type(answer):
                raise TypeError(f"{call.action}{REQUEST_SUFFIX} returned {type(other).__name__}, not {type(answer).__name__}")
            return verify(_with_interval(other, answer))

        return handled.addCallback(checked)

    def _handler_failed(self, failure: Failure, caller: Caller, call: Call) -> bytes:
        if isinstance(failure.value, Violation) and failure.value.code in set(ErrorCode):
            return _error(call, failure.value)
        if failure.check(StorageUnavailable):
            return self.not_recorded(failure, caller, call)
        log.failure("{charger}: the handler of {action} failed", failure, charger=caller.name, action=call.action)
        return call_error_frame(call.wire_id, ErrorCode.INTERNAL_ERROR, "the message could not be processed")


def as_deferred(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """Call a handler that may be a plain function, return a Deferred, or be `async def`."""
    try:
        result = function(*arguments)
    except Exception:  # the boundary to users' code: it is logged where the Deferred ends
        return _failed(Failure())
    if isinstance(result, Deferred):
        return result
    if inspect.iscoroutine(result):
        return Deferred.fromCoroutine(result)
    done: Deferred[Any] = Deferred()
    done.callback(result)
    return done


def in_time(handled: Deferred[Any], deadline_s: float, clock: Clock) -> Deferred[Any]:
    """What a handler gives, or DeadlinePassed after `deadline_s` seconds, whatever the handler makes of being cancelled."""
    given: Deferred[Any] = Deferred()
    timer: DelayedCall | None = None

    def done(result: Any) -> None:
        if given.called:  # nobody waits for it any more
            return
        if timer is not None:
            timer.cancel()
        given.callback(result)

    def passed() -> None:
        given.errback(Failure(DeadlinePassed()))
        handled.cancel()

    handled.addBoth(done)
    if not given.called:
        timer = clock.callLater(deadline_s, passed)
    return given


def _with_interval(other: Message, ours: Message) -> Message:
    """A handler's confirmation; an accepted charger is never told an interval of nothing (B-1)."""
    if (
        isinstance(other, core.BootNotificationConfirmation)
        and isinstance(ours, core.BootNotificationConfirmation)
        and other.status is RegistrationStatus.ACCEPTED
        and other.interval < 1
    ):
        return msgspec.structs.replace(other, interval=ours.interval)
    return other


def _failed(failure: Failure) -> Deferred[Any]:
    failed: Deferred[Any] = Deferred()
    failed.errback(failure)
    return failed


def _error(call: Call, violation: Violation) -> bytes:
    details = {"path": violation.pointer, "reason": violation.reason} if violation.pointer else None
    return call_error_frame(call.wire_id, violation.code, violation.reason, details)
