"""Jobs of chargers, as the seam of the records has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.charger_jobs import Job, JobEntry, JobFilter, JobKind, NewJob
from ocppd.storage.records.files import NewToken


class JobRecords(Protocol):
    """Firmware, diagnostics, logs. What a message or the end of a call says of one is in its commit."""

    def job_created(self, job: NewJob, token: NewToken | None) -> Deferred[Job | None]:
        """A job whose call is about to be sent; fires with None where the charger has a job of that request id."""

    def job_withdrawn(self, job_id: int) -> Deferred[None]:
        """Its call was not accepted: forget it, unless it was after all."""

    def job_noted(self, job_id: int, at_ms: int, detail: str) -> Deferred[None]:
        """Something about its file belongs into its timeline."""

    def any_job_due(self, now_ms: int) -> Deferred[bool]:
        """Whether `jobs_due` has anything to do; it writes nothing."""

    def jobs_due(self, now_ms: int) -> Deferred[list[Job]]:
        """End what was not heard of in time, and what a boot says is installed; fires with those. Whichever node comes first."""

    def read_job(self, charger: str, job_id: int, kinds: Sequence[JobKind]) -> Deferred[tuple[Job, list[JobEntry]] | None]:
        """A job of this charger, of one of these kinds, with its timeline."""

    def list_jobs(self, which: JobFilter, after: int | None, limit: int) -> Deferred[list[Job]]:
        """Newest first, below the id `after`."""
