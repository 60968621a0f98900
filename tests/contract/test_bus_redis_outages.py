"""RedisBus while Redis is away, silent, empty, or not itself: noticed soon, told once, made up for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import cycle
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import protocol, reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.tcp import Server
from twisted.protocols.portforward import ProxyFactory, ProxyServer

from ocppd.bus.api import DEADLINE_S, LEASE_S, Look
from ocppd.bus.redis import RedisBus
from ocppd.bus.scripts import HOLDERS
from ocppd.errors import BusUnavailable
from support.buses import Node, Nodes, logged, until
from support.redis import RedisServer

ensure = pytest_twisted.ensureDeferred

#: What a machine that runs other tests as well may take on top.
BUSY_S = 15.0
#: A renewal and the deadline of its reply.
NOTICED_S = 3.0 + BUSY_S
RECOVERED_S = 5.0 + BUSY_S

clock: Any = reactor


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of this test's own."""
    running = RedisServer().start()
    yield running
    running.close()


@pytest_twisted.async_yield_fixture
async def nodes(server: RedisServer) -> AsyncIterator[Nodes]:
    """Nodes of this server."""
    made = Nodes(lambda name: RedisBus(server.url(), name, reactor))
    yield made
    await made.stop()


async def assert_calls_fail(node: Node) -> None:
    """Calls fail at once, with nothing else than BusUnavailable."""
    for call in (node.bus.send("there", Look("CP1")), node.bus.holders(["CP1"])):
        assert call.called
        with pytest.raises(BusUnavailable, match="Redis cannot be used"):
            await call


@ensure
async def test_start_without_redis(server: RedisServer, nodes: Nodes) -> None:
    """A node starts without Redis and says so once; what it has held and released by then is told when Redis is there."""
    server.stop()
    here, there = nodes.node("here"), nodes.node("there")
    with logged("Redis at") as lines:
        here.bus.start(here.heard)
        here.bus.hold("CP1", 1)
        here.bus.hold("CP2", 1)
        here.bus.release("CP2", 1)
        here.bus.hold("CP3", 3)
        await until(lambda: lines)
        assert "Connection was refused" in lines[0]
        await assert_calls_fail(here)
        assert not here.bus.available
        server.start()
        await until(lambda: here.heard.restorations == 1, RECOVERED_S)
        await there.started()
    assert len([line for line in lines if "cannot be used" in line]) == 1
    await there.knows("CP1", here, 1)
    await there.knows("CP3", here, 3)
    assert len(await there.bus.holders(["CP1", "CP2", "CP3"])) == 2


@ensure
async def test_restart_without_data(server: RedisServer, nodes: Nodes) -> None:
    """Redis comes back empty: all nodes tell again what they hold, and who must close is told."""
    here, there = await nodes.start("here", "there")
    here.bus.hold("CP1", 1)
    here.bus.hold("CP2", 5)
    there.bus.hold("CP3", 1)
    await here.knows("CP3", there, 1)
    with logged("Redis at") as lines:
        server.stop()
        await until(lambda: not here.bus.available and not there.bus.available, NOTICED_S)
        await assert_calls_fail(here)
        there.bus.hold("CP1", 2)
        there.bus.hold("CP2", 4)
        there.bus.release("CP3", 1)
        server.start()
        await until(lambda: here.heard.restorations >= 2 and there.heard.restorations >= 2, RECOVERED_S)
    await here.knows("CP1", there, 2)
    await here.knows("CP2", here, 5)
    await here.knows("CP3", None)
    # Once more with each restoration, for these nodes go on holding them.
    await until(lambda: (set(here.heard.lost), set(there.heard.lost)) == ({("CP1", 2)}, {("CP2", 5)}))
    assert sum("cannot be used" in line for line in lines) == 2
    assert sum("is back after" in line for line in lines) == 2


@ensure
async def test_paused(server: RedisServer, nodes: Nodes) -> None:
    """A Redis that is silent for longer than leases last is noticed without any traffic; nothing is forgotten over it."""
    here, there = await nodes.start("here", "there")
    here.bus.hold("CP1", 1)
    here.bus.hold("CP2", 1)
    await there.knows("CP2", here, 1)
    server.pause()
    paused = clock.seconds()
    await until(lambda: not here.bus.available and not there.bus.available, NOTICED_S)
    await assert_calls_fail(here)
    here.bus.release("CP2", 1)
    there.bus.hold("CP3", 1)
    await until(lambda: clock.seconds() > paused + LEASE_S + 3, LEASE_S + 4 + BUSY_S)
    assert not here.bus.available
    server.resume()
    await until(lambda: here.heard.restorations >= 2 and there.heard.restorations >= 2, RECOVERED_S)
    await there.knows("CP1", here, 1)
    await there.knows("CP2", None)
    await here.knows("CP3", there, 1)
    assert await here.bus.send("there", Look("CP1")) is True
    assert (here.heard.lost, there.heard.lost) == ([], [])


