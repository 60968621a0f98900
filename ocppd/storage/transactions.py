"""Transactions: starts found again, stops of every kind. Functions over a running transaction.

REQUIREMENTS T-2 to T-7 and T-20 to T-29. No frame is ever refused here: what fits nothing is journaled as what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, bindparam, or_, select, update

from ocppd.storage import messages as journal
from ocppd.storage import meter_values
from ocppd.storage.clean import clean_text
from ocppd.storage.records import (
    UNREADABLE_FLAG,
    Inbound,
    Start,
    Started,
    Stop,
    StopOutcome,
    Stopped,
    TransactionFilter,
    TransactionRecord,
    TransactionState,
)
from ocppd.storage.schema import IS_OPEN, messages, transactions
from ocppd.storage.unit import Statement, Unit, values_of
from ocppd.v16.types import AuthorizationStatus

#: 2010-01-01T00:00:00Z. A start with an earlier timestamp comes from a clock that was never set (REQUIREMENTS T-4).
CLOCK_WAS_SET_MS = 1_262_304_000_000

#: With such a clock two starts may look alike after every boot; only within this time are they the same one.
UNSET_CLOCK_WINDOW_MS = 10 * 60 * 1000

#: The flags that storage itself puts on a transaction (REQUIREMENTS T-25).
METER_FELL = "meterFell"
STOP_BEFORE_START = "stopBeforeStart"
ENERGY_ABSURD = "energyAbsurd"

#: 2 GWh in one transaction: the same bound as for what a meter may show by definition, 32 bit (REQUIREMENTS G-6).
MOST_ENERGY_WH = 2**31 - 1

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
)
_COLUMNS = tuple(transactions.c[name] for name in _RECORD)

_THIS = transactions.c.transaction_id == bindparam("the_id")
_SAME_START = Statement(
    select(transactions.c.transaction_id, transactions.c.start_received_ms)
    .where(
        transactions.c.charger == bindparam("the_charger"),
        transactions.c.connector_id == bindparam("the_connector"),
        transactions.c.id_tag_key == bindparam("the_tag"),
        transactions.c.started_ms == bindparam("the_start"),
        transactions.c.meter_start_wh == bindparam("the_meter"),
    )
    .order_by(transactions.c.dedup_epoch.desc())
)
_SUPERSEDED = Statement(
    update(transactions)
    .where(
        transactions.c.charger == bindparam("the_charger"),
        transactions.c.connector_id == bindparam("the_connector"),
        IS_OPEN,
    )
    .values(state=bindparam("new_state"))
)
_STARTED = Statement.upsert(
    transactions,
    lambda insert: (
        values_of(
            insert,
            "charger",
            "connector_id",
            "id_tag",
            "id_tag_key",
            "state",
            "verdict",
            "meter_start_wh",
            "started_ms",
            "start_received_ms",
            "dedup_epoch",
            "message_id",
            "reservation_id",
            "flags",
        )
        .on_conflict_do_nothing()
        .returning(transactions.c.transaction_id)
    ),
)
_VERDICT = Statement(update(transactions).where(_THIS).values(verdict=bindparam("new_verdict")))
_ID_OF_MESSAGE = Statement(select(messages.c.transaction_id).where(messages.c.sequence == bindparam("the_sequence")))
_STOPPED = Statement(
    update(transactions)
    .where(_THIS)
    .values(
        state=bindparam("new_state"),
        meter_stop_wh=bindparam("new_meter_stop_wh"),
        energy_wh=bindparam("new_energy_wh"),
        stopped_ms=bindparam("new_stopped_ms"),
        stop_received_ms=bindparam("new_stop_received_ms"),
        stop_id_tag=bindparam("new_stop_id_tag"),
        reason=bindparam("new_reason"),
        flags=bindparam("new_flags"),
    )
)
_READ = Statement(select(*_COLUMNS).where(_THIS))


def started(unit: Unit, message: Inbound, start: Start) -> Started:
    """See `TransactionRecords.transaction_started`.

    A repeat changes nothing but the verdict: the one that the charger was told last is the one that it acts upon.
    """
    found = _same_start(unit, message, start)
    inserted = _insert(unit, message, start) if found is None else None
    if inserted is None:
        # Where there was none a moment ago, another node was faster; the insert has waited for its commit.
        transaction_id = _same_start(unit, message, start) if found is None else found
        assert transaction_id is not None, "what an insert conflicts with is there"
        unit.send(_VERDICT, {"the_id": transaction_id, "new_verdict": start.verdict.value})
    else:
        transaction_id = inserted
    answer = clean_text(start.answer(transaction_id))
    sequence = journal.received(unit, message, answer, transaction_id=transaction_id)
    return Started(transaction_id, inserted is None, sequence)


def _same_start(unit: Unit, message: Inbound, start: Start) -> int | None:
    """The transaction that the same start made before (REQUIREMENTS T-3, T-4)."""
    row = unit.one(
        _SAME_START,
        {
            "the_charger": message.charger,
            "the_connector": start.connector_id,
            "the_tag": start.id_tag_key,
            "the_start": start.timestamp_ms,
            "the_meter": start.meter_start_wh,
        },
    )
    if row is None:
        return None
    transaction_id, received_ms = row
    if start.timestamp_ms < CLOCK_WAS_SET_MS and message.received_ms - received_ms > UNSET_CLOCK_WINDOW_MS:
        return None
    return int(transaction_id)


def _insert(unit: Unit, message: Inbound, start: Start) -> int | None:
    """A fresh transaction; None where the same start was recorded meanwhile.

    One that is still open on that connector is superseded (REQUIREMENTS T-7).
    """
    here: dict[str, str | int] = {"the_charger": message.charger, "the_connector": start.connector_id}
    unit.send(_SUPERSEDED, {**here, "new_state": TransactionState.SUPERSEDED.value})
    row = unit.one(
        _STARTED,
        {
            "charger": message.charger,
            "connector_id": start.connector_id,
            "id_tag": start.id_tag,
            "id_tag_key": start.id_tag_key,
            "state": TransactionState.OPEN.value,
            "verdict": start.verdict.value,
            "meter_start_wh": start.meter_start_wh,
            "started_ms": start.timestamp_ms,
            "start_received_ms": message.received_ms,
            "dedup_epoch": message.received_ms if start.timestamp_ms < CLOCK_WAS_SET_MS else 0,
            "message_id": message.message_id,
            "reservation_id": start.reservation_id,
            "flags": json.dumps(start.flags),
        },
    )
    return None if row is None else int(row[0])


def verdict_amended(unit: Unit, sequence: int, answer: str, verdict: AuthorizationStatus) -> None:
    """See `TransactionRecords.verdict_amended`."""
    journal.answer_amended(unit, sequence, answer, failed=False)
    row = unit.one(_ID_OF_MESSAGE, {"the_sequence": sequence})
    if row is not None:
        unit.send(_VERDICT, {"the_id": row[0], "new_verdict": verdict.value})


def stopped(unit: Unit, message: Inbound, stop: Stop) -> Stopped:
    """See `TransactionRecords.transaction_stopped`."""
    found = read(unit, stop.transaction_id)
    if found is None or found.charger != message.charger:
        sequence = journal.received(unit, message, message.answer, outcome=StopOutcome.ORPHAN.value)
        meter_values.keep(unit, message, 0, meter_values.UNLINKED, stop.elements)
        return Stopped(StopOutcome.ORPHAN, sequence)
    outcome = _outcome(found, stop)
    if outcome is StopOutcome.STOPPED:
        _stop(unit, message, stop, found)
    sequence = journal.received(
        unit,
        message,
        message.answer,
        outcome=None if outcome is StopOutcome.STOPPED else outcome.value,
        transaction_id=found.transaction_id,
    )
    meter_values.keep(unit, message, found.connector_id, found.transaction_id, stop.elements)
    return Stopped(outcome, sequence)


def _outcome(found: TransactionRecord, stop: Stop) -> StopOutcome:
    """What this stop is to a transaction of its charger (REQUIREMENTS T-7, T-23, T-28, T-29)."""
    if found.state is not TransactionState.STOPPED:
        return StopOutcome.STOPPED
    same_time = found.stopped_ms == stop.timestamp_ms or UNREADABLE_FLAG in stop.flags
    if same_time and found.meter_stop_wh == stop.meter_stop_wh:
        return StopOutcome.REPEATED
    return StopOutcome.SUSPECT


def _stop(unit: Unit, message: Inbound, stop: Stop, found: TransactionRecord) -> None:
    energy_wh = stop.meter_stop_wh - found.meter_start_wh
    doubts = []
    if energy_wh < 0:
        doubts.append(METER_FELL)
    if energy_wh > MOST_ENERGY_WH:
        doubts.append(ENERGY_ABSURD)
    if stop.timestamp_ms < found.started_ms:
        doubts.append(STOP_BEFORE_START)
    unit.send(
        _STOPPED,
        {
            "the_id": found.transaction_id,
            "new_state": TransactionState.STOPPED.value,
            "new_meter_stop_wh": stop.meter_stop_wh,
            "new_energy_wh": None if doubts else energy_wh,
            "new_stopped_ms": stop.timestamp_ms,
            "new_stop_received_ms": message.received_ms,
            "new_stop_id_tag": stop.id_tag,
            "new_reason": stop.reason,
            "new_flags": json.dumps(tuple(dict.fromkeys((*found.flags, *stop.flags, *doubts)))),
        },
    )


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
    if which.since_ms is not None:
        yield transactions.c.started_ms >= which.since_ms
    if which.until_ms is not None:
        yield transactions.c.started_ms < which.until_ms


def _record(row: Any) -> TransactionRecord:
    members = dict(zip(_RECORD, row, strict=True))
    members["state"] = TransactionState(members["state"])
    members["verdict"] = AuthorizationStatus(members["verdict"])
    members["flags"] = tuple(json.loads(members["flags"]))
    return TransactionRecord(**members)
