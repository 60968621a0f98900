"""Meter values: one row per element, once, linked to its transaction. Functions over a running transaction.

REQUIREMENTS M-4, M-5, M-9. Samples are kept as they were sent; nobody here reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select

from ocppd.storage import messages as journal
from ocppd.storage.records import UNREADABLE_MS, Inbound, MeterValueElement, MeterValueFilter, MeterValueRecord
from ocppd.storage.schema import IS_OPEN, meter_values, transactions
from ocppd.storage.unit import Statement, Unit, values_of

#: A row's `transaction_id` where it belongs to none: null would not be equal to itself in the unique index.
UNLINKED = 0

#: Enough to tell apart what one connector measured in one instant.
_DIGEST_BYTES = 16

#: The greatest transaction id there is: 32 bit, signed (REQUIREMENTS T-2).
GREATEST_ID = 2**31 - 1

_KEPT = Statement.upsert(
    meter_values,
    lambda insert: values_of(
        insert, "charger", "transaction_id", "connector_id", "timestamp_ms", "digest", "received_ms", "samples"
    ).on_conflict_do_nothing(),
)
_IS_OF_CHARGER = Statement(
    select(transactions.c.transaction_id).where(
        transactions.c.transaction_id == bindparam("the_id"), transactions.c.charger == bindparam("the_charger")
    )
)
_OPEN_ON_CONNECTOR = Statement(
    select(transactions.c.transaction_id, transactions.c.started_ms)
    .where(
        transactions.c.charger == bindparam("the_charger"),
        transactions.c.connector_id == bindparam("the_connector"),
        IS_OPEN,
    )
    .order_by(transactions.c.transaction_id.desc())
)

Link = Callable[[MeterValueElement], int]


def is_transaction_id(number: int) -> bool:
    """Whether there may be a transaction of that id; chargers send others too (REQUIREMENTS M-4, T-21)."""
    return 0 < number <= GREATEST_ID


def to_none(element: MeterValueElement) -> int:
    """The link of an element that belongs to no transaction."""
    return UNLINKED


def received(
    unit: Unit, message: Inbound, connector_id: int, transaction_id: int | None, elements: tuple[MeterValueElement, ...]
) -> int:
    """See `TransactionRecords.meter_values_received`."""
    if elements:
        keep(unit, message, connector_id, _link(unit, message.charger, connector_id, transaction_id), elements)
    return journal.received(unit, message, message.answer)


def keep(unit: Unit, message: Inbound, connector_id: int, link: Link, elements: tuple[MeterValueElement, ...]) -> None:
    """Store what is not stored yet (REQUIREMENTS M-9)."""
    for element in elements:
        unit.run(
            _KEPT,
            {
                "charger": message.charger,
                "transaction_id": link(element),
                "connector_id": connector_id,
                "timestamp_ms": element.timestamp_ms,
                "digest": blake2b(element.samples.encode(), digest_size=_DIGEST_BYTES).digest(),
                "received_ms": message.received_ms,
                "samples": element.samples,
            },
        )


def _link(unit: Unit, charger: str, connector_id: int, transaction_id: int | None) -> Link:
    """Which transaction an element belongs to: the one named, else the one open there when it was measured."""
    if connector_id < 1:
        return to_none
    if transaction_id is not None and is_transaction_id(transaction_id):
        named = transaction_id
        if unit.one(_IS_OF_CHARGER, {"the_id": named, "the_charger": charger}) is not None:
            return lambda element: named
    row = unit.one(_OPEN_ON_CONNECTOR, {"the_charger": charger, "the_connector": connector_id})
    if row is None:
        return to_none
    running, started_ms = row
    return lambda element: running if started_ms <= element.timestamp_ms or element.timestamp_ms == UNREADABLE_MS else UNLINKED


def list_meter_values(unit: Unit, which: MeterValueFilter, after: int | None, limit: int) -> list[MeterValueRecord]:
    """See `TransactionRecords.list_meter_values`. `since_ms` is included, `until_ms` is not."""
    columns = (
        meter_values.c.sequence,
        meter_values.c.charger,
        meter_values.c.connector_id,
        meter_values.c.transaction_id,
        meter_values.c.timestamp_ms,
        meter_values.c.received_ms,
        meter_values.c.samples,
    )
    query = select(*columns).where(*_conditions(which)).order_by(meter_values.c.sequence).limit(limit)
    if after is not None:
        query = query.where(meter_values.c.sequence >= after)
    return [_record(row) for row in unit.connection.execute(query)]


def _conditions(which: MeterValueFilter) -> Iterator[ColumnElement[bool]]:
    if which.charger is not None:
        yield meter_values.c.charger == which.charger
    if which.connector_id is not None:
        yield meter_values.c.connector_id == which.connector_id
    if which.transaction_id is not None:
        yield meter_values.c.transaction_id == which.transaction_id
        # Linked values are the transaction's charger's, and that is what the index begins with.
        owner = select(transactions.c.charger).where(transactions.c.transaction_id == which.transaction_id)
        yield meter_values.c.charger == owner.scalar_subquery()
    if which.since_ms is not None:
        yield meter_values.c.timestamp_ms >= which.since_ms
    if which.until_ms is not None:
        yield meter_values.c.timestamp_ms < which.until_ms


def _record(row: Any) -> MeterValueRecord:
    sequence, charger, connector_id, transaction_id, timestamp_ms, received_ms, samples = row
    return MeterValueRecord(sequence, charger, connector_id, transaction_id or None, timestamp_ms, received_ms, samples)
