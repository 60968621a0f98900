"""The seam to the records of jobs over many chargers."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.fleet_jobs import (
    FleetJob,
    FleetJobFilter,
    FleetRow,
    FleetRowState,
    FleetStep,
    NewFleetJob,
    ProductFilter,
    Submitted,
)


class FleetJobRecords(Protocol):
    """Jobs. What calls of theirs end with changes them in the commit of that end.

    What an operator does gives the job as it is then, None where there is none, and whether it was changed.
    """

    def create(self, new: NewFleetJob, limit: int) -> Deferred[int | None]:
        """Make it; fires with its id, None where `limit` jobs have not ended yet."""

    def read(self, job_id: int) -> Deferred[FleetJob | None]:
        """A job with its counts."""

    def matching(self, which: ProductFilter) -> Deferred[list[str]]:
        """The names of chargers that told such a product with their last boot."""

    def pause(self, job_id: int) -> Deferred[tuple[FleetJob | None, bool]]:
        """Ask no more chargers."""

    def resume(self, job_id: int) -> Deferred[tuple[FleetJob | None, bool]]:
        """Go on; where canaries failed, without waiting for them."""

    def stop(self, job_id: int, now_ms: int, reason: str | None = None) -> Deferred[tuple[FleetJob | None, bool]]:
        """Ask no more chargers, ever."""

    def active(self) -> Deferred[list[int]]:
        """The jobs that are running or stopping."""

    def step(self, job_id: int, now_ms: int) -> Deferred[FleetStep | None]:
        """What this node is to do for a job now, claimed for it; None where there is nothing any more.

        A job whose canaries have failed is paused, one with nothing open is ended.
        """

    def submitted(self, what: Submitted, now_ms: int) -> Deferred[None]:
        """What became of claims."""

    def queued(self, job_id: int) -> Deferred[list[str]]:
        """Ids of calls of this job that wait for their chargers, some at a time."""

    def recover(self, job_id: int, now_ms: int) -> Deferred[int]:
        """See what became of claims of nodes that are gone, or that are too old; fires with how many there were."""

    def list_rows(self, job_id: int, state: FleetRowState | None, after: int | None, limit: int) -> Deferred[list[FleetRow]]:
        """In the order in which chargers are asked, behind the place `after`."""

    def list_jobs(self, which: FleetJobFilter, after: int | None, limit: int) -> Deferred[list[FleetJob]]:
        """Newest first, below the id `after`."""
