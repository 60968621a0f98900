"""Our calls to one connected charger: one outstanding, the others behind it in order. REQUIREMENTS S-1, S-5, S-6.

A call is committed as `sent` before its first byte is written (decision 5 of docs/architecture.md). It knows neither
HTTP nor what becomes of an answer: ends are handed to `ended`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, Protocol

import msgspec
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.calls import Ended, PendingCall
from ocppd.central.redaction import changes_secret, redact_answer, without_texts
from ocppd.central.registration import may_send, may_wait, why_not
from ocppd.clock import Clock, DelayedCall, now_ms
from ocppd.errors import StorageUnavailable, Violation
from ocppd.ocppj.frames import CallError, CallResult, call_result_frame
from ocppd.ocppj.session import ABANDONED_KEPT, Session
from ocppd.storage.api import MessageRecords
from ocppd.v16.actions import ACTIONS
from ocppd.v16.codec import decode
from ocppd.v16.types import RegistrationStatus

log = Logger()

#: S-5: unanswered calls in a row, with nothing heard meanwhile, after which the link is probed.
TIMEOUTS_BEFORE_PROBE: Final = 3
#: No status of OCPP 1.6 is longer.
STATUS_LENGTH: Final = 50


class Line(Protocol):
    """What an outbox needs of its connection."""

    name: str
    generation: int
    call_timeout_s: float
    registration: RegistrationStatus | None

    @property
    def holds_calls(self) -> bool:
        """Nothing may be written to the charger at the moment (S-3: a boot is being answered), or any more."""

    def write_call(self, call: PendingCall) -> None:
        """Write the frame to the charger."""

    def probe(self) -> None:
        """Ping the charger; close the link where nothing comes back."""


class Outbox:
    """The calls of one connection, from queued to answered."""

    __slots__ = (
        *("_clock", "_closed", "_committed", "_current", "_ended", "_line", "_overdue", "_queue", "_requeue"),
        *("_session", "_stalled", "_storage", "_tell_stalled", "_timeouts", "_timer"),
    )

    def __init__(
        self,
        line: Line,
        session: Session,
        storage: MessageRecords,
        clock: Clock,
        ended: Callable[[PendingCall, Ended], None],
        requeue: Callable[[PendingCall, int], None],
        stalled: Callable[[str], None],
    ) -> None:
        self._line = line
        self._session = session
        self._storage = storage
        self._clock = clock
        self._ended = ended
        self._requeue = requeue
        self._tell_stalled = stalled
        self._queue: list[PendingCall] = []
        #: The call that has the slot: being committed, held back, or written and unanswered.
        self._current: PendingCall | None = None
        self._committed = False
        #: Written calls whose timeout has passed, for their late answers.
        self._overdue: dict[str, PendingCall] = {}
        self._timer: DelayedCall | None = None
        self._timeouts = 0
        #: Storage refused a call during this `pump`.
        self._stalled = False
        self._closed = False

    def __len__(self) -> int:
        """The calls that wait; the one that has the slot is not counted."""
        return len(self._queue)

    @property
    def empty(self) -> bool:
        """Whether there is no call at all."""
        return self._current is None and not self._queue

    @property
    def spent(self) -> bool:
        """Whether a new one would be as good: nothing is under way, and no late answer can come."""
        return self.empty and not (self._overdue or self._closed)

    @property
    def idle(self) -> bool:
        """Whether a new call goes out at once."""
        return self._current is None and not self._queue and not self._line.holds_calls and not self._closed

    def holds(self, message_id: str) -> bool:
        """Whether this call waits here or has the slot."""
        current = self._current is not None and self._current.message_id == message_id
        return current or any(call.message_id == message_id for call in self._queue)

    def hold(self, call: PendingCall) -> None:
        """Queue a call whose journal entry is, or is on its way as, `queued`, in its place; `pump` sends it."""
        place = len(self._queue)
        while place and self._queue[place - 1].sequence > call.sequence:
            place -= 1
        self._queue.insert(place, call)

    def take_over(self, calls: Iterable[PendingCall]) -> None:
        """Queue what an older connection of the charger had not written, in the order in which it was accepted."""
        missing = [call for call in calls if not self.holds(call.message_id)]
        if missing:
            self._queue = sorted([*missing, *self._queue], key=lambda call: call.sequence)

    def start(self, call: PendingCall) -> None:
        """Give the slot to a call that is being journaled as `sent`; only while `idle`. `sent` or `abandon` follows."""
        self._occupy(call)

    def abandon(self, call: PendingCall) -> None:
        """The call that `start` gave the slot to could not be journaled: it never was."""
        if self._current is call:
            self._vacate(call)

    def take_back(self, message_id: str) -> PendingCall | None:
        """Remove a call that still waits; None where it does not."""
        for call in self._queue:
            if call.message_id == message_id:
                self._queue.remove(call)
                return call
        return None

    def heard(self) -> None:
        """Something came from the charger."""
        self._timeouts = 0

    def pump(self) -> None:
        """Send what may be sent now. What waits for a better registration holds up nothing that may go before it: the trigger of
        the boot that it waits for."""
        self._stalled = False
        place = 0
        while self._current is None and not (self._line.holds_calls or self._closed or self._stalled):
            if place >= len(self._queue):
                return
            call = self._queue[place]
            at_ms = now_ms(self._clock)
            if call.expires_ms <= at_ms:
                del self._queue[place]
                self._ended(call, call.expired(at_ms))
            elif may_send(self._line.registration, call.request, call.action):
                del self._queue[place]
                self._occupy(call)
                call.sent_ms = at_ms
                sent = self._storage.call_sent(call.message_id, self._line.generation, at_ms)
                sent.addCallbacks(self._committed_as_sent, self._not_committed, callbackArgs=(call,), errbackArgs=(call,))
            elif may_wait(self._line.registration, call.request, call.action):
                place += 1
            else:
                del self._queue[place]
                self._ended(call, call.forbidden(why_not(self._line.registration, call.request), at_ms))

    def _occupy(self, call: PendingCall) -> None:
        self._current = call
        self._committed = False
        self._session.reserve(call.message_id)

    def _committed_as_sent(self, still_queued: bool, call: PendingCall) -> None:
        if still_queued:
            self.sent(call)
        elif self._current is call:  # an operator or the clock was faster
            self._vacate(call)

    def sent(self, call: PendingCall) -> None:
        """The commit as `sent` is on disk."""
        if self._current is call:
            self._committed = True
            self.write_held()

    def write_held(self) -> None:
        """Write the committed call that has the slot, unless calls are held back."""
        call = self._current
        if call is None or not self._committed or call.written or self._line.holds_calls:
            return
        call.written = True
        timeout_s = self._line.call_timeout_s
        self._timer = self._clock.callLater(timeout_s, self._timed_out, call, timeout_s)
        self._line.write_call(call)

    def _not_committed(self, failure: Failure, call: PendingCall) -> None:
        """Storage is down: the call stays first in the queue until the next `pump`."""
        failure.trap(StorageUnavailable)
        self._stalled = True
        self._tell_stalled(call.charger)
        if self._current is call:
            self._queue.insert(0, call)
            self._session.release(call.message_id)
            self._current = None

    def _vacate(self, call: PendingCall) -> None:
        self._session.release(call.message_id)
        self._current = None
        self.pump()

    def _timed_out(self, call: PendingCall, timeout_s: float) -> None:
        self._timer = None
        self._current = None
        self._session.timed_out(call.message_id)
        self._overdue[call.message_id] = call
        if len(self._overdue) > ABANDONED_KEPT:
            del self._overdue[next(iter(self._overdue))]
        self._timeouts += 1
        self._ended(call, call.timed_out(timeout_s, now_ms(self._clock)))
        if self._timeouts == TIMEOUTS_BEFORE_PROBE:
            self._line.probe()
        self.pump()

    def answered(self, result: CallResult | CallError) -> None:
        """The answer to the call that has the slot."""
        call = self._current
        assert call is not None and call.message_id == result.message_id, "the session pairs answers"
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._current = None
        self._ended(call, conclude(call, result, now_ms(self._clock)))
        self.pump()

    def answered_late(self, result: CallResult | CallError) -> PendingCall | None:
        """The call whose timeout passed before this answer; None where it was forgotten meanwhile."""
        return self._overdue.pop(result.message_id, None)

    def close(self) -> list[PendingCall]:
        """The connection is gone: end what cannot wait, and give back what waits for the next one, in order (S-6)."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = list(self._queue)
        self._queue.clear()
        current, self._current = self._current, None
        kept: list[PendingCall] = []
        at_ms = now_ms(self._clock)
        if current is not None and current.written:
            self._ended(current, current.lost(at_ms))
        elif current is not None:
            waiting.insert(0, current)
        for call in waiting:
            if not call.queues:
                self._ended(call, call.disconnected(at_ms))
                continue
            if call.sent_ms is not None:  # committed as `sent`, or refused when it was to be, which may have happened
                call.sent_ms = None
                self._requeue(call, self._line.generation)
            kept.append(call)
        return kept


