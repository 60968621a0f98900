"""Security events of chargers. docs/http-api.md; REQUIREMENTS V-11."""

from __future__ import annotations

from typing import Any, Final

from klein import Response

from ocppd.net.rest.answers import page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import boolean, instant, page, sequence, text
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.shapes import instant as told
from ocppd.net.rest.v1.certificate_bodies import told_at, without_none
from ocppd.storage.records.security_events import SecurityEvent, SecurityEventFilter

OF_CHARGER_QUERY: Final = {**page(sequence), "type": text, "critical": boolean, "since": instant, "until": instant}
EVENTS_QUERY: Final = {**OF_CHARGER_QUERY, "charger": text}
#: What a query parameter is called in `SecurityEventFilter`.
FILTERS: Final = {"since": "since_ms", "until": "until_ms"}


async def list_events(api: Api, incoming: Incoming) -> Response:
    """`GET /security-events`: newest first."""
    return await _listed(api, incoming, EVENTS_QUERY)


async def list_events_of_charger(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/security-events`: newest first."""
    api.chargers.settings(name)
    return await _listed(api, incoming, OF_CHARGER_QUERY, charger=name)


async def _listed(api: Api, incoming: Incoming, query: Any, **fixed: str) -> Response:
    wanted = incoming.page(query)
    filters = {FILTERS.get(name, name): value for name, value in wanted.filters.items()}
    which = SecurityEventFilter(**{**filters, **fixed})
    rows = await api.storage.security_events.list_security_events(which, wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, security_event, lambda row: row.sequence)


def security_event(record: SecurityEvent) -> dict[str, Any]:
    """Something that a charger has told of its security."""
    return without_none(
        {
            "securityEventId": record.sequence,
            "charger": record.charger,
            "type": record.type,
            "critical": record.critical,
            "timestamp": told_at(record.timestamp_ms),
            "receivedAt": told(record.received_ms),
            "techInfo": record.tech_info,
            "messageId": record.message_id,
            "requestId": record.request_id,
        }
    )


ROUTES: Final = (
    Route("GET", "/api/v1/security-events", list_events),
    Route("GET", "/api/v1/chargers/<name>/security-events", list_events_of_charger),
)
