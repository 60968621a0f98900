"""What is read out of configuration keys of chargers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.known_keys import as_boolean, as_count, nothing_known


class KnownKeysTests(SynchronousTestCase):
    """Values as chargers write them."""

    def test_booleans(self) -> None:
        """True and false in any case of letters and with blanks; all else is not known."""
        told = {"true": True, " TRUE ": True, "False": False, "1": None, "": None, "yes": None}
        self.assertEqual({value: as_boolean(value) for value in told}, told)
        self.assertIsNone(as_boolean(None))

    def test_counts(self) -> None:
        """Positive integers; a limit of 0, or what is no number, is not known."""
        told = {"100": 100, " 7 ": 7, "0": None, "-1": None, "1.5": None, "many": None, "": None, "9" * 30: None}
        self.assertEqual({value: as_count(value) for value in told}, told)
        self.assertIsNone(as_count(None))

    def test_nothing(self) -> None:
        """Nothing is known of chargers that nobody has asked."""
        self.assertIsNone(self.successResultOf(nothing_known("CP1", "Any")))
