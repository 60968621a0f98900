"""Unit files, as systemd and as a test reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.programs import needed

#: Of 100, where `systemd-analyze security` calls anything below 20 fine.
EXPOSURE = 20


def settings(unit: Path, name: str) -> list[str]:
    """The values of a setting of a unit, in order."""
    lines = unit.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    command = [needed("systemd-analyze"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
