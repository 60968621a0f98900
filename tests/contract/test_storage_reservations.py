"""Reservations in the records: what calls, starts, statuses and our clock make of them, over every storage."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from ocppd.storage.records import CallEnd, EventFilter, EventKind, IdTag, MessageState, NewCall
from ocppd.storage.records.reservations import Reservation, ReservationFilter, ReservationState
from ocppd.storage.sql_storage import SqlStorage
from support.holding import held
from support.storing import MINUTE_MS, NOON_MS, call, inbound, start, status

ensure = pytest_twisted.ensureDeferred
State = ReservationState


def reserve_now(message_id: str, number: int = 7, connector_id: int = 1, **members: Any) -> NewCall:
    """A ReserveNow of Tag1 until one o'clock."""
    payload = {
        "connectorId": connector_id,
        "expiryDate": "2026-03-01T13:00:00Z",
        "idTag": "Tag1",
        "reservationId": number,
        **members,
    }
    frame = json.dumps([2, message_id, "ReserveNow", payload])
    return call(message_id, action="ReserveNow", frame=frame, redacted=frame)


def cancel(message_id: str, number: int = 7) -> NewCall:
    frame = json.dumps([2, message_id, "CancelReservation", {"reservationId": number}])
    return call(message_id, action="CancelReservation", frame=frame, redacted=frame)


async def ends(storage: SqlStorage, message_id: str, state: str = "completed", said: str | None = None, **members: Any) -> None:
    """A call has ended, with this status."""
    answer = None if said is None else json.dumps([3, message_id, {"status": said}])
    await storage.call_ended(CallEnd(message_id, MessageState(state), members.pop("at", NOON_MS), said, answer, **members))


async def made(storage: SqlStorage, message_id: str, *args: Any, **members: Any) -> None:
    """An active one."""
    await storage.call_created(reserve_now(message_id, *args, **members), 1)
    await ends(storage, message_id, said="Accepted")


async def found(storage: SqlStorage, message_id: str) -> Reservation:
    reservation = await storage.reservations.read(message_id)
    assert reservation is not None
    return reservation


@ensure
async def test_the_life_of_a_reservation(storage: SqlStorage) -> None:
    """RV-01, RV-02, RV-05: requested with its call, then what the end of that says; cancelled by another call."""
    await storage.call_created(reserve_now("r1", parentIdTag="Fleet"), 1)
    asked = await found(storage, "r1")
    assert (asked.state, asked.id_tag_key, asked.parent_key, asked.created_ms) == (State.REQUESTED, "tag1", "fleet", NOON_MS)
    assert asked.expiry_ms == NOON_MS + 60 * MINUTE_MS
    await ends(storage, "r1", "unknown")
    assert (await found(storage, "r1")).state is State.UNKNOWN
    await ends(storage, "r1", said="Accepted")
    assert (await found(storage, "r1")).state is State.ACTIVE
    await storage.call_created(cancel("c1"), 1)
    await ends(storage, "c1", "timeout")
    assert (await found(storage, "r1")).flags == ("cancelUnanswered",)
    await ends(storage, "c1", said="Rejected")
    after = await found(storage, "r1")
    assert (after.state, after.flags) == (State.ACTIVE, ("cancelUnanswered", "cancelRejected"))
    await storage.call_created(cancel("c2"), 1)
    await ends(storage, "c2", said="Accepted", at=NOON_MS + 5)
    after = await found(storage, "r1")
    assert (after.state, after.ended_ms) == (State.CANCELLED, NOON_MS + 5)
    await storage.call_created(reserve_now("r2"), 1)
    await ends(storage, "r2", said="Occupied")
    refused = await found(storage, "r2")
    assert (refused.state, refused.status) == (State.REFUSED, "Occupied")


@ensure
async def test_cancel_rejected_after_its_expiry(storage: SqlStorage) -> None:
    """RV-05, TC_052: a charger that does not know it any more because its time is over says just that."""
    await made(storage, "r1")
    await storage.call_created(cancel("c1"), 1)
    await ends(storage, "c1", said="Rejected", at=NOON_MS + 60 * MINUTE_MS)
    assert (await found(storage, "r1")).state is State.EXPIRED


@ensure
async def test_a_cancel_is_of_what_was_there_before(storage: SqlStorage) -> None:
    """A reservation that was asked for after the cancellation of one with its number is another one."""
    await made(storage, "r1")
    await storage.call_created(cancel("c1"), 1)
    await storage.call_created(reserve_now("r2"), None)
    await ends(storage, "c1", said="Accepted")
    assert [(await found(storage, name)).state for name in ("r1", "r2")] == [State.CANCELLED, State.REQUESTED]


@ensure
async def test_what_a_later_one_replaced(storage: SqlStorage) -> None:
    """5.13: a late Accepted of one whose place was taken meanwhile does not bring it back."""
    await storage.call_created(reserve_now("r1"), 1)
    await ends(storage, "r1", "timeout")
    await made(storage, "r2")
    assert (await found(storage, "r1")).reason == "replaced"
    await storage.call_created(reserve_now("r3", 8, 2), 1)
    await ends(storage, "r3", "timeout")
    await storage.call_created(reserve_now("r4", 9, 3), 1)
    await ends(storage, "r4", said="Accepted")
    await ends(storage, "r3", said="Accepted")
    assert [(await found(storage, name)).state for name in ("r2", "r3", "r4")] == [State.ACTIVE] * 3


