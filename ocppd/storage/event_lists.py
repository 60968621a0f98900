"""What happened, read in the order of its numbers: the rows of the journal and those of the table of events, as one list.

Functions over a running transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Table, Text, and_, bindparam, func, select

from ocppd.storage import filing
from ocppd.storage.messages import CUT, record_of
from ocppd.storage.records import Direction, Event, EventFilter, EventKind, Newest, Tail
from ocppd.storage.schema import events, messages
from ocppd.storage.spellings import OldestRunning, ThisTransaction, one_of
from ocppd.storage.unit import Unit

#: Above every number.
NO_SEQUENCE: Final = 2**63 - 1
#: What the journal's own rows are as events.
KINDS: Final = {Direction.FROM_CHARGER: EventKind.MESSAGE_RECEIVED, Direction.TO_CHARGER: EventKind.COMMAND_ACCEPTED}
DIRECTIONS: Final = {kind: direction for direction, kind in KINDS.items()}

_decode = msgspec.json.Decoder(dict[str, str]).decode

_OTHERS: Final = select(events.c.sequence, events.c.kind, events.c.charger, events.c.at_ms, events.c.members, *CUT).select_from(
    events.outerjoin(messages, messages.c.sequence == events.c.message)
)

#: Which numbers of a table are wanted.
Bound = Callable[[ColumnElement[int]], ColumnElement[bool]]


def newest_event(unit: Unit, shortly: int) -> Newest:
    """See `EventRecords.newest_event`."""
    tables = (messages, events)
    newest = max(unit.connection.execute(select(func.max(table.c.sequence))).scalar() or 0 for table in tables)
    if unit.connection.execute(select(OldestRunning())).scalar() is None:
        return Newest(newest, None)
    appeared = [unit.connection.execute(select(table.c.sequence).where(table.c.sequence > newest - shortly)) for table in tables]
    return Newest(newest, frozenset(row[0] for rows in appeared for row in rows))


def events_after(unit: Unit, after: int, missing: Sequence[int], limit: int, ask_following: bool) -> Tail:
    """See `EventRecords.events_after`."""
    found = _read(unit, EventFilter(), lambda sequence: sequence > after, limit)
    if missing:
        found += _read(unit, EventFilter(), _among(missing), len(missing))
    oldest = unit.connection.execute(select(OldestRunning())).scalar()
    following = unit.connection.execute(select(ThisTransaction())).scalar() if ask_following else None
    return Tail(tuple(sorted(found, key=lambda event: event.sequence)), oldest, following)


def events_between(unit: Unit, which: EventFilter, after: int, until: int, limit: int) -> list[Event]:
    """See `EventRecords.events_between`."""
    return _read(unit, which, lambda sequence: and_(sequence > after, sequence <= until), limit)


def list_events(unit: Unit, which: EventFilter, after: int | None, limit: int) -> list[Event]:
    """See `EventRecords.list_events`."""
    return _read(unit, which, lambda sequence: sequence < (NO_SEQUENCE if after is None else after), limit, newest_first=True)


def _among(numbers: Sequence[int]) -> Bound:
    return lambda sequence: one_of(sequence, bindparam("numbers", json.dumps(tuple(numbers)), type_=Text()))


def _read(unit: Unit, which: EventFilter, bound: Bound, limit: int, *, newest_first: bool = False) -> list[Event]:
    """The first events of the union of both tables."""
    found: list[Event] = []
    for table, event_of in ((messages, _event_of_message), (events, _event)):
        conditions = _conditions(which, table)
        if conditions is not None:
            query = _query(unit, table, which, conditions, bound)
            order = filing.SEQUENCE if table is messages else table.c.sequence
            rows = unit.connection.execute(query.order_by(order.desc() if newest_first else order).limit(limit))
            found += map(event_of, rows)
    found.sort(key=lambda event: event.sequence, reverse=newest_first)
    return found[:limit]


def _query(unit: Unit, table: Table, which: EventFilter, conditions: list[ColumnElement[bool]], bound: Bound) -> Any:
    if table is messages and which.charger is not None:
        return filing.of_charger(unit.dialect, messages, CUT, {"charger": which.charger}, conditions, bound)
    if which.charger is not None:
        conditions.append(table.c.charger == which.charger)
    columns = select(*CUT) if table is messages else _OTHERS
    return columns.where(bound(table.c.sequence), *conditions)


def _conditions(which: EventFilter, table: Table) -> list[ColumnElement[bool]] | None:
    """What a row of this table must be; None where it cannot be one of those."""
    conditions: list[ColumnElement[bool]] = []
    at_ms = table.c.created_ms if table is messages else table.c.at_ms
    if which.action is not None:
        conditions.append(messages.c.action == which.action)
    if which.since_ms is not None:
        conditions.append(at_ms >= which.since_ms)
    if which.until_ms is not None:
        conditions.append(at_ms < which.until_ms)
    if which.kind is not None:
        of_message = DIRECTIONS.get(which.kind)
        if (of_message is None) is (table is messages):
            return None
        conditions.append(table.c.kind == which.kind.value if of_message is None else table.c.direction == of_message.value)
    return conditions


def _event_of_message(row: Any) -> Event:
    message = record_of(row[1:])
    return Event(message.sequence, KINDS[message.direction], message.charger, message.created_ms, message, cut=not row[0])


def _event(row: Any) -> Event:
    sequence, kind, charger, at_ms, members, fits = row[:6]
    return Event(
        sequence,
        kind,
        charger,
        at_ms,
        message=None if fits is None else record_of(row[6:]),
        cut=fits is not None and not fits,
        members=None if members is None else _decode(members),
    )
