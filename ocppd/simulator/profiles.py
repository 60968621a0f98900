"""The charging profiles a charger has installed. OCPP 1.6 sections 3.13, 5.5, 5.16. Knows no I/O.

Which limit they add up to is in `schedules`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

from msgspec import UNSET

from ocppd.simulator.configuration_keys import MAX_PERIODS, MAX_PROFILES, MAX_STACK_LEVEL
from ocppd.simulator.schedules import Installed, Limits
from ocppd.simulator.transactions import Transaction
from ocppd.v16.smart_charging import ClearChargingProfileRequest
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import (
    ChargingProfile,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingProfileStatus,
    ClearChargingProfileStatus,
    RecurrencyKindType,
)

_RECURRENCE_S = {RecurrencyKindType.DAILY: 86_400, RecurrencyKindType.WEEKLY: 604_800}


def is_sound(profile: ChargingProfile) -> bool:
    """Whether kind, schedule and validity fit together (REQUIREMENTS K-2 to K-4)."""
    schedule = profile.charging_schedule
    starts = [period.start_period for period in schedule.charging_schedule_period]
    duration = schedule.duration
    return (
        _KINDS[profile.charging_profile_kind](profile)
        and 0 <= profile.stack_level <= MAX_STACK_LEVEL
        and 0 < len(starts) <= MAX_PERIODS
        and starts[0] == 0
        and all(first < second for first, second in pairwise(starts))
        and (duration is UNSET or starts[-1] < duration)
        and all(period.limit >= 0 for period in schedule.charging_schedule_period)
        and all(_readable(text) for text in (schedule.start_schedule, profile.valid_from, profile.valid_to))
    )


def _readable(text: object) -> bool:
    if not isinstance(text, str):
        return True
    try:
        parse_timestamp(text)
    except ValueError:
        return False
    return True


def _absolute(profile: ChargingProfile) -> bool:
    return profile.charging_schedule.start_schedule is not UNSET and profile.recurrency_kind is UNSET


def _relative(profile: ChargingProfile) -> bool:
    return profile.charging_schedule.start_schedule is UNSET and profile.recurrency_kind is UNSET


def _recurring(profile: ChargingProfile) -> bool:
    schedule, kind = profile.charging_schedule, profile.recurrency_kind
    if kind is UNSET or schedule.start_schedule is UNSET:
        return False
    return schedule.duration is UNSET or schedule.duration <= _RECURRENCE_S[kind]


_KINDS: dict[ChargingProfileKindType, Callable[[ChargingProfile], bool]] = {
    ChargingProfileKindType.ABSOLUTE: _absolute,
    ChargingProfileKindType.RELATIVE: _relative,
    ChargingProfileKindType.RECURRING: _recurring,
}


class Profiles:
    """All installed profiles, with the transaction that a TxProfile belongs to. They survive a reboot (errata 3.37)."""

    def __init__(self) -> None:
        self._installed: list[tuple[Installed, Transaction | None]] = []

    def __len__(self) -> int:
        return len(self._installed)

    def set(self, connector_id: int, profile: ChargingProfile, transaction: Transaction | None) -> ChargingProfileStatus:
        """What SetChargingProfile does; `transaction` is the one that runs on the connector (REQUIREMENTS K-1)."""
        purpose = profile.charging_profile_purpose
        if not is_sound(profile):
            return ChargingProfileStatus.REJECTED
        if purpose is ChargingProfilePurposeType.CHARGE_POINT_MAX_PROFILE and connector_id != 0:
            return ChargingProfileStatus.REJECTED
        if purpose is ChargingProfilePurposeType.TX_PROFILE:
            if transaction is None or connector_id == 0:
                return ChargingProfileStatus.REJECTED
            if profile.transaction_id is not UNSET and profile.transaction_id != transaction.transaction_id:
                return ChargingProfileStatus.REJECTED
        return self.install(connector_id, profile, transaction)

    def install(self, connector_id: int, profile: ChargingProfile, transaction: Transaction | None) -> ChargingProfileStatus:
        """Put a sound profile in force in place of those it replaces: same id, or same purpose, level and connector (K-4)."""
        kept = [pair for pair in self._installed if not _replaced(pair[0], connector_id, profile)]
        if len(kept) >= MAX_PROFILES:
            return ChargingProfileStatus.REJECTED
        of_transaction = profile.charging_profile_purpose is ChargingProfilePurposeType.TX_PROFILE
        owner = transaction if of_transaction else None
        self._installed = [*kept, (Installed(connector_id, profile), owner)]
        return ChargingProfileStatus.ACCEPTED

    def clear(self, request: ClearChargingProfileRequest) -> ClearChargingProfileStatus:
        """What ClearChargingProfile does: all members that are given must match, `id` alone where it is (errata 3.25, 3.26)."""
        kept = [pair for pair in self._installed if not _matches(pair[0], request)]
        cleared = len(kept) < len(self._installed)
        self._installed = kept
        return ClearChargingProfileStatus.ACCEPTED if cleared else ClearChargingProfileStatus.UNKNOWN

    def forget_transaction(self, transaction: Transaction) -> None:
        """A transaction ended, and its profiles with it (REQUIREMENTS K-8)."""
        self._installed = [pair for pair in self._installed if pair[1] is not transaction]

    def limits(self, connector_id: int, transaction: Transaction | None, most_w: float, now_ms: int) -> Limits:
        """What limits `connector_id`, whose running transaction is `transaction`."""
        began_ms = transaction.started_ms if transaction is not None else None
        chosen = [
            Installed(each.connector_id, each.profile, began_ms)
            for each, owner in self._installed
            if owner is None or owner is transaction
        ]
        return Limits(chosen, connector_id, charging=transaction is not None, most_w=Decimal(str(most_w)), now_ms=now_ms)


def _replaced(installed: Installed, connector_id: int, profile: ChargingProfile) -> bool:
    other = installed.profile
    if other.charging_profile_id == profile.charging_profile_id:
        return True
    same = (other.charging_profile_purpose, other.stack_level) == (profile.charging_profile_purpose, profile.stack_level)
    return same and installed.connector_id == connector_id


def _matches(installed: Installed, request: ClearChargingProfileRequest) -> bool:
    profile = installed.profile
    if request.id is not UNSET:
        return profile.charging_profile_id == request.id
    pairs = (
        (request.connector_id, installed.connector_id),
        (request.charging_profile_purpose, profile.charging_profile_purpose),
        (request.stack_level, profile.stack_level),
    )
    return all(wanted is UNSET or wanted == value for wanted, value in pairs)
