"""Reservations: made by a ReserveNow, ended by what chargers do. Functions over a running transaction.

REQUIREMENTS T-8, N-4, N-6, 2.4 (ReserveNow, CancelReservation), 2.5. They hang on the calls of the journal, by whatever door
those came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, bindparam, insert, select, update

from ocppd.storage import events, filing
from ocppd.storage.connector_states import IS_SHOWN
from ocppd.storage.records import UNREADABLE_MS, EndedCall, EventKind, Inbound, MessageState, NewCall, Start, Status
from ocppd.storage.records.reservations import Reservation, ReservationFilter, ReservationState
from ocppd.storage.schema import IS_LIVE, reservation_numbers, reservations, statuses, transactions
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.reservation import CancelReservationRequest, ReserveNowRequest
from ocppd.v16.timestamps import parse_timestamp

#: Why a reservation has ended: its ReserveNow never went out; another one took its place; its charger gave it up early.
NOT_SENT: Final = "notSent"
REPLACED: Final = "replaced"
RELEASED: Final = "released"
#: Flags: the charger knew it not when it was to be cancelled, or has not answered to that.
CANCEL_REJECTED: Final = "cancelRejected"
CANCEL_UNANSWERED: Final = "cancelUnanswered"
#: How far a charger's clock may be from ours.
CLOCK_TOLERANCE_MS: Final = 60_000
#: A start without the id that its charger says was earlier than that before the reservation has nothing to do with it.
START_TOLERANCE_MS: Final = 5 * 60_000

#: A connector in one of these cannot be kept for anybody (N-4).
OUT_OF_ORDER: Final = frozenset({"Faulted", "Unavailable"})
AVAILABLE: Final = "Available"
RESERVED: Final = "Reserved"
ACCEPTED: Final = "Accepted"

_State = ReservationState
_RECORD: Final = tuple(field.name for field in fields(Reservation))
_COLUMNS: Final = tuple(reservations.c[name] for name in _RECORD)
_ALL = select(*_COLUMNS)
_OF_CHARGER: Final = reservations.c.charger == bindparam("the_charger")
_OLDEST_FIRST: Final = reservations.c.sequence
_REQUESTED = Statement(values_of(insert(reservations), *_RECORD))
_READ = Statement(_ALL.where(reservations.c.message_id == bindparam("the_id")))
#: Chargers that are asked for by name; where there are more, any may have one.
_MOST_NAMED: Final = 500
_HOLDERS = Statement(at_most(select(reservations.c.charger).where(IS_LIVE), _MOST_NAMED))
_LIVE = Statement(_ALL.where(_OF_CHARGER, IS_LIVE).order_by(_OLDEST_FIRST))
_CONCERNED = Statement(_ALL.where(_OF_CHARGER, IS_LIVE, IS_SHOWN).order_by(_OLDEST_FIRST))
_PARENT = select(transactions.c.parent_key).where(transactions.c.transaction_id == bindparam("the_transaction"))
_STARTER = Statement(_PARENT)
_LIVE_AT_START = Statement(
    select(_PARENT.scalar_subquery().label("starter"), *_COLUMNS).where(_OF_CHARGER, IS_LIVE).order_by(_OLDEST_FIRST)
)
_NAMED = Statement(
    _ALL.where(_OF_CHARGER, reservations.c.reservation_id == bindparam("the_number")).order_by(_OLDEST_FIRST.desc())
)
_OVER = Statement(_ALL.where(IS_LIVE, reservations.c.expiry_ms <= bindparam("now_ms")))
_MOVED = Statement(
    update(reservations)
    .where(reservations.c.sequence == bindparam("the_sequence"), reservations.c.state == bindparam("the_state"))
    .values(
        state=bindparam("new_state"),
        status=bindparam("new_status"),
        reason=bindparam("new_reason"),
        ended_ms=bindparam("new_ended_ms"),
        transaction_id=bindparam("new_transaction"),
    )
)
_FLAGGED = Statement(
    update(reservations).where(reservations.c.sequence == bindparam("the_sequence")).values(flags=bindparam("new_flags"))
)
_LINKED = Statement(
    update(transactions)
    .where(transactions.c.transaction_id == bindparam("the_transaction"))
    .values(reservation=bindparam("the_id"))
)
#: The newest is the one that has just come.
_LAST_STATUSES = Statement.by_dialect(
    lambda dialect: at_most(
        filing.of_charger(
            dialect,
            statuses,
            (statuses.c.sequence, statuses.c.status),
            {"charger": bindparam("the_charger"), "connector_id": bindparam("the_connector")},
        ).order_by(filing.SEQUENCE.desc()),
        2,
    )
)
_NUMBERED = Statement.upsert(
    reservation_numbers,
    lambda insert: (
        values_of(insert, "charger", "given")
        .on_conflict_do_update(
            index_elements=[reservation_numbers.c.charger],
            set_={"given": reservation_numbers.c.given + insert.excluded.given},
        )
        .returning(reservation_numbers.c.given)
    ),
)


# Calls of ours


def requested(unit: Unit, call: NewCall, sequence: int) -> None:
    """A ReserveNow was journaled."""
    payload = msgspec.json.decode(call.frame, type=tuple[int, str, str, msgspec.Raw])[3]
    wish = msgspec.json.decode(payload, type=ReserveNowRequest)
    parent = wish.parent_id_tag or None
    record = Reservation(
        sequence=sequence,
        message_id=call.message_id,
        charger=call.charger,
        connector_id=wish.connector_id,
        reservation_id=wish.reservation_id,
        id_tag=wish.id_tag,
        id_tag_key=wish.id_tag.lower(),
        parent=parent,
        parent_key=None if parent is None else parent.lower(),
        expiry_ms=parse_timestamp(wish.expiry_date),
        state=_State.REQUESTED,
        created_ms=call.created_ms,
    )
    row = {name: getattr(record, name) for name in _RECORD}
    unit.send(_REQUESTED, {**row, "state": record.state.value, "flags": "[]"})


def answered(unit: Unit, ended: EndedCall) -> None:
    """A ReserveNow has ended; a late answer ends it once more."""
    row = unit.one(_READ, {"the_id": ended.message_id})
    if row is None:  # journaled by a version that kept none
        return
    found = _record(row)
    if found.state not in (_State.REQUESTED, _State.UNKNOWN):
        return
    state, told = _state_after(ended)
    if state is _State.ACTIVE and _takes_its_place(unit, found, ended.ended_ms):
        state, told = _State.ENDED, REPLACED
    status = told if state is _State.REFUSED else None
    _move(unit, found, state, ended.ended_ms, status=status, reason=told if state is _State.ENDED else None)


def _state_after(ended: EndedCall) -> tuple[ReservationState, str | None]:
    """What an end makes of a reservation, and what there is to say of it."""
    if ended.state in (MessageState.TIMEOUT, MessageState.UNKNOWN):
        return _State.UNKNOWN, None
    if ended.answer is None:
        return _State.ENDED, NOT_SENT
    if ended.outcome is None:  # a CALLRESULT of which nothing can be read
        return _State.UNKNOWN, None
    if ended.outcome == ACCEPTED:
        return _State.ACTIVE, None
    return _State.REFUSED, ended.outcome


def _takes_its_place(unit: Unit, made: Reservation, at_ms: int) -> bool:
    """End those that a reservation which its charger has made takes the place of; True where a later one took its own.

    The same id replaces (5.13), and a connector is kept for one alone. Of connector 0 there may be several.
    """
    overtaken = False
    for row in unit.all(_LIVE, {"the_charger": made.charger}):
        other = _record(row)
        same_place = other.connector_id == made.connector_id != 0
        if other.sequence == made.sequence or not (same_place or other.reservation_id == made.reservation_id):
            continue
        if other.sequence < made.sequence:
            _move(unit, other, _State.ENDED, at_ms, reason=REPLACED)
        else:
            overtaken = overtaken or other.state is _State.ACTIVE
    return overtaken


def cancelled(unit: Unit, ended: EndedCall) -> None:
    """A CancelReservation has ended. Rejected: the charger knows it not, and an operator is told (OCTT TC_052)."""
    number = msgspec.json.decode(ended.request, type=CancelReservationRequest).reservation_id
    rows = unit.all(_LIVE, {"the_charger": ended.charger})
    meant = [each for each in map(_record, rows) if each.reservation_id == number and each.sequence < ended.sequence]
    if not meant:
        return
    found = meant[-1]
    if ended.outcome == ACCEPTED:
        _move(unit, found, _State.CANCELLED, ended.ended_ms)
    elif ended.answer is not None:
        if found.expiry_ms <= ended.ended_ms:
            _move(unit, found, _State.EXPIRED, ended.ended_ms)
        else:
            _flag(unit, found, CANCEL_REJECTED)
    elif ended.state in (MessageState.TIMEOUT, MessageState.UNKNOWN):
        _flag(unit, found, CANCEL_UNANSWERED)


# Messages of chargers


def status_notified(unit: Unit, message: Inbound, status: Status) -> None:
    """What a status that is its connector's now says about reservations there, connector 0 about all (N-1, N-4, N-6)."""
    if status.status in OUT_OF_ORDER:
        for found in _concerned(unit, message.charger, status):
            if status.connector_id in (0, found.connector_id):
                _move(unit, found, _State.ENDED, message.received_ms, reason=status.status)
    elif status.status == AVAILABLE and status.connector_id:
        held = [each for each in _concerned(unit, message.charger, status) if each.connector_id == status.connector_id]
        if held and _was_reserved(unit, message.charger, status.connector_id):
            for found in held:
                _given_up(unit, found, message.received_ms)


