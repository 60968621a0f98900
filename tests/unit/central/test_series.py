"""Meter values as series."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.meter_values import samples_of
from ocppd.central.series import Series

QUARTER_MS = 900_000


def series(*told: tuple[int, str]) -> list[Any]:
    """The series of samples: second and JSON text of each."""
    found = Series(QUARTER_MS)
    for second, text in told:
        for sample in samples_of(f"[{text}]"):
            found.add("CP1", 1, second * 1000, sample)
    return list(found)


def energy(value: float, **members: str) -> str:
    """A sample of the register, M-2."""
    more = "".join(f',"{name}":"{text}"' for name, text in members.items())
    return f'{{"value":"{value}"{more}}}'


class SeriesTests(SynchronousTestCase):
    """Tests for `Series`."""

    def test_a_point(self) -> None:
        """A stretch has its least, greatest, mean and last value; last is what was measured last, whenever it came."""
        ((key, points),) = series((10, energy(5)), (899, energy(9)), (300, energy(7)))
        self.assertEqual((key.measurand, key.unit, key.connector_id), ("Energy.Active.Import.Register", "Wh", 1))
        ((point, added),) = points
        told = (point.at_ms, point.least, point.greatest, point.mean, point.last, point.count, added)
        self.assertEqual(told, (0, 5, 9, 7, 9, 3, None))

    def test_a_register(self) -> None:
        """M-7: a register's points tell what was added since the point before; one that fell tells less than nothing."""
        ((_, points),) = series((1, energy(100)), (901, energy(250)), (3600, energy(300)), (4500, energy(10)))
        self.assertEqual([added for _, added in points], [None, 150, 50, -290])
        self.assertEqual([point.at_ms for point, _ in points], [0, 900_000, 3_600_000, 4_500_000])

    def test_units(self) -> None:
        """M-6: values are in one unit whatever was sent."""
        ((key, points),) = series((1, energy(1.5, unit="kWh")), (2, energy(1600)))
        self.assertEqual((key.unit, points[0][0].mean), ("Wh", Decimal(1550)))

    def test_absurd(self) -> None:
        """M-3: a value beyond all meters is a number as any other, and costs nobody the plot."""
        for text in ("9e62", "-9e62", "1e22", "9" * 64, "1e-63"):
            ((_, points),) = series((1, f'{{"value":"{text}","unit":"kWh"}}'), (2, f'{{"value":"{text}","unit":"kWh"}}'))
            expected = 0 if text == "1e-63" else (Decimal(text) * 1000).normalize()
            self.assertEqual(points[0][0].mean, expected)

    def test_apart(self) -> None:
        """What is measured at another place, phase or of something else is another series; no number is in none."""
        found = series(
            (1, energy(1, phase="L1", measurand="Voltage")),
            (1, energy(2, phase="L2", measurand="Voltage")),
            (1, energy(3, location="Inlet")),
            (1, '{"value":"abc"}'),
            (1, energy(4, format="SignedData")),
        )
        self.assertEqual([(key.measurand[:3], key.phase, key.location) for key, _ in found],
                         [("Ene", None, "Inlet"), ("Vol", "L1", "Outlet"), ("Vol", "L2", "Outlet")])  # fmt: skip
        self.assertEqual([added for _, points in found for _, added in points], [None] * 3)

    def test_before_the_epoch(self) -> None:
        """G-2: a clock that was never set makes points, too."""
        ((_, points),) = series((-1, energy(1)))
        self.assertEqual(points[0][0].at_ms, -QUARTER_MS)
