"""Templates of charging profiles, and the mirror of what is installed, over every storage. REQUIREMENTS K-4, K-7, K-8."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import pytest_twisted
from msgspec import UNSET
from msgspec.structs import replace

from ocppd.storage.records import CallEnd, Change, EventFilter, EventKind, MessageState, RemoteStart
from ocppd.storage.records.charging import Order, Template
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.types import (
    ChargingProfile,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    ChargingSchedule,
    ChargingSchedulePeriod,
)
from support.storing import MINUTE_MS, NOON_MS, call, inbound, start, stop

ensure = pytest_twisted.ensureDeferred
_numbers = count(1)
PURPOSE = ChargingProfilePurposeType


def profile(identity: int = 0, level: int = 0, purpose: PURPOSE = PURPOSE.TX_DEFAULT_PROFILE, **members: Any) -> ChargingProfile:
    """A relative profile of 6.1 A."""
    return ChargingProfile(
        charging_profile_id=identity,
        stack_level=level,
        charging_profile_purpose=purpose,
        charging_profile_kind=ChargingProfileKindType.RELATIVE,
        charging_schedule=ChargingSchedule(
            charging_rate_unit=ChargingRateUnitType.A,
            charging_schedule_period=(ChargingSchedulePeriod(start_period=0, limit=Decimal("6.1")),),
        ),
        **members,
    )


async def sent(storage: SqlStorage, action: str, payload: Any, **members: Any) -> str:
    """The id of a call of ours that is sent."""
    message_id = f"c{next(_numbers)}"
    frame = json.dumps([2, message_id, action, payload])
    await storage.call_created(call(message_id, action=action, frame=frame, redacted=frame, **members), 1)
    return message_id


async def set_(storage: SqlStorage, identity: int, connector_id: int = 1, **members: Any) -> str:
    """A SetChargingProfile that is sent."""
    whole = {
        "chargingProfileId": identity,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]},
        **members,
    }
    return await sent(storage, "SetChargingProfile", {"connectorId": connector_id, "csChargingProfiles": whole})


async def answered(storage: SqlStorage, message_id: str, outcome: str = "Accepted") -> None:
    """The charger answers, however late."""
    answer = json.dumps([3, message_id, {"status": outcome}])
    await storage.call_ended(CallEnd(message_id, MessageState.COMPLETED, NOON_MS, outcome, answer))


async def lost(storage: SqlStorage, message_id: str, state: MessageState = MessageState.TIMEOUT) -> None:
    """No answer came."""
    await storage.call_ended(CallEnd(message_id, state, NOON_MS))


async def marks(storage: SqlStorage) -> dict[int, str]:
    """The mark of each profile of CP1 by its id."""
    return {row.profile_id: row.mark.value for row in await storage.charging.installed_profiles("CP1")}


@ensure
async def test_templates(storage: SqlStorage) -> None:
    """A template is kept whole, changed and deleted by its version, and listed; those for starts are found."""
    charging = storage.charging
    kept = await charging.create_template(Template(name="Night", profile=profile(level=3)), NOON_MS)
    other = await charging.create_template(
        Template(name="Start", profile=profile(purpose=PURPOSE.TX_PROFILE), at_start=True, chargers=("CP1",), fallback=True), 5
    )
    assert await charging.read_template(kept.template_id) == kept
    assert await charging.list_templates(0, 9) == [kept, other]
    assert await charging.list_templates(kept.template_id, 9) == [other]
    assert (await charging.templates_at_start(), (await charging.due_profiles(NOON_MS)).at_start) == ((other,), (other,))
    assert (await charging.put_template(kept, kept.version, NOON_MS)).change is Change.UNCHANGED
    assert (await charging.put_template(kept, 1, NOON_MS)).change is Change.CONFLICT
    changed = await charging.put_template(replace_name(kept, "Day"), kept.version, NOON_MS)
    assert changed.template is not None and (changed.template.name, changed.template.version) == ("Day", NOON_MS + 1)
    assert (await charging.delete_template(kept.template_id, kept.version)).change is Change.CONFLICT
    assert (await charging.delete_template(kept.template_id, None)).change is Change.DELETED
    assert (await charging.put_template(kept, None, NOON_MS)).change is Change.MISSING


def replace_name(template: Template, name: str) -> Template:
    return Template(name=name, profile=template.profile, template_id=template.template_id, version=template.version)


@ensure
async def test_what_takes_the_place_of_what(storage: SqlStorage) -> None:
    """K-4: the same id anywhere, or the same purpose and level on the connector; a refused one takes no place."""
    for identity, connector, members in ((1, 1, {}), (2, 2, {}), (3, 0, {}), (4, 1, {"stackLevel": 1})):
        await answered(storage, await set_(storage, identity, connector, **members))
    assert list(await marks(storage)) == [1, 2, 3, 4]
    await answered(storage, await set_(storage, 5, 1))
    assert list(await marks(storage)) == [2, 3, 4, 5], "the same connector, purpose and level as 1"
    await answered(storage, await set_(storage, 2, 0, chargingProfilePurpose="ChargePointMaxProfile"))
    rows = [(row.profile_id, row.connector_id) for row in await storage.charging.installed_profiles("CP1")]
    assert rows == [(3, 0), (4, 1), (5, 1), (2, 0)], "an id is that of one profile of the whole charger"
    await answered(storage, await set_(storage, 6, 1), "Rejected")
    assert await marks(storage) == {3: "confirmed", 4: "confirmed", 5: "confirmed", 2: "confirmed", 6: "refused"}
    await answered(storage, await set_(storage, 7, 1), "NotSupported")
    assert (await marks(storage)).keys() == {2, 3, 4, 5, 7}, "one refusal in the same place is enough"


@ensure
@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ("Accepted", {2: "confirmed"}),
        ("Rejected", {1: "confirmed", 2: "refused"}),
        (None, {1: "unknown", 2: "unknown"}),
    ],
)
async def test_nobody_knows(storage: SqlStorage, late: str | None, expected: dict[int, str]) -> None:
    """K-8, S-6: where no answer came, what was sent and what it would replace are unknown, until a late answer says."""
    await answered(storage, await set_(storage, 1))
    second = await set_(storage, 2)
    await lost(storage, second)
    assert await marks(storage) == {1: "unknown", 2: "unknown"}
    if late is not None:
        await answered(storage, second, late)
    assert await marks(storage) == expected


@ensure
async def test_later_calls_count(storage: SqlStorage) -> None:
    """A charger does what it is asked in order: a late answer changes nothing that a later call has disposed of."""
    first, second = await set_(storage, 1), await set_(storage, 2)
    await lost(storage, first, MessageState.UNKNOWN)
    await answered(storage, second)
    await answered(storage, first)
    assert await marks(storage) == {2: "confirmed"}
    third = await set_(storage, 3, stackLevel=1)
    await lost(storage, third)
    await answered(storage, await sent(storage, "ClearChargingProfile", {}), "Unknown")
    await answered(storage, third)
    assert await marks(storage) == {}
    clear = await sent(storage, "ClearChargingProfile", {})
    await lost(storage, clear)
    await answered(storage, await set_(storage, 4))
    await answered(storage, clear)
    assert await marks(storage) == {4: "confirmed"}, "it came after the call that has cleared all, however late that says so"


@ensure
async def test_clearing_without_an_answer(storage: SqlStorage) -> None:
    """K-8: what is to be cleared is unknown while nobody knows; gone when it was, confirmed again where it was refused."""
    await answered(storage, await set_(storage, 1))
    await answered(storage, await set_(storage, 2, stackLevel=1))
    clear = await sent(storage, "ClearChargingProfile", {"stackLevel": 1})
    await lost(storage, clear)
    assert await marks(storage) == {1: "confirmed", 2: "unknown"}
    await refused_by_error(storage, clear)
    assert await marks(storage) == {1: "confirmed", 2: "confirmed"}
    clear = await sent(storage, "ClearChargingProfile", {"id": 2, "stackLevel": 0})
    await lost(storage, clear)
    await answered(storage, clear)
    assert await marks(storage) == {1: "confirmed"}, "with an id the other members are ignored"


async def refused_by_error(storage: SqlStorage, message_id: str) -> None:
    """The charger answers with a CALLERROR, however late."""
    answer = f'[4,"{message_id}","InternalError","",{{}}]'
    await storage.call_ended(CallEnd(message_id, MessageState.ERROR, NOON_MS, "InternalError", answer))


@ensure
async def test_several_calls_without_an_answer(storage: SqlStorage) -> None:
    """K-8: of several calls whose end nobody knows, the end of one leaves open what depends on the others."""
    await answered(storage, await set_(storage, 1))
    second, third = await set_(storage, 2), await set_(storage, 3)
    for each in (second, third):
        await lost(storage, each)
    await answered(storage, third, "Rejected")
    assert await marks(storage) == {1: "unknown", 2: "unknown", 3: "refused"}
    await answered(storage, second, "Rejected")
    assert await marks(storage) == {1: "confirmed", 2: "refused", 3: "refused"}
    odd, after = await set_(storage, 5, stackLevel=1), await set_(storage, 6, stackLevel=1)
    await storage.call_ended(CallEnd(odd, MessageState.ERROR, NOON_MS, answer=f'[3,"{odd}",{{"status":"Perhaps"}}]'))
    await lost(storage, after)
    await answered(storage, after, "Rejected")
    assert (await marks(storage))[5] == "unknown", "its own answer could not be read"
    fourth, clear = await set_(storage, 4), await sent(storage, "ClearChargingProfile", {})
    for each in (fourth, clear):
        await lost(storage, each)
    await answered(storage, fourth)
    assert (await marks(storage))[4] == "unknown", "it may have been cleared since"
    await refused_by_error(storage, clear)
    assert (await marks(storage))[4] == "confirmed"


@ensure
async def test_profiles_end_with_their_transaction(storage: SqlStorage) -> None:
    """T-27, K-7, K-8: with its stop, when another one supersedes it, and when it had ended before the answer came."""
    begun = await storage.transaction_started(inbound("StartTransaction"), start())
    members = {"chargingProfilePurpose": "TxProfile", "transactionId": begun.transaction_id}
    await answered(storage, await set_(storage, 1, **members))
    await answered(storage, await set_(storage, 2, stackLevel=1))
    assert await marks(storage) == {1: "confirmed", 2: "confirmed"}
    later = start(timestamp_ms=NOON_MS + MINUTE_MS)
    second = await storage.transaction_started(inbound("StartTransaction"), later)
    assert await marks(storage) == {2: "confirmed"}, "superseded"
    await answered(storage, await set_(storage, 3, **{**members, "transactionId": second.transaction_id}))
    waiting = await set_(storage, 4, **{**members, "transactionId": second.transaction_id, "stackLevel": 2})
    await storage.transaction_stopped(inbound("StopTransaction"), stop(second.transaction_id))
    assert await marks(storage) == {2: "confirmed"}
    await answered(storage, waiting, "Rejected")
    assert await marks(storage) == {2: "confirmed"}
    refused = EventFilter(kind=EventKind.CHARGING_PROFILE_REFUSED)
    assert await storage.list_events(refused, None, 9) == [], "it was too late, which is nothing to report"


@ensure
async def test_a_profile_of_a_remote_start(storage: SqlStorage) -> None:
    """T-10, T-9: it is installed in the commit that binds its transaction, in place of whatever has its id or its place."""
    await answered(storage, await set_(storage, 9, 2))
    brought = json.loads((await order(storage, profile(9, purpose=PURPOSE.TX_PROFILE)))[1])
    wanted = RemoteStart(1, "tag1")
    asked = {"idTag": "Tag1", "connectorId": 1, "chargingProfile": brought}
    message_id = await sent(storage, "RemoteStartTransaction", asked, remote_start=wanted)
    await answered(storage, message_id)
    begun = await storage.transaction_started(inbound("StartTransaction"), start())
    rows = await storage.charging.installed_profiles("CP1")
    assert [(row.profile_id, row.connector_id, row.transaction_id, row.mark.value) for row in rows] == [
        (9, 1, begun.transaction_id, "confirmed")
    ]
    await storage.transaction_stopped(inbound("StopTransaction"), stop(begun.transaction_id))
    assert await marks(storage) == {}


async def order(storage: SqlStorage, what: ChargingProfile, **members: Any) -> tuple[int, str]:
    """The id of an order, and the JSON of its profile."""
    made = await storage.charging.order_profile(Order(charger="CP1", connector_id=1, profile=what, **members), NOON_MS)
    row = next(row for row in await storage.charging.installed_profiles("CP1") if row.row_id == made.row_id)
    return made.row_id, row.text


@ensure
async def test_orders(storage: SqlStorage) -> None:
    """K-4: an order has an id that is free at the charger, is pending until its call has ended, and counts as a profile."""
    await answered(storage, await set_(storage, 2, 2))
    charging = storage.charging
    made = [
        await charging.order_profile(Order(charger="CP1", connector_id=1, profile=profile(level=level), most=3), NOON_MS)
        for level in (0, 1, 2)
    ]
    assert [None if each.profile is None else each.profile.charging_profile_id for each in made] == [1, 3, None]
    same = await charging.order_profile(Order(charger="CP1", connector_id=1, profile=profile(2, 9), most=3), NOON_MS)
    assert same.profile is not None, "a full charger takes what replaces another one"
    await charging.withdraw_order(same.row_id)
    assert await marks(storage) == {2: "confirmed", 1: "pending", 3: "pending"}
    await answered(storage, await set_(storage, 1, chargingSchedule=schedule()))
    message_id = await set_(storage, 3, stackLevel=1, chargingSchedule=schedule())
    await storage.call_ended(CallEnd(message_id, MessageState.CANCELLED, NOON_MS))
    assert await marks(storage) == {2: "confirmed", 1: "confirmed"}


@ensure
async def test_an_order_that_was_never_sent(storage: SqlStorage) -> None:
    """K-4, K-8: an order whose node died before it was sent takes no place in a charger, but one whose call waits does."""
    charging = storage.charging
    for level in (0, 1):
        await charging.order_profile(Order(charger="CP1", connector_id=1, profile=profile(level=level)), NOON_MS)
    await set_(storage, 2, stackLevel=1, chargingSchedule=schedule())
    await sent(storage, "ClearChargingProfile", {})
    other = Order(charger="CP1", connector_id=1, profile=profile(level=2), most=2)
    assert (await charging.order_profile(other, NOON_MS + MINUTE_MS - 1)).profile is None, "it may be about to be sent"
    assert (await charging.order_profile(other, NOON_MS + MINUTE_MS)).profile is not None
    assert list(await marks(storage)) == [2, 4]
    await charging.order_profile(Order(charger="CP1", connector_id=1, profile=profile(level=3)), NOON_MS + MINUTE_MS - 1)
    assert list(await marks(storage)) == [2, 4, 5], "another node's clock is a little ahead"


def schedule() -> dict[str, Any]:
    """That of `profile`."""
    return {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.1}]}


@ensure
async def test_orders_at_a_start(storage: SqlStorage) -> None:
    """T-10: a transaction is sent each template once, on levels that it has nothing on, and only while it goes on."""
    begun = await storage.transaction_started(inbound("StartTransaction"), start())
    number = begun.transaction_id

    def wish(template_id: int, level: int) -> Order:
        own = profile(level=level, purpose=PURPOSE.TX_PROFILE, transaction_id=number)
        return Order(charger="CP1", connector_id=1, profile=own, template_id=template_id)

    await answered(storage, await set_(storage, 8, chargingProfilePurpose="TxProfile", transactionId=number, stackLevel=1))
    wishes = (wish(1, 0), wish(2, 1))
    full = [dataclasses.replace(each, most=1) for each in wishes]
    assert [each.profile for each in await storage.charging.order_at_start(tuple(full), number, NOON_MS)] == [None]
    made = await storage.charging.order_at_start(wishes, number, NOON_MS)
    assert [(each.connector_id, each.profile and each.profile.stack_level) for each in made] == [(1, 0)]
    assert await storage.charging.order_at_start(wishes, number, NOON_MS) == (), "a start that is repeated"
    await storage.transaction_stopped(inbound("StopTransaction"), stop(number))
    assert await storage.charging.order_at_start(wishes, number, NOON_MS) == ()
    assert await marks(storage) == {}


@ensure
async def test_what_is_due(storage: SqlStorage) -> None:
    """K-7, 4.4: a refused TxProfile is due to one node at a time, until that has sent something in its place or has died, also
    where the clock was set back meanwhile; what stands in for it is due to be cleared when all is over."""
    begun = await storage.transaction_started(inbound("StartTransaction"), start())
    own = profile(level=0, purpose=PURPOSE.TX_PROFILE, transaction_id=begun.transaction_id)
    row_id, text = await order(storage, own, fallback=True)
    message_id = await sent(storage, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": json.loads(text)})
    await answered(storage, message_id, "Rejected")
    for at_ms in (NOON_MS, NOON_MS + MINUTE_MS, NOON_MS - 60 * MINUTE_MS):
        due = await storage.charging.due_profiles(at_ms)
        assert [(row.row_id, row.outcome) for row in due.refused] == [(row_id, "Rejected")]
        assert [await storage.charging.claim_fallback(row_id, at_ms) for _ in range(2)] == [True, False]
        assert (await storage.charging.due_profiles(at_ms + MINUTE_MS - 1)).refused == ()
    await storage.charging.fallback_settled(row_id)
    assert not await storage.charging.claim_fallback(row_id, NOON_MS + 9 * MINUTE_MS)
    other = replace(own, charging_profile_purpose=PURPOSE.TX_DEFAULT_PROFILE, transaction_id=UNSET)
    stand_in, text = await order(storage, other, standing_in=begun.transaction_id)
    await answered(storage, await sent(storage, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": json.loads(text)}))
    assert (await storage.charging.due_profiles(NOON_MS + MINUTE_MS)).outlived == ()
    await storage.transaction_stopped(inbound("StopTransaction"), stop(begun.transaction_id))
    due = await storage.charging.due_profiles(NOON_MS + MINUTE_MS)
    assert (due.refused, [row.row_id for row in due.outlived]) == ((), [stand_in])
    assert [await storage.charging.claim_outlived(stand_in, NOON_MS) for _ in range(2)] == [True, False]
    await storage.charging.restore_outlived(stand_in)
    assert await storage.charging.claim_outlived(stand_in, NOON_MS)


@ensure
async def test_clearing_what_stood_in(storage: SqlStorage) -> None:
    """K-7, 4.4: while nobody knows whether it is gone it is cleared again, now and then; also where a node died first."""
    begun = await storage.transaction_started(inbound("StartTransaction"), start())
    stand_in, text = await order(storage, profile(level=0), standing_in=begun.transaction_id)
    await answered(storage, await sent(storage, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": json.loads(text)}))
    await storage.transaction_stopped(inbound("StopTransaction"), stop(begun.transaction_id))
    assert await storage.charging.claim_outlived(stand_in, NOON_MS)
    identity = json.loads(text)["chargingProfileId"]
    clear = await sent(storage, "ClearChargingProfile", {"id": identity})

    async def due(later_ms: int) -> list[int]:
        found = await storage.charging.due_profiles(NOON_MS + later_ms)
        return [row.row_id for row in found.outlived]

    assert await due(MINUTE_MS) == []
    await lost(storage, clear, MessageState.UNKNOWN)
    assert await due(9 * MINUTE_MS) == [] and await due(10 * MINUTE_MS) == [stand_in]
    (row,) = await storage.charging.installed_profiles("CP1")
    assert (row.mark, row.standing_in) == ("unknown", begun.transaction_id)
    assert await storage.charging.claim_outlived(stand_in, NOON_MS + 10 * MINUTE_MS)
    assert await due(60 * MINUTE_MS) == [] and await due(26 * 60 * MINUTE_MS) == [stand_in]
    assert await storage.charging.claim_outlived(stand_in, NOON_MS + 26 * 60 * MINUTE_MS)
    await answered(storage, await sent(storage, "ClearChargingProfile", {"id": identity}), "Unknown")
    assert await marks(storage) == {} and await due(99 * 60 * MINUTE_MS) == []
