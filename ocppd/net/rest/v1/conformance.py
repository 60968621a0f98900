"""What chargers do against the specification, and the frames that show it. docs/http-api.md."""

from __future__ import annotations

from enum import StrEnum
from itertools import groupby
from typing import Any, Final

import msgspec
from klein import Response

from ocppd.central.conformance import repairs_off
from ocppd.central.deviations import Severity, deviation
from ocppd.net.rest.answers import empty_answer, json_answer, list_answer, markdown_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.conformance_text import markdown
from ocppd.net.rest.parameters import choice, instant, integer, page, sequence, text
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records.chargers import Product
from ocppd.storage.records.quarantine import QuarantineFilter, QuarantineRecord, Tally, Treatment
from ocppd.v16.repairs import BY_NAME, NAMES, actions_of
from ocppd.v16.timestamps import format_timestamp

#: Samples of each kind, by default and at most.
SAMPLES, MOST_SAMPLES = 2, 20
#: Frames of one charger that are looked at for samples: all that its quarantine holds.
LOOKED_AT: Final = 500
#: In a report what loses messages comes first.
_ORDER: Final = tuple(Severity)


class Format(StrEnum):
    """How a report is written."""

    JSON = "json"
    MARKDOWN = "markdown"


REPORT_QUERY: Final = {"format": choice(Format), "samples": integer(0, MOST_SAMPLES)}
#: What a query parameter is called in `QuarantineFilter`.
FILTERS: Final = {
    "charger": "charger",
    "kind": "kind",
    "action": "action",
    "treatment": "treatment",
    "since": "since_ms",
    "until": "until_ms",
}
QUARANTINE_QUERY: Final = {
    **page(sequence),
    "charger": text,
    "kind": text,
    "action": text,
    "treatment": choice(Treatment),
    "since": instant,
    "until": instant,
}


