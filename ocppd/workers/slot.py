"""One place among the workers: the worker that has it, and who comes after that one.

A worker that ends by itself is started again, later each time. A replacement overlaps: the successor listens on the same
socket before its predecessor stops, so that no connection waits for a drain, and a successor that cannot start costs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ocppd.clock import DelayedCall
from ocppd.workers.worker import Worker

log = Logger()

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 30.0
#: A worker that lived so long was well: the next one is started soon again.
HEALTHY_S: Final = 60.0
#: A successor that is not ready by then will not be. The first start of all has no such limit: it may migrate the records.
READY_LIMIT_S: Final = 60.0

#: Starts a process, and is given what to call when it is ready and when it has ended. Raises OSError.
Spawn = Callable[[Callable[[Worker], None], Callable[[Worker], None]], Worker]


class Slot:
    """A place that is kept filled. `end_limit_s`: a worker that is told to end and has not done so by then is killed."""

    def __init__(self, number: int, clock: Any, spawn: Spawn, end_limit_s: float) -> None:
        self.number = number
        #: The worker that has ended last without ever having been ready, for as long as none is.
        self.failed: Worker | None = None
        #: Why the system has refused to start a process at all.
        self.refusal: str | None = None
        self._clock = clock
        self._spawn = spawn
        self._end_limit_s = end_limit_s
        #: All processes: with a current one there may be its successor, which starts, or its predecessor, which drains.
        self._workers: list[Worker] = []
        self._current: Worker | None = None
        self._successor: Worker | None = None
        self._keep_filled = True
        self._delay_s = FIRST_DELAY_S
        self._restart: DelayedCall | None = None
        self._limit: DelayedCall | None = None
        self._replaced: Deferred[bool] | None = None
        self._emptied: Deferred[None] | None = None
        self._stopping = False

    @property
    def workers(self) -> list[Worker]:
        """The processes that there are."""
        return list(self._workers)

    @property
    def ready(self) -> bool:
        """Whether its worker listens."""
        return self._current is not None and self._current.ready

    @property
    def decided(self) -> bool:
        """Whether the start has succeeded or failed."""
        return self.ready or self.failed is not None or not self._workers

    # What the supervisor asks

    def try_to_start(self) -> None:
        """Fill the place; where that fails, it is not tried again until somebody asks for it."""
        self._keep_filled = False
        self.start()

    def start(self) -> None:
        """Fill the place."""
        self._restart = None
        self._current = self._try_to_spawn()
        if self._current is None:
            self._refill()

    def replace(self) -> Deferred[bool]:
        """Replace the worker: fires when its predecessor has ended, or with False where no successor became ready."""
        if self._stopping or self._replaced is not None:
            return succeed(False)
        self._cancel(self._restart)
        self._successor = self._try_to_spawn()
        if self._successor is None:
            self._refill()
            return succeed(False)
        self._limit = self._clock.callLater(READY_LIMIT_S, self._give_up)
        self._replaced = Deferred()
        return self._replaced

    def stop(self) -> Deferred[None]:
        """End the worker for good; fires when the place is empty."""
        self._stopping = True
        self._cancel(self._restart)
        self._cancel(self._limit)
        for worker in self.workers:
            if not worker.leaving:
                worker.terminate()
                worker.end_within(self._end_limit_s)
        if not self._workers:
            return succeed(None)
        self._emptied = Deferred()
        return self._emptied

    def hurry(self, limit_s: float) -> None:
        """End a drain."""
        for worker in self.workers:
            if worker.leaving:
                worker.hurry()
                worker.end_within(limit_s)

    # What workers tell

    def _became_ready(self, worker: Worker) -> None:
        log.info("worker {number} is ready, process {pid}", number=self.number, pid=worker.pid)
        self.failed = None
        self._keep_filled = True
        if worker is self._successor and not self._stopping:
            self._cancel(self._limit)
            predecessor, self._current, self._successor = self._current, worker, None
            if predecessor is None:
                self._tell_replaced(True)
            else:
                predecessor.retire()
                predecessor.end_within(self._end_limit_s)

    def _has_ended(self, worker: Worker) -> None:
        self._workers.remove(worker)
        if not worker.ready:
            self.failed = worker
        if worker.leaving:
            log.info("worker {number}, process {pid}, has ended: {how}", number=self.number, pid=worker.pid, how=worker.how)
        if worker is self._successor:
            self._cancel(self._limit)
            self._successor = None
            self._tell_death(worker, "")
            self._tell_replaced(False)
            self._refill()
        elif worker is self._current:
            self._current = None
            self._refill(worker)
        else:
            self._tell_replaced(True)
        if not self._workers and self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    # How the place is filled again

    def _refill(self, died: Worker | None = None) -> None:
        """Fill the place soon, unless somebody has it, is about to, or nobody shall."""
        taken = self._current is not None or self._successor is not None
        if self._stopping or taken or not self._keep_filled:
            if died is not None:
                self._tell_death(died, "")
            return
        if died is not None and self._clock.seconds() - died.started_s >= HEALTHY_S:
            self._delay_s = FIRST_DELAY_S
        delay_s, self._delay_s = self._delay_s, min(2 * self._delay_s, LONGEST_DELAY_S)
        if died is not None:
            self._tell_death(died, f"; another one starts in {delay_s:g} s")
        self._restart = self._clock.callLater(delay_s, self.start)

    def _try_to_spawn(self) -> Worker | None:
        try:
            worker = self._spawn(self._became_ready, self._has_ended)
        except OSError as error:
            self.refusal = str(error)
            log.error("worker {number} cannot be started: {reason}", number=self.number, reason=self.refusal)
            return None
        self._workers.append(worker)
        return worker

    def _give_up(self) -> None:
        """The successor takes too long."""
        log.error("worker {number}: its successor is not ready after {limit} s", number=self.number, limit=f"{READY_LIMIT_S:g}")
        if self._successor is not None:
            self._successor.kill()

    def _tell_death(self, worker: Worker, then: str) -> None:
        if not worker.leaving:
            why = f" ({worker.reason})" if worker.reason else ""
            log.error(
                "worker {number}, process {pid}, has died: {how}{why}{then}",
                number=self.number, pid=worker.pid, how=worker.how, why=why, then=then,
            )  # fmt: skip

    def _tell_replaced(self, done: bool) -> None:
        replaced, self._replaced = self._replaced, None
        if replaced is not None:
            replaced.callback(done)

    def _cancel(self, call: DelayedCall | None) -> None:
        if call is not None and call.active():
            call.cancel()
