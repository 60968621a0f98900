"""How a bus tells its node: in order, on a turn of the reactor of its own where it matters, with what is raised logged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from ocppd.clock import Clock, DelayedCall

log = Logger()


class Delivery:
    """Calls for one listener. None of them is made from inside a call of the listener to the bus, which could be half way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._turn: DelayedCall | None = None
        self._stopped = False

    def later(self, function: Callable[..., object], *arguments: Any) -> None:
        """Make this call on the next turn of the reactor, after those that wait already."""
        if self._stopped:
            return
        self._waiting.append((function, arguments))
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._deliver)

    def now(self, function: Callable[..., object], *arguments: Any) -> None:
        """Make this call; what it raises is logged."""
        if self._stopped:
            return
        try:
            function(*arguments)
        except Exception:
            log.failure("a message of the bus was not handled")

    def stop(self) -> None:
        """Make no more calls, those that wait included."""
        self._stopped = True
        self._waiting.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _deliver(self) -> None:
        self._turn = None
        # What is added while these are made has its own turn.
        for _ in range(len(self._waiting)):
            if self._waiting:  # a stop takes the rest away
                function, arguments = self._waiting.popleft()
                self.now(function, *arguments)
