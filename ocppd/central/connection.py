"""One live charger: its session, with the Deferreds and timers around it. REQUIREMENTS 1.4 to 1.6.

Events of the session are applied here: calls of the charger go to `dispatch`, answers to the outbox. The bytes below
are the link's business, the meaning above is dispatch's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.calls import Ended, PendingCall
from ocppd.central.outbox import Outbox
from ocppd.central.registration import OF_TRANSACTIONS, asked_message
from ocppd.clock import Clock, now_ms, steady_ms
from ocppd.config import ChargerSettings, Mode
from ocppd.errors import ErrorCode
from ocppd.ocppj.frames import Call, CallError, CallResult, call_error_frame, read_at_once, shown_action
from ocppd.ocppj.session import Answered, CallReceived, Close, Event, Ignored, Memory, Odd, Refused, Send, Session, Stray
from ocppd.storage.api import MessageRecords
from ocppd.storage.records import ConnectedCharger
from ocppd.v16.codec import verify
from ocppd.v16.types import Message, RegistrationStatus

log = Logger()

#: RFC 6455 7.4.2, the private range: an application's own code, told to a replaced connection (C-1).
REPLACED_CLOSE: Final = 4000
#: Follow-ups that one handler may ask for; more is a loop.
FOLLOW_UPS_LIMIT: Final = 100
#: Kinds of oddities of one connection that the log tells once; the others are debug lines.
NEWS_LIMIT: Final = 100
#: RFC 6455 7.4: codes that stand for no close frame, or for no code in it, and cannot be sent.
UNSENDABLE_CLOSES: Final = frozenset({1004, 1005, 1006, 1015})
#: No names, for all who have none.
NOTHING: Final[frozenset[str]] = frozenset()


class Link(Protocol):
    """The WebSocket under a connection."""

    @property
    def remote_ip(self) -> str:
        """The address of the peer, IPv4-mapped ones unmapped."""

    @property
    def base_url(self) -> str | None:
        """Where the charger has found us, as an `http:` or `https:` URL without path; None where it did not say."""

    @property
    def open(self) -> bool:
        """Whether what is sent now can still reach the charger; False once a close frame has gone out."""

    def send(self, frame: bytes) -> None:
        """Write a text message."""

    def close(self, code: int, reason: str) -> None:
        """Close with this code; safe to call twice."""

    def probe(self) -> None:
        """Ping; close where nothing comes back."""


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """A CALL of a charger and our answer, kept in memory alone."""

    received_ms: int
    call: Call
    answer: bytes


@dataclass(frozen=True, slots=True)
class AfterAnswer:
    """An answer has been written: what had to wait for it may happen."""


Happening = Event | AfterAnswer
AFTER_ANSWER: Final = AfterAnswer()


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a connection calls: everything that is not its own."""

    clock: Clock
    storage: MessageRecords
    #: What the sessions of all connections share.
    memory: Memory
    #: Runs a CALL of the charger; gives the answer frame, at once or later, and never fails.
    dispatch: Callable[[Connection, Call], bytes | Deferred[bytes]]
    #: Answers a CALL, that came as these bytes at this time (s), by the short way; whether it could.
    express: Callable[[Connection, Call, bytes, float], bool]
    #: A call of ours has ended.
    ended: Callable[[PendingCall, Ended], None]
    #: A call that was committed as `sent` was not written, and waits for the next connection.
    requeue: Callable[[PendingCall, int], None]
    #: Storage refused what the outbox of this charger needs in order to go on.
    stalled: Callable[[str], None]
    #: An answer to no outstanding call has come.
    answered_late: Callable[[str, CallResult | CallError, PendingCall | None], None]
    #: Sends a request that a handler asked for.
    submit: Callable[[str, Message], Deferred[Any]]
    #: A frame is none, or comes when it should not: (connection, kind of `deviations`, the frame where it is worth keeping, why).
    odd: Callable[[Connection, str, bytes, str], None]


@cache
def _with(asked_for: frozenset[str], another: str) -> frozenset[str]:
    """One more message that was asked for: the same set for all chargers that were asked for the same."""
    return asked_for | {another}


