"""The mirror of the charging profiles that are installed in chargers. Functions over a running transaction.

REQUIREMENTS K-4, K-7, K-8, T-27; errata 3.25, 3.26, 3.37. What a profile takes the place of: one with its id, whatever that
is, and one of the same purpose and stack level on the same connector.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields, replace
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from ocppd.storage import charging_templates, transaction_lists
from ocppd.storage.records import TransactionState
from ocppd.storage.records.charging import PRESENT, Due, InstalledProfile, Mark, Order, Ordered
from ocppd.storage.schema import IS_QUEUED, IS_SENT, STANDS_IN, charging_profile_ids, charging_profiles, messages, transactions
from ocppd.storage.schema.charging import IS_DUE
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.codec import decode, encode
from ocppd.v16.smart_charging import SetChargingProfileRequest
from ocppd.v16.types import INT32_MAX, ChargingProfilePurposeType, ChargingProfileStatus

#: What a transaction is while its profiles hold.
GOES_ON: Final = (TransactionState.OPEN, TransactionState.STOP_MISSING)
#: What is still pending after so long, and has no call that waits or is out, was lost with its node, or had no records.
ORDER_LOST_MS: Final = 60 * 1000
WANTED, DUE = "wanted", "due"
#: One that has outlived its transaction is cleared once more where nobody knows whether it was: after the call, or where
#: there was none, or it was refused, when no call can wait any more.
CLEAR_AGAIN_MS: Final = 10 * 60 * 1000
CLEAR_LOST_MS: Final = 25 * 3600 * 1000
#: Who is to send something in place of a refused one does so at once; after so long its node has died, or had no records.
FALLBACK_LOST_MS: Final = 60 * 1000
#: The call that brings a profile.
SET: Final = "SetChargingProfile"
TX_PROFILE: Final = ChargingProfilePurposeType.TX_PROFILE

_RECORD: Final = tuple(field.name for field in fields(InstalledProfile))
#: The record calls the JSON what it is; the table, what it is of.
_NAMES: Final = {"text": "profile"}
_MEMBERS: Final = tuple(_NAMES.get(name, name) for name in _RECORD if name != "row_id")
_COLUMNS: Final = tuple(charging_profiles.c[_NAMES.get(name, name)] for name in _RECORD)
_THIS: Final = charging_profiles.c.row_id == bindparam("the_row", type_=BigInteger())
_OF_CHARGER: Final = charging_profiles.c.charger == bindparam("the_charger", type_=Text())
_STATE: Final = transactions.c.state
_IS_BEING_CLEARED: Final = charging_profiles.c.standing_in < literal_column("0")
_WITH_STATE: Final = charging_profiles.outerjoin(
    transactions, transactions.c.transaction_id == charging_profiles.c.transaction_id
)
_LIST = Statement(select(*_COLUMNS, _STATE).select_from(_WITH_STATE).where(_OF_CHARGER).order_by(charging_profiles.c.row_id))
_NEXT_ID = Statement.upsert(
    charging_profile_ids,
    lambda insert: (
        values_of(insert, "charger", "last_id")
        .on_conflict_do_update(
            index_elements=[charging_profile_ids.c.charger],
            set_={"last_id": charging_profile_ids.c.last_id + insert.excluded.last_id},
        )
        .returning(charging_profile_ids.c.last_id)
    ),
)
_ADDED = Statement(values_of(insert(charging_profiles), *_MEMBERS).returning(charging_profiles.c.row_id))
_CHANGED = Statement(
    update(charging_profiles)
    .where(_THIS)
    .values(
        mark=bindparam("new_mark", type_=Text()),
        changed_ms=bindparam("new_changed_ms", type_=BigInteger()),
        sequence=bindparam("new_sequence", type_=BigInteger()),
        message_id=bindparam("new_message_id", type_=Text()),
        action=bindparam("new_action", type_=Text()),
        doubt=bindparam("new_doubt", type_=BigInteger()),
        outcome=bindparam("new_outcome", type_=Text()),
        fallback=bindparam("new_fallback", type_=Text()),
    )
)
_CHANGING: Final = ("mark", "changed_ms", "sequence", "message_id", "action", "doubt", "outcome", "fallback")
_GONE = Statement(delete(charging_profiles).where(_THIS))
_WITHDRAWN = Statement(delete(charging_profiles).where(_THIS, charging_profiles.c.mark == bindparam("the_mark", type_=Text())))
_PENDING_SINCE = Statement(
    select(charging_profiles.c.charger)
    .where(
        charging_profiles.c.mark == bindparam("the_mark", type_=Text()),
        charging_profiles.c.changed_ms <= bindparam("lost_before", type_=BigInteger()),
    )
    .distinct()
)
_ENDED = Statement(
    delete(charging_profiles).where(charging_profiles.c.transaction_id == bindparam("the_transaction", type_=Integer()))
)
_DOUBT: Final = charging_profiles.c.doubt
#: Nobody is at work on a refused one: its `doubt` is when somebody began. Where that lies ahead a clock was set back.
_IS_FREE: Final = or_(
    _DOUBT.is_(None),
    bindparam("lost_before", type_=BigInteger()) >= _DOUBT,
    bindparam("not_yet", type_=BigInteger()) < _DOUBT,
)
_REFUSED_ONES = Statement(select(*_COLUMNS).where(IS_DUE, _IS_FREE).order_by(charging_profiles.c.row_id))
_OUTLIVED = Statement(
    select(*_COLUMNS)
    .select_from(charging_profiles.join(transactions, transactions.c.transaction_id == func.abs(charging_profiles.c.standing_in)))
    .where(
        STANDS_IN,
        and_(
            charging_profiles.c.mark.in_([bindparam(mark.name, type_=Text()) for mark in PRESENT]),
            *(bindparam(state.name, type_=Text()) != _STATE for state in GOES_ON),
            charging_profiles.c.changed_ms
            <= case(
                (_IS_BEING_CLEARED, bindparam("lost_before", type_=BigInteger())),
                (charging_profiles.c.mark == bindparam("the_doubt", type_=Text()), bindparam("again_before", type_=BigInteger())),
                else_=bindparam("now_ms", type_=BigInteger()),
            ),
        ),
    )
)
_CLAIMED = Statement(
    update(charging_profiles).where(_THIS, IS_DUE, _IS_FREE).values(doubt=bindparam("now_ms", type_=BigInteger()))
)
_WAITING_CALLS = Statement(
    select(messages.c.frame).where(
        messages.c.charger == bindparam("the_charger"),
        messages.c.action == literal_column(f"'{SET}'"),
        or_(IS_QUEUED, IS_SENT),
    )
)
_OUTCOME = Statement(select(messages.c.outcome).where(messages.c.sequence == bindparam("the_sequence")))
_SETTLED = Statement(update(charging_profiles).where(_THIS, IS_DUE).values(fallback=null(), doubt=null()))
#: Negative while a call of ours clears it.
_LET_GO = Statement(
    update(charging_profiles)
    .where(_THIS, STANDS_IN, or_(~_IS_BEING_CLEARED, charging_profiles.c.changed_ms <= bindparam("lost_before")))
    .values(standing_in=-func.abs(charging_profiles.c.standing_in), changed_ms=bindparam("now_ms", type_=BigInteger()))
)
_STANDS_AGAIN = Statement(update(charging_profiles).where(_THIS).values(standing_in=func.abs(charging_profiles.c.standing_in)))


# What there is


def installed(unit: Unit, charger: str) -> tuple[InstalledProfile, ...]:
    """See `ChargingRecords.installed_profiles`."""
    rows = unit.all(_LIST, {"the_charger": charger})
    return tuple(_installed(row[:-1]) for row in rows if _is_left(row[-1]))


def current(unit: Unit, charger: str) -> tuple[InstalledProfile, ...]:
    """The same for a use case that writes: what is left of superseded transactions is forgotten now."""
    rows = unit.all(_LIST, {"the_charger": charger})
    for row in rows:
        if not _is_left(row[-1]):
            unit.send(_GONE, {"the_row": row[0]})
    return tuple(_installed(row[:-1]) for row in rows if _is_left(row[-1]))


def _is_left(state: str | None) -> bool:
    """Whether a profile outlives the state of its transaction, None where it has none."""
    return state is None or TransactionState(state) in GOES_ON


def _sent(unit: Unit, charger: str, now_ms: int) -> tuple[InstalledProfile, ...]:
    """The same without orders that were never sent, which are forgotten."""
    rows = current(unit, charger)
    lost = _lost(unit, charger, rows, now_ms)
    gone(unit, lost)
    return tuple(row for row in rows if row not in lost)


def _lost(unit: Unit, charger: str, rows: Iterable[InstalledProfile], now_ms: int) -> list[InstalledProfile]:
    """Those of a charger's orders whose call was never journaled, and will not be."""
    old = [row for row in rows if row.mark is Mark.PENDING and abs(now_ms - row.changed_ms) >= ORDER_LOST_MS]
    if not old:
        return []
    calls = map(_payload_of, unit.all(_WAITING_CALLS, {"the_charger": charger}))
    waiting = {(call.connector_id, call.cs_charging_profiles.charging_profile_id) for call in calls}
    return [row for row in old if (row.connector_id, row.profile_id) not in waiting]


