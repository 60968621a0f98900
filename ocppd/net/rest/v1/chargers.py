"""Chargers, their connections and connectors, and identities that are not configured. docs/http-api.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

from klein import Response

from ocppd.central.queries import ChargerView
from ocppd.errors import NotConnected
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import empty_answer, json_answer, list_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import (
    GREATEST_INTEGER,
    MAX_LIMIT,
    Page,
    boolean,
    choice,
    encode_cursor,
    instant,
    integer,
    page,
    sequence,
    text,
)
from ocppd.net.rest.problems import NoConnection, NoConnector
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.configuration_shapes import capabilities
from ocppd.storage.records import ConnectorRecord
from ocppd.v16.enums import ChargePointStatus
from ocppd.v16.types import RegistrationStatus

#: Chargers that one request looks at for those that pass its filters; the cursor leads on from there.
MAX_LOOKED_AT: Final = 20 * MAX_LIMIT

Test = Callable[[ChargerView, Any], bool]

#: What a filter compares.
FILTERS: Final[Mapping[str, Test]] = {
    "connected": lambda view, wanted: view.connected is wanted,
    "registration": lambda view, wanted: view.registration is wanted,
    "vendor": lambda view, wanted: view.boot is not None and view.boot.vendor == wanted,
    "model": lambda view, wanted: view.boot is not None and view.boot.model == wanted,
    "firmware": lambda view, wanted: view.boot is not None and view.boot.firmware_version == wanted,
    "tag": lambda view, wanted: wanted in view.tags,
    "status": lambda view, wanted: any(connector.status == wanted for connector in view.connectors),
    # Who is connected to another node is seen there, just now.
    "lastSeenSince": lambda view, since_ms: view.connected or (view.last_seen_ms is not None and view.last_seen_ms >= since_ms),
    "lastSeenUntil": lambda view, until_ms: view.last_seen_ms is not None and view.last_seen_ms < until_ms,
}
CHARGERS_QUERY: Final = {
    **page(text),
    "connected": boolean,
    "registration": choice(RegistrationStatus),
    "vendor": text,
    "model": text,
    "firmware": text,
    "tag": text,
    "status": choice(ChargePointStatus),
    "lastSeenSince": instant,
    "lastSeenUntil": instant,
}
ROWS_QUERY: Final = page(sequence)


async def list_chargers(api: Api, incoming: Incoming) -> Response:
    """`GET /chargers`: in order of their names."""
    wanted = incoming.page(CHARGERS_QUERY)
    behind = wanted.after
    names = iter([name for name in _names(api, wanted.filters) if behind is None or name > behind])
    found: list[ChargerView] = []
    looked_at = 0
    while len(found) <= wanted.limit and looked_at < MAX_LOOKED_AT:
        chunk = list(islice(names, MAX_LIMIT))
        if not chunk:
            return _chargers(found, wanted, None)
        looked_at += len(chunk)
        behind = chunk[-1]
        found += [view for view in await api.queries.chargers(chunk) if _passes(view, wanted.filters)]
    return _chargers(found, wanted, behind)


def _names(api: Api, filters: Mapping[str, Any]) -> list[str]:
    """The chargers that may pass: tags are known without their records."""
    names, tag = api.chargers.names(), filters.get("tag")
    return names if tag is None else [name for name in names if tag in api.chargers.settings(name).tags]


def _passes(view: ChargerView, filters: Mapping[str, Any]) -> bool:
    return all(FILTERS[name](view, value) for name, value in filters.items())


def _chargers(found: list[ChargerView], wanted: Page, behind: str | None) -> Response:
    """The page; `behind` is the last name that was looked at where there may be more."""
    if len(found) > wanted.limit:
        found = found[: wanted.limit]
        behind = found[-1].name
    return list_answer([shapes.charger(view) for view in found], None if behind is None else encode_cursor(behind))


async def get_charger(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}`."""
    incoming.query()
    view = await api.queries.charger(name)
    told = capabilities(await api.mirror.capabilities.read(name))
    return json_answer({**shapes.charger(view), **({"capabilities": told} if told else {})})


async def get_connection(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/connection`: 404 while the charger is not connected."""
    incoming.query()
    view = await api.queries.charger(name)
    if not view.connected:
        raise NoConnection(name)
    return json_answer(shapes.connection(view))


async def close_connection(api: Api, incoming: Incoming, name: str) -> Response:
    """`DELETE /chargers/{name}/connection`: close it; the charger will come again."""
    incoming.query()
    try:
        await api.cluster.close_connection(name)
    except NotConnected:
        raise NoConnection(name) from None
    return empty_answer()


async def list_connectors(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/connectors`: in order of their ids; connector 0 is the charger as a whole."""
    wanted = incoming.page(ROWS_QUERY)
    view = await api.queries.charger(name)
    left = [each for each in view.connectors if wanted.after is None or each.connector_id > wanted.after]

    return page_answer(
        left, wanted.limit, lambda each: shapes.connectors(view, [each])[0], lambda connector: connector.connector_id
    )


async def get_connector(api: Api, incoming: Incoming, name: str, connector_id: str) -> Response:
    """`GET /chargers/{name}/connectors/{id}`."""
    incoming.query()
    view = await api.queries.charger(name)
    return json_answer(shapes.connectors(view, [_connector(view, connector_id)])[0])


async def list_history(api: Api, incoming: Incoming, name: str, connector_id: str) -> Response:
    """`GET /chargers/{name}/connectors/{id}/history`: every status it told, newest first."""
    wanted = incoming.page(ROWS_QUERY)
    connector = await connector_of(api, name, connector_id)
    rows = await api.storage.list_statuses(name, connector.connector_id, wanted.after, wanted.limit + 1)
    before = dict(zip((row.sequence for row in rows), rows[1:], strict=False))
    return page_answer(rows, wanted.limit, lambda row: shapes.status(row, before.get(row.sequence)), lambda row: row.sequence)


async def connector_of(api: Api, name: str, connector_id: str) -> ConnectorRecord:
    """A connector that the charger has told of. Raises UnknownCharger and NoConnector."""
    return _connector(await api.queries.charger(name), connector_id)


def _connector(view: ChargerView, connector_id: str) -> ConnectorRecord:
    try:
        number = integer(0, GREATEST_INTEGER)(connector_id)
    except ValueError:
        raise NoConnector(connector_id) from None
    for connector in view.connectors:
        if connector.connector_id == number:
            return connector
    raise NoConnector(connector_id)


ROUTES: Final = (
    Route("GET", "/api/v1/chargers", list_chargers),
    Route("GET", "/api/v1/chargers/<name>", get_charger),
    Route("GET", "/api/v1/chargers/<name>/connection", get_connection),
    Route("DELETE", "/api/v1/chargers/<name>/connection", close_connection),
    Route("GET", "/api/v1/chargers/<name>/connectors", list_connectors),
    Route("GET", "/api/v1/chargers/<name>/connectors/<connector_id>", get_connector),
    Route("GET", "/api/v1/chargers/<name>/connectors/<connector_id>/history", list_history),
)
