"""How connections end: the close codes that a peer receives, pings, slow peers, the late Upgrade. REQUIREMENTS 1.3, 1.5, 1.8."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.net import site
from ocppd.v16.core import DataTransferConfirmation
from ocppd.v16.types import DataTransferStatus
from support.central import chargers
from support.peer import PATIENCE_S, RawClient, Response, connect, raw, upgrade, within
from support.wire import (
    BINARY,
    CLOSE,
    OFFER,
    PING,
    PONG,
    TEXT,
    RawSession,
    booted,
    frame,
    offline,
    raw_session,
    use,
)

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_ways")
HEARTBEAT = b'[2,"1","Heartbeat",{}]'
BOOT = b'[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'

BAD_FRAMES = {
    "unmasked frame": frame(TEXT, HEARTBEAT, masked=False),
    "reserved bit 1": frame(TEXT, HEARTBEAT, rsv=4),
    "reserved bit 2": frame(TEXT, HEARTBEAT, rsv=2),
    "reserved bit 3": frame(TEXT, HEARTBEAT, rsv=1),
    "reserved opcode 3": frame(3, HEARTBEAT),
    "reserved control opcode 11": frame(11),
    "ping in fragments": frame(PING, b"x", fin=False),
    "ping of 126 bytes": frame(PING, b"x" * 126),
    "continuation of nothing": frame(0, HEARTBEAT),
    "text inside a fragmented text": frame(TEXT, b"[", fin=False) + frame(TEXT, HEARTBEAT),
    "twenty bad messages": frame(TEXT, b"{") * 20,
}


@ensure
@pytest.mark.parametrize("data", BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_1002_protocol_error(start: Any, data: bytes) -> None:
    """F-10, RFC 6455: a broken frame and twenty bad messages close with 1002, which the peer receives."""
    session = await raw_session(start())
    session.write(data)
    await session.closing(1002)


@ensure
async def test_broken_close_frames(start: Any) -> None:
    """A close frame of one byte, or with a code or a text that cannot be, ends the connection at once."""
    daemon = start()
    for payload in (b"x", struct.pack("!H", 1006), struct.pack("!H", 99), b"\x03\xe8\xff"):
        session = await raw_session(daemon)
        session.write(frame(CLOSE, payload))
        await within(session.client.lost)
    await offline(daemon)


@ensure
async def test_1003_binary(start: Any) -> None:
    """F-1: binary closes with 1003, in one frame and in fragments."""
    daemon = start()
    for data in (frame(BINARY, b"x"), frame(BINARY, b"", fin=False) + frame(0, b"x")):
        session = await raw_session(daemon)
        session.write(data)
        await session.closing(1003)


@ensure
async def test_1007_invalid_utf_8(start: Any) -> None:
    """RFC 6455 8.1: text that is not UTF-8 closes with 1007, also where it is split over fragments."""
    daemon = start()
    whole = b'[2,"1","DataTransfer",{"vendorId":"\xe2\x82"}]'
    halves = frame(TEXT, b'[2,"\xe2\x82', fin=False) + frame(0, b'1","Heartbeat",{}]')
    surrogate = b'[2,"\xed\xa0\x80","Heartbeat",{}]'
    for data in (frame(TEXT, whole), halves, frame(TEXT, surrogate), frame(TEXT, b"\xff"), frame(TEXT, b"\xc3")):
        session = await raw_session(daemon)
        session.write(data)
        await session.closing(1007)


@ensure
async def test_utf_8_split_between_fragments(start: Any) -> None:
    """A character whose bytes come in two fragments is a character."""
    session = await raw_session(start())
    text = '[2,"ü","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'.encode()
    session.write(frame(TEXT, text[:5], fin=False), frame(0, text[5:]))
    await session.client.until('[3,"ü",'.encode())
    session.client.close()


class Hanging(CentralSystemHandlers):
    """Does not answer DataTransfer until the test is over."""

    gate: Deferred[None]

    def DataTransferRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
        return self.gate


@ensure
async def test_1008_overlapping_calls(start: Any) -> None:
    """S-4: more than a hundred calls without waiting for answers close with 1008, once."""
    Hanging.gate = Deferred()
    session = await raw_session(start(handlers=use(Hanging)))
    session.text(BOOT)
    await session.client.until(b'"Accepted"')
    session.text(b'[2,"hangs","DataTransfer",{"vendorId":"v"}]')
    session.write(b"".join(frame(TEXT, b'[2,"%d","Heartbeat",{}]' % number) for number in range(150)))
    await session.closing(1008)
    Hanging.gate.callback(None)


@ensure
async def test_1009_one_huge_frame(start: Any) -> None:
    """F-13: the head of a frame of more than 4 MiB is enough to be closed with 1009, whatever size it promises."""
    daemon = start()
    for size in (4 * 1024 * 1024 + 1, 2**40, 2**63 - 1):
        session = await raw_session(daemon)
        session.write(struct.pack("!BBQ", 0x81, 0x80 | 127, size) + b"\0\0\0\0" + b"x" * 100)
        await session.client.until(struct.pack("!H", 1009))
        session.client.close()
        assert await session.close_code() == 1009


@ensure
async def test_1009_many_fragments(start: Any) -> None:
    """F-13: fragments that together have more than 4 MiB are closed with 1009; what comes after is not kept."""
    daemon = start()
    session = await raw_session(daemon)
    piece = b"x" * 60_000
    session.write(frame(TEXT, piece, fin=False), *[frame(0, piece, fin=False)] * 69)
    assert session.frames() == []
    session.write(*[frame(0, piece, fin=False)] * 10)
    await session.closing(1009)


@ensure
async def test_1001_at_shutdown(start: Any) -> None:
    """C-5: when the daemon stops every charger receives 1001 before its connection ends."""
    daemon = start(chargers("CP1", "CP2"))
    one, two = await booted(daemon), await raw_session(daemon, "/ocppj/1.6/CP2")
    stopping = Deferred.fromCoroutine(daemon.stop())
    await two.closing(1001)
    assert await within(one.closed) == 1001
    await within(stopping)


@ensure
async def test_1001_during_a_handshake(start: Any) -> None:
    """C-5: a handshake that is under way when the daemon stops is refused or closed with 1001, and delays nothing."""
    daemon = start()
    client = await raw(daemon.port)
    peer = await booted(daemon, "CP2")
    client.write(upgrade("/ocppj/1.6/CP1", OFFER))
    connecting = daemon.central.connecting
    asked: Deferred[tuple[Deferred[None]]] = Deferred()

    def slow(name: str, remote_ip: str) -> Any:
        gate: Deferred[None] = Deferred()
        asked.callback((gate,))
        return gate.addCallback(lambda _: connecting(name, remote_ip))

    daemon.central.connecting = slow  # type: ignore[method-assign]
    (gate,) = await within(asked)
    stopping = Deferred.fromCoroutine(daemon.stop())
    gate.callback(None)
    await client.until(b"\r\n\r\n")
    assert Response(client.received).status in (101, 503)
    if Response(client.received).status == 101:
        await RawSession(client).closing(1001)
    assert await within(peer.closed) == 1001
    await within(stopping)
    client.close()


@ensure
async def test_4000_when_replaced(start: Any) -> None:
    """C-1: the older connection receives 4000 when a newer one comes, and the newer one goes on."""
    daemon = start()
    first = await raw_session(daemon)
    second = await booted(daemon)
    await first.closing(4000)
    await second.silence()
    assert daemon.central.chargers.connection("CP1") is not None


@ensure
async def test_a_peer_that_does_not_confirm_the_close(start: Any) -> None:
    """A replaced peer that neither confirms nor goes keeps nothing waiting: the newer one works at once, the old is dropped."""
    daemon = start()
    first = await raw_session(daemon)
    daemon.service.port.factory.chargers.setProtocolOptions(closeHandshakeTimeout=0.2)
    second = await booted(daemon)
    await second.silence()
    connection = daemon.central.chargers.connection("CP1")
    assert connection is not None and connection.generation == 2
    assert await first.close_code() == 4000


@ensure
async def test_peers_close_is_confirmed(start: Any) -> None:
    """RFC 6455 5.5.1: a close of the charger is confirmed with its code."""
    daemon = start()
    for code in (1000, 1001, 3000, 4999):
        session = await raw_session(daemon)
        session.write(frame(CLOSE, struct.pack("!H", code) + b"bye"))
        assert await session.close_code() == code
    session = await raw_session(daemon)
    session.write(frame(CLOSE))
    await within(session.client.lost)
    assert session.frames() == [(CLOSE, b"")]
    await offline(daemon)


# Pings


@ensure
async def test_p_1_ping_is_answered(start: Any) -> None:
    """P-1: a Ping is answered at once with its payload, before any OCPP and inside a fragmented message too."""
    session = await raw_session(start())
    session.write(frame(PING, b"one"), frame(TEXT, b"[", fin=False), frame(PING, b"x" * 125), frame(PING))
    await session.client.until(b"\x8a\x00")
    assert session.frames() == [(PONG, b"one"), (PONG, b"x" * 125), (PONG, b"")]
    session.client.close()


@ensure
async def test_p_3_silent_peers_are_dropped(start: Any) -> None:
    """P-3: a peer that answers no ping is dropped, a peer that does stays; `PingInterval` decides who is asked when."""
    configuration = {"Chargers": [{"Name": "CP1", "PingInterval": 1}, {"Name": "CP2", "PingInterval": 1}]}
    daemon = start(configuration)
    daemon.service.port.factory.chargers.setProtocolOptions(autoPingTimeout=1)
    silent, awake = await raw_session(daemon), await booted(daemon, "CP2")
    await within(silent.client.lost)
    assert PING in [opcode for opcode, _ in silent.frames()]
    await awake.silence()
    connections = [connection.name for connection in daemon.central.chargers.connections()]
    assert connections == ["CP2"]


@ensure
async def test_p_3_pings_can_be_off(start: Any) -> None:
    """P-3: `PingInterval` 0 sends no pings, whatever another charger is configured to get."""
    daemon = start({"Chargers": [{"Name": "CP1", "PingInterval": 0}, {"Name": "CP2", "PingInterval": 1}]})
    unasked, asked = await raw_session(daemon), await raw_session(daemon, "/ocppj/1.6/CP2")
    await asked.client.until(b"\x89\x0c")
    assert unasked.frames() == []
    asked.client.close()
    unasked.client.close()


# Peers that do not read


class Fat(CentralSystemHandlers):
    """Answers DataTransfer with 100 kB."""

    def DataTransferRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
        return DataTransferConfirmation(status=DataTransferStatus.ACCEPTED, data="x" * 100_000)


@ensure
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late Upgrade"])
async def test_peers_that_do_not_read(start: Any, late: bool) -> None:
    """Nothing more is read from a peer that does not read its answers; when it reads again all of them come."""
    daemon = start(handlers=use(Fat))
    client = await raw(daemon.port)
    if late:
        await keep_alive(client)
    client.write(upgrade("/ocppj/1.6/CP1", OFFER))
    await client.until(b"\r\n\r\n")
    client.write(frame(TEXT, BOOT))
    await client.until(b'"Accepted"')
    connection: Any = daemon.central.chargers.connection("CP1")
    client.transport.pauseProducing()
    client.write(b"".join(frame(TEXT, b'[2,"n%d","DataTransfer",{"vendorId":"v"}]' % number) for number in range(300)))
    for _ in range(2000):
        if connection.link.transport not in reactor.getReaders():
            break
        await deferLater(reactor, 0)
    assert connection.link.transport not in reactor.getReaders()
    sizes: list[int] = []
    all_came: Deferred[None] = Deferred()

    def count(data: bytes) -> None:
        sizes.append(len(data))
        if sum(sizes) > 300 * 100_000 and not all_came.called:
            all_came.callback(None)

    client.dataReceived = count  # type: ignore[method-assign]
    client.transport.resumeProducing()
    await within(all_came)
    client.write(frame(CLOSE, struct.pack("!H", 1000)))
    await within(client.lost)
    await offline(daemon)


# Before the handshake


@ensure
async def test_h_4_slow_first_requests_are_dropped(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """H-4: a peer that never completes its first request is dropped, whether it sends nothing or a byte at a time."""
    monkeypatch.setattr(site, "HANDSHAKE_TIMEOUT_S", 0.3)
    daemon = start()
    nothing, dripping = await raw(daemon.port), await raw(daemon.port)
    for byte in b"GET /ocppj/1.6/CP1 HTTP/1.1\r\nX-":
        dripping.write(bytes([byte]))
    await within(nothing.lost)
    await within(dripping.lost)
    assert nothing.received == dripping.received == b""


@ensure
async def test_h_4_huge_heads(start: Any) -> None:
    """H-4: a head without end is refused long before it fills the memory."""
    client = await raw(start().port)
    client.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-Fill: " + b"x" * 200_000)
    await within(client.lost)
    assert client.received == b"" or Response(client.received).status in (400, 413, 414, 431)


@ensure
async def test_head_in_pieces(start: Any) -> None:
    """A handshake that comes byte by byte, with the first frame in its last packet, is one session."""
    client = await raw(start().port)
    head = upgrade("/ocppj/1.6/CP1", OFFER)
    for byte in head[:-1]:
        client.write(bytes([byte]))
    client.write(head[-1:] + frame(TEXT, BOOT))
    await client.until(b'"Accepted"')
    client.close()


async def keep_alive(client: RawClient) -> None:
    """GET /healthz on a connection that stays."""
    client.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    data = await client.until(b"ok")
    assert Response(data).status == 200
    client.received = b""


@ensure
async def test_late_upgrade(start: Any) -> None:
    """Decision 6: an Upgrade on a kept-alive HTTP connection becomes a full session: calls both ways, pings, close code."""
    daemon = start()
    client = await raw(daemon.port)
    await keep_alive(client)
    await keep_alive(client)
    client.write(upgrade("/ocppj/1.6/CP1", OFFER))
    response = Response(await client.until(b"\r\n\r\n"))
    assert (response.status, response.header("sec-websocket-protocol")) == (101, ["ocpp1.6"])
    session = RawSession(client)
    session.text(BOOT)
    await client.until(b'"Accepted"')
    connection = daemon.central.chargers.connection("CP1")
    assert connection is not None and connection.remote_ip == "127.0.0.1"
    session.write(frame(PING, b"here"))
    await client.until(b"here")
    from ocppd.v16.core import ClearCacheRequest

    pending = daemon.central.commands.call("CP1", ClearCacheRequest())
    await client.until(b'"ClearCache"')
    [_, *_, (_, asked)] = session.frames()
    session.text(json.dumps([3, json.loads(asked)[1], {"status": "Accepted"}]).encode())
    assert (await within(pending)).status == "Accepted"
    second = await booted(daemon)
    await session.closing(4000)
    await second.silence()


@ensure
async def test_late_upgrade_is_checked_like_an_early_one(start: Any) -> None:
    """Decision 6: the late Upgrade has the same checks: 404, 401 and 400, each with its headers and the end of the connection."""
    daemon = start(chargers("CP1", Authorization="secret"))
    for path, headers, status in (
        ("/ocppj/1.6/STRANGER", [OFFER], 404),
        ("/ocppj/1.6/CP1", [OFFER], 401),
        ("/ocppj/1.6/CP1", ["Authorization: Basic Q1AxOnNlY3JldA=="], 400),
        ("/api/v1/chargers", [OFFER], 404),
    ):
        client = await raw(daemon.port)
        await keep_alive(client)
        client.write(upgrade(path, *headers))
        response = Response(await within(client.lost, PATIENCE_S))
        assert response.status == status, path
        assert bool(response.header("www-authenticate")) is (status == 401)


@ensure
async def test_refusals_end_the_connection(start: Any) -> None:
    """A refused handshake is a whole HTTP answer after which the connection ends; what stands behind it is not read."""
    client = await raw(start().port)
    client.write(upgrade("/ocppj/1.6/STRANGER", OFFER) + upgrade("/ocppj/1.6/CP1", OFFER))
    data = await within(client.lost)
    assert data.count(b"HTTP/1.1") == 1 and Response(data).status == 404


@ensure
async def test_abrupt_ends(start: Any) -> None:
    """Connections that end anywhere, in a handshake or in a frame, leave nothing behind, and the next one works."""
    daemon = start()
    head = upgrade("/ocppj/1.6/CP1", OFFER)
    boot = frame(TEXT, BOOT)
    for data in (b"", head[:20], head, head + boot[:10], head + boot, head + frame(TEXT, b"[", fin=False)):
        client = await raw(daemon.port)
        client.write(data)
        client.transport.abortConnection()
        await within(client.lost)
    peer = await connect(daemon.port)
    assert (await peer.boot())["status"] == "Accepted"
    await peer.leave()
    await offline(daemon)
