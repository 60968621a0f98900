"""The configuration keys that OCPP 1.6 and its security extension name, and what their values may be. Section 9, errata 3.80
to 3.91, the security white paper section 7; REQUIREMENTS 2.6. Knows no charger and no I/O.

Keys compare ignoring case (G-3). All others are vendors' keys, whose values are any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from ocppd.v16.actions import Profile
from ocppd.v16.types import INT32_MAX

#: Its value is a password; it is set with the credentials of a charger, and never read (Z-8).
AUTHORIZATION_KEY: Final = "AuthorizationKey"
SECURITY_PROFILE: Final = "SecurityProfile"
#: What a key's name, its letters alone and in lower case, has in it where its value is a secret.
SECRET_MARKS: Final = (
    *("authorizationkey", "password", "passwd", "passphrase", "passcode", "pincode", "secret", "credential"),
    *("apikey", "privatekey", "presharedkey", "encryptionkey", "accesstoken", "authtoken"),
)
#: What it ends with.
SECRET_ENDINGS: Final = ("pwd", "psk", "pin")

_INTEGER: Final = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_NO_LETTERS: Final = re.compile("[^a-z]+")


class ValueType(StrEnum):
    """What the text of a value stands for."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    LIST = "list"
    TEXT = "text"


class KeyAccess(StrEnum):
    """Who may do what with a key, as the central system sees it; EITHER is read-only at some chargers."""

    READ = "R"
    WRITE = "W"
    READ_WRITE = "RW"
    EITHER = "R or RW"


@dataclass(frozen=True, slots=True)
class StandardKey:
    """One key. `required`: by every charger that has its profile. The bounds are those of an integer."""

    name: str
    profile: Profile
    type: ValueType
    access: KeyAccess = KeyAccess.READ_WRITE
    required: bool = False
    unit: str | None = None
    least: int = 0
    most: int = INT32_MAX

    def fault(self, value: str) -> str | None:
        """What is wrong with a value, or None. A list, and a text, may be empty."""
        match self.type:
            case ValueType.BOOLEAN if value.lower() not in ("true", "false"):
                return "expected true or false"
            case ValueType.INTEGER if not _INTEGER.fullmatch(value) or not self.least <= int(value) <= self.most:
                return f"expected an integer from {self.least} to {self.most}"
            case ValueType.LIST if value.strip() and not all(item.strip() for item in value.split(",")):
                return "expected a comma separated list without empty items"
        return None


_BOOLEAN, _INT, _LIST, _TEXT = ValueType.BOOLEAN, ValueType.INTEGER, ValueType.LIST, ValueType.TEXT
_SECONDS, _TIMES = "seconds", "times"


def _of(profile: Profile, kind: ValueType, names: str, access: KeyAccess = KeyAccess.READ_WRITE) -> list[StandardKey]:
    """Keys of one sort; a star marks the required ones."""
    return [StandardKey(name.rstrip("*"), profile, kind, access, name.endswith("*")) for name in names.split()]


def _units(keys: Iterable[StandardKey], **units: str) -> list[StandardKey]:
    return [replace(key, unit=units.get(key.name)) for key in keys]


