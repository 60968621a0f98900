"""What every bus does (ocppd.bus.api), in one process and over Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from ocppd.bus.api import BusMessage, CloseConnection, Ended, Look
from ocppd.bus.local import LocalBus, LocalHub
from ocppd.bus.redis import RedisBus
from support.buses import Node, Nodes, until
from support.redis import RedisServer

ensure = pytest_twisted.ensureDeferred


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis server for all tests of this module; their nodes and chargers have names of their own."""
    running = RedisServer().start()
    yield running
    running.close()


@pytest_twisted.async_yield_fixture(params=["local", "redis"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    """Nodes that know each other."""
    clock: Any = reactor
    if request.param == "local":
        hub = LocalHub()
        made = Nodes(lambda name: LocalBus(name, clock, hub))
    else:
        running: RedisServer = request.getfixturevalue("server")
        running.do("FLUSHALL")
        made = Nodes(lambda name: RedisBus(running.url(), name, clock))
    yield made
    await made.stop()


@pytest_twisted.async_fixture
async def two(nodes: Nodes) -> tuple[Node, Node]:
    """Two nodes."""
    here, there = await nodes.start("here", "there")
    return here, there


# Beginning and end


@ensure
async def test_start(nodes: Nodes) -> None:
    """A node that has started is told once that messages arrive, and its bus is available."""
    (node,) = await nodes.start("a node:1234#5")
    assert (node.bus.node, node.bus.available, node.bus.alone) == ("a node:1234#5", True, False)
    assert node.heard.restorations == 1


@ensure
async def test_nothing_is_told_at_once(nodes: Nodes) -> None:
    """What a bus tells comes on a later turn of the reactor, never from inside a call to it."""
    (node,) = await nodes.start("here")
    assert await node.bus.send("here", Look("CP1"))
    started = nodes.node("there")
    started.bus.start(started.heard)
    assert (started.heard.restorations, node.heard.received_messages) == (0, [])
    await until(lambda: started.heard.restorations and node.heard.received_messages)


@ensure
async def test_stop_gives_up(two: tuple[Node, Node]) -> None:
    """A node that has stopped holds nothing, takes no messages, and is told nothing more."""
    here, there = two
    for number in range(700):
        here.bus.hold(f"CP{number}", 1)
    await there.knows("CP699", here, 1)
    here.bus.send("here", Look("CP1"))
    await here.bus.stop()
    assert await there.bus.holders([f"CP{number}" for number in range(700)]) == {}
    assert await there.bus.send("here", Look("CP1")) is False
    there.bus.hold("CP1", 2)
    await there.knows("CP1", there, 2)
    assert (here.heard.received_messages, here.heard.lost) == ([], [])


@ensure
async def test_stop_at_any_time(nodes: Nodes) -> None:
    """A bus can be stopped before it starts, while it starts, and more than once."""
    await nodes.node("never started").bus.stop()
    starting = nodes.node("starting")
    starting.bus.start(starting.heard)
    first, second = starting.bus.stop(), starting.bus.stop()
    await first
    await second
    await starting.bus.stop()
    starting.bus.hold("CP1", 1)
    starting.bus.release("CP1", 1)
    assert starting.heard.restorations == 0


# Presence


@ensure
async def test_nobody_holds(two: tuple[Node, Node]) -> None:
    """Chargers that nobody holds are left out."""
    assert await two[0].bus.holders(["CP1", "CP2"]) == {}
    assert await two[0].bus.holders([]) == {}


@ensure
async def test_hold_and_release(two: tuple[Node, Node]) -> None:
    """Every node knows who holds a charger, until it is released."""
    here, there = two
    here.bus.hold("CP1", 7)
    await here.knows("CP1", here, 7)
    await there.knows("CP1", here, 7)
    here.bus.release("CP1", 7)
    await there.knows("CP1", None)


@ensure
@pytest.mark.parametrize("charger", ["a b", 'quo"te', "back\\slash", "{brace}", "Säule 1", "🔌", "7 somebody", "%s", "x" * 255])
async def test_any_name(two: tuple[Node, Node], charger: str) -> None:
    """Chargers may have any name (U-3)."""
    here, there = two
    here.bus.hold(charger, 1)
    await there.knows(charger, here, 1)
    there.bus.hold(charger, 2)
    await until(lambda: here.heard.lost == [(charger, 2)])
    here.bus.hold(charger, 1)
    await until(lambda: here.heard.lost == [(charger, 2)] * 2)


@ensure
async def test_large_generations(two: tuple[Node, Node]) -> None:
    """Generations keep all their digits."""
    here, there = two
    here.bus.hold("CP1", 2**53 - 2)
    await there.knows("CP1", here, 2**53 - 2)
    there.bus.hold("CP1", 2**53 - 1)
    await until(lambda: here.heard.lost == [("CP1", 2**53 - 1)])


@ensure
async def test_release_of_an_older_connection(two: tuple[Node, Node]) -> None:
    """The end of an older connection does not release the newer one (C-1)."""
    here, there = two
    here.bus.hold("CP1", 7)
    here.bus.hold("CP1", 8)
    here.bus.release("CP1", 7)
    await there.knows("CP1", here, 8)
    there.bus.release("CP1", 8)
    await here.hears_of(there)
    await there.knows("CP1", here, 8)


@ensure
async def test_newer_connection_elsewhere(two: tuple[Node, Node]) -> None:
    """A newer connection on another node takes the charger; who held it is told by which generation (C-1)."""
    here, there = two
    here.bus.hold("CP1", 7)
    here.bus.hold("CP2", 7)
    await there.knows("CP1", here, 7)
    there.bus.hold("CP1", 8)
    await until(lambda: here.heard.lost == [("CP1", 8)])
    await here.knows("CP1", there, 8)
    await here.knows("CP2", here, 7)
    here.bus.release("CP1", 7)
    await there.hears_of(here)
    await there.knows("CP1", there, 8)
    assert there.heard.lost == []


@ensure
async def test_older_connection_elsewhere(two: tuple[Node, Node]) -> None:
    """An older connection takes nothing, and its node is told of the newer one."""
    here, there = two
    here.bus.hold("CP1", 7)
    await there.knows("CP1", here, 7)
    there.bus.hold("CP1", 6)
    await until(lambda: there.heard.lost == [("CP1", 7)])
    await there.knows("CP1", here, 7)
    there.bus.release("CP1", 6)
    await here.hears_of(there)
    await there.knows("CP1", here, 7)
    assert here.heard.lost == []


@ensure
async def test_equal_generations(two: tuple[Node, Node]) -> None:
    """Of two connections that claim the same generation the first stays, and nobody is told to close."""
    here, there = two
    here.bus.hold("CP1", 7)
    await there.knows("CP1", here, 7)
    there.bus.hold("CP1", 7)
    await here.hears_of(there)
    await there.hears_of(here)
    await there.knows("CP1", here, 7)
    assert (here.heard.lost, there.heard.lost) == ([], [])


@ensure
async def test_newer_connection_here(two: tuple[Node, Node]) -> None:
    """A newer connection on the same node is no news to it; an older one that comes late changes nothing."""
    here, there = two
    here.bus.hold("CP1", 7)
    here.bus.hold("CP1", 9)
    await there.knows("CP1", here, 9)
    here.bus.hold("CP1", 8)
    await there.hears_of(here)
    await there.knows("CP1", here, 9)
    assert here.heard.lost == []


@ensure
async def test_order_within_a_turn(two: tuple[Node, Node]) -> None:
    """Holds and releases of one turn of the reactor are told in their order."""
    here, there = two
    there.bus.hold("CP3", 1)
    await here.knows("CP3", there, 1)
    here.bus.hold("CP1", 1)
    here.bus.release("CP1", 1)
    here.bus.hold("CP2", 1)
    here.bus.release("CP2", 1)
    here.bus.hold("CP2", 2)
    here.bus.hold("CP3", 2)
    here.bus.release("CP3", 2)
    assert sorted((await here.bus.holders(["CP1", "CP2", "CP3"])).items()) == sorted(
        (await there.bus.holders(["CP1", "CP2", "CP3"])).items()
    )
    await there.knows("CP1", None)
    await there.knows("CP2", here, 2)
    await there.knows("CP3", None)
    await until(lambda: there.heard.lost == [("CP3", 2)])


@ensure
async def test_many(two: tuple[Node, Node]) -> None:
    """Two thousand chargers move from one node to another, and come back."""
    here, there = two
    chargers = [f"CP{number}" for number in range(2000)]
    for charger in chargers:
        here.bus.hold(charger, 1)
    await there.knows(chargers[-1], here, 1)
    for charger in chargers:
        there.bus.hold(charger, 2)
    await until(lambda: len(here.heard.lost) == 2000)
    assert {holder.node for holder in (await here.bus.holders(chargers)).values()} == {"there"}
    for charger in chargers:
        here.bus.hold(charger, 3)
    await until(lambda: len(there.heard.lost) == 2000)
    assert len(await there.bus.holders(chargers)) == 2000


# Messages


@ensure
@pytest.mark.parametrize(
    "message", [Look("CP1"), Ended('id "1"'), CloseConnection("Säule 🔌")], ids=lambda message: type(message).__name__
)
async def test_send(two: tuple[Node, Node], message: BusMessage) -> None:
    """A message arrives as it was sent, at the node it was sent to and at no other."""
    here, there = two
    assert await here.bus.send("there", message) is True
    await until(lambda: there.heard.received_messages == [message])
    assert here.heard.received_messages == []


@ensure
async def test_send_to_nobody(two: tuple[Node, Node]) -> None:
    """A message to a node that does not live is told to be lost."""
    assert await two[0].bus.send("nobody", Look("CP1")) is False


@ensure
async def test_send_to_itself(two: tuple[Node, Node]) -> None:
    """A node can send to itself."""
    assert await two[0].bus.send("here", Look("CP1")) is True
    await until(lambda: two[0].heard.received_messages == [Look("CP1")])


@ensure
async def test_order_of_messages(two: tuple[Node, Node]) -> None:
    """Messages between two nodes keep their order, within a turn of the reactor and over several."""
    here, there = two
    for start in range(0, 2000, 700):
        sent = [here.bus.send("there", Ended(str(number))) for number in range(start, min(start + 700, 2000))]
        assert await sent[-1] is True
    await until(lambda: len(there.heard.received_messages) == 2000)
    assert there.heard.received_messages == [Ended(str(number)) for number in range(2000)]


@ensure
async def test_cancelled_calls(two: tuple[Node, Node]) -> None:
    """Whoever gives up waiting takes nothing back and disturbs nobody."""
    here, there = two
    sent, found = here.bus.send("there", Look("CP1")), here.bus.holders(["CP1"])
    for given_up in (sent, found):
        given_up.addErrback(lambda _: None)
        given_up.cancel()
    assert await here.bus.send("there", Look("CP2")) is True
    await until(lambda: there.heard.received_messages == [Look("CP1"), Look("CP2")])
    assert here.bus.available


@ensure
async def test_a_listener_that_raises(two: tuple[Node, Node], logged_errors: Any) -> None:
    """What a listener raises is logged and costs one message."""
    here, there = two
    there.heard.refuses = lambda message: message == Look("CP1")
    for number in (1, 2):
        assert await here.bus.send("there", Look(f"CP{number}")) is True
    await until(lambda: there.heard.received_messages == [Look("CP2")])
    assert len(logged_errors.flush(RuntimeError)) == 1
    assert there.bus.available
