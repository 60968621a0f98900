"""What members of one message owe to each other, where the definition of messages itself says so. Knows no shapes.

Each rule looks at the JSON value of one kind of struct and takes nothing for granted: the value may be broken otherwise.
What a charging profile must be in the messages that install one is in `profile_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ocppd.errors import ErrorCode, Violation
from ocppd.v16 import profile_rules
from ocppd.v16.core import RemoteStartTransactionRequest
from ocppd.v16.local_auth_list import SendLocalListRequest
from ocppd.v16.remote_trigger import TriggerMessageRequest
from ocppd.v16.security import SignedFirmwareStatusNotificationRequest
from ocppd.v16.smart_charging import SetChargingProfileRequest
from ocppd.v16.types import (
    ChargingProfile,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingSchedule,
    FirmwareStatusEnumType,
    MessageTrigger,
    UpdateType,
)

_Object = Mapping[str, Any]
_Rule = Callable[[_Object, str], Iterator[Violation]]


def broken(kind: type, value: _Object, pointer: str) -> Iterator[Violation]:
    """The rules for `kind` that `value`, which stands at `pointer`, breaks."""
    for rule in _RULES.get(kind, ()):
        yield from rule(value, pointer)


def _value(pointer: str, reason: str) -> Violation:
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)


def _occurrence(pointer: str, reason: str) -> Violation:
    return Violation(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, pointer, reason)


def _list_version(value: _Object, pointer: str) -> Iterator[Violation]:
    """Versions are above 0; 0 and -1 have a meaning of their own (errata 3.52, REQUIREMENTS L-1)."""
    version = value.get("listVersion")
    if isinstance(version, int) and not isinstance(version, bool) and version < 1:
        yield _value(f"{pointer}/listVersion", "above 0")


def _full_list(value: _Object, pointer: str) -> Iterator[Violation]:
    """Every entry of a full list has its verdict (section 7.1)."""
    entries = value.get("localAuthorizationList")
    if value.get("updateType") != UpdateType.FULL or not isinstance(entries, list | tuple):
        return
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and "idTagInfo" not in entry:
            yield _occurrence(f"{pointer}/localAuthorizationList/{index}/idTagInfo", "required when updateType is Full")


def _first_period(value: _Object, pointer: str) -> Iterator[Violation]:
    """A schedule begins with its first period (section 7.14)."""
    periods = value.get("chargingSchedulePeriod")
    first = periods[0] if isinstance(periods, list | tuple) and periods else None
    start = first.get("startPeriod") if isinstance(first, dict) else None
    if isinstance(start, int) and start != 0:
        yield _value(f"{pointer}/chargingSchedulePeriod/0/startPeriod", "the first period starts at 0")


def _profile_members(value: _Object, pointer: str) -> Iterator[Violation]:
    """Members of a profile that go with one purpose or one kind alone (section 7.8, errata 3.56)."""
    purpose, kind, schedule = (value.get(name) for name in ("chargingProfilePurpose", "chargingProfileKind", "chargingSchedule"))
    if "transactionId" in value and purpose != ChargingProfilePurposeType.TX_PROFILE:
        yield _occurrence(f"{pointer}/transactionId", "only with purpose TxProfile")
    if "recurrencyKind" in value and kind != ChargingProfileKindType.RECURRING:
        yield _occurrence(f"{pointer}/recurrencyKind", "only with kind Recurring")
    if kind == ChargingProfileKindType.RELATIVE and isinstance(schedule, dict) and "startSchedule" in schedule:
        yield _occurrence(f"{pointer}/chargingSchedule/startSchedule", "not with kind Relative")


def _remote_start_profile(value: _Object, pointer: str) -> Iterator[Violation]:
    """A profile for a transaction to come cannot name it (section 6.33)."""
    profile = value.get("chargingProfile")
    if isinstance(profile, dict) and "transactionId" in profile:
        yield _occurrence(f"{pointer}/chargingProfile/transactionId", "not in a RemoteStartTransaction")


_WITH_CONNECTOR_0 = (MessageTrigger.STATUS_NOTIFICATION, MessageTrigger.METER_VALUES)


def _trigger_connector(value: _Object, pointer: str) -> Iterator[Violation]:
    """Connector 0 is there only for what the charger as a whole reports (section 5.17 against 6.51)."""
    connector = value.get("connectorId")
    if connector == 0 and connector is not False and value.get("requestedMessage") not in _WITH_CONNECTOR_0:
        yield _value(f"{pointer}/connectorId", "0 only for StatusNotification and MeterValues")


def _firmware_request_id(value: _Object, pointer: str) -> Iterator[Violation]:
    """Only an idle charger has no request to name (white paper L01)."""
    if "requestId" not in value and value.get("status") != FirmwareStatusEnumType.IDLE:
        yield _occurrence(f"{pointer}/requestId", "required unless status is Idle")


_RULES: dict[type, tuple[_Rule, ...]] = {
    SendLocalListRequest: (_list_version, _full_list),
    ChargingSchedule: (_first_period,),
    ChargingProfile: (_profile_members,),
    RemoteStartTransactionRequest: (_remote_start_profile, profile_rules.remote_start),
    SetChargingProfileRequest: (profile_rules.set_charging_profile,),
    TriggerMessageRequest: (_trigger_connector,),
    SignedFirmwareStatusNotificationRequest: (_firmware_request_id,),
}
