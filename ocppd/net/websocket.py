"""The chargers' door: the handshake and its order of checks, limits, pings, close codes. REQUIREMENTS 1.1 to 1.3, 1.8.

What a message means is `ocppd.central.connection`'s business. The parts of Autobahn that are touched here and are not
documented: `sendCloseFrame` (its public `sendClose` refuses the codes that a server must use), `failHandshake` and
`succeedHandshake` (overridden), `closeHandshakeTimeoutCall`; those of `fast_frames`, `fast_handshake`, `slim` and `pings` are
named there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import ISSLTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.connection import Connection
from ocppd.central.system import CentralSystem
from ocppd.clock import Clock
from ocppd.config import ChargerSettings, Handshake
from ocppd.errors import StorageUnavailable, UnknownCharger
from ocppd.net.attempts import Lately, Tries
from ocppd.net.backpressure import Backpressure, guarded
from ocppd.net.credentials import origin_of, password_of
from ocppd.net.ending import Ending
from ocppd.net.fast_frames import FastFrames
from ocppd.net.fast_handshake import FastHandshake
from ocppd.net.identity import BadIdentity, NoEndpoint, base_url_of, identity_of, plain_address
from ocppd.net.login import Login, Verdict
from ocppd.net.overload import Overload
from ocppd.net.pings import PONG_TIMEOUT_S, Pings
from ocppd.net.slim import slim_transport, slimmed
from ocppd.net.wheel import Wheel
from ocppd.storage.records import ConnectedCharger

log = Logger()

SUBPROTOCOL: Final = "ocpp1.6"
#: F-13: a fat StopTransaction must fit, or the charger repeats it for ever.
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
#: H-4: from the first byte to the end of the handshake.
HANDSHAKE_TIMEOUT_S: Final = 15
#: How long a closing charger may take to confirm the close before its TCP connection is dropped.
CLOSE_TIMEOUT_S: Final = 5
#: Handshakes whose records are being looked up: some seconds of work. Beyond it a reconnect storm is told to wait (C-5).
PENDING_HANDSHAKES_LIMIT: Final = 2000
#: Z-3: wrong passwords per charger and origin within WINDOW_S, those under way included; others are not even looked at.
WRONG_PASSWORDS_LIMIT: Final = 10
WINDOW_S: Final = 60.0
#: Chargers and addresses that are counted for it, and for the log.
KEYS_KEPT: Final = 10_000
#: How soon a refused charger may come back while we are shutting down or storage is down.
RETRY_AFTER_S: Final = 10

UNSUPPORTED_DATA_CLOSE: Final = 1003
PROTOCOL_ERROR_CLOSE: Final = 1002
INTERNAL_ERROR_CLOSE: Final = 1011
REASON_BYTES: Final = 123  # RFC 6455 5.5: a control frame has 125 bytes, two of them are the code


@dataclass(frozen=True, slots=True)
class Door:
    """What a handshake needs to know."""

    central: CentralSystem
    charger_paths: tuple[str, ...]
    handshake: Handshake
    clock: Clock
    ending: Ending


@dataclass(frozen=True, slots=True)
class Admitted:
    """A handshake that passed every check."""

    settings: ChargerSettings
    known: ConnectedCharger
    #: None: complete it without naming one.
    subprotocol: str | None
    #: The charger speaks nothing that we do: complete the handshake, then close (W-2, `spec`).
    unspoken: bool


class Refusal(ConnectionDeny):
    """A handshake that gets an HTTP error, with headers that Autobahn's own exception does not carry (H-3)."""

    def __init__(self, code: int, reason: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(int(code), reason)
        self.headers = headers


class ChargerProtocol(Pings, FastFrames, FastHandshake, WebSocketServerProtocol):
    """The WebSocket of one charger; the `Link` of its connection."""

    factory: ChargerFactory
    closeHandshakeTimeoutCall: Any

    _admitted: Admitted | None = None
    _connection: Connection | None = None
    backpressure: Backpressure | None = None
    _refusal_headers: tuple[tuple[str, str], ...] = ()
    #: Whether the TCP connection was there before handshakes were refused.
    came_early = False
    _opening = False
    _gone = False
    #: By the Host of its handshake. A proxy that ends TLS hides that it is `https:` (docs/operations.md).
    base_url: str | None = None

    # The handshake

    def connectionMade(self) -> None:
        """A connection asks to become a charger's."""
        self._opening = True
        self.factory.door.ending.handshake_began()
        super().connectionMade()
        if self.slim:
            self.await_handshake()

    def _opened(self) -> None:
        if self._opening:
            self._opening = False
            self.factory.door.ending.handshake_over()

    def onConnect(self, request: Any) -> Deferred[str | None]:
        """The request has come by the long way."""
        return self.admit(self.http_request_uri, request.headers.get("authorization"), request.protocols)

    def admit(self, target: str, authorization: str | None, offered: Sequence[str]) -> Deferred[str | None]:
        """The checks 3 to 8 of REQUIREMENTS 1.3, in that order; Autobahn has done 2, or the short way."""
        try:
            settings = self._identify(target)
        except Refusal:
            return fail().addErrback(self._refused)
        self.factory.pending += 1
        if settings.needs_password or authorization is not None:
            checked = Deferred.fromCoroutine(self._check_password(settings, authorization))
            admitted = checked.addCallback(lambda _: self._look_up(settings, offered))
        else:
            admitted = maybeDeferred(self._look_up, settings, offered)
        return admitted.addBoth(self.factory.looked_up).addErrback(self._refused)

    def _refused(self, failure: Failure) -> Failure:
        if isinstance(failure.value, Refusal):
            self._refusal_headers = failure.value.headers
        elif failure.check(StorageUnavailable):
            note = log.error if self.factory.refusals.add("") == 1 else log.debug  # the same for all of them
            note("{ip}: a charger is refused, {reason}", ip=self.remote_ip, reason=failure.getErrorMessage())
            self._refusal_headers = (("Retry-After", str(RETRY_AFTER_S)),)
            raise ConnectionDeny(int(HTTPStatus.SERVICE_UNAVAILABLE), "storage is not available")
        return failure

    def _look_up(self, settings: ChargerSettings, offered: Sequence[str]) -> Deferred[str | None]:
        """The charger may come in: issue its generation. Fails with Refusal or StorageUnavailable."""
        subprotocol, unspoken = self._subprotocol(settings, offered)
        if self._gone:  # while its password was being looked at
            raise Refusal(HTTPStatus.BAD_REQUEST, "it has gone")

        def admit(known: ConnectedCharger) -> str | None:
            if self._gone:
                self.factory.door.central.abandoned(settings.name, known)
                return None
            self._admitted = Admitted(settings, known, subprotocol, unspoken)
            return subprotocol

        return self.factory.door.central.connecting(settings.name, self.remote_ip).addCallback(admit)

    def _identify(self, target: str) -> ChargerSettings:
        door = self.factory.door
        refusing = door.ending.closing is not None or (door.ending.refusing and not self.came_early)
        if refusing or self.factory.pending >= PENDING_HANDSHAKES_LIMIT:
            reason = "shutting down" if refusing else "too many handshakes at once"
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, (("Retry-After", str(RETRY_AFTER_S)),))
        try:
            name = identity_of(target, door.charger_paths)
            return door.central.chargers.configured(name)
        except BadIdentity as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"bad identity: {error}") from None
        except NoEndpoint as error:
            raise Refusal(HTTPStatus.NOT_FOUND, str(error)) from None
        except UnknownCharger:
            door.central.chargers.refused(name, self.remote_ip)
            raise Refusal(HTTPStatus.NOT_FOUND, f"unknown charger {name}") from None

    async def _check_password(self, settings: ChargerSettings, header: str | None) -> None:
        if not settings.needs_password and header is None:
            return
        key = f"{origin_of(self.remote_ip)} {settings.name}"
        passwords = self.factory.passwords
        if not passwords.permits(key):
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong passwords", (("Retry-After", str(int(WINDOW_S))),))
        with passwords.one(key):
            login = await Login(self.factory.door.central.registry, settings).of(password_of(header, settings.name))
        if login is Verdict.WRONG:
            passwords.failed(key)
            reason = f"wrong or missing credentials for {settings.name}"
            raise Refusal(HTTPStatus.UNAUTHORIZED, reason, (("WWW-Authenticate", 'Basic realm="ocppd"'),))
        if login is Verdict.BY_DIGITS:
            self.factory.door.central.conformance.note(settings.name, "password-as-hex")

    def _subprotocol(self, settings: ChargerSettings, offered: Sequence[str]) -> tuple[str | None, bool]:
        """W-1 to W-3: the subprotocol to name in the answer, and whether the connection is to be closed for want of one."""
        if SUBPROTOCOL in offered:
            return SUBPROTOCOL, False
        if not offered and settings.assume_subprotocol:
            self.factory.door.central.conformance.note(settings.name, "subprotocol-missing")
            return None, False
        if self.factory.door.handshake is Handshake.SPEC:
            return None, True
        raise Refusal(HTTPStatus.BAD_REQUEST, f"the subprotocol {SUBPROTOCOL} is needed")

    def succeedHandshake(self, result: str | None) -> None:
        """Complete the handshake, unless the charger went away while its records were looked up."""
        if not self._gone:
            super().succeedHandshake(result)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """Refuse the handshake, unless the charger went away."""
        if not self._gone:
            super().failHandshake(reason, code, [*(responseHeaders or ()), *self._refusal_headers])

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """A complete HTTP answer; nothing of what the peer sent is in it."""
        phrase = HTTPStatus(code).phrase
        body = f"{phrase}\n".encode()
        headers = [
            ("Server", "ocppd"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *(responseHeaders or ()),
        ]
        if code == HTTPStatus.UPGRADE_REQUIRED:
            headers.append(("Upgrade", "websocket"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        # A charger tries again and again: its first refusal within the window is news.
        note = log.info if self.factory.refusals.add(f"{self.remote_ip} {reason}") == 1 else log.debug
        note("refused a handshake from {ip}: {code} {reason}", ip=self.remote_ip, code=int(code), reason=reason[:200])
        self.sendData(f"HTTP/1.1 {int(code)} {phrase}\r\n{lines}\r\n".encode() + body)

    # The connection

    def onOpen(self) -> None:
        """The handshake is complete."""
        self.wait_no_more()
        try:
            self._let_in()
        finally:
            self._opened()

    def _let_in(self) -> None:
        admitted = self._admitted
        assert admitted is not None, "`admit` was here"
        if admitted.unspoken:
            self.close(PROTOCOL_ERROR_CLOSE, f"the subprotocol {SUBPROTOCOL} is needed")
            return
        closing = self.factory.door.ending.closing
        if closing is not None:  # it was let in before, and its records took until now
            self.close(*closing)
            return
        self.backpressure = guarded(self.transport)
        if self._upgrade is None:
            host = self.http_headers.get("host", "")
            self.drop_leftovers()
        else:
            host = self._upgrade.host
        url = base_url_of(host, secure=ISSLTransport.providedBy(self.transport))
        self.base_url = url and sys.intern(url)
        central = self.factory.door.central
        try:
            self._connection = central.connected(admitted.settings, self, admitted.known)
        except Exception:  # the boundary: without a connection behind it the WebSocket would be deaf
            log.failure("{charger}: it cannot be served", charger=admitted.settings.name)
            self.close(INTERNAL_ERROR_CLOSE, "internal error")
            return
        self._admitted = None
        self.shorten()
        slim_transport(self.transport)
        self.begin_pings(admitted.settings.ping_interval_s)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """One message of the charger. An exception costs this message, not the connection.

        What comes after our close frame is dropped: no answer to it could be written, so the charger repeats it.
        """
        if self._connection is None or self.state != self.STATE_OPEN:
            return
        if isBinary:
            self.close(UNSUPPORTED_DATA_CLOSE, "only text messages are OCPP-J")
            return
        self.take(bytes(payload))

    def take(self, message: bytes) -> None:
        """One text message on an open connection."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.received(message)
        except Exception:  # the boundary: what Autobahn is told would end the connection
            log.failure("{charger}: a message could not be processed", charger=connection.name)
        if self.factory.overload.crowded:
            self.factory.overload.read(self.backpressure)

    def onMessageFrameEnd(self) -> None:
        """A piece of a message, which may be a long one: the charger is there (C-3)."""
        super().onMessageFrameEnd()
        if self._connection is not None:
            self._connection.alive()

    def onPing(self, payload: bytes) -> None:
        """The charger is there (C-3), and gets its pong (P-1)."""
        if self._connection is not None:
            self._connection.alive()
        super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """The charger is there (C-3)."""
        if self._connection is not None:
            self._connection.alive()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over, or never began."""
        self._gone = True
        self._opened()
        self.wait_no_more()
        if self.closeHandshakeTimeoutCall is not None:  # Autobahn leaves it behind where the peer drops the connection
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None
        self.probe_no_more()
        self.factory.overload.gone(self.backpressure)
        admitted, self._admitted = self._admitted, None
        if admitted is not None:
            self.factory.door.central.abandoned(admitted.settings.name, admitted.known)
        connection, self._connection = self._connection, None
        if connection is not None:
            self.factory.door.central.disconnected(connection, code, reason or "")

    # What the connection asks (central.connection.Link)

    @property
    def remote_ip(self) -> str:
        """The address of the peer, an IPv4-mapped one unmapped; empty where it has none (a Unix socket)."""
        return plain_address(getattr(self.transport.getPeer(), "host", ""))

    @property
    def open(self) -> bool:
        """Whether a message that is sent now is written."""
        return bool(self.state == self.STATE_OPEN)

    def close(self, code: int, reason: str) -> None:
        """Close with `code`; the peer receives it before the TCP connection ends."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code, _cut(reason), False)


class ChargerFactory(WebSocketServerFactory):
    """Makes the protocol of each charger's connection."""

    protocol = ChargerProtocol

    def __init__(self, door: Door, reactor: Any) -> None:
        super().__init__(protocols=[SUBPROTOCOL], server="ocppd", reactor=reactor)
        self.door = door
        self.overload = Overload(door.clock)
        #: Handshakes whose records are being looked up.
        self.pending = 0
        self.passwords = Tries(Lately(door.clock, WINDOW_S, KEYS_KEPT), WRONG_PASSWORDS_LIMIT)
        self.refusals = Lately(door.clock, WINDOW_S, KEYS_KEPT)
        self.setProtocolOptions(
            webStatus=False,
            failByDrop=False,
            echoCloseCodeReason=True,  # RFC 6455 5.5.1
            maxMessagePayloadSize=MAX_MESSAGE_BYTES,
            maxFramePayloadSize=MAX_MESSAGE_BYTES,
            openHandshakeTimeout=HANDSHAKE_TIMEOUT_S,
            closeHandshakeTimeout=CLOSE_TIMEOUT_S,
            autoPingTimeout=PONG_TIMEOUT_S,
            # Some WebSocket stacks send "Origin: file://"; an origin proves nothing about a charger.
            allowNullOrigin=True,
        )
        self.wheel = Wheel(door.clock)
        #: Connections since there was none.
        self.opened = 0
        self.protocol = slimmed(ChargerProtocol, self)

    def looked_up(self, result: Any) -> Any:
        """The records of a handshake are there, or are not to be had."""
        self.pending -= 1
        return result


def _cut(reason: str) -> bytes:
    return reason.encode()[:REASON_BYTES].decode("utf-8", "ignore").encode()
