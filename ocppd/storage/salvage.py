"""What the records know where a transaction's message says nothing: registers. Functions over a running transaction.

REQUIREMENTS E-1. Asked for messages that were salvaged, and for no others. What is taken from elsewhere is flagged as assumed;
where nothing is known the flag stays, and there will be no energy (T-25).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sqlalchemy import Text, and_, bindparam, func, or_, select

from ocppd.storage.records import Inbound, Start, Stop, TransactionRecord, TransactionState
from ocppd.storage.schema import meter_values, meter_values_of, transactions
from ocppd.storage.unit import Parameters, Statement, Unit
from ocppd.v16.salvage import METER_START_MISSING, METER_STOP_MISSING

METER_START_ASSUMED = "meterStartAssumed"
METER_STOP_ASSUMED = "meterStopAssumed"
#: How far before the newest sample the register is looked for: not all samples are of energy.
_WINDOW_MS: Final = 15 * 60 * 1000

_SALVAGED = or_(
    transactions.c.flags.like(bindparam("missing", type_=Text())), transactions.c.flags.like(bindparam("assumed", type_=Text()))
)
_SAME_START = Statement(
    select(transactions.c.meter_start_wh)
    .where(
        transactions.c.charger == bindparam("the_charger"),
        transactions.c.connector_id == bindparam("the_connector"),
        transactions.c.id_tag_key == bindparam("the_tag"),
        transactions.c.started_ms == bindparam("the_start"),
        _SALVAGED,
    )
    .order_by(transactions.c.dedup_epoch.desc())
)
_LAST_STOPPED = select(func.max(transactions.c.transaction_id)).where(
    transactions.c.charger == bindparam("the_charger"),
    transactions.c.connector_id == bindparam("the_connector"),
    transactions.c.meter_stop_wh.is_not(None),
    transactions.c.flags.not_like(bindparam("unknown", type_=Text())),
)
_LAST_STOP = Statement(
    select(transactions.c.meter_stop_wh).where(transactions.c.transaction_id == _LAST_STOPPED.scalar_subquery())
)
_HERE = and_(
    meter_values_of.c.charger == bindparam("the_charger"),
    meter_values_of.c.transaction_id == bindparam("the_id"),
    meter_values_of.c.connector_id == bindparam("the_connector"),
)
_NEWEST = select(func.max(meter_values_of.c.timestamp_ms)).where(_HERE)
_NEWEST_SAMPLES = Statement(
    select(meter_values.c.samples)
    .where(
        meter_values.c.sequence.in_(
            select(meter_values_of.c.sequence).where(
                _HERE, meter_values_of.c.timestamp_ms >= _NEWEST.scalar_subquery() - bindparam("the_window")
            )
        )
    )
    .order_by(meter_values.c.timestamp_ms.desc())
)


def completed_start(unit: Unit, message: Inbound, start: Start) -> Start:
    """A start without a register: it begins where the same start did before, else where the last one here has stopped."""
    row: Parameters = {"the_charger": message.charger, "the_connector": start.connector_id}
    before = unit.one(
        _SAME_START,
        {
            **row,
            "the_tag": start.id_tag_key,
            "the_start": start.timestamp_ms,
            "missing": _like(METER_START_MISSING),
            "assumed": _like(METER_START_ASSUMED),
        },
    )
    known = before or unit.one(_LAST_STOP, {**row, "unknown": _like(METER_STOP_MISSING)})
    if known is None:
        return start
    flags = _assumed(start.flags, METER_START_MISSING, METER_START_ASSUMED)
    return replace(start, meter_start_wh=int(known[0]), flags=flags)


def completed_stop(unit: Unit, stop: Stop, found: TransactionRecord) -> Stop:
    """A stop without a register: it stops where it did before, else at the last register that was sampled."""
    if found.state is TransactionState.STOPPED and found.meter_stop_wh is not None:
        return replace(stop, meter_stop_wh=found.meter_stop_wh)
    newest = sorted(stop.elements, key=lambda element: -element.timestamp_ms)
    row: Parameters = {
        "the_charger": found.charger,
        "the_id": found.transaction_id,
        "the_connector": found.connector_id,
        "the_window": _WINDOW_MS,
    }
    rows = unit.all(_NEWEST_SAMPLES, row)
    register = stop.register_of([element.samples for element in newest] + [samples for (samples,) in rows])
    if register is None:
        return replace(stop, meter_stop_wh=found.meter_start_wh)
    flags = _assumed(stop.flags, METER_STOP_MISSING, METER_STOP_ASSUMED)
    return replace(stop, meter_stop_wh=register, flags=flags)


def _assumed(flags: Iterable[str], missing: str, assumed: str) -> tuple[str, ...]:
    return tuple(assumed if flag == missing else flag for flag in flags)


def _like(flag: str) -> str:
    return f'%"{flag}"%'
