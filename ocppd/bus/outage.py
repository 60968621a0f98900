"""Tells the log of each outage once, with its reason, and of its end. Knows no Redis but by name."""

from __future__ import annotations

from twisted.logger import Logger

from ocppd.clock import Clock
from ocppd.errors import BusUnavailable

log = Logger()


def unavailable(reason: str) -> BusUnavailable:
    """What calls to the bus fail with."""
    return BusUnavailable(f"Redis cannot be used: {reason}")


class Outage:
    """Begins as one: the server has not been reached yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = clock.seconds()
        self._told = False
        #: Why Redis cannot be used, or could not the last time.
        self.reason = "it has not been reached yet"

    def goes_on(self, where: str, reason: str) -> None:
        """An attempt has failed, or a session is over."""
        self.reason = reason
        if self._since is None:
            self._since, self._told = self._clock.seconds(), False
        if not self._told:
            self._told = True
            log.warn(
                "Redis at {where} cannot be used: {reason}; chargers are served, calls to those of other nodes may have to wait",
                where=where, reason=reason,
            )  # fmt: skip

    def is_over(self, where: str) -> None:
        """Redis can be used."""
        since, self._since = self._since, None
        if not self._told:
            log.info("Redis at {where} connects this node to others", where=where)
        elif since is not None:
            log.info("Redis at {where} is back after {duration_s:.1f} s", where=where, duration_s=self._clock.seconds() - since)
