"""Two nodes over one PostgreSQL database, in one process: calls find their charger, and their end finds who waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from ocppd.bus.local import LocalBus, LocalHub
from ocppd.central.connection import REPLACED_CLOSE
from ocppd.storage.records import ConnectedCharger, MessageRecord, MessageState
from ocppd.storage.sql_storage import SqlStorage
from support import postgresql
from support.peer import within
from support.rest import BOOT, ScriptedLink, Served, silent
from support.streams import open_stream

ensure = pytest_twisted.ensureDeferred
SETTING = {"key": "HeartbeatInterval", "value": "7"}
SECRET = {"key": "AuthorizationKey", "value": "0123456789abcdef0123456789abcdef"}


class Pair:
    """The nodes `a` and `b`."""

    def __init__(self, url: str) -> None:
        self._hub = LocalHub()
        self.a = self._node("a", url)
        self.b = self._node("b", url)

    def _node(self, name: str, url: str) -> Served:
        identity = f"{name}#1"
        storage = SqlStorage(url, reactor, postgresql.SECRET_KEY, node=identity)
        return Served("CP1", "CP2", queue=3, storage=storage, bus=LocalBus(identity, reactor, self._hub))

    async def begin(self) -> None:
        """Both nodes live."""
        for node in (self.a, self.b):
            await node.system.cluster.start()

    async def end(self) -> None:
        """Both stop."""
        for node in (self.a, self.b):
            await node.stop()
            await node.bus.stop()


@pytest_twisted.async_yield_fixture
async def pair(pytestconfig: pytest.Config) -> AsyncIterator[Pair]:
    """Two nodes."""
    server = postgresql.server(pytestconfig)
    database = server.create()
    nodes = Pair(server.url(database))
    await nodes.begin()
    yield nodes
    await nodes.end()
    server.drop(database)


async def read(node: Served, message_id: str) -> MessageRecord:
    """A message that is there."""
    found = await node.storage.read_message(message_id)
    assert found is not None
    return found


async def settled(*nodes: Served) -> None:
    """What was begun on these nodes has been written, and told to the others."""
    for _ in range(3):
        for node in nodes:
            await node.storage.check()
            await node.get("/healthz")


async def answer_next(link: ScriptedLink, status: str = "Accepted") -> list[Any]:
    """The call that is next to be written, answered."""
    call = await link.next_frame()
    link.tell(f'[3,"{call[1]}",{{"status":"{status}"}}]')
    return call


@ensure
async def test_a_command_through_the_other_node(pair: Pair) -> None:
    """A command is accepted on any node, and whoever waits there is told the charger's answer."""
    link = await pair.b.connect("CP1")
    answer = await pair.a.command("Reset", {"type": "Soft"}, "?wait=20")
    assert (answer.status, answer.json["state"], answer.json["outcome"]) == (200, "completed", "Accepted")
    assert [call[2] for call in link.calls] == ["Reset"]
    record = await read(pair.b, answer.json["messageId"])
    assert (record.state, record.origin) == (MessageState.COMPLETED, "a#1")


@ensure
async def test_commands_keep_their_order(pair: Pair) -> None:
    """What one node accepts for another's charger is sent in the order of its acceptance, behind what is there."""
    link = await pair.b.connect("CP1", silent)
    first = await pair.b.command("ClearCache", {})
    ids = [(await pair.a.command("ChangeConfiguration", {"key": "K", "value": str(turn)})).json["messageId"] for turn in range(3)]
    await settled(pair.a, pair.b)
    link.tell(f'[3,"{first.json["messageId"]}",{{"status":"Accepted"}}]')
    assert [(await answer_next(link))[1] for _ in ids] == ids


@ensure
async def test_the_holder_overtakes_nothing(pair: Pair) -> None:
    """A command that the holder accepts goes out behind one that another node has accepted, though its own slot is free."""
    link = await pair.b.connect("CP1", silent)
    pair._hub.nodes["b#1"]._delivery.later = lambda *_: None  # type: ignore[method-assign]  # the message is late
    first = (await pair.a.command("ChangeConfiguration", {"key": "K", "value": "1"})).json["messageId"]
    second = await pair.b.command("ChangeConfiguration", {"key": "K", "value": "2"})
    assert (await answer_next(link))[1] == first
    assert (await answer_next(link))[1] == second.json["messageId"]


@ensure
async def test_the_queue_has_one_limit(pair: Pair) -> None:
    """The limit of a charger's queue counts what all nodes have accepted."""
    await pair.b.connect("CP1", silent)
    await pair.b.command("ClearCache", {})
    for turn in range(3):
        node = pair.a if turn % 2 else pair.b
        assert (await node.command("ChangeConfiguration", SETTING)).status == 202
    assert (await pair.a.command("ChangeConfiguration", SETTING)).slug == "queue-full"


