"""Whether a write could be committed now. One function over a running transaction."""

from __future__ import annotations

from ocppd.storage.schema import probe
from ocppd.storage.unit import Statement, Unit, values_of

_WRITTEN = Statement.upsert(
    probe,
    lambda insert: values_of(insert, "probe_id", "written").on_conflict_do_update(
        index_elements=[probe.c.probe_id], set_={"written": probe.c.written + insert.excluded.written}
    ),
)


def written(unit: Unit) -> None:
    """Change one row, so that the commit has something to make durable."""
    unit.run(_WRITTEN, {"probe_id": 1, "written": 1})
