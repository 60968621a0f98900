"""What a charger can take, what templates are for it, and how two composite schedules differ."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.charging.comparing import Answer, Difference, differences, read_answer
from ocppd.central.charging.composite import Composite, Limit, Period
from ocppd.central.charging.following import chosen
from ocppd.central.charging.limits import UNKNOWN, ChargerLimits, beyond, limits_of, unknown_limits
from ocppd.central.charging.supply import written
from ocppd.errors import Violation
from ocppd.storage.records.charging import Template
from ocppd.v16.codec import decode
from ocppd.v16.types import ChargingProfile, ChargingRateUnitType, ChargingSchedule

A, W = ChargingRateUnitType.A, ChargingRateUnitType.W


def profile(level: int = 0, periods: int = 1, unit: str = "A") -> ChargingProfile:
    """A relative TxProfile."""
    value = {
        "chargingProfileId": 1,
        "stackLevel": level,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": place, "limit": 6} for place in range(periods)],
        },
    }
    return decode(ChargingProfile, json.dumps(value).encode(), strict=False)[0]


class LimitsTests(SynchronousTestCase):
    """What configuration keys say."""

    def test_keys(self) -> None:
        """K-3, K-4, 4.3 row 30: Current is A, Power is W, and chargers write A and W; keys compare without case."""
        for text, units in (
            ("Current", {A}),
            ("Power", {W}),
            ("Current,Power", {A, W}),
            (" a , W", {A, W}),
            ("W", {W}),
            ("A;W", {A, W}),
            ("Ampere", None),
            ("", None),
        ):
            found = limits_of({"chargingscheduleALLOWEDchargingrateunit": text}).units
            self.assertEqual(found, None if units is None else frozenset(units), text)
        keys = {"ChargeProfileMaxStackLevel": "0", "ChargingScheduleMaxPeriods": " 24 ", "MaxChargingProfilesInstalled": "0"}
        self.assertEqual(limits_of(keys), ChargerLimits(max_stack_level=0, max_periods=24))
        self.assertEqual(limits_of({"ChargeProfileMaxStackLevel": "-1", "ChargingScheduleMaxPeriods": "many"}), UNKNOWN)

    def test_beyond(self) -> None:
        """SC-08, K-3, K-4: each limit that is known refuses with its pointer; none refuses anything that nobody knows."""
        wild = profile(9, 5, "W")
        known = ChargerLimits(3, 4, frozenset({A}))
        pointers = [each.pointer for each in beyond(wild, known, "/p")]
        self.assertEqual(
            pointers, ["/p/stackLevel", "/p/chargingSchedule/chargingRateUnit", "/p/chargingSchedule/chargingSchedulePeriod"]
        )
        self.assertEqual(list(beyond(wild, self.successResultOf(unknown_limits("CP1")), "/p")), [])
        self.assertEqual(list(beyond(profile(3, 4), known, "/p")), [])

    def test_numbers_are_rounded_down(self) -> None:
        """A limit that has to be written with one digit is never more than it is; digits that were given are kept."""
        for limit, text in (("7.2463", "7.2"), ("7.29", "7.2"), ("6", "6"), ("6.0", "6.0"), ("21.4", "21.4"), ("5000", "5000")):
            self.assertEqual(str(written(Decimal(limit))), text)

    def test_one_template_per_level(self) -> None:
        """T-10: a template that names the charger comes before one for all, and the older one before the newer."""
        templates = [
            Template(name="a", profile=profile(), template_id=1),
            Template(name="b", profile=profile(), template_id=2, chargers=("CP1", "CP2")),
            Template(name="c", profile=profile(), template_id=3, chargers=("CP1",)),
            Template(name="d", profile=profile(1), template_id=4),
            Template(name="e", profile=profile(2), template_id=5, chargers=("CP2",)),
        ]
        self.assertEqual([each.template_id for each in chosen(templates, "CP1")], [2, 4])
        self.assertEqual([each.template_id for each in chosen(templates, "CP3")], [1, 4])


def ours(*periods: tuple[int, str | None], duration: int = 100) -> Composite:
    """A composite schedule of ours in A."""
    found = tuple(Period(start, Limit(None if limit is None else Decimal(limit))) for start, limit in periods)
    return Composite(0, duration, A, False, found, None)


def frame(**payload: Any) -> str:
    """The answer of a charger."""
    return json.dumps([3, "m", payload])


def theirs(*periods: tuple[int, float], **members: Any) -> ChargingSchedule:
    """A charger's."""
    listed = [{"startPeriod": start, "limit": limit} for start, limit in periods]
    found = read_answer(
        frame(status="Accepted", chargingSchedule={"chargingRateUnit": "A", "chargingSchedulePeriod": listed, **members})
    )
    assert found.schedule is not None
    return found.schedule


class ComparingTests(SynchronousTestCase):
    """Our schedule beside the charger's."""

    def test_answers(self) -> None:
        """SC-11, 4.3 rows 05 and 20: a refusal has no schedule; one without periods is read; scheduleStart comes first."""
        self.assertEqual(read_answer(frame(status="Rejected")), Answer(accepted=False))
        self.assertEqual(read_answer(frame(status="Accepted")), Answer(accepted=True))
        schedule = {"chargingRateUnit": "A", "startSchedule": "1970-01-01T00:00:09Z", "chargingSchedulePeriod": []}
        told = read_answer(frame(status="Accepted", scheduleStart="1970-01-01T00:00:05Z", chargingSchedule=schedule))
        self.assertEqual((told.start_s, told.unit), (5, A))
        self.assertEqual(read_answer(frame(status="Accepted", chargingSchedule=schedule)).start_s, 9)
        with self.assertRaises(Violation):
            read_answer(frame(chargingSchedule=5))

    def test_differences(self) -> None:
        """K-6: spans in which the limits differ, as few as possible; rounding is none, and neither is what nothing limits."""
        self.assertEqual(differences(ours((0, "16"), (50, "8")), theirs((0, 16.1), (50, 8))), [])
        self.assertEqual(differences(ours((0, None), (50, "8")), theirs((0, 32), (50, 8))), [])
        self.assertEqual(differences(ours((0, "16"), (50, "8")), theirs((0, 16), (48, 8))), [], "instants are rounded, too")
        self.assertEqual(len(differences(ours((0, "16"), (50, "8")), theirs((0, 16), (47, 8)))), 1)
        self.assertEqual(
            differences(ours((0, "16"), (50, "8")), theirs((0, 16), (20, 10), (30, 10), (60, 8))),
            [
                Difference(20, 50, Decimal(16), Decimal(10)),
                Difference(50, 60, Decimal(8), Decimal(10)),
            ],
        )
        self.assertEqual(differences(ours((0, "16")), theirs(duration=40)), [Difference(0, 40, Decimal(16), None)])
        self.assertEqual(differences(ours((0, "16")), theirs((90, 16))), [Difference(0, 90, Decimal(16), None)])
