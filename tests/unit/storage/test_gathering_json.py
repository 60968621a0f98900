"""Inserts of many rows as one JSON text."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage import gathering_json
from ocppd.storage.gathering import Insert, Later
from ocppd.storage.gathering_json import GatheredJson, Spelling

TEXT = (
    "INSERT INTO t (a, b, c) VALUES (%(a)s::BIGINT, coalesce((SELECT x FROM y WHERE z = %(key)s::VARCHAR), %(a)s::BIGINT), "
    "%(data)s) ON CONFLICT (a) DO UPDATE SET b = '100%%'"
)
KINDS = (("a", "BIGINT"), ("key", "TEXT"), ("data", "BYTEA"))


class Cursor:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.rows: list[list[dict[str, Any]]] = []

    def execute(self, text: str, parameters: dict[str, str]) -> None:
        self.texts.append(text)
        self.rows.append(json.loads(parameters["rows"]))


class SpellingTests(SynchronousTestCase):
    """Tests for a statement of many rows."""

    def test_text(self) -> None:
        """Each parameter becomes a column of what is given, with its type; the rest of the statement stays."""
        self.assertEqual(
            Spelling(Insert(TEXT, KINDS)).text,
            "INSERT INTO t (a, b, c) SELECT given.a, coalesce((SELECT x FROM y WHERE z = given.key), given.a), "
            "decode(given.data, 'base64') FROM json_to_recordset(%(rows)s::json) AS given(a BIGINT, key TEXT, data TEXT) "
            "ON CONFLICT (a) DO UPDATE SET b = '100%%'",
        )

    def test_rows(self) -> None:
        """Rows are handed over in their order, however their values come, numbers as they were drawn; and only once."""
        gathered, cursor, number = GatheredJson(), Cursor(), Later()
        insert = Insert(TEXT, KINDS)
        gathered.adder(insert)({"key": "é", "data": b"\x00\xff", "a": 2**63 - 1, "further": 1})
        gathered.row_adder(insert, ("data", "a", "key"))((None, number, None))
        gathered.row_adder(insert, ("a", "key", "data"))((-1, '"\\', b""))
        self.assertTrue(gathered)
        number.value = 7
        gathered.write(cursor)
        gathered.write(cursor)
        self.assertFalse(gathered)
        self.assertEqual(len(cursor.texts), 1)
        self.assertEqual(
            cursor.rows,
            [
                [
                    {"a": 2**63 - 1, "key": "é", "data": "AP8="},
                    {"a": 7, "key": None, "data": None},
                    {"a": -1, "key": '"\\', "data": ""},
                ]
            ],
        )

    def test_rows_of_one_key(self) -> None:
        """Rows that change the same row go one after the other, each in a statement after the one before it."""
        gathered, cursor = GatheredJson(), Cursor()
        add = gathered.row_adder(Insert(TEXT, KINDS, ("a", "key")), ("a", "key", "data"))
        for number, (a, key) in enumerate([(1, "x"), (1, "y"), (1, "x"), (2, "x"), (1, "x"), (1, "y")]):
            add((a, key, bytes([number])))
        gathered.write(cursor)
        found = [[(row["a"], row["key"]) for row in rows] for rows in cursor.rows]
        self.assertEqual(found, [[(1, "x"), (1, "y"), (2, "x")], [(1, "x"), (1, "y")], [(1, "x")]])
        data = [row["data"] for rows in cursor.rows for row in rows if row["key"] == "x"]
        self.assertEqual(data, ["AA==", "Aw==", "Ag==", "BA=="])

    def test_size(self) -> None:
        """A text is no longer than it may be, unless a single row is."""
        self.patch(gathering_json, "MOST_BYTES", 100)
        gathered, cursor = GatheredJson(), Cursor()
        add = gathered.row_adder(Insert(TEXT, KINDS), ("a", "key", "data"))
        for number, length in enumerate((10, 10, 10, 200, 1, 1)):
            add((number, "x" * length, None))
        gathered.write(cursor)
        self.assertEqual([[row["a"] for row in rows] for rows in cursor.rows], [[0, 1], [2], [3], [4, 5]])

    def test_nonsense(self) -> None:
        """What no column takes is an error, and not some text."""
        gathered = GatheredJson()
        gathered.row_adder(Insert(TEXT, KINDS), ("a", "key", "data"))((object(), "", None))
        self.assertRaises(TypeError, gathered.write, Cursor())
