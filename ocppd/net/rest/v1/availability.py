"""The availability of chargers and their connectors: what is wished, and what became of it. docs/http-api.md."""

from __future__ import annotations

from typing import Final

import msgspec
from klein import Response
from twisted.internet.defer import maybeDeferred

from ocppd.errors import InvalidPayload
from ocppd.net.rest import state_shapes
from ocppd.net.rest.answers import json_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import seconds
from ocppd.net.rest.problems import NoConnector
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.chargers import connector_of
from ocppd.net.rest.v1.commands import MAX_WAIT_S, answered
from ocppd.v16.core import ChangeAvailabilityRequest
from ocppd.v16.types import AvailabilityType
from ocppd.v16.validation import check

SUBJECT: Final = "availability"
WAIT_QUERY: Final = {"wait": seconds(0, MAX_WAIT_S)}
CHARGER: Final = 0


class AvailabilityBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is wished."""

    type: AvailabilityType


async def get_availability(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/availability`: of the charger as a whole, and of each connector."""
    incoming.query()
    api.chargers.settings(name)
    wishes = (await api.storage.follow_ups.availability([name])).get(name, {})
    return json_answer(
        {
            "charger": name,
            **(state_shapes.availability(wishes.get(CHARGER)) or {}),
            "connectors": [
                {"connectorId": number, **(state_shapes.availability(wish) or {})}
                for number, wish in sorted(wishes.items())
                if number != CHARGER
            ],
        }
    )


async def put_availability(api: Api, incoming: Incoming, name: str) -> Response:
    """`PUT /chargers/{name}/availability`: a ChangeAvailability of connector 0. The answer is that of the command."""
    api.chargers.settings(name)
    return await _put(api, incoming, name, CHARGER)


async def get_connector_availability(api: Api, incoming: Incoming, name: str, connector_id: str) -> Response:
    """`GET /chargers/{name}/connectors/{id}/availability`."""
    incoming.query()
    connector = await connector_of(api, name, connector_id)
    wishes = (await api.storage.follow_ups.availability([name])).get(name, {})
    wish = state_shapes.availability(wishes.get(connector.connector_id))
    return json_answer({"charger": name, "connectorId": connector.connector_id, **(wish or {})})


async def put_connector_availability(api: Api, incoming: Incoming, name: str, connector_id: str) -> Response:
    """`PUT /chargers/{name}/connectors/{id}/availability`: of a connector that the charger has told of."""
    connector = await connector_of(api, name, connector_id)
    if connector.connector_id == CHARGER:
        raise NoConnector(connector_id)
    return await _put(api, incoming, name, connector.connector_id)


async def _put(api: Api, incoming: Incoming, name: str, connector_id: int) -> Response:
    options = incoming.query(WAIT_QUERY)
    body = incoming.json_object(SUBJECT)
    found = check(AvailabilityBody, body)
    if found:
        raise InvalidPayload(SUBJECT, found)
    wanted = msgspec.convert(body, AvailabilityBody)
    request = ChangeAvailabilityRequest(connector_id=connector_id, type=wanted.type)
    return await answered(api, maybeDeferred(api.commands.submit, name, request), options.get("wait", 0))


ROUTES: Final = (
    Route("GET", "/api/v1/chargers/<name>/availability", get_availability),
    Route("PUT", "/api/v1/chargers/<name>/availability", put_availability),
    Route("GET", "/api/v1/chargers/<name>/connectors/<connector_id>/availability", get_connector_availability),
    Route("PUT", "/api/v1/chargers/<name>/connectors/<connector_id>/availability", put_connector_availability),
)
