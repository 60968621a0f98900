"""`Retention` of configs.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.config import RetentionSettings, load_configuration
from ocppd.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]


class Retentions(SynchronousTestCase):
    """Tests for how long records are kept."""

    def load(self, **members: Any) -> RetentionSettings:
        path = Path(self.mktemp())
        path.write_text(json.dumps({"Chargers": [], **members}))
        return load_configuration(path).retention

    def refused(self, value: Any) -> str:
        return str(self.assertRaises(ConfigurationError, self.load, Retention=value))

    def test_the_default_is_for_ever(self) -> None:
        """Nothing is removed where nobody says so."""
        nothing = RetentionSettings()
        self.assertEqual(self.load(), nothing)
        self.assertEqual(self.load(Retention={}), nothing)
        self.assertEqual((nothing.messages_days, nothing.meter_values_days), (None, None))

    def test_each_kind_has_its_days(self) -> None:
        """Each key is read; the interval has a default."""
        given = {"Messages": 90, "Statuses": 365, "Quarantine": 30, "MeterValues": 60}
        expected = RetentionSettings(messages_days=90, statuses_days=365, quarantine_days=30, meter_values_days=60)
        self.assertEqual(self.load(Retention=given), expected)
        self.assertEqual(expected.meter_value_interval_s, 900)
        self.assertEqual(self.load(Retention={**given, "MeterValueInterval": 300}).meter_value_interval_s, 300)

    def test_errors_name_the_key_and_the_page(self) -> None:
        """A wrong value is refused by its path, with what belongs there and where that is explained."""
        for wrong in (1, 0, -1, 36501, "90", 90.5, True, None):
            line = self.refused({"Messages": wrong})
            self.assertIn("Retention.Messages: expected a whole number of days from 2 to 36500", line)
            self.assertIn("docs/operations.md", line)
        self.assertIn(
            "Retention.MeterValueInterval: expected a whole", self.refused({"MeterValues": 2, "MeterValueInterval": 59})
        )
        self.assertIn("expected MeterValues beside it", self.refused({"MeterValueInterval": 900}))
        self.assertIn("did you mean Messages?", self.refused({"messages": 90}))
        self.assertIn("Retention: expected an object with Messages", self.refused(90))

    def test_the_page_has_what_errors_name(self) -> None:
        """The chapter that errors point to is there."""
        text = (ROOT / "docs" / "operations.md").read_text()
        self.assertTrue("\n## How long records are kept\n" in text)