def _concerned(unit: Unit, charger: str, status: Status) -> list[Reservation]:
    """Those that the charger holds or may hold; what is on its way to it comes after whatever it says now."""
    holders = unit.fact(_HOLDERS, {})
    if len(holders) < _MOST_NAMED and (charger,) not in holders:
        return []
    told: Parameters = {"the_charger": charger, "the_connector": status.connector_id, "the_timestamp": status.timestamp_ms}
    found = map(_record, unit.all(_CONCERNED, told))
    return [each for each in found if each.state is not _State.REQUESTED]


def _was_reserved(unit: Unit, charger: str, connector_id: int) -> bool:
    rows = unit.all(_LAST_STATUSES, {"the_charger": charger, "the_connector": connector_id})
    return len(rows) > 1 and rows[1][1] == RESERVED


def _given_up(unit: Unit, found: Reservation, now_ms: int) -> None:
    """Reserved, then Available: expired, or cancelled at the charger (N-6)."""
    if now_ms >= found.expiry_ms - CLOCK_TOLERANCE_MS:
        _move(unit, found, _State.EXPIRED, now_ms)
    else:
        _move(unit, found, _State.CANCELLED, now_ms, reason=RELEASED)


def begun(unit: Unit, message: Inbound, start: Start, transaction_id: int) -> None:
    """A transaction has begun: a reservation that it names, or that is for its tag, is used (T-8)."""
    rows = unit.all(_LIVE_AT_START, {"the_charger": message.charger, "the_transaction": transaction_id})
    number = start.reservation_id
    found = None
    if number is not None and number > 0:
        found = _named(unit, message.charger, start, number, transaction_id)
    if found is None and rows:
        kept = [_record(row[1:]) for row in rows]
        fitting = [each for each in kept if _is_of(each, start, rows[0][0])]
        # One for this connector rather than one for any.
        found = max(fitting, key=lambda each: (each.connector_id != 0, each.state is _State.ACTIVE), default=None)
    if found is not None:
        _move(unit, found, _State.USED, message.received_ms, transaction_id=transaction_id)
        unit.send(_LINKED, {"the_transaction": transaction_id, "the_id": found.message_id})


