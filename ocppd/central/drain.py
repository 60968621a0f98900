"""Connections closed one after another, spread evenly over some seconds, so that chargers do not all come back at once.

Those with nothing under way go first. A connection that begins while this goes on is left to the one who asked for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.python.failure import Failure

from ocppd.central.chargers import Chargers
from ocppd.central.connection import Connection
from ocppd.clock import Clock, DelayedCall
from ocppd.errors import StorageUnavailable

#: Many connections are closed some at a time, not more often than so.
LEAST_PAUSE_S: Final = 0.05
#: Answers that are waited for before a charger is closed, one behind the other: as many as may wait. And how long.
ROUNDS: Final = 100
ANSWER_GRACE_S: Final = 2.0
#: How long chargers get to confirm the close when the daemon stops.
CLOSE_GRACE_S: Final = 5.0


def answered(chargers: Chargers, recorded: Callable[[], Deferred[None]], reactor: Any) -> Deferred[object]:
    """Fires when what chargers have sent is on record and answered, or the grace is over; users' handlers are not waited for.

    `recorded` fires when all that is being recorded is.
    """

    async def settled() -> None:
        for _ in range(ROUNDS):
            if not chargers.answering():
                return
            await recorded()

    waiting = Deferred.fromCoroutine(settled()).addTimeout(ANSWER_GRACE_S, reactor)
    return waiting.addErrback(lambda failure: failure.trap(TimeoutError, StorageUnavailable))


def close_all(chargers: Chargers, reactor: Any, code: int, reason: str) -> Deferred[Iterator[Connection]]:
    """Close the connections that are left; fires with those that were not confirmed within the grace, mostly none."""
    for connection in chargers.connections():
        connection.link.close(code, reason)

    def over(result: Failure | None) -> Iterator[Connection]:
        if result is not None:
            result.trap(TimeoutError)
        return chargers.connections()

    return chargers.emptied().addTimeout(CLOSE_GRACE_S, reactor).addBoth(over)


class Drain:
    """Closes the connections that there are with `code`, over `over_s` seconds. For one use."""

    def __init__(self, chargers: Chargers, clock: Clock, over_s: float, code: int, reason: str) -> None:
        self._clock = clock
        self._deadline_s = clock.seconds() + over_s
        self._farewell = code, reason
        self._waiting = deque(chargers.connections())
        #: Those that something is under way on, for the end.
        self._busy: deque[Connection] = deque()
        self._next: DelayedCall | None = None
        self._done: Deferred[None] = Deferred()

    def run(self) -> Deferred[None]:
        """Begin; fires when the last one has been told, which is before the time is over."""
        done = self._done
        self._step()
        return done

    def hurry(self) -> None:
        """Close all that are left now."""
        if self._next is not None:
            self._next.cancel()
            self._deadline_s = self._clock.seconds()
            self._step()

    def _step(self) -> None:
        """Close what is due now, and come again when the next one is."""
        self._next = None
        left, left_s = len(self._waiting) + len(self._busy), self._deadline_s - self._clock.seconds()
        due = max(1, round(left * LEAST_PAUSE_S / left_s)) if left_s > LEAST_PAUSE_S else left
        closed = sum(self._close_one() for _ in range(min(due, left)))
        remaining = len(self._waiting) + len(self._busy)
        if remaining:
            self._next = self._clock.callLater(left_s * closed / (closed + remaining), self._step)
        else:
            self._done.callback(None)

    def _close_one(self) -> bool:
        """Close the first one that can be closed; False where none is left."""
        for queue, patient in ((self._waiting, True), (self._busy, False)):
            while queue:
                connection = queue.popleft()
                if not connection.link.open:
                    continue
                if patient and connection.busy:
                    self._busy.append(connection)
                    continue
                connection.link.close(*self._farewell)
                return True
        return False
