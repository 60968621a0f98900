"""What happened, numbered, over every storage."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest_twisted
from twisted.internet.defer import DeferredList
from twisted.internet.threads import deferToThread

from ocppd.storage import events
from ocppd.storage.records import FRAME_LIMIT, CallEnd, Event, EventFilter, EventKind, MessageState
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.types import AuthorizationStatus, RegistrationStatus
from support.storing import NOON_MS, boot, call, inbound, start, status, stop

LIMIT = 50
#: The node of the fixture `storage`.
NODE = "this"

ensure = pytest_twisted.ensureDeferred


async def after(storage: SqlStorage, number: int = 0) -> list[Event]:
    """What has happened since."""
    return list((await storage.events_after(number, (), 500)).events)


def told(events: list[Event]) -> list[tuple[str, str]]:
    """What each is about: its kind and the id of its message, or else its charger."""
    return [(event.kind, event.charger if event.message is None else event.message.message_id) for event in events]


@ensure
async def test_a_life_in_events(storage: SqlStorage) -> None:
    """A connection, every journaled message and the calls of a charger are events, in the order in which they happened."""
    assert (await storage.newest_event(9)).number == 0
    await storage.charger_connected("CP1", "192.0.2.7", NOON_MS)
    await storage.charger_booted(inbound("BootNotification", message_id="boot"), boot())
    await storage.status_notified(inbound("StatusNotification", message_id="status"), status())
    started = await storage.transaction_started(inbound("StartTransaction", message_id="start"), start())
    await storage.call_created(call("c1", "CP1"), 1)
    await storage.meter_values_received(inbound("MeterValues", message_id="values"), 1, started.transaction_id, ())
    await storage.call_ended(CallEnd("c1", MessageState.COMPLETED, NOON_MS + 5, "Accepted", '[3,"c1",{"status":"Accepted"}]'))
    await storage.transaction_stopped(inbound("StopTransaction", message_id="stop"), stop(started.transaction_id))
    await storage.message_received(inbound("LogStatusNotification", message_id="log"), failed=True)
    await storage.charger_disconnected("CP1", 1, NOON_MS + 9)
    events = await after(storage)
    assert told(events) == [
        ("chargerConnected", "CP1"),
        ("messageReceived", "boot"),
        ("messageReceived", "status"),
        ("messageReceived", "start"),
        ("commandAccepted", "c1"),
        ("messageReceived", "values"),
        ("commandEnded", "c1"),
        ("messageReceived", "stop"),
        ("messageReceived", "log"),
        ("chargerDisconnected", "CP1"),
    ]
    numbers = [event.sequence for event in events]
    assert numbers == sorted(set(numbers))
    assert (await storage.newest_event(9)).number == numbers[-1]
    assert events[0].members == {"node": NODE, "remoteIp": "192.0.2.7"}
    assert [event.at_ms for event in events[-4:]] == [NOON_MS + 5, NOON_MS, NOON_MS, NOON_MS + 9]
    assert {event.charger for event in events} == {"CP1"}
    ended = events[6].message
    assert ended is not None and (ended.state, ended.outcome, ended.sequence) == (
        MessageState.COMPLETED,
        "Accepted",
        numbers[4],
    )
    assert await after(storage, numbers[6]) == events[7:]


@ensure
async def test_an_older_connection_ends_unseen(storage: SqlStorage) -> None:
    """The end of a connection that was replaced before says nothing of the charger, which is connected."""
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.charger_disconnected("CP1", 1, NOON_MS)
    assert [event.kind for event in await after(storage)] == [EventKind.CHARGER_CONNECTED] * 2


@ensure
async def test_every_end_of_a_call_is_an_event_once(storage: SqlStorage) -> None:
    """However a call ends, that is told once; what changes nothing is not told, and a late answer is."""
    await storage.charger_connected("CP1", "::1", NOON_MS)
    for name in ("cancelled", "expired", "withdrawn", "timeout"):
        expires_ms = NOON_MS + (1 if name == "expired" else 1000)
        await storage.call_accepted(call(name, "CP1", expires_ms=expires_ms), LIMIT, lambda _: True)
    await storage.call_accepted(call("dropped", "CP1", waits=False), LIMIT, lambda _: True)
    began = (await storage.newest_event(9)).number
    for _ in range(2):
        await storage.call_cancelled("cancelled", NOON_MS)
        await storage.calls_expired(NOON_MS + 1)
        await storage.call_withdrawn(CallEnd("withdrawn", MessageState.ERROR, NOON_MS, detail="no"))
        await storage.call_sent("timeout", 1, NOON_MS)
        await storage.call_ended(CallEnd("timeout", MessageState.TIMEOUT, NOON_MS))
        await storage.charger_disconnected("CP1", 1, NOON_MS)
    await storage.call_ended(CallEnd("timeout", MessageState.COMPLETED, NOON_MS, answer='[3,"timeout",{}]'))
    events = [event for event in await after(storage, began) if event.message is not None]
    assert [event.kind for event in events] == [EventKind.COMMAND_ENDED] * 6
    ids = [event.message.message_id for event in events if event.message is not None]
    assert ids == ["cancelled", "expired", "withdrawn", "timeout", "dropped", "timeout"]
    last = events[-1].message
    assert last is not None and last.late


@ensure
async def test_an_amended_answer_is_an_event(storage: SqlStorage) -> None:
    """What a user's handler answers in place of us is told, with the answer that the charger is given."""
    plain = await storage.message_received(inbound("LogStatusNotification", message_id="plain"))
    booted = await storage.charger_booted(
        inbound("BootNotification", message_id="boot"), boot(registration=None, interval_s=None)
    )
    started = await storage.transaction_started(inbound("StartTransaction", message_id="start"), start())
    began = (await storage.newest_event(9)).number
    await storage.answer_amended(plain, '[3,"plain",{"a":1}]')
    await storage.registration_amended(booted, '[3,"boot",{"a":2}]', RegistrationStatus.PENDING, 9)
    await storage.verdict_amended(started.sequence, '[3,"start",{"a":3}]', AuthorizationStatus.BLOCKED)
    events = await after(storage, began)
    assert told(events) == [("answerAmended", name) for name in ("plain", "boot", "start")]
    assert [event.message and event.message.answer for event in events] == [
        '[3,"plain",{"a":1}]',
        '[3,"boot",{"a":2}]',
        '[3,"start",{"a":3}]',
    ]


