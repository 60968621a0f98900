"""Transactions: starts found again, stops of every kind. Functions over a running transaction.

REQUIREMENTS T-2 to T-7 and T-20 to T-29. No frame is ever refused here: what fits nothing is journaled as what it is.
"""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import Text, bindparam, exists, or_, select, update

from ocppd.storage import (
    consequences,
    events,
    follow_ups,
    id_tags,
    meter_values,
    reconciliation,
    remote_starts,
    salvage,
    sanity,
    transaction_lists,
)
from ocppd.storage import messages as journal
from ocppd.storage.clean import clean_text
from ocppd.storage.records import (
    UNREADABLE_FLAG,
    EventKind,
    IdTag,
    Inbound,
    Standing,
    Start,
    Started,
    Stop,
    StopOutcome,
    Stopped,
    TransactionRecord,
    TransactionState,
)
from ocppd.storage.schema import IS_OPEN, messages, meter_values_of, transactions
from ocppd.storage.schema import meter_values as values_table
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.salvage import METER_START_MISSING, METER_STOP_MISSING
from ocppd.v16.types import AuthorizationStatus, IdTagInfo

#: 2010-01-01T00:00:00Z. A start with an earlier timestamp comes from a clock that was never set (REQUIREMENTS T-4).
CLOCK_WAS_SET_MS = 1_262_304_000_000

#: With such a clock two starts may look alike after every boot; only within this time are they the same one.
UNSET_CLOCK_WINDOW_MS = 10 * 60 * 1000

#: The flags that storage itself puts on a transaction (REQUIREMENTS T-25).
METER_FELL = "meterFell"
STOP_BEFORE_START = "stopBeforeStart"
ENERGY_ABSURD = "energyAbsurd"
#: It was stopped by a tag that has nothing to do with the one that started it (REQUIREMENTS T-24).
OTHER_TAG = "stoppedByOtherTag"

#: 2 GWh in one transaction: the same bound as for what a meter may show by definition, 32 bit (REQUIREMENTS G-6).
MOST_ENERGY_WH = 2**31 - 1

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
        transactions.c.transaction_id != bindparam("the_id"),
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
            "parent_key",
            "state",
            "verdict",
            "meter_start_wh",
            "started_ms",
            "start_received_ms",
            "dedup_epoch",
            "message_id",
            "reservation_id",
        )
        .values(remote_start=remote_starts.MESSAGE_ID, flags=sanity.FLAGS_AT_START)
        .on_conflict_do_nothing()
        .returning(transactions.c.transaction_id, transactions.c.remote_start)
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
#: What an operator may close (REQUIREMENTS T-29).
CLOSABLE = (TransactionState.OPEN, TransactionState.STOP_MISSING, TransactionState.SUPERSEDED)
_CLOSED = Statement(
    update(transactions)
    .where(_THIS, or_(*(transactions.c.state == bindparam(state.name, type_=Text()) for state in CLOSABLE)))
    .values(state=bindparam("new_state"), closed_ms=bindparam("now_ms"), close_reason=bindparam("why"))
)
#: A sign of life of a transaction.
_HEARD_OF = exists().where(
    meter_values_of.c.charger == transactions.c.charger,
    meter_values_of.c.transaction_id == transactions.c.transaction_id,
    values_table.c.sequence == meter_values_of.c.sequence,
    values_table.c.received_ms >= bindparam("before_ms"),
)
_STOP_MISSING = Statement(
    update(transactions)
    .where(IS_OPEN, transactions.c.start_received_ms < bindparam("before_ms"), ~_HEARD_OF)
    .values(state=bindparam("new_state"))
    .returning(transactions.c.transaction_id, transactions.c.charger)
)
_KEYS = Statement(select(transactions.c.id_tag_key, transactions.c.parent_key).where(_THIS))


