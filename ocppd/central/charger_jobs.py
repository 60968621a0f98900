"""Jobs that operators ask for, and those that nothing more is heard of. Knows no HTTP.

What a charger tells of a job is in the commit of its message: `ocppd.storage.charger_jobs`. REQUIREMENTS 2.4, V-1, V-10.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.commands import Commands
from ocppd.central.watching import Watcher
from ocppd.errors import Conflict, StorageUnavailable
from ocppd.storage.api.charger_jobs import JobRecords
from ocppd.storage.records import MessageRecord
from ocppd.storage.records.charger_jobs import Job, NewJob
from ocppd.storage.records.files import NewToken
from ocppd.v16.types import Message

log = Logger()


class JobWatcher(Watcher):
    """Ends what is due. Every node looks; the records are changed by the first."""

    def __init__(self, records: JobRecords) -> None:
        self._records = records

    def sweep(self, now_ms: int) -> Deferred[None]:
        """See what is due: a read, unless there is something."""

        def look(due: bool) -> Deferred[list[Job]]:
            return self._records.jobs_due(now_ms) if due else succeed([])

        return self._records.any_job_due(now_ms).addCallback(look).addCallback(self._ended)

    def _ended(self, jobs: list[Job]) -> None:
        for job in jobs:
            log.info(
                "{charger}: job {id} ({kind}) is {state}: {reason}",
                charger=job.charger, id=job.job_id, kind=str(job.kind), state=str(job.state),
                reason=job.reason or "a boot told another firmware version",
            )  # fmt: skip


async def ask(
    records: JobRecords,
    commands: Commands,
    wanted: NewJob,
    token: NewToken | None,
    request: Callable[[Job], Message],
    *,
    offline: bool | None = None,
    ttl_s: float | None = None,
) -> tuple[Job, MessageRecord]:
    """Record a job, then have its call accepted; where it is not, there is no job.

    The job comes first, so that no answer or status can come before it. Raises Conflict for a request id that the charger has
    a job of, and what `Commands.submit` raises and fails with.
    """
    job = await records.job_created(wanted, token)
    if job is None:
        raise Conflict(f"charger {wanted.charger!r} has a job with the request id {wanted.request_id}")
    try:
        submit = maybeDeferred(
            commands.submit, wanted.charger, request(job), offline=offline, ttl_s=ttl_s, message_id=wanted.message_id
        )
        return job, await submit
    except BaseException:
        # Where the records are away, too, it ends by itself: nobody finds its call.
        await records.job_withdrawn(job.job_id).addErrback(_trap_unavailable)
        raise


def _trap_unavailable(failure: Failure) -> None:
    failure.trap(StorageUnavailable)
