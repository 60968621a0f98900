"""Meter values: one row per element, once, linked to its transaction. Functions over a running transaction.

REQUIREMENTS M-4, M-5, M-9. Samples are kept as they were sent; nobody here reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, Text, and_, bindparam, case, func, literal_column, null, or_, select

from ocppd.storage import messages as journal
from ocppd.storage.records import (
    FRAME_LIMIT,
    PAGE_CHARACTERS,
    UNREADABLE_MS,
    Inbound,
    MeterValueElement,
    MeterValueFilter,
    MeterValueRecord,
    Told,
    TransactionRecord,
)
from ocppd.storage.schema import IS_OPEN, meter_values, meter_values_of, transactions
from ocppd.storage.spellings import one_of
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

#: A row's `transaction_id` where it belongs to none: null would not be equal to itself in the unique index.
UNLINKED = 0

#: Enough to tell apart what one connector measured in one instant.
_DIGEST_BYTES = 16

#: An instant that is later than any start.
FAR_FUTURE_MS = 2**63 - 1

#: The greatest transaction id there is: 32 bit, signed (REQUIREMENTS T-2).
GREATEST_ID = 2**31 - 1

#: The transaction of that id, if it is the charger's.
_NAMED = select(transactions.c.transaction_id).where(
    transactions.c.transaction_id == bindparam("the_id"), transactions.c.charger == bindparam("charger")
)
#: The one that is open on the connector, of which there is one at most, unless the element was measured before its start.
_OPEN = select(func.max(transactions.c.transaction_id)).where(
    transactions.c.charger == bindparam("charger"),
    transactions.c.connector_id == bindparam("connector_id"),
    IS_OPEN,
    transactions.c.started_ms <= bindparam("started_by_ms"),
)
_CHARGER_OF = Statement(
    select(transactions.c.charger).where(transactions.c.transaction_id == bindparam("the_id"))
).standing_beside()
_VALUES = ("charger", "connector_id", "timestamp_ms", "digest", "received_ms", "samples")
#: In the order of the table, so that a row is handed over as it is.
_KEPT_NAMES = ("charger", "transaction_id", "connector_id", "timestamp_ms", "digest", "received_ms", "samples")
_LINKED_NAMES = (*_VALUES, "the_id", "started_by_ms")
_KEPT = Statement.upsert(
    meter_values,
    lambda insert: values_of(insert, "transaction_id", *_VALUES).on_conflict_do_nothing(),
).gathering()
#: The same, where the transaction is still to be found (REQUIREMENTS M-4, M-5).
_LINKED = Statement.upsert(
    meter_values,
    lambda insert: (
        values_of(insert, *_VALUES)
        .values(transaction_id=func.coalesce(_NAMED.scalar_subquery(), _OPEN.scalar_subquery(), literal_column("0")))
        .on_conflict_do_nothing()
    ),
).gathering()

_OF_THESE_INSTANTS = Statement(
    select(meter_values.c.timestamp_ms, meter_values.c.samples).where(
        one_of(meter_values.c.timestamp_ms, bindparam("the_instants", type_=Text())),
        meter_values.c.charger == bindparam("the_charger"),
        meter_values.c.transaction_id == bindparam("the_id"),
        meter_values.c.connector_id == bindparam("the_connector"),
    )
)


def is_transaction_id(number: int) -> bool:
    """Whether there may be a transaction of that id; chargers send others too (REQUIREMENTS M-4, T-21)."""
    return 0 < number <= GREATEST_ID


def received(
    unit: Unit, message: Inbound, connector_id: int, transaction_id: int | None, elements: tuple[MeterValueElement, ...]
) -> int:
    """See `TransactionRecords.meter_values_received`.

    An element belongs to the transaction that is named, else to the one open there when it was measured.
    """
    named = transaction_id if transaction_id is not None and is_transaction_id(transaction_id) else UNLINKED
    if connector_id < 1:
        keep(unit, message, connector_id, UNLINKED, elements)
    elif named and unit.gathers and _is_of(unit, named, message.charger):
        keep(unit, message, connector_id, named, elements)
    else:
        for element in elements:
            begun = FAR_FUTURE_MS if element.timestamp_ms == UNREADABLE_MS else element.timestamp_ms
            row = (message.charger, connector_id, element.timestamp_ms, _digest(element), message.received_ms, element.samples)
            unit.send_row(_LINKED, _LINKED_NAMES, (*row, named, begun))
    return journal.received(unit, message, message.answer, transaction_id=named or None, later=True)


def _is_of(unit: Unit, transaction_id: int, charger: str) -> bool:
    """Whether a transaction is this charger's. It stays so, and tells of itself with every message until its end."""
    owner = unit.lore.get(transaction_id)
    if owner is None:
        row = unit.one(_CHARGER_OF, {"the_id": transaction_id})
        if row is None:
            return False
        owner = row[0]
        unit.lore.learn(transaction_id, owner)
    return bool(owner == charger)


def keep(unit: Unit, message: Inbound, connector_id: int, transaction_id: int, elements: tuple[MeterValueElement, ...]) -> None:
    """Store what is not stored yet (REQUIREMENTS M-9)."""
    charger, received_ms = message.charger, message.received_ms
    for element in elements:
        row = (charger, transaction_id, connector_id, element.timestamp_ms, _digest(element), received_ms, element.samples)
        unit.send_row(_KEPT, _KEPT_NAMES, row)