def _payload_of(row: Any) -> SetChargingProfileRequest:
    payload = bytes(msgspec.json.decode(row[0], type=tuple[int, str, str, msgspec.Raw])[3])
    return decode(SetChargingProfileRequest, payload, strict=False)[0]


def _installed(row: Any) -> InstalledProfile:
    members = dict(zip(_RECORD, row, strict=True))
    members["purpose"] = ChargingProfilePurposeType(members["purpose"])
    members["mark"] = Mark(members["mark"])
    members["standing_in"] = members["standing_in"] and abs(members["standing_in"])
    return InstalledProfile(**members)


def goes_on(unit: Unit, transaction_id: int) -> bool:
    """Whether there is such a transaction, and it has not ended."""
    found = transaction_lists.read(unit, transaction_id)
    return found is not None and found.state in GOES_ON


def is_replaced(old: InstalledProfile, new: InstalledProfile) -> bool:
    """Whether `new` takes the place of `old` (K-4)."""
    if old.profile_id == new.profile_id:
        return True
    return (old.connector_id, old.purpose, old.stack_level) == (new.connector_id, new.purpose, new.stack_level)


# Orders


def ordered(unit: Unit, order: Order, now_ms: int) -> Ordered:
    """See `ChargingRecords.order_profile`."""
    free_id = unit.one(_NEXT_ID, {"charger": order.charger, "last_id": 1})[0]  # others who order there wait
    return _order(unit, order, free_id, now_ms)


