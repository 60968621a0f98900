"""What charging profiles add up to: the limit that holds, and the composite schedule. Pure. REQUIREMENTS K-5, K-6, K-7.

The limit of a connector is the smaller of the charger's (ChargePointMaxProfile) and the transaction's: its TxProfile where
that says something, else the TxDefaultProfile of the connector, else that of connector 0. Within each, the highest stack level
that says something; where its duration has run out, the next one. Connector 0 has the sum of all connectors, and no more than
the charger's own limit. A TxDefaultProfile holds for transactions that run already (errata 3.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final

from ocppd.central.charging.supply import MOST_PHASES, A, Supply, W, written
from ocppd.central.charging.timeline import Timeline
from ocppd.errors import Conflict
from ocppd.v16.types import (
    ChargingProfile,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    ChargingSchedulePeriod,
)

#: More instants at which something changes take a second to go through, and nobody reads them.
MOST_CHANGES: Final = 5_000
PURPOSE = ChargingProfilePurposeType


@dataclass(frozen=True, slots=True)
class Placed:
    """A profile on a connector; of a TxProfile, the transaction."""

    connector_id: int
    profile: ChargingProfile
    transaction_id: int | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A transaction, or one that is assumed (None), and the second it began in."""

    transaction_id: int | None
    began_s: int


@dataclass(frozen=True, slots=True)
class Said:
    """What one profile says at an instant."""

    timeline: Timeline
    period: ChargingSchedulePeriod

    @property
    def phases(self) -> int:
        """An absent numberPhases means all."""
        return self.period.number_phases if isinstance(self.period.number_phases, int) else MOST_PHASES


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit that holds, None for none at all; and on how many phases."""

    value: Decimal | None
    phases: int = MOST_PHASES


@dataclass(frozen=True, slots=True)
class Period:
    """From so many seconds on that limit holds."""

    start_s: int
    limit: Limit


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite schedule. `kept`: the unit is not the one that was asked for, since nobody knows the voltage."""

    start_s: int
    duration_s: int
    unit: ChargingRateUnitType
    kept: bool
    periods: tuple[Period, ...]
    min_charging_rate: Decimal | None


class _Stack:
    """Profiles of one purpose on one connector: the highest level that says something counts."""

    def __init__(self, profiles: Iterable[ChargingProfile], began_s: int) -> None:
        ordered = sorted(profiles, key=lambda profile: -profile.stack_level)
        self.timelines = tuple(Timeline(profile, began_s) for profile in ordered)

    def at(self, instant_s: int) -> Said | None:
        for timeline in self.timelines:
            period = timeline.at(instant_s)
            if period is not None:
                return Said(timeline, period)
        return None


class _Connector:
    """The stacks of a running transaction, in the order in which they count."""

    def __init__(self, profiles: Sequence[Placed], connector_id: int, running: Running) -> None:
        def stack(purpose: ChargingProfilePurposeType, at: int, transaction_id: int | None) -> _Stack:
            chosen = (
                each.profile
                for each in profiles
                if each.profile.charging_profile_purpose is purpose
                and each.connector_id == at
                and each.transaction_id == transaction_id
            )
            return _Stack(chosen, running.began_s)

        own = () if running.transaction_id is None else (stack(PURPOSE.TX_PROFILE, connector_id, running.transaction_id),)
        defaults = stack(PURPOSE.TX_DEFAULT_PROFILE, connector_id, None), stack(PURPOSE.TX_DEFAULT_PROFILE, 0, None)
        self.stacks = (*own, *defaults)

    def at(self, instant_s: int) -> Said | None:
        return next((said for stack in self.stacks if (said := stack.at(instant_s)) is not None), None)