async def get_report(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/conformance`: what it does against the specification, as JSON or ready for a ticket."""
    query = incoming.query(REPORT_QUERY)
    view = await api.queries.charger(name)
    await api.conformance.flush()
    tallies = await api.storage.quarantine.tallies(name)
    frames = await api.storage.quarantine.list_frames(QuarantineFilter(charger=name), None, LOOKED_AT)
    state = await api.storage.quarantine.state(name)
    settings = api.chargers.settings(name)
    boot = view.boot
    product = Product() if boot is None else Product(boot.vendor, boot.model, boot.firmware_version or "")
    report = {
        "charger": name,
        **{
            member: value
            for member, value in (
                ("vendor", product.vendor),
                ("model", product.model),
                ("firmwareVersion", product.firmware),
                ("serialNumber", None if boot is None else boot.serial_number),
            )
            if value
        },
        "mode": str(settings.mode),
        "repairsOff": sorted(repairs_off(api.chargers.configuration, settings, product)),
        "deviations": _deviations(tallies, frames, query.get("samples", SAMPLES)),
        "quarantine": {"frames": state.frames, "bytes": state.size, "forgotten": state.forgotten},
    }
    if query.get("format") is Format.MARKDOWN:
        return markdown_answer(markdown(report))
    return json_answer(report)


def _deviations(tallies: list[Tally], frames: list[QuarantineRecord], samples: int) -> list[dict[str, Any]]:
    """Each kind once, worst first, then by how often it was seen."""
    found = [_deviation(kind, list(of_kind), frames, samples) for kind, of_kind in groupby(tallies, lambda tally: tally.kind)]
    return sorted(found, key=lambda each: (_ORDER.index(Severity(each["severity"])), -each["count"], each["kind"]))


def _deviation(kind: str, tallies: list[Tally], frames: list[QuarantineRecord], samples: int) -> dict[str, Any]:
    known = deviation(kind)
    latest = max(tallies, key=lambda tally: tally.last_ms)
    told = {
        "kind": kind,
        "severity": str(known.severity),
        "rule": known.rule,
        "title": known.title,
        "count": sum(tally.count for tally in tallies),
        "firstSeen": format_timestamp(min(tally.first_ms for tally in tallies)),
        "lastSeen": format_timestamp(latest.last_ms),
        "detail": latest.detail,
        "advice": known.advice,
    }
    shown = [frame for frame in frames if kind in frame.quarantined.kinds][:samples]
    return {
        **{member: value for member, value in told.items() if value},
        "firmwareVersions": [_of_firmware(tally) for tally in sorted(tallies, key=lambda tally: tally.first_ms)],
        "samples": [quarantined(frame) for frame in shown],
    }


def _of_firmware(tally: Tally) -> dict[str, Any]:
    return {
        **({"version": tally.firmware} if tally.firmware else {}),
        "count": tally.count,
        "firstSeen": format_timestamp(tally.first_ms),
        "lastSeen": format_timestamp(tally.last_ms),
    }


def quarantined(record: QuarantineRecord) -> dict[str, Any]:
    """A frame in quarantine."""
    frame = record.quarantined
    told = {
        "quarantineId": str(record.number),
        "charger": frame.charger,
        "action": frame.action,
        "receivedAt": format_timestamp(frame.received_ms),
        "treatment": str(frame.treatment),
        "kinds": list(frame.kinds),
        "faults": msgspec.json.decode(frame.faults),
        "firmwareVersion": frame.firmware,
        "event": None if record.message is None else str(record.message),
        "frame": frame.frame,
        "cut": frame.cut,
    }
    return {member: value for member, value in told.items() if value not in (None, "", False)}


async def list_quarantine(api: Api, incoming: Incoming) -> Response:
    """`GET /quarantine`: newest first."""
    wanted = incoming.page(QUARANTINE_QUERY)
    which = QuarantineFilter(**{FILTERS[name]: value for name, value in wanted.filters.items()})
    await api.conformance.flush()
    rows = await api.storage.quarantine.list_frames(which, wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, quarantined, lambda row: row.number)


async def clear_quarantine(api: Api, incoming: Incoming, name: str) -> Response:
    """`DELETE /chargers/{name}/quarantine`: its frames are forgotten; what is counted stays."""
    incoming.query()
    api.chargers.settings(name)
    await api.conformance.flush()
    await shielded(api.storage.quarantine.clear(name))
    return empty_answer()


async def forget_deviations(api: Api, incoming: Incoming, name: str) -> Response:
    """`DELETE /chargers/{name}/conformance`: counting begins anew, after a new firmware for example."""
    incoming.query()
    api.chargers.settings(name)
    await api.conformance.flush()
    await shielded(api.storage.quarantine.forget(name))
    return empty_answer()


async def list_repairs(api: Api, incoming: Incoming) -> Response:
    """`GET /repairs`: what is read kindly, and for whom it is switched."""
    incoming.query()
    configuration = api.chargers.configuration
    chargers = [(each.name, each.repairs) for each in configuration.chargers.values() if each.repairs]
    return list_answer([_repair(api, name, chargers) for name in NAMES], None)


def _repair(api: Api, name: str, chargers: list[tuple[str, Any]]) -> dict[str, Any]:
    rule, configuration = BY_NAME[name], api.chargers.configuration
    actions = actions_of(rule)
    models = [each for each in configuration.models if name in each.repairs]
    return {
        "repair": name,
        "what": rule.reason,
        "rule": rule.requirement,
        **({} if actions is None else {"actions": list(actions)}),
        **({} if rule.flag is None else {"flag": rule.flag}),
        "on": configuration.repairs.get(name, True),
        "models": [{"vendor": each.vendor, "model": each.model, "on": each.repairs[name]} for each in models],
        "chargers": [{"charger": charger, "on": repairs[name]} for charger, repairs in chargers if name in repairs],
    }


ROUTES: Final = (
    Route("GET", "/api/v1/chargers/<name>/conformance", get_report),
    Route("DELETE", "/api/v1/chargers/<name>/conformance", forget_deviations),
    Route("DELETE", "/api/v1/chargers/<name>/quarantine", clear_quarantine),
    Route("GET", "/api/v1/quarantine", list_quarantine),
    Route("GET", "/api/v1/repairs", list_repairs),
)
