"""Old records go, a portion at a time: what stays, where it goes on, and whose turn it is. Over every storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import time
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from ocppd.storage.records import (
    UNREADABLE_MS,
    CallEnd,
    EventFilter,
    EventKind,
    MessageFilter,
    MessageState,
    MeterValueElement,
    MeterValueFilter,
)
from ocppd.storage.records.fleet_jobs import NewFleetJob
from ocppd.storage.records.quarantine import Quarantined, QuarantineFilter, Treatment
from ocppd.storage.records.retention import Cut, Kind, Portion
from ocppd.storage.retention import BETWEEN_LOOKS, LONGEST_S
from ocppd.storage.retention_records import SqlRetention
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.thinning import TOGETHER
from support import postgresql
from support.storing import MINUTE_MS, NOON_MS, call, inbound, start, status, stop

ensure = pytest_twisted.ensureDeferred
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
#: What was recorded at noon is old from here on, calls that ended or expired an hour later included.
LATER_MS = NOON_MS + DAY_MS
QUARTER_MS = 15 * MINUTE_MS
LEASE_S = 60.0


async def cut(storage: SqlStorage, kind: Kind, before_ms: int = LATER_MS, rows: int = 100, **members: Any) -> Cut:
    """What became of one portion. No time passes meanwhile, so that it ends with the last row, however slow the machine is."""
    retention = SqlRetention(storage, "one", lambda: 0.0)
    assert await retention.take_turn(LEASE_S)
    found = await retention.cut(Portion(kind, before_ms, rows, interval_ms=QUARTER_MS, **members), LEASE_S)
    assert found is not None
    return found


async def again(storage: SqlStorage, kind: Kind, before_ms: int = LATER_MS, after: int = 0) -> Cut:
    """The same, of what could not go before."""
    return await cut(storage, kind, before_ms, postponed_after=after)


async def actions(storage: SqlStorage) -> list[str]:
    """What the journal has, oldest first."""
    return [record.action for record in await storage.list_messages(MessageFilter(), None, 100)][::-1]


async def values(storage: SqlStorage, **which: Any) -> list[int]:
    """The minutes after noon of the meter values there are."""
    rows = await storage.list_meter_values(MeterValueFilter(**which), None, 1000)
    return [(row.timestamp_ms - NOON_MS) // MINUTE_MS for row in rows]


async def measured(storage: SqlStorage, *minutes: int, received_ms: int = NOON_MS, context: str = "", **members: Any) -> None:
    """Meter values of these minutes after noon, on connector 1, as one message."""
    told = f',"context":"{context}"' if context else ""
    elements = tuple(MeterValueElement(NOON_MS + each * MINUTE_MS, f'[{{"value":"{each}"{told}}}]') for each in minutes)
    message = inbound("MeterValues", received_ms=received_ms, **members)
    await storage.meter_values_received(message, 1, None, elements)


@ensure
async def test_old_messages_go(storage: SqlStorage) -> None:
    """What is older goes, what is as old as the limit and the newest message stay; numbers go on from there."""
    for action, at_ms in (("Heartbeat", NOON_MS), ("Authorize", LATER_MS - 1), ("DataTransfer", LATER_MS)):
        await storage.message_received(inbound(action, received_ms=at_ms))
    found = await cut(storage, Kind.MESSAGES)
    assert (found.looked_at, found.removed, found.done) == (2, 2, True)
    assert await actions(storage) == ["DataTransfer"]
    assert (await cut(storage, Kind.MESSAGES, LATER_MS + DAY_MS)).removed == 0, "the newest one"
    assert await storage.message_received(inbound()) == 4
    assert (await storage.newest_event(10)).number == 4
    assert await storage.retention.removed() == {Kind.MESSAGES: 2}


@ensure
async def test_one_portion_after_another(storage: SqlStorage) -> None:
    """A portion goes on where the last one ended, which the records say; what was looked at is not looked at again."""
    for _ in range(7):
        await storage.message_received(inbound())
    await storage.transaction_started(inbound("StartTransaction"), start())
    await storage.message_received(inbound("Authorize", received_ms=LATER_MS))
    first = await cut(storage, Kind.MESSAGES, rows=4)
    assert (first.looked_at, first.removed, first.last, first.done) == (4, 4, 4, False)
    second = await cut(storage, Kind.MESSAGES, rows=4)
    assert (second.looked_at, second.removed, second.last, second.done) == (4, 3, 8, False)
    third = await cut(storage, Kind.MESSAGES, rows=4)
    assert (third.looked_at, third.last, third.done) == (0, 8, True)
    assert await actions(storage) == ["StartTransaction", "Authorize"]


@ensure
async def test_what_is_referred_to_stays(storage: SqlStorage) -> None:
    """Starts and stops, remote starts that came to something, and calls of jobs stay; other calls that have ended go."""
    started = await storage.transaction_started(inbound("StartTransaction"), start())
    await storage.transaction_stopped(inbound("StopTransaction"), stop(started.transaction_id))
    job = NewFleetJob(
        action="Reset", payload="{}", redacted="{}", selected="{}", rate_tenths=10, canary=0, offline=None, ttl_s=None,
        created_ms=NOON_MS, rows=(("CP1", "of-job"),),
    )  # fmt: skip
    await storage.fleet_jobs.create(job, 10)
    for message_id, action in (("of-job", "Reset"), ("ended", "ClearCache")):
        await storage.call_created(call(message_id, action=action), None)
        await storage.call_ended(CallEnd(message_id, MessageState.COMPLETED, NOON_MS, answer="[3]", outcome="Accepted"))
    await storage.message_received(inbound(received_ms=LATER_MS))
    found = await cut(storage, Kind.MESSAGES)
    assert (found.looked_at, found.removed) == (4, 1)
    assert await actions(storage) == ["StartTransaction", "StopTransaction", "Reset", "Heartbeat"]
    assert (await storage.read_message("of-job")) is not None


@ensure
async def test_calls_that_are_under_way_stay(storage: SqlStorage) -> None:
    """A call that is queued or sent stays, however old; once it has ended it goes, an hour after it may have been told of."""
    await storage.call_accepted(call("queued", expires_ms=NOON_MS + 1000 * DAY_MS), 10, lambda _: True)
    await storage.call_created(call("sent", "CP2"), None)
    await storage.message_received(inbound())
    await storage.message_received(inbound("Authorize", received_ms=LATER_MS))
    assert (await cut(storage, Kind.MESSAGES)).removed == 1
    assert await actions(storage) == ["ClearCache", "ClearCache", "Authorize"]
    assert (await again(storage, Kind.MESSAGES)).removed == 0
    await storage.call_cancelled("queued", NOON_MS)
    await storage.call_ended(CallEnd("sent", MessageState.COMPLETED, LATER_MS, answer="[3]"))
    assert (await again(storage, Kind.MESSAGES)).removed == 0, "ended just now, and it could have expired in years"
    assert (await again(storage, Kind.MESSAGES, LATER_MS + 2 * HOUR_MS)).removed == 1
    assert (await again(storage, Kind.MESSAGES, NOON_MS + 1001 * DAY_MS)).removed == 1
    assert (await again(storage, Kind.MESSAGES, NOON_MS + 1001 * DAY_MS)).looked_at == 0
    assert await actions(storage) == ["Authorize"]


@ensure
async def test_messages_of_an_open_transaction_stay(storage: SqlStorage) -> None:
    """T-22: whether an open transaction was ever named must not be forgotten; after its stop they go."""
    started = await storage.transaction_started(inbound("StartTransaction"), start())
    await storage.meter_values_received(inbound("MeterValues"), 1, started.transaction_id, ())
    await storage.message_received(inbound(received_ms=LATER_MS))
    assert (await cut(storage, Kind.MESSAGES)).removed == 0
    await storage.transaction_stopped(inbound("StopTransaction", received_ms=LATER_MS), stop(started.transaction_id))
    found = await again(storage, Kind.MESSAGES)
    assert (found.looked_at, found.removed, found.done) == (2, 1, True)
    assert await actions(storage) == ["StartTransaction", "Heartbeat", "StopTransaction"]


@ensure
async def test_a_clock_that_was_wrong(storage: SqlStorage) -> None:
    """A young row among old ones holds nothing up, and goes when it is old itself."""
    for at_ms in (NOON_MS, LATER_MS + DAY_MS, NOON_MS, LATER_MS):
        await storage.message_received(inbound(received_ms=at_ms))
    found = await cut(storage, Kind.MESSAGES)
    assert (found.looked_at, found.removed, found.done) == (3, 2, True)
    assert (await again(storage, Kind.MESSAGES, LATER_MS + DAY_MS)).removed == 0
    assert (await again(storage, Kind.MESSAGES, LATER_MS + DAY_MS + 1)).removed == 1


@ensure
async def test_old_events_go(storage: SqlStorage) -> None:
    """Events that are no messages go by their own age; the newest stays. One whose message is gone is told without it."""
    await storage.call_created(call("c1"), None)
    await storage.call_ended(CallEnd("c1", MessageState.TIMEOUT, NOON_MS))
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.charger_connected("CP1", "::1", LATER_MS)
    await storage.message_received(inbound(received_ms=LATER_MS))
    assert (await cut(storage, Kind.MESSAGES)).removed == 1
    events = [(event.kind, event.message) for event in await storage.list_events(EventFilter(), None, 10)][::-1]
    assert events[0] == (EventKind.COMMAND_ENDED, None)
    assert (await cut(storage, Kind.EVENTS)).removed == 2
    events = [(event.kind, event.at_ms) for event in await storage.list_events(EventFilter(), None, 10)][::-1]
    assert events == [(EventKind.CHARGER_CONNECTED, LATER_MS), (EventKind.MESSAGE_RECEIVED, LATER_MS)]
    assert (await cut(storage, Kind.EVENTS, LATER_MS + DAY_MS)).removed == 0


@ensure
async def test_the_current_status_stays(storage: SqlStorage) -> None:
    """Old statuses go, but never the newest of a connector; it goes when another one has come."""
    for connector_id, text in ((1, "Available"), (1, "Preparing"), (2, "Available")):
        await storage.status_notified(inbound("StatusNotification"), status(connector_id, text))
    await storage.status_notified(inbound("StatusNotification", received_ms=LATER_MS), status(3))
    assert (await cut(storage, Kind.STATUSES)).removed == 1
    assert [row.status.status for row in await storage.list_statuses("CP1", 1, None, 10)] == ["Preparing"]
    await storage.status_notified(inbound("StatusNotification", received_ms=LATER_MS), status(1, "Charging"))
    assert (await again(storage, Kind.STATUSES)).removed == 1
    assert [row.status.status for row in await storage.list_statuses("CP1", 1, None, 10)] == ["Charging"]
    assert [row.status.status for row in await storage.list_statuses("CP1", 2, None, 10)] == ["Available"]


@ensure
async def test_the_quarantine(storage: SqlStorage) -> None:
    """Frames go by their age, whether or not their message is there."""
    frame = Quarantined("CP1", ("null",), "Heartbeat", Treatment.MENDED, NOON_MS, "[2]", "[]", "1.0")
    await storage.quarantine.noted((), [frame, replace(frame, received_ms=LATER_MS), replace(frame, received_ms=LATER_MS)])
    assert (await cut(storage, Kind.QUARANTINE)).removed == 1
    assert len(await storage.quarantine.list_frames(QuarantineFilter(), None, 10)) == 2


@ensure
async def test_meter_values_are_thinned_out(storage: SqlStorage) -> None:
    """One element of each quarter of an hour stays, of each connector and transaction, and what billing needs."""
    started = await storage.transaction_started(inbound("StartTransaction"), start())
    await measured(storage, 0, context="Transaction.Begin")
    await measured(storage, 1, 2, 16, 17, 31, 32)
    await measured(storage, 33, context="Sample.Clock")
    await measured(storage, 34, context="Transaction.End")
    await measured(storage, 35, 36)
    await measured(storage, 3, 4, charger="CP2")
    await storage.transaction_stopped(inbound("StopTransaction"), stop(started.transaction_id, timestamp_ms=NOON_MS + HOUR_MS))
    await measured(storage, 37, 38, received_ms=LATER_MS)
    found = await cut(storage, Kind.METER_VALUES)
    assert (found.removed, found.done) == (6, True)
    kept = await values(storage, transaction_id=started.transaction_id)
    assert kept == [0, 1, 16, 33, 34, 36], "begin, one of each interval, the aligned one, end, the last"
    assert await values(storage, charger="CP2") == [3]
    assert (await values(storage))[-2:] == [37, 38]
    assert (await again(storage, Kind.METER_VALUES)).looked_at == 0


@ensure
async def test_values_of_an_open_transaction_stay(storage: SqlStorage) -> None:
    """Nothing is thinned out before the transaction has ended, whenever that is."""
    started = await storage.transaction_started(inbound("StartTransaction"), start())
    await measured(storage, 1, 2, 3, 4)
    await measured(storage, 0, received_ms=LATER_MS, charger="CP2")
    assert (await cut(storage, Kind.METER_VALUES)).removed == 0
    assert (await again(storage, Kind.METER_VALUES)).removed == 0
    await storage.transaction_stopped(inbound("StopTransaction"), stop(started.transaction_id))
    assert (await again(storage, Kind.METER_VALUES)).removed == 1
    assert await values(storage, charger="CP1") == [1, 2, 4], "the first, one of the interval, the last"
    assert (await again(storage, Kind.METER_VALUES)).looked_at == 0


@ensure
async def test_an_interval_with_many_values(storage: SqlStorage) -> None:
    """More elements than are looked at together come down to one as well, in whatever order they came."""
    many = 2 * TOGETHER + 50
    elements = tuple(MeterValueElement(NOON_MS + each, f'[{{"value":"{each}"}}]') for each in range(many, 0, -1))
    await storage.meter_values_received(inbound("MeterValues"), 0, None, elements)
    await measured(storage, 100, received_ms=LATER_MS)
    removed = 0
    while not (found := await cut(storage, Kind.METER_VALUES, rows=100)).done:
        removed += found.removed
    assert removed + found.removed == many - 1
    assert (await values(storage)) == [0, 100]


@ensure
async def test_an_instant_that_nobody_could_read(storage: SqlStorage) -> None:
    """Such elements stay: nobody knows which interval they belong to."""
    elements = tuple(MeterValueElement(UNREADABLE_MS, f'[{{"value":"{each}"}}]') for each in range(3))
    await storage.meter_values_received(inbound("MeterValues"), 0, None, elements)
    await measured(storage, 1, received_ms=LATER_MS)
    found = await cut(storage, Kind.METER_VALUES)
    assert (found.looked_at, found.removed) == (3, 0)


def ticking(step_s: float) -> Callable[[], float]:
    """A clock on which so much passes with every look."""
    seconds = iter(range(10**6))
    return lambda: next(seconds) * step_s


@ensure
async def test_a_portion_ends_when_its_time_is_over(storage: SqlStorage) -> None:
    """However many rows were asked for, it ends where it has taken too long, and says how long, with its commit and without."""
    for _ in range(10 * BETWEEN_LOOKS):
        await storage.message_received(inbound())
    slow = SqlRetention(storage, "slow", ticking(LONGEST_S * 0.75))
    assert await slow.take_turn(LEASE_S)
    found = await slow.cut(Portion(Kind.MESSAGES, LATER_MS, 1000), LEASE_S)
    assert found is not None
    assert (found.looked_at, found.done) == (2 * BETWEEN_LOOKS, False)
    assert found.held_s > found.work_s > LONGEST_S
    slowest = SqlRetention(storage, "slow", ticking(60.0))
    found = await slowest.cut(Portion(Kind.MESSAGES, LATER_MS, 1000), LEASE_S)
    assert found is not None
    assert found.looked_at == BETWEEN_LOOKS, "it makes progress all the same"


@ensure
async def test_a_clock_that_is_ahead_makes_nothing_old(storage: SqlStorage) -> None:
    """What is young by the clock of the database stays, whatever the clock of the node says that removes."""
    now_ms = int(time() * 1000)
    for days in (31, 29, 0):
        await storage.message_received(inbound(f"Before{days}", received_ms=now_ms - days * DAY_MS))
    found = await cut(storage, Kind.MESSAGES, now_ms + 60 * DAY_MS, kept_ms=30 * DAY_MS)
    assert (found.looked_at, found.removed) == (1, 1)
    assert await actions(storage) == ["Before29", "Before0"]


@ensure
async def test_one_node_at_a_time(storage: SqlStorage) -> None:
    """Who has the turn keeps it by what it does; the others have it once it is over, and what was done is not done again."""
    one, other = SqlRetention(storage, "one"), SqlRetention(storage, "other")
    for _ in range(4):
        await storage.message_received(inbound())
    portion = Portion(Kind.MESSAGES, LATER_MS, 2)
    assert await one.take_turn(LEASE_S)
    assert not await other.take_turn(LEASE_S)
    assert await other.cut(portion, LEASE_S) is None
    assert await one.cut(portion, 0) is not None, "the lease ends at once"
    assert await other.take_turn(LEASE_S)
    assert await one.cut(portion, LEASE_S) is None
    found = await other.cut(portion, LEASE_S)
    assert found is not None
    assert (found.looked_at, found.last) == (1, 3)
    await one.rest(0)
    assert not await one.take_turn(LEASE_S), "it was not its turn to end"
    await other.rest(LEASE_S)
    assert not await other.take_turn(LEASE_S)
    assert not await one.take_turn(LEASE_S)


@ensure
async def test_two_processes_over_one_database(postgresql_url: str) -> None:
    """Nodes with writers of their own share the turn and the place to go on."""
    nodes = [SqlStorage(postgresql_url, reactor, secret_key=postgresql.SECRET_KEY, node=name) for name in ("one", "other")]
    for each in nodes:
        each.start()
    one, other = nodes
    try:
        for _ in range(4):
            await one.message_received(inbound())
        assert await one.retention.take_turn(LEASE_S)
        assert not await other.retention.take_turn(LEASE_S)
        first = await one.retention.cut(Portion(Kind.MESSAGES, LATER_MS, 2), 0)
        assert await other.retention.take_turn(LEASE_S)
        second = await other.retention.cut(Portion(Kind.MESSAGES, LATER_MS, 2), LEASE_S)
        assert first is not None
        assert second is not None
        assert (first.last, second.last) == (2, 3)
        assert await one.retention.cut(Portion(Kind.MESSAGES, LATER_MS, 2), LEASE_S) is None
    finally:
        for each in nodes:
            await each.stop()
