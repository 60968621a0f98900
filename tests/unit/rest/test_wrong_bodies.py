"""Bodies that are wrong in more ways than anybody wants to be told of."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import MAX_VIOLATIONS, InvalidPayload
from ocppd.net.rest.problems import problem_of
from ocppd.net.rest.v1.charger_bodies import read_charger, read_credentials
from ocppd.net.rest.v1.id_tag_bodies import rows_of_csv
from ocppd.net.rest.v1.local_list_bodies import read_wanted

MANY = 5 * MAX_VIOLATIONS


class WrongBodyTests(SynchronousTestCase):
    """What is told of them."""

    def test_no_more_is_told_than_helps(self) -> None:
        """Whatever the body is of, and in the text that has all of it, too."""
        members = {f"x{number}": 1 for number in range(MANY)}
        readings: tuple[tuple[Callable[[Any], Any], Any], ...] = (
            (read_wanted, {"entries": [{"idTag": "A"}] * MANY}),
            (lambda value: read_charger(value, "CP1"), members),
            (lambda value: read_charger(value, "CP1"), {"repairs": members}),
            (read_credentials, members),
        )
        for read, value in readings:
            body = problem_of(self.assertRaises(InvalidPayload, read, value)).body
            self.assertEqual(len(body["errors"]), MAX_VIOLATIONS)
            self.assertLess(len(body["detail"]), 100 * MAX_VIOLATIONS)

    def test_a_table_of_many_columns(self) -> None:
        """What is not told of the columns is not gathered."""
        table = b"a," * 100_000
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertRaises(InvalidPayload, rows_of_csv, table)
        self.assertLess(tracemalloc.get_traced_memory()[1], 20 * len(table))
