"""Nodes that share the records, where a charger is, and the calls that this decides about, over every storage."""

from __future__ import annotations

import pytest_twisted
from twisted.internet import reactor

from ocppd.storage.records import (
    CallEnd,
    DroppedCall,
    Holding,
    MessageFilter,
    MessageRecord,
    MessageState,
    Verdict,
)
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.types import RegistrationStatus
from support.storing import NOON_MS, boot, call, inbound

LIMIT = 50
#: The node of the fixture `storage`.
NODE = "this"


async def read(storage: SqlStorage, message_id: str) -> MessageRecord:
    """A message that is there."""
    found = await storage.read_message(message_id)
    assert found is not None
    return found


async def holding(storage: SqlStorage, charger: str = "CP1") -> Holding:
    """Where a charger is."""
    return (await storage.call_accepted(call("never", charger), LIMIT, lambda _: False)).holding


@pytest_twisted.ensureDeferred
async def test_a_charger_is_held_while_it_is_connected(storage: SqlStorage) -> None:
    """A new connection makes this node the holder, its end makes nobody; an older connection's end changes nothing."""
    await storage.node_started()
    assert await holding(storage) == Holding(None, None)
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.charger_booted(inbound("BootNotification"), boot())
    await storage.charger_connected("CP1", "::1", NOON_MS)
    assert await holding(storage) == Holding(NODE, RegistrationStatus.ACCEPTED)
    await storage.charger_disconnected("CP1", 1, NOON_MS)
    assert (await holding(storage)).node == NODE
    assert (await storage.read_chargers(["CP1"]))["CP1"].node == NODE
    await storage.charger_disconnected("CP1", 2, NOON_MS)
    assert (await holding(storage)).node is None
    assert (await storage.read_chargers(["CP1"]))["CP1"].node is None


@pytest_twisted.ensureDeferred
async def test_a_dead_node_holds_nothing(storage: SqlStorage) -> None:
    """What a node was given does not count once it is not in the list of nodes any more."""
    await storage.charger_connected("CP1", "::1", NOON_MS)
    assert (await holding(storage)).node is None
    await storage.node_started()
    assert (await holding(storage)).node == NODE
    await storage.node_stopped()
    assert (await holding(storage)).node is None


@pytest_twisted.ensureDeferred
async def test_a_refused_call_leaves_nothing(storage: SqlStorage) -> None:
    """A call that `decide` refuses is not journaled, and the answer says where the charger was."""
    acceptance = await storage.call_accepted(call("c1"), LIMIT, lambda where: where.node is not None)
    assert acceptance.verdict is Verdict.REFUSED
    assert await storage.list_messages(MessageFilter(), None, 10) == []


@pytest_twisted.ensureDeferred
async def test_an_accepted_call_knows_its_node(storage: SqlStorage) -> None:
    """A call is kept with the node that accepted it, which is told when it ends."""
    await storage.call_accepted(call("c1"), LIMIT, lambda _: True)
    await storage.call_created(call("c2"), None)
    assert (await read(storage, "c1")).origin == (await read(storage, "c2")).origin == NODE
    (queued,) = await storage.queued_calls("CP1", NOON_MS)
    assert (queued.message_id, queued.origin, queued.waits) == ("c1", NODE, True)


@pytest_twisted.ensureDeferred
async def test_what_does_not_wait_ends_with_the_connection(storage: SqlStorage) -> None:
    """A queued call that does not outlive a connection ends when that does, the others go on waiting (S-6)."""
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.call_accepted(call("passing", waits=False), LIMIT, lambda _: True)
    await storage.call_accepted(call("waiting"), LIMIT, lambda _: True)
    assert await storage.charger_disconnected("CP1", 0, NOON_MS) == []
    assert await storage.charger_disconnected("CP1", 1, NOON_MS) == [DroppedCall("passing", NODE)]
    assert (await read(storage, "passing")).state is MessageState.ERROR
    assert (await read(storage, "waiting")).state is MessageState.QUEUED


@pytest_twisted.ensureDeferred
async def test_what_does_not_wait_ends_with_the_next_connection(storage: SqlStorage) -> None:
    """Where nobody noticed the end of a connection, the next one ends the calls that were bound to it."""
    await storage.call_accepted(call("passing", waits=False), LIMIT, lambda _: True)
    await storage.call_accepted(call("waiting"), LIMIT, lambda _: True)
    known = await storage.charger_connected("CP1", "::1", NOON_MS)
    assert known.dropped == (DroppedCall("passing", NODE),)
    assert [queued.message_id for queued in known.queued] == ["waiting"]


@pytest_twisted.ensureDeferred
async def test_the_chargers_that_calls_wait_for(storage: SqlStorage) -> None:
    """The chargers that calls wait for and that a living node holds are found, each with its node."""
    await storage.node_started()
    for name in ("CP1", "CP2", "CP3"):
        await storage.charger_connected(name, "::1", NOON_MS)
    await storage.charger_disconnected("CP3", 1, NOON_MS)
    for message_id, charger in (("c1", "CP1"), ("c2", "CP1"), ("c3", "CP3"), ("c4", "CP4")):
        await storage.call_accepted(call(message_id, charger), LIMIT, lambda _: True)
    await storage.call_created(call("c5", "CP2"), None)
    assert await storage.queued_chargers() == {"CP1": NODE}


