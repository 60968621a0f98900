"""Jobs of chargers: firmware, diagnostics, logs. What there is of one, and what a status makes of it.

REQUIREMENTS 2.3, 2.4 (GetDiagnostics, UpdateFirmware), V-2 to V-4, V-10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class JobKind(StrEnum):
    """Which of our calls it came of: UpdateFirmware, SignedUpdateFirmware, GetDiagnostics, GetLog."""

    FIRMWARE = "firmware"
    SIGNED_FIRMWARE = "signedFirmware"
    DIAGNOSTICS = "diagnostics"
    LOG = "log"


FIRMWARE_KINDS: Final = (JobKind.FIRMWARE, JobKind.SIGNED_FIRMWARE)
LOG_KINDS: Final = (JobKind.DIAGNOSTICS, JobKind.LOG)


class JobState(StrEnum):
    """The life of a job: `requested`, `accepted`, `running`, then one of the others."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    NOTHING_AVAILABLE = "nothingAvailable"
    CANCELLED = "cancelled"
    LOST = "lost"
    TIMEOUT = "timeout"


OPEN_STATES: Final = frozenset({JobState.REQUESTED, JobState.ACCEPTED, JobState.RUNNING})
#: What we have concluded ourselves: a status that comes after all says more.
CONCLUDED: Final = frozenset({JobState.LOST, JobState.TIMEOUT})

IDLE: Final = "Idle"

_FIRMWARE: Final = {
    "Downloading": JobState.RUNNING,
    "Downloaded": JobState.RUNNING,
    "Installing": JobState.RUNNING,
    "Installed": JobState.DONE,
    "DownloadFailed": JobState.FAILED,
    "InstallationFailed": JobState.FAILED,
    IDLE: JobState.LOST,
}
#: What a status makes of a job that has not ended, by its kind. Steps may be skipped or repeated.
TRANSITIONS: Final[Mapping[JobKind, Mapping[str, JobState]]] = {
    JobKind.FIRMWARE: _FIRMWARE,
    JobKind.SIGNED_FIRMWARE: {
        **_FIRMWARE,
        "DownloadScheduled": JobState.RUNNING,
        "DownloadPaused": JobState.RUNNING,
        "SignatureVerified": JobState.RUNNING,
        "InstallScheduled": JobState.RUNNING,
        "InstallRebooting": JobState.RUNNING,
        "InvalidSignature": JobState.FAILED,
        "InstallVerificationFailed": JobState.FAILED,
    },
    JobKind.DIAGNOSTICS: {
        "Uploading": JobState.RUNNING,
        "Uploaded": JobState.DONE,
        "UploadFailed": JobState.FAILED,
        IDLE: JobState.LOST,
    },
    JobKind.LOG: {
        "Uploading": JobState.RUNNING,
        "Uploaded": JobState.DONE,
        "UploadFailure": JobState.FAILED,
        "BadMessage": JobState.FAILED,
        "PermissionDenied": JobState.FAILED,
        "NotSupportedOperation": JobState.FAILED,
        IDLE: JobState.LOST,
    },
}


class EntryKind(StrEnum):
    """What an entry of a timeline tells."""

    REQUESTED = "requested"
    ANSWERED = "answered"
    STATUS = "status"
    BOOT = "boot"
    FILE = "file"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is about to be asked for by the call `message_id`.

    `location` has no credentials; None is the file room. `request_id` None: where its kind has one it is given.
    """

    charger: str
    kind: JobKind
    message_id: str
    created_ms: int
    location: str | None = None
    log_type: str | None = None
    request_id: int | None = None
    file_id: int | None = None
    retrieve_ms: int | None = None
    install_ms: int | None = None
    oldest_ms: int | None = None
    latest_ms: int | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is."""

    job_id: int
    charger: str
    kind: JobKind
    log_type: str | None
    request_id: int | None
    message_id: str
    state: JobState
    status: str | None
    reason: str | None
    location: str | None
    file_id: int | None
    file_name: str | None
    retrieve_ms: int | None
    install_ms: int | None
    oldest_ms: int | None
    latest_ms: int | None
    retries: int | None
    retry_interval_s: int | None
    version_before: str | None
    version_after: str | None
    inferred: bool
    created_ms: int
    updated_ms: int
    ended_ms: int | None
    due_ms: int


@dataclass(frozen=True, slots=True)
class JobEntry:
    """One thing that happened to a job. `after_end`: it had ended."""

    entry_id: int
    at_ms: int
    what: EntryKind
    status: str | None
    detail: str | None
    message_id: str | None
    after_end: bool


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a charger; None is any."""

    charger: str
    kinds: tuple[JobKind, ...]
    state: JobState | None = None
