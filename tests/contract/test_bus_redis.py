"""RedisBus on a server that works: presence against nodes that died, strange messages, passwords, what is left behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from ocppd.bus.api import LEASE_S, Look
from ocppd.bus.redis import RedisBus
from ocppd.bus.scripts import CHANNEL, HOLDERS, LEASE
from ocppd.errors import BusUnavailable
from support.buses import Node, Nodes, logged, until
from support.redis import RedisServer

ensure = pytest_twisted.ensureDeferred
ROOT = Path(__file__).resolve().parents[2]

#: What a user of Redis must be allowed to do.
RIGHTS = """
resetchannels ~ocppd:* &ocppd:* -@all
+auth +select +script|load +evalsha +subscribe +publish +set +del +exists +hget +hset +hdel +hmget
"""

#: What no node publishes.
STRANGE: list[str | bytes] = [
    b"",
    b"\xff\xfe",
    b"{",
    b"7",
    b'"look"',
    "[" * 100_000,
    '{"type":"look"}',
    '{"type":"look","charger":7}',
    '{"type":"look","charger":"' + "x" * 2_000_000 + '"}',
    '{"type":"unheard of"}',
    '{"charger":"CP1"}',
    '{"type":"pulse"}',
    '{"type":"pulse","token":"forged"}',
    '{"type":"superseded","chargers":{"CP1":5,"CP2":9}}',
    '{"type":"superseded","chargers":["CP1"]}',
    '{"type":"superseded","chargers":{"CP1":"nine"}}',
]

#: A node of its own process, which holds CP1 by generation 9 until it is killed.
DOOMED = """
import sys
from twisted.internet import reactor
from ocppd.bus.redis import RedisBus
class Listener:
    def restored(self):
        bus.hold("CP1", 9)
        bus.holders(["CP1"]).addCallback(lambda found: print(found["CP1"].generation, flush=True))
bus = RedisBus(sys.argv[1], "doomed", reactor)
bus.start(Listener())
reactor.run()
"""


clock: Any = reactor


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """A Redis server for all tests of this module that leave it running."""
    running = RedisServer().start()
    yield running
    running.close()


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    """A server without any data."""
    shared.do("FLUSHALL")
    return shared


@pytest_twisted.async_yield_fixture
async def nodes(server: RedisServer) -> AsyncIterator[Nodes]:
    """Nodes of this server."""
    made = Nodes(lambda name: RedisBus(server.url(), name, reactor))
    yield made
    await made.stop()


@pytest.fixture
def protected() -> Iterator[RedisServer]:
    """A server with a password."""
    running = RedisServer(password="hush/hush:@#%").start()
    yield running
    running.close()


# Nodes that died


@ensure
async def test_a_node_that_dies(server: RedisServer, nodes: Nodes) -> None:
    """A node that was killed holds its chargers until its lease ends; then even an older connection may hold them."""
    doomed = subprocess.Popen([sys.executable, "-c", DOOMED, server.url()], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert doomed.stdout is not None
        assert doomed.stdout.readline() == b"9\n"
        (node,) = await nodes.start("here")
        node.bus.hold("CP1", 8)
        await until(lambda: node.heard.lost == [("CP1", 9)])
    finally:
        doomed.send_signal(signal.SIGKILL)
        doomed.communicate()
    assert (await node.bus.holders(["CP1"]))["CP1"].node == "doomed"
    await until(lambda: server.do("EXISTS", LEASE + "doomed") == 0, LEASE_S + 1)
    assert await node.bus.holders(["CP1"]) == {}
    assert await node.bus.send("doomed", Look("CP1")) is False
    node.bus.hold("CP1", 8)
    await node.knows("CP1", node, 8)
    assert node.heard.lost == [("CP1", 9)]


@ensure
async def test_a_node_that_was_taken_for_dead(server: RedisServer, nodes: Nodes) -> None:
    """A node whose lease ended while it lived tells again what it holds: its newer connection wins."""
    here, there = await nodes.start("here", "there")
    here.bus.hold("CP1", 9)
    await there.knows("CP1", here, 9)
    server.do("DEL", LEASE + "here")
    there.bus.hold("CP1", 8)
    await there.knows("CP1", there, 8)
    await until(lambda: there.heard.lost == [("CP1", 9)])
    await there.knows("CP1", here, 9)
    assert (here.heard.restorations, here.heard.lost) == (2, [])


@ensure
async def test_foreign_entries(server: RedisServer, nodes: Nodes) -> None:
    """What no version of ours has written is nobody's."""
    for number, entry in enumerate(("", "rubbish", "7", "x here", "-1 here", " ", "7 nobody")):
        server.do("HSET", HOLDERS, f"CP{number}", entry)
    (node,) = await nodes.start("here")
    chargers = [f"CP{number}" for number in range(7)]
    assert await node.bus.holders(chargers) == {}
    for charger in chargers:
        node.bus.hold(charger, 1)
    await node.knows("CP6", node, 1)
    assert len(await node.bus.holders(chargers)) == 7