def fresh_id(unit: Unit, charger: str) -> int:
    """See `ChargingRecords.fresh_profile_id`."""
    free_id = unit.one(_NEXT_ID, {"charger": charger, "last_id": 1})[0]
    return _free(free_id, {row.profile_id for row in installed(unit, charger)})


def ordered_at_start(unit: Unit, orders: tuple[Order, ...], transaction_id: int, now_ms: int) -> tuple[Ordered, ...]:
    """See `ChargingRecords.order_at_start`. All orders are for one charger."""
    if not orders:
        return ()
    free_id = unit.one(_NEXT_ID, {"charger": orders[0].charger, "last_id": len(orders)})[0] - len(orders) + 1
    if not goes_on(unit, transaction_id):
        return ()
    there = [row for row in _sent(unit, orders[0].charger, now_ms) if row.transaction_id == transaction_id]
    levels = {row.stack_level for row in there}
    templates = {row.template_id for row in there}
    chosen = [order for order in orders if order.profile.stack_level not in levels and order.template_id not in templates]
    return tuple(_order(unit, order, free_id + place, now_ms) for place, order in enumerate(chosen))


def _order(unit: Unit, order: Order, free_id: int, now_ms: int) -> Ordered:
    rows = _sent(unit, order.charger, now_ms)
    profile = order.profile
    if not profile.charging_profile_id:
        profile = msgspec.structs.replace(profile, charging_profile_id=_free(free_id, {row.profile_id for row in rows}))
    wanted = InstalledProfile(
        row_id=0,
        charger=order.charger,
        connector_id=order.connector_id,
        profile_id=profile.charging_profile_id,
        purpose=profile.charging_profile_purpose,
        stack_level=profile.stack_level,
        transaction_id=profile.transaction_id if isinstance(profile.transaction_id, int) else None,
        text=encode(profile).decode(),
        mark=Mark.PENDING,
        changed_ms=now_ms,
        template_id=order.template_id,
        fallback=WANTED if order.fallback else None,
        standing_in=order.standing_in,
    )
    others = [row for row in rows if row.mark is not Mark.REFUSED and not is_replaced(row, wanted)]
    if order.most is not None and len(others) >= order.most:
        return Ordered(0, order.connector_id, None)
    return Ordered(added(unit, wanted), order.connector_id, profile)


def _free(first: int, taken: set[int]) -> int:
    """The first id from `first` on that is not taken, round the end of what an id may be."""
    number = (first - 1) % INT32_MAX + 1
    while number in taken:
        number = number % INT32_MAX + 1
    return number


def lost_orders(unit: Unit, now_ms: int) -> tuple[int, ...]:
    """See `ChargingRecords.lost_orders`."""
    names = unit.all(_PENDING_SINCE, {"the_mark": Mark.PENDING.value, "lost_before": now_ms - ORDER_LOST_MS})
    return tuple(row.row_id for (name,) in names for row in _lost(unit, name, installed(unit, name), now_ms))


def withdrawn(unit: Unit, row_id: int) -> None:
    """See `ChargingRecords.withdraw_order`."""
    unit.send(_WITHDRAWN, {"the_row": row_id, "the_mark": Mark.PENDING.value})


# Changes


