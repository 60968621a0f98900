"""What a charger can take of charging profiles, by its configuration keys, and what of a profile that refuses. Pure.

REQUIREMENTS K-3, K-4, 4.3 row 30. What is not known of a charger refuses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred, succeed

from ocppd.errors import ErrorCode, Violation
from ocppd.v16.types import ChargingProfile, ChargingRateUnitType

#: What the values of ChargingScheduleAllowedChargingRateUnit mean: those of errata 3.88, and those that chargers write.
UNITS: Final[Mapping[str, ChargingRateUnitType]] = {
    "current": ChargingRateUnitType.A,
    "power": ChargingRateUnitType.W,
    "a": ChargingRateUnitType.A,
    "w": ChargingRateUnitType.W,
}
#: The keys that this module understands.
KEYS: Final = (
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleMaxPeriods",
    "ChargingScheduleAllowedChargingRateUnit",
    "MaxChargingProfilesInstalled",
)
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ChargerLimits:
    """What a charger says that it can take; None where it is not known."""

    max_stack_level: int | None = None
    max_periods: int | None = None
    units: frozenset[ChargingRateUnitType] | None = None
    max_installed: int | None = None


UNKNOWN: Final = ChargerLimits()
#: Gives the limits of a charger by its name. May fail with StorageUnavailable.
LimitsOf = Callable[[str], Deferred[ChargerLimits]]


def unknown_limits(_: str) -> Deferred[ChargerLimits]:
    """Nothing is known of any charger."""
    return succeed(UNKNOWN)


def limits_of(keys: Mapping[str, str]) -> ChargerLimits:
    """What the values of a charger's configuration keys say. Keys compare without case; what makes no sense says nothing."""
    lowered = {name.lower(): value for name, value in keys.items()}
    level, periods, units, installed = (lowered.get(name.lower(), "") for name in KEYS)
    return ChargerLimits(_number(level), _positive(periods), _units(units), _positive(installed))


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text.strip()) else None


def _positive(text: str) -> int | None:
    """0 periods or profiles would be no smart charging at all: a key that nobody has set."""
    return _number(text) or None


def _units(text: str) -> frozenset[ChargingRateUnitType] | None:
    """A list with commas, whatever the case and the blanks."""
    found = frozenset(UNITS[word] for word in re.split(r"[,;\s]+", text.lower()) if word in UNITS)
    return found or None


def beyond(profile: ChargingProfile, limits: ChargerLimits, pointer: str) -> Iterator[Violation]:
    """What of a profile, which stands at `pointer`, the charger cannot take."""
    schedule = profile.charging_schedule
    if limits.max_stack_level is not None and profile.stack_level > limits.max_stack_level:
        yield _beyond(f"{pointer}/stackLevel", f"ChargeProfileMaxStackLevel of the charger is {limits.max_stack_level}")
    if limits.units is not None and schedule.charging_rate_unit not in limits.units:
        allowed = ", ".join(sorted(limits.units))
        yield _beyond(f"{pointer}/chargingSchedule/chargingRateUnit", f"the charger takes schedules in {allowed}")
    if limits.max_periods is not None and len(schedule.charging_schedule_period) > limits.max_periods:
        yield _beyond(
            f"{pointer}/chargingSchedule/chargingSchedulePeriod",
            f"ChargingScheduleMaxPeriods of the charger is {limits.max_periods}",
        )


def _beyond(pointer: str, reason: str) -> Violation:
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)
