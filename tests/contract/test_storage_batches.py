"""Messages that are recorded together: rows of many go to the database as one statement, and nobody notices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList, gatherResults

from ocppd.storage import gathering_json
from ocppd.storage.records import CallEnd, EventFilter, EventKind, MessageFilter, MessageState, MeterValueFilter
from ocppd.storage.records.quarantine import Quarantined, QuarantineFilter, Treatment
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Unit
from ocppd.storage.writer import Writer
from support.holding import held
from support.storing import NOON_MS, call, element, inbound, start, status

AVAILABILITY = '[2,"wish","ChangeAvailability",{"connectorId":0,"type":"Inoperative"}]'
#: What may be in a text, and what databases and JSON have signs for.
ODD_TEXTS = ("it's", 'say "x"', "back\\slash", "{a,b}", "NULL", "%s %(x)s %%", ":name", "é ü 漢 😀", "line\nfeed\ttab", "", " ")


@pytest.fixture(autouse=True)
def again(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The sizes of batches that were run again, each use case by itself: none is, unless a test says otherwise."""
    found: list[int] = []
    run = Writer._run_each_alone

    def run_again(writer: Writer, connection: Any, jobs: Any) -> Any:
        found.append(len(jobs))
        return run(writer, connection, jobs)

    monkeypatch.setattr(Writer, "_run_each_alone", run_again)
    yield found
    assert found == []


@pytest_twisted.ensureDeferred
async def test_numbers_tell_the_order(storage: SqlStorage) -> None:
    """In one batch each message has its own number, in the order in which they came, whatever kind each is of."""
    release = held(storage)
    answers: list[Deferred[Any]] = []
    messages = []
    for number in range(12):
        message = inbound(charger=f"CP{number}")
        messages.append(message)
        if number % 4 == 0:
            answers.append(storage.status_notified(message, status()))
        elif number % 4 == 1:
            answers.append(storage.meter_values_received(message, 1, None, (element(),)))
        elif number % 4 == 2:
            answers.append(storage.transaction_started(message, start()).addCallback(lambda started: started.sequence))
        else:
            answers.append(storage.message_received(message))
    release.set()
    numbers = await gatherResults(answers)
    assert numbers == list(range(numbers[0], numbers[0] + 12))
    journal = await storage.list_messages(MessageFilter(), None, 50)
    assert [(each.sequence, each.message_id) for each in reversed(journal)] == [
        (number, message.message_id) for number, message in zip(numbers, messages, strict=True)
    ]
    found = [await storage.list_statuses(f"CP{number}", 1, None, 9) for number in (0, 4, 8)]
    assert [[each.sequence for each in some] for some in found] == [[numbers[0]], [numbers[4]], [numbers[8]]]


@pytest_twisted.ensureDeferred
async def test_calls_among_messages(storage: SqlStorage) -> None:
    """Calls of one batch have their numbers among its messages; none overtakes one that waits, or waits without one."""
    await storage.call_created(call("over"), 1)
    release = held(storage)
    sent = [storage.call_created(call("first"), 1), storage.call_created(call("elsewhere", "CP2"), 1)]
    message = storage.status_notified(inbound(), status())
    ended = storage.call_ended(CallEnd("over", MessageState.COMPLETED, NOON_MS, "Accepted", '[3,"over",{}]'))
    waits = storage.call_accepted(call("waits"), 9, lambda _: True)
    after = [storage.call_created(call("behind"), 1), storage.call_created(call("passes", "CP2"), 1)]
    wish = storage.call_created(call("wish", "CP3", action="ChangeAvailability", frame=AVAILABILITY, redacted=AVAILABILITY), 1)
    release.set()
    await gatherResults([message, ended, waits])
    assert [await each for each in (*sent, *after, wish)] == [True, True, False, True, True]
    journal = list(reversed(await storage.list_messages(MessageFilter(), None, 50)))
    ids = [each.message_id for each in journal if each.message_id.isalpha()]
    assert ids == ["over", "first", "elsewhere", "waits", "behind", "passes", "wish"]
    states = {each.message_id: each.state.value for each in journal}
    assert (states["over"], states["first"], states["behind"], states["passes"]) == ("completed", "sent", "queued", "sent")
    events = (await storage.events_after(0, (), 500)).events
    (event,) = [each for each in events if each.kind == EventKind.COMMAND_ENDED]
    numbers = {each.message_id: each.sequence for each in journal}
    assert numbers["elsewhere"] < event.sequence < numbers["waits"]
    assert list(await storage.follow_ups.availability(["CP3"])) == ["CP3"]


@pytest_twisted.ensureDeferred
async def test_statuses_of_one_connector(storage: SqlStorage) -> None:
    """Several statuses of a connector in one batch change it one after the other (N-1, N-3)."""
    told = [("Available", "NoError"), ("Preparing", "OtherError"), ("Charging", "HighTemperature"), ("Finishing", "OtherError")]
    release = held(storage)
    answers = [
        storage.status_notified(inbound(), status(connector, text, error_code=code))
        for text, code in told
        for connector in (1, 2)
    ]
    release.set()
    await gatherResults(answers)
    (first, second) = (await storage.read_connectors(["CP1"]))["CP1"]
    for connector in (first, second):
        assert (connector.status, connector.error_code, connector.previous) == ("Finishing", "OtherError", "Charging")
        assert connector.warnings.split() == ["OtherError", "HighTemperature"]
    history = await storage.list_statuses("CP1", 2, None, 10)
    assert sorted(each.status.status for each in history) == sorted(text for text, _ in told)


