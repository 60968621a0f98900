"""What charging profiles add up to: the limit at an instant, and the composite schedule. OCPP 1.6 sections 3.13 and 5.7.

Pure: instants are milliseconds since the epoch, limits are W as the sum of all phases until they are written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from msgspec import UNSET

from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import (
    ChargingProfile,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    ChargingSchedule,
    ChargingSchedulePeriod,
    RecurrencyKindType,
)

VOLTAGE_V = Decimal(230)
#: Section 7.14: what an absent numberPhases means.
DEFAULT_PHASES = 3
_DAY_MS = 86_400_000
_PERIOD_MS = {RecurrencyKindType.DAILY: _DAY_MS, RecurrencyKindType.WEEKLY: 7 * _DAY_MS}
_ONE_DIGIT = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Installed:
    """A profile in force on a connector. `started_ms`: what a Relative schedule counts from, None before a transaction."""

    connector_id: int
    profile: ChargingProfile
    started_ms: int | None = None


def watts(limit: Decimal, phases: int, unit: ChargingRateUnitType) -> Decimal:
    """A limit in W over all phases; A counts per phase (REQUIREMENTS K-3)."""
    return limit if unit is ChargingRateUnitType.W else limit * VOLTAGE_V * phases


def in_unit(limit_w: Decimal, unit: ChargingRateUnitType) -> Decimal:
    """W as a limit with one digit in `unit`, for three phases."""
    value = limit_w if unit is ChargingRateUnitType.W else limit_w / (VOLTAGE_V * DEFAULT_PHASES)
    return value.quantize(_ONE_DIGIT, ROUND_HALF_UP)


def _instant(text: str | object) -> int | None:
    return parse_timestamp(text) if isinstance(text, str) else None


class _Runs:
    """One profile on the line of time: where its schedule begins, again and again where it recurs."""

    def __init__(self, installed: Installed, now_ms: int) -> None:
        profile = installed.profile
        self.schedule = profile.charging_schedule
        self.valid_from = _instant(profile.valid_from)
        self.valid_to = _instant(profile.valid_to)
        self.relative = profile.charging_profile_kind is ChargingProfileKindType.RELATIVE
        start = _instant(self.schedule.start_schedule)
        began = installed.started_ms if installed.started_ms is not None else now_ms
        self.start_ms = began if self.relative or start is None else start
        kind = profile.recurrency_kind
        self.every_ms = _PERIOD_MS[kind] if kind is not UNSET else None

    def begin_ms(self, at_ms: int) -> int:
        """The start of the run that `at_ms` lies in; later than `at_ms` where there was none yet."""
        if self.every_ms is None:
            return self.start_ms
        return at_ms - (at_ms - self.start_ms) % self.every_ms

    def limit_w(self, at_ms: int) -> Decimal | None:
        """The limit at an instant, None where the profile says nothing then (REQUIREMENTS K-5, K-6)."""
        if (self.valid_from is not None and at_ms < self.valid_from) or (self.valid_to is not None and at_ms >= self.valid_to):
            return None
        elapsed_ms = at_ms - self.begin_ms(at_ms)
        duration = self.schedule.duration
        if elapsed_ms < 0 or (duration is not UNSET and elapsed_ms >= duration * 1000):
            return None
        current = None
        for period in self.schedule.charging_schedule_period:
            if period.start_period * 1000 <= elapsed_ms:
                current = period
        if current is None:
            return None
        phases = DEFAULT_PHASES if current.number_phases is UNSET else current.number_phases
        return watts(current.limit, phases, self.schedule.charging_rate_unit)

    def changes(self, from_ms: int, to_ms: int) -> Iterator[int]:
        """The instants at which it may say something else."""
        yield from (instant for instant in (self.valid_from, self.valid_to) if instant is not None)
        begin_ms = self.begin_ms(from_ms)
        while begin_ms < to_ms:
            yield from (begin_ms + period.start_period * 1000 for period in self.schedule.charging_schedule_period)
            if self.schedule.duration is not UNSET:
                yield begin_ms + self.schedule.duration * 1000
            if self.every_ms is None:
                return
            begin_ms += self.every_ms


class Limits:
    """All profiles that concern one connector, ordered so that the first that says something wins."""

    def __init__(self, profiles: Iterable[Installed], connector_id: int, *, charging: bool, most_w: Decimal, now_ms: int) -> None:
        ordered = sorted(profiles, key=lambda each: (each.connector_id == 0, -each.profile.stack_level))
        self._most_w = most_w
        purposes = ChargingProfilePurposeType

        def runs(purpose: ChargingProfilePurposeType) -> list[_Runs]:
            chosen = [each for each in ordered if each.profile.charging_profile_purpose is purpose]
            return [_Runs(each, now_ms) for each in chosen if each.connector_id in (0, connector_id)]

        self._max = runs(purposes.CHARGE_POINT_MAX_PROFILE)
        own = (purposes.TX_PROFILE, purposes.TX_DEFAULT_PROFILE) if connector_id and charging else ()
        self._own = [runs(purpose) for purpose in own]

    def at(self, at_ms: int) -> Decimal:
        """The limit in W at an instant: the smaller of the charger's and the transaction's (section 3.13.4)."""
        limits = [self._most_w, _first(self._max, at_ms)]
        for purpose in self._own:
            limit = _first(purpose, at_ms)
            if limit is not None:
                limits.append(limit)
                break
        return min(limit for limit in limits if limit is not None)

    def periods(self, from_ms: int, to_ms: int) -> list[tuple[int, Decimal]]:
        """From which instant on which limit holds, beginning with `from_ms`; equal neighbours are one."""
        runs = [*self._max, *(run for purpose in self._own for run in purpose)]
        instants = {from_ms} | {at for run in runs for at in run.changes(from_ms, to_ms) if from_ms < at < to_ms}
        found: list[tuple[int, Decimal]] = []
        for at_ms in sorted(instants):
            limit = self.at(at_ms)
            if not found or found[-1][1] != limit:
                found.append((at_ms, limit))
        return found


def _first(runs: list[_Runs], at_ms: int) -> Decimal | None:
    return next((limit for limit in (run.limit_w(at_ms) for run in runs) if limit is not None), None)


def composite(limits: Limits, now_ms: int, duration_s: int, unit: ChargingRateUnitType) -> ChargingSchedule:
    """The composite schedule from `now_ms` on; its periods count from there (errata 3.57)."""
    periods = limits.periods(now_ms, now_ms + max(1, duration_s) * 1000)
    return ChargingSchedule(
        charging_rate_unit=unit,
        duration=duration_s,
        charging_schedule_period=tuple(
            ChargingSchedulePeriod(start_period=(at_ms - now_ms) // 1000, limit=in_unit(limit, unit)) for at_ms, limit in periods
        ),
    )
