"""How calls of ours end: recorded, then told to who waits, on whatever node, then to the user's handlers.

Knows no HTTP and no connection. REQUIREMENTS F-8, S-5, S-6.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.bus import api as bus_api
from ocppd.bus.api import Bus
from ocppd.central.calls import Ended, PendingCall, ended_of
from ocppd.central.outbox import conclude
from ocppd.central.waiters import Waiters
from ocppd.clock import Clock, now_ms
from ocppd.errors import BusUnavailable, CallErrorReceived, StorageUnavailable
from ocppd.ocppj.frames import CallError, CallResult
from ocppd.storage.api import MessageRecords
from ocppd.storage.records import FINAL_STATES, CallEnd, Direction, DroppedCall, MessageRecord, MessageState
from ocppd.storage.records.follow_ups import FollowUp
from ocppd.v16.actions import ACTIONS
from ocppd.v16.codec import decode
from ocppd.v16.types import Message

log = Logger()

#: What storage has refused is tried again in portions: one that is still down is not asked for all of it.
RECORDED_AT_ONCE: Final = 100
#: Our message ids are UUID4 texts (F-5); an answer with another id was never ours.
OUR_ID_LENGTH: Final = 36
#: F-8: strays of one charger that wait while another one is looked up; further ones are dropped.
STRAYS_KEPT: Final = 10


@dataclass(frozen=True, slots=True)
class Hooks:
    """Who hears how calls ended, after it was recorded: the watchers, and the methods of the user's handlers."""

    ended: Callable[[str, str, Message, Ended], None]

    answered: Callable[[str, str, Message, Message], Any]
    refused: Callable[[str, Message, CallErrorReceived], Any]


