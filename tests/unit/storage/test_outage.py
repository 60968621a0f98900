"""What is told of an outage, and which row a node writes to find out."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage.outage import STEADY_S, Outage
from ocppd.storage.probe import ROWS, row_of


def lines(events: list[LogEvent]) -> list[str]:
    """The lines, each after its level."""
    return [f"{event['log_level'].name}: {formatEvent(event)}" for event in events]


class OutageTests(SynchronousTestCase):
    """Tests for `Outage`."""

    def test_it_is_told_once(self) -> None:
        """An outage is told when it begins and when it ends, with how long it took, and again the next time."""
        clock = Clock()
        outage = Outage("write", clock.seconds)
        with capturedLogs() as told:
            outage.end()
            outage.begin("full {disk}")
            clock.advance(61.24)
            outage.begin("fuller")
            outage.end()
            outage.end()
            outage.begin("gone")
        self.assertEqual(
            lines(told),
            [
                "error: the database refuses to write: full {disk}",
                "info: the database is back to write after 61.2 s",
                "error: the database refuses to write: gone",
            ],
        )

    def test_what_gets_through(self) -> None:
        """What gets through now and then is no end; the end is when all began to get through, told once that has gone on."""
        clock = Clock()
        outage = Outage("write", clock.seconds)
        with capturedLogs() as told:
            outage.done()
            outage.begin("full")
            for _ in range(20):
                clock.advance(1)
                outage.done()
                clock.advance(STEADY_S - 1)
                outage.done()
                outage.begin("full")
            clock.advance(1)
            for _ in range(3):
                outage.done()
                clock.advance(STEADY_S)
        self.assertEqual(
            lines(told), ["error: the database refuses to write: full", "info: the database is back to write after 101.0 s"]
        )


class ProbeTests(SynchronousTestCase):
    """Tests for `row_of`."""

    def test_rows_of_nodes(self) -> None:
        """Nodes have rows of their own mostly, always the same ones, and there are few of them however many nodes have been."""
        rows = [row_of(f"host:9033/{number}") for number in range(10_000)]
        self.assertEqual(rows[:100], [row_of(f"host:9033/{number}") for number in range(100)])
        self.assertGreater(len(set(rows[:10])), 8)
        self.assertTrue(all(0 < row <= ROWS for row in rows))
