"""What is told of a time in which the database does not do its work: its begin and its end, and nothing in between."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from twisted.logger import Logger


class Outage:
    """An outage that may begin and end. `what` is the work that is not done. Used on one thread."""

    _log = Logger()

    def __init__(self, what: str, clock: Callable[[], float] = monotonic) -> None:
        self._what = what
        self._clock = clock
        self._since_s: float | None = None

    def begin(self, reason: str) -> None:
        """Tell of it once, however often it is found out."""
        if self._since_s is None:
            self._since_s = self._clock()
            self._log.error("the database refuses to {what}: {reason}", what=self._what, reason=reason)

    def end(self) -> None:
        """Tell that it is over, if there was any."""
        if self._since_s is not None:
            duration_s, self._since_s = self._clock() - self._since_s, None
            self._log.info("the database is back to {what} after {duration} s", what=self._what, duration=f"{duration_s:.1f}")
