"""Closed and open loops over connected chargers."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chargers import Charger, check
from measure import cpu_ns, latencies, percentile, waited_ns

#: Answers that are late, or never come, are waited for so long after the end of an open loop.
GRACE_S = 5.0

Result = dict[str, Any]


@contextmanager
def quiet() -> Iterator[None]:
    """Without the garbage collector, whose pauses would be taken for the server's."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class Window:
    """What was answered from the begin to the end of the measured time, and what it took of the server's CPU."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._cpu = 0
        self._began = 0.0
        #: All answers, also to messages of the warm-up.
        self.answers = 0
        self.took: list[float] = []

    def begin(self) -> None:
        """Forget the warm-up."""
        self.took = []
        self.answers = 0
        self._began = time.perf_counter()
        self._cpu = cpu_ns(self._pid)

    def result(self) -> Result:
        """At the end of the measured time."""
        messages = self.answers or len(self.took)
        used = (cpu_ns(self._pid) - self._cpu) / 1e3
        elapsed = time.perf_counter() - self._began
        return {"messages": messages, "rate": messages / elapsed, "cpu": used / max(messages, 1), "busy": used / elapsed / 1e6}


class Closed:
    """Each charger sends its next message when the last one is answered."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.running = True

    def answered(self, charger: Charger) -> None:
        """See `chargers.Load`."""
        now = time.perf_counter()
        self._window.took.append(now - charger.at)
        if self.running:
            charger.at = now
            charger.send_next()


async def closed(chargers: list[Charger], pid: int, mix: str, seconds: float, warm: float) -> Result:
    """A closed loop of all chargers."""
    window = Window(pid)
    load = Closed(window)
    for charger in chargers:
        charger.load = load
        charger.source.prepare(mix, charger.transaction_id)
    with quiet():
        for charger in chargers:
            charger.at = time.perf_counter()
            charger.send_next()
        await asyncio.sleep(warm)
        window.begin()
        await asyncio.sleep(seconds)
        result = window.result()
    load.running = False
    result |= latencies(window.took)
    await _answers(chargers)
    check()
    return result


class Open:
    """Messages at times that were set before, whatever the server does; a charger that still waits sends later."""

    def __init__(self, chargers: list[Charger], rate: float, begin: float, window: Window) -> None:
        self._chargers = chargers
        self._step = 1 / rate
        self._begin = begin
        self._number = 0
        self._next = begin
        self._window = window
        self._late: dict[int, deque[float]] = {}
        self.measured_from = begin
        self.until = begin
        self.lag: list[float] = []

    def send_due(self, now: float) -> None:
        """Send what is due. Chargers take turns."""
        chargers = self._chargers
        while (due := self._next) <= now and due < self.until:
            charger = chargers[self._number % len(chargers)]
            self._number += 1
            self._next = self._begin + self._number * self._step
            if charger.outstanding:
                self._late.setdefault(charger.source.index, deque()).append(due)
                continue
            charger.at = due
            charger.send_next()
            now = time.perf_counter()
            if due >= self.measured_from:
                self.lag.append(now - due)

    def answered(self, charger: Charger) -> None:
        """See `chargers.Load`. What has become due is sent before the next of many answers that came together."""
        now = time.perf_counter()
        self._window.answers += 1
        if charger.at >= self.measured_from:
            self._window.took.append(now - charger.at)
        late = self._late.get(charger.source.index)
        if late:
            charger.at = late.popleft()
            charger.send_next()
        if self._next <= now:
            self.send_due(now)

    @property
    def waiting(self) -> bool:
        """Whether anything has still to be sent late."""
        return any(self._late.values())


async def open_loop(chargers: list[Charger], pid: int, mix: str, rate: float, seconds: float, warm: float) -> Result:
    """An open loop. Waits for the next due time without sleeping: a timer would be late by up to a millisecond."""
    window = Window(pid)
    for charger in chargers:
        charger.source.prepare(mix, charger.transaction_id)
    with quiet():
        begin = time.perf_counter() + 0.05
        load = Open(chargers, rate, begin, window)
        for charger in chargers:
            charger.load = load
        load.measured_from = begin + warm
        load.until = load.measured_from + seconds
        await _pace(load, load.measured_from)
        window.begin()
        waited = waited_ns()
        await _pace(load, load.until)
        load.send_due(load.until)
        result = window.result() | {"waited": (waited_ns() - waited) / 1e6}
        await _answers(chargers, load)
    asked = round(rate * seconds)
    check()
    lag = sorted(load.lag)
    result |= {"asked": asked, "unanswered": max(0, asked - len(window.took))}
    return result | latencies(window.took) | {"lag": percentile(lag, 0.99) * 1e3 if lag else 0.0}


async def _pace(load: Open, until: float) -> None:
    while (now := time.perf_counter()) < until:
        load.send_due(now)
        await asyncio.sleep(0)


async def _answers(chargers: list[Charger], load: Open | None = None) -> None:
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline:
        if not (load and load.waiting) and not any(charger.outstanding for charger in chargers):
            return
        await asyncio.sleep(0.01)
