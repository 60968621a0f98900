"""Meter values as series for plots. docs/http-api.md."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from klein import Response

from ocppd.central.meter_values import samples_of
from ocppd.central.series import Point, Series, SeriesKey
from ocppd.errors import Conflict
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import json_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import MAX_LIMIT
from ocppd.net.rest.problems import BadParameters
from ocppd.net.rest.turns import Turns
from ocppd.storage.records import MeterValueFilter, MeterValueRecord, ends

#: Rows that one answer may be made of: some seconds of work, a page at a time.
MAX_ROWS: Final = 50_000
#: What a plot can show.
MAX_POINTS: Final = 20_000
#: From a second to 31 days.
LONGEST_BUCKET_S: Final = 31 * 24 * 3600
_BUCKET: Final = re.compile(r"([0-9]{1,7})([smhd])", re.ASCII)
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def bucket(value: str) -> int:
    """A stretch of time such as 15m, in milliseconds."""
    found = _BUCKET.fullmatch(value)
    length_s = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 1 <= length_s <= LONGEST_BUCKET_S:
        raise ValueError("expected a length of time from 1s to 31d, such as 30s, 15m or 1h")
    return length_s * 1000


BUCKET_QUERY: Final = {"bucket": bucket}


def check_series(values: Mapping[str, Any], form: object, *, of_one: bool) -> None:
    """Whether series can be asked for so. Raises BadParameters."""
    errors = [(name, "series have no pages") for name in ("limit", "after") if values.get(name) is not None]
    if form is not None:
        errors.append(("format", "series are JSON"))
    if not (of_one or values.get("charger") or values.get("transactionId")):
        errors.append(("bucket", "series are of one charger or one transaction: add charger= or transactionId="))
    if errors:
        raise BadParameters(errors)


async def rows_of(api: Api, which: MeterValueFilter) -> AsyncIterator[list[MeterValueRecord]]:
    """All rows, in order of arrival, a page at a time."""
    row = 0
    while rows := await api.storage.list_meter_values(which, row, MAX_LIMIT):
        yield rows
        if ends(rows, MAX_LIMIT):
            return
        row = rows[-1].sequence + 1


async def series(api: Api, which: MeterValueFilter, measurand: str | None, bucket_ms: int) -> Response:
    """The series of these values. Raises Conflict where they are too many for one answer."""
    found = Series(bucket_ms)
    count = 0
    turns = Turns(api.clock)
    async for rows in rows_of(api, which):
        count += len(rows)
        for record in rows:
            at_ms = shapes.told_or(record.timestamp_ms, record.received_ms)
            samples = samples_of(record.samples)
            for sample in samples:
                if measurand in (None, sample.measurand):
                    found.add(record.charger, record.connector_id, at_ms, sample)
            await turns.did(len(samples))
        if count > MAX_ROWS or found.points > MAX_POINTS:
            raise Conflict("these are too many values for one answer: narrow it by since, until, measurand, or a longer bucket")
    items = [_item(key, points) for key, points in found]
    return json_answer({"bucket": bucket_ms // 1000, "items": items})


def _item(key: SeriesKey, points: Sequence[tuple[Point, Decimal | None]]) -> dict[str, Any]:
    named = {
        "charger": key.charger,
        "connectorId": key.connector_id,
        "measurand": key.measurand,
        "phase": key.phase,
        "location": key.location,
        "unit": key.unit,
    }
    told = {name: value for name, value in named.items() if value is not None}
    return {**told, "points": [_point(point, added) for point, added in points]}


def _point(point: Point, added: Decimal | None) -> dict[str, Any]:
    shape = {
        "at": shapes.instant(point.at_ms),
        "min": point.least,
        "max": point.greatest,
        "mean": point.mean,
        "last": point.last,
        "count": point.count,
    }
    return shape if added is None else {**shape, "added": added}
