"""The writer: one thread, one commit for all that has gathered, answers after it.

Knows no table and no use case: it is handed functions that take a `Unit`. See decision 5 and lever 7 of
docs/architecture.md. A use case may be run twice, so it changes nothing but the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.errors import StorageUnavailable
from ocppd.storage.unit import Unit

T = TypeVar("T")
P = ParamSpec("P")

#: Use cases that were accepted and not yet answered. At 2 KiB each that is 100 MiB, and longer than a charger waits.
WAITING_LIMIT = 50_000

#: Use cases in one commit: some 20 ms of work, so that the first of a batch does not wait long for the last.
BATCH_LIMIT = 1_000


@dataclass(slots=True, eq=False)
class _Job:
    """One use case and who waits for it."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    answer: Deferred[Any] = field(default_factory=Deferred)

    def run(self, unit: Unit) -> Any:
        return self.work(unit, *self.arguments, **self.keywords)


class Writer:
    """Runs use cases in the order in which they were submitted."""

    _log = Logger()

    def __init__(self, engine: Engine, reactor: IReactorFromThreads) -> None:
        self._engine = engine
        self._reactor = reactor
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._waiting = 0
        self._thread: Thread | None = None
        self._accepting = False
        self._stopping: list[Deferred[None]] = []

    def start(self) -> None:
        """Start the thread. It does not keep the process alive: what is lost without `stop` was answered to nobody."""
        self._accepting = True
        self._thread = Thread(target=self._work, name="ocppd-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run `work` in the next commit; fires with its result, on the reactor's thread, once that is on disk.

        Fails with StorageUnavailable. Cancelling stops the waiting, not the write.
        """
        if not self._accepting:
            return fail(StorageUnavailable("storage is not running"))
        if self._waiting >= WAITING_LIMIT:
            return fail(StorageUnavailable(f"{self._waiting} writes are waiting already"))
        job = _Job(work, args, kwargs)
        self._waiting += 1
        self._queue.put(job)
        return job.answer

    def stop(self) -> Deferred[None]:
        """Accept no more; fires when all that was accepted is committed and answered."""
        self._accepting = False
        if self._thread is None:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        if len(self._stopping) == 1:
            self._queue.put(None)
        return stopped

    # On the writer's thread.

    def _work(self) -> None:
        """Commit batch after batch until the None that `stop` put into the queue."""
        goes_on = True
        while goes_on:
            batch, goes_on = self._take()
            if batch:
                outcomes = self._commit(batch)
                self._reactor.callFromThread(self._deliver, batch, outcomes)
        self._reactor.callFromThread(self._stopped)

    def _take(self) -> tuple[list[_Job], bool]:
        """What has gathered, at least one job; and whether there may be more after it."""
        batch: list[_Job] = []
        job = self._queue.get()
        try:
            while job is not None:
                batch.append(job)
                if len(batch) == BATCH_LIMIT:
                    return batch, True
                job = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _commit(self, batch: list[_Job]) -> list[Any]:
        """The result of each job, committed; a Failure for each that failed."""
        try:
            with self._engine.connect() as connection:
                try:
                    return self._commit_on(connection, batch)
                except Exception:
                    # After a COMMIT that failed SQLAlchemy takes the transaction for ended, and SQLite does not.
                    connection.connection.rollback()
                    raise
        except Exception:
            return [Failure()] * len(batch)

    def _commit_on(self, connection: Connection, batch: list[_Job]) -> list[Any]:
        transaction = connection.begin()
        try:
            unit = Unit(connection)
            outcomes = [job.run(unit) for job in batch]
        except Exception:
            # Nobody is to fail for another's sake: again, each by itself.
            transaction.rollback()
            transaction = connection.begin()
            unit = Unit(connection)
            outcomes = [self._run_alone(connection, unit, job) for job in batch]
        transaction.commit()
        return outcomes

    @staticmethod
    def _run_alone(connection: Connection, unit: Unit, job: _Job) -> Any:
        """The result of a job in its own SAVEPOINT, or its Failure.

        Raises where the whole transaction is gone, which SQLite may do to it when the disk is full.
        """
        savepoint = connection.begin_nested()
        try:
            outcome = job.run(unit)
        except Exception:
            failure = Failure()
            savepoint.rollback()
            return failure
        savepoint.commit()
        return outcome

    # On the reactor's thread.

    def _deliver(self, batch: list[_Job], outcomes: list[Any]) -> None:
        """Answer a whole batch. One log entry for each cause, not for each job."""
        self._waiting -= len(batch)
        logged: set[int] = set()
        for job, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Failure):
                job.answer.callback(outcome)
                continue
            if id(outcome) not in logged:
                logged.add(id(outcome))
                self._log_failure(outcome, job)
            job.answer.errback(Failure(unavailable(outcome)))

    def _log_failure(self, failure: Failure, job: _Job) -> None:
        if is_database_error(failure, self._engine):
            self._log.error("the database refuses to write: {reason}", reason=failure.getErrorMessage())
        else:
            self._log.failure("use case {name} failed", failure=failure, name=getattr(job.work, "__name__", repr(job.work)))

    def _stopped(self) -> None:
        assert self._thread is not None
        self._thread.join()
        self._thread = None
        waiting, self._stopping = self._stopping, []
        for stopped in waiting:
            stopped.callback(None)


def is_database_error(failure: Failure, engine: Engine) -> bool:
    """Whether the database is to blame (full, locked, gone) rather than our code."""
    driver = engine.dialect.loaded_dbapi
    error = failure.value
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    return isinstance(error, driver.OperationalError)


def unavailable(failure: Failure) -> StorageUnavailable:
    """The one error that callers see; the cause is kept with it."""
    error = StorageUnavailable(f"the records cannot be reached: {failure.getErrorMessage()}")
    error.__cause__ = failure.value
    return error
