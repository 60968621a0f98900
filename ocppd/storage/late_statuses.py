"""Statuses that an older connection of a charger was the last to tell. Functions over a running transaction.

A node that stood still goes on with what it had received before. The charger may have connected to another one by then, and
have told its statuses there: what the first one records after that is history, and not what its connectors show. That is put
right with the end of the older connection, which is rare, so that no status pays for it. Where there is but one node, what
it has received is recorded in that order.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, null, select, update

from ocppd.storage import connector_states
from ocppd.storage.schema import connectors, messages, statuses
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Parameters, Statement, Unit

#: What a connector shows of its status.
_SHOWN: Final = ("status", "error_code", "info", "vendor_id", "vendor_error_code", "timestamp_ms", "received_ms")
_newest = (
    select(*(statuses.c[name] for name in _SHOWN), messages.c.generation)
    .select_from(statuses.join(messages, messages.c.sequence == statuses.c.sequence))
    .where(statuses.c.charger == bindparam("the_charger"), statuses.c.connector_id == bindparam("the_connector"))
    .order_by(statuses.c.sequence.desc())
)
_CONNECTORS = Statement(select(connectors.c.connector_id).where(connectors.c.charger == bindparam("the_charger")))
_LAST = Statement(at_most(_newest, 1))
_LAST_OF_NEWER = Statement(at_most(_newest.where(messages.c.generation > bindparam("the_generation")), 1))
_SHOW = Statement(
    update(connectors)
    .where(connectors.c.charger == bindparam("the_charger"), connectors.c.connector_id == bindparam("the_connector"))
    .values({name: bindparam(f"new_{name}") for name in (*_SHOWN, "warnings")} | {"previous": null()})
)


def put_right(unit: Unit, charger: str, generation: int) -> None:
    """The connection of that generation is over, and was not the newest: show what newer ones have told."""
    if unit.dialect == "sqlite":
        return
    for (connector_id,) in unit.all(_CONNECTORS, {"the_charger": charger}):
        this: Parameters = {"the_charger": charger, "the_connector": connector_id}
        last = unit.one(_LAST, this)
        if last is None or last[-1] > generation:
            continue
        newer = unit.one(_LAST_OF_NEWER, {**this, "the_generation": generation})
        if newer is not None:
            shown = {f"new_{name}": value for name, value in zip(_SHOWN, newer, strict=False)}
            warnings = connector_states.warning(newer[0], newer[1])
            unit.send(_SHOW, {**this, **shown, "new_warnings": warnings})
