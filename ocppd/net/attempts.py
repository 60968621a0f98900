"""How often something happened of late, per key, in bounded memory. Knows no protocol: a key is any text."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from ocppd.clock import Clock


class Lately:
    """Counts per key within a window that begins with the first one. The keys that were quiet longest are forgotten."""

    def __init__(self, clock: Clock, window_s: float, keys_kept: int) -> None:
        self._clock = clock
        self._window_s = window_s
        self._keys_kept = keys_kept
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, key: str) -> int:
        """Count one more; how many there are in the window, this one included."""
        now = self._clock.seconds()
        since, count = self._counts.pop(key, (now, 0))
        if not 0 <= now - since < self._window_s:  # it is over, or the clock was set back
            since, count = now, 0
        self._counts[key] = (since, count + 1)
        if len(self._counts) > self._keys_kept:
            self._counts.popitem(last=False)
        return count + 1

    def count(self, key: str) -> int:
        """How many there are in the window."""
        since, count = self._counts.get(key, (0.0, 0))
        return count if 0 <= self._clock.seconds() - since < self._window_s else 0


class Tries:
    """Who may try something: fewer than `limit` tries of a key have failed of late, or may yet, as they are under way."""

    def __init__(self, failed: Lately, limit: int) -> None:
        self._failed = failed
        self._limit = limit
        self._under_way: Counter[str] = Counter()

    def permits(self, key: str) -> bool:
        """Whether there may be one more."""
        return self._failed.count(key) + self._under_way[key] < self._limit

    @contextmanager
    def one(self, key: str) -> Iterator[None]:
        """One is under way."""
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    def failed(self, key: str) -> None:
        """One has failed."""
        self._failed.add(key)
