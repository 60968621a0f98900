"""One connection to Redis, without a socket."""

from __future__ import annotations

from typing import Any

import hypothesis
from hypothesis import strategies
from OpenSSL.SSL import Error as SslError
from service_identity import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ocppd.bus.redis_link import Connection, Subscription, connect, describe
from ocppd.errors import BusUnavailable


class _Transport(StringTransport):
    """Knows that it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class _Turns(Clock):
    """What is scheduled within a turn runs in the next one, as reactors do it, and `Clock` does not."""

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for call in [call for call in self.calls if call.getTime() <= self.rightNow]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class ConnectionTests(SynchronousTestCase):
    """Tests for `Connection` and `Subscription`."""

    def setUp(self) -> None:
        self.clock = _Turns()
        self.reasons: list[str] = []
        self.published: list[bytes] = []

    def make(self, kind: str = "commands") -> Any:
        """A connection on a transport of its own."""
        connection: Any = Connection(self.clock) if kind == "commands" else Subscription(self.clock, self.published.append)
        connection.ended = self.reasons.append
        connection.makeConnection(_Transport())
        return connection

    def assert_over(self, connection: Any, reason: str) -> None:
        """The connection is of no use, and said so once; it leaves no timer."""
        self.assertEqual(self.reasons, [reason])
        self.assertTrue(connection.transport.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.failureResultOf(connection.command("PING"), BusUnavailable).getErrorMessage(), reason)

    def test_replies_come_in_order(self) -> None:
        """Each command has its own reply, whatever the pieces they come in."""
        replies = b"+PONG\r\n:7\r\n$5\r\na\r\nb\xff\r\n$-1\r\n*3\r\n$1\r\n1\r\n:2\r\n$0\r\n\r\n*0\r\n"
        for size in (1, 2, 3, 7, len(replies)):
            connection = self.make()
            waiting = [connection.command("PING") for _ in range(6)]
            for start in range(0, len(replies), size):
                connection.dataReceived(replies[start : start + size])
            found = [self.successResultOf(reply) for reply in waiting]
            self.assertEqual(found, ["PONG", 7, b"a\r\nb\xff", None, [b"1", 2, b""], []])
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_replies_at_once(self) -> None:
        """Thousands of replies in one piece are read in one turn of the reactor."""
        connection = self.make()
        waiting = [connection.command("GET", "x") for _ in range(5000)]
        connection.dataReceived(b"$1\r\n7\r\n" * 5000)
        self.assertEqual([self.successResultOf(reply) for reply in waiting], [b"7"] * 5000)

    def test_words_are_sent_as_they_are(self) -> None:
        """Words may be text, bytes and numbers; text is UTF-8."""
        connection = self.make()
        connection.command("SET", "ü", b"\xff\r\n", 12).addErrback(lambda _: None)
        self.assertEqual(connection.transport.value(), b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xbc\r\n$3\r\n\xff\r\n\r\n$2\r\n12\r\n")
        connection.abort("done")
        connection.connectionLost(Failure(ConnectionDone()))

    def test_an_error_ends_the_connection(self) -> None:
        """What Redis refuses fails with what it says, and all that was asked for after it fails the same way."""
        connection = self.make()
        first, second = connection.command("GET", "x"), connection.command("GET", "y")
        connection.dataReceived(b"-LOADING Redis is loading\r\n")
        self.assertEqual(self.failureResultOf(first, BusUnavailable).getErrorMessage(), "LOADING Redis is loading")
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.failureResultOf(second, BusUnavailable).getErrorMessage(), "LOADING Redis is loading")
        self.assert_over(connection, "LOADING Redis is loading")
        self.successResultOf(connection.closed)

    def test_refused_passwords(self) -> None:
        """What a server says of a password is not told, for servers that do not know AUTH repeat it."""
        for said, code in ((b"WRONGPASS for xyzzy", "WRONGPASS"), (b"ERR unknown command `AUTH` `xyzzy`", "ERR"), (b"xyzzy", "")):
            self.reasons.clear()
            connection = self.make()
            refused = connection.log_in("user", "xyzzy")
            connection.dataReceived(b"-" + said + b"\r\n")
            self.failureResultOf(refused, BusUnavailable)
            self.assert_over(connection, f"it refuses the password ({code or 'no reason given'})")

    def test_deadline(self) -> None:
        """Each reply is due a second after its command, whatever came in between."""
        connection = self.make()
        connection.command("GET", "x")
        self.clock.advance(0.6)
        late = connection.command("GET", "y")
        connection.dataReceived(b"$-1\r\n")
        self.clock.advance(0.9)
        self.assertEqual(self.reasons, [])
        self.clock.pump([0.1, 0])
        self.assert_over(connection, "it did not answer within 1 s")
        connection.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(late, BusUnavailable)

    def test_a_reactor_that_stalls(self) -> None:
        """A reply that is there when a stalled reactor goes on is not late."""
        connection = self.make()
        first = connection.command("PING")
        self.clock.advance(0.5)
        second = connection.command("PING")
        connection.dataReceived(b"+PONG\r\n")
        self.successResultOf(first)
        self.clock.advance(0.5)
        self.clock.advance(30)  # the timer runs before what has arrived is read
        connection.dataReceived(b"+PONG\r\n")
        self.clock.pump([0, 5])
        self.assertEqual(self.successResultOf(second), "PONG")
        self.assertEqual(self.reasons, [])

    def test_a_command_that_a_stalled_reactor_has_not_written(self) -> None:
        """The server has as long as the reactor was late, and a deadline at most."""
        for stalled_s, granted_s in ((1.4, 0.4), (30, 1)):
            connection = self.make()
            late = connection.command("PING")
            self.clock.pump([stalled_s, granted_s - 0.1])
            self.assertEqual(self.reasons, [])
            self.clock.advance(0.11)
            self.assert_over(connection, "it did not answer within 1 s")
            connection.connectionLost(Failure(ConnectionDone()))
            self.failureResultOf(late, BusUnavailable)
            self.reasons.clear()

    def test_a_connection_that_is_lost(self) -> None:
        """A lost connection fails what waits, with why it was lost."""
        connection = self.make()
        reply = connection.command("PING")
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.failureResultOf(reply, BusUnavailable).getErrorMessage(), "it closed the connection")
        self.assertEqual(self.reasons, ["it closed the connection"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_reply_that_nobody_wants(self) -> None:
        """Whoever gives up on a reply gives up the connection, so that no reply is taken for another."""
        connection = self.make()
        connection.command("PING").addErrback(lambda _: None).cancel()
        self.assert_over(connection, "it was given up")

    def test_more_replies_than_commands(self) -> None:
        """A server that says more than it was asked is none."""
        self.make().dataReceived(b"+OK\r\n")
        self.assertEqual(self.reasons, ["what answers is no Redis server"])

    def test_subscription(self) -> None:
        """What is published comes apart from replies, and a pulse has the deadline of one."""
        connection = self.make("subscription")
        subscribed = connection.command("SUBSCRIBE", "me")
        connection.dataReceived(b"*3\r\n$9\r\nsubscribe\r\n$2\r\nme\r\n:1\r\n")
        self.successResultOf(subscribed)
        pulse = connection.pulse()
        connection.dataReceived(b"*3\r\n$7\r\nmessage\r\n$2\r\nme\r\n$2\r\nhi\r\n" * 2000)
        self.assertEqual(self.published, [b"hi"] * 2000)
        self.assertNoResult(pulse)
        connection.pulse_arrived()
        self.successResultOf(pulse)
        missed = connection.pulse()
        self.clock.pump([1, 0])
        self.assert_over(connection, "it did not answer within 1 s")
        connection.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(missed, BusUnavailable)
        self.failureResultOf(connection.pulse(), BusUnavailable)

    @hypothesis.given(
        strategies.lists(strategies.binary(max_size=60), max_size=5), strategies.sampled_from(["commands", "other"])
    )
    def test_anything(self, pieces: list[bytes], kind: str) -> None:
        """Whatever a server sends, nothing is raised."""
        connection = self.make(kind)
        reply = connection.command("PING").addErrback(lambda failure: failure.trap(BusUnavailable))
        for piece in pieces:
            connection.dataReceived(piece)
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(reply.called)

    def test_descriptions(self) -> None:
        """Why there is no connection is told in a few words."""
        self.assertEqual(
            describe(SslError([("SSL routines", "", "certificate verify failed")])), "TLS: certificate verify failed"
        )
        self.assertEqual(describe(VerificationError(errors=[])), "its certificate is that of another host")
        self.assertEqual(describe(OSError("no route.")), "no route")
        self.assertEqual(describe(ValueError()), "ValueError")


class _Endpoint:
    """Connects when the test says so."""

    def __init__(self) -> None:
        self.connecting: Deferred[Any] = Deferred()

    def connect(self, factory: Any) -> Deferred[Any]:
        """See IStreamClientEndpoint."""
        return self.connecting


class ConnectTests(SynchronousTestCase):
    """Tests for `connect`."""

    def setUp(self) -> None:
        self.clock = _Turns()
        self.endpoint = _Endpoint()
        self.connected = Deferred.fromCoroutine(connect(self.endpoint, lambda: Connection(self.clock), self.clock))

    def test_in_time(self) -> None:
        """Who is connected is given, and no timer is left."""
        self.clock.advance(1.9)
        self.endpoint.connecting.callback("it")
        self.assertEqual(self.successResultOf(self.connected), "it")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_slow(self) -> None:
        """After two seconds it is given up."""
        self.clock.pump([1.9, 0.1])
        self.assertNoResult(self.connected)
        self.clock.advance(0.01)
        self.assertEqual(
            self.failureResultOf(self.connected, BusUnavailable).getErrorMessage(),
            "it did not accept a connection within 2 s",
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_reactor_that_stalls(self) -> None:
        """A connection that is there when a stalled reactor goes on is not late."""
        self.clock.advance(30)  # the timer runs before the connection is seen
        self.endpoint.connecting.callback("it")
        self.assertEqual(self.successResultOf(self.connected), "it")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """Why there is no connection is told."""
        self.endpoint.connecting.errback(OSError("no route."))
        self.assertEqual(self.failureResultOf(self.connected, BusUnavailable).getErrorMessage(), "no route")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Who gives up leaves no timer."""
        self.connected.cancel()
        self.failureResultOf(self.connected)
        self.assertEqual(self.clock.getDelayedCalls(), [])