@pytest_twisted.ensureDeferred
async def test_sending_twice_is_sending_once(storage: SqlStorage) -> None:
    """Where the answer to a commit was lost, the same connection may commit a call as sent again; no other one may."""
    await storage.call_accepted(call("c1"), LIMIT, lambda _: True)
    assert await storage.call_sent("c1", 3, NOON_MS)
    assert await storage.call_sent("c1", 3, NOON_MS + 1)
    assert not await storage.call_sent("c1", 4, NOON_MS + 2)


@pytest_twisted.ensureDeferred
async def test_nothing_overtakes_what_waits(storage: SqlStorage) -> None:
    """A call that would go out at once is queued where another one waits, which another node may have accepted."""
    assert await storage.call_created(call("c1"), 1)
    assert (await storage.call_accepted(call("c2"), LIMIT, lambda _: True)).verdict is Verdict.ACCEPTED
    assert not await storage.call_created(call("c3"), 1)
    assert await storage.call_created(call("c4", "CP2"), 1)
    queued = await storage.queued_calls("CP1", NOON_MS)
    assert [each.message_id for each in queued] == ["c2", "c3"]
    assert queued[0].sequence < queued[1].sequence
    assert (await read(storage, "c3")).sent_ms is None


@pytest_twisted.ensureDeferred
async def test_a_requeued_call_is_handed_on(storage: SqlStorage) -> None:
    """A call that was not written waits again, and who holds the charger now is known."""
    await storage.node_started()
    await storage.call_accepted(call("c1"), LIMIT, lambda _: True)
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.call_sent("c1", 1, NOON_MS)
    assert await storage.call_requeued("c1", 2) == Holding(NODE, None)
    assert (await read(storage, "c1")).state is MessageState.SENT, "another connection has sent it"
    assert await storage.call_requeued("c1", 1) == Holding(NODE, None)
    found = await read(storage, "c1")
    assert (found.state, found.sent_ms) == (MessageState.QUEUED, None)
    assert (await storage.call_requeued("none", 1)).node is None


@pytest_twisted.ensureDeferred
async def test_only_what_is_queued_is_withdrawn(storage: SqlStorage) -> None:
    """A call is withdrawn where nobody has sent it, and goes on where somebody has."""
    await storage.call_accepted(call("c1"), LIMIT, lambda _: True)
    await storage.call_accepted(call("c2"), LIMIT, lambda _: True)
    await storage.call_sent("c2", 1, NOON_MS)
    assert await storage.call_withdrawn(CallEnd("c1", MessageState.ERROR, NOON_MS, detail="gone"))
    assert not await storage.call_withdrawn(CallEnd("c2", MessageState.ERROR, NOON_MS, detail="gone"))
    assert ((await read(storage, "c1")).state, (await read(storage, "c1")).detail) == (MessageState.ERROR, "gone")
    assert (await read(storage, "c2")).state is MessageState.SENT


@pytest_twisted.ensureDeferred
async def test_a_stop_settles_what_was_sent(storage: SqlStorage) -> None:
    """What a node has sent and heard nothing about is unknown when it stops (S-6); nothing else changes."""
    await storage.node_started()
    await storage.call_accepted(call("c1"), LIMIT, lambda _: True)
    await storage.call_created(call("c2"), None)
    await storage.message_received(inbound())
    assert await storage.node_stopped() == [DroppedCall("c2", NODE)]
    assert await storage.node_stopped() == []
    states = [record.state for record in await storage.list_messages(MessageFilter(), None, 10)]
    assert states == [MessageState.COMPLETED, MessageState.UNKNOWN, MessageState.QUEUED]


@pytest_twisted.ensureDeferred
async def test_a_start_settles_what_the_last_run_sent(file_url: str) -> None:
    """Where a run ended without a word, the next one finds what it had sent to be unknown, once, and holds nothing by it."""
    first = SqlStorage(file_url, reactor, node="first")
    first.start()
    await first.node_started()
    await first.charger_connected("CP1", "::1", NOON_MS)
    await first.call_created(call("c1"), None)
    await first.call_accepted(call("waiting"), LIMIT, lambda _: True)
    await first.call_accepted(call("passing", waits=False), LIMIT, lambda _: True)
    await first.stop()
    second = SqlStorage(file_url, reactor, node="second")
    second.start()
    census = await second.node_started()
    assert (census.others, set(census.dropped)) == (0, {DroppedCall("c1", "first"), DroppedCall("passing", "first")})
    assert (await second.node_started()).dropped == (await second.node_alive(10)).dropped == ()
    assert (await holding(second)).node is None
    states = [(await read(second, message_id)).state for message_id in ("c1", "passing", "waiting")]
    assert states == [MessageState.UNKNOWN, MessageState.ERROR, MessageState.QUEUED]
    await second.stop()
