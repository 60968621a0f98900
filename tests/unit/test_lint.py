"""ruff and mypy, as part of the test run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]


def check(tool: str, *arguments: str) -> None:
    """Fail with what the tool complains about; where it is not installed, skip, but fail in CI."""
    if importlib.util.find_spec(tool) is None:
        if os.environ.get("CI"):
            raise AssertionError(f"{tool} is not installed; CI needs the extra `test`")
        raise SkipTest(f"{tool} is not installed; pip install '.[test]' brings it")
    done = subprocess.run(
        [sys.executable, "-m", tool, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)


class LintTests(SynchronousTestCase):
    """The tools find nothing."""

    def test_ruff(self) -> None:
        """ruff has no complaint about any file."""
        check("ruff", "check", "--output-format=concise", ".")

    def test_mypy(self) -> None:
        """mypy, strict, has no complaint about the package."""
        check("mypy")