@ensure
async def test_a_secret_crosses_nodes_by_the_records(pair: Pair) -> None:
    """A secret that one node accepts is sent whole by another one, and is readable nowhere."""
    link = await pair.b.connect("CP1")
    answer = await pair.a.command("ChangeConfiguration", SECRET, "?wait=20")
    assert answer.status == 200
    assert link.calls[0][3] == SECRET
    assert SECRET["value"] not in (await read(pair.a, answer.json["messageId"])).frame


@ensure
async def test_registration_is_known_everywhere(pair: Pair) -> None:
    """A command that the charger's registration forbids is refused on every node, and nothing is journaled."""
    await pair.b.connect("CP1", boot=False)
    answer = await pair.a.command("Reset", {"type": "Soft"})
    assert answer.slug == "not-permitted"
    assert (await pair.a.get("/api/v1/messages?direction=toCharger")).json["items"] == []


@ensure
async def test_an_offline_charger_is_offline_everywhere(pair: Pair) -> None:
    """A command that does not wait is refused where no node holds the charger; so it is once its connection has ended."""
    assert (await pair.a.command("Reset", {"type": "Soft"})).slug == "not-connected"
    link = await pair.b.connect("CP1")
    pair.b.disconnect(link)
    await settled(pair.b)
    assert (await pair.a.command("Reset", {"type": "Soft"})).slug == "not-connected"


@ensure
async def test_a_queued_command_meets_its_charger(pair: Pair) -> None:
    """Who waits on one node for an offline charger's command is told when the charger comes to another one."""
    waiting = Deferred.fromCoroutine(pair.a.command("ClearCache", {}, "?wait=20"))
    await settled(pair.a)
    await pair.b.connect("CP1")
    answer = await within(waiting)
    assert (answer.status, answer.json["outcome"]) == (200, "Accepted")


@ensure
async def test_a_holder_that_does_not_listen(pair: Pair) -> None:
    """Where the holder takes no message, a command that does not wait is refused (503) and never sent; others wait."""
    link = await pair.b.connect("CP1")
    await pair.b.bus.stop()
    refused = await pair.a.command("Reset", {"type": "Soft"}, "?wait=20")
    assert (refused.status, refused.slug) == (503, "holder-unreachable")
    assert refused.headers["retry-after"]
    assert (await read(pair.a, refused.json["messageId"])).state is MessageState.ERROR
    accepted = await pair.a.command("ClearCache", {})
    assert (accepted.status, accepted.json["state"]) == (202, "queued")
    assert link.calls == []
    pair.b.bus = LocalBus("b#1", reactor, pair._hub)
    pair.b.bus.start(pair.b.system.cluster)
    call = await link.next_frame()
    assert (call[1], call[2]) == (accepted.json["messageId"], "ClearCache")
    await settled(pair.b)
    assert (await read(pair.a, accepted.json["messageId"])).state is MessageState.COMPLETED


@ensure
async def test_messages_that_were_lost_are_made_up_for(pair: Pair) -> None:
    """Where the end of a command could not be told, the node that waits for it looks when it listens again."""
    link = await pair.b.connect("CP1", silent)
    waiting = Deferred.fromCoroutine(pair.a.command("ClearCache", {}, "?wait=20"))
    call = await link.next_frame()
    await pair.a.bus.stop()
    link.tell(f'[3,"{call[1]}",{{"status":"Accepted"}}]')
    await settled(pair.b)
    assert not waiting.called
    pair.a.bus = LocalBus("a#1", reactor, pair._hub)
    pair.a.bus.start(pair.a.system.cluster)
    assert (await within(waiting)).status == 200


@pytest.mark.parametrize("accepting", ["a", "b"])
@ensure
async def test_a_command_during_the_handshake(pair: Pair, accepting: str) -> None:
    """A command that is accepted when the charger has looked for what waits, and is not yet connected, is sent all the same."""
    link = ScriptedLink(lambda call: None)
    known: ConnectedCharger = await pair.b.system.connecting("CP1", "192.0.2.7")
    answer = await getattr(pair, accepting).command("ChangeConfiguration", SETTING)
    assert answer.status == 202
    await settled(pair.a, pair.b)
    link.connection = pair.b.system.connected(pair.b.system.chargers.settings("CP1"), link, known)
    pair.b._links.append(link)
    link.tell(BOOT)
    frames = [await link.next_frame()]
    while frames[-1][0] != 2:
        frames.append(await link.next_frame())
    assert frames[-1][1] == answer.json["messageId"]


