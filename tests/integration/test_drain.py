"""The end of a daemon that drains: real connections, and closes as the chargers see them. Times are bounded loosely."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred

from ocppd.central.handlers import CentralSystemHandlers
from support.central import Running, chargers
from support.peer import Peer, RawClient, Response, connect, handshake, raw, upgrade, within
from support.wire import OFFER, RawSession, booted, nothing_committed, use

ensure = pytest_twisted.ensureDeferred

DRAIN_S = 2.0
#: A drain that no test waits for to end by itself.
LONG_S = 3600.0
RESTART, GOING_AWAY = 1012, 1001


class Ending:
    """A daemon that stops, and the closes that its chargers see, in order: when, who and the code."""

    def __init__(self, daemon: Running, peers: list[Peer]) -> None:
        self.closes: list[tuple[float, int, int | None]] = []
        for number, peer in enumerate(peers):
            peer.closed.addCallback(self._note, number)
        self.all_closed = [peer.closed for peer in peers]
        self.began_s = time.monotonic()
        self.stopped = ensureDeferred(daemon.stop())

    def _note(self, code: int | None, number: int) -> None:
        self.closes.append((time.monotonic() - self.began_s, number, code))

    async def end(self) -> None:
        """Wait until it is over for all."""
        await within(self.stopped)
        for closed in self.all_closed:
            await within(closed)


async def connected(daemon: Running, count: int) -> list[Peer]:
    """Chargers CP0 and so on."""
    return [await connect(daemon.port, f"/ocppj/1.6/CP{number}") for number in range(count)]


async def get(port: int, path: str) -> Response:
    """Make a request of its own connection."""
    client = await raw(port)
    client.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return Response(await within(client.lost))


def many(count: int) -> dict[str, Any]:
    """A configuration of so many chargers."""
    return chargers(*(f"CP{number}" for number in range(count)))


@ensure
async def test_closes_are_spread(start: Any) -> None:
    """Chargers are told that the service restarts, one after another over the seconds of the drain."""
    daemon = start(many(10), drain_s=DRAIN_S)
    ending = Ending(daemon, await connected(daemon, 10))
    await ending.end()
    assert [(number, code) for _, number, code in ending.closes] == [(number, RESTART) for number in range(10)]
    times = [at for at, _, _ in ending.closes]
    assert times[0] < DRAIN_S / 2
    assert times[-1] >= DRAIN_S * 0.8
    assert max(after - before for before, after in pairwise(times)) < DRAIN_S * 0.8


@ensure
async def test_no_drain(start: Any) -> None:
    """Without a drain all are closed at once, and are told that the central system goes away."""
    daemon = start(many(3))
    ending = Ending(daemon, await connected(daemon, 3))
    await ending.end()
    assert [code for _, _, code in ending.closes] == [GOING_AWAY] * 3


@ensure
async def test_the_port_meanwhile(start: Any) -> None:
    """While it drains /readyz says so, new chargers are told to come back, and operators are served."""
    daemon = start(many(2), drain_s=LONG_S)
    ending = Ending(daemon, await connected(daemon, 2))
    assert (await get(daemon.port, "/readyz")).status == 503
    assert (await get(daemon.port, "/healthz")).status == 200
    refused = await handshake(daemon.port, "/ocppj/1.6/CP1", OFFER)
    assert (refused.status, refused.header("Retry-After")) == (503, ["10"])
    assert (await get(daemon.port, "/api/v1/chargers/CP1")).status == 200
    command = await raw(daemon.port)
    command.write(b"POST /api/v1/chargers/CP1/commands/ClearCache HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert Response(await within(command.lost)).status == 202
    assert [number for _, number, _ in ending.closes] == [0]
    daemon.service.hurry()
    await ending.end()


@ensure
async def test_kept_alive_connections(start: Any) -> None:
    """A client that keeps its connection is answered, and told to make another one: that finds another node."""
    daemon = start(many(1), drain_s=LONG_S)
    client = await raw(daemon.port)
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.write(request)
    first = await client.until(b"\r\n\r\nok")
    assert Response(first).header("Connection") == []
    ending = Ending(daemon, await connected(daemon, 1))
    client.write(request)
    second = Response((await within(client.lost))[len(first) :])
    assert (second.status, second.header("Connection"), second.body) == (200, ["close"], b"ok")
    daemon.service.hurry()
    await ending.end()


@ensure
async def test_busy_chargers_last(start: Any) -> None:
    """Who waits for an answer of ours, or owes us one, is closed after the others, and gets the answer meanwhile."""
    waiting: list[Deferred[Any]] = []

    class Slow(CentralSystemHandlers):
        """Answers an Authorize when the test says so."""

        def AuthorizeRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            waiting.append(Deferred())
            return waiting[-1].addCallback(lambda _: answer)

    daemon = start(many(5), drain_s=DRAIN_S, handlers=use(Slow))
    peers = [await booted(daemon, f"CP{number}") for number in range(5)]
    peers[0].send([2, "asked", "Authorize", {"idTag": "TAG"}])
    command = await raw(daemon.port)
    command.write(b"POST /api/v1/chargers/CP1/commands/ClearCache HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    [_, _, action, _] = await peers[1].frame()
    await within(command.lost)
    assert (action, len(waiting)) == ("ClearCache", 1)
    ending = Ending(daemon, peers)
    await within(peers[2].closed)
    waiting.pop().callback(None)
    assert (await peers[0].frame())[:2] == [3, "asked"]
    await ending.end()
    assert [number for _, number, _ in ending.closes] == [2, 3, 4, 0, 1]


@ensure
async def test_hurry(start: Any) -> None:
    """Hurrying ends the drain at once; the code stays."""
    daemon = start(many(20), drain_s=LONG_S)
    ending = Ending(daemon, await connected(daemon, 20))
    await within(ending.all_closed[0])
    daemon.service.hurry()
    await ending.end()
    assert [code for _, _, code in ending.closes] == [RESTART] * 20


@ensure
async def test_hurry_before_the_drain(start: Any) -> None:
    """Where somebody is in a hurry before the drain has begun, there is none."""
    daemon = start(many(5), drain_s=LONG_S)
    peers = await connected(daemon, 5)
    daemon.service.hurry()
    ending = Ending(daemon, peers)
    await ending.end()
    assert [code for _, _, code in ending.closes] == [RESTART] * 5


@pytest.fixture
def held(start: Any) -> Iterator[Running]:
    """A daemon with a long drain."""
    yield start(many(3), drain_s=LONG_S)


async def asked(daemon: Running, name: str) -> RawClient:
    """A charger that has asked for its handshake and waits for the records."""
    client = await raw(daemon.port)
    client.write(upgrade(f"/ocppj/1.6/{name}", OFFER))
    while not daemon.service._factory.chargers.pending:
        await get(daemon.port, "/healthz")
    return client


@ensure
async def test_handshakes_under_way_are_completed(held: Running) -> None:
    """A handshake that is under way when the drain begins is completed, and the connection is closed with the others."""
    peers = await connected(held, 2)
    with nothing_committed(held):
        client = await asked(held, "CP2")
        ending = Ending(held, peers)
        assert (await get(held.port, "/readyz")).status == 503
    assert Response(await client.until(b"\r\n\r\n")).status == 101
    session = RawSession(client)
    held.service.hurry()
    await session.closing(RESTART)
    await ending.end()


@ensure
async def test_a_connection_that_was_there_before(held: Running) -> None:
    """A connection that was accepted before the drain and asks for its handshake during it is let in; a later one is not."""
    early, kept = await raw(held.port), await raw(held.port)
    kept.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await kept.until(b"\r\n\r\nok")
    ending = Ending(held, await connected(held, 2))
    early.write(upgrade("/ocppj/1.6/CP2", OFFER))
    assert Response(await early.until(b"\r\n\r\n")).status == 101
    kept.write(upgrade("/ocppj/1.6/CP1", OFFER))
    assert b"HTTP/1.1 503 " in await within(kept.lost)
    assert (await handshake(held.port, "/ocppj/1.6/CP1", OFFER)).status == 503
    held.service.hurry()
    await RawSession(early).closing(RESTART)
    await ending.end()


@ensure
async def test_handshakes_that_outlast_the_drain(held: Running) -> None:
    """A handshake that is under way even when the drain has ended is completed, and the connection closed at once."""
    with nothing_committed(held):
        client = await asked(held, "CP2")
        ending = Ending(held, [])
        held.service.hurry()
    assert Response(await client.until(b"\r\n\r\n")).status == 101
    await RawSession(client).closing(RESTART)
    await ending.end()
