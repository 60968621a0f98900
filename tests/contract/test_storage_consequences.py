"""A bug in what follows from something (`ocppd.storage.consequences`): what it follows from is recorded all the same."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import DeferredList

from ocppd.errors import StorageUnavailable
from ocppd.storage import consequences, events
from ocppd.storage.expecting import expect
from ocppd.storage.records import (
    CallEnd,
    EndedCall,
    EventFilter,
    EventKind,
    Inbound,
    MessageFilter,
    MessageState,
    TransactionState,
)
from ocppd.storage.records.follow_ups import FollowUpKind
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Unit
from support.holding import held
from support.storing import NOON_MS, boot, call, inbound, start, status, stop


class Poison(RuntimeError):
    """Raised by a consequence that has a bug."""


def poisoned(unit: Unit, *what: object) -> None:
    """A consequence with a bug, which has changed something before it comes to it."""
    events.happened(unit, EventKind.STOP_MISSING, "CP1", NOON_MS)
    raise Poison("{boom}")


def refuse(unit: Unit) -> None:
    """A consequence for which there is no space left."""
    if unit.dialect == "sqlite":
        raise sqlite3.OperationalError("database or disk is full")
    unit.connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$")


def followed(unit: Unit, *what: object) -> None:
    """One without."""
    events.happened(unit, EventKind.FIRMWARE_CHANGED, "CP1", NOON_MS)


async def started(storage: SqlStorage) -> Any:
    """A start, of a remote start or not."""
    return await storage.transaction_started(inbound("StartTransaction"), start())


async def ended(storage: SqlStorage) -> Any:
    """A call of ours and its end."""
    await storage.call_created(call("c1"), 1)
    return await storage.call_ended(CallEnd("c1", MessageState.COMPLETED, NOON_MS, answer='[3,"c1",{}]'))


HAPPENING: dict[str, tuple[Any, Callable[[SqlStorage], Awaitable[Any]]]] = {
    "ON_BOOT": ((), lambda storage: storage.charger_booted(inbound("BootNotification"), boot())),
    "ON_STATUS": ((), lambda storage: storage.status_notified(inbound("StatusNotification"), status())),
    "ON_START": ((), started),
    "ON_MESSAGE": ("SecurityEventNotification", lambda storage: storage.message_received(inbound("SecurityEventNotification"))),
    "ON_END_OF_CALL": ("ClearCache", ended),
    "ON_END_OF_ANY_CALL": ((), ended),
}


async def kinds(storage: SqlStorage) -> set[EventKind]:
    return {event.kind for event in await storage.list_events(EventFilter(charger="CP1"), None, 99)}


@pytest.mark.parametrize("table", HAPPENING)
@pytest_twisted.ensureDeferred
async def test_what_it_follows_from_is_recorded(
    storage: SqlStorage, table: str, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """A consequence with a bug changes nothing and is logged; the message, and what else follows from it, are committed."""
    action, happen = HAPPENING[table]
    functions = (poisoned, followed)
    monkeypatch.setattr(consequences, table, {action: functions} if action else functions)
    assert await happen(storage) is not None
    assert len(await storage.list_messages(MessageFilter(), None, 9)) == 1
    found = await kinds(storage)
    assert EventKind.FIRMWARE_CHANGED in found and EventKind.STOP_MISSING not in found
    assert [failure.type for failure in logged_errors.flush()] == [Poison]


@pytest_twisted.ensureDeferred
async def test_a_stop_is_not_lost(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """T-20, T-27: the stop of a batch in which its consequence fails is committed and answered, and so are its neighbours."""
    begun = await started(storage)
    monkeypatch.setattr(consequences, "ON_END_OF_TRANSACTION", (poisoned, followed))
    release = held(storage)
    answers: list[Any] = [storage.message_received(inbound()) for _ in range(20)]
    answers.insert(7, storage.transaction_stopped(inbound("StopTransaction"), stop(begun.transaction_id)))
    release.set()
    assert all(success for success, _ in await DeferredList(answers, consumeErrors=True))
    record = await storage.read_transaction(begun.transaction_id)
    assert record is not None and (record.state, record.meter_stop_wh) == (TransactionState.STOPPED, 1500)
    assert len(await storage.list_messages(MessageFilter(), None, 99)) == 22
    assert EventKind.STOP_MISSING not in await kinds(storage)
    assert [failure.type for failure in logged_errors.flush()] == [Poison]


@pytest_twisted.ensureDeferred
async def test_a_call_is_not_accepted(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """A call of ours has not been sent yet: where what follows it fails, so does the call."""
    monkeypatch.setattr(consequences, "ON_CALL", {"ClearCache": (poisoned,)})
    with pytest.raises(StorageUnavailable):
        await storage.call_created(call("c1"), 1)
    assert await storage.list_messages(MessageFilter(), None, 9) == []
    assert [failure.type for failure in logged_errors.flush()] == [Poison]


@pytest_twisted.ensureDeferred
async def test_what_is_expected_of_a_call(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """What a function expected before it failed is neither on record nor told to whoever recorded the end."""

    def expecting(unit: Unit, ended: EndedCall) -> None:
        expect(unit, ended, FollowUpKind.TRIGGER, "Heartbeat", 1000)
        raise Poison

    monkeypatch.setattr(consequences, "ON_END_OF_CALL", {"TriggerMessage": (expecting,)})
    frame = '[2,"t","TriggerMessage",{"requestedMessage":"Heartbeat"}]'
    await storage.call_created(call("t", action="TriggerMessage", frame=frame, redacted=frame), 1)
    answer = '[3,"t",{"status":"Accepted"}]'
    assert await storage.call_ended(CallEnd("t", MessageState.COMPLETED, NOON_MS, "Accepted", answer)) == ()
    assert await storage.follow_ups.of_messages(["t"]) == {}
    assert [failure.type for failure in logged_errors.flush()] == [Poison]


@pytest_twisted.ensureDeferred
async def test_a_refusal_among_others(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """Where the database refuses what follows some messages of a batch, those alone fail, and nothing is left open by them."""

    def full(unit: Unit, message: Inbound, *what: object) -> None:
        if message.charger == "FULL":
            refuse(unit)

    monkeypatch.setattr(consequences, "ON_STATUS", (full,))
    release = held(storage)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        names = ["CP1", "FULL", "CP2", "FULL", "CP3"]
        answers = [storage.status_notified(inbound("StatusNotification", charger=name), status()) for name in names]
        release.set()
        outcomes = await DeferredList(answers, consumeErrors=True)
    assert [success for success, _ in outcomes] == [True, False, True, False, True]
    assert len(await storage.list_messages(MessageFilter(), None, 9)) == 3
    assert [str(each.message) for each in told if "transaction" in str(each.message)] == []
    logged_errors.flush()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_what_the_database_refuses(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """Where it is the database that cannot do what follows (its disk is full), the message fails, and is to be repeated."""

    monkeypatch.setattr(consequences, "ON_START", (lambda unit, *what: refuse(unit),))
    with pytest.raises(StorageUnavailable):
        await started(storage)
    assert await storage.list_messages(MessageFilter(), None, 9) == []
    assert len(logged_errors.flush()) == 1
