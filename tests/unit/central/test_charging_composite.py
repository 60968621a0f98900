"""What charging profiles add up to, against an evaluator that asks every profile at every second. REQUIREMENTS K-5, K-6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.charging.composite import Limits, Placed, Running
from ocppd.central.charging.supply import Supply
from ocppd.errors import Conflict
from ocppd.v16.timestamps import format_timestamp, parse_timestamp
from ocppd.v16.types import (
    ChargingProfile,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    ChargingSchedule,
    ChargingSchedulePeriod,
    RecurrencyKindType,
)

PURPOSE, KIND, UNIT = ChargingProfilePurposeType, ChargingProfileKindType, ChargingRateUnitType
#: 2026-03-01T12:00:00Z, in seconds.
NOON = 1_772_366_400
DAY = 86_400
#: The span that is gone through second by second.
SPAN = 120


def at(second: int | None) -> Any:
    """An instant, seconds after noon, as it is written."""
    return UNSET if second is None else format_timestamp((NOON + second) * 1000)


def made(
    purpose: PURPOSE = PURPOSE.TX_DEFAULT_PROFILE,
    kind: KIND = KIND.RELATIVE,
    *,
    level: int = 0,
    periods: Sequence[tuple[int, str] | tuple[int, str, int]] = ((0, "16"),),
    unit: UNIT = UNIT.A,
    start: int | None = None,
    duration: int | None = None,
    valid: tuple[int | None, int | None] = (None, None),
    recurrency: RecurrencyKindType | None = None,
    rate: str | None = None,
) -> ChargingProfile:
    """A profile; instants are seconds after noon."""
    return ChargingProfile(
        charging_profile_id=1,
        stack_level=level,
        charging_profile_purpose=purpose,
        charging_profile_kind=kind,
        recurrency_kind=UNSET if recurrency is None else recurrency,
        valid_from=at(valid[0]),
        valid_to=at(valid[1]),
        charging_schedule=ChargingSchedule(
            charging_rate_unit=unit,
            duration=UNSET if duration is None else duration,
            start_schedule=at(start),
            min_charging_rate=UNSET if rate is None else Decimal(rate),
            charging_schedule_period=tuple(
                ChargingSchedulePeriod(
                    start_period=period[0],
                    limit=Decimal(period[1]),
                    number_phases=period[2] if len(period) > 2 else UNSET,
                )
                for period in periods
            ),
        ),
    )


# A second evaluator, which knows no breakpoints


def said(profile: ChargingProfile, instant: int, began: int) -> ChargingSchedulePeriod | None:
    """What a profile says at a second, straight from the words of the specification."""
    if isinstance(profile.valid_from, str) and instant * 1000 < parse_timestamp(profile.valid_from):
        return None
    if isinstance(profile.valid_to, str) and instant * 1000 >= parse_timestamp(profile.valid_to):
        return None
    schedule = profile.charging_schedule
    begin = parse_timestamp(schedule.start_schedule) // 1000 if isinstance(schedule.start_schedule, str) else began
    if profile.charging_profile_kind is KIND.RECURRING:
        step = DAY if profile.recurrency_kind is RecurrencyKindType.DAILY else 7 * DAY
        while begin + step <= instant:
            begin += step
    if instant < begin or (isinstance(schedule.duration, int) and instant >= begin + schedule.duration):
        return None
    found = None
    for period in schedule.charging_schedule_period:
        if begin + period.start_period <= instant:
            found = period
    return found


def prevailing(
    profiles: Sequence[Placed], connector: int, running: Running, instant: int
) -> tuple[ChargingProfile, ChargingSchedulePeriod] | None:
    """What the transaction's profiles say: its own, those of its connector, those of connector 0; high levels first."""
    ranks = []
    for placed in profiles:
        purpose = placed.profile.charging_profile_purpose
        if purpose is PURPOSE.TX_PROFILE:
            counts = placed.connector_id == connector and placed.transaction_id == running.transaction_id is not None
            rank = 0
        else:
            counts = purpose is PURPOSE.TX_DEFAULT_PROFILE and placed.connector_id in (0, connector)
            rank = 2 if placed.connector_id == 0 else 1
        period = said(placed.profile, instant, running.began_s) if counts else None
        if period is not None:
            ranks.append((rank, -placed.profile.stack_level, placed.profile, period))
    return min(ranks, key=lambda each: each[:2])[2:] if ranks else None


def brute(profiles: Sequence[Placed], connector: int, running: Mapping[int, Running], instant: int, now: int) -> Decimal | None:
    """The limit at a second, where everything is in one unit."""
    began = running[connector].began_s if connector in running else now
    most = [
        (-placed.profile.stack_level, period.limit)
        for placed in profiles
        if placed.profile.charging_profile_purpose is PURPOSE.CHARGE_POINT_MAX_PROFILE
        and (period := said(placed.profile, instant, began)) is not None
    ]
    limits = [min(most, key=lambda each: each[0])[1]] if most else []
    which = running if connector == 0 else {each: running[each] for each in (connector,) if each in running}
    parts = [prevailing(profiles, each, which[each], instant) for each in which]
    if parts and all(part is not None for part in parts):
        limits.append(sum((part[1].limit for part in parts if part is not None), Decimal(0)))
    return min(limits) if limits else None


