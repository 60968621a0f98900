"""Calls to chargers, wherever they are connected: from accepted to sent. docs/http-api.md; REQUIREMENTS S-1 to S-7.

A call is valid and journaled before anybody hears that it was accepted. One to a charger that is not connected here is
journaled as `queued`, in one step with looking where the charger is; the node that holds it is told to look. How a call
ends is the business of `ends`. Knows no HTTP.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.bus.api import Bus, Look
from ocppd.central.acceptance import forbidden, most_waiting, refused
from ocppd.central.calls import DIRECT_TTL_S, QUEUED_TTL_S, Ended, PendingCall, action_of, ended_of, queues_offline
from ocppd.central.chargers import Chargers
from ocppd.central.connection import Connection
from ocppd.central.ends import Ends
from ocppd.central.registration import may_send
from ocppd.central.waiters import Waiters
from ocppd.clock import Clock, now_ms
from ocppd.errors import (
    BusUnavailable,
    CallFailed,
    HolderUnreachable,
    NotCancellable,
    NotPermitted,
    QueueFull,
    StorageUnavailable,
    UnknownMessage,
)
from ocppd.ocppj.frames import call_frame
from ocppd.storage.api import MessageRecords
from ocppd.storage.records import (
    FINAL_STATES,
    Acceptance,
    Holding,
    MessageRecord,
    MessageState,
    QueuedCall,
    Verdict,
)
from ocppd.v16.actions import ACTIONS
from ocppd.v16.codec import decode, encode, verify
from ocppd.v16.types import Message

log = Logger()

#: `?ttl=`: beyond this a wish is no command any more.
MAX_TTL_S: Final = 30 * 24 * 3600.0


def new_message_id() -> str:
    """A message id that no connection of any charger has seen (F-5)."""
    return str(uuid.uuid4())


class Commands:
    """Every call of ours, in the order it was accepted per charger."""

    def __init__(
        self,
        storage: MessageRecords,
        chargers: Chargers,
        clock: Clock,
        ends: Ends,
        waiters: Waiters,
        bus: Bus,
        *,
        new_id: Callable[[], str] = new_message_id,
        objection: Callable[[str, Message], Deferred[None] | None] = lambda charger, request: None,
    ) -> None:
        """`objection` fails for what may never be sent; None where it has nothing to look up."""
        self._storage = storage
        self._chargers = chargers
        self._clock = clock
        self._ends = ends
        self._waiters = waiters
        self._bus = bus
        self._new_id = new_id
        self._objection = objection

    # Accepting

    def submit(
        self,
        charger: str,
        request: Message,
        *,
        offline: bool | None = None,
        ttl_s: float | None = None,
        message_id: str | None = None,
        built: bool = False,
    ) -> Deferred[MessageRecord]:
        """Accept a call; fires when it is journaled, perhaps before it is sent.

        `offline`: whether it waits while the charger is away, by default as its action says. `ttl_s`: seconds until
        it expires unsent. `message_id`: one of `new_message_id`, that the caller has on record. `built`: `build` has made
        the request.

        Raises UnknownCharger, InvalidPayload, NotPermitted, QueueFull at once; fails with Conflict, NotConnected,
        NotPermitted, HolderUnreachable, QueueFull or StorageUnavailable later.
        """
        self._chargers.settings(charger)
        request = request if built else verify(request)
        objection = self._objection(charger, request)
        if objection is None:
            return self._submit(charger, request, offline, ttl_s, message_id)
        return objection.addCallback(lambda _: self._submit(charger, request, offline, ttl_s, message_id))

    def _submit(
        self, charger: str, request: Message, offline: bool | None, ttl_s: float | None, message_id: str | None
    ) -> Deferred[MessageRecord]:
        action = action_of(request)
        queues = queues_offline(request, action.name) if offline is None else offline
        connection = self._chargers.connection(charger)
        call = self._new_call(charger, request, action.name, queues, ttl_s, message_id)
        if connection is None:
            return self._enqueue(None, call)
        refusal = forbidden(call, connection.registration)
        if refusal is not None:
            raise refusal
        if connection.outbox.idle and may_send(connection.registration, request, action.name):
            return self._start(connection, call)
        if len(connection.outbox) >= most_waiting(self._chargers.queue_limit, request):
            raise QueueFull(charger, self._chargers.queue_limit)
        return self._enqueue(connection, call)

    def _new_call(
        self, charger: str, request: Message, action: str, queues: bool, ttl_s: float | None, message_id: str | None = None
    ) -> PendingCall:
        message_id = message_id or self._new_id()
        created_ms = now_ms(self._clock)
        ttl_s = min(ttl_s if ttl_s is not None else QUEUED_TTL_S if queues else DIRECT_TTL_S, MAX_TTL_S)
        frame = call_frame(message_id, action, encode(request)).decode()
        expires_ms = created_ms + int(ttl_s * 1000)
        return PendingCall(message_id, charger, action, request, frame, created_ms, expires_ms, queues, self._bus.node)

    def _start(self, connection: Connection, call: PendingCall) -> Deferred[MessageRecord]:
        connection.outbox.start(call)
        call.sent_ms = call.created_ms
        created = self._storage.call_created(call.journal_entry(), connection.generation)

        def journaled(sent: bool) -> MessageRecord:
            if sent:
                connection.outbox.sent(call)
                return call.record(MessageState.SENT)
            # Another node has accepted one before it: both, in their order, as that node tells or will tell us.
            connection.outbox.abandon(call)
            self.look(call.charger)
            return call.record(MessageState.QUEUED)

        def not_journaled(failure: Failure) -> Failure:
            connection.outbox.abandon(call)
            self._ends.not_accepted(call, failure.getErrorMessage())
            return failure

        return created.addCallbacks(journaled, not_journaled)

    def _enqueue(self, connection: Connection | None, call: PendingCall) -> Deferred[MessageRecord]:
        """Journal as `queued`; on the connection's queue from now on, so that no later call overtakes it."""
        limit, node, reachable = most_waiting(self._chargers.queue_limit, call.request), self._bus.node, self._bus.available
        here = connection is not None or self._chargers.is_connecting(call.charger)

        def refusal(holding: Holding) -> CallFailed | None:
            return None if connection is not None else refused(call, holding, node, here=here, reachable=reachable)

        if connection is not None:
            connection.outbox.hold(call)
        accepted = self._storage.call_accepted(call.journal_entry(), limit, lambda holding: refusal(holding) is None)

        def journaled(acceptance: Acceptance) -> MessageRecord | Deferred[MessageRecord]:
            if acceptance.verdict is Verdict.ACCEPTED:
                call.sequence = acceptance.sequence
                return self._hand_over(call, acceptance.holding.node)
            if connection is not None:
                connection.outbox.take_back(call.message_id)
            raise refusal(acceptance.holding) or QueueFull(call.charger, limit)

        def not_journaled(failure: Failure) -> Failure:
            if connection is not None:
                connection.outbox.take_back(call.message_id)
            self._ends.not_accepted(call, failure.getErrorMessage())
            return failure

        accepted.addErrback(not_journaled)
        return accepted.addCallback(journaled)

    def _hand_over(self, call: PendingCall, holder: str | None) -> MessageRecord | Deferred[MessageRecord]:
        """Get a journaled call to the connection that there is now, on whatever node."""
        record = call.record(MessageState.QUEUED)
        if holder in (None, self._bus.node):
            connection = self._chargers.connection(call.charger)
            if connection is not None:
                if not connection.outbox.holds(call.message_id):
                    connection.outbox.hold(call)
                connection.outbox.pump()
            else:
                self.look(call.charger)
            return record
        stale = self._chargers.connection(call.charger)
        if stale is not None:
            stale.outbox.take_back(call.message_id)
        self._waiters.expect(call.message_id)
        sent = self._bus.send(str(holder), Look(call.charger))
        sent.addErrback(_not_sent)
        sent.addCallback(lambda taken: record if taken or call.queues else self._withdraw(call, record))
        return sent.addBoth(self._told, call.message_id)

    def _told(self, result: Any, message_id: str) -> Any:
        self._waiters.asked(message_id)
        return result

    def _withdraw(self, call: PendingCall, record: MessageRecord) -> Deferred[MessageRecord]:
        """The holder could not be told of a call that does not wait: end it, unless the holder has it all the same."""
        unreachable = HolderUnreachable(call.charger, call.message_id)
        ended = call.unreachable(unreachable, now_ms(self._clock))

        def withdrawn(was_queued: bool) -> MessageRecord:
            if was_queued:
                raise unreachable
            return record

        def not_withdrawn(failure: Failure) -> Failure:
            self._ends.keep(call.message_id, lambda: self._storage.call_withdrawn(ended.end))
            return failure

        return self._storage.call_withdrawn(ended.end).addCallbacks(withdrawn, not_withdrawn)

    def look(self, charger: str) -> None:
        """Calls may wait in the records for this charger: give them to its connection, if it is here, in order."""
        if self._chargers.connection(charger) is None:
            self._chargers.look_when_connected(charger)
            return
        queued = self._storage.queued_calls(charger, now_ms(self._clock))
        queued.addCallback(self._found_queued, charger)
        queued.addErrback(lambda failure: self._not_found(failure, charger))

    def _found_queued(self, queued: list[QueuedCall], charger: str) -> None:
        connection = self._chargers.connection(charger)
        if connection is None:
            return
        for call in queued:
            if not connection.outbox.holds(call.message_id):
                self.hold_queued(connection, call)
        connection.outbox.pump()

    def hold_queued(self, connection: Connection, queued: QueuedCall) -> None:
        """Queue a call that waited in the records. One that this version cannot read goes on waiting, for another node."""
        try:
            connection.outbox.hold(self.restore(queued))
        except Exception:  # the boundary: written by another version; the charger and its other calls are not to suffer
            log.failure("{charger}: message {id} cannot be read", charger=queued.charger, id=queued.message_id)

    def _not_found(self, failure: Failure, charger: str) -> None:
        if failure.check(StorageUnavailable):
            self._ends.keep(f"look {charger}", lambda: maybeDeferred(self.look, charger))
        else:
            log.failure("{charger}: the calls that wait for it were not found", failure, charger=charger)

    def requeue(self, call: PendingCall, generation: int) -> None:
        """A call that was committed as `sent` by this generation was not written: it waits again."""

        def write() -> Deferred[None]:
            return self._storage.call_requeued(call.message_id, generation).addCallback(requeued)

        def requeued(holding: Holding) -> None:
            if holding.node == self._bus.node:
                self.look(call.charger)
            elif holding.node is not None:
                self._bus.send(holding.node, Look(call.charger)).addErrback(_not_sent)

        self._ends.record(call.message_id, write).addErrback(_log_bug, call.charger, call.action)

    def stalled(self, charger: str) -> None:
        """A charger's queue stands still because storage does: go on when that does. Called by the connection."""
        self._ends.keep(f"pump {charger}", lambda: maybeDeferred(self._pump, charger))

    def _pump(self, charger: str) -> None:
        connection = self._chargers.connection(charger)
        if connection is not None:
            connection.outbox.pump()

    def refuse(self, charger: str, request: Message, refusal: NotPermitted) -> Deferred[MessageRecord]:
        """Journal a call that is not permitted, as ended; for callers whose interface knows no refusal."""
        call = self._new_call(charger, verify(request), action_of(request).name, False, None, None)
        ended = call.forbidden(refusal.reason, call.created_ms)
        created = self._storage.call_created(call.journal_entry(), None)
        created.addCallback(lambda _: self._ends.record(call.message_id, lambda: self._storage.call_ended(ended.end)))
        record = msgspec.structs.replace(call.record(ended.end.state), detail=ended.end.detail)
        return created.addCallback(lambda _: record)

    # Waiting

    def call(self, charger: str, request: Message, *, offline: bool | None = None) -> Deferred[Message]:
        """Send `request` and wait for its confirmation.

        Fails with what `submit` raises, or with the CallFailed that ended it. Cancelling stops the waiting, not the call.
        """

        def accepted(record: MessageRecord) -> Deferred[Ended]:
            return self._waiters.wait(record.message_id)

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
        waiting: Deferred[Any] = self._waiters.wait(record.message_id).addTimeout(timeout_s, cast(Any, self._clock))

        def not_yet(failure: Failure) -> Deferred[MessageRecord]:
            failure.trap(TimeoutError)
            return self._read(record.message_id)

        return waiting.addCallbacks(lambda ended: ended.record(record), not_yet)

    def stop_waiting(self) -> None:
        """The daemon stops: who still waits sees the call as it is."""
        self._waiters.stop()

    def _read(self, message_id: str) -> Deferred[MessageRecord]:
        def found(record: MessageRecord | None) -> MessageRecord:
            if record is None:
                raise UnknownMessage(message_id)
            return record

        return self._storage.read_message(message_id).addCallback(found)

    # Taking back

    def cancel(self, message_id: str) -> Deferred[MessageRecord]:
        """Take back what is still queued. Fails with UnknownMessage, or NotCancellable where it is no longer queued."""

        def cancelled(record: MessageRecord | None) -> MessageRecord:
            if record is None:
                raise UnknownMessage(message_id)
            if record.state is not MessageState.CANCELLED:
                raise NotCancellable(record.charger, message_id, record.state)
            self._taken_back(record)
            return record

        return self._storage.call_cancelled(message_id, now_ms(self._clock)).addCallback(cancelled)

    def expire(self) -> Deferred[None]:
        """End what has waited beyond its time to live, offline chargers' calls included; try again what is not recorded."""
        self._ends.record_again()

        def expired(records: list[MessageRecord]) -> None:
            for record in records:
                self._taken_back(record)

        return self._storage.calls_expired(now_ms(self._clock)).addCallback(expired)

    def _taken_back(self, record: MessageRecord) -> None:
        """A call ended in the queue. Another node that holds it finds that out when it is about to send it."""
        connection = self._chargers.connection(record.charger)
        if connection is not None:
            connection.outbox.take_back(record.message_id)
        self._ends.tell(record.message_id, record.origin, ended_of(record))

    @staticmethod
    def restore(queued: QueuedCall) -> PendingCall:
        """A call that waited in storage, ready to be sent."""
        payload = msgspec.json.decode(queued.frame, type=tuple[int, str, str, msgspec.Raw])[3]
        request, _ = decode(ACTIONS[queued.action].request, bytes(payload), strict=False)
        return PendingCall(
            queued.message_id,
            queued.charger,
            queued.action,
            request,
            queued.frame,
            queued.created_ms,
            queued.expires_ms,
            queued.waits,
            queued.origin,
            queued.sequence,
        )


def _not_sent(failure: Failure) -> bool:
    failure.trap(BusUnavailable)
    return False


def _log_bug(failure: Failure, charger: str, action: str) -> None:
    log.failure("{charger}: {action} could not be queued again", failure, charger=charger, action=action)
