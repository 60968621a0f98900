"""What follows calls, over every storage: decided in commits, by time, and once among several nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from ocppd.central.chargers import Chargers
from ocppd.central.follow_ups import FollowUps
from ocppd.central.watching import Awaited
from ocppd.config import Configuration
from ocppd.storage import follow_up_records
from ocppd.storage.records import CallEnd, EventFilter, EventKind, MessageState, RemoteStart, Started
from ocppd.storage.records.follow_ups import BOOT_MS, TRIGGER_MS, FollowUpState
from ocppd.storage.sql_storage import SqlStorage
from support import postgresql
from support.storing import MINUTE_MS, NOON_MS, boot, call, inbound, start, status, stop

ensure = pytest_twisted.ensureDeferred
STATE = FollowUpState


async def ended(
    storage: SqlStorage, message_id: str, action: str, payload: Any, outcome: str | None = "Accepted", **members: Any
) -> Any:
    """A call of ours that was sent at noon, and answered a second later."""
    frame = json.dumps([2, message_id, action, payload])
    await storage.call_created(call(message_id, action=action, frame=frame, redacted=frame, **members), 1)
    answer = json.dumps([3, message_id, {"status": outcome}])
    end = CallEnd(message_id, MessageState.COMPLETED, NOON_MS + 1000, outcome, answer)
    return await storage.call_ended(end)


async def states(storage: SqlStorage, message_id: str) -> list[tuple[int | None, str]]:
    """What is to follow a call, by connector."""
    found = await storage.follow_ups.of_messages([message_id, "none"])
    return [(each.connector_id, str(each.state)) for each in found.get(message_id, ())]


async def told(storage: SqlStorage, connector_id: int, text: str, seconds: int, of: int | None = None) -> None:
    """A status that comes so many seconds past noon; by its timestamp it is `of` that moment, by default of the same one."""
    at_ms = NOON_MS + seconds * 1000
    message = inbound("StatusNotification", received_ms=at_ms)
    timestamp_ms = at_ms if of is None else NOON_MS + of * 1000
    await storage.status_notified(message, status(connector_id, text, timestamp_ms=timestamp_ms))


@ensure
async def test_triggers(storage: SqlStorage) -> None:
    """OP-16: statuses are seen in their commits, one for each connector; journaled messages too, also before the answer."""
    await told(storage, 0, "Available", -60)
    await told(storage, 1, "Available", -60)
    await ended(storage, "all", "TriggerMessage", {"requestedMessage": "StatusNotification"})
    assert await states(storage, "all") == [(0, STATE.EXPECTED), (1, STATE.EXPECTED)]
    await told(storage, 1, "Charging", 2)
    assert await states(storage, "all") == [(0, STATE.EXPECTED), (1, STATE.SEEN)]
    await ended(storage, "log", "ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification"})
    await storage.message_received(inbound("LogStatusNotification", received_ms=NOON_MS + 2000))
    assert await states(storage, "log") == [(None, STATE.SEEN)]
    await ended(storage, "values", "TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2})
    for number, connector_id in enumerate((1, 2)):
        assert await states(storage, "values") == [(2, STATE.EXPECTED)]
        frame = f'[2,"v{number}","MeterValues",{{"connectorId":{connector_id}}}]'
        values = inbound("MeterValues", frame=frame, received_ms=NOON_MS + 2000)
        await storage.meter_values_received(values, connector_id, None, ())
        await storage.follow_ups.settle(NOON_MS + 1000 + TRIGGER_MS - 1, "a#1")
    await storage.follow_ups.settle(NOON_MS + 1000 + TRIGGER_MS, "a#1")
    assert await states(storage, "values") == [(2, STATE.SEEN)]
    await ended(storage, "refused", "TriggerMessage", {"requestedMessage": "Heartbeat"}, "Rejected")
    assert await states(storage, "refused") == []


@ensure
async def test_what_an_end_gives(storage: SqlStorage) -> None:
    """An end fires with what is to follow as it is on record; with None where that is older, or the answer came late."""
    await told(storage, 1, "Available", -60)
    for name, action, payload in (
        ("all", "TriggerMessage", {"requestedMessage": "StatusNotification"}),
        ("beat", "TriggerMessage", {"requestedMessage": "Heartbeat"}),
        ("boot", "Reset", {"type": "Soft"}),
        ("cache", "ClearCache", {}),
    ):
        given = await ended(storage, name, action, payload)
        assert given == (await storage.follow_ups.of_messages([name])).get(name, ()), name
    wish = {"connectorId": 1, "type": "Inoperative"}
    assert await ended(storage, "wish", "ChangeAvailability", wish) is None
    frame = json.dumps([2, "late", "Reset", {"type": "Soft"}])
    await storage.call_created(call("late", action="Reset", frame=frame, redacted=frame), 1)
    assert await storage.call_ended(CallEnd("late", MessageState.TIMEOUT, NOON_MS)) == ()
    answer = '[3,"late",{"status":"Accepted"}]'
    assert await storage.call_ended(CallEnd("late", MessageState.COMPLETED, NOON_MS + 1, "Accepted", answer)) is None
    assert await states(storage, "late") == [(None, STATE.EXPECTED)]


@ensure
async def test_an_answer_and_its_message_in_one_commit(storage: SqlStorage) -> None:
    """A status right behind the answer to its trigger is seen, also where both are written together with what was sent."""
    for name, connector_id in (("one", 1), ("two", 2)):
        frame = json.dumps([2, name, "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": connector_id}])
        sent = storage.call_created(call(name, action="TriggerMessage", frame=frame, redacted=frame), 1)
        answer = f'[3,"{name}",{{"status":"Accepted"}}]'
        over = storage.call_ended(CallEnd(name, MessageState.COMPLETED, NOON_MS + 1000, "Accepted", answer))
        await gatherResults([sent, over, Deferred.fromCoroutine(told(storage, connector_id, "Charging", 2))])
        assert await states(storage, name) == [(connector_id, STATE.SEEN)]


@ensure
async def test_boots_and_time(storage: SqlStorage) -> None:
    """OP-11: what time runs out for is missing, told once among nodes that look at the same moment, and seen after all."""
    await ended(storage, "reset", "Reset", {"type": "Hard"})
    due_ms = NOON_MS + 1000 + BOOT_MS
    assert not await storage.follow_ups.is_due(due_ms - 1) and await storage.follow_ups.is_due(due_ms)
    settled = await gatherResults([storage.follow_ups.settle(due_ms, "a#1"), storage.follow_ups.settle(due_ms, "b#1")])
    assert sorted(each.told for each in settled) == [0, 1]
    assert await states(storage, "reset") == [(None, STATE.MISSING)]
    assert not await storage.follow_ups.is_due(due_ms + MINUTE_MS)
    await storage.charger_booted(inbound("BootNotification", received_ms=due_ms + 1), boot())
    assert await states(storage, "reset") == [(None, STATE.SEEN)]
    assert (await storage.follow_ups.settle(due_ms + 2, "a#1")).told == 1
    events = await storage.list_events(EventFilter(charger="CP1"), None, 20)
    kinds = [event.kind for event in events if event.kind.startswith("followUp")]
    assert kinds == ["followUpSeen", "followUpMissing"]
    assert not await storage.follow_ups.seen("reset", None, due_ms)


@pytest.mark.parametrize(("expected", "at_once_s"), [("DiagnosticsStatusNotification", 60.0), ("MeterValues", 0.0)])
@ensure
async def test_much_is_due_at_once(storage: SqlStorage, expected: str, at_once_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sweep tells of all that time has run out for, in portions that are bounded by rows and by time."""
    monkeypatch.setattr(follow_up_records, "DECIDING_S", at_once_s)
    most = follow_up_records.AT_ONCE if at_once_s else 1
    many = 2 * most + 20
    asked = [ended(storage, f"t{number}", "TriggerMessage", {"requestedMessage": expected}) for number in range(many)]
    await gatherResults([Deferred.fromCoroutine(each) for each in asked])
    due_ms = NOON_MS + 1000 + TRIGGER_MS
    assert await storage.follow_ups.settle(due_ms, "a#1") == (most, True)
    watcher = FollowUps(Chargers(Configuration(), Clock()), storage.follow_ups, Awaited(), Clock(), "a#1")
    sweeping = watcher.sweep(due_ms)
    assert sweeping is not None and watcher.sweep(due_ms) is None, "one at a time"
    await sweeping
    assert not await storage.follow_ups.is_due(due_ms)
    events = await storage.list_events(EventFilter(kind=EventKind.FOLLOW_UP_MISSING), None, 2000)
    assert len({(event.members or {})["messageId"] for event in events}) == len(events) == many


