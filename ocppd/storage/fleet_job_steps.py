"""Jobs over many chargers at work: who is asked next, and what came of it. Functions over a running transaction.

Whatever a step depends on is in the records, so that any node takes the next one, and none is taken twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sqlalchemy import and_, bindparam, func, literal_column, null, or_, select, update

from ocppd.storage.fleet_jobs import ITS_CALL, OF_JOB, THIS_JOB, locked, move, skip, tell
from ocppd.storage.records import FINAL_STATES, EndedCall, EventKind, MessageState
from ocppd.storage.records.fleet_jobs import (
    CANARY_FAILED,
    GOOD_OUTCOMES,
    SECRET_LOST,
    Claim,
    FleetJob,
    FleetJobState,
    FleetRowState,
    FleetStep,
    Submitted,
)
from ocppd.storage.schema import fleet_job_rows, fleet_jobs, messages, nodes
from ocppd.storage.schema.fleet_jobs import IS_UNFINISHED
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Parameters, Statement, Unit

#: Chargers that one step claims.
AT_ONCE: Final = 25
#: What a job has not used of its rate is good for so long.
BURST_US: Final = 250_000
#: How soon canaries are looked at again.
CANARY_LOOK_MS: Final = 1000
#: A claim of which nothing became for so long is looked at again.
LEASE_MS: Final = 60_000
#: A job at a charger that has neither succeeded nor failed there.
_OPEN_STATES: Final = (FleetRowState.WAITING, FleetRowState.CLAIMED, FleetRowState.ASKED)
_EVERYBODY: Final = 2**62

Decrypt = Callable[[bytes], str | None]

_rows = fleet_job_rows.c
_THIS_CALL: Final = _rows.message_id == bindparam("the_id")
_IS_CLAIMED: Final = _rows.state == literal_column("'claimed'")
_ACTIVE = Statement(
    select(fleet_jobs.c.job_id).where(
        IS_UNFINISHED, or_(*(fleet_jobs.c.state == literal_column(f"'{state}'") for state in ("running", "stopping")))
    )
)
_SECRET = Statement(select(fleet_jobs.c.secret, fleet_jobs.c.next_us).where(THIS_JOB))
_WAITING = Statement(
    select(_rows.place, _rows.charger, _rows.message_id)
    .where(OF_JOB, _rows.state == literal_column("'waiting'"), _rows.place < bindparam("upper"))
    .order_by(_rows.place)
    .limit(literal_column(str(AT_ONCE)))
    .offset(literal_column("0"))
)
_CANARIES = Statement(select(_rows.state, func.count()).where(OF_JOB, _rows.place < bindparam("upper")).group_by(_rows.state))
_OPEN = Statement(
    select(_rows.place)
    .where(OF_JOB, _rows.state.in_([literal_column(f"'{state}'") for state in _OPEN_STATES]))
    .limit(literal_column("1"))
    .offset(literal_column("0"))
)
_CLAIMED = Statement(
    update(fleet_job_rows)
    .where(OF_JOB, _rows.place == bindparam("the_place"), _rows.state == literal_column("'waiting'"))
    .values(state=literal_column("'claimed'"), worker=bindparam("the_node"), claimed_ms=bindparam("now_ms"))
)
_PACED = Statement(update(fleet_jobs).where(THIS_JOB).values(next_us=bindparam("new_us")))
_ENDED = Statement(
    update(fleet_jobs).where(THIS_JOB).values(state=bindparam("new_state"), ended_ms=bindparam("now_ms"), secret=null())
)
_ASKED = Statement(update(fleet_job_rows).where(_THIS_CALL, _IS_CLAIMED).values(state=literal_column("'asked'"), worker=null()))
_REFUSED = Statement(
    update(fleet_job_rows)
    .where(_THIS_CALL, _IS_CLAIMED)
    .values(
        state=literal_column("'failed'"),
        outcome=bindparam("new_outcome"),
        detail=bindparam("new_detail"),
        ended_ms=bindparam("now_ms"),
        worker=null(),
    )
)
_BACK = Statement(
    update(fleet_job_rows)
    .where(_THIS_CALL, _IS_CLAIMED)
    .values(state=literal_column("'waiting'"), message_id=bindparam("new_id"), worker=null(), claimed_ms=null())
)
_MINE = Statement(select(_rows.place).where(_THIS_CALL, _IS_CLAIMED, _rows.worker == bindparam("the_node")))
_CALL_ENDED = Statement(
    update(fleet_job_rows)
    .where(_THIS_CALL)
    .values(state=bindparam("new_state"), outcome=bindparam("new_outcome"), ended_ms=bindparam("at_ms"), worker=null())
)
_UNFINISHED = Statement(at_most(select(fleet_jobs.c.job_id).where(IS_UNFINISHED), 1))
_LIVING = select(nodes.c.node)
_LOST = Statement(
    select(_rows.message_id).where(
        OF_JOB,
        _IS_CLAIMED,
        or_(
            _rows.claimed_ms <= bindparam("before_ms"),
            and_(_rows.worker != bindparam("the_node"), _rows.worker.not_in(_LIVING)),
        ),
    )
)
_CALL = Statement(
    select(messages.c.state, messages.c.outcome).where(
        messages.c.message_id == bindparam("the_id"), messages.c.direction == literal_column("'toCharger'")
    )
)
_QUEUED = Statement(
    select(_rows.message_id)
    .select_from(fleet_job_rows.join(messages, ITS_CALL))
    .where(OF_JOB, _rows.state == literal_column("'asked'"), messages.c.state == literal_column("'queued'"))
    .limit(literal_column(str(AT_ONCE)))
    .offset(literal_column("0"))
)


def active(unit: Unit) -> list[int]:
    """See `FleetJobRecords.active`."""
    return [row[0] for row in unit.all(_ACTIVE, {})]


def queued(unit: Unit, job_id: int) -> list[str]:
    """See `FleetJobRecords.queued`."""
    return [row[0] for row in unit.all(_QUEUED, {"the_job": job_id})]


def step(unit: Unit, job_id: int, node: str, now_ms: int, decrypt: Decrypt) -> FleetStep | None:
    """See `FleetJobRecords.step`."""
    job = locked(unit, job_id)
    if job is None or job.state not in (FleetJobState.RUNNING, FleetJobState.STOPPING):
        return None
    if job.state is FleetJobState.STOPPING:
        skip(unit, job_id, now_ms)  # a claim may have been given back since
        return None if _ends(unit, job, FleetJobState.STOPPED, now_ms) else FleetStep(job, "")
    if not job.canary_passed:
        succeeded = _canaries_succeeded(unit, job)
        if succeeded is False:
            move(unit, job, FleetJobState.PAUSED, CANARY_FAILED)
            tell(unit, EventKind.FLEET_JOB_PAUSED, job, now_ms, (("reason", CANARY_FAILED),))
            return None
        if succeeded:
            job = replace(job, canary_passed=True)
            move(unit, job, FleetJobState.RUNNING)
    return _claim(unit, job, node, now_ms, decrypt)


def _canaries_succeeded(unit: Unit, job: FleetJob) -> bool | None:
    """None: it is not known yet."""
    found = {FleetRowState(state) for state, _ in unit.all(_CANARIES, {"the_job": job.job_id, "upper": job.canary})}
    if found & {FleetRowState.FAILED, FleetRowState.SKIPPED}:
        return False
    return True if found == {FleetRowState.SUCCEEDED} else None


def _claim(unit: Unit, job: FleetJob, node: str, now_ms: int, decrypt: Decrypt) -> FleetStep | None:
    """Claim as many as the rate of the job permits now."""
    this: dict[str, int | str | None] = {"the_job": job.job_id}
    waiting = unit.all(_WAITING, {**this, "upper": _EVERYBODY if job.canary_passed else job.canary})
    if not waiting:
        if _ends(unit, job, FleetJobState.DONE, now_ms):
            return None
        return FleetStep(job, "", again_ms=None if job.canary_passed else now_ms + CANARY_LOOK_MS)
    secret, next_us = unit.one(_SECRET, this)
    payload = job.payload if secret is None else decrypt(secret)
    if payload is None:
        move(unit, job, FleetJobState.STOPPING, SECRET_LOST)
        return FleetStep(job, "", again_ms=now_ms)
    now_us = now_ms * 1000
    gap_us = 10_000_000 // job.rate_tenths
    # Never later than the fullest step can have left it: a clock that was set back holds up nothing.
    begin_us = min(max(next_us, now_us - BURST_US), now_us + AT_ONCE * gap_us)
    if begin_us > now_us:
        return FleetStep(job, "", again_ms=_ms(begin_us))
    claimed = waiting[: 1 + (now_us - begin_us) // gap_us]
    for place, _, _ in claimed:
        unit.send(_CLAIMED, {**this, "the_place": place, "the_node": node, "now_ms": now_ms})
    begin_us += len(claimed) * gap_us
    unit.send(_PACED, {**this, "new_us": begin_us})
    return FleetStep(job, payload, tuple(Claim(charger, message_id) for _, charger, message_id in claimed), _ms(begin_us))


def _ms(at_us: int) -> int:
    """The first millisecond that is not before."""
    return -(-at_us // 1000)


def _ends(unit: Unit, job: FleetJob, state: FleetJobState, now_ms: int) -> bool:
    """End a job where nothing is open any more."""
    if unit.one(_OPEN, {"the_job": job.job_id}) is not None:
        return False
    unit.send(_ENDED, {"the_job": job.job_id, "new_state": state.value, "now_ms": now_ms})
    tell(unit, EventKind.FLEET_JOB_ENDED, job, now_ms, (("state", state.value), ("reason", job.reason)))
    return True


def submitted(unit: Unit, what: Submitted, node: str, now_ms: int) -> None:
    """See `FleetJobRecords.submitted`. A call may have ended by now, or another node have its claim; then that counts."""
    for message_id in what.accepted:
        unit.send(_ASKED, {"the_id": message_id})
    for refusal in what.refused:
        row: Parameters = {
            "the_id": refusal.message_id,
            "new_outcome": refusal.outcome,
            "new_detail": refusal.detail,
            "now_ms": now_ms,
        }
        unit.send(_REFUSED, row)
    for message_id, new_id in what.back:
        if unit.one(_MINE, {"the_id": message_id, "the_node": node}) is not None:
            _look_up(unit, message_id, new_id, now_ms)


def recover(unit: Unit, job_id: int, node: str, now_ms: int) -> int:
    """See `FleetJobRecords.recover`. What is claimed again keeps its message id, which the journal takes but once."""
    lost = unit.all(_LOST, {"the_job": job_id, "the_node": node, "before_ms": now_ms - LEASE_MS})
    for (message_id,) in lost:
        _look_up(unit, message_id, message_id, now_ms)
    return len(lost)


def _look_up(unit: Unit, message_id: str, new_id: str, now_ms: int) -> None:
    """See in the journal what became of a claim; where that has nothing its charger is to be asked by the new id."""
    call = unit.one(_CALL, {"the_id": message_id})
    if call is None:
        unit.send(_BACK, {"the_id": message_id, "new_id": new_id})
    elif MessageState(call[0]) in FINAL_STATES:
        _call_ended(unit, message_id, MessageState(call[0]), call[1], now_ms)
    else:
        unit.send(_ASKED, {"the_id": message_id})


def call_ended(unit: Unit, ended: EndedCall) -> None:
    """A call of ours has ended; a late answer ends it once more. Nearly always it is of no job: an index says so.

    A job ends after its calls, so that is not asked while no job goes on, which a batch asks once; but a late answer may be of
    one that is over.
    """
    if not ended.late and not unit.fact(_UNFINISHED, {}):
        return
    _call_ended(unit, ended.message_id, ended.state, ended.outcome, ended.ended_ms)


def _call_ended(unit: Unit, message_id: str, state: MessageState, outcome: str | None, at_ms: int) -> None:
    row: Parameters = {"the_id": message_id, "new_state": verdict(state, outcome).value, "new_outcome": outcome, "at_ms": at_ms}
    unit.send(_CALL_ENDED, row)


def verdict(state: MessageState, outcome: str | None) -> FleetRowState:
    """What the end of a call means to its job; an answer without a status is all that was asked for."""
    if state is MessageState.CANCELLED:
        return FleetRowState.SKIPPED
    good = state is MessageState.COMPLETED and (outcome is None or outcome in GOOD_OUTCOMES)
    return FleetRowState.SUCCEEDED if good else FleetRowState.FAILED