@ensure
async def test_what_failed_did_not_happen(storage: SqlStorage, logged_errors: Any) -> None:
    """A use case that is undone leaves no event behind, and those in its batch keep theirs, in order."""
    await storage.charger_connected("CP1", "::1", NOON_MS)
    batch = [
        storage.call_created(call("c1", "CP1"), 1),
        storage.charger_connected("CP2", "::1", NOON_MS),
        storage.call_created(call("c1", "CP1"), 1),
        storage.charger_disconnected("CP2", 1, NOON_MS),
    ]
    outcomes = await DeferredList(batch, consumeErrors=True)
    assert [well for well, _ in outcomes] == [True, True, False, True]
    assert len(logged_errors.flush()) == 1
    assert told(await after(storage)) == [
        ("chargerConnected", "CP1"),
        ("commandAccepted", "c1"),
        ("chargerConnected", "CP2"),
        ("chargerDisconnected", "CP2"),
    ]


@ensure
async def test_a_node_that_ends_lets_go_of_its_chargers(storage: SqlStorage) -> None:
    """A node that stops says of its chargers that they are disconnected."""
    await storage.node_started()
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.node_stopped()
    events = await after(storage)
    assert told(events) == [("chargerConnected", "CP1"), ("chargerDisconnected", "CP1")]
    assert events[-1].members is None


Open = Callable[[str, str], SqlStorage]


@ensure
async def test_a_node_that_was_taken_for_dead(storage: SqlStorage) -> None:
    """A node that lives after all says of the chargers that it holds that they are connected."""
    await storage.node_started()
    for name in ("CP1", "CP2"):
        await storage.charger_connected(name, "::1", NOON_MS)
    await storage.charger_disconnected("CP2", 1, NOON_MS)
    began = (await storage.newest_event(9)).number
    await storage.write(lambda unit: unit.connection.exec_driver_sql("DELETE FROM nodes"))
    assert (await storage.node_alive(10)).revived
    assert not (await storage.node_alive(10)).revived
    events = await after(storage, began)
    assert told(events) == [("chargerConnected", "CP1")]
    assert events[0].members == {"node": NODE}


@ensure
async def test_a_node_that_died_lost_its_chargers(url: str, open_node: Open) -> None:
    """Whoever finds a node dead says of its chargers that they are disconnected, and why; once."""
    if url == "sqlite://":
        return  # it dies with its node
    dead = open_node(url, "dead#1")
    await dead.node_started()
    await dead.charger_connected("CP1", "::1", NOON_MS)
    await dead.charger_connected("CP2", "::1", NOON_MS)
    await dead.charger_disconnected("CP2", 1, NOON_MS)
    await dead.stop()
    alive = open_node(url, "alive#1")
    began = (await alive.newest_event(9)).number
    for _ in range(2):
        await alive.node_started()
        if alive.shared:
            with psycopg.connect(url.replace("+psycopg", "")) as other:
                other.execute("UPDATE nodes SET seen_ms = 0 WHERE node = 'dead#1'")
            await alive.node_alive(10)
    events = await after(alive, began)
    assert told(events) == [("chargerDisconnected", "CP1")]
    assert events[0].members == {"reason": "nodeLost"}


@ensure
async def test_a_large_frame_stays_in_the_journal(storage: SqlStorage) -> None:
    """An event has no frame that is larger than it should be; the message has."""
    large = f'[2,"large","DataTransfer",{{"data":"{"x" * FRAME_LIMIT}"}}]'
    await storage.message_received(inbound("LogStatusNotification", message_id="large", frame=large))
    await storage.message_received(inbound("LogStatusNotification", message_id="small"))
    events = await after(storage)
    assert [event.cut for event in events] == [True, False]
    assert events[0].message is not None and (events[0].message.frame, events[0].message.answer) == ("", None)
    message = await storage.read_message("large")
    assert message is not None and message.frame == large