_TABLE: Final = (
    *_of(Profile.CORE, _BOOLEAN, "AllowOfflineTxForUnknownId AuthorizationCacheEnabled LocalAuthorizeOffline*"),
    *_of(Profile.CORE, _BOOLEAN, "LocalPreAuthorize* StopTransactionOnInvalidId*"),
    *_of(
        Profile.CORE,
        _BOOLEAN,
        "AuthorizeRemoteTxRequests* StopTransactionOnEVSideDisconnect UnlockConnectorOnEVSideDisconnect*",
        KeyAccess.EITHER,
    ),
    *_units(
        _of(Profile.CORE, _INT, "BlinkRepeat ClockAlignedDataInterval* ConnectionTimeOut* HeartbeatInterval*")
        + _of(Profile.CORE, _INT, "MaxEnergyOnInvalidId MeterValueSampleInterval* MinimumStatusDuration ResetRetries*")
        + _of(Profile.CORE, _INT, "TransactionMessageAttempts* TransactionMessageRetryInterval* WebSocketPingInterval")
        + _of(Profile.CORE, _INT, "MessageTimeout"),
        **dict.fromkeys(("BlinkRepeat", "ResetRetries", "TransactionMessageAttempts"), _TIMES),
        **dict.fromkeys(
            (
                *("ClockAlignedDataInterval", "ConnectionTimeOut", "HeartbeatInterval", "MeterValueSampleInterval"),
                *("MinimumStatusDuration", "TransactionMessageRetryInterval", "WebSocketPingInterval", "MessageTimeout"),
            ),
            _SECONDS,
        ),
        MaxEnergyOnInvalidId="Wh",
    ),
    StandardKey("LightIntensity", Profile.CORE, _INT, unit="%", most=100),
    *_of(Profile.CORE, _LIST, "ConnectorPhaseRotation* MeterValuesAlignedData* MeterValuesSampledData*"),
    *_of(Profile.CORE, _LIST, "StopTxnAlignedData* StopTxnSampledData*"),
    *_of(Profile.CORE, _INT, "ConnectorPhaseRotationMaxLength GetConfigurationMaxKeys* NumberOfConnectors*", KeyAccess.READ),
    *_of(Profile.CORE, _INT, "MeterValuesAlignedDataMaxLength MeterValuesSampledDataMaxLength", KeyAccess.READ),
    *_of(Profile.CORE, _INT, "StopTxnAlignedDataMaxLength StopTxnSampledDataMaxLength", KeyAccess.READ),
    *_of(Profile.CORE, _INT, "StopTransactionMaxMeterValues SupportedFeatureProfilesMaxLength", KeyAccess.READ),
    *_of(Profile.CORE, _LIST, "SupportedFeatureProfiles*", KeyAccess.READ),
    *_of(Profile.FIRMWARE_MANAGEMENT, _LIST, "SupportedFileTransferProtocols", KeyAccess.READ),
    *_of(Profile.LOCAL_AUTH_LIST_MANAGEMENT, _BOOLEAN, "LocalAuthListEnabled*"),
    *_of(Profile.LOCAL_AUTH_LIST_MANAGEMENT, _INT, "LocalAuthListMaxLength* SendLocalListMaxLength*", KeyAccess.READ),
    *_of(Profile.RESERVATION, _BOOLEAN, "ReserveConnectorZeroSupported", KeyAccess.READ),
    *_of(Profile.SMART_CHARGING, _INT, "ChargeProfileMaxStackLevel* ChargingScheduleMaxPeriods*", KeyAccess.READ),
    *_of(Profile.SMART_CHARGING, _INT, "MaxChargingProfilesInstalled*", KeyAccess.READ),
    *_of(Profile.SMART_CHARGING, _LIST, "ChargingScheduleAllowedChargingRateUnit*", KeyAccess.READ),
    *_of(Profile.SMART_CHARGING, _BOOLEAN, "ConnectorSwitch3to1PhaseSupported", KeyAccess.READ),
    *_of(Profile.SECURITY_EXTENSION, _TEXT, AUTHORIZATION_KEY, KeyAccess.WRITE),
    *_of(Profile.SECURITY_EXTENSION, _BOOLEAN, "AdditionalRootCertificateCheck", KeyAccess.READ),
    StandardKey(
        "CertificateSignedMaxChainSize", Profile.SECURITY_EXTENSION, _INT, KeyAccess.READ, unit="characters", most=10_000
    ),
    *_of(Profile.SECURITY_EXTENSION, _INT, "CertificateStoreMaxLength", KeyAccess.READ),
    *_of(Profile.SECURITY_EXTENSION, _TEXT, "CpoName"),
    StandardKey(SECURITY_PROFILE, Profile.SECURITY_EXTENSION, _INT, most=3),
)


def key_of(name: str) -> str:
    """A key for comparison: ignoring case (G-3)."""
    return name.lower()


STANDARD_KEYS: Final = MappingProxyType({key_of(key.name): key for key in _TABLE})


def standard_key(name: str) -> StandardKey | None:
    """What the specification says of a key; None for a vendor's."""
    return STANDARD_KEYS.get(key_of(name))


def required_keys(profiles: Iterable[Profile]) -> list[str]:
    """The names of the keys that a charger with these profiles must have."""
    wanted = set(profiles)
    return [key.name for key in _TABLE if key.required and key.profile in wanted]


def is_secret(name: str) -> bool:
    """Whether the value of this key is a secret: by its name, since vendors have passwords of their own."""
    letters = _NO_LETTERS.sub("", name.lower())
    return letters.endswith(SECRET_ENDINGS) or any(mark in letters for mark in SECRET_MARKS)


# Values


def integer_of(value: str) -> int | None:
    """The integer that a value is, blanks around it aside; None for anything else."""
    text = value.strip()
    return int(text) if _INTEGER.fullmatch(text) else None


def boolean_of(value: str) -> bool | None:
    """The boolean that a value is, in any case; None for anything else."""
    return {"true": True, "false": False}.get(value.strip().lower())


def items_of(value: str) -> tuple[str, ...]:
    """The items of a comma separated list, trimmed, without empty ones: chargers write blanks after commas."""
    return tuple(item.strip() for item in value.split(",") if item.strip())


def is_same(name: str, one: str, other: str) -> bool:
    """Whether two values of a key mean the same: `True` is `true`, and lists have blanks where they like."""
    if one == other:
        return True
    known = standard_key(name)
    if known is None or known.type is ValueType.TEXT:
        return False
    reading = {ValueType.BOOLEAN: boolean_of, ValueType.INTEGER: integer_of, ValueType.LIST: items_of}[known.type]
    left, right = reading(one), reading(other)
    return left is not None and left == right
