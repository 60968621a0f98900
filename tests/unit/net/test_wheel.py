"""One timer for many who wait."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.wheel import Wheel


class One:
    """One who waits, and does something when told."""

    def __init__(self, then: object = None) -> None:
        self.told = 0
        self.then = then

    def due(self) -> None:
        self.told += 1
        if callable(self.then):
            self.then()


class WheelTests(SynchronousTestCase):
    """`Wheel`."""

    def setUp(self) -> None:
        """An empty wheel."""
        self.clock = Clock()
        self.wheel = Wheel(self.clock)

    def test_in_time(self) -> None:
        """Each is told once, in its second and not before, by one timer."""
        early, late, later = One(), One(), One()
        for one, seconds in ((late, 7.2), (early, 3), (later, 30)):
            self.wheel.put(one, seconds)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(2.9)
        self.assertEqual((early.told, late.told), (0, 0))
        self.clock.advance(0.1)
        self.assertEqual((early.told, late.told), (1, 0))
        self.clock.advance(5)
        self.assertEqual((early.told, late.told, later.told, len(self.wheel)), (1, 1, 0, 1))

    def test_many_seconds_at_once(self) -> None:
        """Where the clock has jumped all that were due are told."""
        ones = [One() for _ in range(9)]
        for seconds, one in enumerate(ones):
            self.wheel.put(one, seconds)
        self.clock.advance(100)
        self.assertEqual([one.told for one in ones], [1] * 9)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_taken_out(self) -> None:
        """Who is taken out is not told, may be taken out once more, and the last one takes the timer with it."""
        one, other = One(), One()
        bucket, others = self.wheel.put(one, 3), self.wheel.put(other, 3)
        self.wheel.take(one, bucket)
        self.wheel.take(one, bucket)
        self.clock.advance(2)
        self.wheel.take(other, others)
        self.assertEqual((self.clock.getDelayedCalls(), len(self.wheel)), ([], 0))
        self.clock.advance(9)
        self.assertEqual((one.told, other.told), (0, 0))

    def test_from_within(self) -> None:
        """Who is told may come in again, and take others out of the same second."""
        both = []
        again = One(lambda: self.wheel.put(One(), 1))
        both = [One(lambda: self.wheel.take(both[1], bucket)), One(lambda: self.wheel.take(both[0], bucket))]
        bucket = self.wheel.put(both[0], 2)
        self.wheel.put(both[1], 2)
        self.wheel.put(again, 2)
        self.clock.advance(2)
        self.assertEqual((both[0].told + both[1].told, again.told, len(self.wheel)), (1, 1, 1))

    def test_from_within_for_later(self) -> None:
        """Who comes in again for later, while others are told, keeps nobody waiting who comes between."""
        between = One()
        self.wheel.put(One(lambda: self.wheel.put(One(), 20)), 1)
        self.wheel.put(between, 2)
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual(between.told, 1)

    def test_a_failure(self) -> None:
        """One that fails does not keep the others waiting."""
        broken, other = One(lambda: 1 / 0), One()
        self.wheel.put(broken, 1)
        self.wheel.put(other, 1)
        self.clock.advance(1)
        self.assertEqual((broken.told, other.told), (1, 1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
