"""Inserts of many rows in place of many inserts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, create_engine, func, insert, select
from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage.gathering import SIZES, Gathered, Insert, many, values_of_row
from ocppd.storage.unit import LORE_LIMIT, Lore, Statement, Unit, values_of

metadata = MetaData()
things = Table("things", metadata, Column("name", Text, primary_key=True), Column("value", BigInteger))
_KEPT = Statement.upsert(
    things,
    lambda insert: values_of(insert, "name", "value").on_conflict_do_update(
        index_elements=[things.c.name], set_={"value": insert.excluded.value}
    ),
).gathering()
_COPIED = Statement(
    insert(things).values(
        name=bindparam("name"),
        value=select(func.max(things.c.value)).where(things.c.name != bindparam("name")).scalar_subquery(),
    )
).gathering()
_COUNT = Statement(select(func.count()).select_from(things))
_ALL = Statement(select(things.c.name, things.c.value).order_by(things.c.name))


class TextsTests(SynchronousTestCase):
    """Tests for what is made of a statement's text."""

    def test_rows(self) -> None:
        """The row is repeated with its brackets, nested ones included, and its values are in the order of its parameters."""
        text = "INSERT INTO t (a, b) VALUES (:a, coalesce((SELECT x FROM y WHERE z = :b), :a)) ON CONFLICT DO NOTHING"
        row = "(?, coalesce((SELECT x FROM y WHERE z = ?), ?))"
        self.assertEqual(many(text, 2), f"INSERT INTO t (a, b) VALUES {row}, {row} ON CONFLICT DO NOTHING")
        self.assertEqual(values_of_row(text)({"a": 1, "b": 2, "c": 3}), (1, 2, 1))
        self.assertRaises(ValueError, many, "INSERT INTO t VALUES (:a", 1)

    def test_any_number(self) -> None:
        """Any number of rows is made of the sizes there are, in order."""

        class Cursor:
            """Keeps what it is given."""

            def __init__(self) -> None:
                self.rows: list[Any] = []

            def execute(self, text: str, values: list[Any]) -> None:
                assert text.count("?") == len(values)
                self.rows += values

        for number in (1, 3, 4, 15, 16, 63, 64, 65, 200):
            gathered, cursor = Gathered(), Cursor()
            for each in range(number):
                gathered.adder(Insert("INSERT INTO t (a, b) VALUES (:a, :a)"))({"a": each})
            gathered.write(cursor)
            self.assertEqual(cursor.rows, [value for each in range(number) for value in (each, each)])
            self.assertFalse(gathered)
        self.assertEqual(SIZES[-1], 1)


class UnitTests(SynchronousTestCase):
    """Tests for a unit that gathers, over SQLite."""

    def setUp(self) -> None:
        engine = create_engine("sqlite://", paramstyle="named")
        metadata.create_all(engine)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)

    def test_a_reader_sees_what_was_sent(self) -> None:
        """Whatever is read, what was sent before it is there, in its order: the last of the same key stays."""
        with Unit(self.connection, together=True) as unit:
            for number in range(100):
                unit.send(_KEPT, {"name": f"n{number % 10}", "value": number})
            self.assertEqual(unit.one(_COUNT, {})[0], 10)
            unit.send(_KEPT, {"name": "n3", "value": 1000})
            unit.send(_COPIED, {"name": "copy"})
        rows = dict(Unit(self.connection).all(_ALL, {}))
        self.assertEqual((rows["n9"], rows["n3"], rows["copy"]), (99, 1000, 1000))

    def test_an_error_leaves_it_to_the_writer(self) -> None:
        """Where a use case has failed, nothing that waits is written any more."""
        with self.assertRaises(ZeroDivisionError), Unit(self.connection, together=True) as unit:
            unit.send(_KEPT, {"name": "a", "value": 1})
            raise ZeroDivisionError
        self.assertEqual(Unit(self.connection).one(_COUNT, {})[0], 0)

    def test_alone(self) -> None:
        """A unit that does not gather writes at once."""
        unit = Unit(self.connection)
        unit.send(_KEPT, {"name": "a", "value": 1})
        self.assertFalse(unit.gathers)
        self.assertEqual(self.connection.exec_driver_sql("SELECT count(*) FROM things").scalar(), 1)


class LoreTests(SynchronousTestCase):
    """Tests for what is known of the records."""

    def test_committed(self) -> None:
        """What was learned is known once it is committed, and forgotten where it was not."""
        lore = Lore()
        lore.begin()
        lore.learn(1, "one")
        self.assertIsNone(lore.get(1))
        lore.begin()
        lore.committed()
        self.assertIsNone(lore.get(1))
        lore.learn(1, "another")
        lore.committed()
        self.assertEqual(lore.get(1), "another")

    def test_limit(self) -> None:
        """It grows to its limit, then it begins anew with the newest."""
        lore = Lore()
        for number in range(LORE_LIMIT + 1):
            lore.learn(number, number)
            lore.committed()
        self.assertEqual([lore.get(number) for number in (0, LORE_LIMIT)], [None, LORE_LIMIT])
