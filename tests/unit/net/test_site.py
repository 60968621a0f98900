"""The first request of a connection decides what it becomes. Decision 6 of docs/architecture.md; REQUIREMENTS H-4."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.ending import Ending
from ocppd.net.site import MAX_HEAD_BYTES, OnePort, asks_for_websocket
from ocppd.net.websocket import HANDSHAKE_TIMEOUT_S


class Collector(Protocol):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class Transport(StringTransport):
    """A transport that remembers its protocol and whether it was aborted."""

    protocol: Protocol | None = None
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


UPGRADE = b"GET /ocppj/1.6/CP1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"
PLAIN = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class FirstRequestTests(SynchronousTestCase):
    """`FirstRequest`."""

    def setUp(self) -> None:
        """A port whose two sides collect."""
        self.clock = Clock()
        self.chargers, self.site = Factory.forProtocol(Collector), Factory.forProtocol(Collector)
        port = OnePort(self.chargers, self.site, self.clock, Ending())  # type: ignore[arg-type]
        self.transport = Transport()
        self.first = port.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        self.transport.protocol = self.first
        self.first.makeConnection(self.transport)

    def became(self) -> tuple[Factory | None, bytes]:
        """The side that has the transport now, and what it was given."""
        protocol = self.transport.protocol
        return (protocol.factory, protocol.received) if isinstance(protocol, Collector) else (None, b"")

    def test_websocket(self) -> None:
        """A head that asks for a WebSocket goes to the chargers' side whole, with what follows it."""
        self.first.dataReceived(UPGRADE + b"frame")
        self.assertEqual(self.became(), (self.chargers, UPGRADE + b"frame"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_http(self) -> None:
        """Any other head goes to the HTTP side, whatever its body says."""
        self.first.dataReceived(PLAIN + b"\r\nUpgrade: websocket\r\n\r\n")
        self.assertIs(self.became()[0], self.site)

    def test_in_pieces(self) -> None:
        """Nothing is decided before the head is complete, byte by byte."""
        for byte in UPGRADE[:-1]:
            self.first.dataReceived(bytes([byte]))
            self.assertIs(self.became()[0], None)
        self.first.dataReceived(UPGRADE[-1:])
        self.assertEqual(self.became(), (self.chargers, UPGRADE))

    def test_slow_first_request(self) -> None:
        """H-4: the time runs from the connection on; a byte now and then does not prolong it."""
        for byte in UPGRADE[:14]:
            self.clock.advance(HANDSHAKE_TIMEOUT_S / 15)
            self.first.dataReceived(bytes([byte]))
        self.assertFalse(self.transport.aborted)
        self.clock.advance(HANDSHAKE_TIMEOUT_S / 15 + 0.01)
        self.assertTrue(self.transport.aborted)
        self.first.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone(self) -> None:
        """A peer that goes before it said anything leaves no timer."""
        self.first.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_endless_head(self) -> None:
        """H-4: a head beyond the limit is handed to Twisted Web, which has its own limits, and is not collected further."""
        self.first.dataReceived(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nX: " + b"x" * MAX_HEAD_BYTES)
        self.assertIs(self.became()[0], self.site)

    def test_what_asks_for_a_websocket(self) -> None:
        """The Upgrade header counts, in any case, among other protocols, and nothing that looks like it elsewhere."""
        for line, asks in {
            b"Upgrade: websocket": True,
            b"upgrade:WebSocket": True,
            b"UPGRADE: h2c, websocket": True,
            b"Upgrade: websockets": False,
            b"Upgrade: h2c": False,
            b"X-Upgrade: websocket": False,
            b"X: upgrade: websocket": False,
            b"Upgrade:": False,
        }.items():
            head = b"GET /?upgrade:websocket HTTP/1.1\r\nHost: h\r\n" + line + b"\r\n"
            self.assertIs(asks_for_websocket(head), asks, line)