class Ends:
    """The ends of all calls that this node accepted or sent."""

    def __init__(self, storage: MessageRecords, clock: Clock, hooks: Hooks, waiters: Waiters, bus: Bus) -> None:
        self._storage = storage
        self._clock = clock
        self._hooks = hooks
        self._waiters = waiters
        self._bus = bus
        #: Writes that storage has refused, to be tried again: what became of a call must not be lost.
        self._unrecorded: OrderedDict[str, Callable[[], Deferred[Any]]] = OrderedDict()
        self._recording = False
        #: Chargers of which a stray is being looked up, each with that one and those that come after it.
        self._looking_up: dict[str, deque[CallResult | CallError]] = {}

    # Recording

    def ended(self, call: PendingCall, ended: Ended) -> None:
        """Record the end, then tell who waits, then the handlers. Called by the connection."""
        counts, told = True, ended

        def withdrawn(was_queued: bool) -> None:
            nonlocal counts
            counts = was_queued
            if counts:
                self._tell_origin(call.message_id, call.origin)

        def written(follow_ups: tuple[FollowUp, ...] | None) -> None:
            nonlocal told
            if follow_ups is not None:
                told = replace(ended, follow_ups=follow_ups)
            self._tell_origin(call.message_id, call.origin)

        def write() -> Deferred[None]:
            if ended.unsent:
                return self._storage.call_withdrawn(ended.end).addCallback(withdrawn)
            return self._storage.call_ended(ended.end).addCallback(written)

        def tell(_: None) -> Any:
            if counts:
                self._waiters.tell(call.message_id, told)
                self._hooks.ended(call.charger, call.action, call.request, ended)
                return self._run_hook(call.charger, call.action, call.request, ended)
            return None

        recorded = self.record(call.message_id, write).addCallback(tell)
        recorded.addErrback(_log_bug, call.charger, f"what follows the answer to {call.action}")

    def record(self, key: str, write: Callable[[], Deferred[Any]], *, again: bool = False) -> Deferred[None]:
        """Write now, or as soon as storage takes it; fires after the first attempt. One write is kept for each `key`."""

        def refused(failure: Failure) -> None:
            failure.trap(StorageUnavailable)
            if not (self._unrecorded or again):
                log.warn("what became of calls cannot be recorded now, and will be: {reason}", reason=failure.getErrorMessage())
            self.keep(key, write)

        return write().addCallbacks(lambda _: None, refused)

    def keep(self, key: str, write: Callable[[], Deferred[Any]]) -> None:
        """Write with the next `record_again`. There is one at most for each call on its way, charger and connection."""
        self._unrecorded[key] = write

    def record_again(self) -> None:
        """Try what storage has refused, some at a time, until it refuses again."""
        if self._unrecorded and not self._recording:
            self._recording = True
            recording = Deferred.fromCoroutine(self._record_again())
            recording.addErrback(_log_bug, "the records are back", "what had to wait for them")

    async def _record_again(self) -> None:
        left, self._unrecorded = self._unrecorded, OrderedDict()
        try:
            while left and not self._unrecorded:
                some = [left.popitem(last=False) for _ in range(min(len(left), RECORDED_AT_ONCE))]
                for recorded in [self.record(key, write, again=True) for key, write in some]:
                    await recorded.addErrback(_log_bug, "the records are back", "what had to wait for them")
        finally:
            # What was kept meanwhile under the same key is newer.
            self._unrecorded = OrderedDict(left | self._unrecorded)
            self._recording = False

    # Telling

    def tell(self, message_id: str, origin: str | None, ended: Ended) -> None:
        """An end is recorded: tell who waits for it, here or on the node that accepted the call."""
        self._waiters.tell(message_id, ended)
        self._tell_origin(message_id, origin)

    def dropped(self, calls: Iterable[DroppedCall]) -> None:
        """Storage has ended these calls."""
        for call in calls:
            self.recorded(call.message_id)
            self._tell_origin(call.message_id, call.origin)

    def recorded(self, message_id: str) -> None:
        """The end of a call is in the records, or may be: look, if anybody here waits for it."""
        if self._waiters.concerns(message_id):
            read = self._storage.read_message(message_id).addCallback(self._found_end)
            read.addErrback(_log_unless_unavailable, message_id)

    def _found_end(self, record: MessageRecord | None) -> None:
        if record is not None and record.state in FINAL_STATES:
            self._waiters.tell(record.message_id, ended_of(record))

    def look_again(self) -> None:
        """Messages of other nodes may have been lost: look after every call that somebody waits for."""
        for message_id in list(self._waiters.ids()):
            self.recorded(message_id)

    def _tell_origin(self, message_id: str, origin: str | None) -> None:
        if origin not in (None, self._bus.node):
            told = self._bus.send(str(origin), bus_api.Ended(message_id))
            told.addErrback(lambda failure: failure.trap(BusUnavailable) and None)  # who waits there looks again
            told.addErrback(_log_bug, message_id, "telling of its end")

    def _run_hook(self, charger: str, action: str, request: Message, ended: Ended) -> Any:
        if isinstance(ended.result, CallErrorReceived):
            return self._hooks.refused(charger, request, ended.result)
        if isinstance(ended.result, Exception):
            return None
        return self._hooks.answered(charger, action, request, ended.result)

    # Late answers

    def answered_late(self, charger: str, result: CallResult | CallError, call: PendingCall | None) -> None:
        """An answer after the timeout, or to a call of an earlier connection: it still completes the message (F-8)."""
        if call is not None:
            ended = conclude(call, result, now_ms(self._clock))
            self.ended(call, replace(ended, end=replace(ended.end, late=True)))
        elif len(result.message_id) == OUR_ID_LENGTH:
            waiting = self._looking_up.get(charger)
            if waiting is None:
                self._looking_up[charger] = deque((result,))
                self._look_up(charger, result)
            elif len(waiting) <= STRAYS_KEPT and all(each.message_id != result.message_id for each in waiting):
                waiting.append(result)

    def _look_up(self, charger: str, result: CallResult | CallError) -> None:
        looked_up = self._storage.read_message(result.message_id)
        looked_up.addCallback(self._found_late, charger, result)
        looked_up.addErrback(_log_bug, charger, "a late answer")
        looked_up.addBoth(lambda _: self._looked_up(charger))

    def _looked_up(self, charger: str) -> None:
        waiting = self._looking_up[charger]
        waiting.popleft()
        if waiting:
            self._look_up(charger, waiting[0])
        else:
            del self._looking_up[charger]

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
        self.answered_late(charger, result, PendingCall.of_record(record, request))

    def not_accepted(self, call: PendingCall, reason: str) -> None:
        """The caller was told that a call could not be journaled; where its commit went through all the same, it ends."""
        end = CallEnd(call.message_id, MessageState.ERROR, now_ms(self._clock), detail=f"not accepted: {reason}")
        end_it: Callable[[CallEnd], Deferred[Any]] = self._storage.call_ended
        if call.sent_ms is None:
            end_it = self._storage.call_withdrawn
        self.keep(call.message_id, lambda: end_it(end))


def _log_unless_unavailable(failure: Failure, message_id: str) -> None:
    if not failure.check(StorageUnavailable):
        _log_bug(failure, message_id, "looking for its end")


def _log_bug(failure: Failure, subject: str, what: str) -> None:
    log.failure("{subject}: {what} failed", failure, subject=subject, what=what)
