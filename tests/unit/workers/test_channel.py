"""The line between a supervisor and a worker: two ends of it, back to back."""

from __future__ import annotations

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ocppd.workers.channel import HURRY, READY, RESTART, Channel


class ChannelTests(SynchronousTestCase):
    """`Channel`."""

    def setUp(self) -> None:
        self.heard: list[str] = []
        self.channel = Channel(
            {RESTART: lambda: self.heard.append("restart"), HURRY: lambda: self.heard.append("hurry")},
            lambda: self.heard.append("ended"),
        )
        self.transport = StringTransport()
        self.channel.makeConnection(self.transport)

    def test_words(self) -> None:
        """A word is heard when it is complete; one that is not known is passed over."""
        self.channel.dataReceived(b"rest")
        self.assertEqual(self.heard, [])
        self.channel.dataReceived(b"art\nsing\n\nhurry\n")
        self.assertEqual(self.heard, ["restart", "hurry"])

    def test_say(self) -> None:
        """What one end says is a line that the other end understands."""
        self.channel.say(READY)
        self.assertEqual(self.transport.value(), b"ready\n")

    def test_end(self) -> None:
        """The end of the other process is told."""
        self.channel.connectionLost()
        self.assertEqual(self.heard, ["ended"])

    def test_close(self) -> None:
        """It can be closed."""
        self.channel.close()
        self.assertTrue(self.transport.disconnecting)
