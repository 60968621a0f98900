"""Transactions as they are read. Functions over a running transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, bindparam, or_, select

from ocppd.storage import meter_values
from ocppd.storage.records import TransactionFilter, TransactionRecord, TransactionState
from ocppd.storage.schema import IS_OPEN, transactions
from ocppd.storage.unit import Statement, Unit
from ocppd.v16.types import AuthorizationStatus

_RECORD = (
    "transaction_id",
    "charger",
    "connector_id",
    "id_tag",
    "state",
    "verdict",
    "meter_start_wh",
    "started_ms",
    "start_received_ms",
    "message_id",
    "reservation_id",
    "meter_stop_wh",
    "energy_wh",
    "stopped_ms",
    "stop_received_ms",
    "stop_id_tag",
    "reason",
    "flags",
    "closed_ms",
    "close_reason",
    "remote_start",
    "reservation",
)
_COLUMNS = tuple(transactions.c[name] for name in _RECORD)

_READ = Statement(select(*_COLUMNS).where(transactions.c.transaction_id == bindparam("the_id")))


def read(unit: Unit, transaction_id: int) -> TransactionRecord | None:
    """See `TransactionRecords.read_transaction`."""
    if not meter_values.is_transaction_id(transaction_id):
        return None
    row = unit.one(_READ, {"the_id": transaction_id})
    return None if row is None else _record(row)


def list_transactions(unit: Unit, which: TransactionFilter, after: int | None, limit: int) -> list[TransactionRecord]:
    """See `TransactionRecords.list_transactions`. `since_ms` is included, `until_ms` is not."""
    query = select(*_COLUMNS).where(*_conditions(which)).order_by(transactions.c.transaction_id.desc()).limit(limit)
    if after is not None:
        query = query.where(transactions.c.transaction_id < after)
    return [_record(row) for row in unit.connection.execute(query)]


def _conditions(which: TransactionFilter) -> Iterator[ColumnElement[bool]]:
    if which.charger is not None:
        yield transactions.c.charger == which.charger
    if which.connector_id is not None:
        yield transactions.c.connector_id == which.connector_id
    if which.id_tag is not None:
        # As compared (REQUIREMENTS G-3), or as it was sent.
        yield or_(transactions.c.id_tag_key == which.id_tag.lower(), transactions.c.id_tag == which.id_tag)
    if which.state is not None:
        yield transactions.c.state == which.state.value
        if which.state is TransactionState.OPEN:  # by the partial index of those, which are few
            yield transactions.c.transaction_id.in_(select(transactions.c.transaction_id).where(IS_OPEN))
    if which.since_ms is not None or which.until_ms is not None:
        columns = transactions.c.started_ms, transactions.c.start_received_ms
        yield meter_values.within(*columns, which.since_ms, which.until_ms)


def _record(row: Any) -> TransactionRecord:
    members = dict(zip(_RECORD, row, strict=True))
    members["state"] = TransactionState(members["state"])
    members["verdict"] = AuthorizationStatus(members["verdict"])
    members["flags"] = tuple(json.loads(members["flags"]))
    return TransactionRecord(**members)
