"""Long work on the reactor, in pieces: others have their turn between them."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.task import deferLater

from ocppd.clock import Clock

#: Some 5 ms of work: a sample is read, made into a row and written in 15 µs.
AT_ONCE: Final = 300


class Turns:
    """Counts what one request has done since it last let others work."""

    def __init__(self, clock: Clock) -> None:
        #: Twisted's helpers want all of IReactorTime, and need the part that is there.
        self._clock: Any = clock
        self._done = 0

    async def did(self, count: int) -> bool:
        """So many samples were worked at; gives the reactor a turn where that is enough for now, and whether it did."""
        self._done += count
        if self._done < AT_ONCE:
            return False
        self._done = 0
        await deferLater(self._clock, 0, lambda: None)
        return True
