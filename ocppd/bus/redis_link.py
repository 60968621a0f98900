"""One connection to a Redis server or sentinel, on txredisapi's protocol: replies by deadline, and why it ended.

txredisapi takes the global reactor when it is imported, so this module is imported late. What is not used of it, and why:
its factories and `ClientService`s stop for good when a password is refused, its lazy handler makes commands wait for a
connection without end, its `replyTimeout` runs on the global reactor and blames the server for a reactor that stalls,
and its `eval` sends a script that the server has forgotten once more, behind what was sent after it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from OpenSSL.SSL import Error as SslError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from txredisapi import BaseRedisProtocol

from ocppd.bus.api import DEADLINE_S
from ocppd.clock import Clock, DelayedCall
from ocppd.errors import BusUnavailable

#: Until a host name is found and the host has accepted the connection.
CONNECT_S: Final = 2.0
NO_REDIS: Final = "what answers is no Redis server"
LATE: Final = f"it did not answer within {DEADLINE_S:g} s"

_CODE = re.compile(r"[A-Z]+")

C = TypeVar("C", bound="Connection")


class Connection(BaseRedisProtocol):  # type: ignore[misc]  # txredisapi has no annotations
    """Replies are bytes, numbers and lists of them. The first command that is refused or late ends the connection."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(charset=None, convertNumbers=False)
        #: Is called once, with the reason, as soon as the connection is of no use any more.
        self.ended: Callable[[str], None] = lambda reason: None
        #: Why it is of no use any more.
        self.reason: str | None = None
        #: Fires when the socket is closed.
        self.closed: Deferred[None] = Deferred()
        self._clock = clock
        self._rest = b""
        #: When the outstanding replies are due. They come in order.
        self._due: deque[float] = deque()
        self._timer: DelayedCall | None = None
        self._last_chance = False

    # Commands

    def command(self, *words: str | bytes | int) -> Deferred[Any]:
        """Send a command; fires with its reply. Fails with BusUnavailable."""
        return self._send(words, str)

    def log_in(self, user: str | None, password: str) -> Deferred[Any]:
        """AUTH. Fails with BusUnavailable; of what the server answers only the code is told, for it may repeat the password."""
        return self._send(("AUTH", *([user] if user else []), password), _refusal)

    def expect(self, reply: Deferred[Any], explain: Callable[[object], str] = str) -> Deferred[Any]:
        """Hold this reply, which comes after those that are expected already, to the deadline. Fails with BusUnavailable."""
        if self.reason is not None:
            return fail(BusUnavailable(self.reason))
        self._due.append(self._clock.seconds() + DEADLINE_S)
        if self._timer is None:
            self._timer = self._clock.callLater(DEADLINE_S, self._look)
        return reply.addCallbacks(self._answered, self._failed, errbackArgs=(explain,))

    def abort(self, reason: str) -> None:
        """Close it at once."""
        if self.reason is None:
            self.transport.abortConnection()
            self._end(reason)

    def _send(self, words: tuple[str | bytes | int, ...], explain: Callable[[object], str]) -> Deferred[Any]:
        if self.reason is not None:
            return fail(BusUnavailable(self.reason))
        return self.expect(self.execute_command(*words), explain)

    def _answered(self, reply: Any) -> Any:
        self._due.popleft()
        self._last_chance = False
        if not self._due:
            self._cancel()
        return reply

    def _failed(self, failure: Failure, explain: Callable[[object], str]) -> Any:
        if self.reason is None:  # else it failed because the connection did
            self.abort("it was given up" if failure.check(CancelledError) else explain(failure.value))
        raise BusUnavailable(self.reason) from failure.value

    # Deadlines

    def _look(self) -> None:
        self._timer = None
        left = self._due[0] - self._clock.seconds()
        if left <= 0 and self._last_chance:
            self.abort(LATE)
            return
        # When the reactor has stalled, the reply may be there and unread: it is, before the next turn's timers. Or the
        # command was not written before: the server has as long as the reactor was late, but no second deadline.
        self._last_chance = left <= 0
        self._timer = self._clock.callLater(min(abs(left), DEADLINE_S), self._look)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Transport

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """Read replies."""
        self._rest = data
        try:
            while self._rest:
                data, self._rest = self._rest, b""
                super().dataReceived(data)
        except ValueError:  # bytes that are no text
            self.abort(NO_REDIS)

    def setLineMode(self, extra: bytes = b"") -> None:
        """A bulk has ended. txredisapi would read on in the next turn of the reactor, one turn for each."""
        self.line_mode = 1
        self._rest = extra

    def replyReceived(self, reply: Any) -> None:
        """A reply is complete; a server that says more than it was asked has something to complain of, or is none."""
        if self.replyQueue.waiting:
            super().replyReceived(reply)
        else:
            self.abort(str(reply) if isinstance(reply, Exception) else NO_REDIS)

    def connectionLost(self, why: Failure) -> None:
        """The socket is closed."""
        self._end(describe(why.value))
        super().connectionLost(why)
        self.closed.callback(None)

    def _end(self, reason: str) -> None:
        self._cancel()
        if self.reason is None:
            self.reason = reason
            self.ended(reason)


