"""How many rows a portion of the removal has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.retention import AIM_S, FIRST_ROWS, LEAST_S, MOST_ROWS, Pace, kept_days
from ocppd.config import RetentionSettings
from ocppd.storage.records.retention import Kind


class Paces(SynchronousTestCase):
    """Tests for Pace."""

    def test_it_finds_how_many_rows_take_the_time(self) -> None:
        """Where a row takes so long, its commit included, a portion comes to take what it is to take, from either side."""
        for row_s in (AIM_S / 10, AIM_S / 200):
            pace = Pace()
            for _ in range(10):
                pace.took(pace.rows, pace.rows * row_s / 3, pace.rows * row_s)
            self.assertAlmostEqual(pace.rows * row_s, AIM_S, delta=row_s)

    def test_it_grows_slowly_and_shrinks_at_once(self) -> None:
        """The double at most; a portion that took ten times too long makes the next one a tenth."""
        pace = Pace()
        pace.took(FIRST_ROWS, 0.0, 0.0)
        self.assertEqual(pace.rows, 2 * FIRST_ROWS)
        pace.took(2 * FIRST_ROWS, 10 * AIM_S, 10 * AIM_S)
        self.assertEqual(pace.rows, FIRST_ROWS // 5)

    def test_others_do_not_stop_it(self) -> None:
        """Where commits take long for others' sake, some work is done all the same."""
        pace = Pace()
        row_s = LEAST_S / 20
        for _ in range(10):
            pace.took(pace.rows, pace.rows * row_s, 1.0)
        self.assertAlmostEqual(pace.rows, 20, delta=1)

    def test_nothing_says_nothing(self) -> None:
        """A portion without rows changes nothing."""
        pace = Pace()
        pace.took(0, 1.0, 1.0)
        self.assertEqual(pace.rows, FIRST_ROWS)

    @given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100), st.floats(0, 100))))
    def test_it_is_bounded(self, portions: list[tuple[float, float, float]]) -> None:
        """Whatever portions took: at least one row, never more than the bound, never more than the work of the aim."""
        pace = Pace()
        for share, work_s, commit_s in portions:
            looked_at = int(pace.rows * share)
            pace.took(looked_at, work_s, work_s + commit_s)
            self.assertTrue(1 <= pace.rows <= MOST_ROWS)
            if looked_at and work_s > AIM_S:
                self.assertLessEqual(pace.rows, looked_at)


class Kinds(SynchronousTestCase):
    """Tests for what is not kept for ever."""

    def test_nothing_goes_unless_it_is_said(self) -> None:
        """Without settings all is kept for ever; events go with the messages."""
        self.assertEqual(list(kept_days(RetentionSettings())), [])
        days = dict(kept_days(RetentionSettings(messages_days=90, meter_values_days=30)))
        self.assertEqual(days, {Kind.MESSAGES: 90, Kind.EVENTS: 90, Kind.METER_VALUES: 30})
