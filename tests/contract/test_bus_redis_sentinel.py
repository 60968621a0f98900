"""RedisBus behind sentinels: the master is found, and found again when it is another."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from ocppd.bus.api import Look
from ocppd.bus.redis import RedisBus
from support.buses import Node, Nodes, logged, until
from support.daemon import free_port
from support.redis import RedisServer, Sentinel, attempts

ensure = pytest_twisted.ensureDeferred

#: The sentinels wait 0.5 s, and then take a second or two to elect and to promote. A master of the past they make a replica
#: after eight seconds and up to two of their rounds, which are ten seconds long. A shared machine may take more.
FAILOVER_S = 60.0
RECOVERED_S = 20.0
PASSWORD = "sesame"

clock: Any = reactor


@pytest_twisted.async_yield_fixture
async def servers() -> AsyncIterator[list[RedisServer]]:
    """A master and its replica."""
    master = RedisServer(password=PASSWORD).start()
    replica = RedisServer(password=PASSWORD, master=master)
    replica.start()
    # Sentinels that find it online when they start need not ask a second time, which is ten seconds later.
    for _ in attempts():
        if b"state=online" in master.do("INFO", "replication"):
            break
    yield [master, replica]
    for server in (master, replica):
        server.close()
    await deferLater(reactor, 0)  # the turn in which sentinels that were asked are hung up on


@pytest.fixture
def sentinels(servers: list[RedisServer]) -> Iterator[list[Sentinel]]:
    """Three sentinels that know the master, its replica and each other."""
    made = [Sentinel(servers[0], quorum=2) for _ in range(3)]
    for sentinel in made:
        sentinel.start()
    yield made
    for sentinel in made:
        sentinel.close()


def url(sentinels: list[Sentinel], service: str = Sentinel.SERVICE) -> str:
    """The URL of what the sentinels watch."""
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    return f"redis+sentinel://:{PASSWORD}@{hosts}/2?service={service}"


def master(sentinel: Sentinel) -> dict[bytes, bytes]:
    """What a sentinel knows of the master."""
    reply = sentinel.do("SENTINEL", "MASTER", Sentinel.SERVICE)
    return dict(zip(reply[::2], reply[1::2], strict=True))


def role(server: RedisServer) -> bytes | None:
    """What a server is, None while it is thrown about."""
    with suppress(RuntimeError, OSError):
        kind: bytes = server.do("ROLE")[0]
        return kind
    return None


def ordered(sentinel: Sentinel) -> bool:
    """Order a failover; False where the sentinel knows no replica well enough yet."""
    with suppress(RuntimeError):
        sentinel.do("SENTINEL", "FAILOVER", Sentinel.SERVICE)
        return True
    return False


async def knows_all(sentinels: list[Sentinel]) -> None:
    """Wait until every sentinel knows the replica and the other sentinels."""
    wanted = (b"1", str(len(sentinels) - 1).encode())
    await until(
        lambda: all((m[b"num-slaves"], m[b"num-other-sentinels"]) == wanted for m in map(master, sentinels)), FAILOVER_S
    )  # fmt: skip


@ensure
@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_failover(servers: list[RedisServer], sentinels: list[Sentinel], how: str) -> None:
    """The master is gone, or silent: nodes go on with the one that is promoted, and so does who is told to close."""
    await knows_all(sentinels)
    nodes = Nodes(lambda name: RedisBus(url(sentinels), name, reactor))
    try:
        here, there = await nodes.start("here", "there")
        here.bus.hold("CP1", 1)
        await there.knows("CP1", here, 1)
        if how == "killed":
            servers[0].stop()
        else:
            servers[0].pause()
        await until(lambda: not here.bus.available and not there.bus.available)
        there.bus.hold("CP1", 2)
        await until(lambda: here.heard.restorations >= 2 and there.heard.restorations >= 2, FAILOVER_S)
        assert role(servers[1]) == b"master"
        await here.knows("CP1", there, 2)
        # Once more with each restoration, for this node goes on holding it.
        await until(lambda: set(here.heard.lost) == {("CP1", 2)})
        assert await here.bus.send("there", Look("CP1")) is True
        await until(lambda: there.heard.received_messages == [Look("CP1")])
        # The old master comes back, and becomes a replica: nothing changes.
        restorations = here.heard.restorations, there.heard.restorations
        if how == "paused":
            servers[0].resume()
        else:
            servers[0].start()
            await until(lambda: role(servers[0]) == b"slave", FAILOVER_S)
        assert await here.bus.send("there", Look("CP2")) is True
        assert (here.heard.restorations, there.heard.restorations) == restorations
    finally:
        await nodes.stop()


@ensure
async def test_ordered_failover(servers: list[RedisServer], sentinels: list[Sentinel]) -> None:
    """A failover that an administrator orders, with all servers up, is survived as well."""
    await knows_all(sentinels)
    node = await Node(RedisBus(url(sentinels), "here", reactor)).started()
    try:
        node.bus.hold("CP1", 1)
        await node.knows("CP1", node, 1)
        await until(lambda: ordered(sentinels[0]), FAILOVER_S)
        await until(lambda: node.heard.restorations >= 2, FAILOVER_S)
        await until(lambda: role(servers[1]) == b"master")
        await node.knows("CP1", node, 1)
    finally:
        await node.bus.stop()


@ensure
async def test_sentinels_that_fail(servers: list[RedisServer], sentinels: list[Sentinel]) -> None:
    """Sentinels that are gone, silent or unheard of do not matter as long as one answers."""
    dead = Sentinel(servers[0])
    sentinels[0].stop()
    sentinels[1].pause()
    node = Node(RedisBus(url([dead, *sentinels]), "here", reactor))
    began = clock.seconds()
    await node.started()
    assert clock.seconds() - began < RECOVERED_S
    await node.bus.stop()
    dead.close()


@ensure
async def test_a_sentinel_of_the_past(servers: list[RedisServer]) -> None:
    """A sentinel that has missed a failover is not believed where another has seen it."""
    with closing(Sentinel(servers[0])) as behind, closing(Sentinel(servers[0])) as ahead, closing(RedisServer()) as old:
        for server in (behind, ahead, old):
            server.start()
        await until(lambda: master(ahead)[b"num-slaves"] == b"1", FAILOVER_S)
        behind.do("SENTINEL", "REMOVE", Sentinel.SERVICE)
        behind.do("SENTINEL", "MONITOR", Sentinel.SERVICE, "127.0.0.1", old.port, 1)
        await until(lambda: ordered(ahead), FAILOVER_S)
        await until(lambda: master(ahead)[b"port"] == str(servers[1].port).encode(), FAILOVER_S)
        node = await Node(RedisBus(url([behind, ahead]), "here", reactor)).started()
        assert servers[1].do("PUBSUB", "CHANNELS", "ocppd:*") != []
        assert old.do("PUBSUB", "CHANNELS", "ocppd:*") == []
        await node.bus.stop()


@ensure
async def test_no_master(servers: list[RedisServer], sentinels: list[Sentinel]) -> None:
    """Why no sentinel gives a master is told, for each of them."""
    nobody = f"redis+sentinel://127.0.0.1:{free_port()}?service=ocppd"
    redis = f"redis+sentinel://127.0.0.1:{servers[0].port}?service=ocppd"
    cases = [
        (url(sentinels, "unheard-of"), "No such master"),
        (nobody, "Connection was refused"),
        (redis, "NOAUTH|unknown command"),
    ]
    for wrong, reason in cases:
        node = Node(RedisBus(wrong, "here", reactor))
        with logged("Redis at") as lines:
            node.bus.start(node.heard)
            await until(lambda: lines)
            await node.bus.stop()
        assert re.search(reason, lines[0])
        assert "sentinel 127.0.0.1:" in lines[0]


@ensure
async def test_password_of_the_sentinels(servers: list[RedisServer]) -> None:
    """Sentinels have a password of their own."""
    sentinel = Sentinel(servers[0])
    sentinel.start()
    try:
        sentinel.do("ACL", "SETUSER", "default", "resetpass", ">hush")
        node = await Node(RedisBus(url([sentinel]) + "&sentinel_password=hush", "here", reactor)).started()
        await node.bus.stop()
        wrong = Node(RedisBus(url([sentinel]) + "&sentinel_password=loud", "here", reactor))
        with logged("Redis at") as lines:
            wrong.bus.start(wrong.heard)
            await until(lambda: lines)
            await wrong.bus.stop()
        assert "refuses the password (WRONGPASS)" in lines[0]
        assert "loud" not in lines[0]
    finally:
        sentinel.close()
