"""Files of the file room, and the tokens that chargers send and fetch them with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FilePurpose(StrEnum):
    """Whose it is: an operator's firmware, or what a charger has sent."""

    FIRMWARE = "firmware"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file that is on disk under the name `stored`; `sha256` in hexadecimal digits."""

    purpose: FilePurpose
    name: str
    stored: str
    size: int
    sha256: str
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file as it is on record; one that a charger has sent belongs to a job."""

    file_id: int
    purpose: FilePurpose
    charger: str | None
    job_id: int | None
    name: str
    stored: str
    size: int
    sha256: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class NewToken:
    """What lets a charger send one file, or fetch `file_id`, until then. `digest` is the SHA-256 of the token."""

    digest: str
    expires_ms: int
    file_id: int | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """What a token is good for. `used_ms`: since when a file is there that was sent with it."""

    job_id: int
    charger: str
    file_id: int | None
    expires_ms: int
    used_ms: int | None