def _named(unit: Unit, charger: str, start: Start, number: int, transaction_id: int) -> Reservation | None:
    """The one that a start names, where connector and tag are its own. It may have expired before the start was told."""
    named = [_record(row) for row in unit.all(_NAMED, {"the_charger": charger, "the_number": number})]
    found = next((each for each in named if each.ended_ms is None or each.state is _State.EXPIRED), None)
    if found is None or found.connector_id not in (0, start.connector_id):
        return None
    starter = unit.one(_STARTER, {"the_transaction": transaction_id})[0]
    return found if _may_use(found, start, starter) else None


def _may_use(found: Reservation, start: Start, parent_key: str | None) -> bool:
    """Whether it is for the tag of a start, for its group, or for the group that the tag is itself (A-2b)."""
    if start.id_tag_key == found.id_tag_key:
        return True
    return found.parent_key is not None and found.parent_key in (start.id_tag_key, parent_key)


def _is_of(found: Reservation, start: Start, parent_key: str | None) -> bool:
    """Whether a start that names none has used it all the same. For any connector: the tag itself alone."""
    if found.state is _State.REQUESTED or start.connector_id != found.connector_id != 0:
        return False
    if start.timestamp_ms != UNREADABLE_MS and start.timestamp_ms < found.created_ms - START_TOLERANCE_MS:
        return False
    if found.connector_id == 0:
        return start.id_tag_key == found.id_tag_key
    return _may_use(found, start, parent_key)


