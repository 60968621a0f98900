"""How often something happened of late, and who may try once more. REQUIREMENTS Z-3."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.attempts import Lately, Tries


class TriesTests(SynchronousTestCase):
    """`Tries`, over `Lately`."""

    def setUp(self) -> None:
        """Three tries a minute."""
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.tries = Tries(Lately(self.clock, 60.0, 100), 3)

    def fail_thrice(self) -> None:
        """As often as one may."""
        for _ in range(3):
            self.assertTrue(self.tries.permits("CP1"))
            self.tries.failed("CP1")
        self.assertFalse(self.tries.permits("CP1"))

    def test_a_window(self) -> None:
        """After three that failed there is no other one, until a minute after the first."""
        self.fail_thrice()
        self.assertTrue(self.tries.permits("CP2"))
        self.clock.advance(59)
        self.assertFalse(self.tries.permits("CP1"))
        self.clock.advance(1)
        self.fail_thrice()

    def test_a_clock_that_is_set_back(self) -> None:
        """Nobody is locked out for as long as a clock was set back; what failed before that does not count."""
        self.fail_thrice()
        self.clock.rightNow -= 3600
        self.fail_thrice()
        self.clock.advance(60)
        self.assertTrue(self.tries.permits("CP1"))
