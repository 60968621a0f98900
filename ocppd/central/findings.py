"""What was found in one frame or answer, in the words of `deviations`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ocppd.central.calls import Ended
from ocppd.central.oddities import Oddity
from ocppd.errors import CallTimeout, InvalidResponse, OutcomeUnknown
from ocppd.v16 import core, smart_charging
from ocppd.v16.tolerance import Repair
from ocppd.v16.types import ChargingProfilePurposeType, ChargingProfileStatus, Message, RemoteStartStopStatus

#: Actions whose messages are journaled: their frames go to the quarantine in the same commit.
DURABLE: Final = frozenset(
    {
        *("BootNotification", "StatusNotification", "StartTransaction", "StopTransaction", "MeterValues"),
        *("DiagnosticsStatusNotification", "FirmwareStatusNotification", "LogStatusNotification"),
        *("SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification"),
    }
)
_FEATURES: Final = frozenset(
    {"Core", "FirmwareManagement", "LocalAuthListManagement", "Reservation", "SmartCharging", "RemoteTrigger"}
)
#: Keys with a list of measurands, which some chargers do not survive (4.4).
_MEASURANDS: Final = frozenset({"metervaluessampleddata", "metervaluesaligneddata", "stoptxnsampleddata", "stoptxnaligneddata"})
_SECURITY: Final = "Security"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Finding:
    """A deviation in a frame: its kind, and where and how it breaks the schema, where it does."""

    kind: str
    code: str
    pointer: str
    reason: str
    repair: str | None = None
    more: str = ""

    @property
    def detail(self) -> str:
        """What is told of it beside its kind."""
        return f"{self.pointer} {self.more}".strip()


def of_repairs(repairs: Sequence[Repair]) -> list[Finding]:
    """What had to be mended."""
    return [Finding(each.rule, str(each.code), each.pointer, each.fault or each.reason, each.rule) for each in repairs]


def of_oddities(found: Sequence[Oddity]) -> list[Finding]:
    """What a closer look has found."""
    return [
        Finding(
            each.kind,
            "" if each.breach is None else str(each.breach.code),
            each.pointer,
            "" if each.breach is None else each.breach.reason,
            more="" if each.breach is not None else each.detail,
        )
        for each in found
    ]


def encoded(found: Sequence[Finding]) -> str:
    """As they are kept: a JSON list of objects without what does not apply."""
    return _encode(
        [
            {
                name: value
                for name, value in (
                    ("kind", each.kind),
                    ("code", each.code),
                    ("pointer", each.pointer),
                    ("reason", each.reason),
                    ("repair", each.repair),
                )
                if value
            }
            for each in found
        ]
    ).decode()


def of_end(request: Message, ended: Ended) -> Iterator[tuple[str, str]]:
    """What the end of a call of ours says about its charger: kinds, each with a detail."""
    action = type(request).__name__.removesuffix("Request")
    result = ended.result
    if isinstance(result, InvalidResponse):
        yield "answer-invalid", f"{action}: {ended.end.detail or ''}"
    if ended.repairs:
        yield "answer-mended", f"{action}: {', '.join(sorted(set(ended.repairs)))}"
    match request, result:
        case core.ChangeConfigurationRequest(), CallTimeout() | OutcomeUnknown() if request.key.casefold() in _MEASURANDS:
            yield "probe-failed", request.key
        case core.RemoteStartTransactionRequest(), core.RemoteStartTransactionConfirmation():
            if result.status is RemoteStartStopStatus.REJECTED and isinstance(request.connector_id, msgspec.UnsetType):
                yield "connector-demanded", ""
        case smart_charging.SetChargingProfileRequest(), smart_charging.SetChargingProfileConfirmation():
            yield from _of_profile(request, result)
        case _, core.GetConfigurationConfirmation():
            yield from _of_configuration(result)


def _of_profile(
    request: smart_charging.SetChargingProfileRequest, result: smart_charging.SetChargingProfileConfirmation
) -> Iterator[tuple[str, str]]:
    purpose = request.cs_charging_profiles.charging_profile_purpose
    if result.status is ChargingProfileStatus.REJECTED and purpose is not ChargingProfilePurposeType.TX_DEFAULT_PROFILE:
        yield "profile-rejected", str(purpose)


def _of_configuration(result: core.GetConfigurationConfirmation) -> Iterator[tuple[str, str]]:
    keys = () if isinstance(result.configuration_key, msgspec.UnsetType) else result.configuration_key
    for each in keys:
        value = "" if isinstance(each.value, msgspec.UnsetType) else each.value
        names = [name for name in value.split(",") if name]
        match each.key.casefold():
            case "chargingscheduleallowedchargingrateunit" if {name.strip() for name in names} & {"W", "A"}:
                yield "rate-unit-misspelt", value
            case "supportedfeatureprofiles" if any(
                name != name.strip() or (name.strip() not in _FEATURES and not name.strip().startswith(_SECURITY))
                for name in names
            ):
                yield "profiles-with-blanks", value
