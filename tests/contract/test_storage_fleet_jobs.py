"""Jobs over many chargers in the records: claimed once, at their rate, canaries first, whoever takes the steps."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from ocppd.storage.records import CallEnd, EventFilter, EventKind, MessageState
from ocppd.storage.records.fleet_jobs import (
    FleetJob,
    FleetJobFilter,
    FleetJobState,
    FleetRowState,
    FleetStep,
    NewFleetJob,
    ProductFilter,
    Refusal,
    Submitted,
)
from ocppd.storage.sql_storage import SqlStorage
from support import postgresql
from support.storing import MINUTE_MS, NOON_MS, boot, call, inbound

ensure = pytest_twisted.ensureDeferred
State = FleetJobState
Row = FleetRowState
BOTH = pytest.mark.parametrize("url", ["file", "postgresql"], indirect=True)


def new(count: int = 3, **members: Any) -> NewFleetJob:
    """Ten calls a second to so many chargers; the ids of the calls are m0, m1, …"""
    defaults: dict[str, Any] = {
        "action": "ClearCache",
        "payload": "{}",
        "redacted": "{}",
        "selected": "{}",
        "rate_tenths": 100,
        "canary": 0,
        "offline": None,
        "ttl_s": None,
        "created_ms": NOON_MS,
        "rows": tuple((f"CP{number}", f"m{number}") for number in range(count)),
    }
    return NewFleetJob(**defaults | members)


async def made(storage: SqlStorage, *args: Any, **members: Any) -> int:
    job_id = await storage.fleet_jobs.create(new(*args, **members), 100)
    assert job_id is not None
    return job_id


async def claims(storage: SqlStorage, job_id: int, after_ms: int) -> list[str]:
    """The ids of the calls that are due so long after noon."""
    step = await storage.fleet_jobs.step(job_id, NOON_MS + after_ms)
    return [] if step is None else [claim.message_id for claim in step.claims]


async def accepted(storage: SqlStorage, *message_ids: str) -> None:
    """The journal has these calls, and the job knows."""
    for message_id in message_ids:
        await storage.call_created(call(message_id, f"CP{message_id[1:]}"), 1)
    await storage.fleet_jobs.submitted(Submitted(accepted=message_ids), NOON_MS)


async def ends(storage: SqlStorage, message_id: str, outcome: str | None, state: str = "completed") -> None:
    answer = None if outcome is None else f'[3,"{message_id}",{{"status":"{outcome}"}}]'
    await storage.call_ended(CallEnd(message_id, MessageState(state), NOON_MS + 7, outcome, answer))


async def read(storage: SqlStorage, job_id: int) -> FleetJob:
    job = await storage.fleet_jobs.read(job_id)
    assert job is not None
    return job


async def states(storage: SqlStorage, job_id: int) -> list[str]:
    return [str(row.state) for row in await storage.fleet_jobs.list_rows(job_id, None, None, 99)]


@ensure
async def test_the_life_of_a_job(storage: SqlStorage) -> None:
    """One call in 100 ms, what is saved up bounded; the end of each call is in its row, and of the last one ends the job."""
    job_id = await made(storage, 4)
    assert await storage.fleet_jobs.active() == [job_id]
    assert await claims(storage, job_id, 0) == ["m0"]
    assert await claims(storage, job_id, 50) == []
    assert await claims(storage, job_id, 100) == ["m1"]
    assert await claims(storage, job_id, 60_000) == ["m2", "m3"]
    await accepted(storage, "m0", "m1", "m2")
    refusal = Refusal("m3", "notConnected", "it is away")
    await storage.fleet_jobs.submitted(Submitted(refused=(refusal,)), NOON_MS)
    await ends(storage, "m0", "Accepted")
    await ends(storage, "m1", "Rejected")
    assert await states(storage, job_id) == ["succeeded", "failed", "asked", "failed"]
    assert await claims(storage, job_id, 60_001) == []
    await ends(storage, "m2", None, "timeout")
    await storage.fleet_jobs.step(job_id, NOON_MS + 60_002)
    job = await read(storage, job_id)
    assert (job.state, job.ended_ms, dict(job.counts)) == (
        State.DONE,
        NOON_MS + 60_002,
        {Row.SUCCEEDED: 1, Row.FAILED: 3},
    )
    await ends(storage, "m2", "Accepted")
    rows = await storage.fleet_jobs.list_rows(job_id, Row.FAILED, None, 99)
    assert [(row.charger, row.message_state, row.outcome, row.detail) for row in rows] == [
        ("CP1", "completed", "Rejected", None),
        ("CP3", None, "notConnected", "it is away"),
    ]
    (event,) = await storage.list_events(EventFilter(kind=EventKind.FLEET_JOB_ENDED), None, 9)
    assert dict(event.members or {}) == {"jobId": str(job_id), "state": "done", "succeeded": "1", "failed": "3", "skipped": "0"}
    assert await storage.fleet_jobs.active() == []
    assert await storage.fleet_jobs.step(job_id, NOON_MS) is None


@BOTH
@ensure
async def test_canaries_first(storage: SqlStorage) -> None:
    """The others wait for all of them; one that fails pauses the job, and whoever resumes it does without them."""
    good, bad = await made(storage, 3, canary=2), await made(storage, 3, canary=2, rows=(("A", "a"), ("B", "b"), ("C", "c")))
    assert await claims(storage, good, 200) == ["m0", "m1"]
    await accepted(storage, "m0", "m1")
    await ends(storage, "m0", "Scheduled")
    step = await storage.fleet_jobs.step(good, NOON_MS + 900)
    assert isinstance(step, FleetStep) and not step.claims and step.again_ms == NOON_MS + 1900
    await ends(storage, "m1", "RebootRequired")
    assert await claims(storage, good, 1900) == ["m2"]
    assert await claims(storage, bad, 200) == ["a", "b"]
    await storage.fleet_jobs.submitted(Submitted(refused=(Refusal("b", "queueFull", ""),)), NOON_MS)
    assert await claims(storage, bad, 900) == []
    paused = await read(storage, bad)
    assert (paused.state, paused.reason) == (State.PAUSED, "canaryFailed")
    assert [event.members for event in await storage.list_events(EventFilter(kind=EventKind.FLEET_JOB_PAUSED), None, 9)] == [
        {"jobId": str(bad), "reason": "canaryFailed", "succeeded": "0", "failed": "1", "skipped": "0"}
    ]
    resumed, changed = await storage.fleet_jobs.resume(bad)
    assert changed and resumed is not None and (resumed.state, resumed.reason) == (State.RUNNING, None)
    assert await claims(storage, bad, 1900) == ["c"]


@BOTH
@ensure
async def test_operators(storage: SqlStorage) -> None:
    """Paused and resumed by an operator canaries still count; what is stopped asks nobody more, and ends with its calls."""
    job_id = await made(storage, 3, canary=1)
    assert await claims(storage, job_id, 0) == ["m0"]
    assert (await storage.fleet_jobs.pause(job_id))[1]
    assert [(await storage.fleet_jobs.pause(job_id))[1], await claims(storage, job_id, 500)] == [False, []]
    assert (await storage.fleet_jobs.resume(job_id))[1]
    assert [(await storage.fleet_jobs.resume(job_id))[1], await claims(storage, job_id, 500)] == [False, []]
    await storage.call_created(call("q"), 1)
    await storage.call_accepted(call("m0", "CP0"), 9, lambda _: True)
    await storage.fleet_jobs.submitted(Submitted(accepted=("m0",)), NOON_MS)
    job, changed = await storage.fleet_jobs.stop(job_id, NOON_MS)
    assert changed and job is not None and (job.state, dict(job.counts)) == (State.STOPPING, {Row.ASKED: 1, Row.SKIPPED: 2})
    assert [await storage.fleet_jobs.queued(job_id), await claims(storage, job_id, 900)] == [["m0"], []]
    await storage.call_cancelled("m0", NOON_MS)
    assert await storage.fleet_jobs.step(job_id, NOON_MS + 901) is None
    assert (await read(storage, job_id)).state is State.STOPPED
    assert (await states(storage, job_id), (await storage.fleet_jobs.stop(job_id, NOON_MS))[1]) == (["skipped"] * 3, False)
    assert await storage.fleet_jobs.pause(99) == (None, False)
    assert await storage.fleet_jobs.create(new(rows=(("CP0", "x"),)), 1) is not None
    assert await storage.fleet_jobs.create(new(rows=(("CP0", "y"),)), 1) is None


@BOTH
@ensure
async def test_claims_that_were_left_behind(storage: SqlStorage) -> None:
    """The journal tells what became of each; only what it does not have is asked again, by the same id after a lease."""
    job_id = await made(storage, 4)
    assert await claims(storage, job_id, 250) == ["m0", "m1", "m2"]
    await storage.call_created(call("m0", "CP0"), 1)
    await storage.call_created(call("m1", "CP1"), 1)
    await ends(storage, "m1", "Accepted")
    assert await storage.fleet_jobs.recover(job_id, NOON_MS + 59_000) == 0
    assert await storage.fleet_jobs.recover(job_id, NOON_MS + 61_000) == 2
    assert await states(storage, job_id) == ["asked", "succeeded", "waiting", "waiting"]
    assert await claims(storage, job_id, 61_000) == ["m2", "m3"]
    await storage.call_created(call("m3", "CP3"), 1)
    await storage.fleet_jobs.submitted(Submitted(back=(("m2", "new2"), ("m3", "new3"))), NOON_MS)
    assert await states(storage, job_id) == ["asked", "succeeded", "waiting", "asked"]
    assert await claims(storage, job_id, 62_000) == ["new2"]


@ensure
async def test_secrets(storage: SqlStorage) -> None:
    """Z-8: the readable part has no secret; a step has, and nobody after the end."""
    job_id = await made(storage, 1, payload='{"key":"AuthorizationKey","value":"hidden"}', redacted='{"value":"***"}')
    assert (await read(storage, job_id)).payload == '{"value":"***"}'
    step = await storage.fleet_jobs.step(job_id, NOON_MS)
    assert step is not None and "hidden" in step.payload
    await accepted(storage, "m0")
    await ends(storage, "m0", "Accepted")
    assert await storage.fleet_jobs.step(job_id, NOON_MS + 1) is None


@BOTH
@ensure
async def test_lists(storage: SqlStorage) -> None:
    """Newest first, filtered; chargers by what they told with their boots, ignoring case."""
    first, second = await made(storage, 1), await made(storage, 1, action="Reset", rows=(("CP0", "x"),))
    assert [job.job_id for job in await storage.fleet_jobs.list_jobs(FleetJobFilter(), None, 9)] == [second, first]
    assert [job.job_id for job in await storage.fleet_jobs.list_jobs(FleetJobFilter(), second, 9)] == [first]
    for which, found in ((FleetJobFilter(action="Reset"), 1), (FleetJobFilter(state=State.DONE), 0)):
        assert len(await storage.fleet_jobs.list_jobs(which, None, 9)) == found
    await storage.charger_booted(inbound("BootNotification", "CP1"), boot(model="Zwölf", firmware_version="2.0"))
    await storage.charger_booted(inbound("BootNotification", "CP2"), boot())
    for product, names in (
        (ProductFilter(vendor="ACME"), ["CP1", "CP2"]),
        (ProductFilter(vendor="acme", model="ZWÖLF"), ["CP1"]),
        (ProductFilter(firmware="1.0", model="Zwölf"), []),
    ):
        assert await storage.fleet_jobs.matching(product) == names


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@ensure
async def test_several_nodes(storage: SqlStorage, url: str) -> None:
    """Nodes that step at once share the rate, and claim nobody twice; claims of a node that is gone come back at once."""
    other = SqlStorage(url, reactor, postgresql.SECRET_KEY, node="other")
    other.start()
    try:
        await storage.node_started()
        await other.node_started()
        job_id = await made(storage, 60, rate_tenths=1000)
        for turn in range(6):
            await gatherResults([each.fleet_jobs.step(job_id, NOON_MS + turn * 100) for each in (storage, other)])
        waiting = (await read(storage, job_id)).counts[Row.WAITING]
        assert waiting == 60 - 51
        assert await storage.fleet_jobs.recover(job_id, NOON_MS + MINUTE_MS // 2) == 0
        await other.node_stopped()
        again = await storage.fleet_jobs.recover(job_id, NOON_MS + MINUTE_MS // 2)
        assert (await read(storage, job_id)).counts[Row.WAITING] == waiting + again
    finally:
        await other.stop()
