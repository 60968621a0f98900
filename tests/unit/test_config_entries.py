"""Chargers of the records as settings, beside those of configs.json."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ocppd.config import ChargerSettings, Configuration, Registration
from ocppd.config.entries import MEMBERS, json_of, merged, settings_of


class Entries(SynchronousTestCase):
    """Tests for `ocppd.config.entries`."""

    def test_defaults(self) -> None:
        """What is left out is as `configs.json` says for all, or as its chargers have it; what is not known is left alone."""
        plain = settings_of("A", {}, {}, protected=False)
        self.assertEqual(plain, ChargerSettings(name="A"))
        self.assertTrue(settings_of("A", {}, {"quiet": True}, protected=False).quiet)
        self.assertFalse(settings_of("A", {"quiet": False, "newer": 1}, {"quiet": True}, protected=False).quiet)
        self.assertEqual(settings_of("A", {"registration": "Rejected"}, {}, protected=False).retry_interval_s, 3600)

    def test_every_setting_is_told(self) -> None:
        """All settings but name and passwords are members, and what is told can be read again."""
        settings = {setting for setting, _ in MEMBERS.values()}
        self.assertEqual({*ChargerSettings.__dataclass_fields__} - settings, {"name", "authorization", "protected"})
        whole = ChargerSettings(
            name="A", authorization=b"secret", tags=("x",), registration=Registration.PENDING, supply_phases=1
        )
        told = json_of(whole)
        self.assertNotIn("secret", str(told))
        again = settings_of("A", told, {}, protected=False)
        self.assertEqual(json_of(again), told)

    def test_merged(self) -> None:
        """Those of the file come first; a password in the records protects either."""
        file = Configuration(chargers={"A": ChargerSettings(name="A", quiet=True)}, max_queue_size=7)
        entered = {name: ChargerSettings(name=name) for name in ("A", "B")}
        found = merged(file, entered, {"A": True, "B": False, "gone": True})
        self.assertEqual((found.max_queue_size, sorted(found.chargers)), (7, ["A", "B"]))
        self.assertTrue(found.chargers["A"].quiet)
        self.assertEqual([found.chargers[name].needs_password for name in "AB"], [True, False])
