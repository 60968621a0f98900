"""docs/conformance.md: every rule is held by a test, or the page says why not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]


class ConformanceTests(SynchronousTestCase):
    """The table and the script that prints it."""

    def run_script(self, *rules: str) -> subprocess.CompletedProcess[str]:
        """What the script says of these rules, or of all."""
        script = [sys.executable, str(ROOT / "tests" / "conformance.py"), *rules]
        return subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)

    def test_every_rule_is_held_or_explained(self) -> None:
        """No rule has neither a test nor a reason."""
        told = self.run_script()
        self.assertEqual((told.returncode, told.stderr), (0, ""), told.stdout)
        self.assertIn("tests/contract", told.stdout)

    def test_the_tests_of_a_rule(self) -> None:
        """A rule is shown with the tests that name it."""
        told = self.run_script("T-22")
        self.assertIn("test_a_nameless_stop_finds_its_transaction", told.stdout)
        self.assertNotIn("T-23", told.stdout)