class Connection:
    """A charger that is connected. It is also the `Charger` that handlers are given."""

    __slots__ = (
        *("_applying", "_boot_sequence", "_close_after", "_closed", "_follow_ups", "_news", "_outbox", "_todo", "_wiring"),
        *("asked_for", "call_timeout_s", "connected_ms", "generation", "granted", "last_seen_ms", "link", "looks", "name"),
        *("product", "registration", "repairs_off", "returned", "session", "settings", "stopped", "strict", "__weakref__"),
    )

    def __init__(self, settings: ChargerSettings, link: Link, known: ConnectedCharger, wiring: Wiring) -> None:
        self.name = settings.name
        self.settings = settings
        self.link = link
        self.generation = known.generation
        #: The highest generation that was issued while it lives; above its own where a handshake came to nothing.
        self.granted = known.generation
        self.registration = known.registration
        self._boot_sequence = 0
        self.call_timeout_s = settings.call_timeout_s
        self.strict = settings.mode is Mode.STRICT
        #: Messages that calls of ours asked for, welcome while the registration is Pending (2.2).
        self.asked_for: frozenset[str] = NOTHING
        #: Of `central.conformance`: what it is, what is not mended for it, and how many messages are still to be looked at.
        self.product = known.product
        self.repairs_off: frozenset[str] = NOTHING
        self.looks = 0
        self.stopped: int | None = None
        self.returned = known.registration is RegistrationStatus.ACCEPTED
        self._wiring = wiring
        self.connected_ms = now_ms(wiring.clock)
        self.last_seen_ms = steady_ms(wiring.clock)
        self.session = Session(strict=self.strict, memory=wiring.memory)
        # The others are made when they are needed: there are thousands of connections on which nothing happens.
        self._outbox: Outbox | None = None
        self._follow_ups: tuple[Message, ...] = ()
        self._close_after: tuple[int, str] | None = None
        self._todo: deque[Happening] | None = None
        self._applying = False
        self._news: set[str] | None = None
        self._closed = False

    @property
    def outbox(self) -> Outbox:
        """Our calls to it; after its end one that sends nothing."""
        outbox = self._outbox
        if outbox is None:
            wiring = self._wiring
            outbox = Outbox(self, self.session, wiring.storage, wiring.clock, wiring.ended, wiring.requeue, wiring.stalled)
            self._outbox = outbox
            if self._closed:
                outbox.close()
        return outbox

    @property
    def queued(self) -> int:
        """Our calls that wait; the one that has the slot is not counted."""
        return 0 if self._outbox is None else len(self._outbox)

    def pump(self) -> None:
        """Send what waits and may be sent now."""
        if self._outbox is not None:
            self._outbox.pump()

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._closed

    @property
    def busy(self) -> bool:
        """Whether a call of the charger or one of ours is under way: closing now would cost an answer."""
        idle = not (self.holds_calls or self._closed) if self._outbox is None else self._outbox.idle
        return self.session.current is not None or not idle

    def registered(self, sequence: int, verdict: RegistrationStatus) -> None:
        """The verdict on a boot of this charger, on whatever connection it came; an earlier boot's changes nothing."""
        if sequence > self._boot_sequence:
            self._boot_sequence = sequence
            self.registration = verdict

    def is_news(self, what: str) -> bool:
        """Whether the log has not had this yet: a charger may repeat an oddity with every message."""
        if self._news is None:
            self._news = set()
        if what in self._news or len(self._news) >= NEWS_LIMIT:
            return False
        self._news.add(what)
        return True

    # What handlers may do

    @property
    def remote_ip(self) -> str:
        """The address it is connected from."""
        return self.link.remote_ip

    def follow_up(self, request: Message) -> None:
        """Send `request` once the answer in progress has been written; see `ocppd.central.handlers.Charger`."""
        if len(self._follow_ups) >= FOLLOW_UPS_LIMIT:
            raise RuntimeError(f"more than {FOLLOW_UPS_LIMIT} follow-ups to one message")
        self._follow_ups = (*self._follow_ups, verify(request))
        if self.session.current is None or self._closed:
            self._run_follow_ups()

    def close_after_answer(self, code: int = 1001, reason: str = "") -> None:
        """Close once the answer in progress has been written. Raises ValueError for a code that cannot be sent."""
        if not 1000 <= code <= 4999 or code in UNSENDABLE_CLOSES:
            raise ValueError(f"{code} is no close code that can be sent")
        self._close_after = (code, reason)
        if self.session.current is None:
            self._run_follow_ups()

    # What the link tells

    def received(self, data: bytes) -> None:
        """One text message of the charger."""
        now = self._wiring.clock.seconds()
        self.last_seen_ms = int(now * 1000)
        if self._outbox is not None:
            self._outbox.heard()
        call = read_at_once(data)
        if call is None:
            self._apply(self.session.receive(data, now))
        elif self._applying or self._closed or not self._wiring.express(self, call, data, now):
            self._apply(self.session.called(call, now))

    def alive(self) -> None:
        """Anything of the charger, a pong included (C-3)."""
        self.last_seen_ms = steady_ms(self._wiring.clock)
        if self._outbox is not None:
            self._outbox.heard()

    def close_calls(self) -> list[PendingCall]:
        """End our calls, for good; gives those that wait for the next connection (S-6). The charger's own ones of transactions
        that still wait for their turn go on, into the records alone."""
        if self._closed:
            return []
        self._closed = True
        self.session.let_wait_only(OF_TRANSACTIONS)
        kept = [] if self._outbox is None else self._outbox.close()
        self._run_follow_ups()
        return kept

    # What happens

    def _apply(self, events: Sequence[Happening]) -> None:
        todo = self._todo
        if todo is None:
            todo = self._todo = deque()
        todo.extend(events)
        if self._applying:  # an answer that was there at once: the loop below goes on with it, not deeper
            return
        self._applying = True
        while todo and (not self._closed or self.session.current is not None):
            event = todo.popleft()
            try:
                self._apply_one(event)
            except Exception:  # the boundary: what comes behind it is not lost with it
                log.failure("{charger}: {event} could not be applied", charger=self.name, event=type(event).__name__)
        self._applying = False
        self._todo = None

    def _run(self, call: Call) -> None:
        """Have a call answered. A bug in dispatch costs this call alone: the session goes on with its answer only."""
        try:
            answer = self._wiring.dispatch(self, call)
        except Exception:  # the boundary: dispatch promises not to fail
            answer = self._bug(Failure(), call)
        if isinstance(answer, Deferred):
            answer.addErrback(self._bug, call)
            answer.addCallback(self._answered_later, call)
            answer.addErrback(self._log_bug, call.action)
        else:
            self._answered_later(answer, call)

    def _bug(self, failure: Failure, call: Call) -> bytes:
        self._log_bug(failure, call.action)
        return call_error_frame(call.wire_id, ErrorCode.INTERNAL_ERROR, "the message could not be processed")

    def _apply_one(self, event: Happening) -> None:
        match event:
            case CallReceived(call):
                self._run(call)
            case Send(frame):
                self.link.send(frame)
            case AfterAnswer():
                self._after_answer()
            case Answered(result, late=False):
                self.outbox.answered(result)
                if self.outbox.spent:
                    self._outbox = None
            case Answered(result):
                self._wiring.answered_late(self.name, result, self.outbox.answered_late(result))
            case Stray(result):
                self._wiring.odd(self, "stray-answer", b"", result.message_id)
                self._wiring.answered_late(self.name, result, None)
            case Refused(frame, reason, data):
                self._note("refused a frame", reason)
                self._wiring.odd(self, "frame-malformed", data, reason)
                self.link.send(frame)
            case Ignored(reason, kind, data):
                self._note("ignored", reason)
                self._wiring.odd(self, kind, data, reason)
            case Odd(kind, reason):
                self._wiring.odd(self, kind, b"", reason)
            case Close(code, reason):
                log.warn("{charger}: closing: {reason}", charger=self.name, reason=reason)
                self.link.close(code, reason)

    def _note(self, what: str, reason: str) -> None:
        note = log.info if self.is_news(f"{what} {reason}") else log.debug
        note("{charger}: {what}: {reason}", charger=self.name, what=what, reason=reason)

    def _answered_later(self, frame: bytes, call: Call) -> None:
        self._apply(self._answered(call, frame))

    def _answered(self, call: Call, frame: bytes) -> list[Happening]:
        """What the session makes of an answer: the frame, then what had to wait for it (S-3), then what comes next."""
        send, *further = self.session.answered(call, frame, self._wiring.clock.seconds())
        return [send, AFTER_ANSWER, *further]

    def give(self, call: Call, frame: bytes) -> None:
        """Write the answer to the call in progress, which came by the short way; then as ever. One is all that it gets."""
        if self.session.current is not call:
            return
        following = self.session.finish(call, frame)
        self.answer(frame)
        if following is not None:
            self._apply([CallReceived(following)])

    def answer(self, frame: bytes) -> None:
        """Write an answer to a call that the session has done with."""
        self.link.send(frame)
        if self._follow_ups or self._close_after is not None or (self._outbox is not None and not self._outbox.empty):
            self._after_answer()

    def _after_answer(self) -> None:
        if self._follow_ups or self._close_after is not None:
            self._run_follow_ups()
        if self._outbox is not None:
            self._outbox.write_held()
            self._outbox.pump()

    def _run_follow_ups(self) -> None:
        requests, self._follow_ups = self._follow_ups, ()
        for request in requests:
            self._wiring.submit(self.name, request).addErrback(self._log_follow_up, type(request).__name__)
        if self._close_after is not None:
            self.link.close(*self._close_after)
            self._close_after = None

    def _log_follow_up(self, failure: Any, request: str) -> None:
        log.warn(
            "{charger}: the follow-up {request} was not sent: {reason}",
            charger=self.name, request=request, reason=failure.getErrorMessage(),
        )  # fmt: skip

    def _log_bug(self, failure: Any, action: str) -> None:
        log.failure("{charger}: {action} could not be answered", failure, charger=self.name, action=shown_action(action))

    # What the outbox asks

    @property
    def holds_calls(self) -> bool:
        """Whether nothing may be written: a boot is being answered (S-3), or the link is closing."""
        current = self.session.current
        return not self.link.open or (current is not None and current.action == "BootNotification")

    def write_call(self, call: PendingCall) -> None:
        """Write a call of ours."""
        asked = asked_message(call.request, call.action)
        if asked is not None:
            self.asked_for = _with(self.asked_for, asked)
        self.link.send(call.frame.encode())

    def probe(self) -> None:
        """See whether the charger is still there (S-5)."""
        self.link.probe()
