"""twistd, with an ocppd that records neither statuses nor meter values, to measure what the rest of it takes.

    python benchmarks/unrecorded.py -n ocppd …

What else there is to record goes to the database that is named. Nobody should run this for anything but that.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from twisted.scripts.twistd import run

import ocppd.storage.sql_storage


class Nothing:
    """The records of the express way, which keep nothing."""

    def __init__(self, _: object) -> None:
        self._numbers = itertools.count(1)

    def status_notified(self, _: Any, __: Any, waiter: Any) -> None:
        """Not recorded."""
        waiter.callback(next(self._numbers))

    def meter_values_received(self, _: Any, __: int, ___: int | None, ____: Any, waiter: Any) -> None:
        """Not recorded."""
        waiter.callback(next(self._numbers))


if __name__ == "__main__":
    ocppd.storage.sql_storage.SqlExpress = Nothing  # type: ignore[assignment,misc]
    sys.argv[0] = "twistd"
    run()
