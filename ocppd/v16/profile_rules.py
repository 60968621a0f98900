"""What a charging profile must be to make sense for its purpose, its kind and its message. REQUIREMENTS K-1 to K-3.

By the letter of sections 3.13, 5.16 and 7.8 to 7.14 and their errata. Looks at JSON values and takes nothing for granted: a
value of the wrong type is somebody else's finding. What a charger can do is no concern of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from ocppd.errors import ErrorCode, Violation
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import ChargingProfileKindType, ChargingProfilePurposeType, RecurrencyKindType

_Object = Mapping[str, Any]

#: After how many seconds a recurring schedule begins again.
RECURRENCE_S: Final[Mapping[str, int]] = {RecurrencyKindType.DAILY: 86_400, RecurrencyKindType.WEEKLY: 7 * 86_400}
#: A car has as many; an absent numberPhases means all of them (section 7.14).
MOST_PHASES: Final = 3


def set_charging_profile(value: _Object, pointer: str) -> Iterator[Violation]:
    """The profile goes with the connector, and a transaction is named where it must be (K-1)."""
    profile = value.get("csChargingProfiles")
    connector = _integer(value.get("connectorId"))
    if connector is not None and connector < 0:
        yield _wrong(f"{pointer}/connectorId", "0 for the charger as a whole, or a connector")
    if not isinstance(profile, dict):
        return
    at = f"{pointer}/csChargingProfiles"
    purpose = profile.get("chargingProfilePurpose")
    if purpose == ChargingProfilePurposeType.CHARGE_POINT_MAX_PROFILE and connector is not None and connector > 0:
        yield _wrong(f"{pointer}/connectorId", "a ChargePointMaxProfile is for connector 0")
    if purpose == ChargingProfilePurposeType.TX_PROFILE:
        if connector == 0:
            yield _wrong(f"{pointer}/connectorId", "a TxProfile is for the connector of its transaction")
        if "transactionId" not in profile:
            yield _missing(f"{at}/transactionId", "required with purpose TxProfile")
    yield from _profile(profile, at)


def remote_start(value: _Object, pointer: str) -> Iterator[Violation]:
    """Only a profile for the transaction to come can be given to it (K-1, errata 3.41, 3.42)."""
    profile = value.get("chargingProfile")
    if not isinstance(profile, dict):
        return
    at = f"{pointer}/chargingProfile"
    purpose = profile.get("chargingProfilePurpose")
    if purpose in (ChargingProfilePurposeType.CHARGE_POINT_MAX_PROFILE, ChargingProfilePurposeType.TX_DEFAULT_PROFILE):
        yield _wrong(f"{at}/chargingProfilePurpose", "only TxProfile in a RemoteStartTransaction")
    yield from _profile(profile, at)


def _profile(profile: _Object, at: str) -> Iterator[Violation]:
    """What holds for a profile in whatever message (K-2, K-3)."""
    kind = profile.get("chargingProfileKind")
    schedule = profile.get("chargingSchedule")
    if kind == ChargingProfileKindType.RECURRING and "recurrencyKind" not in profile:
        yield _missing(f"{at}/recurrencyKind", "required with kind Recurring")
    yield from _validity(profile, at)
    if not isinstance(schedule, dict):
        return
    if kind in (ChargingProfileKindType.ABSOLUTE, ChargingProfileKindType.RECURRING) and "startSchedule" not in schedule:
        yield _missing(f"{at}/chargingSchedule/startSchedule", f"required with kind {kind}")
    yield from _schedule(schedule, f"{at}/chargingSchedule")
    if kind == ChargingProfileKindType.RECURRING:
        recurrence_s = RECURRENCE_S.get(str(profile.get("recurrencyKind")))
        duration = _integer(schedule.get("duration"))
        if recurrence_s is not None and duration is not None and duration > recurrence_s:
            yield _wrong(f"{at}/chargingSchedule/duration", f"longer than the {recurrence_s} s after which it recurs")


def _validity(profile: _Object, at: str) -> Iterator[Violation]:
    """What ends before it begins is never valid (K-5)."""
    begins, ends = _instant(profile.get("validFrom")), _instant(profile.get("validTo"))
    if begins is not None and ends is not None and ends < begins:
        yield _wrong(f"{at}/validTo", "earlier than validFrom")


def _schedule(schedule: _Object, at: str) -> Iterator[Violation]:
    duration = _integer(schedule.get("duration"))
    if duration is not None and duration <= 0:
        yield _wrong(f"{at}/duration", "must be positive; leave it out for a schedule without end")
    if _is_negative(schedule.get("minChargingRate")):
        yield _wrong(f"{at}/minChargingRate", "must not be negative")
    periods = schedule.get("chargingSchedulePeriod")
    if not isinstance(periods, list | tuple):
        return
    before: int | None = None
    for index, period in enumerate(periods):
        if not isinstance(period, dict):
            continue
        here = f"{at}/chargingSchedulePeriod/{index}"
        start = _integer(period.get("startPeriod"))
        if start is not None:
            if before is not None and start <= before:
                yield _wrong(f"{here}/startPeriod", "not later than the period before")
            elif duration is not None and index > 0 and start >= duration > 0:
                yield _wrong(f"{here}/startPeriod", "not within the duration of the schedule")
            before = start
        yield from _period(period, here)


def _period(period: _Object, at: str) -> Iterator[Violation]:
    if _is_negative(period.get("limit")):
        yield _wrong(f"{at}/limit", "must not be negative")
    phases = _integer(period.get("numberPhases"))
    if phases is not None and not 1 <= phases <= MOST_PHASES:
        yield _wrong(f"{at}/numberPhases", f"1 to {MOST_PHASES}")


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_negative(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and value < 0
    return isinstance(value, int | float) and not isinstance(value, bool) and value < 0


def _instant(value: Any) -> int | None:
    try:
        return parse_timestamp(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _wrong(pointer: str, reason: str) -> Violation:
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)


def _missing(pointer: str, reason: str) -> Violation:
    return Violation(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, pointer, reason)