def conclude(call: PendingCall, result: CallResult | CallError, at_ms: int) -> Ended:
    """How an answer ends a call. What breaks the definition is repaired where it can be (E-4)."""
    wire_id = msgspec.json.encode(result.message_id)
    if changes_secret(call.request):  # whatever the charger says may repeat it
        result = without_texts(result)
    if isinstance(result, CallError):
        parts = (result.code, result.description, result.details)
        frame = b"[4,%b,%b,%b,%b]" % (wire_id, *(msgspec.json.encode(part) for part in parts))
        answer = redact_answer(call.action, frame.decode("utf-8", "replace"))
        _, _, code, description, details = msgspec.json.decode(answer)
        return call.refused(replace(result, code=code, description=description, details=details), answer, at_ms)
    frame = call_result_frame(wire_id, result.payload)
    answer = redact_answer(call.action, frame.decode("utf-8", "replace"))
    try:
        confirmation, repairs = decode(ACTIONS[call.action].confirmation, result.payload, strict=False)
    except Violation as violation:
        return call.misanswered(str(violation), answer, _status_of(result.payload), at_ms)
    ended = call.confirmed(confirmation, answer, at_ms)
    return msgspec.structs.replace(ended, repairs=tuple(repair.rule for repair in repairs)) if repairs else ended


def _status_of(payload: bytes) -> str | None:
    """The status in an answer that is wrong otherwise (E-4)."""
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    status = value.get("status") if isinstance(value, dict) else None
    return status if isinstance(status, str) and len(status) <= STATUS_LENGTH else None
