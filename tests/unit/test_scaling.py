"""docs/scaling.md says what the commands that it names print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]


class ScalingTests(SynchronousTestCase):
    """The page and its commands."""

    def test_the_page_has_what_is_computed(self) -> None:
        """The table of the page is what scaling.py makes of the costs that are kept."""
        script = ROOT / "benchmarks" / "scaling.py"
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
        page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
        self.assertGreater(len(done.stdout.splitlines()), 10)
        self.assertIn(done.stdout, page)