@ensure
async def test_a_handshake_that_comes_to_nothing(pair: Pair) -> None:
    """A charger that goes away during its handshake is offline again, on every node."""
    known = await pair.b.system.connecting("CP1", "192.0.2.7")
    pair.b.system.abandoned("CP1", known)
    await settled(pair.b)
    assert (await pair.a.get("/api/v1/chargers/CP1")).json["connected"] is False
    assert (await pair.b.command("Reset", {"type": "Soft"})).slug == "not-connected"


@ensure
async def test_a_charger_that_moves(pair: Pair) -> None:
    """The older connection is closed, its written call is unknown, and what waited goes out on the new node (C-1, S-6)."""
    first = await pair.a.connect("CP1", silent)
    written = (await pair.a.command("ClearCache", {})).json["messageId"]
    waiting = [(await pair.a.command("ChangeConfiguration", SETTING)).json["messageId"] for _ in range(2)]
    passing = await pair.a.command("Reset", {"type": "Soft"})
    second = await pair.b.connect("CP1", boot=False)
    sent = [(await answer_next(second))[1] for _ in waiting]
    assert sent == waiting
    await settled(pair.a, pair.b)
    assert first.closed == [REPLACED_CLOSE]
    assert (await read(pair.a, written)).state is MessageState.UNKNOWN
    assert (await read(pair.a, passing.json["messageId"])).state is MessageState.ERROR
    pair.a.disconnect(first)
    await settled(pair.a, pair.b)
    charger = (await pair.a.get("/api/v1/chargers/CP1")).json
    assert (charger["connected"], charger["node"]) == (True, "b")


@ensure
async def test_a_late_answer_on_another_node(pair: Pair) -> None:
    """An answer that comes on the next connection, to another node, still completes the message as late (F-8)."""
    first = await pair.a.connect("CP1", silent)
    written = (await pair.a.command("ClearCache", {})).json["messageId"]
    second = await pair.b.connect("CP1", boot=False)
    await settled(pair.a, pair.b)
    second.tell(f'[3,"{written}",{{"status":"Accepted"}}]')
    await settled(pair.b)
    record = await read(pair.a, written)
    assert (record.state, record.late) == (MessageState.COMPLETED, True)
    pair.a.disconnect(first)


@ensure
async def test_what_other_nodes_show(pair: Pair) -> None:
    """Every node shows a charger as connected, to which node and from where, and lists it so."""
    await pair.b.connect("CP1")
    await settled(pair.b)
    charger = (await pair.a.get("/api/v1/chargers/CP1")).json
    assert (charger["connected"], charger["node"], charger["remoteIp"]) == (True, "b", "192.0.2.7")
    assert charger["registration"] == "Accepted" and charger["vendor"] == "Acme"
    assert "lastSeen" not in charger and "queued" not in charger
    connection = (await pair.a.get("/api/v1/chargers/CP1/connection")).json
    assert (connection["node"], connection["remoteIp"]) == ("b", "192.0.2.7")
    found = (await pair.a.get("/api/v1/chargers?connected=true")).json["items"]
    assert [each["name"] for each in found] == ["CP1"]
    seed = (await pair.a.get("/charger/CP1/status")).json
    assert (seed["Connected"], seed["RemoteIP"]) == (True, "192.0.2.7")


@ensure
async def test_closing_a_connection_of_another_node(pair: Pair) -> None:
    """An operator closes a charger's connection through any node; one that no node has is not found."""
    link = await pair.b.connect("CP1")
    assert (await pair.a.request("DELETE", "/api/v1/chargers/CP1/connection")).status == 204
    await settled(pair.a, pair.b)
    assert link.closed == [1001]
    pair.b.disconnect(link)
    await settled(pair.b)
    assert (await pair.a.request("DELETE", "/api/v1/chargers/CP1/connection")).slug == "no-connection"


@ensure
async def test_cancelling_on_another_node(pair: Pair) -> None:
    """What waits at one node is cancelled through another one: it is not sent, and who waits is told."""
    link = await pair.b.connect("CP1", silent)
    first = (await pair.b.command("ClearCache", {})).json["messageId"]
    waiting = Deferred.fromCoroutine(pair.b.command("ChangeConfiguration", SETTING, "?wait=20"))
    await settled(pair.b)
    queued = (await pair.a.get("/api/v1/messages?state=queued")).json["items"]
    assert (await pair.a.request("DELETE", f"/api/v1/messages/{queued[0]['messageId']}")).status == 200
    assert (await within(waiting)).slug == "cancelled"
    link.tell(f'[3,"{first}",{{"status":"Accepted"}}]')
    await settled(pair.b)
    assert [call[2] for call in link.calls] == ["ClearCache"]


