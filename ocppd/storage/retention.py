"""Old records are removed a little at a time, among the use cases of the writer. Functions over a running transaction.

Numbers grow with time, so the rows of a kind are looked at in the order of their primary key, from where the last portion
ended: no further index is needed, and nothing is looked at twice but what could not go (`retention_postponed`). The
position is committed with what was removed, so that it may all stop at any moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Text, and_, bindparam, delete, literal_column, or_, select, update

from ocppd.storage import filing
from ocppd.storage.records.retention import Cut, Kind, Portion
from ocppd.storage.retention_rules import RULES, Fate, Rule
from ocppd.storage.schema import retention_postponed, retention_progress, retention_turn
from ocppd.storage.spellings import NowMs
from ocppd.storage.thinning import METER_VALUES, Thinning
from ocppd.storage.unit import Statement, Unit, values_of

#: After so long a portion ends, whatever is left of it. The last row may take some milliseconds more, the commit as long again.
LONGEST_S: Final = 0.012
#: The rows of which one is looked at before the time is.
BETWEEN_LOOKS: Final = 8

_TURN = Statement.upsert(
    retention_turn,
    lambda insert: insert.values(
        one=literal_column("1"),
        node=bindparam("the_node", type_=Text()),
        until_ms=NowMs() + bindparam("lease_ms", type_=BigInteger()),
    ).on_conflict_do_update(
        index_elements=[retention_turn.c.one],
        set_={"node": insert.excluded.node, "until_ms": insert.excluded.until_ms},
        where=or_(
            retention_turn.c.node == insert.excluded.node,
            retention_turn.c.until_ms <= NowMs(),
            and_(retention_turn.c.node.is_(None), bindparam("at_once", type_=Boolean())),
        ),
    ),
)
_RESTS = Statement(
    update(retention_turn)
    .where(retention_turn.c.one == literal_column("1"), retention_turn.c.node == bindparam("the_node"))
    .values(node=bindparam("nobody", type_=Text()), until_ms=NowMs() + bindparam("pause_ms", type_=BigInteger()))
)
_NOW = Statement(select(NowMs()))
_POSITION = Statement(select(retention_progress.c.position).where(retention_progress.c.kind == bindparam("the_kind")))
#: It gives something back, so that everything before it has been done when it has.
_MOVED = Statement.upsert(
    retention_progress,
    lambda insert: (
        values_of(insert, "kind", "position", "removed")
        .on_conflict_do_update(
            index_elements=[retention_progress.c.kind],
            set_={
                "position": insert.excluded.position,
                "removed": retention_progress.c.removed + insert.excluded.removed,
            },
        )
        .returning(retention_progress.c.position)
    ),
)
_POSTPONED = Statement.upsert(retention_postponed, lambda insert: values_of(insert, "kind", "number").on_conflict_do_nothing())
_SETTLED = Statement(
    delete(retention_postponed).where(
        retention_postponed.c.kind == bindparam("the_kind"), retention_postponed.c.number == bindparam("the_number")
    )
)


def take_turn(unit: Unit, node: str, lease_ms: int, at_once: bool) -> bool:
    """See `RetentionRecords.take_turn`."""
    return unit.run(_TURN, {"the_node": node, "lease_ms": lease_ms, "at_once": at_once}) == 1


def rest(unit: Unit, node: str, pause_ms: int) -> None:
    """See `RetentionRecords.rest`."""
    unit.send(_RESTS, {"the_node": node, "nobody": None, "pause_ms": pause_ms})


def removed(unit: Unit) -> dict[Kind, int]:
    """See `RetentionRecords.removed`."""
    found = unit.connection.execute(select(retention_progress.c.kind, retention_progress.c.removed))
    return {Kind(kind): count for kind, count in found if kind in tuple(Kind)}


def cut(unit: Unit, portion: Portion, node: str, lease_ms: int, clock: Callable[[], float]) -> Cut | None:
    """See `RetentionRecords.cut`. `clock` gives seconds."""
    begun_s = clock()
    if not take_turn(unit, node, lease_ms, False):
        return None
    if portion.kept_ms is not None:  # the clock of a node that is ahead makes nothing old
        portion = replace(portion, before_ms=min(portion.before_ms, unit.one(_NOW, {})[0] - portion.kept_ms))
    if unit.dialect == "sqlite":
        filing.file(unit)
    again = portion.postponed_after is not None
    position = _position(unit, portion.kind)
    last = position if portion.postponed_after is None else portion.postponed_after
    rows = _rows(unit, portion, last)
    wanted = rows if again else _old(rows, portion)
    looked_at, gone = _Cutting(unit, portion, again=again).run(wanted, lambda: clock() - begun_s > LONGEST_S)
    if looked_at:
        last = wanted[looked_at - 1][0]
    row = {"kind": portion.kind.value, "position": position if again else last, "removed": gone}
    unit.one(_MOVED, row)
    done = looked_at == len(wanted) and (len(wanted) < len(rows) or len(rows) < portion.rows)
    return Cut(looked_at, gone, last, done, begun_s, clock() - begun_s)


def _position(unit: Unit, kind: Kind) -> int:
    row = unit.one(_POSITION, {"the_kind": kind.value})
    return 0 if row is None else int(row[0])


def _rule(kind: Kind) -> Rule:
    return METER_VALUES if kind is Kind.METER_VALUES else RULES[kind]


def _rows(unit: Unit, portion: Portion, last: int) -> list[Any]:
    rule = _rule(portion.kind)
    if portion.postponed_after is None:
        return unit.all(rule.walk, {"the_last": last, "the_count": portion.rows})
    return unit.all(rule.postponed, {"the_kind": portion.kind.value, "the_last": last, "the_count": portion.rows})


def _old(rows: list[Any], portion: Portion) -> list[Any]:
    """Without the young ones at the end. One between old ones had another clock, and is looked at again."""
    count = len(rows)
    while count and rows[count - 1][1] >= portion.before_ms:
        count -= 1
    return rows[:count]


class _Cutting:
    """Looks at rows, one after another. `again`: they are postponed ones, of which some may be gone."""

    def __init__(self, unit: Unit, portion: Portion, *, again: bool) -> None:
        self._unit = unit
        self._portion = portion
        self._again = again
        self._rule = _rule(portion.kind)
        thins = portion.kind is Kind.METER_VALUES
        self._thinning = Thinning(unit, portion.before_ms, portion.interval_ms) if thins else None

    def run(self, rows: list[Any], is_over: Callable[[], bool]) -> tuple[int, int]:
        """How many were looked at, and how many went. It ends where the time is over, after the first row."""
        gone = 0
        every = BETWEEN_LOOKS if self._thinning is None else 1
        for place, row in enumerate(rows):
            if place and place % every == 0 and is_over():
                return place, gone
            gone += self._look(row)
        return len(rows), gone

    def _look(self, row: Any) -> int:
        """How many rows went."""
        absent = row[1] is None
        fate = Fate.GOES if absent else self._rule.judge(row, self._portion.before_ms)
        if self._again and fate is not Fate.LATER:
            self._unit.send(_SETTLED, self._this(row))
        elif not self._again and fate is Fate.LATER:
            self._unit.send(_POSTPONED, {"kind": self._portion.kind.value, "number": row[0]})
        if absent or fate is not Fate.GOES:
            return 0
        if self._thinning is not None:
            return self._thinning.thin(row)
        self._unit.send(self._rule.gone, {"the_number": row[0]})
        return 1

    def _this(self, row: Any) -> dict[str, Any]:
        return {"the_kind": self._portion.kind.value, "the_number": row[0]}
