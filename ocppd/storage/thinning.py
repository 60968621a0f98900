"""Meter values that grow old: one element of each interval stays, and what billing needs. Functions over a running transaction.

Of a transaction the first and the last element stay at each connector, and those of its begin and end; values of an open
transaction are left alone. One interval is done at once, whichever of its rows was met first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Text, and_, bindparam, delete, exists, literal_column, select

from ocppd.storage.records import UNREADABLE_MS
from ocppd.storage.retention_rules import Fate, rule_of
from ocppd.storage.schema import filed_meter_values, meter_values, transactions
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Parameters, Statement, Unit

#: Elements of one interval that are looked at together; of more the others are met later.
TOGETHER: Final = 200
#: Contexts, in lower case: chargers have several spellings.
BILLED: Final = frozenset({"transaction.begin", "transaction.end"})
ALIGNED: Final = "sample.clock"

_is_open = exists().where(
    transactions.c.transaction_id == meter_values.c.transaction_id,
    transactions.c.state == literal_column("'open'", type_=Text()),
)
#: What is old enough has been filed (`filing`).
_filed = filed_meter_values
_SERIES: Final = and_(
    _filed.c.charger == bindparam("the_charger"),
    _filed.c.transaction_id == bindparam("the_transaction"),
    _filed.c.connector_id == bindparam("the_connector"),
)
_ORDER: Final = (_filed.c.timestamp_ms, _filed.c.sequence)
_TOGETHER = Statement(
    at_most(
        select(meter_values.c.sequence, meter_values.c.samples)
        .select_from(_filed.join(meter_values, meter_values.c.sequence == _filed.c.sequence))
        .where(
            _SERIES,
            _filed.c.timestamp_ms >= bindparam("since_ms", type_=BigInteger()),
            _filed.c.timestamp_ms < bindparam("until_ms", type_=BigInteger()),
            meter_values.c.received_ms < bindparam("before_ms", type_=BigInteger()),
        )
        .order_by(*_ORDER),
        TOGETHER,
    )
)
_told = _filed.c.timestamp_ms > bindparam("unreadable", type_=BigInteger())
_FIRST = Statement(at_most(select(_filed.c.sequence).where(_SERIES, _told).order_by(*_ORDER), 1))
_LAST = Statement(at_most(select(_filed.c.sequence).where(_SERIES, _told).order_by(*(column.desc() for column in _ORDER)), 1))
_GONE = Statement(delete(meter_values).where(meter_values.c.sequence == bindparam("the_number")))


def _judge(row: Any, before_ms: int) -> Fate:
    """An element of an instant that nobody could read stays."""
    _, received_ms, _, _, _, timestamp_ms, is_open = row
    if received_ms >= before_ms or is_open:
        return Fate.LATER
    return Fate.STAYS if timestamp_ms == UNREADABLE_MS else Fate.GOES


METER_VALUES: Final = rule_of(
    meter_values,
    meter_values.c.sequence,
    (
        meter_values.c.received_ms,
        meter_values.c.charger,
        meter_values.c.transaction_id,
        meter_values.c.connector_id,
        meter_values.c.timestamp_ms,
        _is_open,
    ),
    _judge,
)


class Thinning:
    """What one portion of the work has to know. `interval_ms` is above 0."""

    def __init__(self, unit: Unit, before_ms: int, interval_ms: int) -> None:
        self._unit = unit
        self._before_ms = before_ms
        self._interval_ms = interval_ms
        self._gone: set[int] = set()
        self._ends: dict[tuple[str, int, int], frozenset[int]] = {}

    def thin(self, row: Any) -> int:
        """Thin out the interval of this row of METER_VALUES; how many elements went."""
        number, _, charger, transaction_id, connector_id, timestamp_ms, _ = row
        if number in self._gone:
            return 0
        since_ms = timestamp_ms - timestamp_ms % self._interval_ms
        series: Parameters = {"the_charger": charger, "the_transaction": transaction_id, "the_connector": connector_id}
        interval = {"since_ms": since_ms, "until_ms": since_ms + self._interval_ms, "before_ms": self._before_ms}
        elements = self._unit.all(_TOGETHER, {**series, **interval})
        if len(elements) < 2:
            return 0
        going = superfluous(elements, self._ends_of(charger, transaction_id, connector_id, series))
        for each in going:
            self._unit.send(_GONE, {"the_number": each})
        self._gone.update(going)
        return len(going)

    def _ends_of(self, charger: str, transaction_id: int, connector_id: int, series: Parameters) -> frozenset[int]:
        """The first and the last element of a transaction at a connector; of no transaction there is neither."""
        if not transaction_id:
            return frozenset()
        key = (charger, transaction_id, connector_id)
        if key not in self._ends:
            told = {**series, "unreadable": UNREADABLE_MS}
            self._ends[key] = frozenset(self._unit.one(statement, told)[0] for statement in (_FIRST, _LAST))
        return self._ends[key]


def superfluous(elements: Sequence[tuple[int, str]], ends: frozenset[int]) -> list[int]:
    """Of the elements of an interval, numbers and samples in order of time, those that may go. `ends` stay."""
    others = []
    aligned = None
    for number, samples in elements:
        contexts = contexts_of(samples)
        if number in ends or contexts is None or contexts & BILLED:
            continue
        others.append(number)
        if aligned is None and ALIGNED in contexts:
            aligned = number
    kept = others[0] if aligned is None and others else aligned
    return [number for number in others if number != kept]


def contexts_of(samples: str) -> frozenset[str] | None:
    """The contexts that samples name, as chargers have sent them; None where they cannot be read."""
    if "context" not in samples and "\\u" not in samples:
        return frozenset()
    try:
        found = msgspec.json.decode(samples)
        return frozenset(str(sample.get("context", "")).strip().casefold() for sample in found)
    except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError, AttributeError):
        return None
