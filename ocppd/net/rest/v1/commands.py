"""Commands: every message that a 1.6 central system may send, by one table. docs/http-api.md."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from klein import Response
from twisted.internet.defer import Deferred

from ocppd.central.commands import MAX_TTL_S
from ocppd.errors import StorageUnavailable
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import json_answer, problem_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.body import body_of, json_object
from ocppd.net.rest.parameters import one_of, read_query, seconds
from ocppd.net.rest.problems import UnknownAction, problem_of_end
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.messages import message_shape
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import MessageRecord, MessageState
from ocppd.v16.actions import ACTIONS, Action
from ocppd.v16.codec import build
from ocppd.v16.types import Message

#: Commands that are short, hold no secret, and are sent again and again in the same words.
REPEATED: Final = frozenset({"ExtendedTriggerMessage", "Reset", "TriggerMessage", "UnlockConnector"})
#: Longer than any charger's call timeout by default, shorter than the patience of proxies and clients.
MAX_WAIT_S: Final = 120
#: An instant is a millisecond.
LEAST_TTL_S: Final = 0.001

COMMANDS: Final[dict[str, Action]] = {name: action for name, action in ACTIONS.items() if action.to_charger}
COMMAND_QUERY: Final = {
    "wait": seconds(0, MAX_WAIT_S),
    "offline": one_of({"queue": True, "fail": False}),
    "ttl": seconds(LEAST_TTL_S, MAX_TTL_S),
}
UNFINISHED: Final = frozenset({MessageState.QUEUED, MessageState.SENT})


async def post_command(api: Api, incoming: Incoming, name: str, action: str) -> Response:
    """`POST /chargers/{name}/commands/{Action}`, its OCPP request payload as the body.

    202 with the message as accepted; with `?wait=` 200 once it is answered, or the problem it ended with.
    """
    api.chargers.settings(name)
    command = _command(action)
    options = _options(incoming.query_text)
    if action in REPEATED and (body := body_of(incoming.request)):
        request = _repeated(action, body)
    else:
        request = build(command.request, incoming.json_object(action))
    known = api.mirror.capabilities.at_hand(name)
    warnings = await warnings_about(api, name, action) if known is None else known.warnings(action)
    wanted: dict[str, Any] = {"offline": options.get("offline"), "ttl_s": options.get("ttl"), "message_id": incoming.reference}
    submitted = api.commands.submit(name, request, built=True, **wanted)
    return await answered(api, submitted, options.get("wait", 0), warnings)


@lru_cache(maxsize=256)
def _options(query: bytes) -> dict[str, Any]:
    """The parameters, which are only looked at. Raises BadParameters."""
    return read_query(query, COMMAND_QUERY)


@lru_cache(maxsize=256)
def _repeated(action: str, body: bytes) -> Message:
    """The request in a body of one of the commands that are the same for many chargers. Raises NotJson, InvalidPayload."""
    return build(COMMANDS[action].request, json_object(action, body))


async def warnings_about(api: Api, name: str, action: str) -> list[str]:
    """What speaks against a command and does not forbid it, as far as the records can be reached (E-3, 2.4)."""
    try:
        return (await api.mirror.capabilities.of(name)).warnings(action)
    except StorageUnavailable:
        return []


async def answered(api: Api, submitted: Deferred[MessageRecord], wait_s: float, warnings: Sequence[str] = ()) -> Response:
    """The answer to a command, once it is accepted, or after so many seconds for its charger's.

    Whoever goes away meanwhile has sent it all the same.
    """
    record = await shielded(submitted)
    try:
        ended = await api.commands.wait(record, wait_s)
    except StorageUnavailable:
        return _answer(record, shapes.message(record), warnings)  # what became of it cannot be read, but it was accepted
    try:
        shape = await message_shape(api, ended)
    except StorageUnavailable:
        shape = shapes.message(ended)
    return _answer(ended, shape, warnings)


def _command(name: str) -> Action:
    command = COMMANDS.get(name)
    if command is None:
        raise UnknownAction(name, sorted(COMMANDS), _close(name))
    return command


def _close(name: str) -> list[str]:
    """Commands that are spelt like `name`, in whatever case."""
    spelt = {command.lower(): command for command in COMMANDS}
    return [spelt[close] for close in difflib.get_close_matches(name.lower(), spelt, 3)]


def _answer(record: MessageRecord, shape: shapes.Shape, warnings: Sequence[str]) -> Response:
    headers: dict[str, str] = {"Location": f"/api/v1/messages/{record.message_id}"}
    if record.state in UNFINISHED or record.state is MessageState.COMPLETED:
        told = {**shape, "warnings": list(warnings)} if warnings else shape
        return json_answer(told, 202 if record.state in UNFINISHED else 200, headers)
    return problem_answer(problem_of_end(record), headers)


ROUTES: Final[tuple[Any, ...]] = (Route("POST", "/api/v1/chargers/<name>/commands/<action>", post_command),)
