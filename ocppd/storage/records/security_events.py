"""What chargers tell of their security."""

from __future__ import annotations

from dataclasses import dataclass

#: REQUIREMENTS V-11, the security white paper's list: those that are pushed to the central system.
CRITICAL_TYPES = frozenset(
    {
        "FirmwareUpdated",
        "MemoryExhaustion",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "TamperDetectionActivated",
    }
)
#: Those that may be in the charger's security log alone. Any other type is a vendor's, or of a later version.
OTHER_TYPES = frozenset(
    {
        "AttemptedReplayAttacks",
        "CentralSystemFailedToAuthenticate",
        "FailedToAuthenticateAtCentralSystem",
        "InvalidCentralSystemCertificate",
        "InvalidChargePointCertificate",
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "InvalidMessages",
        "InvalidTLSCipherSuite",
        "InvalidTLSVersion",
        "ReconfigurationOfSecurityParameters",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """Something that a charger tells. `timestamp_ms` is None where what it told is no instant.

    `message_id` is that of the call of ours that it follows from, `request_id` the request for a certificate.
    """

    sequence: int
    charger: str
    type: str
    critical: bool
    timestamp_ms: int | None
    received_ms: int
    tech_info: str | None
    message_id: str | None = None
    request_id: int | None = None


@dataclass(frozen=True, slots=True)
class SecurityEventFilter:
    """Which events; None is any. The times are of receipt."""

    charger: str | None = None
    type: str | None = None
    critical: bool | None = None
    since_ms: int | None = None
    until_ms: int | None = None