class Limits:
    """The limits of a connector, or of the charger as a whole (0).

    `running`: by connector, the transactions that count. `supply` is what A and W are converted by.
    """

    def __init__(
        self,
        profiles: Sequence[Placed],
        connector_id: int,
        running: Mapping[int, Running],
        supply: Supply,
        now_s: int,
    ) -> None:
        self._supply = supply
        self._whole = connector_id == 0
        most = (each.profile for each in profiles if each.profile.charging_profile_purpose is PURPOSE.CHARGE_POINT_MAX_PROFILE)
        began_s = running[connector_id].began_s if connector_id in running else now_s
        self._most = _Stack(most, began_s)
        chosen = sorted(running) if self._whole else [connector_id] if connector_id in running else []
        self._connectors = [_Connector(profiles, each, running[each]) for each in chosen]

    @property
    def _timelines(self) -> list[Timeline]:
        stacks = [self._most, *(stack for connector in self._connectors for stack in connector.stacks)]
        return [timeline for stack in stacks for timeline in stack.timelines]

    def unit(self, wanted: ChargingRateUnitType | None) -> tuple[ChargingRateUnitType, bool]:
        """The unit to write in, and whether it had to be another than the wanted one."""
        found = {timeline.unit for timeline in self._timelines}
        if wanted is None:
            return (W if found == {W} else A), False
        if self._supply.voltage_v is None and len(found) == 1 and wanted not in found:
            return found.pop(), True
        return wanted, False

    def at(self, instant_s: int, unit: ChargingRateUnitType) -> Limit:
        """The limit at an instant, exactly. Raises Conflict where A and W meet and nobody knows the voltage."""
        most = self._most.at(instant_s)
        said = [connector.at(instant_s) for connector in self._connectors]
        if self._whole:
            return self._sum(most, said, unit)
        holding = [each for each in (most, *said) if each is not None]
        if not holding:
            return Limit(None)
        phases = min(self._supply.phases, *(each.phases for each in holding))
        return Limit(min(self._converted(each, unit, phases) for each in holding), phases)

    def _sum(self, most: Said | None, said: list[Said | None], unit: ChargingRateUnitType) -> Limit:
        """All connectors together; where one of them has no limit they have none but the charger's."""
        limits = []
        if most is not None:
            limits.append(self._converted(most, unit, min(self._supply.phases, most.phases)))
        parts = [self._converted(each, unit, min(self._supply.phases, each.phases)) for each in said if each is not None]
        if parts and len(parts) == len(said):
            limits.append(sum(parts, Decimal(0)))
        return Limit(min(limits) if limits else None, self._supply.phases)

    def _converted(self, said: Said, unit: ChargingRateUnitType, phases: int) -> Decimal:
        return self._supply.converted(said.period.limit, said.timeline.unit, unit, phases)

    def composite(self, start_s: int, duration_s: int, wanted: ChargingRateUnitType | None) -> Composite:
        """The composite schedule from `start_s` on; equal neighbours are one.

        Raises Conflict as `at` does, and where too much changes.
        """
        unit, kept = self.unit(wanted)
        end_s = start_s + duration_s
        every = (instant for timeline in self._timelines for instant in timeline.changes(start_s, end_s))
        instants = list(islice(every, MOST_CHANGES + 1))
        if len(instants) > MOST_CHANGES:
            raise Conflict(f"the profiles change more than {MOST_CHANGES} times in {duration_s} s; ask for less")
        periods: list[Period] = []
        for instant in sorted({start_s, *instants}):
            limit = _told(self.at(instant, unit))
            if not periods or periods[-1].limit != limit:
                periods.append(Period(instant - start_s, limit))
        return Composite(start_s, duration_s, unit, kept, tuple(periods), self._rate(start_s, unit))

    def _rate(self, start_s: int, unit: ChargingRateUnitType) -> Decimal | None:
        """The least rate at which the car charges well, as the schedule says that holds first (section 7.13)."""
        if self._whole or not self._connectors:
            return None
        said = self._connectors[0].at(start_s)
        rate = None if said is None else said.timeline.profile.charging_schedule.min_charging_rate
        if said is None or not isinstance(rate, Decimal):
            return None
        return written(self._supply.converted(rate, said.timeline.unit, unit, min(self._supply.phases, said.phases)))


def _told(limit: Limit) -> Limit:
    return limit if limit.value is None else Limit(written(limit.value), limit.phases)
