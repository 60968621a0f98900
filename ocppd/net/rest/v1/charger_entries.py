"""Chargers that operators enter, and identities that nobody has entered yet. docs/http-api.md."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec
from klein import Response
from twisted.internet.defer import Deferred

from ocppd.clock import now_ms
from ocppd.config.entries import json_of
from ocppd.errors import Conflict, NotFound, UnknownCharger
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import empty_answer, json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import page, text
from ocppd.net.rest.preconditions import Preconditions
from ocppd.net.rest.problems import ChargerInConfiguration, PreconditionFailed
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.charger_bodies import SUBJECT, ChargerBody, name_of, read_charger
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import Change
from ocppd.storage.records.registry import Entry, Written

UNKNOWN_QUERY: Final = page(text)

Put = Callable[[int | None], Deferred[Written]]


class NoUnknownCharger(NotFound):
    """No unknown charger of that name tried to connect, or it was forgotten."""

    what = "unknown charger"


def settings_shape(api: Api, name: str) -> dict[str, Any]:
    """The settings of a charger as they are in force. Raises UnknownCharger."""
    settings = api.chargers.configured(name)
    source = "configuration" if api.registry.is_configured(name) else "records"
    return {"name": name, "source": source, **json_of(settings)}


def etag_of(api: Api, name: str, entry: Entry | None) -> str:
    """The version of a charger's entry; for one of configs.json a digest, since it has no versions."""
    if entry is not None and not api.registry.is_configured(name):
        return f'"{entry.version}"'
    return f'"c{hashlib.sha256(msgspec.json.encode(settings_shape(api, name))).hexdigest()[:16]}"'


def _answer(api: Api, name: str, entry: Entry | None, status: int = 200, **headers: str) -> Response:
    return json_answer(settings_shape(api, name), status, {"ETag": etag_of(api, name, entry), **headers})


async def get_settings(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/settings`: what operators decide about a charger."""
    incoming.query()
    api.chargers.configured(name)
    etag = etag_of(api, name, api.registry.entry(name))
    if incoming.preconditions().has(etag):
        return empty_answer({"ETag": etag}, 304)
    return _answer(api, name, api.registry.entry(name))


async def put_charger(api: Api, incoming: Incoming, name: str) -> Response:
    """`PUT /chargers/{name}` and its settings: 201 where it is entered, 200 where it is changed, or as it was."""
    incoming.query()
    conditions = incoming.preconditions()
    _refuse_configured(api, name)
    return await _put(api, name, read_charger(incoming.json_object(SUBJECT), name), conditions)


async def post_charger(api: Api, incoming: Incoming) -> Response:
    """`POST /chargers`: enter one that is not there; its name is in the body."""
    incoming.query()
    value = incoming.json_object(SUBJECT)
    name = name_of(value)
    body = read_charger(value, name)
    _refuse_configured(api, name)
    return await _create(api, name, body)


async def _put(api: Api, name: str, body: ChargerBody, conditions: Preconditions) -> Response:
    def put(expected: int | None) -> Deferred[Written]:
        return api.registry.records.put(name, body.settings, expected, now_ms(api.clock))

    written = await shielded(Deferred.fromCoroutine(_change(api, name, conditions, put)))
    return _entered(api, name, written)


async def _create(api: Api, name: str, body: ChargerBody) -> Response:
    async def create() -> Written:
        written = await api.registry.records.put(name, body.settings, 0, now_ms(api.clock), body.password)
        await api.registry.refresh()
        return written

    written = await shielded(Deferred.fromCoroutine(create()))
    if written.change is Change.CONFLICT:
        raise Conflict(f"there is a charger {name!r} already")
    return _entered(api, name, written)


def _entered(api: Api, name: str, written: Written) -> Response:
    if written.change is Change.CREATED:
        return _answer(api, name, written.entry, 201, Location=f"/api/v1/chargers/{quote(name, safe='')}")
    return _answer(api, name, written.entry)


async def delete_charger(api: Api, incoming: Incoming, name: str) -> Response:
    """`DELETE /chargers/{name}`: its connection is closed, and it gets no other. What was recorded of it stays."""
    incoming.query()
    conditions = incoming.preconditions()
    _refuse_configured(api, name)

    def delete(expected: int | None) -> Deferred[Written]:
        return api.registry.records.delete(name, expected, now_ms(api.clock))

    written = await shielded(Deferred.fromCoroutine(_change(api, name, conditions, delete, of_missing=True)))
    if written.change is Change.MISSING:
        raise UnknownCharger(name)
    return empty_answer()


def _refuse_configured(api: Api, name: str) -> None:
    if api.registry.is_configured(name):
        raise ChargerInConfiguration(name)


async def _change(api: Api, name: str, conditions: Preconditions, change: Put, *, of_missing: bool = False) -> Written:
    """Change the entry where it is as it should be; this node knows of it then. Raises PreconditionFailed."""
    while True:
        expected = None
        if conditions.given:
            found = await api.registry.records.read(name)
            version = 0 if found is None or found.settings is None else found.version
            if not (of_missing and not version) and not conditions.permit(f'"{version}"' if version else None):
                raise PreconditionFailed
            expected = version
        written = await change(expected)
        if written.change is not Change.CONFLICT:  # else somebody came between
            await api.registry.refresh()
            return written


# Identities that nobody has entered


async def list_unknown_chargers(api: Api, incoming: Incoming) -> Response:
    """`GET /unknown-chargers`: in order of their names."""
    wanted = incoming.page(UNKNOWN_QUERY)
    rows = await api.registry.unknown(wanted.after or "", wanted.limit + 1)
    return page_answer(rows, wanted.limit, shapes.unknown_charger, lambda identity: identity.name)


async def approve(api: Api, incoming: Incoming, name: str) -> Response:
    """`POST /unknown-chargers/{name}/approve`: enter it as a charger, with its settings and its password."""
    incoming.query()
    body = read_charger(incoming.json_object(SUBJECT), name, with_password=True)
    _refuse_configured(api, name)
    await api.registry.flush()
    if api.registry.entry(name) is None and not await api.registry.records.is_unknown(name):
        raise NoUnknownCharger(name)
    return await _create(api, name, body)


async def forget(api: Api, incoming: Incoming, name: str) -> Response:
    """`DELETE /unknown-chargers/{name}`: forget that it tried."""
    incoming.query()
    await api.registry.flush()
    if not await shielded(api.registry.records.forget_unknown(name)):
        raise NoUnknownCharger(name)
    return empty_answer()


ROUTES: Final = (
    Route("POST", "/api/v1/chargers", post_charger),
    Route("PUT", "/api/v1/chargers/<name>", put_charger, tagged=True),
    Route("DELETE", "/api/v1/chargers/<name>", delete_charger, tagged=True),
    Route("GET", "/api/v1/chargers/<name>/settings", get_settings),
    Route("PUT", "/api/v1/chargers/<name>/settings", put_charger, tagged=True),
    Route("GET", "/api/v1/unknown-chargers", list_unknown_chargers),
    Route("POST", "/api/v1/unknown-chargers/<name>/approve", approve),
    Route("DELETE", "/api/v1/unknown-chargers/<name>", forget),
)
