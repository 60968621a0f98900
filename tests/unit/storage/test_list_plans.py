"""Lists of operators are read by an index, and a page of them without what lies beside it: as SQLite plans them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage import chargers, event_lists, file_room, follow_up_records, messages, meter_values, sqlite, transaction_lists
from ocppd.storage.records import (
    EventFilter,
    MessageFilter,
    MessageState,
    MeterValueFilter,
    TransactionFilter,
    TransactionState,
)
from ocppd.storage.schema import metadata
from ocppd.storage.unit import Unit

LIMIT = 500
NAMES = tuple(f"CP{number}" for number in range(LIMIT))


class Plans(SynchronousTestCase):
    """Tests for what a page of a list takes."""

    def setUp(self) -> None:
        """A database with tables, to plan queries in."""
        engine = sqlite.memory_engine()
        metadata.create_all(engine)
        self.addCleanup(engine.dispose)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)

    def plan(self, read: Callable[[Unit], Any]) -> list[str]:
        """The lines of the plans of what `read` asks for."""
        asked: list[tuple[str, Any]] = []

        def keep(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
            if text.lstrip().startswith("SELECT"):
                asked.append((text, parameters))

        event.listen(self.connection, "before_cursor_execute", keep)
        read(Unit(self.connection))
        event.remove(self.connection, "before_cursor_execute", keep)
        plans = [self.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given).all() for text, given in asked]
        return [row[3] for plan in plans for row in plan]

    def test_meter_values_of_a_charger(self) -> None:
        """The first rows are found in the index alone; of all chargers they are read in the order of the table."""
        for which in (
            MeterValueFilter(charger="CP1"),
            MeterValueFilter(charger="CP1", connector_id=1, since_ms=1, until_ms=2),
            MeterValueFilter(transaction_id=7, since_ms=1),
        ):
            for after in (None, 1000):
                plan = self.plan(lambda unit, which=which, after=after: meter_values.list_meter_values(unit, which, after, LIMIT))
                self.assertEqual(plan[0], "SEARCH meter_values USING INTEGER PRIMARY KEY (rowid=?)")
                self.assertTrue(any("SEARCH filed_meter_values USING PRIMARY KEY (charger=?" in line for line in plan), plan)
        for which in (MeterValueFilter(), MeterValueFilter(since_ms=1), MeterValueFilter(until_ms=2)):
            plan = self.plan(lambda unit, which=which: meter_values.list_meter_values(unit, which, 1000, LIMIT))
            self.assertEqual(plan, ["SEARCH meter_values USING INTEGER PRIMARY KEY (rowid>?)"])

    def test_chargers(self) -> None:
        """Chargers, their connectors, wishes and follow-ups are one statement for any number of them: each stays prepared."""
        driver: Any = self.connection.connection.driver_connection
        unit = Unit(self.connection)
        self.connection.begin()
        for read in (
            chargers.read_chargers,
            chargers.read_connectors,
            follow_up_records.availability,
            follow_up_records.of_messages,
            file_room.names_unknown,
            lambda unit, names: event_lists.events_after(unit, 10_000, range(len(names)), 1, ask_following=False),
        ):
            texts: list[set[str]] = []
            for count in (2, 3, LIMIT):
                asked: list[str] = []
                driver.set_trace_callback(asked.append)
                read(unit, NAMES[:count])
                driver.set_trace_callback(None)
                texts.append({re.sub(r"'\[.*?\]'|LIMIT \d+", "?", text) for text in asked})
            self.assertTrue(texts[0])
            self.assertEqual(texts[1:], texts[:1] * 2)

    def test_messages_and_events(self) -> None:
        """Those of a charger are read in the order of its index; those that wait by the index of those."""
        which = MessageFilter(charger="CP1")
        plan = self.plan(lambda unit: messages.list_messages(unit, which, 1000, LIMIT))
        self.assertIn("SEARCH filed_messages USING PRIMARY KEY (charger=? AND sequence<?)", plan)
        self.assertEqual([line for line in plan if "SCAN" in line.replace("SCALAR", "") or "TEMP" in line], [])
        for state in (MessageState.QUEUED, MessageState.SENT):
            plan = self.plan(lambda unit, state=state: messages.list_messages(unit, MessageFilter(state=state), None, LIMIT))
            self.assertIn("SCAN messages USING INDEX messages_pending", plan)
            self.assertNotIn("SCAN messages", plan)
        plan = self.plan(lambda unit: event_lists.list_events(unit, EventFilter(charger="CP1"), None, LIMIT))
        self.assertEqual([line for line in plan if "SCAN" in line or "TEMP" in line], [])

    def test_transactions(self) -> None:
        """Those of a charger are read in the order of its index; open ones by an index of those."""
        plan = self.plan(lambda unit: transaction_lists.list_transactions(unit, TransactionFilter(charger="CP1"), 7, LIMIT))
        self.assertEqual(plan, ["SEARCH transactions USING INDEX transactions_of_charger (charger=? AND transaction_id<?)"])
        which = TransactionFilter(state=TransactionState.OPEN)
        plan = self.plan(lambda unit: transaction_lists.list_transactions(unit, which, None, LIMIT))
        self.assertEqual(plan[0], "SEARCH transactions USING INTEGER PRIMARY KEY (rowid=?)")
        self.assertNotIn("SCAN transactions", plan)
