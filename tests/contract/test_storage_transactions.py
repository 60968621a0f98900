"""Transactions and meter values, over every storage."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList

from ocppd.storage.records import (
    PAGE_CHARACTERS,
    UNREADABLE_MS,
    EventFilter,
    EventKind,
    MessageFilter,
    MeterValueElement,
    MeterValueFilter,
    MeterValueRecord,
    StopOutcome,
    Told,
    TransactionFilter,
    TransactionRecord,
    TransactionState,
)
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Unit
from ocppd.v16.types import AuthorizationStatus
from support.holding import held
from support.storing import MINUTE_MS, NOON_MS, element, inbound, start, stop

THE_NINETIES_MS = 788_918_400_000


async def begun(storage: SqlStorage, connector_id: int = 1, charger: str = "CP1", **members: object) -> int:
    """The id of a new transaction."""
    started = await storage.transaction_started(inbound("StartTransaction", charger), start(connector_id, **members))
    return started.transaction_id


async def read(storage: SqlStorage, transaction_id: int) -> TransactionRecord:
    """A transaction that is there."""
    found = await storage.read_transaction(transaction_id)
    assert found is not None
    return found


async def values(storage: SqlStorage, **which: object) -> list[MeterValueRecord]:
    """The meter values of a filter."""
    return await storage.list_meter_values(MeterValueFilter(**which), None, 100)  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_a_start_is_recorded_whole(storage: SqlStorage) -> None:
    """A start makes an open transaction with a positive id, and its message holds the answer with that id (T-1, T-2)."""
    message = inbound("StartTransaction", received_ms=NOON_MS + 5)
    started = await storage.transaction_started(message, start(2, reservation_id=7, flags=("futureTime",)))
    assert started.transaction_id > 0
    assert not started.repeated
    assert await read(storage, started.transaction_id) == TransactionRecord(
        transaction_id=started.transaction_id,
        charger="CP1",
        connector_id=2,
        id_tag="Tag1",
        state=TransactionState.OPEN,
        verdict=AuthorizationStatus.ACCEPTED,
        meter_start_wh=1000,
        started_ms=NOON_MS,
        start_received_ms=NOON_MS + 5,
        message_id=message.message_id,
        reservation_id=7,
        flags=("futureTime",),
    )
    journaled = await storage.read_message(message.message_id)
    assert journaled is not None
    assert journaled.sequence == started.sequence
    assert journaled.frame == message.frame
    assert journaled.answer == f'[3,"x",{{"transactionId":{started.transaction_id}}}]'


@pytest_twisted.ensureDeferred
async def test_a_repeated_start_is_found(storage: SqlStorage) -> None:
    """The same start in another message, tag in another case, gets the same id; both messages are kept (T-3, G-3, ST-06)."""
    first = await storage.transaction_started(inbound("StartTransaction"), start())
    again = await storage.transaction_started(inbound("StartTransaction", generation=2), start(id_tag="TAG1"))
    assert again.transaction_id == first.transaction_id
    assert again.repeated
    assert again.sequence > first.sequence
    assert len(await storage.list_transactions(TransactionFilter(), None, 10)) == 1


@pytest_twisted.ensureDeferred
async def test_a_repeated_start_of_a_stopped_transaction(storage: SqlStorage) -> None:
    """The key also hits after the transaction was stopped, which it stays (T-4, ST-08)."""
    first = await begun(storage)
    await storage.transaction_stopped(inbound("StopTransaction"), stop(first))
    assert await begun(storage) == first
    assert (await read(storage, first)).state is TransactionState.STOPPED


@pytest.mark.parametrize(
    "other",
    [{"connector_id": 2}, {"id_tag_key": "tag2"}, {"timestamp_ms": NOON_MS + 1}, {"meter_start_wh": 1001}, {"charger": "CP2"}],
)
@pytest_twisted.ensureDeferred
async def test_starts_that_differ_are_different(storage: SqlStorage, other: dict[str, object]) -> None:
    """A start that differs in any member of the key gets an id of its own (T-3)."""
    assert await begun(storage) != await begun(storage, **other)


@pytest_twisted.ensureDeferred
async def test_an_unset_clock_matches_only_for_ten_minutes(storage: SqlStorage) -> None:
    """Starts from before 2010 are the same only within ten minutes of receipt (T-4)."""

    async def at(received_ms: int) -> int:
        message = inbound("StartTransaction", received_ms=received_ms)
        return (await storage.transaction_started(message, start(timestamp_ms=THE_NINETIES_MS))).transaction_id

    first = await at(NOON_MS)
    assert await at(NOON_MS + 10 * MINUTE_MS) == first
    later = await at(NOON_MS + 11 * MINUTE_MS)
    assert later != first
    assert await at(NOON_MS + 12 * MINUTE_MS) == later


@pytest_twisted.ensureDeferred
async def test_a_new_start_supersedes(storage: SqlStorage) -> None:
    """Another start on the connector supersedes the open one, whose late stop still counts; others are untouched (T-7)."""
    old, elsewhere, foreign = await begun(storage), await begun(storage, 2), await begun(storage, charger="CP2")
    new = await begun(storage, timestamp_ms=NOON_MS + MINUTE_MS)
    states = {number: (await read(storage, number)).state for number in (old, elsewhere, foreign, new)}
    assert states.pop(old) is TransactionState.SUPERSEDED
    assert set(states.values()) == {TransactionState.OPEN}
    stopped = await storage.transaction_stopped(inbound("StopTransaction"), stop(old))
    assert stopped.outcome is StopOutcome.STOPPED
    assert (await read(storage, old)).state is TransactionState.STOPPED
    assert (await read(storage, new)).state is TransactionState.OPEN


@pytest_twisted.ensureDeferred
async def test_a_verdict_is_amended(storage: SqlStorage) -> None:
    """The verdict and answer of a user's handler replace ours, of a repeated start as well."""
    await begun(storage)
    again = await storage.transaction_started(inbound("StartTransaction"), start())
    await storage.verdict_amended(again.sequence, "[3,other]", AuthorizationStatus.BLOCKED)
    assert (await read(storage, again.transaction_id)).verdict is AuthorizationStatus.BLOCKED
    (newest, first) = await storage.list_messages(MessageFilter(), None, 10)
    assert newest.answer == "[3,other]"
    assert first.answer != "[3,other]"


