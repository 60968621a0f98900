"""The short way of a text message, in and out, around Autobahn's long one. RFC 6455 section 5.2.

Nearly every message of a charger is one whole, masked, unfragmented text frame that arrives alone, on an open connection
where nothing is pending; and nearly every answer fits into the socket's buffer. Those, and nothing else, are read and
written here. Whatever differs in one bit goes to Autobahn untouched: fragments, control frames, bytes that are no UTF-8,
frames in pieces or several at once, compression, anything while a ping is out; TLS, and sockets that are full, to Twisted.

The parts of Autobahn and Twisted that are touched here and are not documented are named in `READING`, `WRITING` and
`TRANSPORT`; a connection where one of them is missing takes the long way.
"""

from __future__ import annotations

from typing import Any, Final

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet import tcp

try:  # in C: one call, where Autobahn's takes an object of C around it and four
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform, and no compiler either
    from websockets.utils import apply_mask

#: FIN and opcode 1: a whole text message.
WHOLE_TEXT: Final = 0x81
MASKED: Final = 0x80
#: Two bytes of head and four of mask, at least.
LEAST_HEAD: Final = 6
#: What seven bits of the head say where the length is in the next two bytes, or the next eight.
TWO_BYTES: Final = 126
LONGEST: Final = 0xFFFF
READING: Final = ("state", "data", "current_frame", "inside_message", "autoPingTimeoutCall", "_perMessageCompress")
WRITING: Final = ("send_queue", "sendMessage")
TRANSPORT: Final = ("TLS", "connected", "disconnecting", "_tempDataBuffer", "dataBuffer", "offset", "socket")

_OPEN: Final = WebSocketProtocol.STATE_OPEN


def unmasked(data: bytes, begin: int) -> bytes:
    """The payload at the end of `data`, whose mask ends at `begin`."""
    return apply_mask(data[begin:], data[begin - 4 : begin])


#: What a whole text frame of a server begins with, by its length.
_HEADS: Final = tuple(bytes((WHOLE_TEXT, length)) for length in range(TWO_BYTES))


def text_frame(payload: bytes) -> bytes:
    """A whole text frame of a server, of up to LONGEST bytes."""
    length = len(payload)
    if length < TWO_BYTES:
        return _HEADS[length] + payload
    return b"%c%c%b%b" % (WHOLE_TEXT, TWO_BYTES, length.to_bytes(2, "big"), payload)


def write(transport: Any, data: bytes) -> None:
    """Hand `data` to the socket now, where nothing waits to be written before it; the rest of it, or all, to the transport."""
    if transport.connected and not (transport.disconnecting or transport._tempDataBuffer or transport.dataBuffer):
        try:
            sent = transport.socket.send(data)
        except OSError:  # full, or gone: the transport finds out which
            sent = 0
        if sent == len(data):
            return
        data = data[sent:]
    transport.write(data)


class FastFrames:
    """Mixed into a server's WebSocketServerProtocol, before it; the short way is taken once `shorten` was called.

    What Autobahn counts of its traffic, and nobody asks for, is not counted here.
    """

    _reads_fast = False
    _writes_fast = False

    def take(self, message: bytes) -> None:
        """A whole text message came by the short way. To be overridden; may not raise."""
        raise NotImplementedError

    def shorten(self) -> None:
        """Take the short way from now on, where there is one. For an open connection, in the end of its handshake."""
        own: Any = self
        known = all(hasattr(own, name) for name in READING + WRITING) and own._perMessageCompress is None
        # No frame of the short way is beyond any limit there is.
        limits = (own.maxMessagePayloadSize, own.maxFramePayloadSize)
        if known and all(limit == 0 or limit >= LONGEST for limit in limits):
            self._reads_fast = True
            transport = own.transport
            plain = type(transport) is tcp.Server and all(hasattr(transport, name) for name in TRANSPORT)
            self._writes_fast = plain and not transport.TLS

    def dataReceived(self, data: bytes) -> None:
        """What has come: the whole text frame that it nearly always is, or anything."""
        own: Any = self
        if (
            self._reads_fast
            and len(data) > LEAST_HEAD
            and data[0] == WHOLE_TEXT
            and own.state == _OPEN
            and own.current_frame is None
            and own.autoPingTimeoutCall is None
            and not (own.data or own.inside_message)
        ):
            payload = whole_text(data)
            if payload is not None:
                self.take(payload)
                return
        super().dataReceived(data)  # type: ignore[misc]

    def send(self, payload: bytes) -> None:
        """Write a whole text message; it is dropped where the connection is closing."""
        own: Any = self
        if own.state != _OPEN:
            return
        if not self._writes_fast or len(payload) > LONGEST or own.send_queue:
            own.sendMessage(payload)
            return
        write(own.transport, text_frame(payload))


def whole_text(data: bytes) -> bytes | None:
    """The payload of the one whole, masked text frame that `data` is; None where it is anything else. RFC 6455 5.2, 5.6."""
    length, begin = data[1] - MASKED, LEAST_HEAD
    if length == TWO_BYTES:
        length, begin = (data[2] << 8) | data[3], LEAST_HEAD + 2
        if length < TWO_BYTES:  # not the shortest way to say it: Autobahn refuses that
            return None
    elif not 0 < length < TWO_BYTES:
        return None
    if len(data) != begin + length:
        return None
    payload = unmasked(data, begin)
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            return None
    return payload
