"""Composite schedules of a charger: as the profiles add up to, and beside its own. docs/http-api.md; REQUIREMENTS K-6."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from klein import Response
from msgspec import UNSET, DecodeError
from twisted.internet.defer import maybeDeferred, succeed

from ocppd.central.charging.comparing import Answer, differences, read_answer
from ocppd.central.charging.previews import Question, Situation, preview
from ocppd.central.charging.supply import Supply
from ocppd.clock import now_ms
from ocppd.errors import Conflict, Violation
from ocppd.net.rest.answers import json_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import GREATEST_INTEGER, boolean, choice, instant, integer
from ocppd.net.rest.problems import BadRequest
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.shapes import Shape
from ocppd.net.rest.v1 import charging_shapes
from ocppd.net.rest.v1.commands import MAX_WAIT_S, answered
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import MessageState
from ocppd.v16.smart_charging import GetCompositeScheduleRequest
from ocppd.v16.types import ChargingRateUnitType

#: A month, of which a schedule that recurs weekly has seen everything.
MOST_DURATION_S: Final = 31 * 86_400
DEFAULT_DURATION_S: Final = 86_400
COMPARE_QUERY: Final = {
    "connectorId": integer(0, GREATEST_INTEGER),
    "duration": integer(1, MOST_DURATION_S),
    "unit": choice(ChargingRateUnitType),
    "voltage": integer(50, 1000),
    "phases": integer(1, 3),
    "assumeTransaction": boolean,
}
PREVIEW_QUERY: Final = {**COMPARE_QUERY, "at": instant}


def _question(api: Api, name: str, options: dict[str, Any], *, assume: bool) -> Question:
    """What is asked for; `assume` is what holds where nobody says. Raises UnknownCharger."""
    settings = api.chargers.settings(name)
    voltage = options.get("voltage", settings.supply_voltage_v)
    return Question(
        charger=name,
        connector_id=options.get("connectorId", 0),
        start_s=options.get("at", now_ms(api.clock)) // 1000,
        duration_s=options.get("duration", DEFAULT_DURATION_S),
        unit=options.get("unit"),
        supply=Supply(None if voltage is None else Decimal(voltage), options.get("phases", settings.supply_phases)),
        now="at" not in options,
        assume=options.get("assumeTransaction", assume),
    )


async def get_schedule(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/composite-schedule`: what the profiles that are installed add up to. Nothing is sent."""
    question = _question(api, name, incoming.query(PREVIEW_QUERY), assume=True)
    found = preview(await api.charging.situation(name), question)
    return json_answer(charging_shapes.preview(found, question.connector_id, question.supply))


async def compare_schedules(api: Api, incoming: Incoming, name: str) -> Response:
    """`POST /chargers/{name}/composite-schedule`: the charger's own answer, ours beside it, and where they differ.

    Where the charger gives no answer in time, or none that can be read, it is what a command would be.
    """
    question = _question(api, name, incoming.query(COMPARE_QUERY), assume=False)
    if incoming.json_object("GetCompositeSchedule"):
        raise BadRequest("this path takes no body")
    request = GetCompositeScheduleRequest(
        connector_id=question.connector_id,
        duration=question.duration_s,
        charging_rate_unit=UNSET if question.unit is None else question.unit,
    )
    record = await shielded(maybeDeferred(api.commands.submit, name, request))
    record = await api.commands.wait(record, MAX_WAIT_S)
    if record.state is not MessageState.COMPLETED or record.answer is None:
        return await answered(api, succeed(record), 0)
    try:
        answer = read_answer(record.answer)
    except (Violation, DecodeError):
        return await answered(api, succeed(record), 0)
    known = await api.charging.situation(name)
    told = {"messageId": record.message_id, "charger": charging_shapes.answer(answer), **_beside(answer, question, known)}
    return json_answer(told)


def _beside(answer: Answer, question: Question, known: Situation) -> Shape:
    """Our schedule from the charger's start on and in its unit, and the differences; where that cannot be, why not."""
    if answer.start_s is not None:
        question = replace(question, start_s=answer.start_s)
    if answer.unit is not None:
        question = replace(question, unit=answer.unit)
    try:
        found = preview(known, question)
    except Conflict as error:
        return {"reason": str(error)}
    told: Shape = {"ours": charging_shapes.preview(found, question.connector_id, question.supply)}
    if answer.schedule is None:
        return told
    if found.composite.unit is not answer.unit:
        return {**told, "reason": f"the profiles are in {found.composite.unit}, and nobody has said the voltage"}
    return {**told, "differences": [charging_shapes.difference(each) for each in differences(found.composite, answer.schedule)]}


ROUTES: Final = (
    Route("GET", "/api/v1/chargers/<name>/composite-schedule", get_schedule),
    Route("POST", "/api/v1/chargers/<name>/composite-schedule", compare_schedules),
)
