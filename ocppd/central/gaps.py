"""Numbers that were given and have not appeared. Pure.

Several nodes write: a number is given before its transaction is committed, so that it may appear after higher ones, or
never, where the transaction was undone. Which of the two cannot be seen, but what runs can: a number is given up when
every transaction has ended that may have been given it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: A number is given, and its transaction known to the database, within far less than this.
KNOWN_AFTER_S: Final = 1.0
#: Numbers that may be missing; of more the lowest are given up.
MISSING_LIMIT: Final = 10_000


@dataclass(slots=True)
class Gap:
    """A number that is missing, since when, and the transaction from which on none can have been given it."""

    since_s: float
    following: int | None = None


class Gaps:
    """What is known of the numbers up to `top`. Those up to its first value appeared before, or are of no interest."""

    def __init__(self, top: int, now_s: float) -> None:
        self.top = top
        self._missing: dict[int, Gap] = {}
        #: Stands for whatever was missing before we looked.
        self._before: Gap | None = Gap(now_s)

    @property
    def settled(self) -> bool:
        """Whether all numbers up to the first `top` have appeared that ever will."""
        return self._before is None

    @property
    def complete(self) -> int:
        """All numbers up to this one have appeared that ever will, since we look."""
        return next(iter(self._missing)) - 1 if self._missing else self.top

    def missing(self) -> list[int]:
        """The numbers to ask for."""
        return list(self._missing)

    def appeared(self, numbers: Iterable[int], oldest: int, following: int, now_s: float) -> int:
        """These numbers have appeared, in ascending order; `oldest` and `following` are those of `Tail`.

        Gives how many missing ones were given up because there were too many.
        """
        self._settle(oldest, following, now_s)
        for number in numbers:
            if number <= self.top:
                self._missing.pop(number, None)
            else:
                if following:
                    first = max(self.top + 1, number - MISSING_LIMIT)
                    self._missing |= {missing: Gap(now_s) for missing in range(first, number)}
                self.top = number
        surplus = len(self._missing) - MISSING_LIMIT
        for number in list(self._missing)[: max(0, surplus)]:
            del self._missing[number]
        return max(0, surplus)

    def _settle(self, oldest: int, following: int, now_s: float) -> None:
        """Give up what nobody can commit any more. What appears in the same look is found there all the same."""
        if self._before is not None and _is_over(self._before, oldest, following, now_s):
            self._before = None
        for number, gap in list(self._missing.items()):
            if _is_over(gap, oldest, following, now_s):
                del self._missing[number]


def _is_over(gap: Gap, oldest: int, following: int, now_s: float) -> bool:
    if not following:
        return True
    if gap.following is not None:
        return oldest >= gap.following
    if now_s - gap.since_s >= KNOWN_AFTER_S:
        gap.following = following
    return False
