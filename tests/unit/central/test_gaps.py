"""Numbers that appear out of order, held against a model of the transactions that are given them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.gaps import KNOWN_AFTER_S, LONGEST_S, MISSING_LIMIT, Gaps
from support.numbering import Database


class GapsTests(SynchronousTestCase):
    """Tests for `Gaps`."""

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from("bbca"), st.integers(0, 9)), max_size=20),
        st.lists(st.tuples(st.sampled_from("bbggceal"), st.integers(0, 9)), max_size=120),
    )
    def test_every_committed_number_appears(self, before: list[tuple[str, int]], steps: list[tuple[str, int]]) -> None:
        """Whatever the order of commits, each number is seen, and none is promised to be complete that comes later."""
        database = Database()
        seen: list[int] = []
        now_s = 0.0
        for step, _ in before:
            if step == "b":
                database.begin()
            elif database.running:
                database.end(0, commit=step != "a")
        gaps = Gaps(max(database.visible, default=0), database.visible, now_s)
        seen += database.visible

        def look() -> None:
            asked = gaps.wants_following(now_s)
            numbers, oldest, following = database.look(gaps.top, gaps.missing(), 3)
            gaps.appeared(numbers, oldest, following if asked else None, now_s)
            seen.extend(numbers)
            late = {number for transaction in database.running for number in transaction.numbers}
            waiting = (database.visible | late) - set(seen)
            self.assertTrue(all(number > gaps.complete for number in waiting), (waiting, gaps.complete))

        for step, which in steps:
            now_s += which / 10
            if step == "b":
                database.begin()
            elif step == "l":
                look()
            elif database.running:
                if step == "g":
                    database.give(which)
                else:
                    database.end(which, commit=step != "a")
        while database.running:
            database.end(0, commit=True)
        for _ in range(len(database.visible) + 5):
            now_s += KNOWN_AFTER_S
            look()
        self.assertEqual(sorted(seen), sorted(database.visible))
        self.assertEqual(gaps.missing(), [])

    def test_a_number_that_never_comes_is_given_up(self) -> None:
        """A number is asked for until every transaction has ended that may have been given it; not longer."""
        gaps = Gaps(10, {10, 9}, 0.0)
        self.assertEqual((gaps.missing(), gaps.complete), ([1, 2, 3, 4, 5, 6, 7, 8], 0))
        gaps = Gaps(10, range(1, 11), 0.0)
        gaps.appeared([11, 13], 5, 9, 0.0)
        self.assertEqual((gaps.missing(), gaps.complete, gaps.top), ([12], 11, 13))
        gaps.appeared([], 9, 9, 0.5)
        self.assertFalse(gaps.wants_following(0.5))
        self.assertTrue(gaps.wants_following(KNOWN_AFTER_S))
        gaps.appeared([], 9, 12, KNOWN_AFTER_S)
        self.assertFalse(gaps.wants_following(KNOWN_AFTER_S))
        gaps.appeared([], 11, 20, KNOWN_AFTER_S + 0.1)
        self.assertEqual(gaps.missing(), [12])
        gaps.appeared([], 12, 20, KNOWN_AFTER_S + 0.2)
        self.assertEqual((gaps.missing(), gaps.complete), ([], 13))

    def test_transactions_of_others_hold_nothing_up_for_ever(self) -> None:
        """A transaction of another program may run for hours: after a minute a number is given up all the same."""
        gaps = Gaps(0, None, 0.0)
        gaps.appeared([2], 1, None, 0.0)
        gaps.appeared([], 1, 7, LONGEST_S)
        self.assertEqual(gaps.missing(), [1])
        gaps.appeared([], 1, None, LONGEST_S + 0.1)
        self.assertEqual((gaps.missing(), gaps.complete), ([], 2))

    def test_where_numbers_appear_in_order_none_is_missing(self) -> None:
        """SQLite has one writer: what is not there now will never be."""
        gaps = Gaps(3, None, 0.0)
        gaps.appeared([5, 9], None, None, 0.0)
        self.assertEqual((gaps.missing(), gaps.complete), ([], 9))

    def test_too_many_are_given_up(self) -> None:
        """What is remembered of missing numbers is bounded, and what is given up is told."""
        gaps = Gaps(0, None, 0.0)
        self.assertEqual(gaps.appeared([MISSING_LIMIT + 1], 1, 9, 0.0), 0)
        self.assertEqual(gaps.appeared([MISSING_LIMIT + 5], 1, 9, 0.0), 3)
        self.assertEqual(len(gaps.missing()), MISSING_LIMIT)
        jump = 10**15
        self.assertEqual(gaps.appeared([jump], 1, 9, 0.0), jump - (MISSING_LIMIT + 5) - 1)
        self.assertEqual((len(gaps.missing()), gaps.top), (MISSING_LIMIT, jump))