@ensure
async def test_a_heartbeat_that_another_node_looks_for(storage: SqlStorage) -> None:
    """OP-16: where the node that asked for a Heartbeat lives, none has come, whichever node looks first; a dead one knew."""
    await storage.node_started()
    await ended(storage, "living", "TriggerMessage", {"requestedMessage": "Heartbeat"})
    await storage.follow_ups.settle(NOON_MS + 1000 + TRIGGER_MS, "another#1")
    assert await states(storage, "living") == [(None, STATE.MISSING)]
    await ended(storage, "dead", "TriggerMessage", {"requestedMessage": "Heartbeat"})
    await storage.node_stopped()
    await storage.follow_ups.settle(NOON_MS + 1000 + TRIGGER_MS, "another#1")
    assert await states(storage, "dead") == [(None, STATE.FAILED)]


@ensure
async def test_transactions(storage: SqlStorage) -> None:
    """OP-06, OP-09, SN-10: starts and stops are seen in their commits; Preparing to Available ends a remote start."""
    started: Started = await storage.transaction_started(inbound("StartTransaction"), start())
    await ended(storage, "stop", "RemoteStopTransaction", {"transactionId": started.transaction_id})
    await ended(storage, "unknown", "RemoteStopTransaction", {"transactionId": -5})
    await ended(storage, "unlock", "UnlockConnector", {"connectorId": 1}, "Unlocked")
    await storage.transaction_stopped(inbound("StopTransaction"), stop(started.transaction_id, reason="Remote"))
    found = await storage.follow_ups.of_messages(["stop", "unlock"])
    assert [(each.state, each.reason) for (each,) in found.values()] == [(STATE.SEEN, "Remote")] * 2
    assert await states(storage, "unknown") == [(None, STATE.EXPECTED)]
    await ended(storage, "start", "RemoteStartTransaction", {"idTag": "X"})
    await told(storage, 1, "Available", 2)
    assert await states(storage, "start") == [(None, STATE.EXPECTED)]
    await told(storage, 1, "Preparing", 3)
    await told(storage, 1, "Available", 4)
    assert await states(storage, "start") == [(None, STATE.FAILED)]


