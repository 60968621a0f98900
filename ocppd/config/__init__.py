"""What an operator decides: configs.json and the options of the daemon, as frozen values. Knows no reactor and no room."""

from __future__ import annotations

from ocppd.config.file import MAX_ACTIVE_LIMIT, MAX_ID_TAG_LENGTH, load_configuration
from ocppd.config.values import (
    CertificateName,
    CertificatePolicy,
    ChargerSettings,
    Configuration,
    Handshake,
    IdTagSettings,
    LogFormat,
    LogLevel,
    Mode,
    ModelSettings,
    Registration,
    RetentionSettings,
    Settings,
    UnknownIdTags,
)

__all__ = [
    "MAX_ACTIVE_LIMIT",
    "MAX_ID_TAG_LENGTH",
    "CertificateName",
    "CertificatePolicy",
    "ChargerSettings",
    "Configuration",
    "Handshake",
    "IdTagSettings",
    "LogFormat",
    "LogLevel",
    "Mode",
    "ModelSettings",
    "Registration",
    "RetentionSettings",
    "Settings",
    "UnknownIdTags",
    "load_configuration",
]
