"""The short way of an upgrade request, around Autobahn's long one. RFC 6455 section 4.2.

Nearly every handshake is one request without anything unusual in it. Such a one, and no other, is read and answered here, with
the same checks behind it and the same bytes in the answer. Whatever differs goes to Autobahn untouched: other methods and
versions, hosts that are no plain name, headers that come twice or are not printable, extensions, an Origin, and every mistake.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, Final

from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ocppd.net.fast_frames import TRANSPORT, write
from ocppd.net.slim import Slim

END_OF_HEAD: Final = b"\r\n\r\n"
_HEAD: Final = re.compile(
    r"GET (/(?:[!-\"$-.0->@-~][!-\"$->@-~]*)?) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+: ?[!-~](?:[ -~]*[!-~])?\r\n)+)", re.ASCII
)
_HEADER: Final = re.compile(r"([A-Za-z0-9-]+): ?([ -~]*)\r\n", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==", re.ASCII)
_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ACCEPT: Final = b"".join(
    (
        b"HTTP/1.1 101 Switching Protocols\r\nServer: %b\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n",
        b"%bSec-WebSocket-Accept: %b\r\n\r\n",
    )
)
#: Headers that Autobahn looks into.
_UNUSUAL: Final = ("origin", "sec-websocket-extensions", "x-forwarded-for")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request to become a WebSocket, as it should be."""

    target: str
    host: str
    key: str
    authorization: str | None
    #: The subprotocols that are offered, in their order.
    protocols: Sequence[str]


def read_upgrade(head: bytes) -> Upgrade | None:
    """The request in `head`, which ends with its last header's line; None where anything about it is unusual."""
    try:
        found = _HEAD.fullmatch(head.decode("ascii"))
    except UnicodeDecodeError:
        return None
    if found is None:
        return None
    target, lines = found.groups()
    pairs = _HEADER.findall(lines)
    headers = {name.lower(): value for name, value in pairs}
    get = headers.get
    host, key = get("host", ""), get("sec-websocket-key", "")
    plain = (
        len(headers) == len(pairs)
        and get("upgrade", "").lower() == "websocket"
        and "upgrade" in (token.strip().lower() for token in get("connection", "").split(","))
        and get("sec-websocket-version") == "13"
        and _KEY.fullmatch(key) is not None
        and _HOST.fullmatch(host) is not None
        and not any(name in headers for name in _UNUSUAL)
    )
    offered = get("sec-websocket-protocol")
    protocols = () if offered is None else tuple(each.strip() for each in offered.split(","))
    if not plain or len(set(protocols)) < len(protocols):
        return None
    return Upgrade(target, host, key, get("authorization"), protocols)


def accepted(key: str) -> bytes:
    """The value of Sec-WebSocket-Accept for the key of a request."""
    return b64encode(sha1(key.encode() + _MAGIC, usedforsecurity=False).digest())


class FastHandshake(Slim):
    """Mixed into a server's WebSocketServerProtocol, before it; the short way is taken where its class is slim."""

    #: The request that came by the short way, until it is answered.
    _upgrade: Upgrade | None = None

    def admit(self, target: str, authorization: str | None, offered: Sequence[str]) -> Deferred[str | None]:
        """The subprotocol to speak, or a failure with ConnectionDeny."""
        raise NotImplementedError

    def processHandshake(self) -> None:
        """See whether the request is complete, and have it answered."""
        own: Any = self
        end = own.data.find(END_OF_HEAD) if self.slim and self._upgrade is None else -1
        usual = end >= 0 and not (own.factory.externalPort or own.maxConnections)
        upgrade = read_upgrade(own.data[: end + 2]) if usual else None
        if upgrade is None:
            if self._upgrade is None:  # else it is being answered, and what follows it waits
                super().processHandshake()  # type: ignore[misc]
            return
        own.data = own.data[end + 4 :]
        self._upgrade = upgrade
        admitted = self.admit(upgrade.target, upgrade.authorization, upgrade.protocols)
        admitted.addCallbacks(self.succeedHandshake, self._denied)

    def _denied(self, failure: Failure) -> None:
        own: Any = self
        if isinstance(failure.value, ConnectionDeny):
            own.failHandshake(failure.value.reason, failure.value.code)
            return
        own.log.warn("{tb}", tb=failure.getTraceback())
        own.failHandshake(f"Internal server error: {failure.value}", ConnectionDeny.INTERNAL_SERVER_ERROR)

    def succeedHandshake(self, result: str | None) -> None:
        """Answer the request: it is a WebSocket from now on."""
        upgrade, own = self._upgrade, self
        if upgrade is None:
            super().succeedHandshake(result)  # type: ignore[misc]
            return
        its: Any = own
        named = b"" if result is None else b"Sec-WebSocket-Protocol: %b\r\n" % result.encode()
        answer = _ACCEPT % (its.factory.server.encode(), named, accepted(upgrade.key))
        transport = its.transport
        if type(transport) is tcp.Server and not transport.TLS and all(hasattr(transport, name) for name in TRANSPORT):
            write(transport, answer)
        else:
            transport.write(answer)
        its.state = WebSocketProtocol.STATE_OPEN
        its.onOpen()
        del self._upgrade
        if its.data:
            its.consumeData()
