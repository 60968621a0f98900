"""The short way of an upgrade request: it answers what Autobahn's long way answers, whatever comes, in whatever pieces."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectionDeny
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.fast_handshake import FastHandshake, read_upgrade
from ocppd.net.slim import slimmed
from support.wire import PONG, TEXT, frame

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
USUAL = ("Host: localhost:9033", "Upgrade: websocket", "Connection: Upgrade", KEY, "Sec-WebSocket-Version: 13")
OFFER = "Sec-WebSocket-Protocol: ocpp1.6"


def request(*headers: str, line: str = "GET /x/CP1 HTTP/1.1") -> bytes:
    """A request of these lines."""
    return "".join(f"{each}\r\n" for each in (line, *headers, "")).encode("latin-1")


class Memory(StringTransport):
    """A transport without a socket, which may be told twice that nobody produces."""

    def unregisterProducer(self) -> None:
        self.producer = None


class Long(WebSocketServerProtocol):
    """Lets in whoever offers a subprotocol, and writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def onConnect(self, request: Any) -> Deferred[str | None]:
        return self.admit(self.http_request_uri, request.headers.get("authorization"), request.protocols)

    def admit(self, target: str, authorization: str | None, offered: Any) -> Deferred[str | None]:
        self.told.append((target, authorization, list(offered)))
        return succeed(offered[0]) if offered else fail(ConnectionDeny(400, "nothing is offered"))

    def onOpen(self) -> None:
        self.told.append("open")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.told.append((payload, isBinary))

    def onPong(self, payload: bytes) -> None:
        self.told.append(("pong", payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.told.append(("closed", code))


class Short(FastHandshake, Long):  # type: ignore[misc]
    """The same, by the short way."""

    def __init__(self) -> None:
        super().__init__()
        self.told = []

    def admit(self, target: str, authorization: str | None, offered: Any) -> Deferred[str | None]:
        return Long.admit(self, target, authorization, offered)


def made(kind: type[Any], *, slim: bool) -> Any:
    """One of these protocols, on a connection in memory."""
    factory = WebSocketServerFactory(reactor=Clock(), server="ocppd")
    factory.setProtocolOptions(failByDrop=False, webStatus=False, openHandshakeTimeout=0, closeHandshakeTimeout=0)
    factory.protocol = slimmed(kind, factory) if slim else kind
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(Memory())
    return protocol


def came(protocol: Any, pieces: list[bytes]) -> tuple[Any, ...]:
    """What came of these bytes, in these pieces, and of the end of the connection."""
    for piece in pieces:
        protocol.dataReceived(piece)
    answer, state = protocol.transport.value(), protocol.state
    protocol.connectionLost(Failure(ConnectionDone()))
    return protocol.told, answer, state, protocol.transport.disconnecting


LINES = st.sampled_from(
    ["GET /x/CP1 HTTP/1.1"] * 6
    + ["GET / HTTP/1.1", "GET //h/CP HTTP/1.1", "GET /x?y=1 HTTP/1.1", "GET /x#y HTTP/1.1", "GET http://h/x HTTP/1.1"]
    + ["POST /x HTTP/1.1", "GET /x HTTP/1.0", "GET  /x HTTP/1.1", "GET /x", "GET /a%20b;c=1 HTTP/1.1", "GET /\xe4 HTTP/1.1"]
)
ODDITIES = st.sampled_from(
    [
        *("Host: h", "Host: other:99999", "Host: h:x", "Host: [::1]:80", "Upgrade: h2c, websocket", "upgrade:WebSocket"),
        *("Connection: keep-alive, Upgrade", "Connection: close", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 013"),
        *(
            "Sec-WebSocket-Version: x",
            "Sec-WebSocket-Key: short",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==",
            "Origin: file://",
        ),
        *("Origin: http://elsewhere", "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: x; y=", OFFER),
        *("Sec-WebSocket-Protocol: ocpp2.0.1, ocpp1.6", "Sec-WebSocket-Protocol: a, a", "Sec-WebSocket-Protocol: ,a", "X:"),
        *(
            "X-Forwarded-For: 1.2.3.4",
            "Authorization: Basic Q1AxOnB3",
            "Authorization:  Basic x ",
            " folded",
            "no colon",
            "X: \xff",
        ),
        *("X: a\x0bHost: b", "X: a\tb", "X_Y: z", "User-Agent: charger/1.0"),
    ]
)


class FastHandshakeTests(SynchronousTestCase):
    """Tests for the short way beside the long one."""

    @settings(max_examples=500, deadline=None)
    @given(
        LINES,
        st.lists(st.sampled_from(USUAL), max_size=1),
        st.lists(ODDITIES, max_size=2),
        st.booleans(),
        st.sampled_from([b"", frame(TEXT, b"hello"), frame(PONG, b"time"), b"\x81"]),
        st.lists(st.integers(0, 400), max_size=3),
    )
    def test_both_ways_are_one(
        self, line: str, missing: list[str], odd: list[str], offers: bool, rest: bytes, cuts: list[int]
    ) -> None:
        """Whatever is missing, odd, or said twice, in whatever pieces: the same checks, answer, state and messages."""
        headers = [header for header in (*USUAL, *([OFFER] if offers else [])) if header not in missing]
        data = request(*headers, *odd, line=line) + rest
        places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
        pieces = [data[begin:end] for begin, end in pairwise(places)]
        short, long = came(made(Short, slim=True), pieces), came(made(Long, slim=False), pieces)
        self.assertEqual(short, long)
        self.flushLoggedErrors()

    def test_the_short_way_is_taken(self) -> None:
        """A usual request is not seen by Autobahn, and nothing of it is kept."""
        protocol = made(Short, slim=True)
        protocol.dataReceived(request(*USUAL, OFFER, "User-Agent: charger/1.0", "Authorization: Basic Q1AxOnB3"))
        self.assertEqual(protocol.told, [("/x/CP1", "Basic Q1AxOnB3", ["ocpp1.6"]), "open"])
        self.assertEqual(set(vars(protocol)), {"factory", "transport", "connected", "told", "state", "data"})

    @given(st.binary(max_size=130), st.booleans(), st.booleans(), st.sampled_from([0, 0, 4]), st.booleans())
    def test_pongs(self, payload: bytes, fin: bool, masked: bool, rsv: int, inside: bool) -> None:
        """A pong is told as Autobahn tells it, whatever is wrong, alone or within a message, and leaves nothing behind."""
        pieces = [request(*USUAL, OFFER), *([frame(TEXT, b"hel", fin=False)] if inside else [])]
        pieces.append(frame(PONG, payload, fin=fin, masked=masked, rsv=rsv))
        short = made(Short, slim=True)
        self.assertEqual(came(short, pieces), came(made(Long, slim=False), pieces))
        if fin and masked and not (rsv or inside) and len(payload) < 126:
            self.assertNotIn("current_frame", vars(short))

    def test_leftovers_of_the_long_way(self) -> None:
        """What the long way leaves behind can be dropped: the connection goes on without it."""
        protocol = made(Short, slim=True)
        protocol.dataReceived(request(*USUAL, OFFER, "Sec-WebSocket-Extensions: permessage-deflate"))
        protocol.drop_leftovers()
        self.assertFalse(hasattr(protocol, "http_headers"))
        protocol.dataReceived(frame(TEXT, b"hello"))
        self.assertEqual(protocol.told[1:], ["open", (b"hello", False)])

    def test_what_comes_while_it_is_answered(self) -> None:
        """What a charger sends before its answer is read after it, and it is asked about once."""
        protocol = made(Short, slim=True)
        waiting: Deferred[str | None] = Deferred()
        protocol.admit = lambda *_: waiting
        protocol.dataReceived(request(*USUAL, OFFER))
        protocol.dataReceived(frame(TEXT, b"hello"))
        self.assertEqual((protocol.told, protocol.transport.value()), ([], b""))
        waiting.callback("ocpp1.6")
        self.assertEqual(protocol.told, ["open", (b"hello", False)])

    def test_an_unknown_part(self) -> None:
        """Where Autobahn gives its connections what is not known here, they stay as it makes them."""

        class New(Short):  # type: ignore[misc]
            @property
            def log(self) -> Any:
                self.news: list[int] = []
                return Long.log

        protocol = made(New, slim=True)
        self.assertFalse(protocol.slim)
        self.assertIn("trafficStats", vars(protocol))
        self.assertEqual(protocol.state, WebSocketProtocol.STATE_CONNECTING)

    def test_what_is_usual(self) -> None:
        """Chargers' requests as they are."""
        self.assertIsNotNone(read_upgrade(request(*USUAL)[:-2]))
        self.assertIsNone(read_upgrade(request(*USUAL, "Host: h")[:-2]))
        self.assertIsNone(read_upgrade(request(*USUAL, "X: ä")[:-2]))
