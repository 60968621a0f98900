"""Our composite schedule beside the one that a charger answers, which is the truth. Pure. REQUIREMENTS K-6, 4.3 rows 05, 20."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from ocppd.central.charging.composite import Composite
from ocppd.v16.codec import decode
from ocppd.v16.smart_charging import GetCompositeScheduleConfirmation
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import ChargingRateUnitType, ChargingSchedule, GetCompositeScheduleStatus

#: What rounding makes of a limit is no difference.
TOLERANCE: Final = Decimal("0.1")
#: Nor is what the rounding of instants to seconds makes of a change.
TOLERANCE_S: Final = 2
#: More are not told.
MOST_DIFFERENCES: Final = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A charger's composite schedule; `start_s` is None where it did not say, or not readably, from when on."""

    accepted: bool
    start_s: int | None = None
    schedule: ChargingSchedule | None = None

    @property
    def unit(self) -> ChargingRateUnitType | None:
        """The unit that it is in."""
        return None if self.schedule is None else self.schedule.charging_rate_unit


@dataclass(frozen=True, slots=True)
class Difference:
    """From `start_s` until `end_s`, seconds after the start, the limits are not the same; None is no limit."""

    start_s: int
    end_s: int
    ours: Decimal | None
    theirs: Decimal | None


def read_answer(frame: str) -> Answer:
    """What a charger has answered to GetCompositeSchedule, from its CALLRESULT, read kindly.

    Raises Violation or msgspec.DecodeError for what cannot be read.
    """
    payload = msgspec.json.decode(frame, type=tuple[int, str, msgspec.Raw])[2]
    confirmation, _ = decode(GetCompositeScheduleConfirmation, bytes(payload), strict=False)
    if confirmation.status is not GetCompositeScheduleStatus.ACCEPTED:
        return Answer(accepted=False)
    schedule = confirmation.charging_schedule
    if not isinstance(schedule, ChargingSchedule):
        return Answer(accepted=True)
    # What the schedule itself says of its start gives way (errata 3.57).
    told = confirmation.schedule_start
    if not isinstance(told, str):
        told = schedule.start_schedule
    return Answer(accepted=True, start_s=_second(told), schedule=schedule)


def _second(text: object) -> int | None:
    try:
        return parse_timestamp(text) // 1000 if isinstance(text, str) else None
    except ValueError:
        return None


def differences(ours: Composite, theirs: ChargingSchedule) -> list[Difference]:
    """Where the two say another limit, both counted from the same start. Neighbours with the same two limits are one."""
    own = [(period.start_s, period.limit.value) for period in ours.periods]
    other = sorted((period.start_period, period.limit) for period in theirs.charging_schedule_period)
    end_s = ours.duration_s
    if isinstance(theirs.duration, int):
        end_s = min(end_s, theirs.duration)
    marks = sorted({mark for mark, _ in (*own, *other) if 0 < mark < end_s} | {0, max(0, end_s)})
    found: list[Difference] = []
    for begin, end in pairwise(marks):
        one, two = _at(own, begin), _at(other, begin)
        if _is_same(one, two):
            continue
        last = found[-1] if found else None
        if last is not None and (last.end_s, last.ours, last.theirs) == (begin, one, two):
            found[-1] = Difference(last.start_s, end, one, two)
        else:
            found.append(Difference(begin, end, one, two))
    return [each for each in found if each.end_s - each.start_s > TOLERANCE_S][:MOST_DIFFERENCES]


def _at(periods: Sequence[tuple[int, Decimal | None]], instant: int) -> Decimal | None:
    held = [limit for start, limit in periods if start <= instant]
    return held[-1] if held else None


def _is_same(ours: Decimal | None, theirs: Decimal | None) -> bool:
    """Where we know of no limit, whatever the charger can do is right."""
    if ours is None:
        return True
    return theirs is not None and abs(ours - theirs) <= TOLERANCE
