"""Jobs over many chargers in SQL; see `ocppd.storage.api.fleet_jobs.FleetJobRecords` for what each method does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import Deferred

from ocppd.storage import fleet_job_steps, fleet_jobs
from ocppd.storage.access import Access
from ocppd.storage.clean import cleaned
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
from ocppd.storage.secrets import Secrets


class SqlFleetJobs:
    """The use cases of `fleet_jobs` and `fleet_job_steps`, each in a transaction. `secrets` gives the key once it is there."""

    def __init__(self, storage: Access, node: str, secrets: Callable[[], Secrets]) -> None:
        self._storage = storage
        self._node = node
        self._secrets = secrets

    def create(self, new: NewFleetJob, limit: int) -> Deferred[int | None]:
        new = cleaned(new)
        secret = None if new.payload == new.redacted else self._secrets().encrypt(new.payload)
        return self._storage.write(fleet_jobs.create, replace(new, payload=""), secret, limit)

    def read(self, job_id: int) -> Deferred[FleetJob | None]:
        return self._storage.read(fleet_jobs.read, job_id)

    def list_jobs(self, which: FleetJobFilter, after: int | None, limit: int) -> Deferred[list[FleetJob]]:
        return self._storage.read(fleet_jobs.list_jobs, which, after, limit)

    def list_rows(self, job_id: int, state: FleetRowState | None, after: int | None, limit: int) -> Deferred[list[FleetRow]]:
        return self._storage.read(fleet_jobs.list_rows, job_id, state, after, limit)

    def matching(self, which: ProductFilter) -> Deferred[list[str]]:
        return self._storage.read(fleet_jobs.matching, which)

    def pause(self, job_id: int) -> Deferred[tuple[FleetJob | None, bool]]:
        return self._storage.write(fleet_jobs.pause, job_id)

    def resume(self, job_id: int) -> Deferred[tuple[FleetJob | None, bool]]:
        return self._storage.write(fleet_jobs.resume, job_id)

    def stop(self, job_id: int, now_ms: int, reason: str | None = None) -> Deferred[tuple[FleetJob | None, bool]]:
        return self._storage.write(fleet_jobs.stop, job_id, now_ms, reason)

    def active(self) -> Deferred[list[int]]:
        return self._storage.read(fleet_job_steps.active)

    def step(self, job_id: int, now_ms: int) -> Deferred[FleetStep | None]:
        return self._storage.write(fleet_job_steps.step, job_id, self._node, now_ms, self._secrets().decrypt)

    def submitted(self, what: Submitted, now_ms: int) -> Deferred[None]:
        return self._storage.write(fleet_job_steps.submitted, what, self._node, now_ms)

    def queued(self, job_id: int) -> Deferred[list[str]]:
        return self._storage.read(fleet_job_steps.queued, job_id)

    def recover(self, job_id: int, now_ms: int) -> Deferred[int]:
        return self._storage.write(fleet_job_steps.recover, job_id, self._node, now_ms)
