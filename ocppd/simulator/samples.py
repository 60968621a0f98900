"""What a meter shows, and the samples made of it. OCPP 1.6 sections 3.16, 7.31 to 7.35, 7.43. Knows no transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from ocppd.clock import Clock
from ocppd.v16.types import Location, Measurand, MeterValue, Phase, ReadingContext, SampledValue, UnitOfMeasure

VOLTAGE_V = 230.0
PHASES = 3
FREQUENCY_HZ = 50.0
#: A car of this size, a fifth full when it comes: what SoC counts from.
BATTERY_WH = 60_000.0
FIRST_STATE_OF_CHARGE = 20.0
BODY_TEMPERATURE = 31.0


class Meter:
    """An energy register that grows with power and time. Wh, W, and seconds of the clock it is given."""

    def __init__(self, clock: Clock, register_wh: float = 0.0) -> None:
        self._clock = clock
        self._register_wh = register_wh
        self._since = clock.seconds()
        self._power_w = 0.0

    @property
    def power_w(self) -> float:
        """The power that flows now."""
        return self._power_w

    @power_w.setter
    def power_w(self, value: float) -> None:
        self._register_wh = self._exact_wh()
        self._since = self._clock.seconds()
        self._power_w = value

    @property
    def energy_wh(self) -> int:
        """The register, whole Wh."""
        return int(self._exact_wh())

    def _exact_wh(self) -> float:
        return self._register_wh + self._power_w * (self._clock.seconds() - self._since) / 3600.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What is measured at one moment. `delivered_wh` since the transaction began, `offered_w` the limit in force."""

    energy_wh: int
    power_w: float
    offered_w: float
    delivered_wh: int = 0

    @property
    def current_a(self) -> float:
        """The current in each phase."""
        return self.power_w / (VOLTAGE_V * PHASES)


_LINES = (Phase.L1, Phase.L2, Phase.L3)
_TO_NEUTRAL = (Phase.L1_N, Phase.L2_N, Phase.L3_N)

_Sample = tuple[str, Phase | UnsetType, UnitOfMeasure | UnsetType]


def _one(value: float, unit: UnitOfMeasure | UnsetType, digits: int = 1) -> list[_Sample]:
    return [(f"{value:.{digits}f}", UNSET, unit)]


def _soc(reading: Reading) -> float:
    return min(100.0, FIRST_STATE_OF_CHARGE + 100.0 * reading.delivered_wh / BATTERY_WH)


_MEASURES: dict[Measurand, Callable[[Reading], list[_Sample]]] = {
    Measurand.ENERGY_ACTIVE_IMPORT_REGISTER: lambda reading: _one(reading.energy_wh, UnitOfMeasure.WH, 0),
    Measurand.POWER_ACTIVE_IMPORT: lambda reading: _one(reading.power_w, UnitOfMeasure.W),
    Measurand.POWER_OFFERED: lambda reading: _one(reading.offered_w, UnitOfMeasure.W),
    Measurand.POWER_FACTOR: lambda _: _one(1.0, UNSET, 2),
    Measurand.CURRENT_IMPORT: lambda reading: [(f"{reading.current_a:.2f}", phase, UnitOfMeasure.A) for phase in _LINES],
    Measurand.CURRENT_OFFERED: lambda reading: _one(reading.offered_w / (VOLTAGE_V * PHASES), UnitOfMeasure.A),
    Measurand.VOLTAGE: lambda _: [(f"{VOLTAGE_V:.1f}", phase, UnitOfMeasure.V) for phase in _TO_NEUTRAL],
    # The schema has no unit for it (errata 3.86): left out.
    Measurand.FREQUENCY: lambda _: _one(FREQUENCY_HZ, UNSET, 2),
    Measurand.SOC: lambda reading: _one(_soc(reading), UnitOfMeasure.PERCENT, 0),
    Measurand.TEMPERATURE: lambda _: _one(BODY_TEMPERATURE, UnitOfMeasure.CELSIUS),
}
_PLACES = {Measurand.SOC: Location.EV, Measurand.TEMPERATURE: Location.BODY}


def _split(item: str) -> tuple[Measurand, str | None]:
    """A measurand with its phase, as in `Voltage.L1`. Raises ValueError for a measurand that there is none."""
    name, _, suffix = item.rpartition(".")
    if suffix in set(Phase):
        return Measurand(name), suffix
    return Measurand(item), None


def is_measurable(item: str) -> bool:
    """Whether this charger can measure an item of MeterValuesSampledData and its like."""
    try:
        measurand, phase = _split(item)
    except ValueError:
        return False
    return bool(_selected(measurand, phase, Reading(0, 0.0, 0.0)))


def _selected(measurand: Measurand, wanted: str | None, reading: Reading) -> list[_Sample]:
    measure = _MEASURES.get(measurand)
    samples = measure(reading) if measure else []
    return [sample for sample in samples if wanted is None or (sample[1] is not UNSET and str(sample[1]).startswith(wanted))]


def meter_value(timestamp: str, items: Iterable[str], context: ReadingContext, reading: Reading) -> MeterValue | None:
    """The samples that `items` ask for, None where they ask for nothing."""
    samples = [
        SampledValue(
            value=value,
            context=context,
            measurand=measurand,
            phase=phase,
            unit=unit,
            location=_PLACES.get(measurand, Location.OUTLET),
        )
        for measurand, wanted in map(_split, items)
        for value, phase, unit in _selected(measurand, wanted, reading)
    ]
    return MeterValue(timestamp=timestamp, sampled_value=tuple(samples)) if samples else None
