"""Many chargers at once, each doing its transactions. Knows no command line, and takes the reactor it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from ocppd.errors import OcppdError
from ocppd.simulator.charger import Charger
from ocppd.simulator.failures import HandshakeRefused
from ocppd.simulator.options import Options
from ocppd.simulator.waiting import Background, Signal, pause
from ocppd.v16.types import AuthorizationStatus

#: How long a closing handshake may take at the end.
_CLOSING_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who does what: `count` chargers, `transactions` each, of `duration_s` seconds, `connect_rate` of them a second.

    `once`: end when all are done. `patience_s`: how long a charger may fail to connect before it counts as failed then.
    """

    url: str
    name: str
    password: bytes | None = None
    count: int = 1
    id_tag: str = "TAG"
    transactions: int = 1
    duration_s: float = 60.0
    meter_interval_s: int | None = None
    connect_rate: float = 50.0
    once: bool = False
    patience_s: float = 30.0

    def names(self) -> list[str]:
        """NAME for one charger, NAME-0001 and so on for more."""
        return [self.name] if self.count == 1 else [f"{self.name}-{number:04d}" for number in range(1, self.count + 1)]


class Crowd:
    """The chargers of a plan. `say` gets a line for everything that happens."""

    def __init__(self, plan: Plan, options: Options, reactor: Any, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._reactor = reactor
        self._say = say
        self._background = Background()
        self._began = reactor.seconds()
        self._left = plan.count
        self._stopped: Deferred[None] | None = None
        self.failures = 0
        self.finished: Signal[None] = Signal()
        self.chargers = [self._charger(name, options) for name in plan.names()]

    def _charger(self, name: str, options: Options) -> Charger:
        charger = Charger(
            name, self._plan.url, self._reactor, password=self._plan.password, options=options, observer=self._observe
        )
        if self._plan.meter_interval_s is not None:
            charger.configuration.put("MeterValueSampleInterval", str(self._plan.meter_interval_s))
        return charger

    def _observe(self, name: str, line: str) -> None:
        self._say(f"{name} {line}")

    @property
    def successful(self) -> bool:
        """Whether every charger finished what it had to do, and nothing was refused."""
        return not self._left and not self.failures and not any(charger.counts.errors for charger in self.chargers)

    def start(self) -> None:
        """Let them come, one after the other; `finished` fires when all have done their transactions."""
        for number, charger in enumerate(self.chargers):
            self._background.run(self._come(charger, number / self._plan.connect_rate))

    async def _come(self, charger: Charger, after_s: float) -> None:
        await pause(self._reactor, after_s)
        try:
            if self._plan.once:
                await self._reach(charger)
            charger.run()
            await charger.boot()
            await self._charge(charger)
        except OcppdError as failure:
            self.failures += 1
            charger.report(f"failed: {failure}")
        if self._plan.once:
            await charger.shutdown()
        self._left -= 1
        if not self._left:
            self.finished.fire(None)

    async def _reach(self, charger: Charger) -> None:
        """Connect for the first time. A refusal of the central system is final; silence is, after a while."""
        until = self._reactor.seconds() + self._plan.patience_s
        while True:
            try:
                return await charger.open()
            except HandshakeRefused as failure:
                charger.failed(failure)
                if failure.status is not None or self._reactor.seconds() >= until:
                    raise
            await pause(self._reactor, 1.0)

    async def _charge(self, charger: Charger) -> None:
        """The transactions of one charger, on its connectors in turn."""
        for number in range(self._plan.transactions):
            connector_id = 1 + number % charger.options.connectors
            try:
                transaction = await charger.start_transaction(connector_id, self._plan.id_tag)
            except ValueError as failure:
                self.failures += 1
                charger.report(f"failed: {failure}")
                continue
            await pause(self._reactor, self._plan.duration_s)
            await charger.stop_transaction(transaction)
            await charger.delivered()
            if transaction.verdict is not AuthorizationStatus.ACCEPTED:
                self.failures += 1

    def stop(self) -> Deferred[None]:
        """Disconnect all in order; the Deferred never fails."""
        if self._stopped is None:
            self._stopped = Background().run(self._stop())
        return self._stopped

    async def _stop(self) -> None:
        self._background.cancel()
        closing = [Deferred.fromCoroutine(charger.shutdown()) for charger in self.chargers]
        all_closed = DeferredList(closing, consumeErrors=True)
        late = pause(self._reactor, _CLOSING_S)
        either: list[Deferred[Any]] = [all_closed, late]
        await DeferredList(either, fireOnOneCallback=True, consumeErrors=True)
        late.cancel()

    def summary(self) -> str:
        """One line about everything that happened."""
        counts = [charger.counts for charger in self.chargers]
        totals = {
            "connected": sum(1 for each in counts if each.connected),
            "booted": sum(1 for each in counts if each.booted),
            "transactions": sum(each.transactions for each in counts),
            "messages": sum(charger.wire.messages for charger in self.chargers),
            "errors": self.failures + sum(each.errors for each in counts),
            "connection failures": sum(each.link_failures for each in counts),
        }
        seconds = self._reactor.seconds() - self._began
        parts = ", ".join(f"{total} {what}" for what, total in totals.items())
        return f"{len(counts)} charger{'s' if len(counts) > 1 else ''}: {parts} in {seconds:.1f} s"
