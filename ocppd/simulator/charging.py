"""What happens when somebody charges: authorization, start, stop. OCPP 1.6 sections 3.4 to 3.7, 4.1, 4.8, 4.10."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from twisted.internet.defer import DeferredList

from ocppd.errors import OcppdError
from ocppd.simulator.authorization import verdict
from ocppd.simulator.connectors import Connector
from ocppd.simulator.failures import LinkFailed, NotAuthorized
from ocppd.simulator.transactions import Transaction
from ocppd.simulator.waiting import Signal, pause
from ocppd.v16.core import AuthorizeConfirmation, AuthorizeRequest, StartTransactionRequest, StopTransactionRequest
from ocppd.v16.types import AuthorizationStatus, AvailabilityType, ChargePointStatus, ChargingProfile, IdTagInfo, Reason

if TYPE_CHECKING:
    from ocppd.simulator.charger import Charger


class Charging:
    """Starts and stops transactions on the connectors of one charger."""

    def __init__(self, charger: Charger) -> None:
        self._charger = charger

    # Authorization

    async def authorize(self, id_tag: str) -> IdTagInfo:
        """What is known about a tag, asked where it must be asked. Raises NotAuthorized, and fails as calls fail.

        Online: the local list and the cache where LocalPreAuthorize, else Authorize.req. Offline: list, then cache where
        LocalAuthorizeOffline, then AllowOfflineTxForUnknownId (section 3.5).
        """
        configuration = self._charger.configuration
        known = self._known(id_tag)
        if configuration.enabled("LocalPreAuthorize") and known is not None and self._accepted(known):
            return known
        try:
            confirmation: AuthorizeConfirmation = await self._charger.call(AuthorizeRequest(id_tag=id_tag))
        except LinkFailed:
            return self._authorize_offline(id_tag, known)
        info = confirmation.id_tag_info
        self.learn(id_tag, info)
        if not self._accepted(info):
            raise NotAuthorized(id_tag, verdict(info, self._charger.wall.now_ms()))
        return info

    def _authorize_offline(self, id_tag: str, known: IdTagInfo | None) -> IdTagInfo:
        configuration = self._charger.configuration
        if known is not None:
            if configuration.enabled("LocalAuthorizeOffline") and self._accepted(known):
                return known
            raise NotAuthorized(id_tag, verdict(known, self._charger.wall.now_ms()))
        if configuration.enabled("AllowOfflineTxForUnknownId"):
            return IdTagInfo(status=AuthorizationStatus.ACCEPTED)
        raise NotAuthorized(id_tag, None)

    def learn(self, id_tag: str, info: IdTagInfo) -> None:
        """Take a verdict into the cache, unless the local list has the tag (section 3.5.3)."""
        enabled = self._charger.configuration.enabled("AuthorizationCacheEnabled")
        if enabled and self._charger.local_list.find(id_tag) is None:
            self._charger.cache.store(id_tag, info)

    def _known(self, id_tag: str) -> IdTagInfo | None:
        configuration = self._charger.configuration
        listed = self._charger.local_list.find(id_tag) if configuration.enabled("LocalAuthListEnabled") else None
        if listed is not None or not configuration.enabled("AuthorizationCacheEnabled"):
            return listed
        return self._charger.cache.find(id_tag)

    def _accepted(self, info: IdTagInfo) -> bool:
        return verdict(info, self._charger.wall.now_ms()) is AuthorizationStatus.ACCEPTED

    # Start

    async def start(
        self, connector_id: int, id_tag: str, *, remote: bool = False, profile: ChargingProfile | None = None
    ) -> Transaction:
        """A driver plugs in and presents a tag; returns once the central system has answered, or at once while offline.

        Raises NotAuthorized where the tag is refused or the connector reserved for another, ValueError where it is not free.
        """
        connector = self._charger.connectors[connector_id]
        if not connector.free:
            raise ValueError(f"connector {connector_id} is {connector.status}")
        was = connector.status
        if was is not ChargePointStatus.RESERVED:
            self._charger.statuses.set(connector, ChargePointStatus.PREPARING)
        try:
            info: IdTagInfo | None = None
            if not remote or self._charger.configuration.enabled("AuthorizeRemoteTxRequests"):
                info = await self.authorize(id_tag)
            parent = _parent(info or self._known(id_tag))
            reservation_id = self._charger.reservations.use(connector_id, id_tag, parent, self._charger.free_connectors())
        except OcppdError:
            self.rest(connector)
            raise
        transaction = self.begin(connector, id_tag, reservation_id=reservation_id)
        transaction.parent_id_tag = parent
        if profile is not None:
            self._charger.profiles.install(connector_id, profile, transaction)
        self._charger.statuses.set(connector, ChargePointStatus.CHARGING)
        self._charger.metering.begin(connector, transaction)
        await self.wait_for(transaction.answered)
        return transaction

    def begin(
        self, connector: Connector, id_tag: str, *, reservation_id: int | None = None, meter_start_wh: int | None = None
    ) -> Transaction:
        """Energy may flow from now on: queue the StartTransaction."""
        now_ms = self._charger.wall.now_ms()
        start_wh = connector.meter.energy_wh if meter_start_wh is None else meter_start_wh
        started = self._charger.wall.timestamp(now_ms)
        transaction = Transaction(connector.connector_id, id_tag, start_wh, started, now_ms, reservation_id)
        connector.transaction = transaction
        connector.meter.power_w = self._charger.options.power_w
        request = StartTransactionRequest(
            connector_id=connector.connector_id,
            id_tag=id_tag,
            meter_start=start_wh,
            timestamp=started,
            reservation_id=UNSET if reservation_id is None else reservation_id,
        )
        self._charger.queue.put(lambda: request, lambda outcome: self._started(connector, transaction, outcome))
        return transaction

    def _started(self, connector: Connector, transaction: Transaction, outcome: Any) -> None:
        if isinstance(outcome, OcppdError):
            self._charger.failed(outcome)
            transaction.answered.fire(outcome)
            return
        transaction.transaction_id = outcome.transaction_id
        transaction.verdict = outcome.id_tag_info.status
        self.learn(transaction.id_tag, outcome.id_tag_info)
        self._charger.report(f"transaction {transaction.transaction_id} started on connector {transaction.connector_id}")
        if self._charger.automatic and transaction.running and transaction.verdict is not AuthorizationStatus.ACCEPTED:
            self._refused(connector, transaction)
        transaction.answered.fire(outcome)

    def _refused(self, connector: Connector, transaction: Transaction) -> None:
        """The start was answered with a refusal: stop, or only stop the energy (REQUIREMENTS T-12)."""
        self._charger.report(f"transaction {transaction.transaction_id} refused: {transaction.verdict}")
        if self._charger.configuration.enabled("StopTransactionOnInvalidId"):
            self._charger.background.run(self.stop(transaction, Reason.DE_AUTHORIZED))
        else:
            connector.meter.power_w = 0.0
            self._charger.statuses.set(connector, ChargePointStatus.SUSPENDED_EVSE, info="id tag refused")

    # Stop

    async def stop(
        self, transaction: Transaction, reason: Reason | None = Reason.LOCAL, id_tag: str | None = None, *, unplug: bool = False
    ) -> None:
        """End a transaction; returns once the central system has answered, or at once while offline.

        Without `unplug` the car stays where it is for `options.unplug_s` more seconds.
        """
        if transaction.running:
            connector = self._charger.connectors[transaction.connector_id]
            self._charger.metering.end(connector, transaction)
            self.finish(connector, transaction, reason, id_tag)
            self._charger.profiles.forget_transaction(transaction)
            self._charger.statuses.set(connector, ChargePointStatus.FINISHING)
            if unplug:
                self.rest(connector)
            else:
                self._charger.background.run(self._unplug_later(connector))
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
        stopped = self._charger.wall.timestamp()
        self._charger.queue.put(
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
            self._charger.failed(outcome)
        else:
            self._charger.counts.transactions += 1
            if id_tag is not None and outcome.id_tag_info is not UNSET:
                self.learn(id_tag, outcome.id_tag_info)
            energy_wh = (transaction.meter_stop_wh or 0) - transaction.meter_start_wh
            reason = transaction.reason or Reason.LOCAL
            self._charger.report(f"transaction {transaction.wire_id} stopped after {energy_wh} Wh: {reason}")
        transaction.stop_answered.fire(outcome)

    async def _unplug_later(self, connector: Connector) -> None:
        await pause(self._charger.reactor, self._charger.options.unplug_s)
        self.rest(connector)

    def rest(self, connector: Connector) -> None:
        """Nobody charges here: a change of availability that waited happens now (section 5.2)."""
        if connector.transaction is not None:
            return
        if connector.wanted is not None:
            connector.availability, connector.wanted = connector.wanted, None
        main = self._charger.connectors[0]
        if connector is not main and main.wanted is not None and not self._charger.running_transactions():
            self.rest(main)
        self._charger.statuses.set(connector, self.resting_status(connector))

    def status_changed(self, connector: Connector) -> None:
        """Faulted and Unavailable end the reservations of a connector, on 0 those of all (section 5.13, REQUIREMENTS N-4)."""
        if connector.status in (ChargePointStatus.FAULTED, ChargePointStatus.UNAVAILABLE):
            for number in [connector.connector_id] if connector.connector_id else list(self._charger.connectors):
                reservation = self._charger.reservations.on(number)
                if reservation is not None:
                    self._charger.reservations.cancel(reservation.reservation_id)

    def resting_status(self, connector: Connector) -> ChargePointStatus:
        """What a connector is while nobody charges."""
        if connector.availability is AvailabilityType.INOPERATIVE:
            return ChargePointStatus.UNAVAILABLE
        if connector.connector_id and self._charger.reservations.on(connector.connector_id) is not None:
            return ChargePointStatus.RESERVED
        return ChargePointStatus.AVAILABLE

    async def wait_for(self, signal: Signal[Any]) -> None:
        """Until `signal`, or until the connection is lost; at once while there is none."""
        if self._charger.connected and not signal.fired:
            waits = [signal.wait(), self._charger.closed.wait()]
            await DeferredList(waits, fireOnOneCallback=True, consumeErrors=True)
            for waiting in waits:
                waiting.cancel()


def _parent(info: IdTagInfo | None) -> str | None:
    return None if info is None or info.parent_id_tag is UNSET else info.parent_id_tag
