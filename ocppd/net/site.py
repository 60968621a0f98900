"""One port for chargers and operators: the first request decides. Decision 6 of docs/architecture.md.

A first request that asks for a WebSocket goes to Autobahn alone, so that a charger's connection carries no HTTP
channel for its life. An Upgrade that comes later on a kept-alive connection (a reverse proxy does that) is handed
over by Twisted Web, the slow way.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from autobahn.twisted.resource import WebSocketResource
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from twisted.web.server import Request, Site
from zope.interface import implementer

from ocppd.central.redaction import without_tokens
from ocppd.clock import Clock
from ocppd.net.ending import Ending
from ocppd.net.files.room import FileRoom
from ocppd.net.identity import plain_address
from ocppd.net.short_way import ShortWay
from ocppd.net.websocket import HANDSHAKE_TIMEOUT_S, ChargerFactory
from ocppd.net.wheel import Bucket, Wheel

log = Logger()

#: H-4: what a request line and its headers may take until they are complete; Twisted Web answers what is larger.
MAX_HEAD_BYTES: Final = 16 * 1024
END_OF_HEAD: Final = b"\r\n\r\n"
#: Seconds of silence on a kept-alive HTTP connection.
IDLE_TIMEOUT_S: Final = 60

#: Paths that are asked for every few seconds.
PROBES: Final = frozenset({"/healthz", "/readyz"})

_UPGRADE: Final = re.compile(rb"^upgrade:[^\r\n]*\bwebsocket\b", re.IGNORECASE | re.MULTILINE)


def asks_for_websocket(head: bytes) -> bool:
    """Whether a request head asks to become a WebSocket."""
    return _UPGRADE.search(head) is not None


class FirstRequest(Protocol):
    """Waits for the head of the first request, then gives the transport to the protocol it asks for."""

    def __init__(self, port: OnePort, address: IAddress | None) -> None:
        self._port = port
        self._address = address
        self._received = b""
        self._bucket: Bucket | None = None
        self._waiting = False
        self._early = False

    def connectionMade(self) -> None:
        """A peer that sends nothing is not kept."""
        self._waiting = True
        self._early = not self._port.ending.refusing
        self._port.ending.handshake_began()
        self._bucket = self._port.wheel.put(self, HANDSHAKE_TIMEOUT_S)

    def dataReceived(self, data: bytes) -> None:
        """Collect until the head is complete, or is too large to become anything but an error of Twisted Web."""
        self._received += data
        end = self._received.find(END_OF_HEAD)
        if end >= 0 or len(self._received) > MAX_HEAD_BYTES:
            head = self._received[: end + 2] if end >= 0 else b""
            self._become(self._port.chargers if asks_for_websocket(head) else self._port.site)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Gone before it said what it wants."""
        self._stop_waiting()
        self._over()

    def _become(self, factory: Any) -> None:
        self._stop_waiting()
        protocol = factory.buildProtocol(self._address)
        if factory is self._port.chargers:
            protocol.came_early = self._early
        received, self._received = self._received, b""
        hand_over(self.transport, protocol)
        protocol.dataReceived(received)
        self._over()  # now, and not before: a charger's handshake goes on in its own protocol

    def due(self) -> None:
        """It has taken too long."""
        self._bucket = None
        transport: Any = self.transport
        transport.abortConnection()

    def _over(self) -> None:
        if self._waiting:
            self._waiting = False
            self._port.ending.handshake_over()

    def _stop_waiting(self) -> None:
        bucket, self._bucket = self._bucket, None
        if bucket is not None:
            self._port.wheel.take(self, bucket)


def hand_over(transport: Any, protocol: Any) -> None:
    """Make `protocol` the one that the transport talks to; TLS is a protocol that wraps another."""
    if isinstance(transport, ProtocolWrapper):
        cast(Any, transport).wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)


class ApiSite(Site):
    """The HTTP side of the port."""

    displayTracebacks = False
    noisy = False

    def __init__(self, resource: IResource, request: type[Request], chargers: ChargerFactory, reactor: Any) -> None:
        super().__init__(resource, requestFactory=request, timeout=IDLE_TIMEOUT_S, reactor=reactor)
        self._ending = chargers.door.ending
        self.short: Any = getattr(resource, "short", None)
        self._websocket = WebSocketResource(chargers)
        self._open: set[Any] = set()
        self._answered: Deferred[None] | None = None

    def answered(self) -> Deferred[None]:
        """Fires once every request that is in progress has been answered; for one caller, when the daemon stops."""
        if not self._open:
            return succeed(None)
        self._answered = Deferred()
        return self._answered

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """One for a connection, with the short way before it."""
        long_way: Any = super().buildProtocol(addr)
        return long_way if self.short is None else ShortWay(self, long_way)

    @property
    def stopping(self) -> bool:
        """Whether the daemon stops, so that requests are answered otherwise than ever."""
        return self._ending.begun or self._ending.closing is not None

    def began(self, request: object) -> None:
        """A request is being carried out."""
        self._open.add(request)

    def finished(self, request: object) -> None:
        """It has been answered, or its client is gone."""
        self._open.discard(request)
        if not self._open and self._answered is not None:
            answered, self._answered = self._answered, None
            answered.callback(None)

    def log(self, request: Any) -> None:
        """One line per request, without its query; probes are no news."""
        ip = plain_address(getattr(request.getClientAddress(), "host", "") or "")
        self.tell(ip, request.method, request.uri, request.code, request.sentLength)

    @staticmethod
    def tell(ip: str, method: bytes, uri: bytes, code: int, sent: int) -> None:
        """The same of a request that is no object of Twisted Web's."""
        path = without_tokens(uri.partition(b"?")[0].decode("latin-1"))
        note = log.debug if path in PROBES else log.info
        note(
            "{ip} {method} {path} {code} {sent}",
            ip=ip, method=method.decode("latin-1"), path=path, code=code, sent=sent,
        )  # fmt: skip

    def getResourceFor(self, request: Any) -> Any:
        """The chargers' door for an Upgrade on a kept-alive connection, else what the API has at this path."""
        request.setHeader(b"server", b"ocppd")
        upgrade = request.getHeader(b"upgrade") or b""
        if b"websocket" in upgrade.lower():
            return self._websocket
        if self._ending.begun:  # the client's next request is for another node
            request.setHeader(b"connection", b"close")
            request.channel.persistent = False
        self._open.add(request)
        request.notifyFinish().addBoth(lambda _: self.finished(request))
        return super().getResourceFor(request)


@implementer(IProtocolNegotiationFactory)
class OnePort(Factory):
    """The factory of the port."""

    noisy = False

    def __init__(self, chargers: ChargerFactory, site: Site, clock: Clock, ending: Ending) -> None:
        self.chargers = chargers
        self.site = site
        self.wheel = Wheel(clock)
        self.ending = ending
        #: The file room, which is to be tidied now and then.
        self.files: FileRoom | None = None

    def acceptableProtocols(self) -> list[bytes]:
        """What a TLS endpoint may agree on by ALPN: without this a client that offers anything is refused."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """The port listens."""
        self.site.doStart()

    def stopFactory(self) -> None:
        """The port has stopped."""
        self.site.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """One per connection."""
        return FirstRequest(self, addr)
