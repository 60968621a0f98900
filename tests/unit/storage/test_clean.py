"""Values that no database takes (REQUIREMENTS F-12)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage.clean import clean_text, cleaned
from ocppd.storage.records import Direction, Inbound, MessageFilter, MeterValueElement


class Clean(SynchronousTestCase):
    """Tests for `cleaned`."""

    def test_a_clean_record_is_the_same_object(self) -> None:
        """What can be stored is not copied."""
        message = Inbound("CP", 1, 2, "id", "Heartbeat", "[2,\u00fc\u20ac]", "[3]")
        self.assertIs(cleaned(message), message)

    def test_text(self) -> None:
        """NUL and lone surrogates become U+FFFD; characters outside the BMP stay."""
        self.assertEqual(clean_text("a\0b\ud800\udfffc"), "a\ufffdb\ufffd\ufffdc")
        self.assertEqual(clean_text("\U0001f50c"), "\U0001f50c")

    def test_integers_are_bounded(self) -> None:
        """An integer beyond 64 bit becomes the nearest that has 64 bit."""
        self.assertEqual(cleaned((2**63, -(2**63) - 1, 2**63 - 1, True)), (2**63 - 1, -(2**63), 2**63 - 1, True))

    def test_records_inside(self) -> None:
        """Lists and tuples are cleaned to their depth."""
        self.assertEqual(cleaned([(MeterValueElement(2**70, "\0"),)]), [(MeterValueElement(2**63 - 1, "\ufffd"),)])

    def test_the_rest_is_left_alone(self) -> None:
        """None, enumerations, bytes and functions pass through."""
        which = MessageFilter(direction=Direction.TO_CHARGER)
        self.assertIs(cleaned(which), which)
        self.assertIs(cleaned(print), print)
        self.assertEqual(cleaned(b"\0"), b"\0")
