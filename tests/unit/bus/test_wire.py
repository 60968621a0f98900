"""What nodes publish to each other."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies
from twisted.trial.unittest import SynchronousTestCase

from ocppd.bus import wire
from ocppd.bus.api import BusMessage, CloseConnection, Ended, Look

MESSAGES: dict[bytes, BusMessage | wire.Pulse] = {
    b'{"type":"look","charger":"CP1"}': Look("CP1"),
    b'{"type":"ended","message_id":"7"}': Ended("7"),
    b'{"type":"close","charger":"CP1"}': CloseConnection("CP1"),
    b'{"type":"pulse","token":"t"}': wire.Pulse("t"),
}


class WireTests(SynchronousTestCase):
    """Tests for `read` and `write`."""

    def test_written_form(self) -> None:
        """Messages have the form that nodes of other versions know, and are read as they were written."""
        for data, message in MESSAGES.items():
            self.assertEqual(wire.write(message), data)
            self.assertEqual(wire.read(data), message)
        self.assertEqual(wire.read(b'{"type":"superseded","chargers":{"CP1":7}}'), wire.Superseded({"CP1": 7}))

    def test_members_of_later_versions(self) -> None:
        """Members that are not known are read over."""
        self.assertEqual(wire.read(b'{"later":[{}],"charger":"CP1","type":"look"}'), Look("CP1"))

    def test_size(self) -> None:
        """A message has a largest size."""
        longest = wire.MAX_MESSAGE_BYTES - len(wire.write(Look("")))
        self.assertEqual(wire.read(wire.write(Look("x" * longest))), Look("x" * longest))
        error = self.assertRaises(wire.Unreadable, wire.read, wire.write(Look("x" * (longest + 1))))
        self.assertIn("larger", str(error))

    @hypothesis.given(strategies.binary() | strategies.text().map(str.encode))
    def test_anything(self, data: bytes) -> None:
        """Whatever is published is read or is Unreadable, and nothing of it is in the error."""
        for text in (data, b'{"type":"look","charger":' + data + b"}", b"[" * 5000 + data, b'{"type":"look","x":' + b"[" * 5000):
            try:
                wire.read(text)
            except wire.Unreadable as error:
                self.assertIn(str(error), ("it is not JSON", "it is no message that this version knows"))
