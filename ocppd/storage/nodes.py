"""The processes that share the records, by leases. Functions over a running transaction.

Instants are by the database's own clock, so that the clocks of machines need not agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, bindparam, delete, func, select, update

from ocppd.storage import calls, events
from ocppd.storage.records import Census, DroppedCall, EventKind
from ocppd.storage.schema import chargers, nodes
from ocppd.storage.spellings import NowMs
from ocppd.storage.unit import Statement, Unit

#: Why chargers are disconnected whose node has died.
NODE_LOST: Final = "nodeLost"

_LIVES = Statement.upsert(
    nodes,
    lambda insert: insert.values(node=bindparam("node"), seen_ms=NowMs()).on_conflict_do_update(
        index_elements=[nodes.c.node], set_={"seen_ms": insert.excluded.seen_ms}
    ),
)
_SILENT_MS = Statement(select(NowMs() - nodes.c.seen_ms).where(nodes.c.node == bindparam("the_node")))
_DEAD = Statement(
    delete(nodes).where(nodes.c.seen_ms < NowMs() - bindparam("lease_ms", type_=BigInteger())).returning(nodes.c.node)
)
_OTHERS_GONE = Statement(delete(nodes).where(nodes.c.node != bindparam("the_node")).returning(nodes.c.node))
_GONE = Statement(delete(nodes).where(nodes.c.node == bindparam("the_node")))
_OTHERS = Statement(select(func.count()).select_from(nodes).where(nodes.c.node != bindparam("the_node")))
_NOW = Statement(select(NowMs()))
_HELD = Statement(select(chargers.c.name).where(chargers.c.node == bindparam("the_node")).order_by(chargers.c.name))
_LET_GO = Statement(
    update(chargers).where(chargers.c.node == bindparam("the_node")).values(node=bindparam("nobody")),
)


def started(unit: Unit, node: str, alone: bool) -> Census:
    """See `NodeRecords.node_started`. `alone`: nobody else can use these records."""
    dead = unit.all(_OTHERS_GONE, {"the_node": node}) if alone else []
    unit.send(_LIVES, {"node": node})
    return Census(_others(unit, node), tuple(_buried(unit, dead)))


def alive(unit: Unit, node: str, lease_ms: int) -> Census:
    """See `NodeRecords.node_alive`."""
    silent = unit.one(_SILENT_MS, {"the_node": node})
    unit.send(_LIVES, {"node": node})
    if silent is None:
        _tell_held(unit, EventKind.CHARGER_CONNECTED, node, node=node)
        return Census(_others(unit, node), (), revived=True)
    dead = [] if silent[0] > lease_ms // 2 else unit.all(_DEAD, {"lease_ms": lease_ms})
    return Census(_others(unit, node), tuple(_buried(unit, dead) if dead else ()))


def stopped(unit: Unit, node: str) -> list[DroppedCall]:
    """See `NodeRecords.node_stopped`."""
    unit.send(_GONE, {"the_node": node})
    ended = calls.interrupted(unit)
    _tell_held(unit, EventKind.CHARGER_DISCONNECTED, node)
    unit.send(_LET_GO, {"the_node": node, "nobody": None})
    return ended


def _others(unit: Unit, node: str) -> int:
    return int(unit.one(_OTHERS, {"the_node": node})[0])


def _buried(unit: Unit, dead: Sequence[tuple[str]]) -> list[DroppedCall]:
    """End what these nodes, and all before them, have left behind."""
    for (node,) in dead:
        _tell_held(unit, EventKind.CHARGER_DISCONNECTED, node, reason=NODE_LOST)
    return calls.interrupted(unit)


def _tell_held(unit: Unit, kind: EventKind, holder: str, **members: str) -> None:
    """Something happened at once to all chargers that a node holds by their rows."""
    held = unit.all(_HELD, {"the_node": holder})
    if held:
        now_ms = unit.one(_NOW, {})[0]
        for (charger,) in held:
            events.happened(unit, kind, charger, now_ms, **members)