def added(unit: Unit, row: InstalledProfile) -> int:
    """A new row; its id."""
    return int(unit.one(_ADDED, {_NAMES.get(name, name): getattr(row, name) for name in _RECORD if name != "row_id"})[0])


def kept(unit: Unit, before: InstalledProfile | None, now: InstalledProfile) -> None:
    """A row is as it is now, there before or not."""
    if before is None:
        added(unit, now)
    else:
        unit.send(_CHANGED, {"the_row": before.row_id, **{f"new_{name}": getattr(now, name) for name in _CHANGING}})


def gone(unit: Unit, rows: Iterable[InstalledProfile]) -> None:
    """These are no longer there."""
    for row in rows:
        unit.send(_GONE, {"the_row": row.row_id})


def doubted(unit: Unit, rows: Iterable[InstalledProfile], sequence: int, now_ms: int) -> None:
    """Of a call that would end these nobody knows the end."""
    for row in rows:
        if row.mark in PRESENT:
            kept(unit, row, replace(row, mark=Mark.UNKNOWN, doubt=sequence, changed_ms=now_ms))


def reassured(unit: Unit, rows: Collection[InstalledProfile], sequence: int, now_ms: int) -> None:
    """The call that would have ended these has not, after all; another one may have, of which nobody knows the end either."""
    for row in rows:
        if row.mark is Mark.UNKNOWN and row.doubt == sequence:
            doubt = _doubt_before(unit, row, rows)
            mark = Mark.CONFIRMED if doubt is None else Mark.UNKNOWN
            kept(unit, row, replace(row, mark=mark, doubt=doubt, changed_ms=now_ms))


def _doubt_before(unit: Unit, row: InstalledProfile, rows: Iterable[InstalledProfile]) -> int | None:
    """The newest call without a known end, of these and of its own, that leaves open whether it is there."""
    own = unit.one(_OUTCOME, {"the_sequence": row.sequence}) if row.action == SET else None
    found = [row.sequence] if own is not None and own[0] != ChargingProfileStatus.ACCEPTED else []
    found += [each.sequence for each in rows if each.mark is Mark.UNKNOWN and _is_after(each, row) and is_replaced(row, each)]
    return max((sequence for sequence in found if sequence is not None), default=None)


def _is_after(one: InstalledProfile, other: InstalledProfile) -> bool:
    return one.sequence is not None and other.sequence is not None and one.sequence > other.sequence


def transaction_ended(unit: Unit, transaction_id: int) -> None:
    """Its profiles vanish with it (T-27)."""
    unit.send(_ENDED, {"the_transaction": transaction_id})


# What is due


def due(unit: Unit, now_ms: int) -> Due:
    """See `ChargingRecords.due_profiles`."""
    names: Parameters = {each.name: each.value for each in (*PRESENT, *GOES_ON)}
    times: Parameters = {"now_ms": now_ms, "again_before": now_ms - CLEAR_AGAIN_MS, "lost_before": now_ms - CLEAR_LOST_MS}
    refused = tuple(_installed(row) for row in unit.all(_REFUSED_ONES, _lease(now_ms)))
    outlived = tuple(_installed(row) for row in unit.all(_OUTLIVED, {**names, **times, "the_doubt": Mark.UNKNOWN.value}))
    return Due(refused, outlived, charging_templates.at_start(unit))


def fallback_claimed(unit: Unit, row_id: int, now_ms: int) -> bool:
    """See `ChargingRecords.claim_fallback`."""
    return unit.run(_CLAIMED, {"the_row": row_id, "now_ms": now_ms, **_lease(now_ms)}) == 1


def _lease(now_ms: int) -> Parameters:
    return {"lost_before": now_ms - FALLBACK_LOST_MS, "not_yet": now_ms + FALLBACK_LOST_MS}


def fallback_settled(unit: Unit, row_id: int) -> None:
    """See `ChargingRecords.fallback_settled`."""
    unit.send(_SETTLED, {"the_row": row_id})


def outlived_claimed(unit: Unit, row_id: int, now_ms: int) -> bool:
    """See `ChargingRecords.claim_outlived`."""
    return unit.run(_LET_GO, {"the_row": row_id, "now_ms": now_ms, "lost_before": now_ms - CLEAR_LOST_MS}) == 1


def outlive_again(unit: Unit, rows: Iterable[InstalledProfile]) -> None:
    """The call that was to clear these has had no effect that anybody knows of: where they stood in, they are due again."""
    for row in rows:
        if row.standing_in is not None:
            outlived_restored(unit, row.row_id)


def outlived_restored(unit: Unit, row_id: int) -> None:
    """See `ChargingRecords.restore_outlived`."""
    unit.send(_STANDS_AGAIN, {"the_row": row_id})
