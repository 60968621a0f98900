"""Waiting: for something that happens once, and for work in the background. Knows nothing of OCPP."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.clock import Clock
from ocppd.errors import OcppdError

_T = TypeVar("_T")


class Signal(Generic[_T]):
    """Something that happens once and that any number may wait for, before and after it happened."""

    def __init__(self) -> None:
        self._value: tuple[_T] | None = None
        self._waiting: list[Deferred[_T]] = []

    @property
    def fired(self) -> bool:
        """Whether it happened."""
        return self._value is not None

    def fire(self, value: _T) -> None:
        """It happened now; a second time has no effect."""
        if self._value is None:
            self._value = (value,)
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                # One who is told may cancel the waiting of another.
                if not deferred.called:
                    deferred.callback(value)

    def wait(self) -> Deferred[_T]:
        """A Deferred of its own for each who asks. Cancelling ends only that waiting."""
        deferred: Deferred[_T] = Deferred(self._forget)
        if self._value is not None:
            deferred.callback(self._value[0])
        else:
            self._waiting.append(deferred)
        return deferred

    def _forget(self, deferred: Deferred[_T]) -> None:
        if deferred in self._waiting:
            self._waiting.remove(deferred)


class Sleeper:
    """One sleep that can be cut short."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sleep: Deferred[None] | None = None

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as somebody calls `wake()`. Cancelling ends the sleep."""
        woken: Deferred[None] = Deferred()
        self._sleep = woken
        timer = self._clock.callLater(max(0.0, seconds), self.wake)
        try:
            await woken
        finally:
            self._sleep = None
            if timer.active():
                timer.cancel()

    def wake(self) -> None:
        """End the sleep, if there is one."""
        if self._sleep is not None:
            sleep, self._sleep = self._sleep, None
            sleep.callback(None)


def pause(clock: Clock, seconds: float) -> Deferred[None]:
    """A Deferred that fires after `seconds`; cancelling it takes the timer away."""
    waiting: Deferred[None] = Deferred(lambda _: timer.cancel())
    timer = clock.callLater(max(0.0, seconds), waiting.callback, None)
    return waiting


def leave_the_stack(clock: Clock) -> Deferred[None]:
    """Fires with the next tick. Whoever ends coroutines may have been woken by one: let it come to its next `await` first."""
    return pause(clock, 0)


class Background:
    """Coroutines that run beside everything else: started here, answered for here."""

    log = Logger()

    def __init__(self) -> None:
        self._running: set[Deferred[Any]] = set()

    def run(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[None]:
        """Start `work`; the Deferred fires when it has ended, and never fails. Failures of ours end it, others are logged."""
        running = Deferred.fromCoroutine(work)
        ended: Deferred[None] = Deferred(lambda _: running.cancel())
        self._running.add(running)
        running.addErrback(self._failed)
        running.addBoth(self._ended, running, ended)
        return ended

    def cancel(self) -> None:
        """End everything that is under way."""
        for running in list(self._running):
            running.cancel()

    def _ended(self, _: Any, running: Deferred[Any], ended: Deferred[None]) -> None:
        self._running.discard(running)
        if not ended.called:
            ended.callback(None)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None and failure.check(OcppdError) is None:
            self.log.failure("the simulator failed", failure=failure)
