"""Forgets what is kept for a while alone, and its time is over. Knows no HTTP."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred

from ocppd.central.watching import Watcher
from ocppd.storage.api.idempotency import IdempotencyRecords

#: How often: nothing is waiting for it.
INTERVAL_MS: Final = 10 * 60 * 1000


class Forgetting(Watcher):
    """Looks now and then."""

    def __init__(self, keys: IdempotencyRecords) -> None:
        self._keys = keys
        self._last_ms = 0

    def sweep(self, now_ms: int) -> Deferred[Any] | None:
        """Keys of requests are kept for a day."""
        if now_ms - self._last_ms < INTERVAL_MS:
            return None
        self._last_ms = now_ms
        return self._keys.forget_old(now_ms)
