"""The short way of text messages: it does what Autobahn's long way does, whatever comes, in whatever pieces."""

from __future__ import annotations

import socket
from itertools import pairwise
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net import fast_frames
from ocppd.net.fast_frames import LONGEST, FastFrames, text_frame, unmasked, whole_text, write
from support.wire import BINARY, CLOSE, PING, PONG, TEXT, frame

LIMIT = LONGEST + 1000
UPGRADE = (
    b"GET /x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Memory(StringTransport):
    """A transport without a socket, which may be told twice that nobody produces."""

    def unregisterProducer(self) -> None:
        self.producer = None


class Long(WebSocketServerProtocol):
    """Writes down what it is given, and echoes texts."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, Any]] = []

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.told.append(("binary" if isBinary else "text", bytes(payload)))
        if not isBinary and self.state == self.STATE_OPEN:
            self.answer(bytes(payload))

    def answer(self, payload: bytes) -> None:
        self.sendMessage(payload)

    def onPong(self, payload: bytes) -> None:
        self.told.append(("pong", payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.told.append(("closed", code))


class Short(FastFrames, Long):  # type: ignore[misc]
    """The same, by the short way."""

    def onOpen(self) -> None:
        self.shorten()

    def take(self, message: bytes) -> None:
        self.onMessage(message, False)

    def answer(self, payload: bytes) -> None:
        self.send(payload)


def opened(kind: type[Any]) -> Any:
    """One of these protocols, on an open connection in memory."""
    factory = WebSocketServerFactory(reactor=Clock())
    factory.protocol = kind
    factory.setProtocolOptions(maxMessagePayloadSize=LIMIT, failByDrop=False, openHandshakeTimeout=0, closeHandshakeTimeout=0)
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(Memory())
    protocol.dataReceived(UPGRADE)
    assert protocol.state == WebSocketProtocol.STATE_OPEN
    protocol.transport.clear()
    return protocol


def answered(protocol: Any, pieces: list[bytes]) -> tuple[Any, ...]:
    """What came of these bytes, in these pieces."""
    for piece in pieces:
        protocol.dataReceived(piece)
    return protocol.told, protocol.transport.value(), protocol.state, protocol.transport.disconnecting


PAYLOADS = st.one_of(
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"", b"a" * 125, b"b" * 126, b"c" * 127, b"d" * 300, b"e" * LONGEST, b"f" * (LIMIT + 1)]),
    st.sampled_from([b"\xff", b"\xed\xa0\x80", b"x\xe2\x82"]),
)
TEXTS = st.builds(frame, st.just(TEXT), PAYLOADS)
ANYTHING = st.one_of(
    st.builds(
        frame,
        st.sampled_from([0, TEXT, TEXT, BINARY, 3, CLOSE, PING, PONG]),
        PAYLOADS,
        fin=st.booleans(),
        masked=st.sampled_from([True, True, True, False]),
        rsv=st.sampled_from([0, 0, 0, 4]),
    ),
    st.binary(max_size=12),
    # A length that is not told in the shortest way.
    st.just(b"\x81\xfe\x00\x05\x00\x00\x00\x00hello"),
)


class FastFramesTests(SynchronousTestCase):
    """Tests for the short way beside the long one."""

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.one_of(TEXTS, TEXTS, ANYTHING), max_size=6), st.lists(st.integers(0, 200), max_size=4), st.booleans())
    def test_both_ways_are_one(self, frames: list[bytes], cuts: list[int], whole: bool) -> None:
        """Whatever comes, each frame alone or in pieces: the same messages, answers and closes."""
        if whole:
            pieces = frames
        else:
            data = b"".join(frames)
            places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
            pieces = [data[begin:end] for begin, end in pairwise(places)]
        self.assertEqual(answered(opened(Short), pieces), answered(opened(Long), pieces))

    def test_a_limit(self) -> None:
        """Where a limit is smaller than what the short way takes, everything takes the long way."""
        protocol = opened(Short)
        protocol.maxMessagePayloadSize = LONGEST - 1
        protocol._reads_fast = protocol._writes_fast = False
        protocol.shorten()
        self.assertEqual((protocol._reads_fast, protocol._writes_fast), (False, False))

    def test_the_short_way_is_taken(self) -> None:
        """A whole text frame is not seen by Autobahn."""
        protocol = opened(Short)
        protocol._dataReceived = self.fail
        protocol.dataReceived(frame(TEXT, b'[2,"1","Heartbeat",{}]'))
        self.assertEqual(protocol.told, [("text", b'[2,"1","Heartbeat",{}]')])

    def test_while_a_ping_is_out(self) -> None:
        """While Autobahn waits for a pong it sees everything: any frame is as good as the pong."""
        protocol = opened(Short)
        protocol.autoPingInterval, protocol.autoPingTimeout = 5, 5
        protocol._sendAutoPing()
        self.assertIsNotNone(protocol.autoPingTimeoutCall)
        protocol.dataReceived(frame(TEXT, b"hello"))
        self.assertIsNone(protocol.autoPingTimeoutCall)
        self.assertEqual(protocol.told, [("text", b"hello")])
        protocol.connectionLost(Failure(ConnectionDone()))

    def test_without_a_part(self) -> None:
        """Where a private part is not there any more, everything takes the long way."""
        self.patch(fast_frames, "READING", ("no such part",))
        protocol = opened(Short)
        protocol.dataReceived(frame(TEXT, b"hello"))
        self.assertEqual((protocol._reads_fast, protocol._writes_fast), (False, False))
        self.assertEqual((protocol.told, protocol.transport.value()), ([("text", b"hello")], b"\x81\x05hello"))

    @given(st.binary(min_size=1, max_size=700), st.binary(min_size=4, max_size=4))
    def test_masks(self, payload: bytes, mask: bytes) -> None:
        """The mask is taken off as RFC 6455 5.3 says, whatever the length."""
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.assertEqual(unmasked(b"??" + mask + masked, 6), payload)

    def test_lengths(self) -> None:
        """Frames of both kinds of length are read and written; what is no whole text frame is not."""
        for length in (1, 125, 126, 65535):
            payload = b"x" * length
            self.assertEqual(whole_text(frame(TEXT, payload)), payload)
            head = bytes((0x81, length)) if length < 126 else b"\x81\x7e" + length.to_bytes(2, "big")
            self.assertEqual(text_frame(payload), head + payload)
        for other in (frame(TEXT, b"y" * (LONGEST + 1)), frame(TEXT, b"y")[:-1], frame(TEXT, b"y") + b"z"):
            self.assertIsNone(whole_text(other))


class Transport:
    """As much of a server's TCP transport as writing touches, over a real socket."""

    connected, disconnecting = True, False

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._tempDataBuffer: list[bytes] = []
        self.dataBuffer = b""
        self.left: list[bytes] = []

    def write(self, data: bytes) -> None:
        """What is left to the reactor."""
        self.left.append(data)


class WriteTests(SynchronousTestCase):
    """Tests for `write`."""

    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair()
        for end in (ours, self.theirs):
            end.setblocking(False)
            self.addCleanup(end.close)
        self.transport = Transport(ours)

    def test_at_once(self) -> None:
        """What fits is in the socket when it returns."""
        write(self.transport, b"hello")
        self.assertEqual((self.theirs.recv(99), self.transport.left), (b"hello", []))

    def test_order(self) -> None:
        """Where something waits already, or the transport is about to close, it goes behind it."""
        for change in ({"_tempDataBuffer": [b"x"]}, {"dataBuffer": b"x"}, {"disconnecting": True}, {"connected": False}):
            transport = Transport(self.transport.socket)
            vars(transport).update(change)
            write(transport, b"hello")
            self.assertEqual(transport.left, [b"hello"], change)
        self.assertRaises(BlockingIOError, self.theirs.recv, 99)

    def test_a_full_socket(self) -> None:
        """What does not fit is left to the transport, to the byte."""
        data = bytes(range(256)) * 40_000
        write(self.transport, data)
        write(self.transport, b"behind it")
        sent = b""
        while len(sent) < len(data) - len(self.transport.left[0]):
            sent += self.theirs.recv(1 << 20)
        self.assertEqual(sent + self.transport.left[0], data)

    def test_a_lost_connection(self) -> None:
        """Where the peer has gone the transport is given all of it, and finds out."""
        self.theirs.close()
        write(self.transport, b"hello")
        self.assertEqual(self.transport.left, [b"hello"])