_seconds = st.integers(-60, SPAN + 20)


@st.composite
def profiles_at(draw: st.DrawFn) -> list[Placed]:
    """Profiles on a charger with two connectors, each pair of purpose, connector and level once, as K-4 has it."""
    placed: dict[Any, Placed] = {}
    for _ in range(draw(st.integers(0, 6))):
        purpose = draw(st.sampled_from(PURPOSE))
        connector = {PURPOSE.CHARGE_POINT_MAX_PROFILE: st.just(0), PURPOSE.TX_PROFILE: st.integers(1, 2)}.get(
            purpose, st.integers(0, 2)
        )
        kind = draw(st.sampled_from(KIND))
        starts = sorted(draw(st.sets(st.integers(1, 90), max_size=3)))
        limits = draw(st.lists(st.integers(0, 320), min_size=len(starts) + 1, max_size=len(starts) + 1))
        recurrency = draw(st.sampled_from(RecurrencyKindType)) if kind is KIND.RECURRING else None
        days = draw(st.integers(-15, 0)) if recurrency else 0
        begin, valid_from = draw(_seconds), draw(st.none() | _seconds)
        profile = made(
            purpose,
            kind,
            level=draw(st.integers(0, 2)),
            periods=[(start, f"{limit}e-1") for start, limit in zip((0, *starts), limits, strict=True)],
            start=None if kind is KIND.RELATIVE else begin + days * DAY,
            duration=draw(st.none() | st.integers((starts or [0])[-1] + 1, 150)),
            valid=(valid_from, draw(st.none() | _seconds)),
            recurrency=recurrency,
        )
        at_connector = draw(connector)
        transaction = at_connector * 10 if purpose is PURPOSE.TX_PROFILE else None
        placed[purpose, at_connector, profile.stack_level] = Placed(at_connector, profile, transaction)
    return list(placed.values())


