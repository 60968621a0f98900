"""Transactions and the queue of their messages. OCPP 1.6 sections 3.7, 4.7, 4.8, 4.10.

The queue delivers in order, one after the other, keeps what cannot be sent while there is no connection, and repeats
what the central system failed to process. It knows how to call, not what.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from ocppd.clock import Clock
from ocppd.errors import OcppdError
from ocppd.simulator.failures import LinkFailed
from ocppd.simulator.waiting import Background, Signal, Sleeper
from ocppd.v16.types import AuthorizationStatus, Message, MeterValue, Reason

#: Errata 3.18: what stands for the id of a transaction whose start was never answered.
UNKNOWN_TRANSACTION_ID = -1


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction as its charger knows it; energy in Wh, timestamps as they go over the wire.

    `transaction_id` is None until the central system has answered the start. `answered` fires when it has, or with the
    failure when the start was given up.
    """

    connector_id: int
    id_tag: str
    meter_start_wh: int
    started: str
    started_ms: int
    reservation_id: int | None = None
    transaction_id: int | None = None
    parent_id_tag: str | None = None
    verdict: AuthorizationStatus | None = None
    meter_stop_wh: int | None = None
    reason: Reason | None = None
    data: list[MeterValue] = field(default_factory=list)
    answered: Signal[Any] = field(default_factory=Signal)
    stop_answered: Signal[Any] = field(default_factory=Signal)

    @property
    def wire_id(self) -> int:
        """The id to send: -1 where the central system never told one (errata 3.18)."""
        return UNKNOWN_TRANSACTION_ID if self.transaction_id is None else self.transaction_id

    @property
    def running(self) -> bool:
        """Whether it has not been stopped."""
        return self.meter_stop_wh is None


@dataclass(slots=True, eq=False)
class QueuedMessage:
    """A transaction message that waits. `build` makes the request when it is sent, because ids come late.

    `settled` gets the confirmation, or the failure when the message was given up.
    """

    build: Callable[[], Message]
    settled: Callable[[Any], None]
    attempts: int = 0


class TransactionQueue:
    """Delivers transaction messages in order (section 3.7.1); starts paused.

    A CALLERROR or a timeout is a failed attempt: after `attempts()` of them the message is given up; before the next one
    `retry_interval_s()` times the number of failures passes. A lost connection is no attempt.
    """

    def __init__(
        self,
        clock: Clock,
        call: Callable[[Message], Deferred[Any]],
        *,
        attempts: Callable[[], int],
        retry_interval_s: Callable[[], float],
        background: Background,
    ) -> None:
        self._call = call
        self._attempts = attempts
        self._retry_interval_s = retry_interval_s
        self._background = background
        self._sleeper = Sleeper(clock)
        self._messages: deque[QueuedMessage] = deque()
        self._running = False
        self._paused = True
        self._drained: Signal[None] = Signal()
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, build: Callable[[], Message], settled: Callable[[Any], None] = lambda _: None) -> None:
        """Add a message behind all others."""
        self._messages.append(QueuedMessage(build, settled))
        self._start()

    def resume(self) -> None:
        """The central system can be reached and accepts us."""
        self._paused = False
        self._sleeper.wake()
        self._start()

    def pause(self) -> None:
        """Keep everything until `resume()`."""
        self._paused = True

    def drained(self) -> Deferred[None]:
        """Fires when nothing waits any more; at once when nothing does."""
        if not self._messages:
            signal: Signal[None] = Signal()
            signal.fire(None)
            return signal.wait()
        return self._drained.wait()

    def _start(self) -> None:
        if not self._running and not self._paused and self._messages:
            self._running = True
            self._background.run(self._deliver_all())

    async def _deliver_all(self) -> None:
        try:
            while self._messages and not self._paused:
                await self._deliver(self._messages[0])
        finally:
            self._running = False
        if not self._messages:
            drained, self._drained = self._drained, Signal()
            drained.fire(None)
        else:
            self._start()

    async def _deliver(self, message: QueuedMessage) -> None:
        try:
            outcome: Message | OcppdError = await self._call(message.build())
        except LinkFailed:
            self.pause()
            return
        except OcppdError as failure:
            message.attempts += 1
            if message.attempts < self._attempts():
                await self._sleeper.sleep(self._retry_interval_s() * message.attempts)
                return
            self.given_up += 1
            outcome = failure
        self._messages.popleft()
        message.settled(outcome)