@ensure
async def test_lists_of_events(storage: SqlStorage) -> None:
    """Newest first, by page and by each filter."""
    for name in ("CP1", "CP2"):
        await storage.charger_connected(name, "::1", NOON_MS)
        await storage.status_notified(
            inbound("StatusNotification", name, message_id=f"s{name}", received_ms=NOON_MS + 10), status()
        )
    await storage.call_created(call("c1", "CP1", action="Reset", created_ms=NOON_MS + 20), 1)
    await storage.call_ended(CallEnd("c1", MessageState.TIMEOUT, NOON_MS + 30))
    everything = list(reversed(await after(storage)))

    async def listed(limit: int = 50, behind: int | None = None, **which: Any) -> list[Event]:
        return await storage.list_events(EventFilter(**which), behind, limit)

    assert await listed() == everything
    assert await listed(2) == everything[:2]
    assert await listed(3, everything[1].sequence) == everything[2:5]
    assert await listed(charger="CP2") == [event for event in everything if event.charger == "CP2"]
    assert told(await listed(action="Reset")) == [("commandEnded", "c1"), ("commandAccepted", "c1")]
    assert told(await listed(action="StatusNotification", charger="CP1")) == [("messageReceived", "sCP1")]
    for kind in EventKind:
        assert await listed(kind=kind) == [event for event in everything if event.kind == kind]
    assert await listed(since_ms=NOON_MS + 10, until_ms=NOON_MS + 30) == [
        event for event in everything if NOON_MS + 10 <= event.at_ms < NOON_MS + 30
    ]


@ensure
async def test_pages_between_two_numbers(storage: SqlStorage) -> None:
    """What lies above one number and not above another, filtered, in order, by page."""
    for name in ("CP1", "CP2", "CP1", "CP1"):
        await storage.charger_connected(name, "::1", NOON_MS)
    one = EventFilter(charger="CP1")
    assert [event.sequence for event in await storage.events_between(one, 0, 4, 9)] == [1, 3, 4]
    assert [event.sequence for event in await storage.events_between(one, 0, 4, 2)] == [1, 3]
    assert [event.sequence for event in await storage.events_between(EventFilter(), 1, 3, 9)] == [2, 3]


@ensure
async def test_an_event_of_a_newer_program(storage: SqlStorage) -> None:
    """What a newer node tells is passed on by its name."""
    await storage.write(events.happened, SimpleNamespace(value="somethingNew"), "CP1", NOON_MS)  # type: ignore[arg-type]
    assert [event.kind for event in await after(storage)] == ["somethingNew"]


@ensure
async def test_numbers_appear_out_of_order(postgresql_url: str, open_node: Open) -> None:
    """A number that is committed after higher ones is found, and its transaction is known to run until then.

    Also where it is the highest of all transactions, which the end of a snapshot says nothing of.
    """
    storage = open_node(postgresql_url, "this")
    await storage.charger_connected("CP1", "::1", NOON_MS)
    plain = postgresql_url.replace("+psycopg", "")
    with psycopg.connect(plain) as lower, psycopg.connect(plain) as higher:
        for other in (lower, higher):
            other.execute("SELECT txid_current()")
        number, following = (
            other.execute("SELECT nextval('messages_sequence_seq')").fetchall()[0][0] for other in (higher, lower)
        )
        row = "INSERT INTO events (sequence, kind, charger, at_ms) VALUES (%s, 'chargerDisconnected', 'CP9', 1)"
        lower.execute(row, (following,))
        await deferToThread(lower.commit)
        newest = await storage.newest_event(100)
        assert newest.number == following == number + 1
        assert newest.appeared == set(range(1, number)) | {following}
        seen = await storage.events_after(0, (number,), 50, ask_following=True)
        assert [event.sequence for event in seen.events] == [*range(1, number), following]
        assert seen.following is not None
        for _ in range(3):
            await storage.charger_connected("CP1", "::1", NOON_MS)
            assert ((await storage.events_after(0, (), 50)).oldest or 0) < seen.following
        higher.execute(row, (number,))
        await deferToThread(higher.commit)
    late = await storage.events_after(number + 9, (number, number + 50), 50)
    assert [event.sequence for event in late.events] == [number]
    assert (late.oldest or 0) >= seen.following
    assert late.following is None


@ensure
async def test_another_machine_under_the_same_name(storage: SqlStorage) -> None:
    """B-2: a boot with another serial number or firmware than the one before is told; one that says less is not."""
    old, new = {"serial_number": "S1", "firmware_version": "1.0"}, {"serial_number": "S2", "charge_box_serial_number": "B2"}
    for members in (
        old,
        {**old, "serial_number": None},
        old,
        {**new, "firmware_version": "1.1"},
        {**new, "firmware_version": "1.1"},
    ):
        await storage.charger_booted(inbound("BootNotification"), boot(**members))
    changed = [event for event in await after(storage) if event.message is None]
    assert [(event.kind, event.members) for event in changed] == [
        ("serialNumberChanged", {"before": "S1", "after": "S2"}),
        ("firmwareChanged", {"before": "1.0", "after": "1.1"}),
    ]
