"""A charge point made of raw frames, for tests of what is on the wire. Knows no OCPP beyond the shape of a frame."""

from __future__ import annotations

import base64
import json
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

#: Longer than any answer takes; a test that waits so long has failed.
PATIENCE_S = 30.0


def within(waiting: Deferred[Any], seconds: float = PATIENCE_S) -> Deferred[Any]:
    """`waiting`, failing with TimeoutError after `seconds`."""
    return waiting.addTimeout(seconds, reactor)


class Peer(WebSocketClientProtocol):
    """One WebSocket to the central system. `closed` fires with the close code that came over the wire."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[Peer] = Deferred()
        self.closed: Deferred[int | None] = Deferred()
        self._frames: DeferredQueue[Any] = DeferredQueue()
        self._next_id = 0

    def onOpen(self) -> None:
        self.opened.callback(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._frames.put(json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.opened.called:
            self.opened.errback(Failure(ConnectionRefusedError(reason or "")))
        self.closed.callback(code)

    # What tests do

    def send(self, frame: Any) -> None:
        """Send a frame: text and bytes as they are, anything else as JSON."""
        data = frame if isinstance(frame, bytes) else frame.encode() if isinstance(frame, str) else json.dumps(frame).encode()
        self.sendMessage(data)

    async def frame(self) -> Any:
        """The next frame that comes."""
        return await within(self._frames.get())

    async def ask(self, frame: Any) -> Any:
        """Send, and give the next frame that comes."""
        self.send(frame)
        return await self.frame()

    async def call(self, action: str, payload: dict[str, Any] | None = None) -> Any:
        """Send a CALL and give its answer, which must be the next frame."""
        self._next_id += 1
        message_id = f"peer-{self._next_id}"
        answer = await self.ask([2, message_id, action, payload or {}])
        assert answer[1] == message_id, answer
        return answer

    async def boot(self) -> Any:
        """BootNotification; gives the payload of the answer."""
        answer = await self.call("BootNotification", {"chargePointVendor": "Vendor", "chargePointModel": "Model"})
        assert answer[0] == 3, answer
        return answer[2]

    async def silence(self) -> None:
        """Nothing else was on its way: a heartbeat's answer is the next frame."""
        answer = await self.call("Heartbeat")
        assert answer[0] in (3, 4), answer

    async def leave(self, code: int = 1000) -> None:
        """Close and wait until it is over."""
        self.sendClose(code)
        await within(self.closed)


async def connect(
    port: int, path: str = "/ocppj/1.6/CP1", *, protocols: tuple[str, ...] = ("ocpp1.6",), password: bytes | None = None
) -> Peer:
    """Connect and wait for the handshake. Raises ConnectionRefusedError where it is refused."""
    headers = {}
    if password is not None:
        name = path.rpartition("/")[2].encode()
        headers["Authorization"] = f"Basic {base64.b64encode(name + b':' + password).decode()}"
    factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}{path}", protocols=list(protocols), headers=headers, reactor=reactor)
    factory.protocol = Peer
    factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=PATIENCE_S, closeHandshakeTimeout=PATIENCE_S)
    peer: Peer = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
    await within(peer.opened)
    return peer


class RawClient(Protocol):
    """A TCP connection that collects what comes."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Deferred[bytes] = Deferred()
        self._waiting: list[tuple[bytes, Deferred[bytes]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        for wanted, waiting in list(self._waiting):
            if wanted in self.received:
                self._waiting.remove((wanted, waiting))
                waiting.callback(self.received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(self.received)

    def until(self, wanted: bytes) -> Deferred[bytes]:
        """Everything received, once `wanted` is in it."""
        waiting: Deferred[bytes] = Deferred()
        if wanted in self.received:
            waiting.callback(self.received)
        else:
            self._waiting.append((wanted, waiting))
        return within(waiting)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        assert self.transport is not None
        self.transport.write(data)

    def close(self) -> None:
        """End the connection."""
        assert self.transport is not None
        self.transport.loseConnection()


async def raw(port: int) -> RawClient:
    """A TCP connection."""
    client: RawClient = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), RawClient())
    return client


def upgrade(path: str, *headers: str, host: str = "localhost") -> bytes:
    """A WebSocket upgrade request; `headers` are added as they are."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Response:
    """The head of an HTTP answer."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split()[1])
        self.headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def header(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for found, value in self.headers if found == name.lower()]


async def handshake(port: int, path: str, *headers: str) -> Response:
    """Ask for an upgrade and give the answer; the connection is closed."""
    client = await raw(port)
    client.write(upgrade(path, *headers))
    response = Response(await client.until(b"\r\n\r\n"))
    client.close()
    await within(client.lost)
    return response
