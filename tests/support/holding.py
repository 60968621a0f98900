"""A writer that is kept busy, so that what follows gathers into one batch; and waiting on a condition."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from time import monotonic

from twisted.internet import reactor
from twisted.internet.task import deferLater

from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Unit

#: Far beyond what anything here should take.
PATIENCE_S = 30.0


def held(storage: SqlStorage) -> threading.Event:
    """Keep the writer busy until the event is set."""
    entered, release = threading.Event(), threading.Event()

    def wait(unit: Unit) -> None:
        entered.set()
        release.wait(PATIENCE_S)

    storage.write(wait)
    entered.wait(PATIENCE_S)
    return release


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = PATIENCE_S) -> float:
    """Ask again and again until it is so; how long that took."""
    begin = monotonic()
    while not await condition():
        assert monotonic() - begin < within_s, f"still not so after {within_s} s"
        await deferLater(reactor, 0.02)
    return monotonic() - begin
