"""A charger: what tests and the command line hold in their hands. OCPP 1.6 as a whole.

::

    charger = Charger("CP0001", "ws://127.0.0.1:9033/ocppj/1.6", reactor, password=b"…", automatic=False)
    await charger.connect()
    await charger.boot()
    transaction = await charger.start_transaction(1, "TAG")
    await charger.stop_transaction(transaction)
    await charger.shutdown()

It is the top: `state` has what it is and how it calls, `life` keeps it connected, `charging` starts and stops,
`metering` samples, `jobs` takes its time, `commands` answers. None of them knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from ocppd.errors import OcppdError
from ocppd.ocppj.frames import Call
from ocppd.simulator.charging import Charging
from ocppd.simulator.commands import SILENCE, TABLE, Commands
from ocppd.simulator.connection import Closed, Opener, open_link
from ocppd.simulator.effects import EFFECTS
from ocppd.simulator.jobs import Jobs
from ocppd.simulator.life import Life
from ocppd.simulator.machine import Machine
from ocppd.simulator.metering import Metering, meter_values_request
from ocppd.simulator.options import Options
from ocppd.simulator.transactions import Transaction
from ocppd.simulator.waiting import Signal, leave_the_stack
from ocppd.simulator.wire import RecordedFrame
from ocppd.v16.core import BootNotificationConfirmation
from ocppd.v16.types import ChargePointErrorCode, ChargePointStatus, MeterValue, ReadingContext, Reason


class Charger(Machine):
    """One simulated charge point.

    `reactor` gives time and, unless `opener` is given, network. Automatic (the default), it boots, reports, beats,
    samples, retries, reconnects and does what commands ask for; with `automatic=False` it only answers, and everything
    else is up to the script. Other keywords are those of `Options`. `observer` gets lines about what happens.
    """

    def __init__(
        self,
        name: str,
        url: str,
        reactor: Any,
        *,
        password: bytes | None = None,
        options: Options | None = None,
        opener: Opener | None = None,
        observer: Callable[[str, str], None] | None = None,
        **changes: Any,
    ) -> None:
        super().__init__(
            name,
            url,
            reactor,
            password=password,
            options=replace(options or Options(), **changes),
            opener=opener or partial(open_link, reactor),
            observer=observer,
        )
        self.metering = Metering(self)
        self.charging = Charging(self, self.metering)
        self.life = Life(self, self.metering, self.charging)
        self.jobs = Jobs(self, self.life)
        self.commands = Commands(self)
        self.quirks.install(self)

    # Connection

    @property
    def dropped(self) -> Deferred[Closed]:
        """Fires when the current connection is gone, with its close code; at once where it is gone already."""
        return self.closed.wait()

    async def connect(self) -> None:
        """One attempt to connect; an automatic charger boots and stays connected from then on.

        Raises HandshakeRefused, with the HTTP status where there was one.
        """
        await self.open()
        if self.automatic:
            self.life.begin()

    def run(self) -> Deferred[None]:
        """Connect, with back-off until it works, and stay: what an automatic charger does until `disconnect()`."""
        return self.life.begin()

    def drop(self) -> None:
        """Cut the TCP connection without a closing handshake; an automatic charger comes back."""
        if self.wire.link is not None:
            self.wire.link.abort()

    async def disconnect(self) -> None:
        """Close the connection and stay away. Transactions go on, as they do when a network fails."""
        await leave_the_stack(self.reactor)
        self.life.halt()
        self.metering.stop_aligned()
        if self.wire.link is not None:
            self.close_link()
            await self.closed.wait()

    async def shutdown(self) -> None:
        """Disconnect and end every timer. What was queued stays queued."""
        await leave_the_stack(self.reactor)
        self.life.halt()
        self.metering.stop()
        self.reservations.stop()
        await self.disconnect()
        await leave_the_stack(self.reactor)
        self.background.cancel()

    # Calls

    def send_raw(self, data: bytes) -> None:
        """Write one text message, whatever it is. Raises Offline."""
        self.wire.send_raw(data)

    @property
    def frames(self) -> list[RecordedFrame]:
        """What went over the wire, both ways, in order."""
        return list(self.wire.frames)

    def sent(self, action: str) -> list[Any]:
        """The payloads of all CALLs of `action` that this charger sent."""
        return self.wire.sent(action)

    def on(self, action: str, answer: Callable[[Any], Any] | None) -> None:
        """Answer `action` with `answer(request)` from now on; None goes back to the charger's own answer.

        It returns a confirmation, an awaitable of one, or SILENCE; it may raise AnswerError. Raises KeyError where
        `action` is none that a charger answers.
        """
        self.commands.override(action, answer)

    def usual_answer(self, action: str, request: Any) -> Any:
        """What a charger without scripts and quirks answers."""
        return TABLE[action](self, request)

    @property
    def silence(self) -> Any:
        """What stands for no answer at all."""
        return SILENCE

    # What a driver and a script do

    async def boot(self) -> BootNotificationConfirmation:
        """Boot. Automatic: wait until accepted. Else: one BootNotification and its answer, whatever it says."""
        if self.automatic:
            return await self.life.accepted.wait()
        return await self.life.send_boot()

    async def heartbeat(self) -> None:
        """One Heartbeat. A barrier, too: whatever was sent before it has been processed when it returns."""
        await self.life.heartbeat()

    async def status(
        self,
        connector_id: int,
        status: ChargePointStatus,
        error_code: ChargePointErrorCode = ChargePointErrorCode.NO_ERROR,
        info: str | None = None,
    ) -> None:
        """Set a connector's status and report it. Fails as calls fail."""
        connector = self.connectors[connector_id]
        connector.status, connector.error_code, connector.info = status, error_code, info
        await self.statuses.report(connector)

    async def start_transaction(self, connector_id: int, id_tag: str, **changes: Any) -> Transaction:
        """Charge. Returns when the start is answered, at once while offline.

        Automatic: plug in, authorize, report, sample; raises NotAuthorized. Else: StartTransaction and nothing else
        (`meter_start_wh`, `reservation_id` as given); raises what the call failed with.
        """
        if self.automatic:
            return await self.charging.start(connector_id, id_tag, **changes)
        transaction = self.charging.begin(self.connectors[connector_id], id_tag, **changes)
        await self._settled(transaction.answered)
        return transaction

    async def stop_transaction(
        self,
        transaction: Transaction,
        reason: Reason | None = Reason.LOCAL,
        id_tag: str | None = None,
        *,
        meter_stop_wh: int | None = None,
    ) -> None:
        """Stop charging. Returns when the stop is answered, at once while offline. `meter_stop_wh` for scripts only."""
        if self.automatic:
            await self.charging.stop(transaction, reason, id_tag, unplug=True)
        else:
            connector = self.connectors[transaction.connector_id]
            self.charging.finish(connector, transaction, reason, id_tag, meter_stop_wh)
            await self._settled(transaction.stop_answered)

    async def meter_values(
        self, transaction: Transaction, value: MeterValue | None = None, context: ReadingContext = ReadingContext.SAMPLE_PERIODIC
    ) -> None:
        """Send one MeterValues of a transaction: `value`, or what the meter shows now. Raises what the call failed with."""
        connector = self.connectors[transaction.connector_id]
        sampled = value or self.metering.value(connector, self.configuration.list("MeterValuesSampledData"), context)
        if sampled is not None:
            answered: Signal[Any] = Signal()
            self.queue.put(lambda: meter_values_request(connector.connector_id, transaction, sampled), answered.fire)
            await self._settled(answered)

    def delivered(self) -> Deferred[None]:
        """Fires when no transaction message waits any more."""
        return self.queue.drained()

    async def _settled(self, signal: Signal[Any]) -> None:
        await self.charging.wait_for(signal)
        if signal.fired:
            outcome = await signal.wait()
            if isinstance(outcome, OcppdError):
                raise outcome

    # What the parts must hear of

    def _answer(self, call: Call) -> Deferred[bytes | None]:
        return self.commands.answer(call)

    def _configured(self, key: str) -> None:
        effect = EFFECTS.get(key)
        if effect is not None:
            self.afterwards(partial(effect, self))

    def _link_lost(self) -> None:
        self.life.rest()
