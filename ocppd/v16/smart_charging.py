"""Messages of the SmartCharging profile. Knows no profiles in force. OCPP 1.6 sections 5.5, 5.7, 5.16."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ocppd.v16.types import (
    ChargingProfile,
    ChargingProfilePurposeType,
    ChargingProfileStatus,
    ChargingRateUnitType,
    ChargingSchedule,
    ClearChargingProfileStatus,
    GetCompositeScheduleStatus,
    Integer,
    Message,
    OptionalDateTime,
)


class ClearChargingProfileRequest(Message, frozen=True, kw_only=True):
    """Forget charging profiles. Sections 5.5, 6.13.

    No member means all; several members must all match; with `id` the others are ignored (errata 3.25, 3.26).
    """

    id: Integer | UnsetType = UNSET
    connector_id: Integer | UnsetType = UNSET
    charging_profile_purpose: ChargingProfilePurposeType | UnsetType = UNSET
    stack_level: Integer | UnsetType = UNSET


class ClearChargingProfileConfirmation(Message, frozen=True, kw_only=True):
    """UNKNOWN: there was nothing to forget. Section 6.14."""

    status: ClearChargingProfileStatus


class GetCompositeScheduleRequest(Message, frozen=True, kw_only=True):
    """What limits will hold for the next `duration` seconds? Connector 0 is the grid connection. Sections 5.7, 6.21."""

    connector_id: Integer
    duration: Integer
    charging_rate_unit: ChargingRateUnitType | UnsetType = UNSET


class GetCompositeScheduleConfirmation(Message, frozen=True, kw_only=True):
    """The limits as the charger combines them, from `schedule_start` on; indicative only. Section 6.22.

    `start_schedule` in the schedule should be left out and gives way to `schedule_start` (errata 3.57).
    """

    status: GetCompositeScheduleStatus
    connector_id: Integer | UnsetType = UNSET
    schedule_start: OptionalDateTime | UnsetType = UNSET
    charging_schedule: ChargingSchedule | UnsetType = UNSET


class SetChargingProfileRequest(Message, frozen=True, kw_only=True):
    """Install a charging profile. Sections 5.16, 6.43.

    The same profile id, or the same purpose and stack level on the connector, is replaced (REQUIREMENTS K-4).
    """

    connector_id: Integer
    cs_charging_profiles: ChargingProfile


class SetChargingProfileConfirmation(Message, frozen=True, kw_only=True):
    """Whether it is in force. Section 6.44."""

    status: ChargingProfileStatus
