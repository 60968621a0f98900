"""What the doors know of the end, and the handshakes that are under way then."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.ending import Ending


class EndingTests(SynchronousTestCase):
    """`Ending`."""

    def test_begins_open(self) -> None:
        """Nothing is ending at first."""
        ending = Ending()
        self.assertEqual((ending.begun, ending.refusing, ending.closing), (False, False, None))
        self.successResultOf(ending.settled())

    def test_settled(self) -> None:
        """Who waits hears when the last handshake is over."""
        ending = Ending()
        ending.handshake_began()
        ending.handshake_began()
        settled = ending.settled()
        ending.handshake_over()
        self.assertNoResult(settled)
        ending.handshake_over()
        self.successResultOf(settled)

    def test_cancelled(self) -> None:
        """Who waits no longer is not told."""
        ending = Ending()
        ending.handshake_began()
        settled = ending.settled()
        settled.addErrback(lambda _: None)
        settled.cancel()
        ending.handshake_over()
        self.successResultOf(ending.settled())
