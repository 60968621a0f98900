"""What becomes of jobs: what their calls, statuses, boots and time make of them. Functions over a running transaction.

REQUIREMENTS 2.3, 2.4 (GetDiagnostics, UpdateFirmware), B-2, V-2 to V-4, V-10, and appendix A for the times. No request id
ties a status of the FirmwareManagement profile to its job: it belongs to the newest one of its kind that it can be about.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy import bindparam, select

from ocppd.storage import charger_job_rows as rows
from ocppd.storage import charger_row, events, file_room
from ocppd.storage.charger_job_calls import Told, status_of, told_by
from ocppd.storage.records import Boot, EndedCall, EventKind, Inbound, MessageState
from ocppd.storage.records.charger_jobs import (
    CONCLUDED,
    FIRMWARE_KINDS,
    IDLE,
    OPEN_STATES,
    TRANSITIONS,
    EntryKind,
    Job,
    JobKind,
    JobState,
    NewJob,
)
from ocppd.storage.records.files import NewToken
from ocppd.storage.schema import IS_OUR_CALL, messages
from ocppd.storage.unit import Parameters, Statement, Unit

HOUR_MS: Final = 3600 * 1000
#: Appendix A, from when the charger has it, and from the instants that it was given.
FIRMWARE_TIME_MS: Final = 24 * HOUR_MS
UPLOAD_TIME_MS: Final = HOUR_MS
#: 2.4 UpdateFirmware: after a boot with another version, until it counts as installed.
INFERENCE_MS: Final = 10 * 60 * 1000
#: A job whose call waits is looked at again after so long.
QUEUED_LOOK_MS: Final = HOUR_MS
#: A status that names no job belongs to one that ended within that time, where none is under way.
AFTERMATH_MS: Final = 24 * HOUR_MS
#: What retries may add to the time of an upload.
MAX_RETRIES_MS: Final = 24 * HOUR_MS
#: Of OCPP's integers.
MAX_REQUEST_ID: Final = 2**31 - 1

_CALL_STATE = Statement(select(messages.c.state).where(messages.c.message_id == bindparam("the_id"), IS_OUR_CALL))
_WITH_REQUEST_ID: Final = frozenset({JobKind.LOG, JobKind.SIGNED_FIRMWARE})


def created(unit: Unit, wanted: NewJob, token: NewToken | None) -> Job | None:
    """See `JobRecords.job_created`."""
    version = charger_row.locked(unit, wanted.charger)  # so that request ids are given one after another
    if wanted.request_id is not None and rows.knows_request(unit, wanted.charger, wanted.request_id):
        return None
    job_id = _make(unit, wanted, version)
    if token is not None:
        file_room.token_given(unit, token, job_id, wanted.charger)
    return rows.by_id(unit, job_id)


def _make(unit: Unit, wanted: NewJob, version: str | None) -> int:
    members: Parameters = {
        "charger": wanted.charger,
        "kind": wanted.kind.value,
        "log_type": wanted.log_type,
        "request_id": wanted.request_id,
        "message_id": wanted.message_id,
        "state": JobState.REQUESTED.value,
        "location": wanted.location,
        "file_id": wanted.file_id,
        "retrieve_ms": wanted.retrieve_ms,
        "install_ms": wanted.install_ms,
        "oldest_ms": wanted.oldest_ms,
        "latest_ms": wanted.latest_ms,
        "retries": wanted.retries,
        "retry_interval_s": wanted.retry_interval_s,
        "version_before": version if wanted.kind in FIRMWARE_KINDS else None,
        "inferred": False,
        "created_ms": wanted.created_ms,
        "updated_ms": wanted.created_ms,
        "due_ms": wanted.created_ms + QUEUED_LOOK_MS,
    }
    job_id = rows.made(unit, members)
    if wanted.request_id is None and wanted.kind in _WITH_REQUEST_ID:
        rows.numbered(unit, job_id, rows.free_request_id(unit, wanted.charger, job_id, MAX_REQUEST_ID))
    rows.enter(unit, job_id, wanted.created_ms, EntryKind.REQUESTED, message_id=wanted.message_id)
    return job_id


def withdrawn(unit: Unit, job_id: int) -> None:
    """See `JobRecords.job_withdrawn`."""
    job = rows.by_id(unit, job_id)
    if job is not None and unit.one(_CALL_STATE, {"the_id": job.message_id}) is None:
        file_room.tokens_taken_back(unit, job_id)
        rows.drop(unit, job_id)


# The call


def call_ended(unit: Unit, ended: EndedCall) -> None:
    """A GetDiagnostics, GetLog, UpdateFirmware or SignedUpdateFirmware has ended, by whatever door it came (V-2)."""
    told = told_by(ended)
    job = rows.by_call(unit, ended.message_id)
    if job is None:
        if told.wanted is None or told.unsent:  # another version's, or the charger never heard of it
            return
        job = rows.by_id(unit, _make(unit, told.wanted, charger_row.locked(unit, ended.charger)))
        assert job is not None, "it was made just now"
    if told.state is None:  # whether the charger has it is not known (S-6); its statuses will tell
        rows.enter(unit, job.job_id, ended.ended_ms, EntryKind.ANSWERED, detail=told.reason, message_id=ended.message_id)
        if job.ended_ms is None:
            rows.save(unit, replace(job, reason=told.reason, updated_ms=ended.ended_ms, due_ms=_due(job, ended.ended_ms)))
        return
    _answered(unit, job, ended, told, told.state)


def _answered(unit: Unit, job: Job, ended: EndedCall, told: Told, state: JobState) -> None:
    at_ms, over = ended.ended_ms, job.ended_ms is not None
    if not told.unsent:
        detail = told.file_name or (told.reason if told.reason != ended.outcome else None)
        answer = {"status": ended.outcome, "detail": detail, "message_id": ended.message_id}
        rows.enter(unit, job.job_id, at_ms, EntryKind.ANSWERED, after_end=over, **answer)
    job = replace(job, file_name=told.file_name or job.file_name, updated_ms=at_ms)
    if over:
        rows.save(unit, job)
    elif state is JobState.ACCEPTED:
        moved = job.state is JobState.RUNNING  # it began before it answered
        job = replace(job, reason=None, state=job.state if moved else state, due_ms=_due(job, at_ms))
        rows.save(unit, job)
    else:
        _end(unit, job, state, at_ms, told.reason)
    if state is JobState.ACCEPTED and (told.cancels or job.kind not in _WITH_REQUEST_ID):
        for older in rows.older_open(unit, job):  # one at a time: the charger goes on with the newest
            _end(unit, older, JobState.CANCELLED, at_ms, f"job {job.job_id} took its place")


def _due(job: Job, from_ms: int) -> int:
    """When a job that its charger has is given up."""
    if job.kind in FIRMWARE_KINDS:
        return max(from_ms, job.retrieve_ms or 0, job.install_ms or 0) + FIRMWARE_TIME_MS
    # Errata 3.50: retries are what follows the first attempt.
    retries_ms = max(job.retries or 0, 0) * max(job.retry_interval_s or 0, 0) * 1000
    return from_ms + UPLOAD_TIME_MS + min(retries_ms, MAX_RETRIES_MS)


# Statuses


def notified(unit: Unit, message: Inbound, sequence: int) -> None:
    """A charger tells how far a job is: 2.3, V-3, V-10. Without a job it is an event and nothing else."""
    told = status_of(message)
    if told is not None:
        _status_told(unit, message, *told)


def _status_told(unit: Unit, message: Inbound, kind: JobKind, status: str, request_id: int | None) -> None:
    job = _meant(unit, message, kind, status, request_id)
    if job is None:
        if status != IDLE:
            members = {} if request_id is None else {"requestId": str(request_id)}
            told = {"action": message.action, "status": status, **members}
            events.happened(unit, EventKind.STATUS_WITHOUT_JOB, message.charger, message.received_ms, **told)
        return
    at_ms = message.received_ms
    state = TRANSITIONS[kind].get(status, JobState.RUNNING)
    over = job.ended_ms is not None
    revised = over and (job.state in CONCLUDED or job.inferred) and status != IDLE
    after_end = over and not revised and status != IDLE  # Idle after the end is as it should be (V-4)
    rows.enter(unit, job.job_id, at_ms, EntryKind.STATUS, status=status, message_id=message.message_id, after_end=after_end)
    if over and not revised:
        return
    if revised:
        job = replace(job, ended_ms=None, reason=None, inferred=False, due_ms=_due(job, at_ms))
    if status == IDLE:
        _idle(unit, replace(job, updated_ms=at_ms), at_ms)
        return
    job = replace(job, status=status, updated_ms=at_ms)
    if state is JobState.RUNNING:
        rows.save(unit, replace(job, state=state))
    else:
        _end(unit, job, state, at_ms, None)


def _meant(unit: Unit, message: Inbound, kind: JobKind, status: str, request_id: int | None) -> Job | None:
    """The job that a status is about."""
    if request_id is not None:
        return rows.by_request(unit, message.charger, kind, request_id)
    job = rows.newest(unit, message.charger, kind)
    if job is None or job.ended_ms is None:
        # Before the answer to its call the charger knows nothing of a job.
        unanswered = job is not None and job.state is JobState.REQUESTED and job.reason is None
        return None if unanswered and status == IDLE else job
    return job if status != IDLE and message.received_ms - job.ended_ms <= AFTERMATH_MS else None


def _idle(unit: Unit, job: Job, at_ms: int) -> None:
    """Asked about a job that is under way the charger knows of none: it is lost, unless it was not to begin yet (2.3)."""
    if job.version_after is not None:
        _end(unit, replace(job, inferred=True), JobState.DONE, at_ms, None)
    elif at_ms < (job.retrieve_ms or 0):
        rows.save(unit, job)
    else:
        _end(unit, job, JobState.LOST, at_ms, "the charger knows of no job")


# Boots and time


def booted(unit: Unit, message: Inbound, boot: Boot) -> None:
    """A boot while firmware is being installed; with another version it will count as installed (B-2)."""
    at_ms, version = message.received_ms, boot.firmware_version
    for job in rows.open_firmware(unit, message.charger):
        if job.state is JobState.REQUESTED:
            if job.reason is None and version is not None:  # not of this job's doing
                rows.save(unit, replace(job, version_before=version))
            continue
        rows.enter(unit, job.job_id, at_ms, EntryKind.BOOT, detail=version, message_id=message.message_id)
        job = replace(job, updated_ms=at_ms)
        if job.state is JobState.ACCEPTED and at_ms < (job.retrieve_ms or 0):  # it is not to begin yet
            job = replace(job, version_before=version or job.version_before)
        elif version is not None and job.version_before is not None and version != job.version_before:
            due_ms = job.due_ms if job.version_after is not None else at_ms + INFERENCE_MS
            job = replace(job, version_after=version, due_ms=due_ms)
        elif version is not None and job.version_after is not None:  # it is back to the old one
            job = replace(job, version_after=None, due_ms=_due(job, at_ms))
        rows.save(unit, job)


def any_due(unit: Unit, now_ms: int) -> bool:
    """Whether there is anything to look at."""
    return bool(rows.due(unit, now_ms))


def looked_at(unit: Unit, now_ms: int) -> list[Job]:
    """See `JobRecords.jobs_due`."""
    ended = []
    for job_id in rows.due(unit, now_ms):
        job = rows.by_id(unit, job_id)
        if job is None or job.ended_ms is not None or job.due_ms > now_ms:  # another node was here
            continue
        after = _time_passed(unit, job, now_ms)
        if after is not None:
            ended.append(after)
    return ended


def _time_passed(unit: Unit, job: Job, now_ms: int) -> Job | None:
    if job.version_after is not None:
        return _end(unit, replace(job, inferred=True), JobState.DONE, now_ms, None)
    if job.state is JobState.REQUESTED and job.reason is None:
        found = unit.one(_CALL_STATE, {"the_id": job.message_id})
        if found is None:
            return _end(unit, job, JobState.FAILED, now_ms, "its call was not sent")
        if found[0] in (MessageState.QUEUED.value, MessageState.SENT.value):
            rows.save(unit, replace(job, due_ms=now_ms + QUEUED_LOOK_MS))
            return None
    return _end(unit, job, JobState.TIMEOUT, now_ms, "nothing more was heard of it in time")


def _end(unit: Unit, job: Job, state: JobState, at_ms: int, reason: str | None) -> Job:
    """It is over, and told of."""
    assert state not in OPEN_STATES
    job = replace(job, state=state, reason=reason, ended_ms=at_ms, updated_ms=at_ms)
    rows.save(unit, job)
    if state is not JobState.FAILED or job.status is None or reason is not None:
        rows.enter(unit, job.job_id, at_ms, EntryKind.ENDED, status=state.value, detail=reason or _inference(job))
    if state in (JobState.FAILED, JobState.CANCELLED, JobState.NOTHING_AVAILABLE):
        rows.expire_tokens(unit, job.job_id, at_ms)
    told = {"jobId": str(job.job_id), "jobKind": job.kind.value, "state": state.value}
    told |= {name: value for name, value in (("status", job.status), ("reason", reason)) if value is not None}
    events.happened(unit, EventKind.JOB_ENDED, job.charger, at_ms, **told)
    return job


def _inference(job: Job) -> str | None:
    return f"inferred from a boot with firmware {job.version_after}" if job.inferred else None


def noted(unit: Unit, job_id: int, at_ms: int, detail: str) -> None:
    """See `JobRecords.job_noted`."""
    rows.enter(unit, job_id, at_ms, EntryKind.FILE, detail=detail)
