"""A model of a database in which transactions are given numbers and end in any order, as far as events need it."""

from __future__ import annotations

from dataclasses import dataclass, field


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
        following = self.next_xid
        self.next_xid += 1
        return sorted({*new, *self.visible.intersection(missing)}), oldest, following
