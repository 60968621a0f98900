"""The writer: one thread, one commit for all that has gathered, answers after it.

Knows no table, no use case and no product: it is handed functions that take a `Unit`, and a `Database` that tells what an
error means. See decision 5 and lever 7 of docs/architecture.md. A use case may be run several times, so it changes nothing
but the database.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, sleep
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.errors import StorageUnavailable
from ocppd.storage.crowding import CROWDED, Crowding
from ocppd.storage.database import Database, Trouble, reason
from ocppd.storage.gathering import Later
from ocppd.storage.outage import Outage
from ocppd.storage.unit import Lore, Unit

T = TypeVar("T")
P = ParamSpec("P")

#: Shared, and never changed.
NO_KEYWORDS: dict[str, Any] = {}

#: Use cases that were accepted and not yet answered. At 2 KiB each that is 100 MiB, and longer than a charger waits.
WAITING_LIMIT = 50_000

#: Use cases in one commit: some 20 ms of work with SQLite, so that the first of a batch does not wait long for the last.
BATCH_LIMIT = 1_000
#: The same where a statement is a round trip to a server.
BATCH_S = 0.25

#: A commit costs as much as many messages, and with the next one more come in time for it. So it begins so long after the end
#: of the last one, which nobody notices whose message comes alone.
APART_S = 0.00075
#: After a batch of so many use cases or more the next one is given more time to gather: for each of them, and at most.
BUSY = 3
EACH_S = 0.000035
GATHERING_S = 0.002

#: Pauses between attempts to reach a database that is away: from the first to the last, doubled each time.
FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 1.0

#: Times that a single use case is run again whose transaction made way for another node's.
CONFLICTS_LIMIT = 4


class _Job(msgspec.Struct, gc=False):
    """One use case and who waits for it."""

    answer: Any
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    def run(self, unit: Unit) -> Any:
        if self.keywords:
            return self.work(unit, *self.arguments, **self.keywords)
        return self.work(unit, *self.arguments)


class Writer:
    """Runs use cases in the order in which they were submitted."""

    _log = Logger()

    def __init__(self, database: Database, reactor: IReactorFromThreads, crowding: Crowding | None = None) -> None:
        self._database = database
        self._reactor = reactor
        self._crowding = crowding or Crowding()
        self._outage = Outage("write")
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._waiting = 0
        self._thread: Thread | None = None
        self._accepting = False
        self._stopping: list[Deferred[None]] = []
        #: Whether use cases are being run: before that nothing has happened, after it perhaps everything.
        self._running = False
        self._lore = Lore()
        #: While the database is away: why, when to try again, and how long to wait after that.
        self._away: Failure | None = None
        self._again_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    @property
    def away(self) -> StorageUnavailable | None:
        """The error of what is asked for while the database cannot be reached; None while it can, as far as is known."""
        return None if self._away is None else unavailable(self._away)

    def start(self) -> None:
        """Start the thread. It does not keep the process alive: what is lost without `stop` was answered to nobody."""
        self._accepting = True
        self._thread = Thread(target=self._work, name="ocppd-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run `work` in the next commit; fires with its result, on the reactor's thread, once that is on disk.

        Fails with StorageUnavailable, at once while the database is away. Cancelling stops the waiting, not the write.
        """
        answer: Deferred[T] = Deferred()
        self.submit_for(answer, work, args, kwargs)
        return answer

    def submit_for(
        self, waiter: Any, work: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any] = NO_KEYWORDS
    ) -> None:
        """The same for a `waiter`, of which `callback` or `errback` is called, perhaps at once; neither may raise."""
        if not self._accepting or self._waiting >= WAITING_LIMIT or self._away is not None:
            waiter.errback(Failure(self._refusal()))
            return
        self._waiting += 1
        self._queue.put(_Job(waiter, work, arguments, keywords))
        if self._waiting >= CROWDED:
            self._crowding.waiting(self._waiting)

    def _refusal(self) -> StorageUnavailable:
        if not self._accepting:
            return StorageUnavailable("storage is not running")
        if self._away is not None and self._waiting < WAITING_LIMIT:
            return unavailable(self._away)
        return StorageUnavailable(f"{self._waiting} writes are waiting already")

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
        batch: list[_Job] = []
        goes_on = True
        last, ended_s = 0, 0.0
        while goes_on or batch:
            goes_on = goes_on and self._gather(batch)
            if goes_on and self._away is None and (wait_s := time_to_gather(last, monotonic() - ended_s)) > 0:
                sleep(wait_s)
                goes_on = self._gather(batch)
            last = len(batch)
            if goes_on and self._away is not None and monotonic() >= self._again_s:
                self._reach()
            if batch:
                outcomes = self._settle(batch) if self._away is None else [self._away] * len(batch)
                self._reactor.callFromThread(self._deliver, batch[: len(outcomes)], outcomes)
                batch = batch[len(outcomes) :]
                ended_s = monotonic()
        self._reactor.callFromThread(self._stopped)

    def _gather(self, batch: list[_Job]) -> bool:
        """Add what has gathered; wait for a first job, or until a database that is away is to be tried again.

        False where nothing comes any more.
        """
        timeout = None if self._away is None else max(0.0, self._again_s - monotonic())
        try:
            while len(batch) < BATCH_LIMIT:
                job = self._queue.get(not batch, timeout)
                if job is None:
                    return False
                batch.append(job)
        except Empty:
            pass
        return True

    def _reach(self) -> None:
        """Try to reach a database that is away."""
        try:
            with self._database.connected(self._database.writing) as connection:
                connection.begin()
                look(Unit(connection))
        except Exception:
            self._lose(Failure())
        else:
            self._away = None
            self._reactor.callFromThread(self._outage.end)

    def _lose(self, failure: Failure) -> None:
        """The database is away. Whoever asks for something is told so at once, until it is reached again."""
        self._pause_s = FIRST_PAUSE_S if self._away is None else min(2 * self._pause_s, LAST_PAUSE_S)
        self._again_s = monotonic() + self._pause_s
        self._away = failure

    def _settle(self, jobs: list[_Job]) -> list[Any]:
        """The results of the first of these jobs, of one at least, committed; a Failure for each that failed."""
        run, conflicts, broken = self._run_together, 0, False
        while True:
            try:
                return self._transact(run, jobs)
            except Exception as error:
                failure, trouble = Failure(), self._database.trouble(error)
            if trouble is Trouble.CONFLICT and conflicts < CONFLICTS_LIMIT:
                # The others come next, and in order: what is committed first is what was asked for first.
                conflicts += len(jobs) == 1
                jobs = jobs[: (len(jobs) + 1) // 2]
            elif not self._running or trouble is Trouble.AWAY:
                break
            elif trouble is Trouble.BROKEN and not broken:
                broken = True
            elif trouble in (Trouble.REFUSAL, Trouble.BUG) and run == self._run_together:
                # Nobody is to fail for another's sake.
                run = self._run_each_alone
            else:
                break
        if trouble is Trouble.AWAY:
            self._lose(failure)
        return [failure] * len(jobs)

    def _transact(self, run: Callable[[Connection, list[_Job]], list[Any]], jobs: list[_Job]) -> list[Any]:
        """The results of as many of these jobs as fit into one transaction, committed. Raises where that failed."""
        self._running = False
        self._lore.begin()
        with self._database.connected(self._database.writing) as connection:
            transaction = connection.begin()
            self._running = True
            outcomes = run(connection, jobs)
            self._running = False
            transaction.commit()
        self._lore.committed()
        return outcomes

    def _run_together(self, connection: Connection, jobs: list[_Job]) -> list[Any]:
        end_s = monotonic() + BATCH_S
        outcomes: list[Any] = []
        with Unit(connection, together=True, lore=self._lore) as unit:
            for job in jobs:
                outcomes.append(job.run(unit))
                if monotonic() > end_s:
                    break
        if unit.alone:  # it knows all values at once
            return outcomes
        return [outcome.value if type(outcome) is Later else outcome for outcome in outcomes]

    def _run_each_alone(self, connection: Connection, jobs: list[_Job]) -> list[Any]:
        end_s = monotonic() + BATCH_S
        unit = Unit(connection, is_bug=lambda error: self._database.trouble(error) is Trouble.BUG)
        outcomes = []
        for job in jobs:
            outcomes.append(unit.attempt(job.run, self._is_its_own))
            if monotonic() > end_s:
                break
        return outcomes

    def _is_its_own(self, error: Exception) -> bool:
        """Whether it fails the job that it comes of, and none else."""
        return self._database.trouble(error) in (Trouble.REFUSAL, Trouble.BUG)

    # On the reactor's thread.

    def _deliver(self, batch: list[_Job], outcomes: list[Any]) -> None:
        """Answer a batch. One log entry for each cause, not for each job, and one for an outage."""
        self._waiting -= len(batch)
        self._crowding.waiting(self._waiting)
        failures = [outcome for outcome in outcomes if type(outcome) is Failure]
        if len(failures) < len(outcomes):
            self._outage.done()
        if not failures:
            for job, outcome in zip(batch, outcomes, strict=True):
                job.answer.callback(outcome)
            return
        logged: set[int] = set()
        for job, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Failure):
                job.answer.callback(outcome)
                continue
            if id(outcome) not in logged:
                logged.add(id(outcome))
                self._log_failure(outcome, job, all_failed=len(failures) == len(outcomes))
            job.answer.errback(Failure(unavailable(outcome)))

    def _log_failure(self, failure: Failure, job: _Job, *, all_failed: bool) -> None:
        name = getattr(job.work, "__name__", repr(job.work))
        if self._database.trouble(failure.value) is Trouble.BUG:
            self._log.failure("use case {name} failed", failure=failure, name=name)
        elif all_failed:
            self._outage.begin(reason(failure.value))
        else:
            self._log.error("the database refuses {name}: {reason}", name=name, reason=reason(failure.value))

    def _stopped(self) -> None:
        assert self._thread is not None
        self._thread.join()
        self._thread = None
        waiting, self._stopping = self._stopping, []
        for stopped in waiting:
            stopped.callback(None)


def time_to_gather(last: int, since_s: float) -> float:
    """Seconds for which a batch waits for more, where the one before had `last` use cases and ended `since_s` ago."""
    return max(APART_S - since_s, min(last * EACH_S, GATHERING_S) if last >= BUSY else 0.0)


def look(unit: Unit) -> None:
    """A use case that asks for nothing, to see whether the database answers."""
    unit.connection.exec_driver_sql("SELECT 1")


def unavailable(failure: Failure) -> StorageUnavailable:
    """The one error that callers see; the cause is kept with it."""
    error = StorageUnavailable(f"the records cannot be reached: {reason(failure.value)}")
    error.__cause__ = failure.value
    return error
