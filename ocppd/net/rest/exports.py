"""Whole lists as one answer, CSV or NDJSON, written as they are read: a page of the records at a time. docs/http-api.md.

A client that reads slowly is not read for, and chargers come first: after each page there is a rest. Where the records
fail in the middle the connection is cut, so that nobody takes half of a list for all of it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from time import monotonic
from typing import Any, Final

import msgspec
from klein import Response
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ocppd.clock import Clock
from ocppd.errors import StorageUnavailable
from ocppd.net.rest.answers import JSON
from ocppd.net.rest.event_stream import WRITE, Valve
from ocppd.net.rest.parameters import choice
from ocppd.net.rest.problems import BadParameters

log = Logger()

Row = Mapping[str, Any]
#: One page after another.
Pages = AsyncIterator[Sequence[Row]]


class Format(StrEnum):
    """In what form a list is wanted as a whole."""

    CSV = "csv"
    NDJSON = "ndjson"


MEDIA_TYPES: Final = {Format.CSV: "text/csv; charset=utf-8", Format.NDJSON: "application/x-ndjson"}
#: The parameter of lists that can be exported.
FORMAT_QUERY: Final = {"format": choice(Format)}
#: How long there is a rest after a page, of the time that it took; that is more while chargers are busy. Without it an export
#: takes most of what they would need: Python's lock goes to and fro between the thread that reads and the reactor's.
REST: Final = 1.0
#: A spreadsheet takes a text that begins so for a formula, and chargers choose what their id tags are.
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
#: What a charger measured may be below zero, and calculates nothing.
_NUMBER: Final = re.compile(r"-[0-9]+(\.[0-9]+)?", re.ASCII)
_QUALITY: Final = re.compile(r"(?:^|;)\s*q=([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", re.ASCII | re.IGNORECASE)

_encode = msgspec.json.Encoder(decimal_format="number").encode


def wanted_format(values: dict[str, Any], accept: str | None) -> Format | None:
    """What `?format=` or Accept asks for, None for a page as JSON. Takes `format` out of `values`.

    Raises BadParameters where a page is asked for at the same time.
    """
    asked: Format | None = values.pop("format", None)
    if asked is None and accept is not None:
        asked = _preferred(accept)
    if asked is not None:
        paged = [(name, "an export has no pages") for name in ("limit", "after") if values.get(name) is not None]
        if paged:
            raise BadParameters(paged)
    return asked


def _preferred(accept: str) -> Format | None:
    """The form that is liked better than JSON, None where that is as good (RFC 9110 section 12.5.1)."""
    liked = dict(map(_liking, accept.split(",")))
    best = max(Format, key=lambda form: liked.get(_type_of(form), 0.0))
    quality = liked.get(_type_of(best), 0.0)
    if JSON in liked:
        return best if quality > liked[JSON] else None
    return best if quality and quality >= liked.get("application/*", liked.get("*/*", 0.0)) else None


def _type_of(form: Format) -> str:
    return MEDIA_TYPES[form].partition(";")[0]


def _liking(part: str) -> tuple[str, float]:
    """A media type, and how good it is."""
    media, _, parameters = part.partition(";")
    quality = _QUALITY.search(parameters)
    return media.strip().lower(), 1.0 if quality is None else float(quality[1])


def csv_lines(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    """Rows as RFC 4180 has them; lists are joined by blanks. Texts that a spreadsheet would calculate get an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    if isinstance(value, str) and value.startswith(FORMULAS) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def ndjson_lines(rows: Sequence[Row]) -> bytes:
    """Each row as one line of JSON."""
    return b"".join(_encode(row) + b"\n" for row in rows)


class Export(Resource):
    """The body of one answer. Its first page has been read already, so that what fails at once is a problem of its own."""

    isLeaf = True

    def __init__(self, form: Format, first: Sequence[Row], pages: Pages, columns: Sequence[str], clock: Clock) -> None:
        super().__init__()
        self._first = first
        self._pages = pages
        #: Twisted's helpers want all of IReactorTime, and need the part that is there.
        self._clock: Any = clock
        self._columns = columns
        self._lines: Callable[[Sequence[Row]], bytes] = ndjson_lines
        if form is Format.CSV:
            self._lines = lambda rows: csv_lines(rows, columns)
        self._head = csv_lines([dict(zip(columns, columns, strict=True))], columns) if form is Format.CSV else b""

    def render(self, request: Any) -> int:
        """Begin; the answer ends with the list or with its client."""
        valve = Valve(request, self._clock)
        request.registerProducer(valve, True)
        running = Deferred.fromCoroutine(self._run(request, valve))
        request.notifyFinish().addErrback(lambda _: running.cancel())
        running.addCallbacks(lambda _: _finish(request), lambda failure: failure.trap(CancelledError))
        running.addErrback(_broken, request)
        return NOT_DONE_YET

    async def _run(self, request: Any, valve: Valve) -> None:
        try:
            await _write(request, valve, self._head + self._lines(self._first))
            began_s = monotonic()
            async for rows in self._pages:
                lines = self._lines(rows)
                took_s = monotonic() - began_s
                await _write(request, valve, lines)
                await deferLater(self._clock, REST * took_s)
                began_s = monotonic()
        finally:
            valve.close()


async def _write(request: Any, valve: Valve, data: bytes) -> None:
    """In pieces, after each of which is seen whether the client reads: one that reads slowly is not one that does not."""
    for begin in range(0, len(data), WRITE):
        request.write(data[begin : begin + WRITE])
        await valve.opened()


async def export(form: Format, pages: Pages, columns: Sequence[str], clock: Clock, name: str, *, head_only: bool) -> Response:
    """The answer that holds all of these pages; `name` is what a browser calls the file. Fails as reading the first one does."""
    first: Sequence[Row] = ()
    async for page in pages:
        first = page
        break
    headers: dict[Any, Any] = {
        "Content-Type": MEDIA_TYPES[form],
        "Content-Disposition": f'attachment; filename="{name}.{form}"',
        # Some proxies would keep the answer back until it is complete.
        "X-Accel-Buffering": "no",
    }
    return Response(200, headers, b"" if head_only else Export(form, first, pages, columns, clock))


def _finish(request: Any) -> None:
    request.unregisterProducer()
    request.finish()


def _broken(failure: Failure, request: Any) -> None:
    """The rest of the list cannot be read: the client is to see that it has not all of it."""
    if failure.check(StorageUnavailable):
        log.warn("an export was cut off: {reason}", reason=failure.getErrorMessage())
    else:
        log.failure("an export broke", failure)
    if request.channel is not None:
        request.channel.forceAbortClient()
