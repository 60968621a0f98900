"""Who waits for the end of a call of ours. Knows neither storage nor other nodes."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred, TimeoutError, succeed

from ocppd.central.calls import Ended
from ocppd.clock import Clock


class Waiters:
    """Deferreds by message id. Cancelling one stops the waiting, not the call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, list[Deferred[Ended]]] = {}
        #: Calls whose end may be told before anybody can wait for it, with that end.
        self._expected: dict[str, Ended | None] = {}

    def expect(self, message_id: str) -> None:
        """Somebody will ask for the end of this call; it may come before."""
        self._expected[message_id] = None

    def asked(self, message_id: str) -> None:
        """Whoever `expect` was said for is being told of the call, and waits by the end of this reactor turn or not at all."""
        self._clock.callLater(0, self._expected.pop, message_id, None)

    def wait(self, message_id: str) -> Deferred[Ended]:
        """Fires when the call has ended."""
        ended = self._expected.get(message_id)
        if ended is not None:
            return succeed(ended)
        waiting: Deferred[Ended] = Deferred(lambda cancelled: self._stop_waiting(message_id, cancelled))
        self._waiting.setdefault(message_id, []).append(waiting)
        return waiting

    def concerns(self, message_id: str) -> bool:
        """Whether somebody waits for this call, or will."""
        return message_id in self._waiting or message_id in self._expected

    def ids(self) -> Iterable[str]:
        """The calls that are waited for."""
        return {*self._waiting, *self._expected}

    def tell(self, message_id: str, ended: Ended) -> None:
        """The call has ended."""
        if message_id in self._expected:
            self._expected[message_id] = ended
        for waiting in self._waiting.pop(message_id, []):
            waiting.callback(ended)

    def stop(self) -> None:
        """The daemon stops: who still waits is told so by a TimeoutError, and sees the call as it is."""
        waiting, self._waiting = self._waiting, {}
        for each in [each for some in waiting.values() for each in some]:
            each.errback(TimeoutError(0, "the daemon stops"))

    def _stop_waiting(self, message_id: str, cancelled: Deferred[Ended]) -> None:
        waiting = self._waiting.get(message_id, [])
        if cancelled in waiting:
            waiting.remove(cancelled)
        if not waiting:
            self._waiting.pop(message_id, None)
