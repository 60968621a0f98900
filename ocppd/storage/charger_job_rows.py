"""Jobs of chargers as rows: found, changed, with their timelines. Functions over a running transaction. Knows no rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, delete, exists, func, insert, select, text, update

from ocppd.storage.records.charger_jobs import EntryKind, Job, JobEntry, JobFilter, JobKind, JobState
from ocppd.storage.schema import IS_OUR_CALL, IS_UNDER_WAY, charger_jobs, file_tokens, job_entries, messages
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

#: Entries of a timeline that are shown, the newest.
TIMELINE_LIMIT: Final = 500

_RECORD: Final = tuple(field.name for field in fields(Job))
_COLUMNS: Final = tuple(charger_jobs.c[name] for name in _RECORD)
_GIVEN: Final = tuple(name for name in _RECORD if name != "job_id")
#: What changes after a job was made.
_CHANGING: Final = (
    "state",
    "status",
    "reason",
    "file_name",
    "version_before",
    "version_after",
    "inferred",
    "updated_ms",
    "ended_ms",
    "due_ms",
)
_THIS: Final = charger_jobs.c.job_id == bindparam("the_job")
_OF_KIND: Final = (charger_jobs.c.charger == bindparam("the_charger"), charger_jobs.c.kind == bindparam("the_kind"))
#: Its call waits to be sent, or never was: nothing that a charger tells is about it.
_IS_UNHEARD: Final = exists().where(messages.c.message_id == charger_jobs.c.message_id, IS_OUR_CALL, messages.c.sent_ms.is_(None))
#: The charger has answered, or may have done so without our hearing of it: what it does comes after its answer.
_IS_ANSWERED: Final = text("(state <> 'requested' OR reason IS NOT NULL)")
_FOR_FIRMWARE: Final = text("kind IN ('firmware', 'signedFirmware')")

_MADE: Final = Statement(values_of(insert(charger_jobs), *_GIVEN).returning(charger_jobs.c.job_id))
_NUMBERED: Final = Statement(update(charger_jobs).where(_THIS).values(request_id=bindparam("new_request_id")))
_SAVED: Final = Statement(update(charger_jobs).where(_THIS).values({name: bindparam(f"new_{name}") for name in _CHANGING}))
_DELETED: Final = Statement(delete(charger_jobs).where(_THIS))
_ENTRIES_DELETED: Final = Statement(delete(job_entries).where(job_entries.c.job_id == bindparam("the_job")))
_ENTERED: Final = Statement(
    values_of(insert(job_entries), "job_id", "at_ms", "what", "status", "detail", "message_id", "after_end")
)
_TOKENS_EXPIRED: Final = Statement(
    update(file_tokens)
    .where(file_tokens.c.job_id == bindparam("the_job"), file_tokens.c.expires_ms > bindparam("now_ms"))
    .values(expires_ms=bindparam("now_ms"))
)


def _locked(*conditions: ColumnElement[bool] | Any) -> Statement:
    """The jobs with these conditions, for a change: who else changes them comes after this commit."""
    return Statement(select(*_COLUMNS).where(*conditions).with_for_update())


def _newest(*conditions: Any) -> Select[Any]:
    return select(func.max(charger_jobs.c.job_id)).where(*conditions)


_BY_ID: Final = _locked(_THIS)
_BY_CALL: Final = _locked(charger_jobs.c.message_id == bindparam("the_id"))
_BY_REQUEST: Final = _locked(
    charger_jobs.c.job_id == _newest(*_OF_KIND, charger_jobs.c.request_id == bindparam("the_request_id")).scalar_subquery()
)
_NEWEST_ANSWERED: Final = _locked(charger_jobs.c.job_id == _newest(*_OF_KIND, IS_UNDER_WAY, _IS_ANSWERED).scalar_subquery())
_NEWEST_OPEN: Final = _locked(charger_jobs.c.job_id == _newest(*_OF_KIND, IS_UNDER_WAY, ~_IS_UNHEARD).scalar_subquery())
_NEWEST_OF_KIND: Final = _locked(charger_jobs.c.job_id == _newest(*_OF_KIND, ~_IS_UNHEARD).scalar_subquery())
_OPEN_FIRMWARE: Final = _locked(charger_jobs.c.charger == bindparam("the_charger"), _FOR_FIRMWARE, IS_UNDER_WAY).standing_beside()
_OLDER_OPEN: Final = _locked(*_OF_KIND, IS_UNDER_WAY, charger_jobs.c.job_id < bindparam("the_job"))
_HIGHEST_REQUEST: Final = Statement(
    select(func.max(charger_jobs.c.request_id)).where(charger_jobs.c.charger == bindparam("the_charger"))
)
_REQUEST_KNOWN: Final = Statement(
    select(charger_jobs.c.job_id).where(
        charger_jobs.c.charger == bindparam("the_charger"), charger_jobs.c.request_id == bindparam("the_request_id")
    )
)
_DUE: Final = Statement(select(charger_jobs.c.job_id).where(IS_UNDER_WAY, charger_jobs.c.due_ms <= bindparam("now_ms")))
_USING: Final = Statement(
    select(charger_jobs.c.job_id).where(
        charger_jobs.c.job_id.in_(
            select(file_tokens.c.job_id).where(
                file_tokens.c.expires_ms > bindparam("now_ms"), file_tokens.c.file_id == bindparam("the_file")
            )
        ),
        IS_UNDER_WAY,
    )
)


def made(unit: Unit, members: Parameters) -> int:
    """A new row; its id."""
    return int(unit.one(_MADE, {**dict.fromkeys(_GIVEN), **members})[0])


def numbered(unit: Unit, job_id: int, request_id: int) -> None:
    """The id that it goes by between us and its charger."""
    unit.send(_NUMBERED, {"the_job": job_id, "new_request_id": request_id})


def free_request_id(unit: Unit, charger: str, job_id: int, limit: int) -> int:
    """One that no job of the charger has: above them all, or with nothing above, the first from that of the row on."""
    highest = unit.one(_HIGHEST_REQUEST, {"the_charger": charger})[0] or 0
    if 0 <= highest < limit:
        return highest + 1
    request_id = job_id
    while knows_request(unit, charger, request_id):
        request_id += 1
    return request_id


def knows_request(unit: Unit, charger: str, request_id: int) -> bool:
    """Whether a job of the charger has that id."""
    return unit.one(_REQUEST_KNOWN, {"the_charger": charger, "the_request_id": request_id}) is not None


def save(unit: Unit, job: Job) -> None:
    """Write what may have changed."""
    unit.send(_SAVED, {"the_job": job.job_id, **{f"new_{name}": getattr(job, name) for name in _CHANGING}})


def drop(unit: Unit, job_id: int) -> None:
    """As if it had never been."""
    for statement in (_ENTRIES_DELETED, _DELETED):
        unit.send(statement, {"the_job": job_id})


def expire_tokens(unit: Unit, job_id: int, now_ms: int) -> None:
    """Nothing is sent or fetched for this job any more."""
    unit.send(_TOKENS_EXPIRED, {"the_job": job_id, "now_ms": now_ms})


def enter(
    unit: Unit,
    job_id: int,
    at_ms: int,
    what: EntryKind,
    *,
    status: str | None = None,
    detail: str | None = None,
    message_id: str | None = None,
    after_end: bool = False,
) -> None:
    """Add to the timeline."""
    row: Parameters = {"job_id": job_id, "at_ms": at_ms, "what": what.value, "status": status, "detail": detail}
    unit.send(_ENTERED, {**row, "message_id": message_id, "after_end": after_end})


# Found, each for a change


def by_id(unit: Unit, job_id: int) -> Job | None:
    """The job of that id."""
    return _one(unit, _BY_ID, {"the_job": job_id})


def by_call(unit: Unit, message_id: str) -> Job | None:
    """The job that this call asked for."""
    return _one(unit, _BY_CALL, {"the_id": message_id})


def by_request(unit: Unit, charger: str, kind: JobKind, request_id: int) -> Job | None:
    """The newest job of the charger with that request id."""
    return _one(unit, _BY_REQUEST, {"the_charger": charger, "the_kind": kind.value, "the_request_id": request_id})


def newest(unit: Unit, charger: str, kind: JobKind) -> Job | None:
    """The newest job of that kind that is under way and answered, else one whose call is on its way, else the newest of all."""
    wanted: Parameters = {"the_charger": charger, "the_kind": kind.value}
    found = (_one(unit, statement, wanted) for statement in (_NEWEST_ANSWERED, _NEWEST_OPEN, _NEWEST_OF_KIND))
    return next((job for job in found if job is not None), None)


def open_firmware(unit: Unit, charger: str) -> list[Job]:
    """The firmware jobs of a charger that are under way."""
    return [job_of(row) for row in unit.all(_OPEN_FIRMWARE, {"the_charger": charger})]


def older_open(unit: Unit, job: Job) -> list[Job]:
    """Those of the same kind that are under way and were asked for before."""
    row: Parameters = {"the_charger": job.charger, "the_kind": job.kind.value, "the_job": job.job_id}
    return [job_of(each) for each in unit.all(_OLDER_OPEN, row)]


def due(unit: Unit, now_ms: int) -> list[int]:
    """The ids of those that are to be looked at."""
    return [row[0] for row in unit.all(_DUE, {"now_ms": now_ms})]


def is_wanted(unit: Unit, file_id: int, now_ms: int) -> bool:
    """Whether a job under way may still fetch this file."""
    return unit.one(_USING, {"the_file": file_id, "now_ms": now_ms}) is not None


def _one(unit: Unit, statement: Statement, parameters: Parameters) -> Job | None:
    row = unit.one(statement, parameters)
    return None if row is None else job_of(row)


def job_of(row: Any) -> Job:
    """The job in a row of all columns."""
    members = dict(zip(_RECORD, row, strict=True))
    state, kind = JobState(members["state"]), JobKind(members["kind"])
    return Job(**{**members, "state": state, "kind": kind, "inferred": bool(members["inferred"])})


# Read


def read(unit: Unit, charger: str, job_id: int, kinds: Sequence[JobKind]) -> tuple[Job, list[JobEntry]] | None:
    """See `JobRecords.read_job`."""
    found = unit.connection.execute(select(*_COLUMNS).where(charger_jobs.c.job_id == job_id)).first()
    if found is None or found.charger != charger or found.kind not in kinds:
        return None
    columns = [job_entries.c[field.name] for field in fields(JobEntry)]
    query = select(*columns).where(job_entries.c.job_id == job_id).order_by(job_entries.c.entry_id.desc())
    entries = [JobEntry(*row) for row in unit.connection.execute(query.limit(TIMELINE_LIMIT))]
    entries.reverse()
    return job_of(found), entries


def list_jobs(unit: Unit, which: JobFilter, after: int | None, limit: int) -> list[Job]:
    """See `JobRecords.list_jobs`."""
    kinds = [kind.value for kind in which.kinds]
    query = select(*_COLUMNS).where(charger_jobs.c.charger == which.charger, charger_jobs.c.kind.in_(kinds))
    if which.state is not None:
        query = query.where(charger_jobs.c.state == which.state.value)
    if after is not None:
        query = query.where(charger_jobs.c.job_id < after)
    rows = unit.connection.execute(query.order_by(charger_jobs.c.job_id.desc()).limit(limit))
    return [job_of(row) for row in rows]
