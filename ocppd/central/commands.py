"""Calls to chargers, wherever they are connected: from accepted to ended. docs/http-api.md; REQUIREMENTS S-1 to S-7.

A call is valid and journaled before anybody hears that it was accepted. Deferreds are kept per message id until the
call has ended; cancelling one stops the waiting, not the call. Knows no HTTP.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import msgspec
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.calls import DIRECT_TTL_S, QUEUED_TTL_S, Ended, PendingCall, action_of, queues_offline
from ocppd.central.chargers import Chargers
from ocppd.central.connection import Connection
from ocppd.central.outbox import conclude
from ocppd.central.redaction import redact_call
from ocppd.central.registration import may_send, may_wait, why_not
from ocppd.clock import Clock, now_ms
from ocppd.errors import (
    CallErrorReceived,
    NotCancellable,
    NotConnected,
    NotPermitted,
    QueueFull,
    StorageUnavailable,
    UnknownMessage,
)
from ocppd.ocppj.frames import CallError, CallResult, call_frame
from ocppd.storage.api import MessageRecords
from ocppd.storage.records import (
    FINAL_STATES,
    Direction,
    MessageRecord,
    MessageState,
    NewCall,
    QueuedCall,
)
from ocppd.v16.actions import ACTIONS
from ocppd.v16.codec import decode, encode, verify
from ocppd.v16.types import Message

log = Logger()

#: `?ttl=`: beyond this a wish is no command any more.
MAX_TTL_S: Final = 30 * 24 * 3600.0
#: Ends of calls that are kept for a storage that is down; by then it has been down for long.
UNRECORDED_KEPT: Final = 10_000
#: Our message ids are UUID4 texts (F-5); an answer with another id was never ours.
OUR_ID_LENGTH: Final = 36


def new_message_id() -> str:
    """A message id that no connection of any charger has seen (F-5)."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who hears how calls ended, after it was recorded: the methods of the user's handlers."""

    answered: Callable[[str, str, Message, Message], Any]
    refused: Callable[[str, Message, CallErrorReceived], Any]


