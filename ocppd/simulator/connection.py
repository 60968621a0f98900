"""The WebSocket of a charger, on Autobahn: opening it, texts both ways, how it was closed. OCPP-J 1.6 sections 3 and 6.

Knows no frames. Who uses it is a `LinkUser`; what it is to them is a `Link`.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast
from urllib.parse import quote, urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from OpenSSL import crypto
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError, VerifyError
from twisted.internet.ssl import Certificate, KeyPair, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates
from twisted.python.failure import Failure

from ocppd.simulator.failures import HandshakeRefused

SUBPROTOCOL = "ocpp1.6"
#: REQUIREMENTS Z-1: a password may be any bytes; on a command line they are written in hex behind this.
HEX_PREFIX = "hex:"
#: As long as the central system itself waits (REQUIREMENTS, appendix A).
OPEN_TIMEOUT_S = 15
CLOSE_TIMEOUT_S = 5
#: A pong is due within this many seconds after a ping of ours.
PONG_TIMEOUT_S = 20
#: Autobahn's close code for "no closing handshake"; it never stands on the wire (RFC 6455 section 7.4.1).
ABNORMAL = 1006


@dataclass(frozen=True, slots=True)
class Closed:
    """How a connection ended: the close code and its text; 1006 where the TCP connection simply went away."""

    code: int
    reason: str


class Link(Protocol):
    """An open connection."""

    def send(self, data: bytes) -> None:
        """Write one text message; nothing is written when the connection is closing."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake."""

    def abort(self) -> None:
        """Drop the TCP connection without a word."""


class LinkUser(Protocol):
    """Who is told what happens on a link."""

    def link_received(self, link: Link, data: bytes) -> None:
        """A text message came."""

    def link_closed(self, link: Link, closed: Closed) -> None:
        """The link is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a charger connects, and as whom.

    `password` is any bytes (REQUIREMENTS Z-1). `authority_pem` are the roots that are trusted in place of the system's,
    `certificate_pem` a certificate with its key for security profile 3. `ping_interval_s` 0 sends no pings (P-2).
    """

    url: str
    name: str
    password: bytes | None = field(default=None, repr=False)
    ping_interval_s: float = 0
    #: The subprotocols to offer, where they are not the usual one.
    offers: tuple[str, ...] | None = None
    authority_pem: bytes | None = None
    certificate_pem: bytes | None = field(default=None, repr=False)

    @property
    def full_url(self) -> str:
        """The endpoint's URL, then the name percent-encoded (OCPP-J 3.1.1, REQUIREMENTS U-1)."""
        return f"{self.url.rstrip('/')}/{quote(self.name, safe='')}"

    @property
    def headers(self) -> dict[str, str]:
        """HTTP Basic credentials, where there is a password (OCPP-J 6.2)."""
        if self.password is None:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(self.name.encode() + b":" + self.password).decode("ascii")}


#: Opens a link for an address and its user; fails with HandshakeRefused or what the network says.
Opener = Callable[[Address, LinkUser], Awaitable[Link]]


def password_bytes(text: str) -> bytes:
    """A password as it is written in options and configuration. Raises ValueError where `hex:` is not followed by hex."""
    return bytes.fromhex(text[len(HEX_PREFIX) :]) if text.startswith(HEX_PREFIX) else text.encode()


class _Protocol(WebSocketClientProtocol):
    """Translates Autobahn's callbacks; knows its user through the factory."""

    factory: _Factory
    refusal: HandshakeRefused | None = None

    def onOpen(self) -> None:
        self.factory.opened.callback(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if not isBinary:
            self.factory.user.link_received(self, payload)

    def failHandshake(self, reason: str) -> None:
        status = getattr(self, "http_status_line", "").split()
        number = int(status[1]) if len(status) > 1 and status[1].isdigit() and status[1] != "101" else None
        self.refusal = HandshakeRefused(number, " ".join(status[2:]) if number else reason)
        super().failHandshake(reason)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.factory.opened.called:
            self.factory.user.link_closed(self, Closed(code or ABNORMAL, reason or ""))
        else:
            self.factory.opened.errback(Failure(self.refusal or HandshakeRefused(None, reason or "connection closed")))

    def send(self, data: bytes) -> None:
        if self.state == self.STATE_OPEN:
            self.sendMessage(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.sendClose(code, reason or None)

    def abort(self) -> None:
        self.dropConnection(abort=True)


class _Factory(WebSocketClientFactory):
    """Serves one connection. Its log is quiet: a thousand chargers would say everything a thousand times."""

    noisy = False
    protocol = _Protocol

    def __init__(self, reactor: Any, address: Address, user: LinkUser) -> None:
        offers = [SUBPROTOCOL] if address.offers is None else list(address.offers)
        super().__init__(address.full_url, protocols=offers, headers=address.headers, reactor=reactor)
        self.user = user
        self.opened: Deferred[Link] = Deferred()
        self.setProtocolOptions(
            failByDrop=False,
            openHandshakeTimeout=OPEN_TIMEOUT_S,
            closeHandshakeTimeout=CLOSE_TIMEOUT_S,
            serverConnectionDropTimeout=CLOSE_TIMEOUT_S,
            autoPingInterval=address.ping_interval_s,
            autoPingTimeout=PONG_TIMEOUT_S if address.ping_interval_s else 0,
        )


async def open_link(reactor: Any, address: Address, user: LinkUser) -> Link:
    """Connect, upgrade, and return the open link.

    Fails with HandshakeRefused where the central system says no or nobody listens, with ValueError for a URL that is none.
    `link_closed` is not called for what never was open.
    """
    factory = _Factory(reactor, address, user)
    try:
        await _endpoint(reactor, address).connect(factory)
    except (ConnectError, DNSLookupError, OSError) as failure:
        raise HandshakeRefused(None, str(failure)) from failure
    return await factory.opened


def _endpoint(reactor: Any, address: Address) -> Any:
    parts = urlsplit(address.url)
    secure = parts.scheme == "wss"
    host = parts.hostname or ""
    endpoint = HostnameEndpoint(reactor, host, parts.port or (443 if secure else 80))
    return wrapClientTLS(_tls(host, address), cast(Any, endpoint)) if secure else endpoint


def _tls(host: str, address: Address) -> Any:
    """What a charger of security profiles 2 and 3 checks and shows (white paper A00)."""
    trusted = None if address.authority_pem is None else trustRootFromCertificates([_root(address.authority_pem)])
    shown = None if address.certificate_pem is None else _own(address.certificate_pem)
    return optionsForClientTLS(host, trustRoot=trusted, clientCertificate=shown)


def _root(pem: bytes) -> Any:
    return Certificate.loadPEM(pem)


def _own(pem: bytes) -> Any:
    return PrivateCertificate.fromCertificateAndKeyPair(_root(pem), KeyPair.load(pem, 1))


def check_root(pem: bytes) -> None:
    """See that it can be trusted. Raises ValueError."""
    try:
        _root(pem)
    except crypto.Error:
        raise ValueError("this is no certificate in PEM") from None


def check_own(pem: bytes) -> None:
    """See that it can be shown. Raises ValueError."""
    try:
        _own(pem)
    except (crypto.Error, VerifyError):
        raise ValueError("expected a certificate and its key in PEM, both in this file") from None
