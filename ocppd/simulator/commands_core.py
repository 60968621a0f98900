"""What a charger does with the commands of the Core profile. OCPP 1.6 sections 5.2 to 5.4, 5.6, 5.8, 5.11, 5.12, 5.14, 5.18."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from ocppd.errors import ErrorCode, OcppdError
from ocppd.simulator.configuration_keys import MAX_KEYS
from ocppd.simulator.connectors import Connector
from ocppd.simulator.failures import AnswerError
from ocppd.simulator.machine import Machine
from ocppd.simulator.profiles import is_sound
from ocppd.simulator.waiting import pause
from ocppd.v16 import core
from ocppd.v16.types import (
    AvailabilityStatus,
    AvailabilityType,
    ChargePointStatus,
    ChargingProfile,
    ChargingProfilePurposeType,
    ClearCacheStatus,
    DataTransferStatus,
    Reason,
    RegistrationStatus,
    RemoteStartStopStatus,
    ResetStatus,
    ResetType,
    UnlockStatus,
)


def change_availability(charger: Machine, request: core.ChangeAvailabilityRequest) -> core.ChangeAvailabilityConfirmation:
    """Now where nobody charges, else after the transaction; 0 means every connector. Kept over a reboot (section 5.2)."""
    if request.connector_id not in charger.connectors:
        return core.ChangeAvailabilityConfirmation(status=AvailabilityStatus.REJECTED)
    chosen = charger.connectors.values() if request.connector_id == 0 else [charger.connectors[request.connector_id]]
    busy = [connector for connector in chosen if connector.transaction is not None]
    for connector in chosen:
        waits = connector in busy or (connector.connector_id == 0 and bool(busy))
        if waits:
            connector.wanted = request.type
        else:
            _change_now(charger, connector, request.type)
    return core.ChangeAvailabilityConfirmation(status=AvailabilityStatus.SCHEDULED if busy else AvailabilityStatus.ACCEPTED)


def _change_now(charger: Machine, connector: Connector, wanted: AvailabilityType) -> None:
    connector.wanted = None
    if connector.availability is not wanted:
        connector.availability = wanted
        charger.afterwards(lambda: charger.charging.rest(connector))


def change_configuration(charger: Machine, request: core.ChangeConfigurationRequest) -> core.ChangeConfigurationConfirmation:
    """The key table decides (section 5.3)."""
    return core.ChangeConfigurationConfirmation(status=charger.configuration.change(request.key, request.value))


def get_configuration(charger: Machine, request: core.GetConfigurationRequest) -> core.GetConfigurationConfirmation:
    """The keys that are asked for; a list beyond GetConfigurationMaxKeys is refused (section 5.8)."""
    wanted = () if request.key is UNSET else request.key
    if len(wanted) > MAX_KEYS:
        raise AnswerError(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, f"more than {MAX_KEYS} keys")
    known, unknown = charger.configuration.read(wanted)
    return core.GetConfigurationConfirmation(configuration_key=known or UNSET, unknown_key=unknown or UNSET)


def clear_cache(charger: Machine, _: core.ClearCacheRequest) -> core.ClearCacheConfirmation:
    """Rejected where there is no cache (errata 3.23)."""
    if not charger.configuration.enabled("AuthorizationCacheEnabled"):
        return core.ClearCacheConfirmation(status=ClearCacheStatus.REJECTED)
    charger.cache.clear()
    return core.ClearCacheConfirmation(status=ClearCacheStatus.ACCEPTED)


def data_transfer(_: Machine, __: core.DataTransferRequest) -> core.DataTransferConfirmation:
    """No vendor has extensions here (section 5.6)."""
    return core.DataTransferConfirmation(status=DataTransferStatus.UNKNOWN_VENDOR_ID)


def remote_start(charger: Machine, request: core.RemoteStartTransactionRequest) -> core.RemoteStartTransactionConfirmation:
    """Accepted where a connector is free and the profile fits; the start follows (section 5.11)."""
    connector = _connector_for(charger, request)
    profile = None if request.charging_profile is UNSET else request.charging_profile
    if connector is None or charger.registration is RegistrationStatus.PENDING or not _fits(profile):
        return core.RemoteStartTransactionConfirmation(status=RemoteStartStopStatus.REJECTED)
    charger.afterwards(lambda: charger.background.run(_start(charger, connector, request.id_tag, profile)))
    return core.RemoteStartTransactionConfirmation(status=RemoteStartStopStatus.ACCEPTED)


def _connector_for(charger: Machine, request: core.RemoteStartTransactionRequest) -> Connector | None:
    if request.connector_id is not UNSET:
        connector = charger.connectors.get(request.connector_id)
        return connector if connector is not None and connector.free and _open_to(charger, connector, request.id_tag) else None
    free = (connector for connector in charger.connectors.values() if connector.free)
    return next((connector for connector in free if _open_to(charger, connector, request.id_tag)), None)


def _open_to(charger: Machine, connector: Connector, id_tag: str) -> bool:
    """Whether no reservation for another stands in the way; the group of the tag is known to the cache at best."""
    reservation = charger.reservations.on(connector.connector_id)
    if reservation is None:
        return True
    cached = charger.cache.find(id_tag)
    parent = None if cached is None or cached.parent_id_tag is UNSET else cached.parent_id_tag
    return reservation.is_for(id_tag, parent)


def _fits(profile: ChargingProfile | None) -> bool:
    """A remote start takes a TxProfile without transaction id, and nothing else (errata 3.41, REQUIREMENTS K-1)."""
    if profile is None:
        return True
    is_tx = profile.charging_profile_purpose is ChargingProfilePurposeType.TX_PROFILE
    return is_tx and profile.transaction_id is UNSET and is_sound(profile)


async def _start(charger: Machine, connector: Connector, id_tag: str, profile: ChargingProfile | None) -> None:
    """The driver plugs in, or does not within ConnectionTimeOut."""
    if charger.options.driver_comes:
        try:
            await charger.charging.start(connector.connector_id, id_tag, remote=True, profile=profile)
        except (OcppdError, ValueError) as failure:
            charger.report(f"remote start failed: {failure}")
        return
    charger.statuses.set(connector, ChargePointStatus.PREPARING)
    await pause(charger.reactor, charger.configuration.number("ConnectionTimeOut"))
    if connector.status is ChargePointStatus.PREPARING:
        charger.charging.rest(connector)


def remote_stop(charger: Machine, request: core.RemoteStopTransactionRequest) -> core.RemoteStopTransactionConfirmation:
    """Accepted for a transaction that runs here; the stop follows (section 5.12)."""
    running = charger.running_transactions()
    transaction = next((each for each in running if each.transaction_id == request.transaction_id), None)
    if transaction is None or charger.registration is RegistrationStatus.PENDING:
        return core.RemoteStopTransactionConfirmation(status=RemoteStartStopStatus.REJECTED)
    charger.afterwards(lambda: charger.background.run(charger.charging.stop(transaction, Reason.REMOTE)))
    return core.RemoteStopTransactionConfirmation(status=RemoteStartStopStatus.ACCEPTED)


def reset(charger: Machine, request: core.ResetRequest) -> core.ResetConfirmation:
    """Always accepted (section 5.14)."""
    hard = request.type is ResetType.HARD
    reason = Reason.HARD_RESET if hard else Reason.SOFT_RESET
    charger.afterwards(lambda: charger.background.run(charger.life.reset(reason, hard=hard)))
    return core.ResetConfirmation(status=ResetStatus.ACCEPTED)


def unlock_connector(charger: Machine, request: core.UnlockConnectorRequest) -> core.UnlockConnectorConfirmation:
    """A running transaction ends first; there is no lock on an unknown connector (section 5.18, errata 3.87)."""
    connector = charger.connectors.get(request.connector_id)
    if connector is None or connector.connector_id == 0:
        return core.UnlockConnectorConfirmation(status=UnlockStatus.NOT_SUPPORTED)
    transaction = connector.transaction
    if transaction is not None:
        charger.afterwards(lambda: charger.background.run(charger.charging.stop(transaction, Reason.UNLOCK_COMMAND, unplug=True)))
    return core.UnlockConnectorConfirmation(status=UnlockStatus.UNLOCKED)


COMMANDS: dict[str, Callable[[Machine, Any], Any]] = {
    "ChangeAvailability": change_availability,
    "ChangeConfiguration": change_configuration,
    "ClearCache": clear_cache,
    "DataTransfer": data_transfer,
    "GetConfiguration": get_configuration,
    "RemoteStartTransaction": remote_start,
    "RemoteStopTransaction": remote_stop,
    "Reset": reset,
    "UnlockConnector": unlock_connector,
}
