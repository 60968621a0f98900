"""Connections closed one after another, over some seconds of a Clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.drain import Drain

FAREWELL = (1012, "the central system restarts")


class Link:
    """Notes when it was closed, and how."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.open = True
        self.closes: list[tuple[float, int, str]] = []

    def close(self, code: int, reason: str) -> None:
        self.open = False
        self.closes.append((self._clock.seconds(), code, reason))


class Line:
    """A connection as a drain sees it."""

    def __init__(self, clock: Clock, *, busy: bool = False) -> None:
        self.link = Link(clock)
        self.busy = busy

    @property
    def closed_at(self) -> float:
        """When it was closed; it must have been, once."""
        [(at, code, reason)] = self.link.closes
        assert (code, reason) == FAREWELL
        return at


class Registry:
    """The chargers as a drain sees them."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    def connections(self) -> Iterator[Line]:
        return iter(self._lines)


class DrainTests(SynchronousTestCase):
    """`Drain`."""

    def setUp(self) -> None:
        self.clock = Clock()

    def drain(self, lines: list[Line], over_s: float) -> Any:
        registry: Any = Registry(lines)
        return Drain(registry, self.clock, over_s, *FAREWELL)

    def run_out(self) -> None:
        """Let time pass until nothing is left to happen."""
        while self.clock.getDelayedCalls():
            self.clock.advance(min(call.getTime() for call in self.clock.getDelayedCalls()) - self.clock.seconds())

    def test_evenly(self) -> None:
        """Ten connections over ten seconds are closed a second apart, beginning at once, and that is the end of it."""
        lines = [Line(self.clock) for _ in range(10)]
        done = self.drain(lines, 10).run()
        self.assertNoResult(done)
        self.run_out()
        self.assertEqual([round(line.closed_at, 6) for line in lines], list(range(10)))
        self.successResultOf(done)

    def test_many(self) -> None:
        """Ten thousand are closed some at a time, as evenly as that allows, and within the time."""
        lines = [Line(self.clock) for _ in range(10_000)]
        done = self.drain(lines, 10).run()
        self.run_out()
        self.successResultOf(done)
        for second in range(10):
            closed = sum(second <= line.closed_at < second + 1 for line in lines)
            self.assertTrue(900 <= closed <= 1100, (second, closed))
        self.assertEqual(len({line.closed_at for line in lines}), 200)

    def test_nobody(self) -> None:
        """Where nobody is connected there is nothing to wait for."""
        self.successResultOf(self.drain([], 10).run())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_busy_ones_last(self) -> None:
        """A connection on which a call is under way is closed after all that have none."""
        lines = [Line(self.clock, busy=number in (0, 3)) for number in range(6)]
        self.drain(lines, 6).run()
        self.run_out()
        order = sorted(range(6), key=lambda number: lines[number].closed_at)
        self.assertEqual(order, [1, 2, 4, 5, 0, 3])

    def test_gone_meanwhile(self) -> None:
        """A connection that ends by itself is not closed, and nobody waits for it."""
        lines = [Line(self.clock) for _ in range(4)]
        done = self.drain(lines, 4).run()
        lines[1].link.open = lines[2].link.open = lines[3].link.open = False
        self.run_out()
        self.successResultOf(done)
        self.assertEqual([len(line.link.closes) for line in lines], [1, 0, 0, 0])

    def test_hurry(self) -> None:
        """Hurrying closes all that are left at once, busy ones, too; afterwards it changes nothing."""
        lines = [Line(self.clock, busy=number == 0) for number in range(100)]
        drain = self.drain(lines, 3600)
        done = drain.run()
        self.clock.advance(1)
        self.assertEqual(sum(not line.link.open for line in lines), 1)
        drain.hurry()
        self.successResultOf(done)
        self.assertEqual({line.closed_at for line in lines}, {0.0, 1.0})
        drain.hurry()
        self.assertEqual(self.clock.getDelayedCalls(), [])
