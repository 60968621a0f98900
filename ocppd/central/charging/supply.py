"""From A to W and back: only where the voltage is known, which 1.6 does not tell. Pure. REQUIREMENTS K-3, errata 3.34.

A limit in A is per phase, one in W is the sum of all phases. An absent numberPhases means three (section 7.14), of which a
charger uses as many as it is connected to.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from ocppd.errors import Conflict
from ocppd.v16.types import ChargingRateUnitType

A, W = ChargingRateUnitType.A, ChargingRateUnitType.W
MOST_PHASES: Final = 3
_TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Supply:
    """What a charger is connected to: V between a phase and neutral, None where nobody has said; and how many phases."""

    voltage_v: Decimal | None = None
    phases: int = MOST_PHASES

    def converted(self, limit: Decimal, unit: ChargingRateUnitType, into: ChargingRateUnitType, phases: int) -> Decimal:
        """A limit in another unit, exactly. Raises Conflict where the voltage is not known."""
        if unit is into:
            return limit
        if self.voltage_v is None:
            raise Conflict(
                "profiles in A and in W can be compared only where the voltage is known: give it as `voltage`, or as"
                " SupplyVoltage of the charger in configs.json"
            )
        watts_per_ampere = self.voltage_v * phases
        return limit * watts_per_ampere if into is W else limit / watts_per_ampere


def written(limit: Decimal) -> Decimal:
    """A limit as it is told: with one digit, and never more than it is (G-7)."""
    return limit.quantize(_TENTH, ROUND_FLOOR) if limit != limit.quantize(_TENTH) else limit