def started(unit: Unit, message: Inbound, start: Start) -> Started:
    """See `TransactionRecords.transaction_started`.

    A repeat changes nothing but the verdict: the one that the charger was told last is the one that it acts upon.
    """
    if start.meter_missing:
        start = salvage.completed_start(unit, message, start)
    standing = id_tags.standing_at_start(unit, message, start)
    verdict = start.judge(standing)
    id_tags.refused(unit, standing, verdict, start.id_tag, start.id_tag_key, message.charger, message.received_ms)
    found = _same_start(unit, message, start)
    inserted = None if found is not None else _insert(unit, message, start, standing, verdict.status)
    if inserted is None:
        # Where there was none a moment ago, another node was faster; the insert has waited for its commit.
        transaction_id = _same_start(unit, message, start) if found is None else found
        assert transaction_id is not None, "what an insert conflicts with is there"
        unit.send(_VERDICT, {"the_id": transaction_id, "new_verdict": verdict.status.value})
    else:
        transaction_id = inserted
    answer = clean_text(start.answer(transaction_id, verdict))
    sequence = journal.received(unit, message, answer, transaction_id=transaction_id)
    return Started(transaction_id, inserted is None, sequence, verdict)


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


def _insert(unit: Unit, message: Inbound, start: Start, standing: Standing, verdict: AuthorizationStatus) -> int | None:
    """A fresh transaction; None where the same start was recorded meanwhile.

    One that is still open on that connector is superseded (REQUIREMENTS T-7), but not before it is certain that this one is
    another: it may be the same start, which another node has recorded a moment ago.
    """
    row = unit.one(
        _STARTED,
        {
            "charger": message.charger,
            "connector_id": start.connector_id,
            "id_tag": start.id_tag,
            "id_tag_key": start.id_tag_key,
            "parent_key": None if standing.tag is None else standing.tag.parent_key,
            "state": TransactionState.OPEN.value,
            "verdict": verdict.value,
            "meter_start_wh": start.meter_start_wh,
            "started_ms": start.timestamp_ms,
            "start_received_ms": message.received_ms,
            "dedup_epoch": message.received_ms if start.timestamp_ms < CLOCK_WAS_SET_MS else 0,
            "message_id": message.message_id,
            "reservation_id": start.reservation_id,
            "flags": json.dumps(start.flags),
            "flags_below": json.dumps((*start.flags, sanity.BELOW_LAST_STOP)),
            **id_tags.sought_by(message, start),
        },
    )
    if row is None:
        return None
    transaction_id, remote_start = row
    here: dict[str, str | int] = {"the_charger": message.charger, "the_connector": start.connector_id}
    unit.send(_SUPERSEDED, {**here, "the_id": transaction_id, "new_state": TransactionState.SUPERSEDED.value})
    if remote_start is not None:
        remote_starts.bound(unit, remote_start, transaction_id)
        follow_ups.begun(unit, remote_start, transaction_id, message.received_ms)
        consequences.remote_start_bound(unit, remote_start, transaction_id)
    consequences.transaction_started(unit, message, start, transaction_id)
    return int(transaction_id)


def verdict_amended(unit: Unit, sequence: int, answer: str, verdict: AuthorizationStatus) -> None:
    """See `TransactionRecords.verdict_amended`."""
    journal.answer_amended(unit, sequence, answer, failed=False)
    row = unit.one(_ID_OF_MESSAGE, {"the_sequence": sequence})
    if row is not None:
        unit.send(_VERDICT, {"the_id": row[0], "new_verdict": verdict.value})


def stopped(unit: Unit, message: Inbound, stop: Stop) -> Stopped:
    """See `TransactionRecords.transaction_stopped`."""
    tag, verdict = _judge(unit, message, stop)
    answer = clean_text(stop.answer(verdict))
    nameless = stop.transaction_id == reconciliation.NAMELESS
    transaction_id = reconciliation.transaction_of(unit, message, stop) if nameless else stop.transaction_id
    found = None if transaction_id is None else transaction_lists.read(unit, transaction_id)
    if found is None or found.charger != message.charger:
        sequence = journal.received(unit, message, answer, outcome=StopOutcome.ORPHAN.value)
        meter_values.keep(unit, message, 0, meter_values.UNLINKED, stop.elements)
        return Stopped(StopOutcome.ORPHAN, sequence, verdict)
    if stop.meter_missing:
        stop = salvage.completed_stop(unit, stop, found)
    outcome = _outcome(found, stop)
    if outcome is StopOutcome.STOPPED:
        flags = (*stop.flags, reconciliation.RECONCILED) if nameless else stop.flags
        _stop(unit, message, replace(stop, flags=flags), found, tag)
        consequences.transaction_ended(unit, found, message.received_ms)
    sequence = journal.received(
        unit,
        message,
        answer,
        outcome=None if outcome is StopOutcome.STOPPED else outcome.value,
        transaction_id=found.transaction_id,
    )
    elements = tuple(meter_values.news(unit, found, stop.elements, stop.news_of))
    meter_values.keep(unit, message, found.connector_id, found.transaction_id, elements)
    return Stopped(outcome, sequence, verdict)


