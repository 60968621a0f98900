"""The configuration keys of a charger and what they accept. OCPP 1.6 section 9, REQUIREMENTS 2.6. Knows no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ocppd.simulator.samples import is_measurable
from ocppd.v16.types import ConfigurationStatus, KeyValue

#: What one GetConfiguration may ask for, and what its answer holds.
MAX_KEYS = 100
#: A list of measurands longer than this is refused.
MAX_LIST_ITEMS = 20
#: One Full update fits; so does a list of the size that small chargers hold.
MAX_LOCAL_LIST = 1000
MAX_STACK_LEVEL = 10
MAX_PERIODS = 24
MAX_PROFILES = 50
MAX_CERTIFICATES = 10
MAX_CHAIN_SIZE = 10000
#: Intermediate samples beyond this are thinned out of StopTransaction (errata 3.91).
MAX_STOP_METER_VALUES = 500

Check = Callable[[str, str], bool]

_TRUE = "true"
_ROTATION = re.compile(r"\d+\.(NotApplicable|Unknown|R[ST]{2}|S[RT]{2}|T[RS]{2})")
_AUTHORIZATION_KEY = re.compile(r"([0-9a-fA-F]{2}){16,20}")


def items(text: str) -> list[str]:
    """The items of a comma separated list, trimmed; none for an empty text."""
    return [item.strip() for item in text.split(",") if item.strip()]


def _boolean(_: str, value: str) -> bool:
    return value.lower() in ("true", "false")


def _at_least(least: int) -> Check:
    def check(_: str, value: str) -> bool:
        return value.isascii() and value.removeprefix("-").isdigit() and least <= int(value) < 2**31

    return check


def _list_of(allowed: Callable[[str], bool]) -> Check:
    return lambda _, value: len(items(value)) <= MAX_LIST_ITEMS and all(allowed(item) for item in items(value))


def _text(_: str, value: str) -> bool:
    return True


def _upward(current: str, value: str) -> bool:
    """A security profile is never lowered over OCPP (REQUIREMENTS Y-2)."""
    return value.isascii() and value.isdigit() and int(current) < int(value) <= 3


def _hex_key(_: str, value: str) -> bool:
    return _AUTHORIZATION_KEY.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `check(current, new)` says whether a value is accepted, None makes the key read-only.

    `reboot`: kept, but in force only after the next boot. `secret`: may be set, is never shown.
    """

    name: str
    default: str
    check: Check | None = None
    reboot: bool = False
    secret: bool = False


_measurands = _list_of(is_measurable)
_LIST_LIMIT = str(MAX_LIST_ITEMS)
_PROFILES = "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"

_CORE = (
    Key("AllowOfflineTxForUnknownId", "false", _boolean),
    Key("AuthorizationCacheEnabled", "true", _boolean),
    Key("AuthorizeRemoteTxRequests", "false", _boolean),
    Key("BlinkRepeat", "3", _at_least(0)),
    Key("ClockAlignedDataInterval", "0", _at_least(0)),
    Key("ConnectionTimeOut", "60", _at_least(0)),
    Key("ConnectorPhaseRotationMaxLength", _LIST_LIMIT),
    Key("GetConfigurationMaxKeys", str(MAX_KEYS)),
    Key("HeartbeatInterval", "300", _at_least(1)),
    Key("LightIntensity", "50", lambda _, value: value.isascii() and value.isdigit() and int(value) <= 100),
    Key("LocalAuthorizeOffline", "true", _boolean),
    Key("LocalPreAuthorize", "false", _boolean),
    Key("MaxEnergyOnInvalidId", "0", _at_least(0)),
    Key("MessageTimeout", "30", _at_least(1)),
    Key("MeterValueSampleInterval", "60", _at_least(0)),
    Key("MeterValuesAlignedData", "Energy.Active.Import.Register", _measurands),
    Key("MeterValuesAlignedDataMaxLength", _LIST_LIMIT),
    Key("MeterValuesSampledData", "Energy.Active.Import.Register,Power.Active.Import", _measurands),
    Key("MeterValuesSampledDataMaxLength", _LIST_LIMIT),
    Key("MinimumStatusDuration", "0", _at_least(0)),
    Key("ResetRetries", "1", _at_least(0)),
    Key("StopTransactionMaxMeterValues", str(MAX_STOP_METER_VALUES)),
    Key("StopTransactionOnEVSideDisconnect", "true", _boolean),
    Key("StopTransactionOnInvalidId", "true", _boolean),
    Key("StopTxnAlignedData", "", _measurands),
    Key("StopTxnAlignedDataMaxLength", _LIST_LIMIT),
    Key("StopTxnSampledData", "", _measurands),
    Key("StopTxnSampledDataMaxLength", _LIST_LIMIT),
    Key("SupportedFeatureProfiles", _PROFILES),
    Key("TransactionMessageAttempts", "3", _at_least(1)),
    Key("TransactionMessageRetryInterval", "30", _at_least(0)),
    Key("UnlockConnectorOnEVSideDisconnect", "true", _boolean),
    Key("WebSocketPingInterval", "0", _at_least(0)),
)

