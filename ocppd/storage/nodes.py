"""The processes that share the records, by leases. Functions over a running transaction.

Instants are by the database's own clock, so that the clocks of machines need not agree.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, bindparam, delete, func, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from ocppd.storage import calls
from ocppd.storage.records import Census, DroppedCall
from ocppd.storage.schema import chargers, nodes
from ocppd.storage.unit import Statement, Unit


class NowMs(FunctionElement[int]):
    """The instant by the database's clock, not that of the transaction's begin."""

    type = BigInteger()
    inherit_cache = True


@compiles(NowMs, "sqlite")
def _now_sqlite(element: NowMs, compiler: Any, **options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(NowMs, "postgresql")
def _now_postgresql(element: NowMs, compiler: Any, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


_LIVES = Statement.upsert(
    nodes,
    lambda insert: insert.values(node=bindparam("node"), seen_ms=NowMs()).on_conflict_do_update(
        index_elements=[nodes.c.node], set_={"seen_ms": insert.excluded.seen_ms}
    ),
)
_SILENT_MS = Statement(select(NowMs() - nodes.c.seen_ms).where(nodes.c.node == bindparam("the_node")))
_DEAD = Statement(delete(nodes).where(nodes.c.seen_ms < NowMs() - bindparam("lease_ms", type_=BigInteger())))
_OTHERS_GONE = Statement(delete(nodes).where(nodes.c.node != bindparam("the_node")))
_GONE = Statement(delete(nodes).where(nodes.c.node == bindparam("the_node")))
_OTHERS = Statement(select(func.count()).select_from(nodes).where(nodes.c.node != bindparam("the_node")))
_LET_GO = Statement(
    update(chargers).where(chargers.c.node == bindparam("the_node")).values(node=bindparam("nobody")),
)


def started(unit: Unit, node: str, alone: bool) -> Census:
    """See `NodeRecords.node_started`. `alone`: nobody else can use these records."""
    if alone:
        unit.send(_OTHERS_GONE, {"the_node": node})
    unit.send(_LIVES, {"node": node})
    return Census(_others(unit, node), tuple(calls.interrupted(unit)))


def alive(unit: Unit, node: str, lease_ms: int) -> Census:
    """See `NodeRecords.node_alive`."""
    silent = unit.one(_SILENT_MS, {"the_node": node})
    unit.send(_LIVES, {"node": node})
    if silent is None:
        return Census(_others(unit, node), (), revived=True)
    if silent[0] > lease_ms // 2 or unit.run(_DEAD, {"lease_ms": lease_ms}) == 0:
        return Census(_others(unit, node), ())
    return Census(_others(unit, node), tuple(calls.interrupted(unit)))


def stopped(unit: Unit, node: str) -> list[DroppedCall]:
    """See `NodeRecords.node_stopped`."""
    unit.send(_GONE, {"the_node": node})
    ended = calls.interrupted(unit)
    unit.send(_LET_GO, {"the_node": node, "nobody": None})
    return ended


def _others(unit: Unit, node: str) -> int:
    return int(unit.one(_OTHERS, {"the_node": node})[0])