def _judge(unit: Unit, message: Inbound, stop: Stop) -> tuple[IdTag | None, IdTagInfo | None]:
    """The tag that stops, and the verdict on it, as it would be for Authorize (REQUIREMENTS T-20)."""
    if stop.id_tag is None or stop.id_tag_key is None:
        return None, None
    standing = id_tags.standing(unit, stop.id_tag_key, stop.configured, message.charger, message.received_ms)
    verdict = stop.judge(standing)
    id_tags.refused(unit, standing, verdict, stop.id_tag, stop.id_tag_key, message.charger, message.received_ms)
    return standing.tag, verdict


def _outcome(found: TransactionRecord, stop: Stop) -> StopOutcome:
    """What this stop is to a transaction of its charger (REQUIREMENTS T-7, T-23, T-28, T-29)."""
    if found.state is not TransactionState.STOPPED:
        return StopOutcome.STOPPED
    same_time = found.stopped_ms == stop.timestamp_ms or UNREADABLE_FLAG in stop.flags
    if same_time and found.meter_stop_wh == stop.meter_stop_wh:
        return StopOutcome.REPEATED
    return StopOutcome.SUSPECT


def _belongs(unit: Unit, stop: Stop, found: TransactionRecord, tag: IdTag | None) -> bool:
    """Whether a tag may stop what another one started: the same, one of its group, or the group's own (T-24, A-2b)."""
    if stop.id_tag_key is None:
        return True
    key, parent_key = unit.one(_KEYS, {"the_id": found.transaction_id})
    if stop.id_tag_key == key:
        return True
    return parent_key is not None and parent_key in (stop.id_tag_key, None if tag is None else tag.parent_key)


def _stop(unit: Unit, message: Inbound, stop: Stop, found: TransactionRecord, tag: IdTag | None) -> None:
    energy_wh = stop.meter_stop_wh - found.meter_start_wh
    doubts = []
    if energy_wh < 0:
        doubts.append(METER_FELL)
    if energy_wh > MOST_ENERGY_WH:
        doubts.append(ENERGY_ABSURD)
    if stop.timestamp_ms < found.started_ms:
        doubts.append(STOP_BEFORE_START)
    doubts += [flag for flag in (METER_START_MISSING, METER_STOP_MISSING) if flag in (*found.flags, *stop.flags)]
    notes = [] if _belongs(unit, stop, found, tag) else [OTHER_TAG]
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
            "new_flags": json.dumps(tuple(dict.fromkeys((*found.flags, *stop.flags, *doubts, *notes)))),
        },
    )


def closed(unit: Unit, transaction_id: int, reason: str, now_ms: int) -> TransactionRecord | None:
    """See `TransactionRecords.transaction_closed`."""
    row: Parameters = {
        "the_id": transaction_id,
        "new_state": TransactionState.CLOSED.value,
        "now_ms": now_ms,
        "why": reason,
        **{state.name: state.value for state in CLOSABLE},
    }
    changed = meter_values.is_transaction_id(transaction_id) and unit.run(_CLOSED, row) == 1
    found = transaction_lists.read(unit, transaction_id)
    if changed and found is not None:
        consequences.transaction_ended(unit, found, now_ms)
        events.happened(
            unit, EventKind.TRANSACTION_CLOSED, found.charger, now_ms, transactionId=str(transaction_id), reason=reason
        )
    return found


def stops_missing(unit: Unit, before_ms: int, now_ms: int) -> list[int]:
    """See `TransactionRecords.stops_missing`."""
    found = unit.all(_STOP_MISSING, {"before_ms": before_ms, "new_state": TransactionState.STOP_MISSING.value})
    for transaction_id, charger in found:
        events.happened(unit, EventKind.STOP_MISSING, charger, now_ms, transactionId=str(transaction_id))
    return sorted(row[0] for row in found)
