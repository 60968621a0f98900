"""Files beside a database file. Knows no product."""

from __future__ import annotations

import os
from pathlib import Path


def companion(path: Path, suffix: str) -> Path:
    """The file beside the database whose name is the database's and `suffix`."""
    return path.with_name(path.name + suffix)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` as durable as the files."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
