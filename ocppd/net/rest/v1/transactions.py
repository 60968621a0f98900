"""Transactions. docs/http-api.md."""

from __future__ import annotations

from typing import Final

from klein import Response

from ocppd.errors import UnknownTransaction
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import GREATEST_INTEGER, choice, instant, integer, page, sequence, text
from ocppd.net.rest.routing import Incoming, Route
from ocppd.storage.records import TransactionFilter, TransactionRecord, TransactionState

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


async def list_transactions(api: Api, incoming: Incoming) -> Response:
    """`GET /transactions`: newest first; the times are of the start."""
    wanted = incoming.page(TRANSACTIONS_QUERY)
    which = TransactionFilter(**{FILTERS[name]: value for name, value in wanted.filters.items()})
    rows = await api.storage.list_transactions(which, wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, shapes.transaction, lambda row: row.transaction_id)


async def get_transaction(api: Api, incoming: Incoming, transaction_id: str) -> Response:
    """`GET /transactions/{id}`."""
    incoming.query()
    return json_answer(shapes.transaction(await transaction_of(api, transaction_id)))


async def transaction_of(api: Api, transaction_id: str) -> TransactionRecord:
    """The transaction that a segment of a path names. Raises UnknownTransaction."""
    try:
        number = integer(0, GREATEST_INTEGER)(transaction_id)
    except ValueError:
        raise UnknownTransaction(transaction_id) from None
    return await api.queries.transaction(number)


ROUTES: Final = (
    Route("GET", "/api/v1/transactions", list_transactions),
    Route("GET", "/api/v1/transactions/<transaction_id>", get_transaction),
)