# What is published


@ensure
async def test_strange_messages(server: RedisServer, nodes: Nodes) -> None:
    """What cannot be read is told once for each kind of mistake, and dropped; what follows arrives."""
    (node,) = await nodes.start("here")
    node.bus.hold("CP1", 5)
    with logged("is dropped") as lines:
        for _ in range(2):
            for message in STRANGE:
                assert server.do("PUBLISH", CHANNEL + "here", message) == 1
        server.do("PUBLISH", CHANNEL + "here", '{"type":"look","charger":"CP1","member":"of a later version"}')
        await until(lambda: node.heard.received_messages == [Look("CP1")])
    assert len(lines) == 3, lines
    assert (node.heard.lost, node.heard.restorations, node.bus.available) == ([], 1, True)


@ensure
async def test_the_pulse_is_not_delivered(server: RedisServer, nodes: Nodes) -> None:
    """A node hears nothing of its own pulse, and renews its lease for as long as it lives."""
    (node,) = await nodes.start("here")
    server.do("PEXPIRE", LEASE + "here", 1500)
    await until(lambda: server.do("PTTL", LEASE + "here") > 4000)
    assert (node.heard.received_messages, node.bus.available) == ([], True)


# What it costs


@ensure
async def test_twenty_thousand_holds(server: RedisServer, nodes: Nodes) -> None:
    """Twenty thousand chargers are announced within seconds, in calls of many chargers each."""
    here, there = await nodes.start("here", "there")
    before = commands_of(server, "evalsha")
    for number in range(20_000):
        here.bus.hold(f"CP{number}", number + 1)
    await until(lambda: server.do("HLEN", HOLDERS) == 20_000, 5)
    assert commands_of(server, "evalsha") - before < 80
    await there.knows("CP19999", here, 20_000)
    assert here.bus.available and there.bus.available


@ensure
async def test_messages_of_a_turn_are_one_command(server: RedisServer, nodes: Nodes) -> None:
    """What is sent within a turn of the reactor is one command for Redis."""
    here, there = await nodes.start("here", "there")
    before = commands_of(server, "evalsha")
    sent = [here.bus.send("there", Look(f"CP{number}")) for number in range(400)]
    assert await sent[-1] is True
    # Renewals may come between.
    assert commands_of(server, "evalsha") - before <= 3
    await until(lambda: len(there.heard.received_messages) == 400)


def commands_of(server: RedisServer, command: str) -> int:
    """How often clients have sent this command; what scripts do is not counted with it."""
    statistics = server.do("INFO", "commandstats").decode()
    found = [line for line in statistics.splitlines() if line.startswith(f"cmdstat_{command}:")]
    return int(found[0].split("calls=")[1].split(",")[0]) if found else 0


# Databases, users and passwords


@ensure
async def test_password(protected: RedisServer) -> None:
    """A password with all kinds of characters, and a database of its own."""
    node = await Node(RedisBus(protected.url(query="/3"), "here", reactor)).started()
    node.bus.hold("CP1", 1)
    await node.knows("CP1", node, 1)
    assert protected.do("HLEN", HOLDERS) == 0
    await node.bus.stop()


