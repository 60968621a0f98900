"""What is found by charger is filed later in SQLite; no message is found by an id that its charger chose."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

IS_FROM_CHARGER = sa.text("direction = 'fromCharger'")
COLUMNS: Final = {
    "messages": "charger, sequence",
    "statuses": "charger, connector_id, sequence",
    "meter_values": "charger, transaction_id, connector_id, timestamp_ms, sequence",
}
ONCE: Final = ["timestamp_ms", "charger", "transaction_id", "connector_id", "digest"]
FILED: Final = {
    "messages": "charger TEXT NOT NULL, sequence INTEGER NOT NULL",
    "statuses": "charger TEXT NOT NULL, connector_id INTEGER NOT NULL, sequence INTEGER NOT NULL",
    "meter_values": (
        "charger TEXT NOT NULL, transaction_id INTEGER NOT NULL, connector_id INTEGER NOT NULL, "
        "timestamp_ms INTEGER NOT NULL, sequence INTEGER NOT NULL"
    ),
}


def upgrade() -> None:
    op.drop_index("messages_received", "messages")
    if op.get_bind().dialect.name == "sqlite":
        _file()
    else:
        views = {f"filed_{name}": name for name in COLUMNS} | {"messages_of": "messages", "meter_values_of": "meter_values"}
        for view, name in views.items():
            op.execute(f"CREATE VIEW {view} AS SELECT {COLUMNS[name]} FROM {name}")


def _file() -> None:
    op.drop_index("messages_of_charger", "messages")
    op.drop_index("statuses_of_connector", "statuses")
    # The new one before the old one goes: there is never none.
    op.create_index("meter_values_by_time", "meter_values", ONCE, unique=True)
    op.drop_index("meter_values_once", "meter_values")
    op.execute("CREATE TABLE filing (kind TEXT NOT NULL PRIMARY KEY, through INTEGER NOT NULL) WITHOUT ROWID")
    for kind, table in (("journal", "messages"), ("meter_values", "meter_values")):
        op.execute(f"INSERT INTO filing SELECT '{kind}', coalesce(max(sequence), 0) FROM {table}")
    for name, columns in COLUMNS.items():
        op.execute(f"CREATE TABLE filed_{name} ({FILED[name]}, PRIMARY KEY ({columns})) WITHOUT ROWID")
        op.execute(f"INSERT INTO filed_{name} SELECT {columns} FROM {name} ORDER BY {columns}")
        same = " AND ".join(f"{column} = OLD.{column}" for column in columns.split(", "))
        op.execute(f"CREATE TRIGGER {name}_unfile AFTER DELETE ON {name} BEGIN DELETE FROM filed_{name} WHERE {same}; END")
    for name, kind in (("messages", "journal"), ("meter_values", "meter_values")):
        columns = COLUMNS[name]
        op.execute(
            f"CREATE VIEW {name}_of AS SELECT {columns} FROM filed_{name} UNION ALL SELECT {columns} FROM {name} "
            f"WHERE sequence > (SELECT through FROM filing WHERE kind = '{kind}')"
        )
