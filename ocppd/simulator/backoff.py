"""How long to wait before the next attempt to connect: exponential, with jitter. OCPP-J 1.6 section 5.3, REQUIREMENTS C-5."""

from __future__ import annotations

from random import Random


class Backoff:
    """Waits of 0.5 to 1 times `first_s`, doubled with each failure up to `most_s`."""

    def __init__(self, first_s: float, most_s: float, random: Random) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._random = random
        self._failures = 0

    def next_s(self) -> float:
        """The seconds to wait now. Half of it is chance, so that a thousand chargers do not come at once."""
        ceiling = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return ceiling * (0.5 + 0.5 * self._random.random())

    def reset(self) -> None:
        """It worked: start from the beginning next time."""
        self._failures = 0
