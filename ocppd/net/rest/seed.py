"""The three seed paths, kept to the byte. docs/http-api.md.

Thin adapters: what they say and do is what `/api/v1` says and does, in another shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from klein import Response
from twisted.internet.defer import maybeDeferred

from ocppd.errors import (
    HolderUnreachable,
    InvalidPayload,
    NotPermitted,
    OcppdError,
    QueueFull,
    StorageUnavailable,
    UnknownCharger,
    UnknownMessage,
)
from ocppd.net.rest.answers import json_answer, text_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.problems import NotJson
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.shapes import CALL_PAYLOAD, payload
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import MessageRecord, MessageState
from ocppd.v16.codec import build
from ocppd.v16.remote_trigger import TriggerMessageRequest

TRIGGER: Final = "TriggerMessage"
NO_MESSAGE: Final = '{"status":"fail","reference":"","description":"Message is not exist"}\n'

#: The seed's numbers. 3, received, is a state that no message of ours is seen in: an answer and the completion by it
#: are recorded in one step.
STATUS_NUMBERS: Final[Mapping[MessageState, int]] = {
    MessageState.QUEUED: 1,
    MessageState.SENT: 2,
    MessageState.COMPLETED: 4,
    MessageState.ERROR: 5,
    MessageState.TIMEOUT: 5,
    MessageState.EXPIRED: 5,
    MessageState.CANCELLED: 5,
    MessageState.UNKNOWN: 5,
}


class TextAnswer(NamedTuple):
    """An error as the seed tells it."""

    status: int
    text: str


NOT_FOUND: Final = TextAnswer(404, "Not Found\n")
BAD_REQUEST: Final = TextAnswer(400, "Bad Request\n")
SERVER_ERROR: Final = TextAnswer(500, "Internal Server Error\n")

STATUS_ERRORS: Final[Mapping[type[OcppdError], TextAnswer]] = {
    UnknownCharger: NOT_FOUND,
    UnknownMessage: TextAnswer(200, NO_MESSAGE),
    StorageUnavailable: SERVER_ERROR,
}
COMMAND_ERRORS: Final[Mapping[type[OcppdError], TextAnswer]] = {
    UnknownCharger: BAD_REQUEST,
    InvalidPayload: BAD_REQUEST,
    NotJson: BAD_REQUEST,
    QueueFull: SERVER_ERROR,
    HolderUnreachable: SERVER_ERROR,
    StorageUnavailable: SERVER_ERROR,
}


async def charger_status(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /charger/{name}/status`. `AuthToken` stays empty: it would be the charger's password."""
    try:
        view = await api.queries.charger(name)
    except OcppdError as error:
        return _told(error, STATUS_ERRORS)
    return json_answer(
        {
            "AuthToken": "",
            "HeartBeatInterval": view.heartbeat_interval_s,
            "AuthConnection": view.authenticated,
            "Connected": view.connected,
            "RemoteIP": view.remote_ip,
        }
    )


async def message_status(api: Api, incoming: Incoming, message_id: str) -> Response:
    """`GET /message/{id}/status`. Status 3, received, is never told: see STATUS_NUMBERS."""
    try:
        record = await api.queries.message(message_id)
    except OcppdError as error:
        return _told(error, STATUS_ERRORS)
    return json_answer(
        {
            "Action": triggered(record),
            "Received": record.answer or "",
            "Status": STATUS_NUMBERS[record.state],
            "Sent": record.frame,
        }
    )


def triggered(record: MessageRecord) -> str:
    """The message that a TriggerMessage asks for; of any other message its own action."""
    body = payload(record.frame, CALL_PAYLOAD) if record.action == TRIGGER else None
    try:
        request = msgspec.json.decode(body) if body is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        request = None
    asked = request.get("requestedMessage") if isinstance(request, dict) else None
    return asked if isinstance(asked, str) else record.action


async def trigger_action(api: Api, incoming: Incoming, name: str, action: str) -> Response:
    """`POST /command/{name}/triggeraction/{action}`. An optional JSON body may carry `{"connectorId": n}`."""
    try:
        api.chargers.settings(name)
        request = build(TriggerMessageRequest, {**_options(incoming), "requestedMessage": action})
        record = await _submit(api, name, request)
    except OcppdError as error:
        return _told(error, COMMAND_ERRORS)
    identity = record.message_id
    return json_answer({"status": "success", "reference": identity, "description": "", "uniqueid": identity})


def _options(incoming: Incoming) -> dict[str, Any]:
    return incoming.json_object(TRIGGER)


async def _submit(api: Api, name: str, request: TriggerMessageRequest) -> MessageRecord:
    """Accept the trigger; one that the charger's registration forbids is accepted, too, and has failed already (Status 5)."""
    try:
        return await shielded(maybeDeferred(api.commands.submit, name, request, offline=True))
    except NotPermitted as refusal:
        return await shielded(maybeDeferred(api.commands.refuse, name, request, refusal))


def _told(error: OcppdError, table: Mapping[type[OcppdError], TextAnswer]) -> Response:
    for kind, answer in table.items():
        if isinstance(error, kind):
            return text_answer(answer.text, answer.status)
    raise error


ROUTES: Final = (
    Route("GET", "/charger/<name>/status", charger_status),
    Route("GET", "/message/<message_id>/status", message_status),
    Route("POST", "/command/<name>/triggeraction/<action>", trigger_action),
)
