"""Meter values: one item per sample, in order of arrival, raw and in the unit that can be compared. docs/http-api.md.

A row of the records holds all samples of one instant, so a cursor names a row and a place in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from klein import Response

from ocppd.central.meter_values import Sample, samples_of
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import list_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.exports import FORMAT_QUERY, Row, export, wanted_format
from ocppd.net.rest.parameters import (
    GREATEST_INTEGER,
    MAX_LIMIT,
    Page,
    Parser,
    encode_cursor,
    instant,
    integer,
    page,
    pair,
    text,
)
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.turns import Turns
from ocppd.net.rest.v1.meter_value_series import BUCKET_QUERY, check_series, rows_of, series
from ocppd.net.rest.v1.transactions import transaction_of
from ocppd.storage.records import MeterValueFilter, MeterValueRecord, ends

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

#: Those of an export.
COLUMNS: Final = (
    "charger",
    "connectorId",
    "transactionId",
    "timestamp",
    "context",
    "measurand",
    "phase",
    "location",
    "format",
    "unit",
    "value",
    "rawValue",
    "rawUnit",
)

#: A row, a place in it, what stands there.
Found = tuple[MeterValueRecord, int, Sample]


async def list_meter_values(api: Api, incoming: Incoming) -> Response:
    """`GET /meter-values`: a page; as a whole with `?format=`; as series with `?bucket=`."""
    return await _answer_of(api, incoming, METER_VALUES_QUERY, None)


async def list_of_transaction(api: Api, incoming: Incoming, transaction_id: str) -> Response:
    """`GET /transactions/{id}/meter-values`: the same of one transaction."""
    return await _answer_of(api, incoming, OF_TRANSACTION_QUERY, transaction_id)


async def _answer_of(api: Api, incoming: Incoming, query: Mapping[str, Parser], transaction_id: str | None) -> Response:
    values = incoming.query({**query, **FORMAT_QUERY, **BUCKET_QUERY})
    form = wanted_format(values, incoming.header("accept"))
    bucket_ms = values.pop("bucket", None)
    if bucket_ms is not None:
        check_series(values, form, of_one=transaction_id is not None)
    given: dict[str, Any] = {}
    if transaction_id is not None:
        given["transaction_id"] = (await transaction_of(api, transaction_id)).transaction_id
    wanted = Page.of(values)
    filters = {FILTERS[name]: value for name, value in wanted.filters.items() if name in FILTERS}
    which = MeterValueFilter(**filters, **given)
    measurand = wanted.filters.get("measurand")
    if bucket_ms is not None:
        return await series(api, which, measurand, bucket_ms)
    if form is not None:
        head_only = incoming.request.method == b"HEAD"
        return await export(form, _pages(api, which, measurand), COLUMNS, api.clock, "meter-values", head_only=head_only)
    return await _page(api, wanted, which)


async def _pages(api: Api, which: MeterValueFilter, measurand: str | None) -> AsyncIterator[list[Row]]:
    """All samples, as many at a time as hold up nobody."""
    turns = Turns(api.clock)
    async for rows in rows_of(api, which):
        found: list[Row] = []
        for record in rows:
            samples = samples_of(record.samples)
            found += [_told(record, sample) for sample in samples if measurand in (None, sample.measurand)]
            if await turns.did(len(samples)) and found:
                yield found
                found = []
        if found:
            yield found


def _told(record: MeterValueRecord, sample: Sample) -> Row:
    """A sample without members in members, for columns."""
    row = shapes.meter_value(record, sample)
    raw = row.pop("raw")
    return {**row, **{f"raw{name.capitalize()}": value for name, value in raw.items()}}


async def _page(api: Api, wanted: Page, which: MeterValueFilter) -> Response:
    row, place = wanted.after or (0, 0)
    chunk = min(wanted.limit + 1, MAX_LIMIT)
    found: list[Found] = []
    looked_at = 0
    turns = Turns(api.clock)
    while len(found) <= wanted.limit and looked_at < MAX_LOOKED_AT:
        rows = await api.storage.list_meter_values(which, row, chunk)
        for record in rows:
            samples = samples_of(record.samples)
            first = place if record.sequence == row else 0
            found += _matching(record, samples, first, wanted.filters.get("measurand"))
            await turns.did(len(samples))
            if len(found) > wanted.limit:
                break
        looked_at += len(rows)
        if ends(rows, chunk):
            return _answer(found, wanted.limit, None)
        row, place = rows[-1].sequence + 1, 0
    return _answer(found, wanted.limit, f"{row}.0")


def _matching(record: MeterValueRecord, samples: Sequence[Sample], first: int, measurand: str | None) -> Iterator[Found]:
    for place, sample in enumerate(samples):
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
