"""What the simulator wants of a reactor's clock, in words that type checkers understand. Twisted's IReactorTime fits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that will be made later (IDelayedCall)."""

    def active(self) -> bool:
        """Whether it will still be made."""

    def cancel(self) -> None:
        """Do not make it."""


class Clock(Protocol):
    """Steady seconds and calls at a later time (IReactorTime)."""

    def seconds(self) -> float:
        """The time now; on the real reactor the seconds since the epoch."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> Timer:
        """Call it after `delay` seconds."""
