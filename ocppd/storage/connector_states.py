"""What a status means for the current state of its connector, as parts of the one statement that stores it.

REQUIREMENTS N-1, N-3: what arrives last is current, unless it is a late message of a charger whose clock is good; error codes
without a fault are warnings until the next NoError. Nothing here costs a statement of its own.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, literal_column, not_, select

from ocppd.storage.schema import chargers, connectors

#: N-1, G-2: beyond this a clock is wrong, and a status is an old one.
TOLERANCE_MS: Final = 5 * 60 * 1000
#: How long a clock that was right is taken to be so.
CLOCK_IS_KNOWN_MS: Final = 10 * 60 * 1000
#: 2010-01-01T00:00:00Z: an instant before comes of a clock that was never set.
CLOCK_WAS_SET_MS: Final = 1_262_304_000_000
#: Characters of warnings that are kept; more are the same few over again.
MOST_WARNINGS: Final = 500
#: G-8: connectors are numbered from 1 on without gaps. A status of a higher number than any charger has is on record, and no
#: connector comes of it: they are shown with their charger, all of them.
HIGHEST: Final = 999

#: Whether a status that was just stored is its connector's now, as `is_current` has decided: one that is not is of an earlier
#: instant. It is history, and nothing follows from it.
IS_SHOWN: Final = exists().where(
    connectors.c.charger == bindparam("the_charger"),
    connectors.c.connector_id == bindparam("the_connector"),
    connectors.c.timestamp_ms == bindparam("the_timestamp"),
)

_tolerance: ColumnElement[Any] = literal_column(str(TOLERANCE_MS))
_nothing: ColumnElement[Any] = literal_column("''")
_no_error: ColumnElement[Any] = literal_column("'NoError'")


def warning(status: str, error_code: str) -> str:
    """The warning that a status brings, between blanks."""
    return "" if error_code == "NoError" or status == "Faulted" else f" {error_code} "


def warned(insert: Any) -> ColumnElement[str]:
    """The warnings of a connector after the status that `insert` brings."""
    here, new = connectors.c.warnings, insert.excluded.warnings
    known = here.contains(new) | (func.length(here) > literal_column(str(MOST_WARNINGS)))
    return case((insert.excluded.error_code == _no_error, _nothing), (known, here), else_=here.op("||")(new))


def is_current(insert: Any) -> ColumnElement[bool]:
    """Whether the status that `insert` brings is the connector's now.

    It is not where it is of more than five minutes before the last one, and the clock was right with that one; where that one had
    no time that could be read, it has that of its receipt, and says nothing of the clock. A boot since then may have left the
    clock wrong, and so may time: a state must not be stuck for as long as a clock has been set back.
    """
    here, new = connectors.c, insert.excluded
    # As text: Core would take `excluded` for another table to select from.
    charger: ColumnElement[str] = literal_column("excluded.charger")
    booted = select(chargers.c.registered_ms).where(chargers.c.name == charger).scalar_subquery()
    late = and_(
        new.timestamp_ms < here.timestamp_ms - _tolerance,
        func.abs(here.timestamp_ms - here.received_ms) <= _tolerance,
        here.timestamp_ms != here.received_ms,
        new.timestamp_ms >= literal_column(str(CLOCK_WAS_SET_MS)),
        here.received_ms > func.coalesce(booted, literal_column("0")),
        new.received_ms < here.received_ms + literal_column(str(CLOCK_IS_KNOWN_MS)),
    )
    return not_(late)