class CompositeTests(SynchronousTestCase):
    """The composite schedule."""

    @settings(max_examples=150, deadline=None)
    @given(profiles_at(), st.integers(0, 2), st.sets(st.integers(1, 2)), st.integers(-60, 0))
    def test_second_by_second(self, profiles: list[Placed], connector: int, busy: set[int], began: int) -> None:
        """K-5, K-6, K-7: at every second the limit is what an evaluator says that asks every profile then."""
        running = {each: Running(each * 10, NOON + began) for each in busy}
        limits = Limits(profiles, connector, running, Supply(), NOON)
        composite = limits.composite(NOON, SPAN, UNIT.A)
        self.assertEqual(composite.periods[0].start_s, 0)
        for one, two in zip(composite.periods, composite.periods[1:], strict=False):
            self.assertLess(one.start_s, two.start_s)
            self.assertNotEqual(one.limit, two.limit, "equal neighbours are one")
        for second in range(SPAN):
            held = [period for period in composite.periods if period.start_s <= second][-1]
            self.assertEqual(held.limit.value, brute(profiles, connector, running, NOON + second, NOON), second)

    def limits(
        self, *profiles: Placed, connector: int = 1, running: Mapping[int, Running] | None = None, **supply: Any
    ) -> Limits:
        """Of a transaction on connector 1 that began at noon."""
        return Limits(profiles, connector, {1: Running(10, NOON)} if running is None else running, Supply(**supply), NOON)

    def values(self, limits: Limits, duration: int = SPAN, wanted: UNIT | None = None) -> list[tuple[int, str | None]]:
        """From when on which limit holds."""
        periods = limits.composite(NOON, duration, wanted).periods
        return [(each.start_s, None if each.limit.value is None else str(each.limit.value)) for each in periods]

    def test_levels_fall_back(self) -> None:
        """K-5, K-6: when the highest level's duration has run out the next one holds; one without duration never falls back."""
        low = Placed(1, made(level=0, periods=[(0, "32")]))
        high = Placed(1, made(level=5, periods=[(0, "6"), (10, "8")], duration=30))
        self.assertEqual(self.values(self.limits(low, high)), [(0, "6"), (10, "8"), (30, "32")])
        endless = Placed(1, made(level=5, periods=[(0, "6")]))
        self.assertEqual(self.values(self.limits(low, endless)), [(0, "6")])

    def test_a_replacement_that_starts_later_leaves_a_gap(self) -> None:
        """K-5: until an absolute schedule begins nothing of it holds; validity bounds it on both sides."""
        later = Placed(1, made(kind=KIND.ABSOLUTE, start=20, valid=(30, 60)))
        self.assertEqual(self.values(self.limits(later)), [(0, None), (30, "16"), (60, None)])

    def test_own_profile_before_default(self) -> None:
        """K-6, T-27: the transaction's own profile before the default of its connector, before that of connector 0."""
        own = Placed(1, made(PURPOSE.TX_PROFILE, duration=10, periods=[(0, "6")]), 10)
        other = Placed(1, made(PURPOSE.TX_PROFILE, level=9, periods=[(0, "1")]), 99)
        here, all_ = Placed(1, made(duration=20, periods=[(0, "10")])), Placed(0, made(level=7, periods=[(0, "20")]))
        self.assertEqual(self.values(self.limits(all_, here, own, other)), [(0, "6"), (10, "10"), (20, "20")])

    def test_no_more_than_the_charger(self) -> None:
        """K-6: the charger's limit holds over the transaction's, for each connector and for the sum of them."""
        periods = [(0, "40"), (150, "12")]
        most = Placed(0, made(PURPOSE.CHARGE_POINT_MAX_PROFILE, KIND.ABSOLUTE, start=-100, periods=periods))
        default = Placed(0, made(periods=[(0, "25")]))
        self.assertEqual(self.values(self.limits(most, default)), [(0, "25"), (50, "12")])
        both = {1: Running(10, NOON), 2: Running(20, NOON)}
        self.assertEqual(self.values(self.limits(most, default, connector=0, running=both)), [(0, "40"), (50, "12")])
        self.assertEqual(self.values(self.limits(default, connector=0, running=both)), [(0, "50")])
        own = Placed(1, made(PURPOSE.TX_PROFILE), 10)
        self.assertEqual(self.values(self.limits(own, connector=0, running=both)), [(0, None)], "the second one has no limit")

    def test_recurring(self) -> None:
        """K-6: daily repeats every 24 h and weekly every 7 days from its start; before that it says nothing."""
        daily = Placed(1, made(kind=KIND.RECURRING, recurrency=RecurrencyKindType.DAILY, start=-DAY + 10, duration=20))
        self.assertEqual(
            self.values(self.limits(daily), 2 * DAY),
            [(0, None), (10, "16"), (30, None), (DAY + 10, "16"), (DAY + 30, None)],
        )
        periods = [(0, "6"), (60, "7")]
        weekly = Placed(1, made(kind=KIND.RECURRING, recurrency=RecurrencyKindType.WEEKLY, start=5, periods=periods))
        self.assertEqual(
            self.values(self.limits(weekly), 8 * DAY), [(0, None), (5, "6"), (65, "7"), (7 * DAY + 5, "6"), (7 * DAY + 65, "7")]
        )

    def test_units(self) -> None:
        """K-3: A is per phase, W the sum; both are compared on the phases that both allow, where the voltage is known."""
        amperes = Placed(1, made(PURPOSE.TX_PROFILE, periods=[(0, "16", 1)]), 10)
        watts = Placed(0, made(PURPOSE.CHARGE_POINT_MAX_PROFILE, KIND.ABSOLUTE, start=-9, unit=UNIT.W, periods=[(0, "5000")]))
        limits = self.limits(amperes, watts, voltage_v=Decimal(230))
        self.assertEqual(self.values(limits, wanted=UNIT.A), [(0, "16")])
        self.assertEqual(self.values(limits, wanted=UNIT.W), [(0, "3680")])
        three = self.limits(watts, voltage_v=Decimal(230))
        self.assertEqual(self.values(three, wanted=UNIT.A), [(0, "7.2")], "rounded down: 7.246")
        one = self.limits(watts, voltage_v=Decimal(230), phases=1)
        self.assertEqual(self.values(one, wanted=UNIT.A), [(0, "21.7")])
        with self.assertRaises(Conflict):
            self.limits(amperes, watts).composite(NOON, SPAN, UNIT.A)
        kept = self.limits(watts).composite(NOON, SPAN, UNIT.A)
        self.assertEqual((kept.unit, kept.kept), (UNIT.W, True), "nobody knows the voltage, so it stays in W")

    def test_least_rate_and_phases(self) -> None:
        """The least rate is that of the schedule which holds first; the phases are the fewest that any limit allows."""
        default = Placed(1, made(periods=[(0, "16", 2)], rate="6.1"))
        most = Placed(0, made(PURPOSE.CHARGE_POINT_MAX_PROFILE, periods=[(0, "32")]))
        found = self.limits(default, most).composite(NOON, SPAN, None)
        self.assertEqual((found.min_charging_rate, found.periods[0].limit.phases, found.unit), (Decimal("6.1"), 2, UNIT.A))

    def test_too_much_to_read(self) -> None:
        """A schedule that changes thousands of times a day is not gone through for a month."""
        many = Placed(
            1,
            made(
                kind=KIND.RECURRING,
                recurrency=RecurrencyKindType.DAILY,
                start=-DAY,
                periods=[(second, str(second % 7)) for second in range(2000)],
            ),
        )
        with self.assertRaises(Conflict):
            self.limits(many).composite(NOON, 31 * DAY, None)
