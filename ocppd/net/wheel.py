"""One timer for many who wait: each is told when the second has come that it waits for. Knows nobody in it."""

from __future__ import annotations

from math import ceil
from typing import Final, Protocol

from twisted.logger import Logger

from ocppd.clock import Clock, DelayedCall

log = Logger()

#: Who waits for a second that has just begun is not told a second later.
EARLY_S: Final = 0.05


class Member(Protocol):
    """One that waits; once at a time."""

    def due(self) -> None:
        """Its second has come, and it is in the wheel no longer."""


#: Those who wait for the same second.
Bucket = set[Member]


class Wheel:
    """Tells its members up to a second late, in place of a timer for each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[int, Bucket] = {}
        self._waiting = 0
        self._timer: DelayedCall | None = None
        #: The second that the timer is set for.
        self._set_for = 0
        self._turning = False

    def __len__(self) -> int:
        return self._waiting

    def put(self, member: Member, seconds: float) -> Bucket:
        """Tell `member` in so many seconds; gives what `take` is to be given."""
        second = ceil(self._clock.seconds() + seconds - EARLY_S)
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = set()
            if not self._turning and (self._timer is None or second < self._set_for):
                self._set(second)
        bucket.add(member)
        self._waiting += 1
        return bucket

    def take(self, member: Member, bucket: Bucket) -> None:
        """`member` does not wait any more."""
        if member in bucket:
            bucket.remove(member)
            self._waiting -= 1
            if not self._waiting:
                self._buckets.clear()
                self._stop()

    def _set(self, second: int) -> None:
        self._stop()
        self._set_for = second
        self._timer = self._clock.callLater(max(0.0, second - self._clock.seconds()), self._turn)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._timer = None
        self._turning = True
        now = self._clock.seconds()
        for second in sorted(second for second in self._buckets if second <= now):
            bucket = self._buckets.pop(second, ())
            while bucket:  # who is told may take others out of it
                member = bucket.pop()
                self._waiting -= 1
                try:
                    member.due()
                except Exception:  # the boundary: the others are told all the same
                    log.failure("one of those who wait could not be told")
        self._turning = False
        if self._buckets:
            self._set(min(self._buckets))
