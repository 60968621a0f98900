"""Transactions. docs/http-api.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from klein import Response
from twisted.internet.defer import maybeDeferred

from ocppd.clock import now_ms
from ocppd.errors import ErrorCode, InvalidPayload, NotClosable, UnknownTransaction, Violation
from ocppd.net.identity import MAX_NAME_LENGTH
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.exports import FORMAT_QUERY, Row, export, wanted_format
from ocppd.net.rest.parameters import (
    GREATEST_INTEGER,
    MAX_LIMIT,
    Page,
    choice,
    instant,
    integer,
    page,
    seconds,
    sequence,
    text,
)
from ocppd.net.rest.problems import BadRequest
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.charging_profiles import remote_start_of
from ocppd.net.rest.v1.commands import MAX_WAIT_S, answered
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import TransactionFilter, TransactionRecord, TransactionState
from ocppd.v16.core import RemoteStopTransactionRequest
from ocppd.v16.validation import UNSAFE, escaped

START: Final = "RemoteStartTransaction"
WAIT_QUERY: Final = {"wait": seconds(0, MAX_WAIT_S)}
#: Of a transaction that an operator closes.
MAX_REASON_LENGTH: Final = 500
#: What a query parameter is called in `TransactionFilter`.
FILTERS: Final = {
    "charger": "charger",
    "connectorId": "connector_id",
    "idTag": "id_tag",
    "state": "state",
    "since": "since_ms",
    "until": "until_ms",
}
TRANSACTIONS_QUERY: Final = {
    **page(sequence),
    "charger": text,
    "connectorId": integer(0, GREATEST_INTEGER),
    "idTag": text,
    "state": choice(TransactionState),
    "since": instant,
    "until": instant,
}

#: Those of an export.
COLUMNS: Final = (
    "transactionId",
    "charger",
    "connectorId",
    "idTag",
    "state",
    "meterStart",
    "meterStop",
    "energyWh",
    "startedAt",
    "stoppedAt",
    "stopIdTag",
    "reason",
    "verdict",
    "flags",
    "reservationId",
    "messageId",
    "closedAt",
    "closeReason",
    "remoteStartId",
)


async def list_transactions(api: Api, incoming: Incoming) -> Response:
    """`GET /transactions`: newest first; the times are of the start. As a whole with `?format=`."""
    values = incoming.query({**TRANSACTIONS_QUERY, **FORMAT_QUERY})
    form = wanted_format(values, incoming.header("accept"))
    wanted = Page.of(values)
    which = TransactionFilter(**{FILTERS[name]: value for name, value in wanted.filters.items()})
    if form is not None:
        head_only = incoming.request.method == b"HEAD"
        return await export(form, _pages(api, which), COLUMNS, api.clock, "transactions", head_only=head_only)
    rows = await api.storage.list_transactions(which, wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, shapes.transaction, lambda row: row.transaction_id)


async def _pages(api: Api, which: TransactionFilter) -> AsyncIterator[list[Row]]:
    """All transactions, a page of the records at a time."""
    after = None
    while rows := await api.storage.list_transactions(which, after, MAX_LIMIT):
        yield [shapes.transaction(row) for row in rows]
        after = rows[-1].transaction_id


async def get_transaction(api: Api, incoming: Incoming, transaction_id: str) -> Response:
    """`GET /transactions/{id}`."""
    incoming.query()
    return json_answer(shapes.transaction(await transaction_of(api, transaction_id)))


async def start_transaction(api: Api, incoming: Incoming) -> Response:
    """`POST /transactions`: a RemoteStartTransaction, to which the transaction that follows is bound (T-9).

    The body is its payload and the name of the `charger`. The answer is that of the command.
    """
    options = incoming.query(WAIT_QUERY)
    body = incoming.json_object(START)
    charger = body.pop("charger", None)
    if not isinstance(charger, str) or not 0 < len(charger) <= MAX_NAME_LENGTH or UNSAFE.search(charger):
        expected = Violation(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, "/charger", "expected the name of a charger")
        raise InvalidPayload(START, (expected,))
    api.chargers.settings(charger)
    request = await remote_start_of(api, charger, body)
    submitted = maybeDeferred(api.commands.submit, charger, request, message_id=incoming.reference)
    return await answered(api, submitted, options.get("wait", 0))


async def stop_transaction(api: Api, incoming: Incoming, transaction_id: str) -> Response:
    """`POST /transactions/{id}/stop`: a RemoteStopTransaction to its charger. The answer is that of the command."""
    options = incoming.query(WAIT_QUERY)
    if incoming.json_object("RemoteStopTransaction"):
        raise BadRequest("this path takes no body")
    found = await transaction_of(api, transaction_id)
    if found.state in (TransactionState.STOPPED, TransactionState.CLOSED):
        raise NotClosable(found.transaction_id, found.state)
    request = RemoteStopTransactionRequest(transaction_id=found.transaction_id)
    submitted = maybeDeferred(api.commands.submit, found.charger, request, message_id=incoming.reference)
    return await answered(api, submitted, options.get("wait", 0))


async def close_transaction(api: Api, incoming: Incoming, transaction_id: str) -> Response:
    """`POST /transactions/{id}/close`: an operator gives up waiting for its stop, which counts if it comes after all (T-29)."""
    incoming.query()
    reason = _reason(incoming.json_object("Close"))
    found = await transaction_of(api, transaction_id)
    closing = api.queries.close_transaction(found.transaction_id, reason, now_ms(api.clock))
    return json_answer(shapes.transaction(await shielded(closing)))


def _reason(body: dict[str, Any]) -> str:
    """The one member of the body. Raises InvalidPayload with all that is wrong."""
    reason = body.get("reason")
    code = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    violations = [Violation(code, f"/{escaped(name)}", "there is no such member") for name in body if name != "reason"]
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= MAX_REASON_LENGTH:
        violations.append(Violation(code, "/reason", f"expected a text of 1 to {MAX_REASON_LENGTH} characters"))
    if violations:
        raise InvalidPayload("Close", tuple(violations))
    return str(reason)


async def transaction_of(api: Api, transaction_id: str) -> TransactionRecord:
    """The transaction that a segment of a path names. Raises UnknownTransaction."""
    try:
        number = integer(0, GREATEST_INTEGER)(transaction_id)
    except ValueError:
        raise UnknownTransaction(transaction_id) from None
    return await api.queries.transaction(number)


ROUTES: Final = (
    Route("GET", "/api/v1/transactions", list_transactions),
    Route("POST", "/api/v1/transactions", start_transaction),
    Route("GET", "/api/v1/transactions/<transaction_id>", get_transaction),
    Route("POST", "/api/v1/transactions/<transaction_id>/stop", stop_transaction),
    Route("POST", "/api/v1/transactions/<transaction_id>/close", close_transaction),
)
