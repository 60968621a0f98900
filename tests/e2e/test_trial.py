"""The unit layer under trial, which some have at hand where pytest is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: As `python -m twisted.trial`, with the properties judged as under pytest: a busy machine is no failure of theirs.
TRIAL = """
import sys
from hypothesis import HealthCheck, settings
from twisted.scripts.trial import run

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
sys.exit(run())
"""


def test_unit_layer_under_trial(tmp_path: Path) -> None:
    """Every unit test passes under trial, too."""
    files = sorted(str(path) for path in (ROOT / "tests" / "unit").rglob("test_*.py") if path.name != "test_lint.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(
        [sys.executable, "-c", TRIAL, "--temp-directory", str(tmp_path / "trial"), *files],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "PASSED" in done.stdout