#: The keys of the other profiles and of the security extension.
_OTHERS = (
    Key("LocalAuthListEnabled", _TRUE, _boolean),
    Key("LocalAuthListMaxLength", str(MAX_LOCAL_LIST)),
    Key("SendLocalListMaxLength", str(MAX_LOCAL_LIST)),
    Key("ReserveConnectorZeroSupported", _TRUE),
    Key("ChargeProfileMaxStackLevel", str(MAX_STACK_LEVEL)),
    Key("ChargingScheduleAllowedChargingRateUnit", "Current,Power"),
    Key("ChargingScheduleMaxPeriods", str(MAX_PERIODS)),
    Key("ConnectorSwitch3to1PhaseSupported", "false"),
    Key("MaxChargingProfilesInstalled", str(MAX_PROFILES)),
    Key("SupportedFileTransferProtocols", "FTP,FTPS,HTTP,HTTPS"),
    Key("AdditionalRootCertificateCheck", "false"),
    Key("AuthorizationKey", "", _hex_key, secret=True),
    Key("CertificateSignedMaxChainSize", str(MAX_CHAIN_SIZE)),
    Key("CertificateStoreMaxLength", str(MAX_CERTIFICATES)),
    Key("CpoName", "", _text),
    Key("SecurityProfile", "0", _upward),
)


def standard_keys(connectors: int) -> tuple[Key, ...]:
    """All keys of a charger with that many connectors."""
    rotation = ",".join(f"{connector}.RST" for connector in range(connectors + 1))
    is_rotation = _list_of(lambda item: _ROTATION.fullmatch(item) is not None)
    own = (
        Key("ConnectorPhaseRotation", rotation, is_rotation, reboot=True),
        Key("NumberOfConnectors", str(connectors)),
    )
    return tuple(sorted((*_CORE, *own), key=lambda key: key.name)) + _OTHERS


class Configuration:
    """The values of the keys. `changed` is called with the name of a key after its value changed."""

    def __init__(self, keys: Iterable[Key], changed: Callable[[str], None]) -> None:
        self._keys = {key.name.lower(): key for key in keys}
        self._values = {key.name: key.default for key in self._keys.values()}
        self._after_boot: dict[str, str] = {}
        self._changed = changed

    def text(self, name: str) -> str:
        """The value in force."""
        return self._values[name]

    def number(self, name: str) -> int:
        """The value of an integer key."""
        return int(self._values[name])

    def enabled(self, name: str) -> bool:
        """The value of a boolean key."""
        return self._values[name].lower() == _TRUE

    def list(self, name: str) -> list[str]:
        """The items of a list key."""
        return items(self._values[name])

    def put(self, name: str, value: str) -> None:
        """Set a value from inside, read-only keys too; nobody is told."""
        self._values[self._keys[name.lower()].name] = value

    def change(self, name: str, value: str) -> ConfigurationStatus:
        """Set a value as ChangeConfiguration does (section 5.3); keys are compared without case (REQUIREMENTS G-3)."""
        key = self._keys.get(name.lower())
        if key is None:
            return ConfigurationStatus.NOT_SUPPORTED
        if key.check is None or not key.check(self._values[key.name], value):
            return ConfigurationStatus.REJECTED
        if key.reboot:
            self._after_boot[key.name] = value
            return ConfigurationStatus.REBOOT_REQUIRED
        self._values[key.name] = value
        self._changed(key.name)
        return ConfigurationStatus.ACCEPTED

    def read(self, names: Iterable[str]) -> tuple[tuple[KeyValue, ...], tuple[str, ...]]:
        """What is known of `names`, all keys where there are none, and which of them no key has (section 5.8)."""
        wanted = list(names)
        if not wanted:
            return tuple(self._shown(key) for key in self._keys.values()), ()
        known = tuple(self._shown(self._keys[name.lower()]) for name in wanted if name.lower() in self._keys)
        return known, tuple(name for name in wanted if name.lower() not in self._keys)

    def booted(self) -> None:
        """Values that waited for a boot are in force."""
        self._values.update(self._after_boot)
        self._after_boot.clear()

    def _shown(self, key: Key) -> KeyValue:
        if key.secret:
            return KeyValue(key=key.name, readonly=False)
        value = self._after_boot.get(key.name, self._values[key.name])
        return KeyValue(key=key.name, readonly=key.check is None, value=value)