@pytest_twisted.ensureDeferred
async def test_a_stop_is_recorded_whole(storage: SqlStorage) -> None:
    """A stop closes its transaction with its energy; its journal entry has no remark (T-20)."""
    number = await begun(storage, flags=("a",))
    message = inbound("StopTransaction", received_ms=NOON_MS + 70_000)
    stopped = await storage.transaction_stopped(message, stop(number, id_tag=None, reason="Remote", flags=("b", "a")))
    found = await read(storage, number)
    assert stopped.outcome is StopOutcome.STOPPED
    assert (found.state, found.meter_stop_wh, found.energy_wh) == (TransactionState.STOPPED, 1500, 500)
    assert (found.stopped_ms, found.stop_received_ms) == (NOON_MS + MINUTE_MS, NOON_MS + 70_000)
    assert (found.stop_id_tag, found.reason, found.flags) == (None, "Remote", ("a", "b"))
    journaled = await storage.read_message(message.message_id)
    assert journaled is not None
    assert (journaled.sequence, journaled.outcome, journaled.answer) == (stopped.sequence, None, '[3,"x",{}]')


@pytest.mark.parametrize("given", [4711, 0, -2, 2**31, 2**63 - 1, -(2**70), 2**70])
@pytest_twisted.ensureDeferred
async def test_an_orphan_stop_is_kept(storage: SqlStorage, given: int) -> None:
    """A stop of no known transaction is journaled as an orphan with its values unlinked; nothing else changes (T-21, SP-05)."""
    number = await begun(storage)
    message = inbound("StopTransaction")
    stopped = await storage.transaction_stopped(message, stop(given, elements=(element(),)))
    assert stopped.outcome is StopOutcome.ORPHAN
    journaled = await storage.read_message(message.message_id)
    assert journaled is not None
    assert (journaled.outcome, journaled.frame) == ("orphan", message.frame)
    assert [value.transaction_id for value in await values(storage)] == [None]
    assert (await read(storage, number)).state is TransactionState.OPEN


@pytest_twisted.ensureDeferred
async def test_a_stop_of_another_charger_is_an_orphan(storage: SqlStorage) -> None:
    """No charger can stop the transaction of another one (T-21)."""
    number = await begun(storage)
    stopped = await storage.transaction_stopped(inbound("StopTransaction", "CP2"), stop(number))
    assert stopped.outcome is StopOutcome.ORPHAN
    assert (await read(storage, number)).state is TransactionState.OPEN


