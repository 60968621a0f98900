"""Jobs over many chargers: one command for each, as fast as the operator permits. Knows no HTTP.

All that a job depends on is in the records: each node looks, and whoever claims a charger there asks it. A node that ends
between a claim and its call leaves the claim behind, which another one, or the same after its restart, looks up in the journal
by the message id that the row had before. So a charger is asked once, or not at all, but never twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.commands import Commands, new_message_id
from ocppd.central.redaction import redact_call
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, now_ms
from ocppd.errors import (
    Conflict,
    HolderUnreachable,
    InvalidPayload,
    NotCancellable,
    NotFound,
    OcppdError,
    StorageUnavailable,
    UnknownMessage,
)
from ocppd.storage.api.fleet_jobs import FleetJobRecords
from ocppd.storage.records.fleet_jobs import (
    UNREADABLE,
    Claim,
    FleetJob,
    FleetJobState,
    FleetStep,
    NewFleetJob,
    Refusal,
    Submitted,
)
from ocppd.v16.actions import ACTIONS
from ocppd.v16.codec import build, encode, read_json
from ocppd.v16.types import Message

log = Logger()

#: Jobs that have not ended, of the whole installation.
MAX_UNFINISHED: Final = 100
#: A claim that took longer to get is left to `recover`: another node may be about to take it over.
CLAIM_MS: Final = 30_000
MEMBERS: Final = ("accepted", "refused", "back")


class NoFleetJob(NotFound):
    """No job has such an id."""

    what = "job"


class FleetJobs(Watcher):
    """Makes jobs, and goes on with all there are. `pump` is to be called several times a second, `sweep` every few seconds."""

    def __init__(self, records: FleetJobRecords, commands: Commands, clock: Clock) -> None:
        self._records = records
        self._commands = commands
        self._clock = clock
        #: Jobs that this node knows of, and when each is to be looked at.
        self._due: dict[int, int] = {}
        #: What became of claims, until the records have it.
        self._unreported: list[Submitted] = []
        self._pumping = False

    # Operators

    async def create(self, new: NewFleetJob) -> FleetJob:
        """Make a job, which begins at once. Raises Conflict where there are too many, and StorageUnavailable."""
        job_id = await self._records.create(new, MAX_UNFINISHED)
        if job_id is None:
            raise Conflict(f"{MAX_UNFINISHED} jobs have not ended yet")
        self._due[job_id] = 0
        return await self.read(job_id)

    async def read(self, job_id: int) -> FleetJob:
        """A job with its counts. Raises NoFleetJob."""
        job = await self._records.read(job_id)
        if job is None:
            raise NoFleetJob(str(job_id))
        return job

    async def pause(self, job_id: int) -> FleetJob:
        """Ask no more chargers until it is resumed. Raises NoFleetJob, and Conflict unless it runs."""
        return _changed(job_id, "paused", *await self._records.pause(job_id))

    async def resume(self, job_id: int) -> FleetJob:
        """Go on with a job that is paused. Raises NoFleetJob, and Conflict for another."""
        job = _changed(job_id, "resumed", *await self._records.resume(job_id))
        self._due[job_id] = 0
        return job

    async def stop(self, job_id: int) -> FleetJob:
        """Ask no more chargers, and take back what still waits for one. Raises NoFleetJob, and Conflict where it has ended."""
        job = _changed(job_id, "stopped", *await self._records.stop(job_id, now_ms(self._clock)))
        self._due[job_id] = 0
        return job

    # At work

    def sweep(self, now_ms: int) -> Deferred[None]:
        """See what jobs there are, also those of other nodes, and what has become of claims that were left behind."""
        return Deferred.fromCoroutine(self._sweep(now_ms))

    async def _sweep(self, now_ms: int) -> None:
        active = await self._records.active()
        for job_id in active:
            self._due[job_id] = min(self._due.get(job_id, now_ms), now_ms)
            lost = await self._records.recover(job_id, now_ms)
            if lost:
                log.info("job {id}: claims that were left behind: {count}", id=job_id, count=lost)

    def pump(self) -> Deferred[None] | None:
        """Go on with the jobs that are due. Costs nothing where there are none; never fails."""
        if self._pumping or not (self._due or self._unreported):
            return None
        self._pumping = True
        pumped = Deferred.fromCoroutine(self._pump())
        pumped.addErrback(_log_failure)
        return pumped.addCallback(self._pumped)

    def _pumped(self, _: None) -> None:
        self._pumping = False

    async def _pump(self) -> None:
        await self._report()
        now = now_ms(self._clock)
        for job_id in [each for each, due_ms in self._due.items() if due_ms <= now]:
            begun_ms = now_ms(self._clock)
            step = await self._records.step(job_id, begun_ms)
            self._due.pop(job_id, None)  # what has nothing more to do by itself is found by the next sweep
            if step is None:
                continue
            if step.again_ms is not None:
                self._due[job_id] = step.again_ms
            if step.job.state is FleetJobState.STOPPING:
                await self._take_back(job_id)
            elif step.claims and now_ms(self._clock) - begun_ms < CLAIM_MS:
                await self._ask(step)

    async def _ask(self, step: FleetStep) -> None:
        """Have the calls to the chargers accepted that were claimed; one that fails costs the others nothing."""
        try:
            request = build(ACTIONS[step.job.action].request, read_json(step.payload.encode()))
        except (InvalidPayload, KeyError):  # of another version of ocppd
            await self._records.stop(step.job.job_id, now_ms(self._clock), UNREADABLE)
            self._unreported.append(Submitted(back=tuple((claim.message_id, new_message_id()) for claim in step.claims)))
            self._due[step.job.job_id] = 0
        else:
            submitting = [self._submit(step.job, claim, request) for claim in step.claims]
            self._unreported += [await each for each in submitting]
        await self._report()

    def _submit(self, job: FleetJob, claim: Claim, request: Message) -> Deferred[Submitted]:
        """What became of it; where nobody knows, the journal is asked before the charger is asked again."""
        accepting = maybeDeferred(
            self._commands.submit,
            claim.charger,
            request,
            offline=job.offline,
            ttl_s=job.ttl_s,
            message_id=claim.message_id,
        )

        def refused(failure: Failure) -> Submitted:
            error = failure.value
            if isinstance(error, OcppdError) and not isinstance(error, StorageUnavailable | HolderUnreachable):
                name = type(error).__name__
                return Submitted(refused=(Refusal(claim.message_id, name[0].lower() + name[1:], str(error)),))
            if not isinstance(error, OcppdError):
                log.failure("{charger}: a call of job {id} failed", failure, charger=claim.charger, id=job.job_id)
            return Submitted(back=((claim.message_id, new_message_id()),))

        return accepting.addCallbacks(lambda _: Submitted(accepted=(claim.message_id,)), refused)

    async def _report(self) -> None:
        """Record what became of claims. What the records refuse is kept for the next time."""
        if self._unreported:
            told = list(self._unreported)
            whole = Submitted(*(tuple(chain.from_iterable(getattr(each, name) for each in told)) for name in MEMBERS))
            await self._records.submitted(whole, now_ms(self._clock))
            del self._unreported[: len(told)]

    async def _take_back(self, job_id: int) -> None:
        """Of a job that was stopped: cancel the calls that wait for their chargers, some at a time."""
        message_ids = await self._records.queued(job_id)
        for message_id in message_ids:
            try:
                await self._commands.cancel(message_id)
            except (NotCancellable, UnknownMessage):
                continue  # it was sent meanwhile
        if message_ids:
            self._due[job_id] = 0


def new_job(
    action: str,
    request: Message,
    selected: str,
    chargers: Sequence[str],
    *,
    rate_tenths: int,
    canary: int,
    offline: bool | None,
    ttl_s: int | None,
    created_ms: int,
) -> NewFleetJob:
    """A job to be made, of a request that was checked."""
    payload = encode(request).decode()
    frame = redact_call(action, f'[2,"","{action}",{payload}]')
    return NewFleetJob(
        action=action,
        payload=payload,
        redacted=bytes(msgspec.json.decode(frame, type=tuple[int, str, str, msgspec.Raw])[3]).decode(),
        selected=selected,
        rate_tenths=rate_tenths,
        canary=canary,
        offline=offline,
        ttl_s=ttl_s,
        created_ms=created_ms,
        rows=tuple((charger, new_message_id()) for charger in chargers),
    )


def _changed(job_id: int, what: str, job: FleetJob | None, changed: bool) -> FleetJob:
    if job is None:
        raise NoFleetJob(str(job_id))
    if not changed:
        raise Conflict(f"job {job_id} is {job.state}, and cannot be {what}")
    return job


def _log_failure(failure: Failure) -> None:
    if not failure.check(StorageUnavailable):  # the writer tells of that, and the next sweep is soon
        log.failure("jobs over many chargers could not go on", failure)