# Our clock


def are_over(unit: Unit, now_ms: int) -> bool:
    """See `ReservationRecords.are_over`."""
    return any(_record(row).state is not _State.REQUESTED for row in unit.all(_OVER, {"now_ms": now_ms}))


def expire(unit: Unit, now_ms: int) -> int:
    """See `ReservationRecords.expire`. What its charger has not answered yet is what that makes of it."""
    over = [_record(row) for row in unit.all(_OVER, {"now_ms": now_ms})]
    return sum(_move(unit, each, _State.EXPIRED, now_ms) for each in over if each.state is not _State.REQUESTED)


# Moving


def _move(
    unit: Unit,
    found: Reservation,
    state: ReservationState,
    at_ms: int,
    *,
    status: str | None = None,
    reason: str | None = None,
    transaction_id: int | None = None,
) -> bool:
    """Change its state, where it is still what it was; the event tells of it."""
    live = state in (_State.ACTIVE, _State.UNKNOWN)
    row = {
        "the_sequence": found.sequence,
        "the_state": found.state.value,
        "new_state": state.value,
        "new_status": status,
        "new_reason": reason,
        "new_ended_ms": None if live else at_ms,
        "new_transaction": transaction_id,
    }
    if state is found.state or unit.run(_MOVED, row) != 1:
        return False
    told = {"status": status, "reason": reason, "transactionId": None if transaction_id is None else str(transaction_id)}
    events.happened(
        unit,
        EventKind.RESERVATION_CHANGED,
        found.charger,
        at_ms,
        reservation=found.message_id,
        reservationId=str(found.reservation_id),
        state=state.value,
        **{name: value for name, value in told.items() if value is not None},
    )
    return True


def _flag(unit: Unit, found: Reservation, flag: str) -> None:
    if flag not in found.flags:
        unit.send(_FLAGGED, {"the_sequence": found.sequence, "new_flags": json.dumps((*found.flags, flag))})


# Operators


def next_number(unit: Unit, charger: str) -> int:
    """See `ReservationRecords.next_number`. Numbers that operators have chosen are passed over."""
    while True:
        number = int(unit.one(_NUMBERED, {"charger": charger, "given": 1})[0])
        if unit.one(_NAMED, {"the_charger": charger, "the_number": number}) is None:
            return number


def read(unit: Unit, message_id: str) -> Reservation | None:
    """See `ReservationRecords.read`."""
    row = unit.one(_READ, {"the_id": message_id})
    return None if row is None else _record(row)


def list_reservations(unit: Unit, which: ReservationFilter, after: int | None, limit: int) -> list[Reservation]:
    """See `ReservationRecords.list`."""
    query = _ALL.where(*_conditions(which)).order_by(reservations.c.sequence.desc()).limit(limit)
    if after is not None:
        query = query.where(reservations.c.sequence < after)
    return [_record(row) for row in unit.connection.execute(query)]


def _conditions(which: ReservationFilter) -> Iterator[ColumnElement[bool]]:
    for field in fields(which):
        value = getattr(which, field.name)
        if value is not None:
            yield reservations.c[field.name] == str(value) if isinstance(value, str) else reservations.c[field.name] == value


def _record(row: Any) -> Reservation:
    members = dict(zip(_RECORD, row, strict=True))
    flags = tuple(json.loads(members["flags"]))
    return Reservation(**{**members, "state": ReservationState(members["state"]), "flags": flags})
