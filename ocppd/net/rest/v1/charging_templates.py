"""Templates of charging profiles. docs/http-api.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from klein import Response
from twisted.internet.defer import Deferred

from ocppd.clock import now_ms
from ocppd.errors import NotFound
from ocppd.net.rest.answers import empty_answer, json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import GREATEST_INTEGER, integer, page, sequence
from ocppd.net.rest.preconditions import Preconditions
from ocppd.net.rest.problems import PreconditionFailed
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1 import charging_shapes
from ocppd.net.rest.v1.charging_bodies import TEMPLATE, read_template
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import Change
from ocppd.storage.records.charging import Template, TemplateChanged

QUERY: Final = page(sequence)


class NoTemplate(NotFound):
    """There is no template of that id."""

    what = "charging profile template"


async def list_templates(api: Api, incoming: Incoming) -> Response:
    """`GET /charging-profiles`: in order of their ids."""
    wanted = incoming.page(QUERY)
    rows = await api.storage.charging.list_templates(wanted.after or 0, wanted.limit + 1)
    return page_answer(rows, wanted.limit, charging_shapes.template, lambda row: row.template_id)


async def create_template(api: Api, incoming: Incoming) -> Response:
    """`POST /charging-profiles`: 201, with where it is."""
    incoming.query()
    template = read_template(incoming.json_object(TEMPLATE), api.chargers.names())
    kept = await shielded(api.storage.charging.create_template(template, now_ms(api.clock)))
    api.charging.at_start = None
    return _answer(kept, 201, Location=f"/api/v1/charging-profiles/{kept.template_id}")


async def get_template(api: Api, incoming: Incoming, template_id: str) -> Response:
    """`GET /charging-profiles/{id}`: with its ETag; 304 for whoever has it as it is."""
    incoming.query()
    found = await template_of(api, template_id)
    if incoming.preconditions().has(_etag(found)):
        return empty_answer({"ETag": _etag(found)}, 304)
    return _answer(found)


async def put_template(api: Api, incoming: Incoming, template_id: str) -> Response:
    """`PUT /charging-profiles/{id}`: replaces it whole. What was sent of it before stays where it is."""
    incoming.query()
    conditions = incoming.preconditions()
    found = await template_of(api, template_id)
    wished = read_template(incoming.json_object(TEMPLATE), api.chargers.names())
    wished = replace(wished, template_id=found.template_id)

    def put(expected: int | None) -> Deferred[TemplateChanged]:
        return api.storage.charging.put_template(wished, expected, now_ms(api.clock))

    changed = await shielded(Deferred.fromCoroutine(_change(api, template_id, conditions, put)))
    assert changed.template is not None
    return _answer(changed.template)


async def delete_template(api: Api, incoming: Incoming, template_id: str) -> Response:
    """`DELETE /charging-profiles/{id}`. What was sent of it stays where it is."""
    incoming.query()
    conditions = incoming.preconditions()
    found = await template_of(api, template_id)

    def delete(expected: int | None) -> Deferred[TemplateChanged]:
        return api.storage.charging.delete_template(found.template_id, expected)

    await shielded(Deferred.fromCoroutine(_change(api, template_id, conditions, delete)))
    return empty_answer()


async def _change(
    api: Api, template_id: str, conditions: Preconditions, change: Callable[[int | None], Deferred[TemplateChanged]]
) -> TemplateChanged:
    """Change it where it is as it should be. Raises NoTemplate, PreconditionFailed."""
    while True:
        found = await template_of(api, template_id)
        if not conditions.permit(_etag(found)):
            raise PreconditionFailed
        changed = await change(found.version if conditions.given else None)
        if changed.change is Change.MISSING:
            raise NoTemplate(template_id)
        if changed.change is not Change.CONFLICT:  # else somebody came between
            api.charging.at_start = None
            return changed


async def template_of(api: Api, template_id: str) -> Template:
    """The template that a segment of a path names. Raises NoTemplate."""
    try:
        number = integer(1, GREATEST_INTEGER)(template_id)
    except ValueError:
        raise NoTemplate(template_id) from None
    found = await api.storage.charging.read_template(number)
    if found is None:
        raise NoTemplate(template_id)
    return found


def _etag(template: Template) -> str:
    return f'"{template.version}"'


def _answer(template: Template, status: int = 200, **headers: str) -> Response:
    return json_answer(charging_shapes.template(template), status, {"ETag": _etag(template), **headers})


ROUTES: Final = (
    Route("GET", "/api/v1/charging-profiles", list_templates),
    Route("POST", "/api/v1/charging-profiles", create_template),
    Route("GET", "/api/v1/charging-profiles/<template_id>", get_template),
    Route("PUT", "/api/v1/charging-profiles/<template_id>", put_template, tagged=True),
    Route("DELETE", "/api/v1/charging-profiles/<template_id>", delete_template, tagged=True),
)
