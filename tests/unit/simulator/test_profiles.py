"""Charging profiles: which are taken, which replace which, what they add up to. REQUIREMENTS K-1 to K-8."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ocppd.simulator.profiles import Profiles
from ocppd.simulator.schedules import composite
from ocppd.simulator.transactions import Transaction
from ocppd.v16.smart_charging import ClearChargingProfileRequest
from ocppd.v16.types import ChargingProfile, ChargingRateUnitType
from support.memory import EPOCH_S

NOW_MS = EPOCH_S * 1000
MOST_W = 22080.0
TRANSACTION = Transaction(1, "TAG", 0, "", NOW_MS, transaction_id=5)


def profile(
    purpose: str = "TxDefaultProfile", *, periods: Any = ((0, 6900),), unit: str = "W", **changes: Any
) -> ChargingProfile:
    """A profile, sound or not; `schedule` changes members of its schedule, the other keywords its own."""
    schedule = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": start, "limit": limit} for start, limit in periods],
        **changes.pop("schedule", {}),
    }
    members = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    return msgspec.convert({**members, **changes}, ChargingProfile)


class SettingTests(SynchronousTestCase):
    """What is taken and what replaces what."""

    def setUp(self) -> None:
        self.profiles = Profiles()

    def status(self, connector_id: int, given: ChargingProfile, transaction: Transaction | None = None) -> str:
        return str(self.profiles.set(connector_id, given, transaction))

    def test_purposes(self) -> None:
        """ChargePointMaxProfile on 0 alone, TxProfile on a connector with its transaction alone (K-1)."""
        limit, own = profile("ChargePointMaxProfile"), profile("TxProfile", transactionId=5)
        self.assertEqual((self.status(0, limit), self.status(1, limit)), ("Accepted", "Rejected"))
        self.assertEqual((self.status(1, own), self.status(0, own, TRANSACTION)), ("Rejected", "Rejected"))
        self.assertEqual(self.status(1, own, TRANSACTION), "Accepted")
        self.assertEqual(self.status(1, profile("TxProfile", transactionId=6), TRANSACTION), "Rejected")

    def test_kinds(self) -> None:
        """Absolute and Recurring need a start, Relative has none; periods rise from 0 (K-2, K-3)."""
        start = {"startSchedule": "2030-01-01T00:00:00Z"}
        daily = {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}
        good = [profile(chargingProfileKind="Absolute", schedule=start), profile(**daily, schedule={**start, "duration": 86400})]
        bad = [
            profile(schedule=start),
            profile(chargingProfileKind="Absolute"),
            profile(chargingProfileKind="Recurring", schedule=start),
            profile(**daily, schedule={**start, "duration": 86401}),
            profile(periods=((0, 1), (0, 2))),
            profile(schedule={"duration": 60}, periods=((0, 1), (60, 2))),
            profile(stackLevel=11),
        ]
        self.assertEqual([self.status(1, each) for each in good], ["Accepted"] * len(good))
        self.assertEqual([self.status(1, each) for each in bad], ["Rejected"] * len(bad))

    def test_replacing(self) -> None:
        """The same id replaces everywhere; the same purpose and level replace on their connector (K-4)."""
        self.status(1, profile(chargingProfileId=1))
        self.status(2, profile(chargingProfileId=1))
        self.assertEqual(len(self.profiles), 1)
        self.status(2, profile(chargingProfileId=2))
        self.assertEqual(len(self.profiles), 1)
        self.status(1, profile(chargingProfileId=3))
        self.status(1, profile(chargingProfileId=4, stackLevel=1))
        self.assertEqual(len(self.profiles), 3)

    def test_clearing(self) -> None:
        """All members given must match; `id` alone counts where it is given; a transaction takes its profiles along."""
        for connector_id, number in ((1, 1), (2, 2), (0, 3)):
            self.status(connector_id, profile(chargingProfileId=number))
        self.status(1, profile("TxProfile", chargingProfileId=4), TRANSACTION)
        clear = self.profiles.clear
        self.assertEqual(clear(ClearChargingProfileRequest(id=9, connector_id=1)), "Unknown")
        self.assertEqual(clear(ClearChargingProfileRequest(connector_id=1, stack_level=3)), "Unknown")
        self.assertEqual(clear(ClearChargingProfileRequest(id=3, connector_id=1)), "Accepted")
        self.assertEqual(clear(ClearChargingProfileRequest(connector_id=2)), "Accepted")
        self.assertEqual(len(self.profiles), 2)
        self.profiles.forget_transaction(TRANSACTION)
        self.assertEqual(len(self.profiles), 1)
        self.assertEqual(clear(ClearChargingProfileRequest()), "Accepted")
        self.assertEqual(len(self.profiles), 0)


class CompositeTests(SynchronousTestCase):
    """What the profiles add up to, OCPP 1.6 section 3.13."""

    def setUp(self) -> None:
        self.profiles = Profiles()

    def periods(self, connector_id: int = 1, unit: str = "W", duration_s: int = 3600, charging: bool = True) -> list[Any]:
        """Start and limit of each period of the composite schedule."""
        limits = self.profiles.limits(connector_id, TRANSACTION if charging else None, MOST_W, NOW_MS)
        schedule = composite(limits, NOW_MS, duration_s, ChargingRateUnitType(unit))
        return [(each.start_period, float(each.limit)) for each in schedule.charging_schedule_period]

    def test_nothing_installed(self) -> None:
        """The hardware's own limit, in either unit."""
        self.assertEqual((self.periods(), self.periods(unit="A")), ([(0, 22080.0)], [(0, 32.0)]))

    def test_the_smaller_limit_holds(self) -> None:
        """min(ChargePointMax, the transaction's); A counts per phase, numberPhases absent is three."""
        self.profiles.set(0, profile("ChargePointMaxProfile", periods=((0, 11000), (600, 5000))), None)
        self.profiles.set(1, profile(chargingProfileId=2, periods=((0, 10),), unit="A"), None)
        self.assertEqual(self.periods(), [(0, 6900.0), (600, 5000.0)])
        self.assertEqual(self.periods(charging=False), [(0, 11000.0), (600, 5000.0)])

    def test_levels_and_purposes(self) -> None:
        """TxProfile before TxDefault, connector before 0, the highest level first; a lower one follows its end (K-6)."""
        self.profiles.set(0, profile(chargingProfileId=1, periods=((0, 1000),)), None)
        self.assertEqual(self.periods(), [(0, 1000.0)])
        self.profiles.set(1, profile(chargingProfileId=2, periods=((0, 2000),)), None)
        self.assertEqual(self.periods(), [(0, 2000.0)])
        short = profile(chargingProfileId=3, stackLevel=5, periods=((0, 3000),), schedule={"duration": 60})
        self.profiles.set(1, short, None)
        self.assertEqual(self.periods(), [(0, 3000.0), (60, 2000.0)])
        self.profiles.set(1, profile("TxProfile", chargingProfileId=4, periods=((0, 4000),)), TRANSACTION)
        self.assertEqual(self.periods(), [(0, 4000.0)])

    def test_recurring_and_validity(self) -> None:
        """Daily comes back after 24 hours; validFrom and validTo bound every purpose (K-5, errata 3.65)."""
        daily = profile(
            chargingProfileKind="Recurring",
            recurrencyKind="Daily",
            periods=((0, 1000),),
            validTo="2030-01-02T12:00:00Z",
            schedule={"startSchedule": "2029-12-01T06:00:00Z", "duration": 3600},
        )
        self.profiles.set(1, daily, None)
        hour = 3600
        expected = [(0, 22080.0), (6 * hour, 1000.0), (7 * hour, 22080.0), (30 * hour, 1000.0), (31 * hour, 22080.0)]
        self.assertEqual(self.periods(duration_s=60 * hour), expected)

    def test_limits_have_one_digit(self) -> None:
        """6.1 A stays 6.1 A on the way through W (G-7)."""
        self.profiles.set(1, profile(periods=((0, Decimal("6.1")),), unit="A"), None)
        self.assertEqual(self.periods(unit="A"), [(0, 6.1)])
