"""Long work lets others have their turn."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.rest.turns import AT_ONCE, Turns


class TurnsTests(SynchronousTestCase):
    """Tests for Turns."""

    def test_others_have_their_turn(self) -> None:
        """Work goes on at once until it is enough; then it waits for the reactor, and the count begins anew."""
        clock = Clock()
        turns = Turns(clock)
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(turns.did(AT_ONCE - 1))))
        waiting = Deferred.fromCoroutine(turns.did(1))
        self.assertNoResult(waiting)
        clock.advance(0)
        self.assertTrue(self.successResultOf(waiting))
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(turns.did(AT_ONCE - 1))))

    def test_nobody_waits_for_a_client_that_is_gone(self) -> None:
        """Cancelled while it waits, it leaves nothing behind."""
        clock = Clock()
        waiting = Deferred.fromCoroutine(Turns(clock).did(AT_ONCE))
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.assertEqual(clock.getDelayedCalls(), [])
