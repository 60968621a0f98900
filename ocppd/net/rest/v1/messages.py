"""Messages, both ways, with their answers. docs/http-api.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from klein import Response

from ocppd.net.rest import shapes
from ocppd.net.rest.answers import json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import Page, boolean, choice, instant, page, sequence, text
from ocppd.net.rest.problems import BadParameters
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import PAGE_CHARACTERS, Direction, MessageFilter, MessageRecord, MessageState

#: What a query parameter is called in `MessageFilter`.
FILTERS: Final = {
    "charger": "charger",
    "action": "action",
    "direction": "direction",
    "state": "state",
    "since": "since_ms",
    "until": "until_ms",
}


def position(cursor: str) -> tuple[int, str]:
    """A place in the journal, or (with the message's id) in the ring in memory."""
    number, _, message_id = cursor.partition(" ")
    return sequence(number), message_id


MESSAGES_QUERY: Final = {
    **page(position),
    "charger": text,
    "action": text,
    "direction": choice(Direction),
    "state": choice(MessageState),
    "since": instant,
    "until": instant,
    "durable": boolean,
}


async def list_messages(api: Api, incoming: Incoming) -> Response:
    """`GET /messages`: newest first, from the journal, or with `durable=false` one charger's from memory."""
    wanted = incoming.page(MESSAGES_QUERY)
    which = MessageFilter(**{FILTERS[name]: value for name, value in wanted.filters.items() if name in FILTERS})
    if wanted.filters.get("durable", True):
        return await _journaled(api, wanted, which)
    if which.charger is None:
        raise BadParameters([("charger", "needed with durable=false")])
    return _remembered(api.queries.remembered(which.charger), wanted, which)


async def _journaled(api: Api, wanted: Page, which: MessageFilter) -> Response:
    after = None if wanted.after is None else wanted.after[0]
    rows = await api.storage.list_messages(which, after, wanted.limit + 1)
    follow_ups = await api.storage.follow_ups.of_messages([row.message_id for row in rows if followed(row)])
    cut = sum(row.characters for row in rows) >= PAGE_CHARACTERS
    return page_answer(
        rows, wanted.limit, lambda row: shapes.message(row, follow_ups.get(row.message_id, ())), lambda row: row.sequence, cut=cut
    )


def followed(record: MessageRecord) -> bool:
    """Whether something may follow this message: a call of ours that its charger has answered."""
    return record.direction is Direction.TO_CHARGER and record.state is MessageState.COMPLETED


async def message_shape(api: Api, record: MessageRecord) -> shapes.Shape:
    """A message with what follows it."""
    if not followed(record):
        return shapes.message(record)
    if record.follow_ups is not None:
        return shapes.message(record, record.follow_ups)
    found = await api.storage.follow_ups.of_messages([record.message_id])
    return shapes.message(record, found.get(record.message_id, ()))


def _remembered(records: list[MessageRecord], wanted: Page, which: MessageFilter) -> Response:
    left = [record for record in _behind(records, wanted.after) if passes(record, which)]
    return page_answer(left, wanted.limit, shapes.message, lambda record: f"{record.created_ms} {record.message_id}")


def _behind(records: list[MessageRecord], after: tuple[int, str] | None) -> list[MessageRecord]:
    """The records behind a place in the ring; where that record has been dropped meanwhile, so have all behind it."""
    if after is None:
        return records
    for index, record in enumerate(records):
        if (record.created_ms, record.message_id) == after:
            return records[index + 1 :]
    return []


def passes(record: MessageRecord, which: MessageFilter) -> bool:
    """Whether a record in memory is one of those; as storage does it, `since_ms` is included and `until_ms` is not."""
    wanted: Mapping[str, Any] = {"action": which.action, "direction": which.direction, "state": which.state}
    return (
        all(value is None or getattr(record, name) == value for name, value in wanted.items())
        and (which.since_ms is None or record.created_ms >= which.since_ms)
        and (which.until_ms is None or record.created_ms < which.until_ms)
    )


async def get_message(api: Api, incoming: Incoming, message_id: str) -> Response:
    """`GET /messages/{id}`."""
    incoming.query()
    return json_answer(await message_shape(api, await api.queries.message(message_id)))


async def cancel_message(api: Api, incoming: Incoming, message_id: str) -> Response:
    """`DELETE /messages/{id}`: cancel what is still queued; the message stays readable."""
    incoming.query()
    return json_answer(shapes.message(await shielded(api.commands.cancel(message_id))))


ROUTES: Final = (
    Route("GET", "/api/v1/messages", list_messages),
    Route("GET", "/api/v1/messages/<message_id>", get_message),
    Route("DELETE", "/api/v1/messages/<message_id>", cancel_message),
)
