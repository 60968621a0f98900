"""Query parameters and cursors. docs/http-api.md."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.rest import parameters
from ocppd.net.rest.parameters import Page, encode_cursor, page, pair, read_query, sequence
from ocppd.net.rest.problems import BadParameters
from ocppd.storage.records import Direction

KNOWN = {
    **page(pair),
    "n": parameters.integer(1, 10),
    "s": parameters.seconds(0, 120),
    "t": parameters.text,
    "b": parameters.boolean,
    "d": parameters.choice(Direction),
    "at": parameters.instant,
}


class QueryTests(SynchronousTestCase):
    """Reading a query."""

    def wrong(self, query: bytes) -> list[str]:
        """The names of the parameters that are wrong."""
        error = self.assertRaises(BadParameters, read_query, query, KNOWN)
        return [name for name, _ in error.errors]

    def test_good(self) -> None:
        """Each parameter goes through its parser."""
        good: dict[bytes, dict[str, Any]] = {
            b"": {},
            b"n=10": {"n": 10},
            b"n=007": {"n": 7},
            b"s=0": {"s": 0.0},
            b"s=1.5": {"s": 1.5},
            b"s=120": {"s": 120.0},
            b"t=a%20b": {"t": "a b"},
            b"t=a+b": {"t": "a b"},
            b"t=%C3%A4&b=false": {"t": "ä", "b": False},
            b"d=toCharger": {"d": Direction.TO_CHARGER},
            b"at=1970-01-01T00:00:01.5Z": {"at": 1500},
            b"at=1970-01-01T01:00:00%2B01:00": {"at": 0},
            b"%74=x": {"t": "x"},
        }
        for query, expected in good.items():
            self.assertEqual(read_query(query, KNOWN), expected, query)

    def test_wrong_values(self) -> None:
        """What a parser refuses is named, and nothing odd passes for a number."""
        wrong = {
            "n": ["", "0", "11", "-1", "+1", "1.0", "1e0", "1_0", " 1", "x", "\u0661", "9" * 20, "0x1"],
            "s": ["", "-1", "120.1", "nan", "inf", "1e1", ".5", "5.", "1,5", "9" * 10],
            "t": [""],
            "b": ["", "1", "True", "yes"],
            "d": ["", "tocharger", "TO_CHARGER"],
            "at": ["", "now", "0", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00 01:00"],
        }
        for name, values in wrong.items():
            for value in values:
                encoded = "".join(f"%{byte:02X}" for byte in value.encode())
                self.assertEqual(self.wrong(f"{name}={encoded}".encode()), [name], value)

    def test_all_that_is_wrong(self) -> None:
        """Everything that is wrong is told at once."""
        self.assertEqual(self.wrong(b"n=0&x=1&t=a&t=b&s=0&s=1"), ["n", "x", "t", "s"])

    def test_unknown(self) -> None:
        """An unknown parameter is told with what was meant, or with what there is."""
        error = self.assertRaises(BadParameters, read_query, b"limt=1&q=1", KNOWN)
        self.assertIn("did you mean limit?", error.errors[0][1])
        self.assertIn("limit, after, n", error.errors[1][1])
        error = self.assertRaises(BadParameters, read_query, b"q", {})
        self.assertIn("no parameters", str(error))

    def test_unreadable(self) -> None:
        """A query that is no text, or endless, is refused as a whole."""
        for query in (b"t=%ff", b"t=\xff", b"&".join([b"t=1"] * 51)):
            self.assertEqual(self.wrong(query), [""])

    @given(st.binary(max_size=60))
    def test_any_query(self, query: bytes) -> None:
        """Any bytes are read or refused, and nothing else."""
        try:
            read_query(query, KNOWN)
        except BadParameters as error:
            self.assertTrue(error.errors)


class PageTests(SynchronousTestCase):
    """Pages and cursors."""

    def test_defaults(self) -> None:
        """Without parameters a page has 100 items and begins at the beginning."""
        self.assertEqual(Page.of({}), Page(100, None, {}))
        self.assertEqual(Page.of({"limit": 1, "after": 2, "n": 3}), Page(1, 2, {"n": 3}))

    def test_limits(self) -> None:
        """A page has 1 to 500 items."""
        self.assertEqual([read_query(b"limit=%d" % limit, KNOWN)["limit"] for limit in (1, 500)], [1, 500])
        for limit in (b"0", b"501"):
            self.assertRaises(BadParameters, read_query, b"limit=" + limit, KNOWN)

    @given(st.integers(0, 2**63 - 1), st.integers(0, 10**6))
    def test_cursors(self, row: int, place: int) -> None:
        """A cursor that was handed out is understood."""
        query = f"after={encode_cursor(f'{row}.{place}')}".encode()
        self.assertEqual(read_query(query, KNOWN), {"after": (row, place)})

    def test_foreign_cursors(self) -> None:
        """Nothing else is: not base64, padded, of another list, beyond any row."""
        foreign = [
            "",
            "!",
            "a",
            "MQ==",
            encode_cursor("1"),
            encode_cursor("x.1"),
            encode_cursor("1.-1"),
            encode_cursor(f"{2**63}.0"),
        ]
        for cursor in foreign:
            self.assertRaises(BadParameters, read_query, f"after={cursor}".encode(), KNOWN)

    def test_sequence(self) -> None:
        """A row's number has digits only."""
        self.assertEqual(sequence("12"), 12)
        for position in ("", "-1", "1.0", "\u0661", "9" * 19):
            self.assertRaises(ValueError, sequence, position)
