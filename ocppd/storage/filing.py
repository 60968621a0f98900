"""What is found by charger is filed many rows at a time, after they were written. Functions over a running transaction.

SQLite alone needs it: `ocppd.storage.schema.filing` says why. Numbers are given by the one who writes, in order, so all
rows of a transaction lie behind those that were filed before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, CompoundSelect, Select, Table, func, literal_column, select, text, union_all

from ocppd.storage.schema import filed_messages, filed_statuses, filing, messages, meter_values
from ocppd.storage.unit import Statement, Unit

#: Numbers that are filed at once: some milliseconds of work.
PORTION: Final = 4096
#: Use cases after which it is done again: what is not filed is looked through by who reads.
OFTEN: Final = 4096

_JOURNAL, _METER_VALUES = "journal", "meter_values"
_THROUGH: Final = Statement(text("SELECT through FROM filing WHERE kind = :the_kind"))
_FILED: Final = Statement(text("UPDATE filing SET through = :upto WHERE kind = :the_kind"))


def _filing(name: str, columns: str) -> Statement:
    rows = f"SELECT {columns} FROM {name} WHERE sequence > :after AND sequence <= :upto ORDER BY {columns}"
    return Statement(text(f"INSERT INTO filed_{name} {rows}"))


#: The column that rows of `of_charger` are put in order by.
SEQUENCE: Final[ColumnElement[int]] = literal_column("sequence")

#: What is filed together, with the newest number of it.
_KINDS: Final = {
    _JOURNAL: (
        Statement(select(func.max(messages.c.sequence))),
        (_filing("messages", "charger, sequence"), _filing("statuses", "charger, connector_id, sequence")),
    ),
    _METER_VALUES: (
        Statement(select(func.max(meter_values.c.sequence))),
        (_filing("meter_values", "charger, transaction_id, connector_id, timestamp_ms, sequence"),),
    ),
}


def file(unit: Unit) -> bool:
    """File a portion of what was written since the last time; whether there is more."""
    more = False
    for kind, (newest, statements) in _KINDS.items():
        last = unit.one(newest, {})[0] or 0
        after = unit.one(_THROUGH, {"the_kind": kind})[0]
        upto = min(last, after + PORTION)
        if upto <= after:
            continue
        for statement in statements:
            unit.run(statement, {"after": after, "upto": upto})
        unit.run(_FILED, {"the_kind": kind, "upto": upto})
        more = more or upto < last
    return more


def written_back(unit: Unit) -> None:
    """Of SQLite, on a reader's thread: write the WAL back into the file, so that no commit of the writer's has to.

    It comes to ten thousand pages otherwise, from all over the file, which takes several times as long as a portion.
    """
    connection = unit.connection
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA query_only").scalar():
        connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()


def of_charger(
    dialect: str,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    keys: Mapping[str, Any],
    conditions: Sequence[ColumnElement[bool]] = (),
    bound: Callable[[ColumnElement[int]], ColumnElement[bool]] | None = None,
    above: ColumnElement[int] | None = None,
) -> Select[Any] | CompoundSelect[Any]:
    """Rows of `messages` or `statuses` whose key columns have these values, to be put in the order of their sequence.

    `bound` says which numbers; those `above` one are sought from there on.
    """
    filed = filed_messages if table is messages else filed_statuses
    number = table.c.sequence
    same = [table.c[name] == value for name, value in keys.items()]
    limits = [] if bound is None else [bound(number)]
    rows = select(*columns).where(*same, *limits, *conditions)
    if dialect != "sqlite":
        return rows if above is None else rows.where(number > above)
    through = select(filing.c.through).where(filing.c.kind == literal_column(f"'{_JOURNAL}'")).scalar_subquery()
    of_filed = [filed.c[name] == value for name, value in keys.items()]
    if bound is not None:
        of_filed.append(bound(filed.c.sequence))
    if above is not None:
        of_filed.append(filed.c.sequence > above)
    of_both = [filed.c.sequence if column is number else column for column in columns]
    found = select(*of_both).select_from(_joined(filed, table)).where(*of_filed, *conditions)
    # Of two limits SQLite would take one to begin from, which may be the one that leaves out less.
    return union_all(found, rows.where(number > (through if above is None else func.max(above, through))))


def _joined(filed: Table, table: Table) -> Any:
    return filed.join(table, table.c.sequence == filed.c.sequence)
