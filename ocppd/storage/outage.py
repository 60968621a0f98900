"""What is told of a time in which the database does not do its work: its begin and its end, and nothing in between."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from twisted.logger import Logger

#: Work is done again where none was refused for so long: on a full disk what changes little gets through now and then.
STEADY_S: Final = 5.0


class Outage:
    """An outage that may begin and end. `what` is the work that is not done. Used on one thread."""

    _log = Logger()

    def __init__(self, what: str, clock: Callable[[], float] = monotonic) -> None:
        self._what = what
        self._clock = clock
        self._since_s: float | None = None
        #: When work was done for the first time after the last that was refused.
        self._done_s: float | None = None

    def begin(self, reason: str) -> None:
        """Tell of it once, however often it is found out."""
        self._done_s = None
        if self._since_s is None:
            self._since_s = self._clock()
            self._log.error("the database refuses to {what}: {reason}", what=self._what, reason=reason)

    def done(self) -> None:
        """Some work was done: tell that it is over, if there was any, once that has gone on for STEADY_S."""
        if self._since_s is not None:
            if self._done_s is None:
                self._done_s = self._clock()
            if self._clock() - self._done_s >= STEADY_S:
                self.end()

    def end(self) -> None:
        """Tell that it is over, if there was any."""
        if self._since_s is not None:
            ended_s = self._clock() if self._done_s is None else self._done_s
            duration_s, self._since_s = ended_s - self._since_s, None
            self._log.info("the database is back to {what} after {duration} s", what=self._what, duration=f"{duration_s:.1f}")
