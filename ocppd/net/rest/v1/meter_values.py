"""Meter values: one item per sample, in order of arrival, raw and in the unit that can be compared. docs/http-api.md.

A row of the records holds all samples of one instant, so a cursor names a row and a place in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from klein import Response

from ocppd.central.meter_values import Sample, samples_of
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import list_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import (
    GREATEST_INTEGER,
    MAX_LIMIT,
    Page,
    encode_cursor,
    instant,
    integer,
    page,
    pair,
    text,
)
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.transactions import transaction_of
from ocppd.storage.records import MeterValueFilter, MeterValueRecord

#: Rows that one request looks at for samples of its measurand; the cursor leads on from there.
MAX_LOOKED_AT: Final = 10 * MAX_LIMIT

#: What a query parameter is called in `MeterValueFilter`.
FILTERS: Final = {
    "charger": "charger",
    "connectorId": "connector_id",
    "transactionId": "transaction_id",
    "since": "since_ms",
    "until": "until_ms",
}
OF_TRANSACTION_QUERY: Final = {**page(pair), "measurand": text, "since": instant, "until": instant}
METER_VALUES_QUERY: Final = {
    **OF_TRANSACTION_QUERY,
    "charger": text,
    "connectorId": integer(0, GREATEST_INTEGER),
    "transactionId": integer(1, GREATEST_INTEGER),
}

#: A row, a place in it, what stands there.
Found = tuple[MeterValueRecord, int, Sample]


async def list_meter_values(api: Api, incoming: Incoming) -> Response:
    """`GET /meter-values`."""
    return await _page(api, incoming.page(METER_VALUES_QUERY), {})


async def list_of_transaction(api: Api, incoming: Incoming, transaction_id: str) -> Response:
    """`GET /transactions/{id}/meter-values`."""
    wanted = incoming.page(OF_TRANSACTION_QUERY)
    transaction = await transaction_of(api, transaction_id)
    return await _page(api, wanted, {"transaction_id": transaction.transaction_id})


async def _page(api: Api, wanted: Page, given: Mapping[str, Any]) -> Response:
    filters = {FILTERS[name]: value for name, value in wanted.filters.items() if name in FILTERS}
    which = MeterValueFilter(**filters, **given)
    row, place = wanted.after or (0, 0)
    chunk = min(wanted.limit + 1, MAX_LIMIT)
    found: list[Found] = []
    looked_at = 0
    while len(found) <= wanted.limit and looked_at < MAX_LOOKED_AT:
        rows = await api.storage.list_meter_values(which, row, chunk)
        for record in rows:
            found += _samples(record, place if record.sequence == row else 0, wanted.filters.get("measurand"))
        looked_at += len(rows)
        if len(rows) < chunk:
            return _answer(found, wanted.limit, None)
        row, place = rows[-1].sequence + 1, 0
    return _answer(found, wanted.limit, f"{row}.0")


def _samples(record: MeterValueRecord, first: int, measurand: str | None) -> Iterator[Found]:
    for place, sample in enumerate(samples_of(record.samples)):
        if place >= first and measurand in (None, sample.measurand):
            yield record, place, sample


def _answer(found: list[Found], limit: int, following: str | None) -> Response:
    """The page; `following` is where to go on where there may be more."""
    if len(found) > limit:
        record, place, _ = found[limit]
        following = f"{record.sequence}.{place}"
    items = [shapes.meter_value(record, sample) for record, _, sample in found[:limit]]
    return list_answer(items, None if following is None else encode_cursor(following))


ROUTES: Final = (
    Route("GET", "/api/v1/meter-values", list_meter_values),
    Route("GET", "/api/v1/transactions/<transaction_id>/meter-values", list_of_transaction),
)
