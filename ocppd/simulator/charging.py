"""What happens when somebody charges: authorization, start, stop. OCPP 1.6 sections 3.4 to 3.7, 4.1, 4.8, 4.10."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from twisted.internet.defer import DeferredList

from ocppd.errors import OcppdError
from ocppd.simulator.authorization import verdict
from ocppd.simulator.connectors import Connector
from ocppd.simulator.failures import LinkFailed, NotAuthorized
from ocppd.simulator.metering import Metering
from ocppd.simulator.state import State
from ocppd.simulator.transactions import Transaction
from ocppd.simulator.waiting import Signal, pause
from ocppd.v16.core import AuthorizeConfirmation, AuthorizeRequest, StartTransactionRequest, StopTransactionRequest
from ocppd.v16.types import AuthorizationStatus, ChargePointStatus, ChargingProfile, IdTagInfo, Reason


class Charging:
    """Starts and stops transactions on the connectors of one charger."""

    def __init__(self, state: State, metering: Metering) -> None:
        self._state = state
        self._metering = metering

    # Authorization

    async def authorize(self, id_tag: str) -> IdTagInfo:
        """What is known about a tag, asked where it must be asked. Raises NotAuthorized, and fails as calls fail.

        Online: the local list and the cache where LocalPreAuthorize, else Authorize.req. Offline: list, then cache where
        LocalAuthorizeOffline, then AllowOfflineTxForUnknownId (section 3.5).
        """
        configuration = self._state.configuration
        known = self._known(id_tag)
        if configuration.enabled("LocalPreAuthorize") and known is not None and self._accepted(known):
            return known
        try:
            confirmation: AuthorizeConfirmation = await self._state.call(AuthorizeRequest(id_tag=id_tag))
        except LinkFailed:
            return self._authorize_offline(id_tag, known)
        info = confirmation.id_tag_info
        self.learn(id_tag, info)
        if not self._accepted(info):
            raise NotAuthorized(id_tag, verdict(info, self._state.wall.now_ms()))
        return info

    def _authorize_offline(self, id_tag: str, known: IdTagInfo | None) -> IdTagInfo:
        configuration = self._state.configuration
        if known is not None:
            if configuration.enabled("LocalAuthorizeOffline") and self._accepted(known):
                return known
            raise NotAuthorized(id_tag, verdict(known, self._state.wall.now_ms()))
        if configuration.enabled("AllowOfflineTxForUnknownId"):
            return IdTagInfo(status=AuthorizationStatus.ACCEPTED)
        raise NotAuthorized(id_tag, None)

    def learn(self, id_tag: str, info: IdTagInfo) -> None:
        """Take a verdict into the cache, unless the local list has the tag (section 3.5.3)."""
        enabled = self._state.configuration.enabled("AuthorizationCacheEnabled")
        if enabled and self._state.local_list.find(id_tag) is None:
            self._state.cache.store(id_tag, info)

    def _known(self, id_tag: str) -> IdTagInfo | None:
        configuration = self._state.configuration
        listed = self._state.local_list.find(id_tag) if configuration.enabled("LocalAuthListEnabled") else None
        if listed is not None or not configuration.enabled("AuthorizationCacheEnabled"):
            return listed
        return self._state.cache.find(id_tag)

    def _accepted(self, info: IdTagInfo) -> bool:
        return verdict(info, self._state.wall.now_ms()) is AuthorizationStatus.ACCEPTED

    # Start

    async def start(
        self, connector_id: int, id_tag: str, *, remote: bool = False, profile: ChargingProfile | None = None
    ) -> Transaction:
        """A driver plugs in and presents a tag; returns once the central system has answered, or at once while offline.

        Raises NotAuthorized where the tag is refused or the connector reserved for another, ValueError where it is not free.
        """
        connector = self._state.connectors[connector_id]
        if not connector.free:
            raise ValueError(f"connector {connector_id} is {connector.status}")
        was = connector.status
        if was is not ChargePointStatus.RESERVED:
            self._state.statuses.set(connector, ChargePointStatus.PREPARING)
        try:
            info: IdTagInfo | None = None
            if not remote or self._state.configuration.enabled("AuthorizeRemoteTxRequests"):
                info = await self.authorize(id_tag)
            parent = _parent(info or self._known(id_tag))
            reservation_id = self._state.reservations.use(connector_id, id_tag, parent, self._state.free_connectors())
        except OcppdError:
            self.rest(connector)
            raise
        transaction = self.begin(connector, id_tag, reservation_id=reservation_id)
        transaction.parent_id_tag = parent
        if profile is not None:
            self._state.profiles.install(connector_id, profile, transaction)
        self._state.statuses.set(connector, ChargePointStatus.CHARGING)
        self._metering.begin(connector, transaction)
        await self.wait_for(transaction.answered)
        return transaction

    def begin(
        self, connector: Connector, id_tag: str, *, reservation_id: int | None = None, meter_start_wh: int | None = None
    ) -> Transaction:
        """Energy may flow from now on: queue the StartTransaction."""
        now_ms = self._state.wall.now_ms()
        start_wh = connector.meter.energy_wh if meter_start_wh is None else meter_start_wh
        started = self._state.wall.timestamp(now_ms)
        transaction = Transaction(connector.connector_id, id_tag, start_wh, started, now_ms, reservation_id)
        connector.transaction = transaction
        connector.meter.power_w = self._state.options.power_w
        request = StartTransactionRequest(
            connector_id=connector.connector_id,
            id_tag=id_tag,
            meter_start=start_wh,
            timestamp=started,
            reservation_id=UNSET if reservation_id is None else reservation_id,
        )
        self._state.queue.put(lambda: request, lambda outcome: self._started(connector, transaction, outcome))
        return transaction

    def _started(self, connector: Connector, transaction: Transaction, outcome: Any) -> None:
        if isinstance(outcome, OcppdError):
            self._state.failed(outcome)
            transaction.answered.fire(outcome)
            return
        transaction.transaction_id = outcome.transaction_id
        transaction.verdict = outcome.id_tag_info.status
        self.learn(transaction.id_tag, outcome.id_tag_info)
        self._state.report(f"transaction {transaction.transaction_id} started on connector {transaction.connector_id}")
        if self._state.automatic and transaction.running and transaction.verdict is not AuthorizationStatus.ACCEPTED:
            self._refused(connector, transaction)
        transaction.answered.fire(outcome)

    def _refused(self, connector: Connector, transaction: Transaction) -> None:
        """The start was answered with a refusal: stop, or only stop the energy (REQUIREMENTS T-12)."""
        self._state.report(f"transaction {transaction.transaction_id} refused: {transaction.verdict}")
        if self._state.configuration.enabled("StopTransactionOnInvalidId"):
            self._state.background.run(self.stop(transaction, Reason.DE_AUTHORIZED))
        else:
            connector.meter.power_w = 0.0
            self._state.statuses.set(connector, ChargePointStatus.SUSPENDED_EVSE, info="id tag refused")

    # Stop

    async def stop(
        self, transaction: Transaction, reason: Reason | None = Reason.LOCAL, id_tag: str | None = None, *, unplug: bool = False
    ) -> None:
        """End a transaction; returns once the central system has answered, or at once while offline.

        Without `unplug` the car stays where it is for `options.unplug_s` more seconds.
        """
        if transaction.running:
            connector = self._state.connectors[transaction.connector_id]
            self._metering.end(connector, transaction)
            self.finish(connector, transaction, reason, id_tag)
            self._state.profiles.forget_transaction(transaction)
            self._state.statuses.set(connector, ChargePointStatus.FINISHING)
            if unplug:
                self.rest(connector)
            else:
                self._state.background.run(self._unplug_later(connector))
        await self.wait_for(transaction.stop_answered)

    def finish(
        self,
        connector: Connector,
        transaction: Transaction,
        reason: Reason | None,
        id_tag: str | None,
        meter_stop_wh: int | None = None,
    ) -> None:
        """No more energy: queue the StopTransaction (section 4.10)."""
        connector.meter.power_w = 0.0
        connector.transaction = None
        stop_wh = connector.meter.energy_wh if meter_stop_wh is None else meter_stop_wh
        transaction.meter_stop_wh, transaction.reason = stop_wh, reason
        stopped = self._state.wall.timestamp()
        self._state.queue.put(
            lambda: StopTransactionRequest(
                meter_stop=stop_wh,
                timestamp=stopped,
                transaction_id=transaction.wire_id,
                id_tag=UNSET if id_tag is None else id_tag,
                reason=UNSET if reason is None else reason,
                transaction_data=tuple(transaction.data) or UNSET,
            ),
            lambda outcome: self._stopped(transaction, id_tag, outcome),
        )

    def _stopped(self, transaction: Transaction, id_tag: str | None, outcome: Any) -> None:
        if isinstance(outcome, OcppdError):
            self._state.failed(outcome)
        else:
            self._state.counts.transactions += 1
            if id_tag is not None and outcome.id_tag_info is not UNSET:
                self.learn(id_tag, outcome.id_tag_info)
            energy_wh = (transaction.meter_stop_wh or 0) - transaction.meter_start_wh
            reason = transaction.reason or Reason.LOCAL
            self._state.report(f"transaction {transaction.wire_id} stopped after {energy_wh} Wh: {reason}")
        transaction.stop_answered.fire(outcome)

    async def _unplug_later(self, connector: Connector) -> None:
        await pause(self._state.reactor, self._state.options.unplug_s)
        self.rest(connector)

    def rest(self, connector: Connector) -> None:
        """Nobody charges here: a change of availability that waited happens now (section 5.2)."""
        if connector.transaction is not None:
            return
        if connector.wanted is not None:
            connector.availability, connector.wanted = connector.wanted, None
        main = self._state.connectors[0]
        if connector is not main and main.wanted is not None and not self._state.running_transactions():
            self.rest(main)
        self._state.statuses.set(connector, self._state.resting_status(connector))

    async def wait_for(self, signal: Signal[Any]) -> None:
        """Until `signal`, or until the connection is lost; at once while there is none."""
        if self._state.connected and not signal.fired:
            waits = [signal.wait(), self._state.closed.wait()]
            await DeferredList(waits, fireOnOneCallback=True, consumeErrors=True)
            for waiting in waits:
                waiting.cancel()


def _parent(info: IdTagInfo | None) -> str | None:
    return None if info is None or info.parent_id_tag is UNSET else info.parent_id_tag
