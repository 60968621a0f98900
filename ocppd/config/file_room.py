"""The options of the file room, as one table: `ocppd.tap` reads them, `Settings` has their members. Knows no file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class FileRoomOption:
    """An option, the member of `Settings` that it sets, and what reads it: raises ValueError with what is expected."""

    name: str
    default: str
    help_text: str
    member: str
    check: Callable[[str], Any]


def _directory(text: str) -> Path:
    """Absolute, before twistd changes its directory."""
    if not text or "\0" in text:
        raise ValueError("expected a directory")
    return Path(text).absolute()


def _base_url(text: str) -> str:
    """A URL without path, credentials or anything else. An error does not repeat it: it may hold a password."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        right = False
    plain = right and parts.path in ("", "/") and not parts.query and not parts.fragment and parts.username is None
    if not plain or not text.isascii() or any(character.isspace() for character in text):
        raise ValueError("expected a URL without a path, such as https://ocpp.example")
    return text.rstrip("/")


def _number(least: int, most: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most:
            raise ValueError(f"expected a number from {least} to {most}")
        return int(text)

    return check


FILE_ROOM_OPTIONS: Final = (
    FileRoomOption(
        "files",
        "beside an SQLite database",
        "The directory for firmware, and for what chargers send.",
        "files",
        _directory,
    ),
    FileRoomOption(
        "public-url",
        "as each charger has found us",
        "Where chargers reach us for files, such as https://ocpp.example.",
        "public_url",
        _base_url,
    ),
    FileRoomOption("upload-limit", "100", "What a file may have, in MiB.", "upload_limit_mib", _number(1, 4096)),
    FileRoomOption("keep-files", "90", "Days for which what chargers have sent is kept.", "keep_files_days", _number(1, 3660)),
    FileRoomOption(
        "files-limit",
        "10",
        "What all files may take, in GiB; the oldest ones of chargers go first.",
        "files_limit_gib",
        _number(1, 65536),
    ),
)