@ensure
async def test_starts_and_statuses(storage: SqlStorage) -> None:
    """ST-15, SN-06, T-8, N-4, N-6: used by a start and linked, ended by Faulted, given up by Available after Reserved."""
    await storage.put_id_tag(IdTag(key="mate", id_tag="Mate", parent="Fleet", parent_key="fleet"), None, NOON_MS)
    for number, connector_id in ((1, 1), (2, 2), (3, 3), (4, 0)):
        await made(storage, f"r{number}", number, connector_id, parentIdTag="Fleet")
    by_mate = start(1, id_tag="Mate", id_tag_key="mate", reservation_id=1)
    begun = await storage.transaction_started(inbound("StartTransaction"), by_mate)
    used = await found(storage, "r1")
    assert (used.state, used.transaction_id) == (State.USED, begun.transaction_id)
    transaction = await storage.read_transaction(begun.transaction_id)
    assert transaction is not None and transaction.reservation == "r1"
    again = await storage.transaction_started(inbound("StartTransaction"), by_mate)
    assert again.repeated and (await found(storage, "r4")).state is State.ACTIVE
    await storage.status_notified(inbound("StatusNotification"), status(2, "Faulted"))
    await storage.status_notified(inbound("StatusNotification"), status(3, "Reserved"))
    await storage.status_notified(inbound("StatusNotification"), status(3, "Available"))
    assert [((await found(storage, each)).state, (await found(storage, each)).reason) for each in ("r2", "r3")] == [
        (State.ENDED, "Faulted"),
        (State.CANCELLED, "released"),
    ]
    other = inbound("StatusNotification", "CP2")
    await storage.status_notified(other, status(0, "Unavailable"))
    assert (await found(storage, "r4")).state is State.ACTIVE
    assert await storage.reservations.are_over(NOON_MS + 59 * MINUTE_MS) is False
    assert await storage.reservations.expire(NOON_MS + 60 * MINUTE_MS) == 1
    assert (await found(storage, "r4")).state is State.EXPIRED
    told = await storage.list_events(EventFilter(kind=EventKind.RESERVATION_CHANGED), None, 99)
    assert [(event.members or {}).get("state") for event in reversed(told)][-4:] == ["used", "ended", "cancelled", "expired"]


@ensure
async def test_an_old_status_ends_no_reservation(storage: SqlStorage) -> None:
    """N-1, N-4, N-6: what comes late, and is not its connector's state now, says nothing of what is reserved there by now."""
    await storage.status_notified(inbound("StatusNotification"), status(0, timestamp_ms=NOON_MS - 1))
    await storage.status_notified(inbound("StatusNotification"), status(1, "Reserved", timestamp_ms=NOON_MS - 1))
    await made(storage, "r1")
    for connector_id, text in ((0, "Unavailable"), (1, "Available"), (1, "Faulted")):
        late = status(connector_id, text, timestamp_ms=NOON_MS - 60 * MINUTE_MS)
        await storage.status_notified(inbound("StatusNotification"), late)
        assert (await found(storage, "r1")).state is State.ACTIVE, text
    await storage.status_notified(inbound("StatusNotification"), status(1, "Faulted"))
    assert (await found(storage, "r1")).state is State.ENDED


@pytest.mark.parametrize("url", ["file", "postgresql"], indirect=True)
@ensure
async def test_numbers_and_lists(storage: SqlStorage) -> None:
    """Numbers are never given twice, also where many ask at once and some were chosen; lists are filtered by the database."""
    await made(storage, "r1", 2)
    numbers = await gatherResults([storage.reservations.next_number("CP1") for _ in range(5)])
    assert sorted(numbers) == [1, 3, 4, 5, 6]
    assert await storage.reservations.next_number("CP2") == 1
    await storage.call_created(reserve_now("r2", 9, 2), 1)
    for which, expected in (
        ({}, ["r2", "r1"]),
        ({"state": State.ACTIVE}, ["r1"]),
        ({"connector_id": 2, "id_tag_key": "tag1"}, ["r2"]),
        ({"charger": "CP2"}, []),
    ):
        rows = await storage.reservations.list(ReservationFilter(**which), None, 9)
        assert [row.message_id for row in rows] == expected


@ensure
async def test_a_reservation_of_the_same_batch(storage: SqlStorage) -> None:
    """That nobody had one a moment ago says nothing: statuses end what was made since, be it in the same commit (N-6)."""
    release = held(storage)
    answers: list[Deferred[Any]] = [
        storage.status_notified(inbound("StatusNotification", "CP2"), status(1, "Available")),
        storage.call_created(reserve_now("r1"), 1),
        storage.call_ended(CallEnd("r1", MessageState.COMPLETED, NOON_MS, "Accepted", '[3,"r1",{"status":"Accepted"}]')),
        *(storage.status_notified(inbound("StatusNotification"), status(1, name)) for name in ("Reserved", "Available")),
        storage.call_created(reserve_now("r2"), 1),
        storage.call_ended(CallEnd("r2", MessageState.COMPLETED, NOON_MS, "Accepted", '[3,"r2",{"status":"Accepted"}]')),
        storage.status_notified(inbound("StatusNotification"), status(1, "Faulted")),
    ]
    release.set()
    await gatherResults(answers)
    assert [(await found(storage, name)).state for name in ("r1", "r2")] == [State.CANCELLED, State.ENDED]
