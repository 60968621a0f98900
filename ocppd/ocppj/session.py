"""One end of an OCPP-J session: pairing, one outstanding call, repeats. OCPP-J 1.6 sections 4.1 and 4.2.

Sans I/O: bytes go in, events come out; no clock (the caller hands `now`, seconds of any steady clock), no Deferred,
no logging. It does not know which end it is, nor any action.

Calls of the peer are given out one at a time in order of arrival (REQUIREMENTS S-4): the next one comes with the
events of `answered()`. Our own calls: one outstanding (S-1); what waits behind it waits outside, where it outlives
the connection.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

import msgspec

from ocppd.errors import ErrorCode
from ocppd.ocppj.frames import Call, CallError, CallResult, Malformed, Unreadable, call_error_frame, is_result, read

#: F-10: unreadable frames in a row before the connection is closed with 1002.
UNREADABLE_LIMIT: Final = 20
#: S-4: calls of the peer that may wait while one is in progress, before the connection is closed with 1008.
INBOUND_LIMIT: Final = 100
#: The same in bytes: two messages of the greatest size, so that no peer fills the memory with what waits.
INBOUND_BYTES_LIMIT: Final = 8 * 1024 * 1024
#: F-6: answers that are kept to be repeated, and for how long.
REPEATS_KEPT: Final = 100
REPEATS_KEPT_S: Final = 600.0
#: The same of all sessions that share a memory, at 400 bytes each; and how many of one session are kept whatever the others do.
REPEATS_OF_ALL: Final = 100_000
LEAST_REPEATS: Final = 10
#: A part of them more may be kept until the oldest ones are forgotten, all at once.
REPEATS_SLACK: Final = 0.25
#: F-8: timed-out calls whose late answer is still recognised on this connection.
ABANDONED_KEPT: Final = 100

PROTOCOL_ERROR_CLOSE: Final = 1002
POLICY_VIOLATION_CLOSE: Final = 1008


@dataclass(frozen=True, slots=True)
class CallReceived:
    """Run this call, then hand its answer to `answered()`."""

    call: Call


@dataclass(frozen=True, slots=True)
class Send:
    """Write this frame to the peer."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame, `data`, that could be answered only with an error; `frame` is that answer, to be written to the peer."""

    frame: bytes
    reason: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a call of ours; `late` after its timeout."""

    result: CallResult | CallError
    late: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """A CALLRESULT or CALLERROR to no call of this connection. Never answered (F-8)."""

    result: CallResult | CallError


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame, `data`, that has no effect."""

    reason: str
    kind: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Odd:
    """The peer does what it should not, and it does no harm."""

    kind: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection with this code (RFC 6455 section 7.4)."""

    code: int
    reason: str


Event = CallReceived | Send | Refused | Answered | Stray | Ignored | Odd | Close


def _digest(call: Call) -> int:
    return hash((call.wire_id, call.action, call.payload))  # the answer has the id as it came: 1 is not "1"


class _Repeatable(msgspec.Struct, gc=False):
    digest: int
    at: float
    answer: bytes | None = None


class Memory:
    """How many answers a session keeps to be repeated: fewer where many share it. A repeat nearly always comes at once."""

    __slots__ = ("kept", "most")

    def __init__(self) -> None:
        self.share(1)

    def share(self, sessions: int) -> None:
        """So many sessions share it now."""
        self.kept = max(LEAST_REPEATS, min(REPEATS_KEPT, REPEATS_OF_ALL // max(1, sessions)))
        self.most = int(self.kept * (1 + REPEATS_SLACK))


class Session:
    """The state of one connection. Every method returns at once; `receive` raises nothing, whatever the bytes."""

    __slots__ = (
        *("_abandoned", "_forget_at", "_in_progress", "_memory", "_outstanding", "_repeatables"),
        *("_unreadable", "_waiting", "_waiting_bytes", "current", "strict"),
    )

    def __init__(self, *, strict: bool = False, memory: Memory | None = None) -> None:
        """`memory` is what it shares with others."""
        self.strict = strict
        self._memory = Memory() if memory is None else memory
        #: The call of the peer that is in progress, and what is known of it. To be read only.
        self.current: Call | None = None
        self._in_progress: _Repeatable | None = None
        #: Made when they are needed, as most connections never do.
        self._waiting: deque[tuple[Call, _Repeatable]] | None = None
        self._waiting_bytes = 0
        #: Calls of the peer by their id, the oldest first.
        self._repeatables: dict[str, _Repeatable] = {}
        #: When the oldest of them is to be forgotten, at the latest.
        self._forget_at = 0.0
        self._outstanding: str | None = None
        self._abandoned: OrderedDict[str, None] | None = None
        self._unreadable = 0

    # The peer's calls

    def receive(self, data: bytes, now: float) -> list[Event]:
        """What one text message means."""
        if not data:
            return [Ignored("an empty message", "frame-empty")]
        try:
            frame = read(data, strict=self.strict)
        except Unreadable as unreadable:
            return self._not_readable(unreadable, data)
        except Malformed as malformed:
            self._unreadable = 0
            answer = call_error_frame(malformed.wire_id, ErrorCode.FORMATION_VIOLATION, malformed.reason)
            return [Refused(answer, malformed.reason, data)]
        if isinstance(frame, Call):
            return self.called(frame, now)
        self._unreadable = 0
        return [self._responded(frame)]

    def _not_readable(self, unreadable: Unreadable, data: bytes) -> list[Event]:
        kind = "frame-unreadable" if unreadable.counts else "frame-type"
        events: list[Event] = [Ignored(unreadable.reason, kind, data)]
        if unreadable.counts:
            self._unreadable += 1
            if self._unreadable == UNREADABLE_LIMIT:
                events.append(Close(PROTOCOL_ERROR_CLOSE, f"{UNREADABLE_LIMIT} unreadable messages in a row"))
        return events

    def take(self, call: Call, now: float) -> bool:
        """Take a call that can be run at once, with none in progress and none known by its id; False where it cannot be.

        The short way of `called`; `finish` or `answered` follows.
        """
        if self.current is not None or call.message_id in self._repeatables:
            return False
        self._unreadable = 0
        if now >= self._forget_at:
            self._forget_old(now)
        self._in_progress = self._repeatables[call.message_id] = _Repeatable(_digest(call), now)
        self.current = call
        return True

    def settle(self, call: Call, frame: bytes, now: float) -> bool:
        """Take a call that can be run at once, and is answered at once with this CALLRESULT; False where it cannot be.

        `take` and `finish` in one.
        """
        repeatables = self._repeatables
        if self.current is not None or call.message_id in repeatables:
            return False
        self._unreadable = 0
        repeatables[call.message_id] = _Repeatable(_digest(call), now, frame)
        if now >= self._forget_at or len(repeatables) > self._memory.most:
            self._forget_old(now)
        return True

    def called(self, call: Call, now: float) -> list[Event]:
        """What a call of the peer means."""
        self._unreadable = 0
        digest = _digest(call)
        known = self._repeatables.get(call.message_id)
        if known is not None and known.digest == digest and now - known.at <= REPEATS_KEPT_S:
            if known.answer is None:
                return [Ignored("a repeat of a call that is in progress", "message-id-repeated")]
            return [Send(known.answer), Odd("message-id-repeated")]
        if self.current is not None and not self._may_wait(call):
            return [Close(POLICY_VIOLATION_CLOSE, f"more than {INBOUND_LIMIT} calls without waiting for an answer")]
        reused = known is not None and known.digest != digest
        odd: list[Event] = [Odd("message-id-reused")] if reused else []
        self._repeatables.pop(call.message_id, None)
        repeatable = self._repeatables[call.message_id] = _Repeatable(digest, now)
        if self.current is not None:
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append((call, repeatable))
            self._waiting_bytes += len(call.payload)
            return [*odd, Odd("calls-overlap")]
        self.current, self._in_progress = call, repeatable
        return [CallReceived(call), *odd]

    def _may_wait(self, call: Call) -> bool:
        waiting = 0 if self._waiting is None else len(self._waiting)
        return waiting < INBOUND_LIMIT and self._waiting_bytes + len(call.payload) <= INBOUND_BYTES_LIMIT

    def answered(self, call: Call, frame: bytes, now: float) -> list[Event]:
        """The answer to the call in progress: to be sent, then perhaps the next call.

        A CALLRESULT is kept to be repeated. A CALLERROR is not: the charger repeats the call because it failed (E-1).
        """
        if self._in_progress is not None:
            self._in_progress.at = now
        following = self.finish(call, frame)
        return [Send(frame)] if following is None else [Send(frame), CallReceived(following)]

    def finish(self, call: Call, frame: bytes) -> Call | None:
        """The same, for who sends the answer himself, as soon as it has come; gives the call that comes next."""
        known = self._in_progress
        if known is not None:
            if is_result(frame):
                known.answer = frame
            elif self._repeatables.get(call.message_id) is known:
                del self._repeatables[call.message_id]
            if len(self._repeatables) > self._memory.most or known.at >= self._forget_at:
                self._forget_old(known.at)
        if self._waiting:
            self.current, self._in_progress = self._waiting.popleft()
            self._waiting_bytes -= len(self.current.payload)
        else:
            self.current = self._in_progress = None
        return self.current

    def let_wait_only(self, actions: Container[str]) -> None:
        """Drop the calls that wait, but those of these actions: nobody is there any more to be answered."""
        if self._waiting:
            self._waiting = deque(each for each in self._waiting if each[0].action in actions)
            self._waiting_bytes = sum(len(call.payload) for call, _ in self._waiting)

    def _forget_old(self, now: float) -> None:
        known = self._repeatables
        superfluous = len(known) - self._memory.kept
        going: list[str] = []
        for message_id, each in known.items():  # once: its beginning is slow to find where much was taken from it
            if each.answer is None or (len(going) >= superfluous and now - each.at <= REPEATS_KEPT_S):
                self._forget_at = each.at + REPEATS_KEPT_S
                break
            going.append(message_id)
        for message_id in going:
            del known[message_id]

    # Our calls

    @property
    def outstanding(self) -> str | None:
        """The message id of our call that has the slot."""
        return self._outstanding

    def reserve(self, message_id: str) -> None:
        """Take the slot for a call of ours; it must be free. From here on its answer is awaited."""
        assert self._outstanding is None, "one outstanding call (S-1)"
        self._outstanding = message_id

    def release(self, message_id: str) -> None:
        """Give the slot back: the call was never written."""
        if self._outstanding == message_id:
            self._outstanding = None

    def timed_out(self, message_id: str) -> None:
        """Free the slot of a call that was written; its late answer is still recognised."""
        if self._outstanding == message_id:
            self._outstanding = None
            if self._abandoned is None:
                self._abandoned = OrderedDict()
            self._abandoned[message_id] = None
            if len(self._abandoned) > ABANDONED_KEPT:
                self._abandoned.popitem(last=False)

    def _responded(self, result: CallResult | CallError) -> Event:
        if result.message_id == self._outstanding:
            self._outstanding = None
            return Answered(result, late=False)
        if self._abandoned is not None and result.message_id in self._abandoned:
            del self._abandoned[result.message_id]
            return Answered(result, late=True)
        return Stray(result)
