"""Chargers whose settings are in the records: read from their JSON, told as JSON, and put beside those of configs.json.

The JSON was checked when it came in (`net.rest.v1.charger_bodies`); a member that is not known was written by a newer ocppd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from ocppd.config.file import retry_interval_s
from ocppd.config.values import (
    CertificateName,
    CertificatePolicy,
    ChargerSettings,
    Configuration,
    Mode,
    Registration,
)

#: The members of the JSON object: the setting, and what reads it.
MEMBERS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "tags": ("tags", tuple),
    "registration": ("registration", Registration),
    "heartbeatInterval": ("heartbeat_interval_s", int),
    "retryInterval": ("retry_interval_s", int),
    "mode": ("mode", Mode),
    "assumeSubprotocol": ("assume_subprotocol", bool),
    "callTimeout": ("call_timeout_s", float),
    "pingInterval": ("ping_interval_s", float),
    "quiet": ("quiet", bool),
    "acceptWithoutBoot": ("accept_without_boot", bool),
    "readConfiguration": ("read_configuration", bool),
    "spreadHeartbeats": ("spread_heartbeats", bool),
    "supplyVoltage": ("supply_voltage_v", int),
    "supplyPhases": ("supply_phases", int),
    "serialNumber": ("serial_number", str),
    "certificatePolicy": ("certificate_policy", CertificatePolicy),
    "certificateName": ("certificate_name", CertificateName),
    "repairs": ("repairs", dict),
}


def settings_of(name: str, given: Mapping[str, Any], common: Mapping[str, Any], *, protected: bool) -> ChargerSettings:
    """The settings that the JSON object `given` describes, over those that are common to all chargers."""
    told = {setting: read(given[member]) for member, (setting, read) in MEMBERS.items() if member in given}
    whole = {**common, **told}
    whole.setdefault("retry_interval_s", retry_interval_s(whole.get("registration", Registration.ACCEPTED)))
    return ChargerSettings(name=name, protected=protected, **whole)


def json_of(settings: ChargerSettings) -> dict[str, Any]:
    """All settings as JSON, without the name and without any password; what nobody has said is left out."""
    told = {member: getattr(settings, setting) for member, (setting, _) in MEMBERS.items()}
    return {member: _plain(value) for member, value in told.items() if value is not None}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def merged(file: Configuration, entered: Mapping[str, ChargerSettings], protected: Mapping[str, bool]) -> Configuration:
    """Both together; a charger that stands in both is as configs.json says, but for its password."""
    chargers = {**entered, **file.chargers}
    for name, is_protected in protected.items():
        if is_protected and name in chargers:
            chargers[name] = replace(chargers[name], protected=True)
    return replace(file, chargers=MappingProxyType(chargers))
