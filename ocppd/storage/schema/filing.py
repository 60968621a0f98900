"""What of the growing tables is found by charger. In SQLite entries are filed later, many at once (`ocppd.storage.filing`).

An entry of an index by charger lies somewhere else for each charger: to make it with the row would write a page of its own
for every message and index. So the tables themselves have no such index in SQLite. What is filed is in `filed_…`; what is
not yet is the end of its table, after the number in `filing`. The views `…_of` have both. In PostgreSQL, where an entry is
written as such, the tables have their indexes, and all of these names are views.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, Text, event

from ocppd.storage.schema.base import metadata

#: Not of `metadata`: they are tables in one product and views in the other.
_filed = MetaData()

_CHARGER, _SEQUENCE = ("charger", Text), ("sequence", BigInteger)


def _view(name: str, *columns: tuple[str, type]) -> Table:
    return Table(name, _filed, *(Column(column, kind) for column, kind in columns))


#: One row for the journal with the statuses, whose numbers are the same, one for the meter values.
filing = _view("filing", ("kind", Text), ("through", BigInteger))
filed_messages = _view("filed_messages", _CHARGER, _SEQUENCE)
filed_statuses = _view("filed_statuses", _CHARGER, ("connector_id", BigInteger), _SEQUENCE)
_METER_VALUES: Final = (
    _CHARGER,
    ("transaction_id", Integer),
    ("connector_id", BigInteger),
    ("timestamp_ms", BigInteger),
    _SEQUENCE,
)
filed_meter_values = _view("filed_meter_values", *_METER_VALUES)
messages_of = _view("messages_of", _CHARGER, _SEQUENCE)
meter_values_of = _view("meter_values_of", *_METER_VALUES)

_COLUMNS: Final = {
    "messages": "charger, sequence",
    "statuses": "charger, connector_id, sequence",
    "meter_values": "charger, transaction_id, connector_id, timestamp_ms, sequence",
}


_ONCE: Final = "timestamp_ms, charger, transaction_id, connector_id, digest"


def _sqlite() -> list[str]:
    # REQUIREMENTS M-9, in the order of time, in which nearly all of them come: only the end of the index changes.
    made = [f"CREATE UNIQUE INDEX meter_values_by_time ON meter_values ({_ONCE})"]
    made += ["CREATE TABLE filing (kind TEXT NOT NULL PRIMARY KEY, through INTEGER NOT NULL) WITHOUT ROWID"]
    made += ["INSERT INTO filing VALUES ('journal', 0), ('meter_values', 0)"]
    for name, columns in _COLUMNS.items():
        typed = columns.replace("charger", "charger TEXT NOT NULL").replace("_id,", "_id INTEGER NOT NULL,")
        typed = typed.replace("_ms,", "_ms INTEGER NOT NULL,").replace(", sequence", ", sequence INTEGER NOT NULL")
        made.append(f"CREATE TABLE filed_{name} ({typed}, PRIMARY KEY ({columns})) WITHOUT ROWID")
        same = " AND ".join(f"{column} = OLD.{column}" for column in columns.split(", "))
        made.append(f"CREATE TRIGGER {name}_unfile AFTER DELETE ON {name} BEGIN DELETE FROM filed_{name} WHERE {same}; END")
    for name, kind in (("messages", "journal"), ("meter_values", "meter_values")):
        columns = _COLUMNS[name]
        made.append(
            f"CREATE VIEW {name}_of AS SELECT {columns} FROM filed_{name} UNION ALL SELECT {columns} FROM {name} "
            f"WHERE sequence > (SELECT through FROM filing WHERE kind = '{kind}')"
        )
    return made


def _postgresql() -> list[str]:
    views = {f"filed_{name}": name for name in _COLUMNS} | {"messages_of": "messages", "meter_values_of": "meter_values"}
    return [f"CREATE VIEW {view} AS SELECT {_COLUMNS[name]} FROM {name}" for view, name in views.items()]


def _run(dialect: str, text: str) -> Callable[..., None]:
    def run(_: MetaData, connection: Connection, **__: object) -> None:
        if connection.dialect.name == dialect:
            connection.exec_driver_sql(text)

    return run


for _dialect, _made in (("sqlite", _sqlite()), ("postgresql", _postgresql())):
    for _each in _made:
        event.listen(metadata, "after_create", _run(_dialect, _each))