@ensure
async def test_ipv6() -> None:
    """A server with an IPv6 address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    running = RedisServer(settings="bind 127.0.0.1 ::1\n").start()
    node = await Node(RedisBus(running.url(host="[::1]"), "here", reactor)).started()
    await node.bus.stop()
    running.close()


@ensure
async def test_user(protected: RedisServer) -> None:
    """A user who may do no more than a bus needs."""
    protected.do("ACL", "SETUSER", "node", "on", ">sesame", *RIGHTS.split())
    url = f"redis://node:sesame@127.0.0.1:{protected.port}"
    here, there = Node(RedisBus(url, "here", reactor)), Node(RedisBus(url, "there", reactor))
    await here.started()
    await there.started()
    here.bus.hold("CP1", 1)
    await there.knows("CP1", here, 1)
    there.bus.hold("CP1", 2)
    await until(lambda: here.heard.lost == [("CP1", 2)])
    await here.bus.stop()
    await there.bus.stop()


@ensure
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (lambda server: server.url(password="wrong/secret"), "WRONGPASS"),
        (lambda server: f"redis://wrong:secret@127.0.0.1:{server.port}", "WRONGPASS"),
        (lambda server: f"redis://127.0.0.1:{server.port}", "NOAUTH"),
        (lambda server: server.url(query="/99999"), "DB index is out of range"),
    ],
    ids=["wrong password", "wrong user", "no password", "no such database"],
)
async def test_refused(protected: RedisServer, url: Callable[[RedisServer], str], reason: str) -> None:
    """What Redis refuses is told once, without secrets, and tried again until it is accepted."""
    with logged("") as lines:
        bus = RedisBus(url(protected), "here", reactor)
        node = Node(bus)
        bus.start(node.heard)
        await until(lambda: any(reason in line for line in lines))
        assert not bus.available
        with pytest.raises(BusUnavailable, match=reason):
            await bus.holders(["CP1"])
        with pytest.raises(BusUnavailable, match=reason):
            await bus.send("there", Look("CP1"))
        refusals = count_connections(protected)
        await until(lambda: count_connections(protected) >= refusals + 2)
        await bus.stop()
    assert len([line for line in lines if "Redis" in line]) == 1
    assert not any(secret in text for text in [*lines, repr(bus)] for secret in ("secret", "hush"))


@ensure
async def test_refused_for_a_time(protected: RedisServer) -> None:
    """A password that is wrong for a time is an outage: the end of it is told with how long it was."""
    with logged("Redis at") as lines:
        node = Node(RedisBus(protected.url(password="later"), "here", reactor))
        node.bus.start(node.heard)
        await until(lambda: lines)
        protected.do("ACL", "SETUSER", "default", ">later")
        await until(lambda: node.bus.available, 5)
        await node.bus.stop()
    assert len(lines) == 2
    assert "is back after" in lines[1]


def count_connections(server: RedisServer) -> int:
    """How many connections the server has accepted since it started."""
    statistics = server.do("INFO", "stats").decode()
    return int(statistics.split("total_connections_received:")[1].split()[0])


# The end


@ensure
async def test_stop_while_it_tells(server: RedisServer) -> None:
    """A node that stops while it tells what it holds leaves nothing, either."""
    node = Node(RedisBus(server.url(), "here", reactor))
    for number in range(20_000):
        node.bus.hold(f"CP{number}", 1)
    node.bus.start(node.heard)
    await until(lambda: server.do("EXISTS", LEASE + "here"))
    assert not node.heard.restorations
    await node.bus.stop()
    assert server.do("KEYS", "*") == []


@ensure
async def test_stop_before_a_renewal(server: RedisServer, nodes: Nodes) -> None:
    """The lease that was given up is not renewed, however long it takes Redis to answer."""
    (node,) = await nodes.start("here")
    await until(lambda: server.do("PTTL", LEASE + "here") < LEASE_S * 1000 - 500)
    server.pause()
    began = clock.seconds()
    stopped = node.bus.stop()
    await until(lambda: clock.seconds() > began + 0.8)
    server.resume()
    await stopped
    assert server.do("KEYS", "*") == []


@ensure
async def test_nothing_is_left(server: RedisServer) -> None:
    """A node that has stopped leaves nothing in Redis, no connection, no timer, and nobody who waits."""
    node = await Node(RedisBus(server.url(), "here", reactor)).started()
    clients = len(server.do("CLIENT", "LIST").splitlines())
    for number in range(1200):
        node.bus.hold(f"CP{number}", 1)
    await node.knows("CP1199", node, 1)
    node.bus.hold("CP1200", 1)
    waiting = [node.bus.send("there", Look("CP1")), node.bus.holders(["CP1"])]
    await node.bus.stop()
    for waited in waiting:
        assert waited.called
    assert clock.getDelayedCalls() == []
    assert server.do("KEYS", "*") == []
    await until(lambda: len(server.do("CLIENT", "LIST").splitlines()) == clients - 2)
    with pytest.raises(BusUnavailable):
        await node.bus.holders(["CP1"])
    with pytest.raises(BusUnavailable):
        await node.bus.send("there", Look("CP1"))
