"""Meter values as series for plots: one point for each stretch of time. REQUIREMENTS M-2, M-6, M-7. Pure.

A series is what one meter at one place measures of one thing; its points have least, greatest, mean and last value of a
stretch, and for a register what was added to it since the last stretch that had one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Final, NamedTuple

from ocppd.central.meter_values import Sample

#: Digits behind the point of a mean.
MEAN: Final = Decimal("0.000001")
#: Digits of the greatest number that a value can be, its fraction included: the default has too few, and raises.
_WIDE: Final = Context(prec=100)
REGISTER: Final = ".Register"


class SeriesKey(NamedTuple):
    """Which series a sample belongs to."""

    charger: str
    connector_id: int
    measurand: str
    phase: str | None
    location: str
    unit: str | None


@dataclass(slots=True)
class Point:
    """What was measured in the stretch that begins at `at_ms`."""

    at_ms: int
    least: Decimal
    greatest: Decimal
    total: Decimal
    count: int
    last: Decimal
    last_ms: int

    @classmethod
    def of(cls, at_ms: int, value: Decimal, instant_ms: int) -> Point:
        """A stretch with one value."""
        return cls(at_ms, value, value, value, 1, value, instant_ms)

    def add(self, value: Decimal, instant_ms: int) -> None:
        """One value more. What was measured last counts as last, in whatever order it came."""
        self.least, self.greatest = min(self.least, value), max(self.greatest, value)
        self.total += value
        self.count += 1
        if instant_ms >= self.last_ms:
            self.last, self.last_ms = value, instant_ms

    @property
    def mean(self) -> Decimal:
        """The mean of all values, however long they held."""
        return (self.total / self.count).quantize(MEAN, context=_WIDE).normalize()


@dataclass(slots=True)
class Series:
    """All series of what was added, in stretches of `bucket_ms` from the epoch on."""

    bucket_ms: int
    points: int = 0
    _series: dict[SeriesKey, dict[int, Point]] = field(default_factory=dict)

    def add(self, charger: str, connector_id: int, instant_ms: int, sample: Sample) -> None:
        """One sample; one that is no number is in no series."""
        if not isinstance(sample.value, Decimal):
            return
        key = SeriesKey(charger, connector_id, sample.measurand, sample.phase, sample.location, sample.unit)
        at_ms = instant_ms - instant_ms % self.bucket_ms
        series = self._series.setdefault(key, {})
        point = series.get(at_ms)
        if point is None:
            series[at_ms] = Point.of(at_ms, sample.value, instant_ms)
            self.points += 1
        else:
            point.add(sample.value, instant_ms)

    def __iter__(self) -> Iterator[tuple[SeriesKey, list[tuple[Point, Decimal | None]]]]:
        """Each series with its points in order of time, each with what was added to a register since the point before."""
        for key in sorted(self._series, key=lambda key: tuple(str(part or "") for part in key)):
            yield key, list(self._with_differences(key))

    def _with_differences(self, key: SeriesKey) -> Iterator[tuple[Point, Decimal | None]]:
        before: Decimal | None = None
        for _, point in sorted(self._series[key].items()):
            told = before is not None and key.measurand.endswith(REGISTER)
            yield point, point.last - before if told and before is not None else None
            before = point.last
