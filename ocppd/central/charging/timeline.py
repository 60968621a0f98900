"""One charging profile on the line of time. Pure. REQUIREMENTS K-5, K-6; OCPP 1.6 sections 3.13, 7.8, 7.13.

Instants are whole seconds since the epoch: what is sent to chargers has no finer ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from ocppd.v16.profile_rules import RECURRENCE_S
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import ChargingProfile, ChargingProfileKindType, ChargingSchedulePeriod


class Timeline:
    """What a profile says at each instant.

    `began_s`: what a schedule without a start counts from, the start of its transaction.
    """

    def __init__(self, profile: ChargingProfile, began_s: int) -> None:
        schedule = profile.charging_schedule
        self.profile = profile
        self.unit = schedule.charging_rate_unit
        self._from = _second(profile.valid_from)
        self._to = _second(profile.valid_to)
        start = _second(schedule.start_schedule)
        relative = profile.charging_profile_kind is ChargingProfileKindType.RELATIVE
        self._start = began_s if relative or start is None else start
        recurring = profile.charging_profile_kind is ChargingProfileKindType.RECURRING
        self._every = RECURRENCE_S.get(str(profile.recurrency_kind)) if recurring else None
        self._periods = schedule.charging_schedule_period
        self._starts = [period.start_period for period in self._periods]
        self._duration = schedule.duration if isinstance(schedule.duration, int) else None

    def at(self, instant_s: int) -> ChargingSchedulePeriod | None:
        """The period that holds then; None where the profile is not valid, has not begun, or its duration has run out."""
        if (self._from is not None and instant_s < self._from) or (self._to is not None and instant_s >= self._to):
            return None
        elapsed = instant_s - self._start
        if elapsed < 0:
            return None
        if self._every is not None:
            elapsed %= self._every
        if self._duration is not None and elapsed >= self._duration:
            return None
        index = bisect_right(self._starts, elapsed) - 1
        return self._periods[index] if index >= 0 else None

    def changes(self, from_s: int, to_s: int) -> Iterator[int]:
        """The instants strictly within a span at which it may begin to say something else; perhaps others."""
        yield from (instant for instant in (self._from, self._to) if instant is not None and from_s < instant < to_s)
        begin = self._start
        if self._every is not None:
            begin += max(0, (from_s - begin) // self._every) * self._every
        marks = [*self._starts, *([] if self._duration is None else [self._duration])]
        while begin < to_s:
            yield from (begin + mark for mark in marks if from_s < begin + mark < to_s)
            if self._every is None:
                return
            begin += self._every


def _second(text: object) -> int | None:
    return parse_timestamp(text) // 1000 if isinstance(text, str) else None