@ensure
async def test_a_remote_start_that_is_asked_for_again(storage: SqlStorage) -> None:
    """T-9, N-6: the transaction is that of the remote start that was accepted last, not of one that came to nothing before."""
    waiting = {"remote_start": RemoteStart(None, "tag1")}
    for message_id in ("first", "second"):
        await ended(storage, message_id, "RemoteStartTransaction", {"idTag": "Tag1"}, **waiting)
        await told(storage, 1, "Preparing", 3)
        if message_id == "first":
            await told(storage, 1, "Available", 4)
    frame = json.dumps([2, "third", "RemoteStartTransaction", {"idTag": "Tag1"}])
    await storage.call_created(call("third", action="RemoteStartTransaction", frame=frame, redacted=frame, **waiting), 1)
    started = await storage.transaction_started(inbound("StartTransaction", received_ms=NOON_MS + 5000), start())
    record = await storage.read_transaction(started.transaction_id)
    assert record is not None and record.remote_start == "second"
    assert await states(storage, "first") == [(None, STATE.FAILED)]
    assert await states(storage, "second") == [(None, STATE.SEEN)]


@ensure
@pytest.mark.parametrize("state", [MessageState.TIMEOUT, MessageState.UNKNOWN])
async def test_a_remote_start_without_an_answer(storage: SqlStorage, state: MessageState) -> None:
    """T-9, A-4, S-6: a charger that begins what it has not answered had it: the tag is expected, the start is that call's."""
    frame = json.dumps([2, "r", "RemoteStartTransaction", {"idTag": "Tag1"}])
    wanted = call("r", action="RemoteStartTransaction", frame=frame, redacted=frame, remote_start=RemoteStart(None, "tag1"))
    await storage.call_created(wanted, 1)
    await storage.call_ended(CallEnd("r", state, NOON_MS + 1000))
    assert (await storage.id_tag_standing("tag1", {}, "CP1", NOON_MS + 2000)).expected
    started = await storage.transaction_started(inbound("StartTransaction", received_ms=NOON_MS + 5000), start())
    record = await storage.read_transaction(started.transaction_id)
    assert record is not None and record.remote_start == "r"
    late = json.dumps([3, "r", {"status": "Accepted"}])
    await storage.call_ended(CallEnd("r", MessageState.COMPLETED, NOON_MS + 9000, "Accepted", late))
    assert await states(storage, "r") == [(None, STATE.SEEN)]


