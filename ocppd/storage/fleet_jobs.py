"""Jobs over many chargers, as operators ask for, read and stop them. Functions over a running transaction.

What is done for them is in `fleet_job_steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import and_, bindparam, func, insert, literal_column, select, update

from ocppd.storage import events
from ocppd.storage.records import EventKind
from ocppd.storage.records.fleet_jobs import (
    CANARY_FAILED,
    FleetJob,
    FleetJobFilter,
    FleetJobState,
    FleetRow,
    FleetRowState,
    NewFleetJob,
    ProductFilter,
)
from ocppd.storage.schema import chargers, fleet_job_rows, fleet_jobs, messages
from ocppd.storage.schema.fleet_jobs import IS_UNFINISHED
from ocppd.storage.unit import Statement, Unit, values_of

#: What `job_of` makes a record of.
JOB = tuple(
    fleet_jobs.c[name]
    for name in (
        "job_id",
        "action",
        "payload",
        "selected",
        "rate_tenths",
        "canary",
        "offline",
        "ttl_s",
        "state",
        "created_ms",
        "reason",
        "canary_passed",
        "ended_ms",
    )
)
THIS_JOB: Final = fleet_jobs.c.job_id == bindparam("the_job")
OF_JOB: Final = fleet_job_rows.c.job_id == bindparam("the_job")
#: A call of ours by the id that a row gives it.
ITS_CALL: Final = and_(
    messages.c.message_id == fleet_job_rows.c.message_id, messages.c.direction == literal_column("'toCharger'")
)
_OPERATORS: Final = frozenset({FleetJobState.RUNNING, FleetJobState.PAUSED})

_UNFINISHED = Statement(select(func.count()).select_from(fleet_jobs).where(IS_UNFINISHED))
_CREATED = Statement(
    values_of(
        insert(fleet_jobs),
        "action",
        "payload",
        "secret",
        "selected",
        "rate_tenths",
        "canary",
        "canary_passed",
        "offline",
        "ttl_s",
        "state",
        "next_us",
        "created_ms",
    ).returning(fleet_jobs.c.job_id)
)
_READ = Statement(select(*JOB).where(THIS_JOB))
_LOCKED = Statement(select(*JOB).where(THIS_JOB).with_for_update())
_MOVED = Statement(
    update(fleet_jobs)
    .where(THIS_JOB)
    .values(state=bindparam("new_state"), reason=bindparam("new_reason"), canary_passed=bindparam("new_passed"))
)
_SKIPPED = Statement(
    update(fleet_job_rows)
    .where(OF_JOB, fleet_job_rows.c.state == literal_column("'waiting'"))
    .values(state=literal_column("'skipped'"), ended_ms=bindparam("now_ms"))
)
_COUNTS = Statement(
    select(fleet_job_rows.c.state, func.count()).where(OF_JOB).group_by(fleet_job_rows.c.job_id, fleet_job_rows.c.state)
)


def create(unit: Unit, new: NewFleetJob, secret: bytes | None, limit: int) -> int | None:
    """See `FleetJobRecords.create`."""
    if unit.one(_UNFINISHED, {})[0] >= limit:
        return None
    row = {
        "action": new.action,
        "payload": new.redacted,
        "secret": secret,
        "selected": new.selected,
        "rate_tenths": new.rate_tenths,
        "canary": new.canary,
        "canary_passed": new.canary == 0,
        "offline": new.offline,
        "ttl_s": new.ttl_s,
        "state": FleetJobState.RUNNING.value,
        "next_us": new.created_ms * 1000,
        "created_ms": new.created_ms,
    }
    job_id = int(unit.one(_CREATED, row)[0])
    rows = [
        {"job_id": job_id, "place": place, "charger": charger, "message_id": message_id, "state": FleetRowState.WAITING.value}
        for place, (charger, message_id) in enumerate(new.rows)
    ]
    unit.connection.execute(insert(fleet_job_rows), rows)
    return job_id


# Reading


def job_of(row: Any, counts: dict[FleetRowState, int] | None = None) -> FleetJob:
    """The record in a row of `JOB`."""
    (job_id, action, payload, selected, rate_tenths, canary, offline, ttl_s) = row[:8]
    (state, created_ms, reason, canary_passed, ended_ms) = row[8:]
    return FleetJob(
        job_id=job_id,
        action=action,
        payload=payload,
        selected=selected,
        rate_tenths=rate_tenths,
        canary=canary,
        offline=None if offline is None else bool(offline),
        ttl_s=ttl_s,
        state=FleetJobState(state),
        created_ms=created_ms,
        reason=reason,
        canary_passed=bool(canary_passed),
        ended_ms=ended_ms,
        counts=counts or {},
    )


def locked(unit: Unit, job_id: int) -> FleetJob | None:
    """The job, whose row nobody else changes until this transaction has ended."""
    row = unit.one(_LOCKED, {"the_job": job_id})
    return None if row is None else job_of(row)


def counts_of(unit: Unit, job_id: int) -> dict[FleetRowState, int]:
    """How many of its chargers are in which state."""
    return {FleetRowState(state): int(count) for state, count in unit.all(_COUNTS, {"the_job": job_id})}


def read(unit: Unit, job_id: int) -> FleetJob | None:
    """See `FleetJobRecords.read`."""
    row = unit.one(_READ, {"the_job": job_id})
    return None if row is None else job_of(row, counts_of(unit, job_id))


def list_jobs(unit: Unit, which: FleetJobFilter, after: int | None, limit: int) -> list[FleetJob]:
    """See `FleetJobRecords.list_jobs`."""
    query = select(*JOB).order_by(fleet_jobs.c.job_id.desc()).limit(limit)
    if which.state is not None:
        query = query.where(fleet_jobs.c.state == which.state.value)
    if which.action is not None:
        query = query.where(fleet_jobs.c.action == which.action)
    if after is not None:
        query = query.where(fleet_jobs.c.job_id < after)
    return [job_of(row, counts_of(unit, row[0])) for row in unit.connection.execute(query).all()]


def list_rows(unit: Unit, job_id: int, state: FleetRowState | None, after: int | None, limit: int) -> list[FleetRow]:
    """See `FleetJobRecords.list_rows`."""
    rows = fleet_job_rows.c
    query = (
        select(
            rows.place,
            rows.charger,
            rows.state,
            rows.message_id,
            messages.c.state,
            rows.outcome,
            func.coalesce(rows.detail, messages.c.detail),
            rows.ended_ms,
        )
        .select_from(fleet_job_rows.outerjoin(messages, ITS_CALL))
        .where(rows.job_id == job_id)
        .order_by(rows.place)
        .limit(limit)
    )
    if state is not None:
        query = query.where(rows.state == state.value)
    if after is not None:
        query = query.where(rows.place > after)
    found = unit.connection.execute(query)
    return [FleetRow(place, charger, FleetRowState(now), *others) for place, charger, now, *others in found]


def matching(unit: Unit, which: ProductFilter) -> list[str]:
    """See `FleetJobRecords.matching`. What is compared is CiString (7): ignoring case, which no two databases do alike."""
    wanted = [None if text is None else text.casefold() for text in (which.vendor, which.model, which.firmware)]
    columns = (chargers.c.name, chargers.c.vendor, chargers.c.model, chargers.c.firmware_version)
    return [
        name
        for name, *told in unit.connection.execute(select(*columns).order_by(chargers.c.name))
        if all(text is None or text == (has or "").casefold() for text, has in zip(wanted, told, strict=True))
    ]


# Operators


def pause(unit: Unit, job_id: int) -> tuple[FleetJob | None, bool]:
    """See `FleetJobRecords.pause`."""
    job = locked(unit, job_id)
    if job is None or job.state is not FleetJobState.RUNNING:
        return job, False
    move(unit, job, FleetJobState.PAUSED)
    return read(unit, job_id), True


def resume(unit: Unit, job_id: int) -> tuple[FleetJob | None, bool]:
    """See `FleetJobRecords.resume`."""
    job = locked(unit, job_id)
    if job is None or job.state is not FleetJobState.PAUSED:
        return job, False
    move(unit, job, FleetJobState.RUNNING, passed=job.canary_passed or job.reason == CANARY_FAILED)
    return read(unit, job_id), True


def stop(unit: Unit, job_id: int, now_ms: int, reason: str | None) -> tuple[FleetJob | None, bool]:
    """See `FleetJobRecords.stop`."""
    job = locked(unit, job_id)
    if job is None or job.state not in _OPERATORS:
        return job, False
    move(unit, job, FleetJobState.STOPPING, reason)
    skip(unit, job_id, now_ms)
    return read(unit, job_id), True


def move(unit: Unit, job: FleetJob, state: FleetJobState, reason: str | None = None, *, passed: bool | None = None) -> None:
    """Put a job that is locked into another state."""
    now_passed = job.canary_passed if passed is None else passed
    row = {"the_job": job.job_id, "new_state": state.value, "new_reason": reason, "new_passed": now_passed}
    unit.send(_MOVED, row)


def skip(unit: Unit, job_id: int, now_ms: int) -> None:
    """Whoever has not been asked will not be."""
    unit.send(_SKIPPED, {"the_job": job_id, "now_ms": now_ms})


def tell(unit: Unit, kind: EventKind, job: FleetJob, at_ms: int, told: Sequence[tuple[str, str | None]]) -> None:
    """An event about a job, which is of no charger."""
    members = {name: value for name, value in told if value is not None}
    counts = counts_of(unit, job.job_id)
    for state in (FleetRowState.SUCCEEDED, FleetRowState.FAILED, FleetRowState.SKIPPED):
        members[state.value] = str(counts.get(state, 0))
    events.happened(unit, kind, "", at_ms, jobId=str(job.job_id), **members)
