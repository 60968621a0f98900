"""Statuses that an older connection of a charger was the last to tell. Functions over a running transaction.

A node that stood still goes on with what it had received before. The charger may have connected to another one by then, and
have told its statuses there: what the first one records after that is history, and not what its connectors show. That is put
right with the end of the older connection, which is rare, so that no status pays for it. What one node has received is
recorded in that order.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, bindparam, null, or_, select, update

from ocppd.storage import connector_states
from ocppd.storage.schema import chargers, connectors, messages, statuses
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Parameters, Statement, Unit

#: Statuses of a connector that are looked at: more than a node holds of one charger when it stands still.
LOOKED_AT: Final = 200
#: What a connector shows of its status.
_SHOWN: Final = ("status", "error_code", "info", "vendor_id", "vendor_error_code", "timestamp_ms", "received_ms")
_newest = (
    select(*(statuses.c[name] for name in _SHOWN), messages.c.generation)
    .select_from(statuses.join(messages, messages.c.sequence == statuses.c.sequence))
    .where(statuses.c.charger == bindparam("the_charger"), statuses.c.connector_id == bindparam("the_connector"))
    .order_by(statuses.c.sequence.desc())
)
#: A newer connection is another node's, or may have been: it has ended, and the records know of no node, or led back here.
_ELSEWHERE = Statement(
    select(chargers.c.generation).where(
        chargers.c.name == bindparam("the_charger"),
        or_(
            chargers.c.node.is_(None),
            chargers.c.node != bindparam("the_node"),
            chargers.c.generation > bindparam("the_next", type_=BigInteger()),
        ),
    )
)
_CONNECTORS = Statement(select(connectors.c.connector_id).where(connectors.c.charger == bindparam("the_charger")))
_LAST = Statement(at_most(_newest, LOOKED_AT))
_SHOW = Statement(
    update(connectors)
    .where(connectors.c.charger == bindparam("the_charger"), connectors.c.connector_id == bindparam("the_connector"))
    .values({name: bindparam(f"new_{name}") for name in (*_SHOWN, "warnings")} | {"previous": null()})
)


def put_right(unit: Unit, charger: str, generation: int, node: str) -> None:
    """The connection of that generation, to this node, is over, and was not the newest: show what newer ones have told."""
    newest: Parameters = {"the_charger": charger, "the_node": node, "the_next": generation + 1}
    if unit.dialect == "sqlite" or unit.one(_ELSEWHERE, newest) is None:
        return
    for (connector_id,) in unit.all(_CONNECTORS, {"the_charger": charger}):
        this: Parameters = {"the_charger": charger, "the_connector": connector_id}
        last = unit.all(_LAST, this)
        newer = next((row for row in last if row[-1] > generation), None)
        if newer is not None and last[0] is not newer:
            shown = {f"new_{name}": value for name, value in zip(_SHOWN, newer, strict=False)}
            warnings = connector_states.warning(newer[0], newer[1])
            unit.send(_SHOW, {**this, **shown, "new_warnings": warnings})