@pytest_twisted.ensureDeferred
async def test_values_that_are_repeated(storage: SqlStorage) -> None:
    """The same values twice in one batch are kept once (M-9), those of a start in the same batch are its own (M-4, M-5)."""
    release = held(storage)
    started = storage.transaction_started(inbound(), start())
    answers: list[Deferred[Any]] = [started]
    for at_ms in (NOON_MS + 1, NOON_MS + 2, NOON_MS + 1):
        answers += [storage.meter_values_received(inbound(), 1, named, (element(at_ms), element(at_ms))) for named in (1, None)]
    release.set()
    transaction, *_ = await gatherResults(answers)
    found = await storage.list_meter_values(MeterValueFilter(charger="CP1"), None, 50)
    assert [value.timestamp_ms for value in found] == [NOON_MS + 1, NOON_MS + 2]
    assert {value.transaction_id for value in found} == {transaction.transaction_id}


@pytest_twisted.ensureDeferred
async def test_texts_stay_as_they_are(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a text has in it, and however many texts a batch is made of, it is kept letter by letter; integers bit by bit."""
    monkeypatch.setattr(gathering_json, "MOST_BYTES", 500)
    release = held(storage)
    answers: list[Deferred[Any]] = []
    for number, text in enumerate(ODD_TEXTS):
        message = inbound(charger=f"CP-{text}", frame=f"frame {text}", answer=f"answer {text}", received_ms=2**62 + number)
        told = status(2**63 - 1 - number, "Faulted", info=text, vendor_id=text[:1], vendor_error_code=None, timestamp_ms=-(2**40))
        answers.append(storage.status_notified(message, told))
    release.set()
    await gatherResults(answers)
    for number, text in enumerate(ODD_TEXTS):
        name = f"CP-{text}"
        ((message,), (kept,)) = (
            await storage.list_messages(MessageFilter(charger=name), None, 5),
            await storage.list_statuses(name, 2**63 - 1 - number, None, 5),
        )
        assert (message.frame, message.answer, message.created_ms) == (f"frame {text}", f"answer {text}", 2**62 + number)
        assert (kept.status.info, kept.status.vendor_id, kept.status.vendor_error_code) == (text, text[:1], None)
        assert (kept.received_ms, kept.status.timestamp_ms) == (2**62 + number, -(2**40))
        assert kept.sequence == message.sequence


@pytest_twisted.ensureDeferred
async def test_odd_ones_among_them(storage: SqlStorage) -> None:
    """A frame that is kept for its oddities is kept with the number of its message (G-12)."""
    odd = Quarantined("CP1", ("null",), "StatusNotification", Treatment.MENDED, NOON_MS, "a frame", "[]", "1.0")
    release = held(storage)
    answers: list[Deferred[Any]] = []
    for number in range(6):
        message = inbound(quarantine=odd if number % 2 else None)
        if number % 3:
            answers.append(storage.status_notified(message, status()))
        else:
            answers.append(storage.meter_values_received(message, 1, None, (element(),)))
    release.set()
    numbers = await gatherResults(answers)
    assert numbers == list(range(numbers[0], numbers[0] + 6))
    kept = await storage.quarantine.list_frames(QuarantineFilter(), None, 10)
    assert sorted(each.message or 0 for each in kept) == numbers[1::2]


@pytest_twisted.ensureDeferred
async def test_a_bug_beside_them(storage: SqlStorage, logged_errors: Any, again: list[int]) -> None:
    """Where one use case of a batch fails, the others are recorded, each with a number of its own that it is told."""
    release = held(storage)
    answers: list[Deferred[Any]] = []
    for number in range(3):
        answers.append(storage.status_notified(inbound(charger=f"CP{number}"), status()))
        answers.append(storage.write(_fails))
    release.set()
    outcomes = await DeferredList(answers, consumeErrors=True)
    assert [success for success, _ in outcomes] == [True, False] * 3
    journal = await storage.list_messages(MessageFilter(), None, 50)
    assert [each.sequence for each in reversed(journal)] == [number for success, number in outcomes if success]
    logged_errors.flush()
    assert len(again) == 1
    again.clear()


@pytest_twisted.ensureDeferred
async def test_calls_and_events_beside_them(storage: SqlStorage) -> None:
    """Calls of ours and events take their numbers in between, as things happened."""
    release = held(storage)
    answers: list[Deferred[Any]] = [
        storage.status_notified(inbound(), status()),
        storage.call_created(call("c1"), 1),
        storage.meter_values_received(inbound(), 1, None, (element(),)),
        storage.charger_connected("CP1", "192.0.2.1", NOON_MS),
        storage.status_notified(inbound(), status(text="Preparing")),
    ]
    release.set()
    await gatherResults(answers)
    found = [*reversed(await storage.list_events(EventFilter(charger="CP1"), None, 50))]
    numbers = [each.sequence for each in found]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert [str(each.kind) for each in found].index("chargerConnected") == 3


def _fails(unit: Unit) -> None:
    """A use case with a bug."""
    raise RuntimeError("a bug")
