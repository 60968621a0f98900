"""Numbers that appear out of order, held against a model of the transactions that are given them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.gaps import KNOWN_AFTER_S, MISSING_LIMIT, Gaps


@dataclass
class Transaction:
    """One that runs: its number among transactions, and the numbers that it was given."""

    xid: int
    numbers: list[int] = field(default_factory=list)


class Database:
    """What PostgreSQL does with transactions and a sequence, as far as it matters here."""

    def __init__(self) -> None:
        self.next_xid = 1
        self.next_number = 1
        self.running: list[Transaction] = []
        self.visible: set[int] = set()

    def begin(self) -> None:
        """A transaction begins, and is given a number."""
        self.running.append(Transaction(self.next_xid))
        self.next_xid += 1
        self.give(len(self.running) - 1)

    def give(self, which: int) -> None:
        """A running transaction is given a number."""
        self.running[which % len(self.running)].numbers.append(self.next_number)
        self.next_number += 1

    def end(self, which: int, *, commit: bool) -> None:
        """A running transaction ends."""
        transaction = self.running.pop(which % len(self.running))
        if commit:
            self.visible |= set(transaction.numbers)

    def look(self, after: int, missing: list[int], limit: int) -> tuple[list[int], int, int]:
        """What `events_after` gives: numbers, the oldest running transaction, the one that follows."""
        new = sorted(number for number in self.visible if number > after)[:limit]
        oldest = min((transaction.xid for transaction in self.running), default=self.next_xid)
        return sorted({*new, *self.visible.intersection(missing)}), oldest, self.next_xid


class GapsTests(SynchronousTestCase):
    """Tests for `Gaps`."""

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("bbggceal"), st.integers(0, 9)), max_size=120))
    def test_every_committed_number_appears(self, steps: list[tuple[str, int]]) -> None:
        """Whatever the order of commits, each number is seen, and none is promised to be complete that comes later."""
        database = Database()
        seen: list[int] = []
        now_s = 0.0
        gaps = Gaps(0, now_s)

        def look() -> None:
            numbers, oldest, following = database.look(gaps.top, gaps.missing(), 3)
            gaps.appeared(numbers, oldest, following, now_s)
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
        self.assertTrue(gaps.settled)

    def test_a_number_that_never_comes_is_given_up(self) -> None:
        """A number is asked for until every transaction has ended that may have been given it; not longer."""
        gaps = Gaps(10, 0.0)
        gaps.appeared([11, 13], 5, 9, 0.0)
        self.assertEqual((gaps.missing(), gaps.complete, gaps.top), ([12], 11, 13))
        gaps.appeared([], 9, 9, 0.5)
        gaps.appeared([], 9, 12, KNOWN_AFTER_S)
        gaps.appeared([], 11, 20, KNOWN_AFTER_S + 0.1)
        self.assertEqual(gaps.missing(), [12])
        gaps.appeared([], 12, 20, KNOWN_AFTER_S + 0.2)
        self.assertEqual((gaps.missing(), gaps.complete), ([], 13))

    def test_where_numbers_appear_in_order_none_is_missing(self) -> None:
        """SQLite has one writer: what is not there now will never be."""
        gaps = Gaps(3, 0.0)
        gaps.appeared([5, 9], 0, 0, 0.0)
        self.assertEqual((gaps.missing(), gaps.complete, gaps.settled), ([], 9, True))

    def test_too_many_are_given_up(self) -> None:
        """What is remembered of missing numbers is bounded, and what is given up is told."""
        gaps = Gaps(0, 0.0)
        self.assertEqual(gaps.appeared([MISSING_LIMIT + 1], 1, 9, 0.0), 0)
        self.assertEqual(gaps.appeared([MISSING_LIMIT + 5], 1, 9, 0.0), 3)
        self.assertEqual(len(gaps.missing()), MISSING_LIMIT)
        self.assertEqual(gaps.appeared([10**15], 1, 9, 0.0), MISSING_LIMIT)
        self.assertEqual((len(gaps.missing()), gaps.top), (MISSING_LIMIT, 10**15))