@ensure
async def test_deadline(server: RedisServer, nodes: Nodes) -> None:
    """A call that Redis does not answer fails when its deadline ends, and nothing is believed of Redis after that."""
    here, there = await nodes.start("here", "there")
    server.pause()
    began = clock.seconds()
    calls = [here.bus.send("there", Look("CP1")), here.bus.holders(["CP1"])]
    for call in calls:
        with pytest.raises(BusUnavailable, match="Redis cannot be used: it did not answer within 1 s"):
            await call
    assert clock.seconds() - began < DEADLINE_S + BUSY_S
    assert not here.bus.available
    server.resume()
    await until(lambda: here.bus.available and there.bus.available, RECOVERED_S)


@ensure
async def test_stop_while_paused(server: RedisServer, nodes: Nodes) -> None:
    """A node can stop while Redis is silent, before and after it has noticed."""
    here, there = await nodes.start("here", "there")
    server.pause()
    began = clock.seconds()
    await here.bus.stop()
    assert clock.seconds() - began < 2 * DEADLINE_S + BUSY_S
    await until(lambda: not there.bus.available, NOTICED_S)
    began = clock.seconds()
    await there.bus.stop()
    assert clock.seconds() - began < 2 * DEADLINE_S + BUSY_S


@ensure
async def test_released_while_paused(server: RedisServer, nodes: Nodes) -> None:
    """What was released while Redis was away for less than a lease is not held when it is back."""
    here, there = await nodes.start("here", "there")
    here.bus.hold("CP1", 1)
    here.bus.hold("CP2", 1)
    await there.knows("CP1", here, 1)
    server.pause()
    here.bus.release("CP1", 1)
    await until(lambda: not here.bus.available, NOTICED_S)
    here.bus.hold("CP2", 2)
    here.bus.release("CP2", 2)
    server.resume()
    await until(lambda: here.heard.restorations >= 2 and there.bus.available, RECOVERED_S)
    assert await there.bus.holders(["CP1", "CP2"]) == {}
    assert server.do("HLEN", HOLDERS) == 0


@ensure
@pytest.mark.parametrize(
    ("words", "back", "reason"),
    [
        (["FLUSHALL"], None, "has forgotten it"),
        (["SCRIPT", "FLUSH"], None, "NOSCRIPT"),
        (["CLIENT", "KILL", "TYPE", "pubsub"], None, "closed the connection"),
        (["CLIENT", "KILL", "TYPE", "normal"], None, "closed the connection"),
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "READONLY"),
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"], "OOM"),
    ],
    ids=["flushed", "scripts flushed", "subscription killed", "connections killed", "replica", "full"],
)
async def test_not_itself(server: RedisServer, nodes: Nodes, words: list[str], back: list[str] | None, reason: str) -> None:
    """Whatever is done to the server of a node with no traffic is noticed, told once and made up for."""
    (node,) = await nodes.start("here")
    node.bus.hold("CP1", 1)
    await node.knows("CP1", node, 1)
    with logged("Redis at") as lines:
        server.do(*words)
        await until(lambda: lines, NOTICED_S)
        assert reason in lines[0]
        if back is not None:
            attempts = server.do("INFO", "stats")
            await until(lambda: server.do("INFO", "stats") != attempts)
            assert not node.bus.available
            server.do(*back)
        await until(lambda: node.heard.restorations >= 2, RECOVERED_S)
    assert len(lines) == 2
    await node.knows("CP1", node, 1)


