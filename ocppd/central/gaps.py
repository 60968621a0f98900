"""Numbers that were given and have not appeared. Pure.

Several nodes write: a number is given before its transaction is committed, so that it may appear after higher ones, or
never, where the transaction was undone. Which of the two cannot be seen, but what runs can: a number is given up when
every transaction has ended that may have been given it, or after a minute, within which our own transactions end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

#: A transaction that was given a number is known to the database within far less than this.
KNOWN_AFTER_S: Final = 1.0
#: No transaction of ours takes so long; that of another program on the same server may.
LONGEST_S: Final = 60.0
#: Numbers that may be missing; of more the lowest are given up.
MISSING_LIMIT: Final = 10_000


@dataclass(slots=True)
class Gap:
    """A number that is missing, since when, and the transaction from which on none can have been given it."""

    since_s: float
    following: int | None = None

    def is_over(self, oldest: int | None, now_s: float) -> bool:
        """Whether nobody can commit it any more, where `oldest` is the lowest transaction that runs."""
        if oldest is None or now_s - self.since_s > LONGEST_S:
            return True
        return self.following is not None and oldest >= self.following


class Gaps:
    """What is known of the numbers up to `top`. Instants are seconds of one monotonic clock."""

    def __init__(self, top: int, appeared: Collection[int] | None, now_s: float) -> None:
        """`appeared`: of the `MISSING_LIMIT` numbers up to `top`; None where numbers appear in order."""
        self.top = top
        shortly = range(max(1, top - MISSING_LIMIT + 1), top)
        self._missing = {} if appeared is None else {number: Gap(now_s) for number in shortly if number not in appeared}

    @property
    def complete(self) -> int:
        """All numbers up to this one have appeared that ever will."""
        return next(iter(self._missing)) - 1 if self._missing else self.top

    def missing(self) -> list[int]:
        """The numbers to ask for."""
        return list(self._missing)

    def wants_following(self, now_s: float) -> bool:
        """Whether to ask for a transaction that has not begun: some number has been missing for long enough."""
        return any(gap.following is None and now_s - gap.since_s >= KNOWN_AFTER_S for gap in self._missing.values())

    def appeared(self, numbers: Iterable[int], oldest: int | None, following: int | None, now_s: float) -> int:
        """These numbers have appeared, in ascending order, of those that were asked for; the rest is as in `Tail`.

        Gives how many were given up because too many are missing.
        """
        self._settle(oldest, following, now_s)
        surplus = 0
        for number in numbers:
            if number <= self.top:
                self._missing.pop(number, None)
                continue
            if oldest is not None:
                first = max(self.top + 1, number - MISSING_LIMIT)
                surplus += first - self.top - 1
                self._missing |= {missing: Gap(now_s) for missing in range(first, number)}
            self.top = number
        for number in list(self._missing)[: max(0, len(self._missing) - MISSING_LIMIT)]:
            del self._missing[number]
            surplus += 1
        return surplus

    def _settle(self, oldest: int | None, following: int | None, now_s: float) -> None:
        """Give up what nobody can commit any more; what appeared in the same look was found there all the same."""
        for number, gap in list(self._missing.items()):
            if gap.is_over(oldest, now_s):
                del self._missing[number]
            elif gap.following is None and following is not None and now_s - gap.since_s >= KNOWN_AFTER_S:
                gap.following = following
