"""The short way of HTTP requests: what is plain is answered, anything else reaches Twisted Web untouched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from klein import Response
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.rest.access import AccessRules
from ocppd.net.rest.answers import json_answer, text_answer
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.short import ShortRoutes
from ocppd.net.short_way import CHANNEL, ShortWay

HOST = "Host: 127.0.0.1:9033\r\n"
JSON = "Content-Type: application/json\r\n"


def request(line: str = "GET /things/CP1 HTTP/1.1", headers: str = HOST, body: bytes = b"") -> bytes:
    """A request as bytes."""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{line}\r\n{headers}{length}\r\n".encode() + body


class Long(Protocol):
    """Stands for Twisted Web's protocol, which is its own channel: keeps what it is given."""

    timeOut = 60

    def __init__(self) -> None:
        self.received = b""
        self.requests: list[Any] = []
        self._buffer = b""
        self._channel = self
        self.closed = 0
        self.timeouts: list[int | None] = []
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True

    def resetTimeout(self) -> None:
        self.timeouts.append(-1)

    def setTimeout(self, period: int | None) -> None:
        self.timeouts.append(period)

    def timeoutConnection(self) -> None:
        self.closed += 1


class Site:
    """A site with two routes, and what it was told."""

    def __init__(self) -> None:
        self.stopping = False
        self.open: set[object] = set()
        self.lines: list[tuple[Any, ...]] = []
        self.waiting: Deferred[Response] = Deferred()
        self.asked: list[Any] = []
        self.gone: list[Any] = []
        routes = (Route("GET", "/things/<name>", self._get), Route("POST", "/things/<name>/do/<what>", self._post))
        api = SimpleNamespace(access=AccessRules())
        self.short = ShortRoutes(api, routes, self._health, lambda _, failure: text_answer(failure.type.__name__, 418))

    async def _get(self, api: Any, incoming: Incoming, name: str) -> Response:
        self.asked.append((name, incoming.request.uri))
        if name == "bad":
            raise LookupError
        return json_answer({"name": name}, 202, {"Location": "/x"})

    async def _post(self, api: Any, incoming: Incoming, name: str, what: str) -> Response:
        self.asked.append((name, what, incoming.json_object("Reset")))
        try:
            return await self.waiting
        except CancelledError:
            self.gone.append(name)
            raise

    async def _health(self, request: Any) -> Response:
        return text_answer("ok")

    def began(self, request: object) -> None:
        self.open.add(request)

    def finished(self, request: object) -> None:
        self.open.discard(request)

    def tell(self, ip: str, method: bytes, uri: bytes, code: int, sent: int) -> None:
        self.lines.append((ip, method, uri, code, sent))


