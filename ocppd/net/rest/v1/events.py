"""What happened, as a list and as it happens. docs/http-api.md."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Final, cast

from klein import Response
from twisted.internet.defer import Deferred, TimeoutError

from ocppd.errors import StorageUnavailable
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.event_stream import MEDIA_TYPE, EventStream
from ocppd.net.rest.parameters import choice, instant, page, sequence, text
from ocppd.net.rest.problems import BadParameters
from ocppd.net.rest.routing import Incoming, Route
from ocppd.storage.records import EventFilter, EventKind

#: What a query parameter is called in `EventFilter`.
FILTERS: Final = {"charger": "charger", "type": "kind", "action": "action", "since": "since_ms", "until": "until_ms"}
STREAM_QUERY: Final = {"charger": text, "type": choice(EventKind), "action": text}
EVENTS_QUERY: Final = {**page(sequence), **STREAM_QUERY, "since": instant, "until": instant}
#: An SSE client names the last event that it had (https://html.spec.whatwg.org/#last-event-id); curl may, too.
LAST_EVENT_HEADER: Final = "Last-Event-ID"
LAST_EVENT: Final = "lastEventId"

#: How long a client waits for the records when its stream begins.
BEGIN_S: Final = 5.0


async def list_events(api: Api, incoming: Incoming) -> Response:
    """`GET /events`: newest first."""
    wanted = incoming.page(EVENTS_QUERY)
    rows = await api.storage.list_events(_which(wanted.filters), wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, shapes.event, lambda row: row.sequence)


async def stream_events(api: Api, incoming: Incoming) -> Response:
    """`GET /events/stream`: Server-Sent Events, from now on or after the last one that the client had."""
    query = incoming.query({**STREAM_QUERY, LAST_EVENT: sequence})
    after = _last_event(incoming, query.pop(LAST_EVENT, None))
    # Some proxies would keep the answer back until it is complete.
    headers: dict[Any, Any] = {"Content-Type": MEDIA_TYPE, "X-Accel-Buffering": "no"}
    if incoming.request.method == b"HEAD":
        return Response(200, headers, b"")
    with ExitStack() as undo:
        follower = api.feed.follow(after, _which(query))
        undo.callback(follower.close)
        try:  # before the answer: what its client does next is in the stream
            await Deferred.fromCoroutine(follower.begin()).addTimeout(BEGIN_S, cast(Any, api.clock))
        except TimeoutError:
            raise StorageUnavailable("the records cannot be read at the moment") from None
        undo.pop_all()
    return Response(200, headers, EventStream(follower, api.clock))


def _which(filters: dict[str, Any]) -> EventFilter:
    return EventFilter(**{FILTERS[name]: value for name, value in filters.items()})


def _last_event(incoming: Incoming, asked: int | None) -> int | None:
    """The header wins: a client sends it when it comes again, with the query of its first request."""
    told = incoming.header(LAST_EVENT_HEADER)
    if not told:
        return asked
    try:
        return sequence(told)
    except ValueError:
        raise BadParameters([(LAST_EVENT_HEADER, "expected the id of an earlier event")]) from None


ROUTES: Final = (
    Route("GET", "/api/v1/events", list_events),
    Route("GET", "/api/v1/events/stream", stream_events),
)
