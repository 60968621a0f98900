"""Jobs of chargers and the file room's records, over every storage."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest_twisted
from twisted.internet.defer import gatherResults

from ocppd.storage.records import CallEnd, EventFilter, MessageState, NewCall
from ocppd.storage.records.charger_jobs import FIRMWARE_KINDS, LOG_KINDS, Job, JobFilter, JobKind, JobState, NewJob
from ocppd.storage.records.files import FilePurpose, NewFile, NewToken
from ocppd.storage.sql_storage import SqlStorage
from support.storing import MINUTE_MS, NOON_MS, boot, inbound

ensure = pytest_twisted.ensureDeferred
DAY_MS = 24 * 60 * MINUTE_MS
REQUESTS = {
    "UpdateFirmware": {"location": "ftp://x/f", "retrieveDate": "2026-03-01T12:00:00Z"},
    "GetLog": {"log": {"remoteLocation": "ftp://x/"}, "logType": "SecurityLog", "requestId": 9},
}
_numbers = count(1)


def wanted(kind: JobKind, **members: Any) -> NewJob:
    """A job with a call of its own."""
    return NewJob(**{"charger": "CP1", "kind": kind, "message_id": f"j{next(_numbers)}", "created_ms": NOON_MS, **members})


async def called(storage: SqlStorage, action: str, message_id: str, state: MessageState, answer: str | None, **end: Any) -> None:
    """A call of ours from its acceptance to its end, one minute past noon."""
    frame = json.dumps([2, message_id, action, REQUESTS[action]])
    call = NewCall(message_id, "CP1", action, frame, frame, NOON_MS, NOON_MS + DAY_MS)
    await storage.call_created(call, 1)
    await storage.call_ended(CallEnd(message_id, state, NOON_MS + MINUTE_MS, answer=answer, **end))


async def made(storage: SqlStorage, kind: JobKind, token: NewToken | None = None, **members: Any) -> Job:
    job = await storage.charger_jobs.job_created(wanted(kind, **members), token)
    assert job is not None
    return job


async def read(storage: SqlStorage, job: Job) -> Job:
    found = await storage.charger_jobs.read_job("CP1", job.job_id, tuple(JobKind))
    assert found is not None
    return found[0]


async def tell(storage: SqlStorage, action: str, status: str, at_ms: int = NOON_MS, **members: Any) -> None:
    """A status of the charger."""
    frame = json.dumps([2, "s", action, {"status": status, **members}])
    await storage.message_received(inbound(action, frame=frame, received_ms=at_ms))


@ensure
async def test_a_job_from_its_call_to_its_end(storage: SqlStorage) -> None:
    """FD-01, B-2: the end of the call, statuses and a boot change the job in their own commits; its end is an event."""
    await storage.charger_booted(inbound("BootNotification"), boot(firmware_version="1.0"))
    job = await made(storage, JobKind.FIRMWARE, retrieve_ms=NOON_MS, file_id=3)
    assert (job.state, job.version_before, job.request_id) == (JobState.REQUESTED, "1.0", None)
    await called(storage, "UpdateFirmware", job.message_id, MessageState.COMPLETED, f'[3,"{job.message_id}",{{}}]')
    assert (await read(storage, job)).state is JobState.ACCEPTED
    await tell(storage, "FirmwareStatusNotification", "Installing")
    await storage.charger_booted(inbound("BootNotification", received_ms=NOON_MS + 5), boot(firmware_version="2.0"))
    assert not await storage.charger_jobs.any_job_due(NOON_MS + 9 * MINUTE_MS)
    due = NOON_MS + 11 * MINUTE_MS
    assert await storage.charger_jobs.any_job_due(due)
    both = await gatherResults([storage.charger_jobs.jobs_due(due) for _ in range(2)])
    assert [len(ended) for ended in both] == [1, 0], "whoever comes first"
    done = await read(storage, job)
    assert (done.state, done.inferred, done.version_after, done.ended_ms) == (JobState.DONE, True, "2.0", due)
    events = await storage.list_events(EventFilter(charger="CP1"), None, 9)
    told = next(event for event in events if event.kind == "jobEnded")
    assert told.members == {"jobId": str(job.job_id), "jobKind": "firmware", "state": "done", "status": "Installing"}
    assert await storage.charger_jobs.read_job("CP1", job.job_id, LOG_KINDS) is None
    assert await storage.charger_jobs.read_job("CP2", job.job_id, FIRMWARE_KINDS) is None


@ensure
async def test_request_ids(storage: SqlStorage) -> None:
    """V-1, V-10: ids are unique per charger, also for jobs that are made at the same moment; a known one is refused."""
    jobs = await gatherResults([made_later(storage) for _ in range(5)])
    assert sorted(job.request_id for job in jobs) == sorted({job.request_id for job in jobs})
    taken = wanted(JobKind.LOG, request_id=jobs[0].request_id)
    assert await storage.charger_jobs.job_created(taken, None) is None
    assert await storage.charger_jobs.job_created(wanted(JobKind.LOG, charger="CP2", request_id=jobs[0].request_id), None)
    high = await made(storage, JobKind.SIGNED_FIRMWARE, request_id=2**31 - 1)
    after = await made(storage, JobKind.LOG)
    assert after.request_id == after.job_id and high.request_id == 2**31 - 1
    taken_too = await made(storage, JobKind.LOG, request_id=after.job_id + 2)
    assert (await made(storage, JobKind.LOG)).request_id == taken_too.job_id + 2


def made_later(storage: SqlStorage) -> Any:
    return storage.charger_jobs.job_created(wanted(JobKind.LOG), None)


@ensure
async def test_calls_that_nobody_made_a_job_for(storage: SqlStorage) -> None:
    """A call by another door has a job once it ends, unless its charger never heard of it."""
    await called(storage, "GetLog", "c1", MessageState.COMPLETED, '[3,"c1",{"status":"Accepted"}]', outcome="Accepted")
    await called(storage, "UpdateFirmware", "c2", MessageState.EXPIRED, None)
    await called(storage, "UpdateFirmware", "c3", MessageState.UNKNOWN, None)
    listed = await storage.charger_jobs.list_jobs(JobFilter("CP1", tuple(JobKind)), None, 9)
    assert [(job.kind, job.state, job.request_id, job.location) for job in listed] == [
        (JobKind.FIRMWARE, JobState.REQUESTED, None, "ftp://x/f"),
        (JobKind.LOG, JobState.ACCEPTED, 9, "ftp://x/"),
    ]
    assert await storage.charger_jobs.list_jobs(JobFilter("CP1", LOG_KINDS, JobState.DONE), None, 9) == []
    late = CallEnd("c3", MessageState.COMPLETED, NOON_MS + 2 * MINUTE_MS, answer='[3,"c3",{}]')
    await storage.call_ended(late)
    assert (await read(storage, listed[0])).state is JobState.ACCEPTED


@ensure
async def test_what_was_never_sent(storage: SqlStorage) -> None:
    """A job whose call was not accepted is forgotten with its token; one whose node died in between has failed when it is due."""
    token = NewToken("d" * 64, NOON_MS + DAY_MS)
    job = await made(storage, JobKind.DIAGNOSTICS, token)
    await storage.charger_jobs.job_withdrawn(job.job_id)
    assert await storage.charger_jobs.read_job("CP1", job.job_id, tuple(JobKind)) is None
    assert await storage.files.permit(token.digest) is None
    forgotten = await made(storage, JobKind.DIAGNOSTICS)
    await storage.charger_jobs.jobs_due(NOON_MS + DAY_MS)
    ended = await read(storage, forgotten)
    assert (ended.state, ended.reason) == (JobState.FAILED, "its call was not sent")


@ensure
async def test_a_status_is_not_about_a_job_that_waits(storage: SqlStorage) -> None:
    """2.3: what a charger tells without a request id is not about a call that it has not heard of, or never was sent."""
    begun, waiting, taken_back = [await made(storage, JobKind.FIRMWARE) for _ in range(3)]
    await called(storage, "UpdateFirmware", begun.message_id, MessageState.COMPLETED, f'[3,"{begun.message_id}",{{}}]')
    for job in (waiting, taken_back):
        frame = json.dumps([2, job.message_id, "UpdateFirmware", REQUESTS["UpdateFirmware"]])
        call = NewCall(job.message_id, "CP1", "UpdateFirmware", frame, frame, NOON_MS, NOON_MS + DAY_MS)
        await storage.call_accepted(call, 10, lambda _: True)
    await storage.call_ended(CallEnd(taken_back.message_id, MessageState.CANCELLED, NOON_MS))
    await tell(storage, "FirmwareStatusNotification", "Installing", NOON_MS + MINUTE_MS)
    assert (await read(storage, begun)).state is JobState.RUNNING
    await tell(storage, "FirmwareStatusNotification", "Installed", NOON_MS + MINUTE_MS)
    assert ((await read(storage, begun)).state, (await read(storage, waiting)).state) == (JobState.DONE, JobState.REQUESTED)
    await tell(storage, "FirmwareStatusNotification", "Idle", NOON_MS + MINUTE_MS)
    assert (await read(storage, waiting)).state is JobState.REQUESTED


@ensure
async def test_a_status_before_the_answer_is_about_the_job_before(storage: SqlStorage) -> None:
    """2.3: a call that has just gone out says nothing of what its charger was doing; without a job before, it has begun early."""
    begun, sent = [await made(storage, JobKind.FIRMWARE) for _ in range(2)]
    await called(storage, "UpdateFirmware", begun.message_id, MessageState.COMPLETED, f'[3,"{begun.message_id}",{{}}]')
    frame = json.dumps([2, sent.message_id, "UpdateFirmware", REQUESTS["UpdateFirmware"]])
    await storage.call_created(NewCall(sent.message_id, "CP1", "UpdateFirmware", frame, frame, NOON_MS, NOON_MS + DAY_MS), 1)
    await tell(storage, "FirmwareStatusNotification", "Installed")
    assert ((await read(storage, begun)).state, (await read(storage, sent)).state) == (JobState.DONE, JobState.REQUESTED)
    await tell(storage, "FirmwareStatusNotification", "Idle")
    assert (await read(storage, sent)).state is JobState.REQUESTED
    await tell(storage, "FirmwareStatusNotification", "Downloading")
    assert (await read(storage, sent)).state is JobState.RUNNING


@ensure
async def test_boots_before_firmware_is_fetched(storage: SqlStorage) -> None:
    """B-2: a version that comes before the call is answered, or before its time, is what the update begins with."""
    await storage.charger_booted(inbound("BootNotification"), boot(firmware_version="1.0"))
    later = NOON_MS + 60 * MINUTE_MS
    job = await made(storage, JobKind.FIRMWARE, retrieve_ms=later)
    for at_ms, version in ((NOON_MS, "1.1"), (NOON_MS + 2 * MINUTE_MS, "2.0"), (NOON_MS + 3 * MINUTE_MS, "2.0")):
        await storage.charger_booted(inbound("BootNotification", received_ms=at_ms), boot(firmware_version=version))
        found = await read(storage, job)
        assert (found.version_before, found.version_after, found.ended_ms) == (version, None, None)
        if at_ms == NOON_MS:
            await called(storage, "UpdateFirmware", job.message_id, MessageState.COMPLETED, f'[3,"{job.message_id}",{{}}]')
    await storage.charger_booted(inbound("BootNotification", received_ms=later), boot(firmware_version="3.0"))
    assert (await read(storage, job)).version_after == "3.0"


def file(name: str = "a", purpose: FilePurpose = FilePurpose.UPLOAD, size: int = 10, at_ms: int = NOON_MS) -> NewFile:
    return NewFile(purpose=purpose, name=name, stored=f"s-{name}", size=size, sha256="0" * 64, created_ms=at_ms)


@ensure
async def test_files_and_their_tokens(storage: SqlStorage) -> None:
    """A token takes one file, whoever comes first; a firmware that a job may fetch stays; old and excess uploads go."""
    fw = await storage.files.file_added(file("fw", FilePurpose.FIRMWARE))
    job = await made(storage, JobKind.LOG, NewToken("u" * 64, NOON_MS + DAY_MS))
    update = await made(storage, JobKind.FIRMWARE, NewToken("f" * 64, NOON_MS + DAY_MS, fw.file_id), file_id=fw.file_id)
    sent = await gatherResults([storage.files.file_uploaded("u" * 64, file(name)) for name in ("one", "two")])
    kept = [each for each in sent if each is not None]
    assert len(kept) == 1 and (kept[0].charger, kept[0].job_id) == ("CP1", job.job_id)
    assert await storage.files.files_of_job(job.job_id) == kept
    assert await storage.files.file_uploaded("x" * 64, file("x")) is None
    permit = await storage.files.permit("u" * 64)
    assert permit is not None and permit.used_ms == NOON_MS
    assert await storage.files.file_deleted(fw.file_id, NOON_MS) is True
    await tell(storage, "FirmwareStatusNotification", "DownloadFailed", NOON_MS + 1)
    assert (await read(storage, update)).state is JobState.FAILED
    fetch = await storage.files.permit("f" * 64)
    assert fetch is not None and (fetch.file_id, fetch.expires_ms) == (fw.file_id, NOON_MS + 1)
    assert await storage.files.file_deleted(fw.file_id, NOON_MS + 2) == fw
    assert await storage.files.file_deleted(fw.file_id, NOON_MS + 2) is False
    other = await made(storage, JobKind.LOG, NewToken("o" * 64, NOON_MS + DAY_MS))
    newer = await storage.files.file_uploaded("o" * 64, file("new", size=30, at_ms=NOON_MS + 9))
    assert newer is not None and newer.job_id == other.job_id
    assert await storage.files.stored_bytes() == 40
    assert await storage.files.names_unknown(["s-new", "s-gone"]) == ["s-gone"]
    assert await storage.files.files_tidied(NOON_MS, 30, NOON_MS) == kept
    assert await storage.files.list_files(None, "CP1", None, 9) == [newer]
    assert await storage.files.files_tidied(NOON_MS + 10, 30, NOON_MS + 2) == [newer]
    assert await storage.files.permit("f" * 64) is None, "long expired"
