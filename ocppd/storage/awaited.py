"""Whether anything is awaited of a charger, asked once for many messages. Functions over a running transaction.

Nearly always nothing is, of anybody; and what is awaited was committed before the charger could know of it, so before the
transaction that its message is in.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from ocppd.storage.schema import IS_UNDECIDED, follow_ups
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Statement, Unit

#: Chargers that are asked for by name; where there are more, something may be awaited of any.
MOST: Final = 500
_AWAITED = Statement(at_most(select(follow_ups.c.charger).where(IS_UNDECIDED), MOST))


def is_awaited(unit: Unit, charger: str) -> bool:
    """Whether a follow-up of this charger may be undecided."""
    awaited = unit.fact(_AWAITED, {}, settled=True)
    return len(awaited) == MOST or (charger,) in awaited


def more_is_awaited(unit: Unit) -> None:
    """A follow-up waits to be written."""
    unit.forget(_AWAITED)
