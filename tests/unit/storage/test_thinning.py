"""Meter values that grow old, over a database in memory: what stays of whatever was measured."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert, select
from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage import retention, retention_rules, sqlite
from ocppd.storage.records.retention import Kind, Portion
from ocppd.storage.schema import metadata, meter_values, retention_postponed, retention_progress, transactions
from ocppd.storage.thinning import ALIGNED, BILLED, METER_VALUES, contexts_of
from ocppd.storage.unit import Unit

INTERVAL_MS = 60_000
#: What came before is old.
BEFORE_MS = 1000
TABLES = (meter_values, transactions, retention_postponed, retention_progress)
#: 0 is none; 3 is open.
TRANSACTIONS = (0, 1, 2, 3)
OPEN = 3
Row = tuple[int, str, int, int, int, int, str]

#: Charger, transaction, connector, instant, received, samples.
ELEMENT = st.tuples(
    st.sampled_from(["CP1", "CP2"]),
    st.sampled_from(TRANSACTIONS),
    st.sampled_from([1, 2]),
    st.integers(-100, 300).map(lambda number: number * 1000),
    st.sampled_from([BEFORE_MS - 1] * 4 + [BEFORE_MS]),
    st.sampled_from(
        ["[]", "not JSON", '[{"value":"1"}]']
        + [f'[{{"value":"1","context":"{name}"}}]' for name in ("Transaction.Begin", "transaction.end ", "Sample.Clock", "Other")]
    ),
)


def fill(connection: Connection, elements: list[Any]) -> None:
    """These elements, in the order of their arrival, and transactions 1 to 3, of which the last is open."""
    for table in TABLES:
        connection.execute(delete(table))
    whole = {
        "charger": "CP1", "connector_id": 1, "id_tag": "t", "id_tag_key": "t", "verdict": "Accepted", "meter_start_wh": 0,
        "start_received_ms": 0, "dedup_epoch": 0, "message_id": "m", "flags": "[]",
    }  # fmt: skip
    for number in TRANSACTIONS[1:]:
        state = "open" if number == OPEN else "stopped"
        connection.execute(insert(transactions), {**whole, "transaction_id": number, "state": state, "started_ms": number})
    names = ("charger", "transaction_id", "connector_id", "timestamp_ms", "received_ms", "samples")
    for place, element in enumerate(elements):
        row = {**dict(zip(names, element, strict=True)), "digest": place.to_bytes(2, "big")}
        connection.execute(insert(meter_values), row)


def rows(connection: Connection) -> list[Row]:
    """All elements, in order of time."""
    columns = ("sequence", "charger", "transaction_id", "connector_id", "timestamp_ms", "received_ms", "samples")
    order = (meter_values.c.timestamp_ms, meter_values.c.digest)
    return [Row(row) for row in connection.execute(select(*(meter_values.c[name] for name in columns)).order_by(*order))]


def thin(connection: Connection, count: int) -> int:
    """Look at everything, so many rows at a time; how many went."""
    removed = 0
    while True:
        portion = Portion(Kind.METER_VALUES, BEFORE_MS, count, interval_ms=INTERVAL_MS)
        found = retention.cut(Unit(connection), portion, "this", 60_000, lambda: 0.0)
        assert found is not None
        removed += found.removed
        if found.done:
            return removed


class Thinnings(SynchronousTestCase):
    """Tests for what stays."""

    def setUp(self) -> None:
        """A database with tables."""
        engine = sqlite.memory_engine()
        metadata.create_all(engine)
        self.addCleanup(engine.dispose)
        connection = engine.connect()
        connection.begin()
        self.addCleanup(connection.close)
        self.connection = connection

    @given(st.lists(ELEMENT, max_size=40), st.integers(1, 50))
    @settings(deadline=None)
    def test_what_stays(self, elements: list[Any], count: int) -> None:
        """First, last, begin and end stay, and one other of each interval; young and open ones are left alone; once is enough."""
        # A young one between old ones may end a portion; the others are looked at another time.
        fill(self.connection, sorted(elements, key=lambda element: element[4]))
        before = rows(self.connection)
        thin(self.connection, count)
        after = rows(self.connection)
        self.assertLessEqual(set(after), set(before))
        newest = max((row[0] for row in before), default=0)
        others: dict[Any, list[Row]] = defaultdict(list)
        for row in before:
            contexts = contexts_of(row[6])
            series = [each for each in before if each[1:4] == row[1:4]]
            is_end = row[2] != 0 and row in (series[0], series[-1])
            if is_end or contexts is None or contexts & BILLED or row[5] >= BEFORE_MS or row[2] == OPEN:
                self.assertIn(row, after)
            else:
                others[(row[1:4], row[4] // INTERVAL_MS)].append(row)
        for each in others.values():
            kept = [row for row in each if row in after]
            # The newest of all is looked at when another one has come.
            self.assertIn(len(kept), (1, 2) if each != kept and newest in [row[0] for row in each] else (1,))
            aligned = [row for row in each if ALIGNED in (contexts_of(row[6]) or ())]
            if len(each) > len(kept):
                self.assertIn((aligned or each)[0], kept)
        self.connection.execute(delete(retention_progress))
        self.assertEqual(thin(self.connection, count), 0)

    def test_everything_is_read_by_an_index(self) -> None:
        """No portion looks through a table that grows."""
        for rule in (*retention_rules.RULES.values(), METER_VALUES):
            for statement in (rule.walk, rule.postponed, rule.gone):
                text = statement.text(self.connection)
                names = ("the_last", "the_count", "the_kind", "the_number")
                plan = self.connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, dict.fromkeys(names)).all()
                self.assertEqual([row[3] for row in plan if "SCAN" in row[3] or "TEMP" in row[3]], [], text)

    def test_contexts(self) -> None:
        """Contexts are compared ignoring case and blanks; what cannot be read is told apart from what has none."""
        self.assertEqual(contexts_of('[{"value":"1"}]'), frozenset())
        self.assertEqual(contexts_of('[{"context":" Transaction.BEGIN"},{"value":"1"}]'), {"transaction.begin", ""})
        self.assertEqual(contexts_of('[{"\\u0063ontext":"Sample.Clock"}]'), {"sample.clock"})
        for text in ('{"context":1}', '["context"]', '[{"context"', '"context"', "context"):
            self.assertIsNone(contexts_of(text), text)