class Subscription(Connection):
    """A connection that is published to; `received` is called with each message.

    A pulse that this node has published to itself is taken for a reply, so that it has the deadline of one.
    """

    def __init__(self, clock: Clock, received: Callable[[bytes], None]) -> None:
        super().__init__(clock)
        self._received = received

    def pulse(self) -> Deferred[Any]:
        """Fires when the pulse has arrived. Fails with BusUnavailable."""
        if self.reason is not None:
            return fail(BusUnavailable(self.reason))
        return self.expect(self.replyQueue.get().addCallback(self.handle_reply))

    def pulse_arrived(self) -> None:
        """The pulse that is waited for has arrived."""
        super().replyReceived(b"")

    def replyReceived(self, reply: Any) -> None:
        """A reply, or a message."""
        if isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message":
            if self.reason is None:
                self._received(reply[2])
        else:
            super().replyReceived(reply)


class _Factory(Factory):
    noisy = False

    def __init__(self, build: Callable[[], Connection]) -> None:
        self._build = build

    def buildProtocol(self, addr: object) -> Any:
        """A connection."""
        connection = self._build()
        connection.factory = self
        return connection


def _in_time(connecting: Deferred[C], clock: Clock) -> Deferred[C]:
    """Cancel it when it takes too long: fails with BusUnavailable then. A reactor that has stalled looks once more before."""
    began = clock.seconds()
    late = False
    timer: DelayedCall

    def look() -> None:
        nonlocal late, timer
        if late:
            connecting.cancel()
        else:
            late = True
            timer = clock.callLater(min(abs(clock.seconds() - began - CONNECT_S), CONNECT_S), look)

    def over(outcome: C | Failure) -> C | Failure:
        if timer.active():
            timer.cancel()
        elif isinstance(outcome, Failure) and late:
            raise BusUnavailable(f"it did not accept a connection within {CONNECT_S:g} s")
        return outcome

    timer = clock.callLater(CONNECT_S, look)
    return connecting.addBoth(over)


async def connect(endpoint: Any, build: Callable[[], C], clock: Any) -> C:
    """Connect to a server by an IStreamClientEndpoint. Raises BusUnavailable."""
    try:
        connection: C = await _in_time(endpoint.connect(_Factory(build)), clock)
    except (ConnectError, OSError, ValueError) as error:
        raise BusUnavailable(describe(error)) from error
    return connection


def describe(error: BaseException | None) -> str:
    """Why there is no connection, in a few words."""
    match error:
        case ConnectionDone() | ConnectionLost():
            return "it closed the connection"
        case VerificationError():
            return "its certificate is that of another host"
        case SslError() if error.args and isinstance(error.args[0], list) and error.args[0]:
            return f"TLS: {error.args[0][-1][-1]}"
        case _:
            return str(error).rstrip(".") or type(error).__name__


def _refusal(error: object) -> str:
    code = _CODE.match(str(error))
    return f"it refuses the password ({code[0] if code else 'no reason given'})"
