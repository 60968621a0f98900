"""Charging profiles as the JSON that operators see. docs/http-api.md. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ocppd.central.charging.comparing import Answer, Difference
from ocppd.central.charging.composite import Composite, Period
from ocppd.central.charging.previews import Preview
from ocppd.central.charging.supply import MOST_PHASES, Supply
from ocppd.net.rest.shapes import Shape, instant
from ocppd.storage.records.charging import InstalledProfile, Template


def plain(value: Any) -> Any:
    """A message as JSON, with numbers as they were given."""
    return msgspec.to_builtins(value, builtin_types=(Decimal,))


def template(kept: Template) -> Shape:
    """A template."""
    profile = {name: value for name, value in plain(kept.profile).items() if name != "chargingProfileId"}
    return {
        "templateId": kept.template_id,
        "name": kept.name,
        "profile": profile,
        "applyAtStart": kept.at_start,
        **({} if kept.chargers is None else {"chargers": kept.chargers}),
        "fallBack": kept.fallback,
    }


def installed(row: InstalledProfile) -> Shape:
    """A profile in a charger, as far as is known."""
    members = {
        "chargingProfileId": row.profile_id,
        "connectorId": row.connector_id,
        "mark": row.mark,
        "changedAt": instant(row.changed_ms),
        "outcome": row.outcome,
        "messageId": row.message_id,
        "action": row.action,
        "transactionId": row.transaction_id,
        "templateId": row.template_id,
        "standsInFor": row.standing_in,
        "profile": msgspec.Raw(row.text.encode()),
    }
    return {name: value for name, value in members.items() if value is not None}


def preview(found: Preview, connector_id: int, supply: Supply) -> Shape:
    """A composite schedule of ours, with what it was taken from."""
    return {
        "connectorId": connector_id,
        "scheduleStart": instant(found.composite.start_s * 1000),
        "chargingSchedule": composite(found.composite),
        **({"unitKept": True} if found.composite.kept else {}),
        "assumptions": {
            **({} if supply.voltage_v is None else {"voltage": supply.voltage_v}),
            "phases": supply.phases,
            "transactions": [
                {"connectorId": connector, **({"assumed": True} if running is None else {"transactionId": running})}
                for connector, running in found.running.items()
            ],
        },
        "uncertain": list(found.uncertain),
    }


def composite(found: Composite) -> Shape:
    """A schedule in the words of OCPP; a period without `limit` is one that nothing limits."""
    return {
        "duration": found.duration_s,
        "chargingRateUnit": found.unit,
        "chargingSchedulePeriod": [_period(period) for period in found.periods],
        **({} if found.min_charging_rate is None else {"minChargingRate": found.min_charging_rate}),
    }


def _period(period: Period) -> Shape:
    limit = period.limit
    return {
        "startPeriod": period.start_s,
        **({} if limit.value is None else {"limit": limit.value}),
        **({} if limit.phases == MOST_PHASES or limit.value is None else {"numberPhases": limit.phases}),
    }


def answer(found: Answer) -> Shape:
    """The composite schedule of a charger; without one where it refused to say."""
    return {
        "status": "Accepted" if found.accepted else "Rejected",
        **({} if found.start_s is None else {"scheduleStart": instant(found.start_s * 1000)}),
        **({} if found.schedule is None else {"chargingSchedule": plain(found.schedule)}),
    }


def difference(found: Difference) -> Shape:
    """Where the two differ; a limit that there is none of is left out."""
    return {
        "startPeriod": found.start_s,
        "endPeriod": found.end_s,
        **({} if found.ours is None else {"ours": found.ours}),
        **({} if found.theirs is None else {"charger": found.theirs}),
    }
