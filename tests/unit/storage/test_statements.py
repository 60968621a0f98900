"""The compiled statements of the use cases."""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType, SimpleNamespace
from typing import cast

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import psycopg
from twisted.trial.unittest import SynchronousTestCase

import ocppd.storage
from ocppd.storage import calls, charging_profiles, late_statuses, nodes, sqlite
from ocppd.storage.gathering_json import spelling
from ocppd.storage.schema import metadata
from ocppd.storage.unit import Statement

MODULES: tuple[ModuleType, ...] = tuple(
    importlib.import_module(f"ocppd.storage.{module.name}") for module in pkgutil.iter_modules(ocppd.storage.__path__)
)
#: What a statement is given as one JSON array.
GIVEN = "SCAN json_each VIRTUAL TABLE INDEX 1:"
#: A row per node, and a row per table that numbers its rows; no table at all; the few latest transactions of a charger, and its
#: newest wishes.
SMALL = {"SCAN nodes", "SCAN sqlite_sequence", "SCAN CONSTANT ROW", "SCAN latest", "SCAN newest", GIVEN}
#: What a parameter may be where many rows are one JSON text.
KINDS = {"BIGINT", "BOOLEAN", "BYTEA", "TEXT"}
#: What is done once in the life of a node, or read every hour, may take longer.
ONCE = {(calls, "_ORPHANED"), (nodes, "_LET_GO"), (nodes, "_HELD"), (charging_profiles, "_PENDING_SINCE")}
#: What PostgreSQL alone is asked, which has an index for it.
ELSEWHERE = {(late_statuses, "_LAST")}


class Statements(SynchronousTestCase):
    """Tests for every `Statement`."""

    def setUp(self) -> None:
        """A database with tables, to plan queries in."""
        self.engine = sqlite.memory_engine()
        metadata.create_all(self.engine)
        self.addCleanup(self.engine.dispose)

    def test_no_parameter_is_anonymous(self) -> None:
        """A statement holds no values of its own: nobody would pass them."""
        with self.engine.connect() as connection:
            for connected in (connection, SimpleNamespace(dialect=psycopg.dialect(paramstyle="pyformat"))):
                for module in MODULES:
                    for name, statement in vars(module).items():
                        if isinstance(statement, Statement):
                            sql = statement.text(cast(Connection, connected))
                            self.assertNotRegex(sql, r"[:(]\w+_\d+\b|POSTCOMPILE", f"{module.__name__}.{name}")

    def test_rows_that_wait(self) -> None:
        """Of every insert whose rows may wait, PostgreSQL can be told the type of each parameter, and which rows it changes."""
        connected = cast(Connection, SimpleNamespace(dialect=psycopg.dialect(paramstyle="pyformat")))
        found = 0
        for module in MODULES:
            for name, statement in vars(module).items():
                if isinstance(statement, Statement) and statement.gathered:
                    insert = statement.insert(connected)
                    self.assertLessEqual({kind for _, kind in insert.kinds}, KINDS, f"{module.__name__}.{name}")
                    self.assertEqual(bool(insert.key), "DO UPDATE" in insert.text, f"{module.__name__}.{name}")
                    self.assertNotIn("%(", spelling(insert).text.replace("%(rows)s", ""))
                    found += 1
        self.assertGreater(found, 5)

    def test_the_hot_path_reads_by_index(self) -> None:
        """No statement scans a table that grows, for what a message or a call needs."""
        with self.engine.connect() as connection:
            for module in MODULES:
                for name, statement in vars(module).items():
                    if isinstance(statement, Statement) and (module, name) not in ONCE | ELSEWHERE:
                        sql = statement.text(connection)
                        nulls = dict.fromkeys(re.findall(r":(\w+)", sql))
                        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, nulls).all()
                        scans = [row for row in plan if "SCAN" in row[3] and "USING" not in row[3] and row[3] not in SMALL]
                        self.assertEqual(scans, [], f"{module.__name__}.{name}")
