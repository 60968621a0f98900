"""Which chargers' configurations are to be read, and who reads them. Functions over a running transaction.

Of several nodes the one that holds a charger reads it; a reading that is claimed is nobody else's for a while.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, case, func, literal_column, select, update

from ocppd.storage.schema import chargers, configuration_readings
from ocppd.storage.schema.configuration import IS_DUE
from ocppd.storage.unit import Parameters, Statement, Unit

#: A charger that does not answer is asked again after so long, and after so many attempts not before its next boot.
PATIENCE_MS: Final = 10 * 60_000
ATTEMPTS: Final = 3

_readings = configuration_readings
#: One that is not accepted keeps its attempts for when it is.
_MAY_BE_ASKED: Final = func.coalesce(chargers.c.registration, literal_column("'Accepted'")) == literal_column("'Accepted'")
_next = case(
    (_readings.c.attempts + literal_column("1") < bindparam("most"), bindparam("again_ms")), else_=literal_column("NULL")
)
_CLAIMED = Statement(
    update(_readings)
    .where(_readings.c.charger == bindparam("the_charger"), IS_DUE, _readings.c.due_ms <= bindparam("until_ms"))
    .values(due_ms=_next, attempts=_readings.c.attempts + literal_column("1"))
)


def due_here(unit: Unit, node: str, now_ms: int, limit: int) -> list[str]:
    """See `ConfigurationRecords.readings_due`."""
    query = (
        select(_readings.c.charger)
        .select_from(_readings.join(chargers, chargers.c.name == _readings.c.charger))
        .where(IS_DUE, _readings.c.due_ms <= now_ms, chargers.c.node == node, _MAY_BE_ASKED)
        .order_by(_readings.c.due_ms)
        .limit(limit)
    )
    return [row[0] for row in unit.connection.execute(query)]


def claimed(unit: Unit, charger: str, until_ms: int, now_ms: int) -> bool:
    """See `ConfigurationRecords.claim_reading`."""
    row: Parameters = {"the_charger": charger, "until_ms": until_ms, "most": ATTEMPTS, "again_ms": now_ms + PATIENCE_MS}
    return unit.run(_CLAIMED, row) == 1