class Commands:
    """Every call of ours, in the order it was accepted per charger."""

    def __init__(
        self,
        storage: MessageRecords,
        chargers: Chargers,
        clock: Clock,
        hooks: Hooks,
        *,
        new_id: Callable[[], str] = new_message_id,
    ) -> None:
        self._storage = storage
        self._chargers = chargers
        self._clock = clock
        self._hooks = hooks
        self._new_id = new_id
        self._waiting: dict[str, list[Deferred[Ended]]] = {}
        #: Writes about calls that storage has refused, to be tried again: what became of a call must not be lost.
        self._unrecorded: OrderedDict[str, Callable[[], Deferred[None]]] = OrderedDict()
        #: Strays that are being looked up: one per charger, the others are dropped (F-8).
        self._looking_up: set[str] = set()

    # Accepting

    def submit(
        self, charger: str, request: Message, *, offline: bool | None = None, ttl_s: float | None = None
    ) -> Deferred[MessageRecord]:
        """Accept a call; fires when it is journaled, perhaps before it is sent.

        `offline`: whether it waits while the charger is away, by default as its action says. `ttl_s`: seconds until
        it expires unsent. Raises UnknownCharger, InvalidPayload, NotConnected, NotPermitted, QueueFull at once; fails
        with QueueFull or StorageUnavailable later.
        """
        self._chargers.settings(charger)
        action = action_of(request)
        request = verify(request)
        queues = queues_offline(request, action.name) if offline is None else offline
        connection = self._chargers.connection(charger)
        self._permit(charger, connection, request, action.name, queues)
        call = self._new_call(charger, request, action.name, queues, ttl_s)
        if connection is not None and connection.outbox.idle and may_send(connection.registration, request, action.name):
            return self._start(connection, call)
        if connection is not None and len(connection.outbox) >= self._chargers.queue_limit:
            raise QueueFull(charger, self._chargers.queue_limit)
        return self._enqueue(connection, call)

    def _permit(self, charger: str, connection: Connection | None, request: Message, action: str, queues: bool) -> None:
        if connection is None:
            if not queues:
                raise NotConnected(charger)
            return
        registration = connection.registration
        waits = queues and may_wait(registration, request, action)
        if not waits and not may_send(registration, request, action):
            raise NotPermitted(charger, action, why_not(registration, request))

    def _new_call(self, charger: str, request: Message, action: str, queues: bool, ttl_s: float | None) -> PendingCall:
        message_id = self._new_id()
        created_ms = now_ms(self._clock)
        ttl_s = min(ttl_s if ttl_s is not None else QUEUED_TTL_S if queues else DIRECT_TTL_S, MAX_TTL_S)
        frame = call_frame(message_id, action, encode(request)).decode()
        return PendingCall(message_id, charger, action, request, frame, created_ms, created_ms + int(ttl_s * 1000), queues)

    def _start(self, connection: Connection, call: PendingCall) -> Deferred[MessageRecord]:
        connection.outbox.start(call)
        call.sent_ms = call.created_ms
        created = self._storage.call_created(_journal_entry(call), MessageState.SENT, self._chargers.queue_limit)

        def journaled(_: bool) -> MessageRecord:
            connection.outbox.sent(call)
            return _record(call, MessageState.SENT)

        def not_journaled(failure: Failure) -> Failure:
            connection.outbox.abandon(call)
            return failure

        return created.addCallbacks(journaled, not_journaled)

    def _enqueue(self, connection: Connection | None, call: PendingCall) -> Deferred[MessageRecord]:
        created = self._storage.call_created(_journal_entry(call), MessageState.QUEUED, self._chargers.queue_limit)
        if connection is not None:
            connection.outbox.hold(call)

        def journaled(accepted: bool) -> MessageRecord:
            if not accepted:
                if connection is not None:
                    connection.outbox.take_back(call.message_id)
                raise QueueFull(call.charger, self._chargers.queue_limit)
            self._deliver(call)
            return _record(call, MessageState.QUEUED)

        def not_journaled(failure: Failure) -> Failure:
            if connection is not None:
                connection.outbox.take_back(call.message_id)
            return failure

        return created.addCallbacks(journaled, not_journaled)

    def _deliver(self, call: PendingCall) -> None:
        """Give a journaled call to the connection that there is now."""
        connection = self._chargers.connection(call.charger)
        if connection is None:
            return
        if not connection.outbox.holds(call.message_id):
            connection.outbox.hold(call)
        connection.outbox.pump()

    def refuse(self, charger: str, request: Message, refusal: NotPermitted) -> Deferred[MessageRecord]:
        """Journal a call that is not permitted, as ended; for callers whose interface knows no refusal."""
        call = self._new_call(charger, verify(request), action_of(request).name, False, None)
        ended = call.forbidden(refusal.reason, call.created_ms)
        created = self._storage.call_created(_journal_entry(call), MessageState.SENT, self._chargers.queue_limit)
        created.addCallback(lambda _: self._storage.call_ended(ended.end))
        return created.addCallback(lambda _: replace(_record(call, ended.end.state), detail=ended.end.detail))

    # Waiting

    def call(self, charger: str, request: Message, *, offline: bool | None = None) -> Deferred[Message]:
        """Send `request` and wait for its confirmation.

        Fails with what `submit` raises, or with the CallFailed that ended it. Cancelling stops the waiting, not the call.
        """

        def accepted(record: MessageRecord) -> Deferred[Ended]:
            return self._ended_of(record.message_id)

        def ended(ended: Ended) -> Message:
            if isinstance(ended.result, Exception):
                raise ended.result
            return ended.result

        waiting: Deferred[Ended] = maybeDeferred(self.submit, charger, request, offline=offline).addCallback(accepted)
        return waiting.addCallback(ended)

    def wait(self, record: MessageRecord, timeout_s: float) -> Deferred[MessageRecord]:
        """The message once it has ended, or as it is after `timeout_s` seconds."""
        if record.state in FINAL_STATES or timeout_s <= 0:
            return succeed(record)
        waiting: Deferred[Any] = self._ended_of(record.message_id).addTimeout(timeout_s, cast(Any, self._clock))

        def not_yet(failure: Failure) -> Deferred[MessageRecord]:
            failure.trap(TimeoutError)
            return self._read(record.message_id)

        return waiting.addCallbacks(lambda ended: ended.record(record), not_yet)

    def stop_waiting(self) -> None:
        """The daemon stops: who still waits is told so by a TimeoutError, and sees the call as it is."""
        waiting, self._waiting = self._waiting, {}
        for each in [each for some in waiting.values() for each in some]:
            each.errback(TimeoutError(0, "the daemon stops"))

    def _ended_of(self, message_id: str) -> Deferred[Ended]:
        waiting: Deferred[Ended] = Deferred(lambda cancelled: self._stop_waiting(message_id, cancelled))
        self._waiting.setdefault(message_id, []).append(waiting)
        return waiting

    def _stop_waiting(self, message_id: str, cancelled: Deferred[Ended]) -> None:
        waiting = self._waiting.get(message_id, [])
        if cancelled in waiting:
            waiting.remove(cancelled)
        if not waiting:
            self._waiting.pop(message_id, None)

    def _read(self, message_id: str) -> Deferred[MessageRecord]:
        def found(record: MessageRecord | None) -> MessageRecord:
            if record is None:
                raise UnknownMessage(message_id)
            return record

        return self._storage.read_message(message_id).addCallback(found)

    # Ending

    def ended(self, call: PendingCall, ended: Ended) -> None:
        """Record the end, then tell who waits, then the handlers. Called by the connection."""
        recorded = self._record(call.message_id, lambda: self._storage.call_ended(ended.end))
        recorded.addCallback(lambda _: self._tell(call.message_id, ended))
        recorded.addCallback(lambda _: self._run_hook(call.charger, call.action, call.request, ended))
        recorded.addErrback(_log_bug, call.charger, call.action)

    def requeue(self, call: PendingCall) -> None:
        """A call that was committed as `sent` was not written: it waits again. Called by the connection."""
        self._record(call.message_id, lambda: self._storage.call_requeued(call.message_id))

    def _record(self, message_id: str, write: Callable[[], Deferred[None]], *, again: bool = False) -> Deferred[None]:
        """Write now, or as soon as storage takes it; fires after the first attempt."""

        def refused(failure: Failure) -> None:
            failure.trap(StorageUnavailable)
            if not (self._unrecorded or again):
                log.warn("the ends of calls cannot be recorded now, and will be: {reason}", reason=failure.getErrorMessage())
            self._unrecorded[message_id] = write
            if len(self._unrecorded) > UNRECORDED_KEPT:
                self._unrecorded.popitem(last=False)

        return write().addErrback(refused)

    def _record_again(self) -> None:
        unrecorded, self._unrecorded = self._unrecorded, OrderedDict()
        for message_id, write in unrecorded.items():
            self._record(message_id, write, again=True).addErrback(_log_bug, message_id, "what became of it")

    def _tell(self, message_id: str, ended: Ended) -> None:
        for waiting in self._waiting.pop(message_id, []):
            waiting.callback(ended)

    def _run_hook(self, charger: str, action: str, request: Message, ended: Ended) -> Any:
        if isinstance(ended.result, CallErrorReceived):
            return self._hooks.refused(charger, request, ended.result)
        if isinstance(ended.result, Exception):
            return None
        return self._hooks.answered(charger, action, request, ended.result)

    def answered_late(self, charger: str, result: CallResult | CallError, call: PendingCall | None) -> None:
        """An answer after the timeout, or to a call of an earlier connection: it still completes the message (F-8)."""
        if call is not None:
            ended = conclude(call, result, now_ms(self._clock))
            self.ended(call, replace(ended, end=replace(ended.end, late=True)))
        elif len(result.message_id) == OUR_ID_LENGTH and charger not in self._looking_up:
            self._looking_up.add(charger)
            looked_up = self._storage.read_message(result.message_id)
            looked_up.addCallback(self._found_late, charger, result)
            looked_up.addErrback(_log_bug, charger, "a late answer")
            looked_up.addBoth(lambda _: self._looking_up.discard(charger))

    def _found_late(self, record: MessageRecord | None, charger: str, result: CallResult | CallError) -> None:
        if (
            record is None
            or record.charger != charger
            or record.direction is not Direction.TO_CHARGER
            # `sent`: its connection is gone, and that it is unknown now is about to be recorded.
            or record.state not in (MessageState.TIMEOUT, MessageState.UNKNOWN, MessageState.SENT)
        ):
            log.debug("{charger}: ignored an answer to no call of ours", charger=charger)
            return
        payload = msgspec.json.decode(record.frame, type=tuple[int, str, str, msgspec.Raw])[3]
        request, _ = decode(ACTIONS[record.action].request, bytes(payload), strict=False)
        self.answered_late(charger, result, _pending(record, request))

    def cancel(self, message_id: str) -> Deferred[MessageRecord]:
        """Take back what is still queued. Fails with UnknownMessage, or NotCancellable where it is no longer queued."""

        def cancelled(record: MessageRecord | None) -> MessageRecord:
            if record is None:
                raise UnknownMessage(message_id)
            if record.state is not MessageState.CANCELLED:
                raise NotCancellable(record.charger, message_id, record.state)
            connection = self._chargers.connection(record.charger)
            if connection is not None:
                connection.outbox.take_back(message_id)
            self._tell(message_id, _pending(record, None).cancelled(now_ms(self._clock)))
            return record

        return self._storage.call_cancelled(message_id, now_ms(self._clock)).addCallback(cancelled)

    def expire(self) -> Deferred[None]:
        """End what has waited beyond its time to live, offline chargers' calls included; try again what is not recorded."""
        self._record_again()

        def expired(records: list[MessageRecord]) -> None:
            for record in records:
                connection = self._chargers.connection(record.charger)
                if connection is not None:
                    connection.outbox.take_back(record.message_id)
                self._tell(record.message_id, _pending(record, None).expired(now_ms(self._clock)))

        return self._storage.calls_expired(now_ms(self._clock)).addCallback(expired)

    def restore(self, queued: QueuedCall) -> PendingCall:
        """A call that waited in storage, ready to be sent."""
        payload = msgspec.json.decode(queued.frame, type=tuple[int, str, str, msgspec.Raw])[3]
        request, _ = decode(ACTIONS[queued.action].request, bytes(payload), strict=False)
        return PendingCall(
            queued.message_id, queued.charger, queued.action, request, queued.frame, queued.created_ms, queued.expires_ms, True
        )


def _journal_entry(call: PendingCall) -> NewCall:
    redacted = redact_call(call.action, call.frame)
    return NewCall(call.message_id, call.charger, call.action, call.frame, redacted, call.created_ms, call.expires_ms)


def _record(call: PendingCall, state: MessageState) -> MessageRecord:
    return MessageRecord(
        sequence=0,
        message_id=call.message_id,
        charger=call.charger,
        direction=Direction.TO_CHARGER,
        action=call.action,
        state=state,
        created_ms=call.created_ms,
        frame=redact_call(call.action, call.frame),
        sent_ms=call.created_ms if state is MessageState.SENT else None,
        expires_ms=call.expires_ms,
    )


def _pending(record: MessageRecord, request: Message | None) -> PendingCall:
    empty = Message() if request is None else request
    return PendingCall(
        record.message_id, record.charger, record.action, empty, record.frame, record.created_ms, record.expires_ms or 0, False
    )


def _log_bug(failure: Failure, charger: str, action: str) -> None:
    log.failure("{charger}: after the answer to {action}", failure, charger=charger, action=action)
