"""What firmware and logs have in common: asked for, listed, shown, taken back. docs/http-api.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from klein import Response
from twisted.internet.defer import Deferred

from ocppd.central.charger_jobs import ask
from ocppd.central.commands import MAX_TTL_S
from ocppd.central.redaction import redact_url
from ocppd.clock import now_ms
from ocppd.errors import Conflict, NotCancellable, NotFound, StorageUnavailable
from ocppd.net.files.room import FileRoom
from ocppd.net.rest.answers import json_answer, page_answer, problem_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import choice, integer, one_of, page, seconds, sequence
from ocppd.net.rest.problems import problem_of_end
from ocppd.net.rest.routing import Incoming
from ocppd.net.rest.v1 import job_shapes as shapes
from ocppd.net.rest.v1.commands import LEAST_TTL_S, MAX_WAIT_S, UNFINISHED
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import MessageRecord, MessageState
from ocppd.storage.records.charger_jobs import OPEN_STATES, Job, JobEntry, JobFilter, JobKind, JobState, NewJob
from ocppd.storage.records.files import NewToken
from ocppd.v16.types import Message

ASK_QUERY: Final = {
    "wait": seconds(0, MAX_WAIT_S),
    "offline": one_of({"queue": True, "fail": False}),
    "ttl": seconds(LEAST_TTL_S, MAX_TTL_S),
}
JOBS_QUERY: Final = {**page(sequence), "state": choice(JobState)}
#: A URL of ours is good for so long behind the instant at which the job would be given up.
TOKEN_GRACE_MS: Final = 3600 * 1000
#: Where nobody says how long a call may wait for its charger.
DEFAULT_TTL_MS: Final = 24 * 3600 * 1000


class NoJob(NotFound):
    """The charger has no such job."""

    what = "job"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a charger is to send a file to or to fetch it from, and what is recorded of that."""

    url: str
    token: NewToken | None = None

    @property
    def shown(self) -> str | None:
        """Without credentials; None where it is here."""
        return redact_url(self.url) if self.token is None else None


def room_of(api: Api) -> FileRoom:
    """The file room. Raises Conflict where there is none."""
    if api.files is None:
        raise Conflict("this daemon has no file room: start it with --files, or give a location")
    return api.files


def place_here(api: Api, charger: str, expires_ms: int, file_id: int | None = None) -> Place:
    """A URL of ours. Raises Conflict where nobody knows how the charger reaches us."""
    room = room_of(api)
    connection = api.chargers.connection(charger)
    base = room.url or (None if connection is None else connection.link.base_url)
    if base is None:
        raise Conflict(f"how charger {charger!r} reaches this server is not known here: start it with --public-url")
    path, token = room.new_token(expires_ms, file_id)
    return Place(base.rstrip("/") + path, token)


async def asked(api: Api, options: dict[str, Any], wanted: NewJob, place: Place, request: Callable[[Job], Message]) -> Response:
    """Ask for a job: 202 with it, or once its call has ended 200, or the problem that it ended with."""
    job, record = await shielded(
        Deferred.fromCoroutine(
            ask(
                api.storage.charger_jobs,
                api.commands,
                wanted,
                place.token,
                request,
                offline=options.get("offline"),
                ttl_s=options.get("ttl"),
            )
        )
    )
    headers = {"Location": f"/api/v1/chargers/{quote(job.charger, safe='')}/{shapes.root_of(job)}/{job.job_id}"}
    try:
        record = await api.commands.wait(record, options.get("wait", 0))
        found = await api.storage.charger_jobs.read_job(job.charger, job.job_id, tuple(JobKind))
    except StorageUnavailable:  # what became of it cannot be read, but it was accepted
        return json_answer(shapes.job(job), 202, headers)
    if record.state not in UNFINISHED and record.state is not MessageState.COMPLETED:
        return problem_answer(problem_of_end(record), headers)
    status = 202 if record.state in UNFINISHED else 200
    return json_answer(shapes.job(job) if found is None else shapes.whole_job(*found, ()), status, headers)


async def listed(api: Api, incoming: Incoming, name: str, kinds: Sequence[JobKind]) -> Response:
    """Those of a charger, newest first, without their timelines."""
    api.chargers.settings(name)
    wanted = incoming.page(JOBS_QUERY)
    which = JobFilter(name, tuple(kinds), wanted.filters.get("state"))
    rows = await api.storage.charger_jobs.list_jobs(which, wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, shapes.job, lambda job: job.job_id)


async def found(api: Api, name: str, job_id: str, kinds: Sequence[JobKind]) -> tuple[Job, list[JobEntry]]:
    """A job of that charger. Raises NoJob, UnknownCharger."""
    api.chargers.settings(name)
    try:
        number = integer(1, 2**63 - 1)(job_id)
    except ValueError:
        raise NoJob(job_id) from None
    job = await api.storage.charger_jobs.read_job(name, number, tuple(kinds))
    if job is None:
        raise NoJob(job_id)
    return job


async def shown(api: Api, incoming: Incoming, name: str, job_id: str, kinds: Sequence[JobKind]) -> Response:
    """One, with its timeline and its files."""
    incoming.query()
    job, entries = await found(api, name, job_id, kinds)
    files = [] if api.files is None else await api.files.files.files_of_job(job.job_id)
    return json_answer(shapes.whole_job(job, entries, files))


async def taken_back(api: Api, incoming: Incoming, name: str, job_id: str, kinds: Sequence[JobKind]) -> Response:
    """Cancel it while its call waits. OCPP 1.6 has no message that stops a charger which has begun."""
    incoming.query()
    job, _ = await found(api, name, job_id, kinds)
    if job.state not in OPEN_STATES:
        raise Conflict(f"job {job.job_id} is {job.state}")
    cancelling: Deferred[MessageRecord] = api.commands.cancel(job.message_id)
    try:
        await shielded(cancelling)
    except (NotCancellable, NotFound):
        reason = f"charger {name!r} has been asked: job {job.job_id} ends by itself, or when another takes its place"
        raise Conflict(reason) from None
    job, entries = await found(api, name, job_id, kinds)
    return json_answer(shapes.whole_job(job, entries, ()))


def expiry_of(api: Api, options: dict[str, Any], begins_ms: int, lasts_ms: int) -> int:
    """Until when a URL of ours is good: the call may wait for its charger, which may begin later."""
    ttl_ms = DEFAULT_TTL_MS if options.get("ttl") is None else int(options["ttl"] * 1000)
    return max(now_ms(api.clock) + ttl_ms, begins_ms) + lasts_ms + TOKEN_GRACE_MS
