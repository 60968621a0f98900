"""`JobRecords` over SQL. See `ocppd.storage.api.charger_jobs` for what each method does."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from ocppd.storage import charger_job_rows, charger_jobs
from ocppd.storage.access import Access
from ocppd.storage.records.charger_jobs import Job, JobEntry, JobFilter, JobKind, NewJob
from ocppd.storage.records.files import NewToken


class SqlJobs:
    """Jobs of chargers in one SQL database."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage

    def job_created(self, job: NewJob, token: NewToken | None) -> Deferred[Job | None]:
        return self._storage.write(charger_jobs.created, job, token)

    def job_withdrawn(self, job_id: int) -> Deferred[None]:
        return self._storage.write(charger_jobs.withdrawn, job_id)

    def job_noted(self, job_id: int, at_ms: int, detail: str) -> Deferred[None]:
        return self._storage.write(charger_jobs.noted, job_id, at_ms, detail)

    def any_job_due(self, now_ms: int) -> Deferred[bool]:
        return self._storage.read(charger_jobs.any_due, now_ms)

    def jobs_due(self, now_ms: int) -> Deferred[list[Job]]:
        return self._storage.write(charger_jobs.looked_at, now_ms)

    def read_job(self, charger: str, job_id: int, kinds: Sequence[JobKind]) -> Deferred[tuple[Job, list[JobEntry]] | None]:
        return self._storage.read(charger_job_rows.read, charger, job_id, tuple(kinds))

    def list_jobs(self, which: JobFilter, after: int | None, limit: int) -> Deferred[list[Job]]:
        return self._storage.read(charger_job_rows.list_jobs, which, after, limit)
