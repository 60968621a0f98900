"""Time as it is handed around (decision 8 of docs/architecture.md): what Twisted's reactors and `task.Clock` have."""

from __future__ import annotations

from collections.abc import Callable
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
        """Seconds since 1970-01-01T00:00:00Z."""

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> DelayedCall:
        """Call `callable` in `delay` seconds."""


def now_ms(clock: Clock) -> int:
    """Milliseconds since 1970-01-01T00:00:00Z."""
    return int(clock.seconds() * 1000)
