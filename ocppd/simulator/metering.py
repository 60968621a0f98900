"""Meter values on their schedule, and the power a profile leaves. OCPP 1.6 sections 3.16, 4.7. Knows no authorization."""

from __future__ import annotations

from msgspec import UNSET
from twisted.internet.task import LoopingCall

from ocppd.clock import DelayedCall
from ocppd.simulator.connectors import Connector
from ocppd.simulator.samples import Reading, meter_value
from ocppd.simulator.schedules import Limits
from ocppd.simulator.state import State
from ocppd.simulator.transactions import Transaction
from ocppd.v16.core import MeterValuesRequest
from ocppd.v16.types import ChargePointStatus, MeterValue, ReadingContext

_DAY_MS = 86_400_000
#: Timers and clocks differ by a millisecond or two: what is due that soon has just been done.
_TOO_SOON_MS = 50


class Metering:
    """Samples of running transactions every MeterValueSampleInterval, of all connectors every ClockAlignedDataInterval."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._sampling: dict[Transaction, LoopingCall] = {}
        self._aligned: DelayedCall | None = None
        self._next_limit: dict[int, DelayedCall] = {}

    def reading(self, connector: Connector) -> Reading:
        """What the meter of `connector` shows now; the main meter (0) shows the sum."""
        if connector.connector_id == 0:
            readings = [self.reading(each) for each in self._state.connectors.values() if each.connector_id]
            energy, power = sum(each.energy_wh for each in readings), sum(each.power_w for each in readings)
            return Reading(energy, power, sum(each.offered_w for each in readings))
        transaction = connector.transaction
        energy = connector.meter.energy_wh
        delivered = energy - transaction.meter_start_wh if transaction else 0
        return Reading(energy, connector.meter.power_w, self.limit_w(connector), delivered)

    def value(self, connector: Connector, items: list[str], context: ReadingContext) -> MeterValue | None:
        """One meter value element with the measurands in `items`, None where there are none."""
        return meter_value(self._state.wall.timestamp(), items, context, self.reading(connector))

    # A transaction's samples

    def begin(self, connector: Connector, transaction: Transaction) -> None:
        """Start what a running transaction has: power, periodic samples, its first sample."""
        self.apply_limits()
        self._remember(connector, transaction, ReadingContext.TRANSACTION_BEGIN, "StopTxnSampledData")
        interval_s = self._state.configuration.number("MeterValueSampleInterval")
        if interval_s > 0:
            sampling = LoopingCall(self._sample, connector, transaction)
            sampling.clock = self._state.reactor
            self._sampling[transaction] = sampling
            sampling.start(interval_s, now=False)

    def end(self, connector: Connector, transaction: Transaction) -> None:
        """Stop it: the last sample, then no power."""
        self._remember(connector, transaction, ReadingContext.TRANSACTION_END, "StopTxnSampledData")
        sampling = self._sampling.pop(transaction, None)
        if sampling is not None:
            sampling.stop()
        connector.meter.power_w = 0.0

    def restart(self) -> None:
        """The sample interval changed: it counts from now."""
        for connector in self._state.connectors.values():
            transaction = connector.transaction
            if transaction is not None and self._state.automatic:
                sampling = self._sampling.pop(transaction, None)
                if sampling is not None:
                    sampling.stop()
                interval_s = self._state.configuration.number("MeterValueSampleInterval")
                if interval_s > 0:
                    sampling = self._sampling[transaction] = LoopingCall(self._sample, connector, transaction)
                    sampling.clock = self._state.reactor
                    sampling.start(interval_s, now=False)

    def _sample(self, connector: Connector, transaction: Transaction) -> None:
        self.apply_limits()
        self.send(connector, transaction, ReadingContext.SAMPLE_PERIODIC, "MeterValuesSampledData")
        self._remember(connector, transaction, ReadingContext.SAMPLE_PERIODIC, "StopTxnSampledData")

    def _remember(self, connector: Connector, transaction: Transaction, context: ReadingContext, key: str) -> None:
        """Keep a sample for the StopTransaction; too many are thinned out from the middle (errata 3.91)."""
        value = self.value(connector, self._state.configuration.list(key), context)
        if value is not None:
            transaction.data.append(value)
            if len(transaction.data) > self._state.configuration.number("StopTransactionMaxMeterValues"):
                del transaction.data[1:-1:2]

    def send(self, connector: Connector, transaction: Transaction | None, context: ReadingContext, key: str) -> None:
        """Send the samples that `key` names: behind the transaction's other messages, or at once where there is none."""
        value = self.value(connector, self._state.configuration.list(key), context)
        if value is None:
            return
        if transaction is not None:
            self._state.queue.put(lambda: meter_values_request(connector.connector_id, transaction, value))
        elif self._state.serving:
            self._state.background.run(self._send_now(connector, value))

    async def _send_now(self, connector: Connector, value: MeterValue) -> None:
        await self._state.call(meter_values_request(connector.connector_id, None, value))

    # Clock-aligned samples

    def align(self) -> None:
        """Wait for the next multiple of ClockAlignedDataInterval since midnight UTC (section 3.16.2)."""
        self.stop_aligned()
        interval_ms = self._state.configuration.number("ClockAlignedDataInterval") * 1000
        if interval_ms > 0 and self._state.automatic:
            delay_ms = interval_ms - self._state.wall.now_ms() % _DAY_MS % interval_ms
            if delay_ms < _TOO_SOON_MS:
                delay_ms += interval_ms
            self._aligned = self._state.reactor.callLater(delay_ms / 1000, self._sample_aligned)

    def _sample_aligned(self) -> None:
        self._aligned = None
        for connector in self._state.connectors.values():
            self.send(connector, connector.transaction, ReadingContext.SAMPLE_CLOCK, "MeterValuesAlignedData")
            if connector.transaction is not None:
                self._remember(connector, connector.transaction, ReadingContext.SAMPLE_CLOCK, "StopTxnAlignedData")
        self.align()

    def stop_aligned(self) -> None:
        """No clock-aligned samples until `align()`."""
        if self._aligned is not None and self._aligned.active():
            self._aligned.cancel()
        self._aligned = None

    # Power

    def apply_limits(self) -> None:
        """Let flow what car and profiles allow; where they allow nothing the connector is SuspendedEVSE (section 3.13)."""
        for connector in self._state.connectors.values():
            transaction = connector.transaction
            if transaction is None or not transaction.running:
                continue
            offered_w = 0.0 if connector.status is ChargePointStatus.SUSPENDED_EV else self.limit_w(connector)
            connector.meter.power_w = min(self._state.options.power_w, offered_w)
            if self._state.automatic and connector.status in (ChargePointStatus.CHARGING, ChargePointStatus.SUSPENDED_EVSE):
                flowing = connector.meter.power_w > 0
                self._state.statuses.set(
                    connector, ChargePointStatus.CHARGING if flowing else ChargePointStatus.SUSPENDED_EVSE, connector.error_code
                )
            if self._state.automatic:
                self._watch_limit(connector)

    def limits(self, connector: Connector, now_ms: int) -> Limits:
        """What profiles and hardware say about a connector (section 3.13)."""
        most_w = self._state.options.most_w
        return self._state.profiles.limits(connector.connector_id, connector.transaction, most_w, now_ms)

    def limit_w(self, connector: Connector) -> float:
        """What they allow now, in W."""
        now_ms = self._state.wall.now_ms()
        return float(self.limits(connector, now_ms).at(now_ms))

    def _next_limit_change_ms(self, connector: Connector) -> int | None:
        """When the limit changes next, None where it does not within a day."""
        now_ms = self._state.wall.now_ms()
        periods = self.limits(connector, now_ms).periods(now_ms, now_ms + _DAY_MS)
        return periods[1][0] if len(periods) > 1 else None

    def _watch_limit(self, connector: Connector) -> None:
        """Look again when the schedule says that the limit changes."""
        waiting = self._next_limit.pop(connector.connector_id, None)
        if waiting is not None and waiting.active():
            waiting.cancel()
        change_ms = self._next_limit_change_ms(connector)
        if change_ms is not None:
            delay_s = max(0.001, (change_ms - self._state.wall.now_ms()) / 1000)
            self._next_limit[connector.connector_id] = self._state.reactor.callLater(delay_s, self.apply_limits)

    def stop(self) -> None:
        """End every timer."""
        self.stop_aligned()
        for sampling in self._sampling.values():
            if sampling.running:
                sampling.stop()
        self._sampling.clear()
        for waiting in self._next_limit.values():
            if waiting.active():
                waiting.cancel()
        self._next_limit.clear()


def meter_values_request(connector_id: int, transaction: Transaction | None, value: MeterValue) -> MeterValuesRequest:
    """One MeterValues.req; the transaction's id is looked up when it is sent. None for connector 0 (errata 3.16)."""
    named = transaction is not None and connector_id > 0
    return MeterValuesRequest(
        connector_id=connector_id,
        meter_value=(value,),
        transaction_id=transaction.wire_id if named and transaction is not None else UNSET,
    )