@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        ({}, StopOutcome.REPEATED),
        ({"reason": "Remote"}, StopOutcome.REPEATED),
        ({"meter_stop_wh": 1501}, StopOutcome.SUSPECT),
        ({"timestamp_ms": NOON_MS + 2 * MINUTE_MS}, StopOutcome.SUSPECT),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_second_stop_changes_nothing(storage: SqlStorage, second: dict[str, object], outcome: StopOutcome) -> None:
    """The same stop again is repeated, another one suspect; the first is kept, both are journaled (T-23, SP-09)."""
    number = await begun(storage)
    await storage.transaction_stopped(inbound("StopTransaction"), stop(number))
    before = await read(storage, number)
    message = inbound("StopTransaction")
    assert (await storage.transaction_stopped(message, stop(number, **second))).outcome is outcome
    assert await read(storage, number) == before
    journaled = await storage.read_message(message.message_id)
    assert journaled is not None
    assert journaled.outcome == outcome.value


@pytest.mark.parametrize(
    ("members", "flags"),
    [
        ({"meter_stop_wh": 999}, ("meterFell",)),
        ({"timestamp_ms": NOON_MS - 1}, ("stopBeforeStart",)),
        ({"meter_stop_wh": 2**40}, ("energyAbsurd",)),
        ({"meter_stop_wh": 999, "timestamp_ms": NOON_MS - 1}, ("meterFell", "stopBeforeStart")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_impossible_stop_has_no_energy(storage: SqlStorage, members: dict[str, object], flags: tuple[str, ...]) -> None:
    """A falling meter or a stop before its start stops the transaction, flagged and without energy (T-25, SP-10)."""
    number = await begun(storage)
    await storage.transaction_stopped(inbound("StopTransaction"), stop(number, **members))
    found = await read(storage, number)
    assert (found.state, found.energy_wh, found.flags) == (TransactionState.STOPPED, None, flags)


@pytest_twisted.ensureDeferred
async def test_transaction_data_is_stored_once(storage: SqlStorage) -> None:
    """The values of a stop belong to its transaction, less those that were received before (T-26, SP-11)."""
    number = await begun(storage, 3)
    known, new = element(NOON_MS + 1, "1"), element(NOON_MS + 2, "2")
    await storage.meter_values_received(inbound("MeterValues"), 3, number, (known,))
    for _ in range(2):
        await storage.transaction_stopped(inbound("StopTransaction"), stop(number, elements=(known, new)))
    found = await values(storage, transaction_id=number)
    assert [(value.connector_id, value.timestamp_ms, value.samples) for value in found] == [
        (3, NOON_MS + 1, known.samples),
        (3, NOON_MS + 2, new.samples),
    ]


@pytest_twisted.ensureDeferred
async def test_samples_that_were_told_before_the_stop(storage: SqlStorage) -> None:
    """Of an instant that was told before a stop has its news alone, of another instant, connector or transaction all (M-9)."""
    other, number = await begun(storage, 4), await begun(storage, 3)
    for connector_id, named, at_ms in ((3, number, NOON_MS), (4, other, NOON_MS + 1), (5, number, NOON_MS + 2)):
        await storage.meter_values_received(inbound("MeterValues"), connector_id, named, (element(at_ms, "old"),))
    told = tuple(element(at_ms, "all") for at_ms in range(NOON_MS, NOON_MS + 3))
    again = element(NOON_MS + 2, "again")
    asked = []

    def news_of(samples: str, before: Told) -> str | None:
        asked.append((samples, before.rows[:]))
        return None if samples == again.samples else '["news"]'

    await storage.transaction_stopped(inbound("StopTransaction"), stop(number, elements=(*told, again), news_of=news_of))
    old = element(value="old").samples
    assert asked == [(told[0].samples, [old]), (again.samples, [told[2].samples])]
    found = [(value.timestamp_ms, value.samples) for value in await values(storage, transaction_id=number, connector_id=3)]
    assert found == [(NOON_MS, old), (NOON_MS, '["news"]'), *((each.timestamp_ms, each.samples) for each in told[1:])]


@pytest_twisted.ensureDeferred
async def test_a_repeated_element_is_dropped(storage: SqlStorage) -> None:
    """An element is stored once; another instant, connector, charger or value is another element (M-9)."""
    for _ in range(2):
        await storage.meter_values_received(inbound("MeterValues"), 1, None, (element(), element()))
    assert len(await values(storage)) == 1
    await storage.meter_values_received(inbound("MeterValues"), 1, None, (element(value="2"), element(NOON_MS + 1)))
    await storage.meter_values_received(inbound("MeterValues"), 2, None, (element(),))
    await storage.meter_values_received(inbound("MeterValues", "CP2"), 1, None, (element(),))
    assert len(await values(storage)) == 5


@pytest.mark.parametrize("given", [None, 0, -1, 2**31, 2**63 - 1, 2**80, 4711])
@pytest_twisted.ensureDeferred
async def test_values_without_a_usable_id_are_linked_by_connector(storage: SqlStorage, given: int | None) -> None:
    """Without an id of ours an element goes to what was open on its connector when it was measured (M-4, MV-03, MV-04)."""
    number = await begun(storage, 1)
    foreign = await begun(storage, 1, "CP2")
    elements = (element(NOON_MS - 1), element(NOON_MS), element(NOON_MS + 1))
    await storage.meter_values_received(inbound("MeterValues"), 1, foreign if given == 4711 else given, elements)
    await storage.meter_values_received(inbound("MeterValues"), 2, given, (element(NOON_MS),))
    assert [value.transaction_id for value in await values(storage)] == [None, number, number, None]


@pytest_twisted.ensureDeferred
async def test_whose_a_named_transaction_is(storage: SqlStorage) -> None:
    """Each charger's values go to its own transactions, however often somebody names another's (M-4)."""
    one, other = await begun(storage, 1), await begun(storage, 1, "CP2")
    for at_ms in range(NOON_MS, NOON_MS + 3):
        for charger, connector, named in (("CP1", 2, one), ("CP2", 2, one), ("CP2", 1, one), ("CP2", 2, other), ("CP1", 1, 4712)):
            await storage.meter_values_received(inbound("MeterValues", charger), connector, named, (element(at_ms, f"{named}"),))
    found = [(value.charger, value.connector_id, value.transaction_id) for value in await values(storage)]
    told = [("CP1", 2, one), ("CP2", 2, None), ("CP2", 1, other), ("CP2", 2, other), ("CP1", 1, one)]
    assert found == told * 3


@pytest_twisted.ensureDeferred
async def test_values_of_a_start_that_was_not_committed(storage: SqlStorage, logged_errors: Any) -> None:
    """What a batch has seen of a transaction that came to nothing is not believed afterwards."""
    release = held(storage)
    answers: list[Deferred[Any]] = [
        storage.write(_starts_in_vain, 1),
        storage.meter_values_received(inbound("MeterValues"), 1, 1, (element(),)),
        storage.transaction_started(inbound("StartTransaction", "CP2"), start(connector_id=1)),
    ]
    release.set()
    (failed, _), (stored, _), (started, transaction) = await DeferredList(answers, consumeErrors=True)
    assert (failed, stored, started) == (False, True, True)
    await storage.meter_values_received(inbound("MeterValues"), 2, transaction.transaction_id, (element(),))
    await storage.meter_values_received(inbound("MeterValues", "CP2"), 2, transaction.transaction_id, (element(),))
    assert [value.transaction_id for value in await values(storage)] == [None, None, transaction.transaction_id]
    logged_errors.flush()


def _starts_in_vain(unit: Unit, transaction_id: int) -> None:
    """A use case that sees a transaction of CP1 by that id, and fails."""
    unit.lore.learn(transaction_id, "CP1")
    raise RuntimeError("a bug")


@pytest_twisted.ensureDeferred
async def test_values_after_the_stop_are_linked_by_id(storage: SqlStorage) -> None:
    """Closing values that name a finished transaction belong to it; without its id to none (M-5, MV-05)."""
    number = await begun(storage)
    await storage.transaction_stopped(inbound("StopTransaction"), stop(number))
    await storage.meter_values_received(inbound("MeterValues"), 1, number, (element(NOON_MS + 1),))
    await storage.meter_values_received(inbound("MeterValues"), 1, None, (element(NOON_MS + 2),))
    assert [value.transaction_id for value in await values(storage)] == [number, None]


@pytest_twisted.ensureDeferred
async def test_values_of_the_main_meter_are_never_linked(storage: SqlStorage) -> None:
    """Connector 0 is the main meter, whatever transaction it names (M-4)."""
    number = await begun(storage)
    await storage.meter_values_received(inbound("MeterValues"), 0, number, (element(),))
    assert [(value.connector_id, value.transaction_id) for value in await values(storage)] == [(0, None)]


@pytest_twisted.ensureDeferred
async def test_an_empty_message_is_journaled(storage: SqlStorage) -> None:
    """MeterValues without elements is stored as a message (M-1)."""
    message = inbound("MeterValues")
    sequence = await storage.meter_values_received(message, 1, None, ())
    journaled = await storage.read_message(message.message_id)
    assert journaled is not None
    assert journaled.sequence == sequence


@pytest_twisted.ensureDeferred
async def test_meter_values_are_listed_in_order_of_arrival(storage: SqlStorage) -> None:
    """Pages follow each other without gaps, the cursor is the first of the next page, filters hold."""
    elements = tuple(element(NOON_MS - number) for number in range(5))
    await storage.meter_values_received(inbound("MeterValues"), 1, None, elements)
    first = await storage.list_meter_values(MeterValueFilter(charger="CP1"), None, 3)
    rest = await storage.list_meter_values(MeterValueFilter(charger="CP1"), first[-1].sequence, 10)
    assert rest[0] == first[-1]
    assert [value.timestamp_ms for value in first + rest[1:]] == [NOON_MS - number for number in range(5)]
    assert len(await values(storage, since_ms=NOON_MS - 2)) == 3
    assert len(await values(storage, until_ms=NOON_MS - 2)) == 2
    assert await values(storage, connector_id=2) == await values(storage, charger="CP2") == []


@pytest_twisted.ensureDeferred
async def test_instants_that_cannot_be_read_are_those_of_receipt(storage: SqlStorage) -> None:
    """What is shown as of its receipt is listed as of its receipt: transactions, and meter values, found by charger or not."""
    received = inbound("StartTransaction", received_ms=NOON_MS)
    await storage.transaction_started(received, start(timestamp_ms=UNREADABLE_MS))
    await storage.meter_values_received(inbound("MeterValues", received_ms=NOON_MS), 1, None, (element(UNREADABLE_MS),))
    spans = ((NOON_MS, NOON_MS + 1), (NOON_MS, None), (None, NOON_MS + 1), (NOON_MS + 1, None), (None, NOON_MS), (0, NOON_MS))
    for charger in (None, "CP1"):
        found = []
        for since_ms, until_ms in spans:
            which = TransactionFilter(charger=charger, since_ms=since_ms, until_ms=until_ms)
            listed = await storage.list_transactions(which, None, 9)
            told = await values(storage, charger=charger, since_ms=since_ms, until_ms=until_ms)
            found.append((len(listed), len(told)))
        assert found == [(1, 1)] * 3 + [(0, 0)] * 3


@pytest_twisted.ensureDeferred
async def test_a_list_of_meter_values_ends_where_their_samples_are_too_many(storage: SqlStorage) -> None:
    """Many samples are in the list, whole, and end it; the next one goes on, so that none is left out."""
    half = "x" * (PAGE_CHARACTERS // 2)
    elements = tuple(MeterValueElement(NOON_MS + number, half if number else "few") for number in range(5))
    await storage.meter_values_received(inbound("MeterValues"), 1, None, elements)
    for which in (MeterValueFilter(), MeterValueFilter(charger="CP1")):
        after, pages = 0, []
        while found := await storage.list_meter_values(which, after, 10):
            pages.append([value.timestamp_ms - NOON_MS for value in found])
            assert all(value.samples == (half if value.timestamp_ms > NOON_MS else "few") for value in found)
            after = found[-1].sequence + 1
        assert pages == [[0, 1, 2], [3, 4]]


@pytest_twisted.ensureDeferred
async def test_transactions_are_listed_newest_first(storage: SqlStorage) -> None:
    """Pages go down from the newest, and every filter holds."""
    numbers = [await begun(storage, connector, timestamp_ms=NOON_MS + connector) for connector in (1, 2, 3)]
    await storage.transaction_stopped(inbound("StopTransaction"), stop(numbers[0]))

    async def listed(after: int | None = None, limit: int = 10, **which: object) -> list[int]:
        found = await storage.list_transactions(TransactionFilter(**which), after, limit)  # type: ignore[arg-type]
        return [record.transaction_id for record in found]

    assert await listed() == numbers[::-1]
    assert await listed(limit=2) == [numbers[2], numbers[1]]
    assert await listed(after=numbers[1]) == [numbers[0]]
    assert await listed(state=TransactionState.OPEN) == [numbers[2], numbers[1]]
    assert await listed(connector_id=2) == [numbers[1]]
    assert await listed(id_tag="tAG1") == numbers[::-1]
    assert await listed(since_ms=NOON_MS + 2, until_ms=NOON_MS + 3) == [numbers[1]]
    assert await listed(charger="CP2") == await listed(id_tag="other") == []


@pytest_twisted.ensureDeferred
async def test_what_no_database_takes_is_cleaned(storage: SqlStorage) -> None:
    """NUL, lone surrogates and numbers beyond 64 bit are stored as the nearest that can be (F-12)."""
    message = msgspec.structs.replace(inbound("StartTransaction"), frame="a\0b\ud800c", received_ms=2**80)
    started = await storage.transaction_started(
        message, start(2**70, id_tag="x\0", meter_start_wh=-(2**70), answer=lambda number, _: f"\udfff{number}")
    )
    found = await read(storage, started.transaction_id)
    assert (found.connector_id, found.id_tag) == (2**63 - 1, "x\ufffd")
    assert (found.meter_start_wh, found.start_received_ms) == (-(2**63), 2**63 - 1)
    journaled = await storage.read_message(message.message_id)
    assert journaled is not None
    assert (journaled.frame, journaled.answer) == ("a\ufffdb\ufffdc", f"\ufffd{started.transaction_id}")
    stopped = await storage.transaction_stopped(inbound("StopTransaction"), stop(started.transaction_id, meter_stop_wh=2**70))
    assert stopped.outcome is StopOutcome.STOPPED


@pytest_twisted.ensureDeferred
async def test_questions_that_make_no_sense_find_nothing(storage: SqlStorage) -> None:
    """Ids and texts that cannot be stored are not found either, and are no error."""
    assert await storage.read_transaction(2**70) is None
    assert await storage.read_transaction(0) is None
    assert await storage.list_transactions(TransactionFilter(charger="\ud800"), 2**70, 10) == []
    assert await storage.read_message("\0\udc00") is None


async def states(storage: SqlStorage, *ids: int) -> list[str]:
    """The states of these transactions."""
    found = [await storage.read_transaction(each) for each in ids]
    return [str(each and each.state) for each in found]


@pytest_twisted.ensureDeferred
async def test_an_operator_closes_what_has_no_stop(storage: SqlStorage) -> None:
    """T-29: what is open, superseded or missing its stop can be closed, once; a stop that comes after all counts."""
    for charger in ("CP1", "CP2"):
        await storage.transaction_started(inbound("StartTransaction", charger), start())
    newer = start(timestamp_ms=NOON_MS + 1)
    await storage.transaction_started(inbound("StartTransaction"), newer)
    assert await states(storage, 1, 2, 3) == ["superseded", "open", "open"]
    for transaction_id in (1, 2):
        found = await storage.transaction_closed(transaction_id, "gone", NOON_MS + 5)
        assert found is not None
        assert (found.state, found.closed_ms, found.close_reason) == ("closed", NOON_MS + 5, "gone")
    again = await storage.transaction_closed(2, "twice", NOON_MS + 6)
    assert again is not None and (again.closed_ms, again.close_reason) == (NOON_MS + 5, "gone")
    for transaction_id in (0, 99, 2**40):
        assert await storage.transaction_closed(transaction_id, "x", NOON_MS) is None
    await storage.transaction_stopped(inbound("StopTransaction", "CP2"), stop(2))
    stopped = await storage.read_transaction(2)
    assert stopped is not None
    assert (stopped.state, stopped.energy_wh, stopped.close_reason) == ("stopped", 500, "gone")
    late = await storage.transaction_closed(2, "late", NOON_MS + 7)
    assert late is not None and (late.state, late.close_reason) == ("stopped", "gone")
    closed = await storage.list_events(EventFilter(kind=EventKind.TRANSACTION_CLOSED), None, 9)
    assert [event.members for event in closed] == [{"transactionId": str(each), "reason": "gone"} for each in (2, 1)]


@pytest_twisted.ensureDeferred
async def test_stops_that_are_missing(storage: SqlStorage) -> None:
    """T-28: what is open and was not heard of since is marked, once; a stop for it, or a new start, is as welcome as ever."""
    for charger in ("CP1", "CP2", "CP3"):
        await storage.transaction_started(inbound("StartTransaction", charger), start())
    values = inbound("MeterValues", "CP2", received_ms=NOON_MS + 50)
    await storage.meter_values_received(values, 1, 2, (element(NOON_MS + 50),))
    assert await storage.stops_missing(NOON_MS, NOON_MS + 99) == []
    assert await storage.stops_missing(NOON_MS + 1, NOON_MS + 99) == [1, 3]
    assert await storage.stops_missing(NOON_MS + 1, NOON_MS + 99) == []
    assert await storage.stops_missing(NOON_MS + 51, NOON_MS + 99) == [2]
    assert await states(storage, 1, 2, 3) == ["stopMissing"] * 3
    await storage.transaction_stopped(inbound("StopTransaction"), stop(1))
    assert await states(storage, 1) == ["stopped"]
    told = await storage.list_events(EventFilter(kind=EventKind.STOP_MISSING), None, 9)
    assert [(event.charger, event.members) for event in reversed(told)] == [
        ("CP1", {"transactionId": "1"}),
        ("CP3", {"transactionId": "3"}),
        ("CP2", {"transactionId": "2"}),
    ]


async def stopped_nameless(storage: SqlStorage, message_id: str = "n", **members: Any) -> tuple[StopOutcome, int | None]:
    """What became of a stop of transaction -1, and which transaction it stopped."""
    what = stop(-1, **members)
    outcome = (await storage.transaction_stopped(inbound("StopTransaction", message_id=message_id), what)).outcome
    reconciled = [
        record.transaction_id
        for record in await storage.list_transactions(TransactionFilter(), None, 50)
        if "reconciled" in record.flags and record.state is TransactionState.STOPPED
    ]
    return outcome, reconciled[0] if reconciled else None


@pytest_twisted.ensureDeferred
async def test_a_nameless_stop_finds_its_transaction(storage: SqlStorage) -> None:
    """T-22: -1 stops the only open transaction of its charger that it can mean; its repeat changes nothing."""
    await begun(storage, charger="CP2")
    first = await begun(storage)
    assert await stopped_nameless(storage, id_tag=None, id_tag_key=None) == (StopOutcome.STOPPED, first)
    stopped = await read(storage, first)
    assert (stopped.energy_wh, stopped.flags) == (500, ("reconciled",))
    assert await stopped_nameless(storage, id_tag=None, id_tag_key=None) == (StopOutcome.REPEATED, first)
    other = await begun(storage, timestamp_ms=NOON_MS + 2 * MINUTE_MS)
    assert await stopped_nameless(storage) == (StopOutcome.REPEATED, first)
    assert (await read(storage, other)).state is TransactionState.OPEN


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("why", ["none", "two", "later", "tag", "named"])
async def test_a_nameless_stop_that_fits_nothing(storage: SqlStorage, why: str) -> None:
    """T-22: where none or several fit (begun later, by another tag, named by the charger since) it is an orphan."""
    if why != "none":
        tag = {"id_tag": "Else", "id_tag_key": "else"} if why == "tag" else {}
        first = await begun(storage, timestamp_ms=NOON_MS + (2 * MINUTE_MS if why == "later" else 0), **tag)
        if why == "two":
            await begun(storage, 2)
        if why == "named":
            await storage.meter_values_received(inbound("MeterValues"), 1, first, (element(),))
    assert await stopped_nameless(storage) == (StopOutcome.ORPHAN, None)


@pytest_twisted.ensureDeferred
async def test_values_without_an_id_name_nothing(storage: SqlStorage) -> None:
    """T-22, M-4: meter values that were linked by their connector do not say that the charger knows the id."""
    first = await begun(storage)
    await storage.meter_values_received(inbound("MeterValues"), 1, None, (element(NOON_MS + 1),))
    assert (await values(storage, transaction_id=first))[0].transaction_id == first
    assert await stopped_nameless(storage) == (StopOutcome.STOPPED, first)
