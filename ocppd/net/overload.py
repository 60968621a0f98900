"""Chargers are not read from while the records cannot keep up. Knows no WebSocket and no records.

While it is crowded, each charger that sends something is read no further for some seconds: what it sends next waits in the
network. It is then read once more, since its pongs and its answers to our calls come the same way, and a charger that is
never read would be taken for dead. So a charger adds at most what one read brings in that time, whatever it sends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.logger import Logger

from ocppd.clock import Clock, DelayedCall
from ocppd.net.backpressure import Backpressure

log = Logger()

#: How long a charger is read no further: well below the time that a pong may take.
HELD_S: Final = 4.0
#: Chargers that are read again at once, and the pause before the next ones: 20,000 in a second.
AT_ONCE: Final = 200
PAUSE_S: Final = 0.01
#: The log tells of it so often at most.
NEWS_S: Final = 60.0


class Overload:
    """Holds back chargers while `crowded`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.crowded = False
        #: Those that are held, and until when; the first ones first.
        self._held: dict[Backpressure, float] = {}
        self._timer: DelayedCall | None = None
        self._told_s = float("-inf")

    def changed(self, crowded: bool) -> None:
        """The records cannot keep up, or can again."""
        self.crowded = crowded
        if crowded and self._clock.seconds() - self._told_s >= NEWS_S:
            self._told_s = self._clock.seconds()
            log.warn("the records cannot keep up: chargers are read more slowly")
        if not crowded and self._held:
            self._wait(0.0)

    def hold(self, chargers: Iterable[Backpressure | None]) -> None:
        """Read these no further, until it is told that there is room: the daemon ends."""
        self.crowded = True
        for charger in chargers:
            self.read(charger)

    def read(self, charger: Backpressure | None) -> None:
        """Something of this charger was read."""
        if self.crowded and charger is not None and charger not in self._held:
            charger.hold()
            self._held[charger] = self._clock.seconds() + HELD_S
            if self._timer is None:
                self._wait(HELD_S)

    def gone(self, charger: Backpressure | None) -> None:
        """Its connection is over."""
        if charger is not None and self._held.pop(charger, None) is not None and not self._held and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._let_go)

    def _let_go(self) -> None:
        """Read again from those whose time is over, or from all where there is room; some at a time."""
        self._timer = None
        now_s = self._clock.seconds()
        for charger, until_s in list(self._held.items())[:AT_ONCE]:
            if self.crowded and until_s > now_s:
                self._wait(until_s - now_s)
                return
            del self._held[charger]
            charger.release()
        if self._held:
            self._wait(PAUSE_S)
