"""What a charger does with the commands of the SmartCharging profile. OCPP 1.6 sections 5.5, 5.7, 5.16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from ocppd.simulator.machine import Machine
from ocppd.simulator.schedules import composite
from ocppd.v16 import smart_charging
from ocppd.v16.types import ChargingProfileStatus, ChargingRateUnitType, GetCompositeScheduleStatus


def set_charging_profile(
    charger: Machine, request: smart_charging.SetChargingProfileRequest
) -> smart_charging.SetChargingProfileConfirmation:
    """In force at once, for running transactions too (section 5.16, errata 3.8)."""
    connector = charger.connectors.get(request.connector_id)
    status = ChargingProfileStatus.REJECTED
    if connector is not None:
        status = charger.profiles.set(request.connector_id, request.cs_charging_profiles, connector.transaction)
    charger.afterwards(charger.metering.apply_limits)
    return smart_charging.SetChargingProfileConfirmation(status=status)


def clear_charging_profile(
    charger: Machine, request: smart_charging.ClearChargingProfileRequest
) -> smart_charging.ClearChargingProfileConfirmation:
    """Unknown where nothing matched (section 5.5)."""
    status = charger.profiles.clear(request)
    charger.afterwards(charger.metering.apply_limits)
    return smart_charging.ClearChargingProfileConfirmation(status=status)


def get_composite_schedule(
    charger: Machine, request: smart_charging.GetCompositeScheduleRequest
) -> smart_charging.GetCompositeScheduleConfirmation:
    """What the profiles add up to from now on; Rejected for an unknown connector (section 5.7)."""
    connector = charger.connectors.get(request.connector_id)
    if connector is None or request.duration < 0:
        return smart_charging.GetCompositeScheduleConfirmation(status=GetCompositeScheduleStatus.REJECTED)
    now_ms = charger.wall.now_ms()
    unit = ChargingRateUnitType.A if request.charging_rate_unit is UNSET else request.charging_rate_unit
    limits = charger.metering.limits(connector, now_ms)
    return smart_charging.GetCompositeScheduleConfirmation(
        status=GetCompositeScheduleStatus.ACCEPTED,
        connector_id=request.connector_id,
        schedule_start=charger.wall.timestamp(now_ms),
        charging_schedule=composite(limits, now_ms, request.duration, unit),
    )


COMMANDS: dict[str, Callable[[Machine, Any], Any]] = {
    "ClearChargingProfile": clear_charging_profile,
    "GetCompositeSchedule": get_composite_schedule,
    "SetChargingProfile": set_charging_profile,
}
