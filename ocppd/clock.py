"""Time as it is handed around (decision 8 of docs/architecture.md): what Twisted's reactors and `task.Clock` have.

Twisted's timers go by the clock of the machine: one that is set back by an hour holds them up for an hour. So the daemon's
reactor is given a clock that nobody sets, and what is an instant for somebody else is asked for by `now_ms`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time
from typing import Any, Protocol


class DelayedCall(Protocol):
    """A call that is scheduled."""

    def active(self) -> bool:
        """Whether it will still run."""

    def cancel(self) -> None:
        """Take it back; it must not have run."""


class Clock(Protocol):
    """The part of IReactorTime that ocppd uses."""

    def seconds(self) -> float:
        """Seconds that pass evenly, for durations; since when is not said."""

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> DelayedCall:
        """Call `callable` in `delay` seconds."""


def make_steady(reactor: Any) -> None:
    """Have the timers of a reactor of Twisted's, and its `seconds`, go on where the clock of the machine is set."""
    if reactor.seconds is time:
        reactor.seconds, reactor.wall = monotonic, time


def wall_of(clock: Clock) -> Callable[[], float]:
    """What gives `now_s` by this clock, for whoever asks often."""
    wall: Callable[[], float] = getattr(clock, "wall", clock.seconds)
    return wall


def now_s(clock: Clock) -> float:
    """Seconds since 1970-01-01T00:00:00Z, by the clock of the machine."""
    return wall_of(clock)()


def now_ms(clock: Clock) -> int:
    """The same in milliseconds."""
    return int(now_s(clock) * 1000)


def steady_ms(clock: Clock) -> int:
    """`seconds` in milliseconds."""
    return int(clock.seconds() * 1000)


def instant_ms(clock: Clock, was_ms: int) -> int:
    """When `steady_ms` was that, as `now_ms` has it now."""
    return now_ms(clock) - steady_ms(clock) + was_ms
