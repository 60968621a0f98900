"""A copy of the tree, and pip, for tests of what users install."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.daemon import ROOT
from support.programs import bare_environment, missing

#: What a work tree has and a fresh checkout has not.
LEFTOVERS = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "*.egg-info",
    "build",
    "dist",
    "dropin.cache",
    "_trial_temp*",
    "*.sqlite*",
)
#: How pip says that it cannot reach a registry; everything else that it says is a fault of ours.
UNREACHABLE = re.compile("NewConnectionError|ConnectTimeout|ReadTimeout|name resolution|Max retries|ProxyError", re.IGNORECASE)
PATIENCE_S = 400


def copied_tree(to: Path) -> Path:
    """The whole tree as a fresh checkout has it."""
    shutil.copytree(ROOT, to, ignore=LEFTOVERS)
    return to


def pip(command: Sequence[str], directory: Path) -> None:
    """Run a command that installs. Skips where no registry can be reached, fails there in CI."""
    ended = subprocess.run(
        command, cwd=directory, env=bare_environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    told = ended.stdout + ended.stderr
    if ended.returncode and UNREACHABLE.search(told):
        missing("no package registry can be reached")
    assert ended.returncode == 0, told