@ensure
async def test_wishes(storage: SqlStorage) -> None:
    """OP-13: the newest wish for each connector that its charger has not refused; done by the status that shows it."""
    await told(storage, 1, "Charging", -60)
    await told(storage, 2, "Available", -60)
    await ended(storage, "w1", "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, "Scheduled")
    await ended(storage, "w2", "ChangeAvailability", {"connectorId": 2, "type": "Operative"}, "Rejected")
    await told(storage, 2, "Unavailable", 5)
    wishes = (await storage.follow_ups.availability(["CP1", "CP2"]))["CP1"]
    assert {place: (wish.message_id, str(wish.state)) for place, wish in wishes.items()} == {
        0: ("w1", STATE.SEEN),
        1: ("w1", STATE.EXPECTED),
        2: ("w1", STATE.SEEN),
    }
    await ended(storage, "w3", "ChangeAvailability", {"connectorId": 1, "type": "Operative"})
    assert dict(await states(storage, "w1"))[1] == STATE.VOID
    assert await states(storage, "w3") == [(1, STATE.SEEN)]


@ensure
async def test_an_old_status_is_history(storage: SqlStorage) -> None:
    """N-1, N-6, OP-13, OP-16: what comes late, and is not its connector's state now, is no answer to a trigger, shows no
    availability and ends no remote start; the next status does."""
    await told(storage, 1, "Preparing", -60)
    await told(storage, 1, "Charging", -1, of=-2)
    await ended(storage, "trigger", "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
    await ended(storage, "wish", "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, "Scheduled")
    await ended(storage, "start", "RemoteStartTransaction", {"idTag": "X", "connectorId": 1})
    for text in ("Unavailable", "Available"):
        await told(storage, 1, text, 2, of=-3600)
        for message_id in ("trigger", "wish", "start"):
            assert await states(storage, message_id) == [(1, STATE.EXPECTED)], (text, message_id)
    await told(storage, 1, "Unavailable", 3, of=-200)
    assert await states(storage, "trigger") == await states(storage, "wish") == [(1, STATE.SEEN)]


@ensure
async def test_a_wish_that_is_answered_late(storage: SqlStorage) -> None:
    """OP-13, F-8: a charger carries out calls in order, so what it answers late to an older wish is no wish any more."""
    await told(storage, 1, "Available", -60)
    older, newer = {"connectorId": 1, "type": "Inoperative"}, {"connectorId": 1, "type": "Operative"}
    frame = json.dumps([2, "older", "ChangeAvailability", older])
    await storage.call_created(call("older", action="ChangeAvailability", frame=frame, redacted=frame), 1)
    await storage.call_ended(CallEnd("older", MessageState.TIMEOUT, NOON_MS + 500))
    await ended(storage, "newer", "ChangeAvailability", newer)
    answer = json.dumps([3, "older", {"status": "Accepted"}])
    await storage.call_ended(CallEnd("older", MessageState.COMPLETED, NOON_MS + 2000, "Accepted", answer))
    assert await states(storage, "older") == [(1, STATE.VOID)]
    assert await states(storage, "newer") == [(1, STATE.SEEN)]


@ensure
async def test_flags_and_implied_registrations(storage: SqlStorage) -> None:
    """M-7, T-6, B-5: a flag is put on once; a meter below the last stop is one; an accepted charger stays as it is."""
    first = await storage.transaction_started(inbound("StartTransaction"), start(meter_start_wh=10))
    assert await storage.follow_ups.flag_transaction(first.transaction_id, "registerFell")
    assert not await storage.follow_ups.flag_transaction(first.transaction_id, "registerFell")
    assert not await storage.follow_ups.flag_transaction(4711, "registerFell")
    await storage.transaction_stopped(inbound("StopTransaction"), stop(first.transaction_id, meter_stop_wh=20))
    second = await storage.transaction_started(inbound("StartTransaction"), start(meter_start_wh=19, timestamp_ms=NOON_MS + 1))
    records = [await storage.read_transaction(each.transaction_id) for each in (first, second)]
    assert [record and record.flags for record in records] == [("registerFell",), ("meterBelowLastStop",)]
    await storage.charger_connected("CP1", "192.0.2.1", NOON_MS)
    await storage.follow_ups.accepted_implicitly("CP1", NOON_MS)
    record = (await storage.read_chargers(["CP1"]))["CP1"]
    assert (record.registration, record.boot, record.registered_ms) == ("Accepted", None, NOON_MS)
    await storage.follow_ups.accepted_implicitly("CP1", NOON_MS + 1)
    assert (await storage.read_chargers(["CP1"]))["CP1"].registered_ms == NOON_MS


@ensure
async def test_two_nodes(pytestconfig: pytest.Config) -> None:
    """What one node's call expects another node's message decides; of two that look at the same moment one tells of each."""
    server = postgresql.server(pytestconfig)
    database = server.create()
    nodes = [SqlStorage(server.url(database), reactor, postgresql.SECRET_KEY, node=name) for name in ("a#1", "b#1")]
    try:
        for node in nodes:
            node.start()
        for number in range(20):
            await ended(nodes[0], f"r{number}", "Reset", {"type": "Soft"})
        due_ms = NOON_MS + 1000 + BOOT_MS
        settled = await gatherResults([node.follow_ups.settle(due_ms, "x") for node in nodes])
        assert sum(each.told for each in settled) == 20
        events = await nodes[1].list_events(EventFilter(kind=EventKind.FOLLOW_UP_MISSING), None, 50)
        assert len({(event.members or {})["messageId"] for event in events}) == len(events) == 20
        await ended(nodes[0], "last", "Reset", {"type": "Soft"})
        await nodes[1].charger_booted(inbound("BootNotification", received_ms=due_ms + 1), boot())
        assert await states(nodes[0], "last") == await states(nodes[0], "r0") == [(None, STATE.SEEN)]
    finally:
        for node in nodes:
            await node.stop()
        server.drop(database)
