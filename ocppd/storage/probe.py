"""Whether a write could be committed now. Functions over a running transaction."""

from __future__ import annotations

from zlib import crc32

from ocppd.storage.schema import probe
from ocppd.storage.unit import Statement, Unit, values_of

#: Nodes have new names with each start, and nobody removes the rows of old ones; two that share a row only wait a little.
ROWS = 1024

_WRITTEN = Statement.upsert(
    probe,
    lambda insert: values_of(insert, "probe_id", "written").on_conflict_do_update(
        index_elements=[probe.c.probe_id], set_={"written": probe.c.written + insert.excluded.written}
    ),
)


def row_of(node: str) -> int:
    """The row that this node writes, so that nodes do not wait for each other."""
    return 1 + crc32(node.encode()) % ROWS


def written(unit: Unit, probe_id: int) -> None:
    """Change one row, so that the commit has something to make durable."""
    unit.run(_WRITTEN, {"probe_id": probe_id, "written": 1})