def news(
    unit: Unit,
    found: TransactionRecord,
    elements: tuple[MeterValueElement, ...],
    news_of: Callable[[str, Told], str | None],
) -> Iterator[MeterValueElement]:
    """What a stop tells of its transaction that other messages, or it itself, have not told (REQUIREMENTS T-26, M-9).

    A charger may tell an instant once while it charges and once more at the stop, with some of the samples alone.
    """
    instants = sorted({element.timestamp_ms for element in elements} - {UNREADABLE_MS})
    row: Parameters = {
        "the_instants": json.dumps(instants),
        "the_charger": found.charger,
        "the_id": found.transaction_id,
        "the_connector": found.connector_id,
    }
    told: dict[int, Told] = {}
    for timestamp_ms, samples in unit.all(_OF_THESE_INSTANTS, row) if instants else ():
        told.setdefault(timestamp_ms, Told()).rows.append(samples)
    for element in elements:
        before = Told() if element.timestamp_ms == UNREADABLE_MS else told.setdefault(element.timestamp_ms, Told())
        samples = news_of(element.samples, before) if before.rows else element.samples
        if samples is not None:
            before.rows.append(samples)
            yield MeterValueElement(element.timestamp_ms, samples)


def _digest(element: MeterValueElement) -> bytes:
    return blake2b(element.samples.encode(), digest_size=_DIGEST_BYTES).digest()


_FEW_SAMPLES: Final = case((func.length(meter_values.c.samples) <= FRAME_LIMIT, meter_values.c.samples), else_=null())
_rows = meter_values.alias("rows_of_values")
_SAMPLES: Final = Statement(select(meter_values.c.samples).where(meter_values.c.sequence == bindparam("the_sequence")))


def list_meter_values(unit: Unit, which: MeterValueFilter, after: int | None, limit: int) -> list[MeterValueRecord]:
    """See `TransactionRecords.list_meter_values`. `since_ms` is included, `until_ms` is not."""
    columns = (
        meter_values.c.sequence,
        meter_values.c.charger,
        meter_values.c.connector_id,
        meter_values.c.transaction_id,
        meter_values.c.timestamp_ms,
        meter_values.c.received_ms,
        _FEW_SAMPLES,
    )
    query = select(*columns).order_by(meter_values.c.sequence).limit(limit)
    if which.charger is None and which.transaction_id is None:
        query = query.where(*_conditions(meter_values, which, after))
    else:
        # What is found by charger is not in the order of arrival, but it has all that is needed to find the first ones:
        # only those are then read, and not what they were found among.
        first = select(meter_values_of.c.sequence).where(*_conditions(meter_values_of, which, after))
        query = query.where(meter_values.c.sequence.in_(first.order_by(meter_values_of.c.sequence).limit(limit)))
    return _page(unit, unit.connection.execute(query).all())


def _page(unit: Unit, rows: Iterable[Any]) -> list[MeterValueRecord]:
    """As many of these as a page holds; many samples, which are not in them, are read one by one."""
    found: list[MeterValueRecord] = []
    characters = 0
    for row in rows:
        samples: str = row[-1]
        if samples is None:
            samples = unit.one(_SAMPLES, {"the_sequence": row[0]})[0]
        found.append(_record(row, samples))
        characters += len(samples)
        if characters >= PAGE_CHARACTERS:
            break
    return found


def _conditions(table: Table, which: MeterValueFilter, after: int | None) -> Iterator[ColumnElement[bool]]:
    if after is not None:
        yield table.c.sequence >= after
    if which.charger is not None:
        yield table.c.charger == which.charger
    if which.connector_id is not None:
        yield table.c.connector_id == which.connector_id
    if which.transaction_id is not None:
        yield table.c.transaction_id == which.transaction_id
        # Linked values are the transaction's charger's, and that is what they are found by first.
        owner = select(transactions.c.charger).where(transactions.c.transaction_id == which.transaction_id)
        yield table.c.charger == owner.scalar_subquery()
    if which.since_ms is not None or which.until_ms is not None:
        received: Any = table.c.get("received_ms")
        if received is None:
            # It is not among what is found by charger, and asked for where it is needed. Nowhere else: PostgreSQL, which reckons
            # that each row asks for it, would sort all that there is rather than walk to the end of a page.
            received = select(_rows.c.received_ms).where(_rows.c.sequence == table.c.sequence).scalar_subquery()
        yield within(table.c.timestamp_ms, received, which.since_ms, which.until_ms)


def within(told: Any, received: Any, since_ms: int | None, until_ms: int | None) -> ColumnElement[bool]:
    """Whether an instant is between these, as operators are shown it: that of receipt where none was told that can be read."""

    def between(at: Any) -> Iterator[ColumnElement[bool]]:
        if since_ms is not None:
            yield at >= since_ms
        if until_ms is not None:
            yield at < until_ms

    # Of two lower bounds SQLite would take one to begin from, which may be the one that leaves out less.
    readable = [told > UNREADABLE_MS] if since_ms is None else []
    return or_(and_(*readable, *between(told)), and_(told == UNREADABLE_MS, *between(received)))


def _record(row: Any, samples: str) -> MeterValueRecord:
    sequence, charger, connector_id, transaction_id, timestamp_ms, received_ms, _ = row
    return MeterValueRecord(sequence, charger, connector_id, transaction_id or None, timestamp_ms, received_ms, samples)
