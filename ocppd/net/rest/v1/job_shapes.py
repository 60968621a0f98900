"""Jobs and files as the JSON that operators see. docs/http-api.md. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ocppd.net.rest.shapes import instant
from ocppd.storage.records.charger_jobs import LOG_KINDS, Job, JobEntry, JobKind, JobState
from ocppd.storage.records.files import StoredFile

Shape = dict[str, Any]

#: L01.FR.20: a charger with the security extension takes no unsigned firmware.
USE_SIGNED: Final = "this charger takes signed firmware alone: give `signed`"
#: What operators call a log, by what GetLog calls it.
LOG_NAMES: Final = {"DiagnosticsLog": "diagnosticsLog", "SecurityLog": "securityLog"}


def root_of(job: Job) -> str:
    """The resource that a job belongs to."""
    return "logs" if job.kind in LOG_KINDS else "firmware"


def kind_of(job: Job) -> str:
    """What an operator calls it."""
    return LOG_NAMES.get(job.log_type or "", str(job.kind)) if job.kind is JobKind.LOG else str(job.kind)


def job(record: Job) -> Shape:
    """A job without its timeline."""
    members = {
        "id": record.job_id,
        "charger": record.charger,
        "kind": kind_of(record),
        "state": record.state,
        "status": record.status,
        "reason": record.reason,
        "hint": USE_SIGNED if _wants_signed(record) else None,
        "inferred": record.inferred or None,
        "messageId": record.message_id,
        "requestId": record.request_id,
        "location": record.location,
        "file": record.file_id,
        "fileName": record.file_name,
        "retrieveDate": _optional(record.retrieve_ms),
        "installDate": _optional(record.install_ms),
        "oldestTimestamp": _optional(record.oldest_ms),
        "latestTimestamp": _optional(record.latest_ms),
        "retries": record.retries,
        "retryInterval": record.retry_interval_s,
        "versionBefore": record.version_before,
        "versionAfter": record.version_after,
        "requestedAt": instant(record.created_ms),
        "updatedAt": instant(record.updated_ms),
        "endedAt": _optional(record.ended_ms),
    }
    return _told(members)


def _wants_signed(record: Job) -> bool:
    return record.kind is JobKind.FIRMWARE and record.state is JobState.FAILED and record.reason == "NotSupported"


def whole_job(record: Job, entries: Sequence[JobEntry], files: Sequence[StoredFile]) -> Shape:
    """A job with what happened to it, oldest first, and what its charger has sent."""
    sent = {"files": [stored_file(file) for file in files]} if record.kind in LOG_KINDS else {}
    return {**job(record), **sent, "timeline": [_entry(entry) for entry in entries]}


def _entry(entry: JobEntry) -> Shape:
    members = {
        "at": instant(entry.at_ms),
        "what": entry.what,
        "status": entry.status,
        "detail": entry.detail,
        "messageId": entry.message_id,
        "afterEnd": entry.after_end or None,
    }
    return _told(members)


def stored_file(file: StoredFile) -> Shape:
    """A file of the file room."""
    members = {
        "id": file.file_id,
        "purpose": file.purpose,
        "name": file.name,
        "size": file.size,
        "sha256": file.sha256,
        "charger": file.charger,
        "job": file.job_id,
        "createdAt": instant(file.created_ms),
    }
    return _told(members)


def _optional(ms: int | None) -> str | None:
    return None if ms is None else instant(ms)


def _told(members: Shape) -> Shape:
    return {name: value for name, value in members.items() if value is not None}
