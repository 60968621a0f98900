"""Calls over a link: one outstanding, answers paired, everything recorded. OCPP-J 1.6 section 4.

The sans-I/O session does the pairing; this is the Deferreds, the timeouts and the record around it. Knows no actions.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ocppd.clock import Clock, DelayedCall
from ocppd.errors import OcppdError
from ocppd.ocppj.frames import Call, CallError, CallResult, call_frame
from ocppd.ocppj.session import Answered, CallReceived, Close, Event, Refused, Send, Session
from ocppd.simulator.connection import Link
from ocppd.simulator.failures import CallRefused, LinkLost, NoAnswer, Offline


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One text message: who sent it, when (seconds of the reactor's clock), what."""

    sent: bool
    at: float
    data: bytes


@dataclass(slots=True)
class _OwnCall:
    message_id: str
    action: str
    payload: bytes
    answered: Deferred[bytes]
    timeout: DelayedCall | None = None


class Wire:
    """A charger's end of the RPC layer.

    `answer` is called with each call of the central system; its Deferred gives the frame to answer with, None for no
    answer at all, and never fails. An answer that is not there at once does not hold up the next call. `rewrite` gives the
    payload that a CALL of ours is sent with, `written` hears that it was.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        answer: Callable[[Call], Deferred[bytes | None]],
        answered: Callable[[], None],
        timeout_s: Callable[[], float],
        new_id: Callable[[], str],
        rewrite: Callable[[str, bytes], bytes] = lambda _, payload: payload,
        written: Callable[[str], None] = lambda _: None,
        record: int,
        strict: bool,
    ) -> None:
        self._clock = clock
        self._answer = answer
        self._answered = answered
        self._timeout_s = timeout_s
        self._new_id = new_id
        self._rewrite = rewrite
        self._written = written
        self._strict = strict
        self._link: Link | None = None
        self._session = Session(strict=strict)
        self._waiting: deque[_OwnCall] = deque()
        self._outstanding: _OwnCall | None = None
        self.frames: deque[RecordedFrame] = deque(maxlen=record)
        self.messages = 0

    @property
    def link(self) -> Link | None:
        """The open link, if there is one."""
        return self._link

    def attach(self, link: Link) -> None:
        """A new connection: a new session, nothing outstanding."""
        self._link = link
        self._session = Session(strict=self._strict)

    def detach(self) -> None:
        """The connection is gone: every call that waits fails with LinkLost."""
        self._link = None
        self._session = Session(strict=self._strict)
        outstanding, self._outstanding = self._outstanding, None
        waiting, self._waiting = self._waiting, deque()
        for call in ([outstanding] if outstanding else []) + list(waiting):
            self._settle(call, Failure(LinkLost(call.action)))

    def call(self, action: str, payload: bytes) -> Deferred[bytes]:
        """Call `action`; the Deferred gives the payload of the CALLRESULT.

        Calls go out in order, one at a time (REQUIREMENTS S-1). Fails with Offline, LinkLost, CallRefused, or NoAnswer
        after the timeout, which counts from writing. Cancelling stops the waiting, not the call.
        """
        answered: Deferred[bytes] = Deferred()
        if self._link is None:
            answered.errback(Failure(Offline()))
            return answered
        self._waiting.append(_OwnCall(self._new_id(), action, payload, answered))
        self._send_next()
        return answered

    def send_raw(self, data: bytes) -> None:
        """Write `data` as one text message, whatever it is. Raises Offline."""
        if self._link is None:
            raise Offline
        self._write(data)

    def sent(self, action: str) -> list[Any]:
        """The payloads of all CALLs of `action` in the record that we sent."""
        messages = [json.loads(frame.data) for frame in self.frames if frame.sent and frame.data.startswith(b"[2")]
        return [message[3] for message in messages if message[2] == action]

    def received(self, data: bytes) -> None:
        """A text message came."""
        self.messages += 1
        self.frames.append(RecordedFrame(False, self._clock.seconds(), data))
        self._apply(self._session, self._session.receive(data, self._clock.seconds()))

    def _write(self, data: bytes) -> None:
        if self._link is not None:
            self.messages += 1
            self.frames.append(RecordedFrame(True, self._clock.seconds(), data))
            self._link.send(data)

    def _apply(self, session: Session, events: Iterable[Event]) -> None:
        for event in events:
            if session is not self._session:
                return
            handler = self._HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)

    def _on_send(self, event: Send) -> None:
        if event.frame:
            self._write(event.frame)

    def _on_refused(self, event: Refused) -> None:
        self._write(event.frame)

    def _on_close(self, event: Close) -> None:
        if self._link is not None:
            self._link.close(event.code, event.reason)

    def _on_call(self, event: CallReceived) -> None:
        """Run a call of the central system. What is answered later leaves the way free for the next call."""
        session, call = self._session, event.call
        done = released = False

        def finish(frame: bytes | None) -> None:
            nonlocal done
            done = True
            if session is not self._session:
                return
            if frame is not None:
                self._write(frame)
            self._answered()
            if not released:
                self._release(session, call, frame)

        self._answer(call).addCallback(finish)
        if not done:
            released = True
            self._release(session, call, None)

    def _release(self, session: Session, call: Call, frame: bytes | None) -> None:
        """Let the session go on to the next call; the answer itself is written elsewhere."""
        if session is self._session:
            events = session.answered(call, frame or b"", self._clock.seconds())
            self._apply(session, events[1:])

    def _on_answered(self, event: Answered) -> None:
        call = self._outstanding
        if event.late or call is None:
            return
        self._outstanding = None
        self._settle(call, _outcome(call, event.result))
        self._send_next()

    _HANDLERS: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        Send: _on_send,
        Refused: _on_refused,
        Close: _on_close,
        CallReceived: _on_call,
        Answered: _on_answered,
    }

    def _send_next(self) -> None:
        if self._outstanding is not None or not self._waiting or self._link is None:
            return
        call = self._outstanding = self._waiting.popleft()
        self._session.reserve(call.message_id)
        timeout_s = self._timeout_s()
        call.timeout = self._clock.callLater(timeout_s, self._timed_out, call, timeout_s)
        self._write(call_frame(call.message_id, call.action, self._rewrite(call.action, call.payload)))
        self._written(call.action)

    def _timed_out(self, call: _OwnCall, timeout_s: float) -> None:
        self._session.timed_out(call.message_id)
        self._outstanding = None
        self._settle(call, Failure(NoAnswer(call.action, timeout_s)))
        self._send_next()

    def _settle(self, call: _OwnCall, outcome: bytes | Failure) -> None:
        if call.timeout is not None and call.timeout.active():
            call.timeout.cancel()
        if not call.answered.called:
            call.answered.callback(outcome)


def _outcome(call: _OwnCall, result: CallResult | CallError) -> bytes | Failure:
    if isinstance(result, CallResult):
        return result.payload
    error: OcppdError = CallRefused(call.action, result.code, result.description, result.details)
    return Failure(error)