async def outlive(node: Served, lease_s: float = 0.3) -> None:
    """Let a node say that it lives until the other one, which says nothing, is dead by a short lease."""
    for _ in range(5000):
        census = await node.storage.node_alive(lease_s)
        if census.others == 0:
            node.system.cluster._counted(census)
            return
    raise AssertionError("the silent node lives on")


@ensure
async def test_a_node_that_dies(pair: Pair) -> None:
    """Once a node is dead its sent calls are unknown and its chargers offline; who waits on another node is told."""
    link = await pair.b.connect("CP1", silent)
    waiting = Deferred.fromCoroutine(pair.a.command("ClearCache", {}, "?wait=20"))
    sent = await link.next_frame()
    bound = await pair.a.command("Reset", {"type": "Soft"})
    await outlive(pair.a)
    answer = await within(waiting)
    assert (answer.status, answer.slug) == (504, "outcome-unknown")
    assert (await read(pair.a, sent[1])).state is MessageState.UNKNOWN
    assert (await read(pair.a, bound.json["messageId"])).state is MessageState.ERROR
    assert (await pair.a.command("Reset", {"type": "Soft"})).slug == "not-connected"
    assert (await pair.a.get("/api/v1/chargers/CP1")).json["connected"] is False


@ensure
async def test_a_node_that_was_only_silent(pair: Pair) -> None:
    """A node that was taken for dead lives again as soon as it says so, and an answer to what it had sent still counts."""
    link = await pair.b.connect("CP1", silent)
    sent = (await pair.b.command("ClearCache", {})).json["messageId"]
    await outlive(pair.a)
    assert (await read(pair.a, sent)).state is MessageState.UNKNOWN
    await pair.b.system.cluster.beat()
    link.tell(f'[3,"{sent}",{{"status":"Accepted"}}]')
    await settled(pair.b)
    record = await read(pair.a, sent)
    assert (record.state, record.late, record.outcome) == (MessageState.COMPLETED, True, "Accepted")
    assert (await pair.a.get("/api/v1/chargers/CP1")).json["node"] == "b"


@ensure
async def test_what_the_dead_were_not_told(pair: Pair) -> None:
    """What was accepted while its holder was taken for dead is sent when that lives again."""
    link = await pair.b.connect("CP1")
    await outlive(pair.a)
    accepted = (await pair.a.command("ClearCache", {})).json["messageId"]
    await settled(pair.a, pair.b)
    assert link.calls == []
    await pair.b.system.cluster.beat()
    assert (await link.next_frame())[1] == accepted


@ensure
async def test_a_handshake_beside_a_connection(pair: Pair) -> None:
    """A second handshake that comes to nothing leaves the connection that there is: commands still find it, until it ends."""
    link = await pair.b.connect("CP1")
    known = await pair.b.system.connecting("CP1", "192.0.2.8")
    pair.b.system.abandoned("CP1", known)
    await settled(pair.b)
    assert (await pair.a.command("Reset", {"type": "Soft"}, "?wait=20")).status == 200
    pair.b.disconnect(link)
    await settled(pair.b)
    assert (await pair.a.command("Reset", {"type": "Soft"})).slug == "not-connected"


@ensure
async def test_nobody_is_declared_dead_by_the_silent(pair: Pair) -> None:
    """A node that was silent itself, as all are while the database is away, declares nobody dead on its return."""
    for node in (pair.a, pair.b, pair.a):
        assert (await node.storage.node_alive(0)).others == 1


@ensure
async def test_events_of_all_nodes(pair: Pair) -> None:
    """What happens on one node is in the streams of every node; the id of an event is good on any of them."""
    streams = [await open_stream(node.port, "?lastEventId=0") for node in (pair.a, pair.b)]
    link = await pair.b.connect("CP1")
    await pair.a.command("Reset", {"type": "Soft"}, "?wait=20")
    kinds = ["chargerConnected", "messageReceived", "commandAccepted", "commandEnded"]
    for stream in streams:
        told = await stream.take(4)
        assert [each.kind for each in told] == kinds
        assert told[0].data["node"] == "b"
        stream.close()
    again = await open_stream(pair.a.port, Last_Event_ID=str(told[1].resume))
    assert [each.kind for each in await again.take(2)] == kinds[2:]
    pair.b.disconnect(link)
    assert (await again.next()).kind == "chargerDisconnected"
    again.close()
