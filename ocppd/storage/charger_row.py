"""The row of a charger, held by who decides something that another node may be deciding for the same charger at this moment."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select

from ocppd.storage.schema import chargers
from ocppd.storage.unit import Statement, Unit, values_of

_EXPECTED = Statement.upsert(chargers, lambda insert: values_of(insert, "name", "generation").on_conflict_do_nothing())
#: A statement of its own: what it has waited for is in the snapshot of the next one, and only there.
_LOCKED = Statement(select(chargers.c.firmware_version).where(chargers.c.name == bindparam("the_name")).with_for_update())


def locked(unit: Unit, charger: str) -> str | None:
    """Have the row until the end of the transaction, made where there is none; the charger's firmware version, if it told it."""
    unit.send(_EXPECTED, {"name": charger, "generation": 0})
    row: Any = unit.one(_LOCKED, {"the_name": charger})
    return None if row[0] is None else str(row[0])