class ShortWayTests(SynchronousTestCase):
    """One connection."""

    def setUp(self) -> None:
        """From this machine."""
        self.connect("127.0.0.1")

    def connect(self, host: str) -> None:
        """A connection from there."""
        self.site, self.long = Site(), Long()
        self.way = ShortWay(self.site, self.long)
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", host, 4711))
        self.way.makeConnection(self.transport)

    def answer(self) -> bytes:
        """What was written, without its date."""
        lines = self.transport.value().split(b"\r\n")
        self.transport.clear()
        return b"\r\n".join(line for line in lines if not line.startswith(b"Date: "))

    def test_a_plain_request(self) -> None:
        """It is answered as Twisted Web would, logged, and over."""
        self.way.dataReceived(request("GET /things/CP1?wait=1 HTTP/1.1", HOST + "User-Agent: x\r\nAccept: */*\r\n"))
        self.assertEqual(
            self.answer(),
            b"HTTP/1.1 202 Accepted\r\nServer: ocppd\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            b'Content-Type: application/json\r\nContent-Length: 14\r\nLocation: /x\r\n\r\n{"name":"CP1"}',
        )
        self.assertEqual(self.site.asked, [("CP1", b"/things/CP1?wait=1")])
        self.assertEqual(self.site.lines, [("127.0.0.1", b"GET", b"/things/CP1?wait=1", 202, 14)])
        self.assertEqual((self.long.received, self.site.open), (b"", set()))

    def test_a_body(self) -> None:
        """A route is given the body; the request is open until it is answered."""
        self.way.dataReceived(request("POST /things/CP1/do/Reset HTTP/1.1", HOST + JSON, b'{"type":"Soft"}'))
        self.assertEqual(self.site.asked, [("CP1", "Reset", {"type": "Soft"})])
        self.assertEqual((self.answer(), self.site.open), (b"", {self.way}))
        self.site.waiting.callback(text_answer("done"))
        self.assertTrue(self.answer().endswith(b"\r\n\r\ndone"))
        self.assertEqual(self.site.open, set())

    def test_a_body_that_comes_behind_its_head(self) -> None:
        """It is waited for once; what comes in more pieces is the long way's, all of it."""
        whole = request("POST /things/CP1/do/Reset HTTP/1.1", HOST + JSON, b'{"type":"Soft"}')
        self.site.waiting.callback(text_answer("done"))
        self.way.dataReceived(whole[:-15])
        self.assertEqual((self.site.asked, self.long.received), ([], b""))
        self.way.dataReceived(whole[-15:])
        self.assertTrue(self.answer().endswith(b"done"))
        for piece in (whole[:-15], whole[-15:-5], whole[-5:]):
            self.way.dataReceived(piece)
        self.assertEqual((len(self.site.asked), self.long.received), (1, whole))

    def test_errors(self) -> None:
        """What a route raises is told as it is everywhere, and the connection goes on."""
        self.way.dataReceived(request("GET /things/bad HTTP/1.1"))
        self.assertTrue(self.answer().endswith(b"LookupError"))
        self.way.dataReceived(request("GET /healthz HTTP/1.1"))
        self.assertTrue(self.answer().endswith(b"ok"))

    def test_what_is_unusual(self) -> None:
        """It goes the long way untouched, whatever is unusual about it, and nobody here is asked."""
        post = "POST /things/CP1/do/Reset HTTP/1.1"
        unusual = (
            request() + request(),
            request()[:-1],
            request("GET /things/CP1 HTTP/1.0"),
            request("GET  /things/CP1 HTTP/1.1"),
            request("DELETE /things/CP1 HTTP/1.1"),
            request("HEAD /things/CP1 HTTP/1.1"),
            *(request(f"GET {path} HTTP/1.1") for path in ("/things", "/things/", "/things/CP1/", "/things/a%20b", "/things/..")),
            *(
                request(f"GET {path} HTTP/1.1")
                for path in ("//things/CP1", "/things/CP1?a=\xff", "/things/a;b", "http://h/things/CP1")
            ),
            request(headers=""),
            *(request(headers=f"Host: {host}\r\n") for host in ("example.org", "localhost\r\nHost: localhost", "\xff")),
            *(request(headers=f"{HOST}{name}: x\r\n") for name in ("Origin", "X-Forwarded-For", "Via", "Sec-Fetch-Site")),
            *(request(headers=f"{HOST}{name}: x\r\n") for name in ("Idempotency-Key", "Expect", "Cookie", "Authorization")),
            request(headers=f"{HOST}Connection: close\r\n"),
            request(headers=f"{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n"),
            request(headers=f"{HOST}Transfer-Encoding: chunked\r\n"),
            request(headers=f"{HOST}Accept: a\r\n b\r\n"),
            request(headers=f"{HOST}Content-Length: -1\r\n"),
            request(headers=f"{HOST}Content-Length: 0\r\nContent-Length: 0\r\n"),
            request(headers=HOST + JSON, body=b"{}"),
            request(post, HOST, b"{}"),
            request(post, HOST + "Content-Type: text/plain\r\n", b"{}"),
            request(post, HOST + JSON, b"{}") + b" ",
            request(post, HOST + JSON, b" " * 65537),
            b"\r\n\r\n",
        )
        for data in unusual:
            self.connect("127.0.0.1")
            self.way.dataReceived(data)
            self.assertEqual((self.long.received, self.site.asked, self.answer()), (data, [], b""), data)

    def test_callers_that_are_not_let_in(self) -> None:
        """Who calls from elsewhere is told so by the long way; health is for everybody."""
        self.connect("192.0.2.1")
        self.way.dataReceived(request())
        self.assertEqual((self.long.received, self.site.asked), (request(), []))
        self.way.dataReceived(request("GET /healthz HTTP/1.1"))
        self.assertTrue(self.answer().endswith(b"ok"))

    def test_stopping(self) -> None:
        """A daemon that stops answers by the long way alone."""
        self.site.stopping = True
        self.way.dataReceived(request())
        self.assertEqual(self.long.received, request())

    def test_while_the_long_way_is_busy(self) -> None:
        """What comes behind a part of a request, or while one is carried out, is the long way's."""
        self.long._buffer = b"GET /"
        self.way.dataReceived(request())
        self.long._buffer, self.long.requests = b"", [object()]
        self.way.dataReceived(request())
        self.assertEqual(self.long.received, request() * 2)

    def test_what_comes_early(self) -> None:
        """A request that comes before the answer to the one before waits for it; much is not read before it."""
        self.way.dataReceived(request("POST /things/CP1/do/Reset HTTP/1.1"))
        self.way.dataReceived(request()[:10])
        self.way.dataReceived(request()[10:])
        self.assertEqual(self.transport.producerState, "producing")
        self.site.waiting.callback(text_answer("first"))
        first, second = self.answer().split(b"first")
        self.assertTrue(first and second.endswith(b'{"name":"CP1"}'))
        self.site.waiting = Deferred()
        self.way.dataReceived(request("POST /things/CP1/do/Reset HTTP/1.1"))
        self.way.dataReceived(b"x" * 20000)
        self.assertEqual(self.transport.producerState, "paused")
        self.site.waiting.callback(text_answer("third"))
        self.assertEqual((self.transport.producerState, self.long.received), ("producing", b"x" * 20000))

    def test_a_client_that_goes_away(self) -> None:
        """Its route is cancelled, as Klein does it, and the request is over."""
        self.way.dataReceived(request("POST /things/CP1/do/Reset HTTP/1.1"))
        self.way.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.site.gone, self.site.open, self.long.lost, self.answer()), (["CP1"], set(), True, b""))

    def test_silence(self) -> None:
        """A connection is not closed while a request is carried out, however long that takes."""
        self.way.dataReceived(request("POST /things/CP1/do/Reset HTTP/1.1"))
        self.long.timeoutConnection()
        self.assertEqual((self.long.closed, self.long.timeouts), (0, [60]))
        self.site.waiting.callback(text_answer("done"))
        self.long.timeoutConnection()
        self.assertEqual((self.long.closed, self.long.timeouts), (1, [60, -1]))

    def test_another_twisted(self) -> None:
        """Where a part of Twisted Web is missing everything goes the long way."""
        for name in CHANNEL:
            self.assertTrue(hasattr(self.long, name), name)
        self.way = ShortWay(self.site, Protocol())
        self.way._long_way.dataReceived = self.long.dataReceived
        self.way.makeConnection(self.transport)
        self.way.dataReceived(request())
        self.assertEqual(self.long.received, request())