class _Gate(ProxyServer):
    """A connection through the proxy."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.gates.append(self)

    def shut(self) -> None:
        """Whatever either end sends from now on is read by nobody."""
        self.transport.pauseProducing()
        self.peer.transport.pauseProducing()


@ensure
@pytest.mark.parametrize("which", [0, 1], ids=["commands", "subscription"])
async def test_half_open(server: RedisServer, which: int) -> None:
    """One connection that the network has forgotten is noticed without any traffic, whichever it is."""
    factory: Any = ProxyFactory("127.0.0.1", server.port)
    factory.protocol, factory.gates, factory.noisy = _Gate, [], False
    port = clock.listenTCP(0, factory, interface="127.0.0.1")
    node = await Node(RedisBus(f"redis://127.0.0.1:{port.getHost().port}", "here", reactor)).started()
    try:
        assert len(factory.gates) == 2
        factory.gates[which].shut()
        await until(lambda: not node.bus.available, NOTICED_S)
        await until(lambda: node.heard.restorations >= 2, RECOVERED_S)
    finally:
        await node.bus.stop()
        await maybeDeferred(port.stopListening)
        for gate in factory.gates:
            gate.transport.abortConnection()
            if gate.peer is not None:
                gate.peer.transport.abortConnection()
        await until(lambda: not any(gate.transport.connected for gate in factory.gates))


class _Alternating(ProxyFactory):
    """A name that stands for two servers in turn."""

    noisy = False

    def __init__(self, servers: list[RedisServer]) -> None:
        super().__init__("127.0.0.1", 0)
        self._servers = cycle(servers)

    def buildProtocol(self, addr: Any) -> Any:
        self.port = next(self._servers).port
        return super().buildProtocol(addr)


@ensure
async def test_two_servers_by_one_name(server: RedisServer) -> None:
    """Where commands and messages would go by different servers, nothing works, and the log says why."""
    second = RedisServer().start()
    factory: Any = _Alternating([server, second])
    port = clock.listenTCP(0, factory, interface="127.0.0.1")
    node = Node(RedisBus(f"redis://127.0.0.1:{port.getHost().port}", "here", reactor))
    with logged("Redis at") as lines:
        node.bus.start(node.heard)
        await until(lambda: lines)
    assert "what is published to this node does not arrive" in lines[0]
    assert not node.bus.available
    await node.bus.stop()
    await maybeDeferred(port.stopListening)
    await until(lambda: not any(isinstance(reader, Server) for reader in clock.getReaders()))
    second.close()


class _Impostor(protocol.Protocol):
    """Answers whatever it is told with the same bytes."""

    answer = b""

    def dataReceived(self, data: bytes) -> None:
        if self.answer:
            self.transport.write(self.answer)
        else:
            self.transport.loseConnection()


@ensure
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "LOADING"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN"),
        (b"-ERR max number of clients reached\r\n", "max number of clients"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "did not answer within 1 s"),
        (b"+OK\r\n" * 20, "no Redis server"),
        (b"\x15\x03\xff\x00\x02\x02\x16\r\n", "no Redis server"),
        (b"*nonsense\r\n", "Cannot convert"),
        (b"$nonsense\r\n", "Cannot convert"),
        (b"", "closed the connection"),
    ],
    ids=["loading", "master down", "too many clients", "HTTP", "yes to all", "TLS", "no length", "no size", "closes"],
)
async def test_impostors(answer: bytes, reason: str) -> None:
    """What is no Redis, or is one that does not serve yet, is an outage like others."""
    factory: Any = protocol.Factory.forProtocol(type("Impostor", (_Impostor,), {"answer": answer}))
    factory.noisy = False
    port = clock.listenTCP(0, factory, interface="127.0.0.1")
    node = Node(RedisBus(f"redis://127.0.0.1:{port.getHost().port}", "here", reactor))
    with logged("Redis at") as lines:
        node.bus.start(node.heard)
        try:
            await until(lambda: lines)
        finally:
            await node.bus.stop()
            await maybeDeferred(port.stopListening)
    assert reason in lines[0], lines


@ensure
async def test_many_are_told_again(server: RedisServer, nodes: Nodes) -> None:
    """Twenty thousand chargers are told again within seconds, while the node is told of what comes meanwhile."""
    here, there = await nodes.start("here", "there")
    for number in range(20_000):
        here.bus.hold(f"CP{number}", 1)
    await until(lambda: server.do("HLEN", HOLDERS) == 20_000, RECOVERED_S)
    server.stop()
    await until(lambda: not here.bus.available and not there.bus.available, NOTICED_S)
    for number in range(100):
        there.bus.hold(f"CP{number}", 2)
    server.start()
    await until(lambda: here.heard.restorations >= 2 and there.heard.restorations >= 2, RECOVERED_S)
    assert server.do("HLEN", HOLDERS) == 20_000
    await until(lambda: len(set(here.heard.lost)) == 100)
