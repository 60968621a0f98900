"""Lists as a whole, and meter values as series. docs/http-api.md."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import Clock

from ocppd.net.rest.event_stream import STALL_S
from ocppd.net.rest.v1 import meter_value_series
from ocppd.storage.records import PAGE_CHARACTERS, MeterValueElement
from support.peer import RawClient, raw, within
from support.rest import Served
from support.storing import MINUTE_MS, NOON_MS, element, inbound, start, stop

ensure = pytest_twisted.ensureDeferred
#: More than a page of the records.
MANY = 1203


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Two chargers."""
    running = Served("CP1", "CP2")
    yield running
    await running.stop()


async def transactions(served: Served, count: int) -> None:
    """So many stopped transactions of CP1."""
    started = [
        served.storage.transaction_started(inbound(), start(timestamp_ms=NOON_MS + n * MINUTE_MS, meter_start_wh=n))
        for n in range(count)
    ]
    for n, each in enumerate(await gatherResults(started)):
        await served.storage.transaction_stopped(
            inbound(), stop(each.transaction_id, meter_stop_wh=n + 7, timestamp_ms=NOON_MS + n * MINUTE_MS + 1)
        )


async def values(served: Served, count: int, charger: str = "CP1") -> None:
    """So many elements, a minute apart."""
    for begin in range(0, count, 100):
        elements = tuple(element(NOON_MS + n * MINUTE_MS, str(n)) for n in range(begin, min(begin + 100, count)))
        await served.storage.meter_values_received(inbound(charger=charger), 1, None, elements)


@ensure
async def test_transactions_as_lines(served: Served) -> None:
    """NDJSON has every transaction once, newest first, each as the list shows it, in an answer without a length."""
    await transactions(served, MANY)
    answer = await served.get("/api/v1/transactions?format=ndjson")
    assert (answer.status, answer.media_type) == (200, "application/x-ndjson")
    assert "content-length" not in answer.headers
    assert answer.headers["content-disposition"] == 'attachment; filename="transactions.ndjson"'
    rows = [json.loads(line) for line in dechunked(answer.body).splitlines()]
    assert [row["transactionId"] for row in rows] == list(range(MANY, 0, -1))
    page = (await served.get("/api/v1/transactions?limit=2")).json["items"]
    assert rows[:2] == page


@ensure
async def test_transactions_as_a_table(served: Served) -> None:
    """CSV has a line of names; what a spreadsheet would calculate is made a text; Accept asks for it as well."""
    await served.storage.transaction_started(inbound(), start(id_tag="=1+1", id_tag_key="=1+1", flags=("timeInFuture", "x")))
    for path, headers in (("?format=csv", {}), ("", {"Accept": "text/csv, */*;q=0.1"})):
        answer = await served.get(f"/api/v1/transactions{path}", **headers)
        assert answer.media_type == "text/csv", answer
        (row,) = csv.DictReader(io.StringIO(dechunked(answer.body).decode(), newline=""))
        assert (row["idTag"], row["flags"], row["stoppedAt"]) == ("'=1+1", "timeInFuture x", "")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/json, text/csv;q=0.1", "application/json"),
        ("application/json;q=0.5, text/csv;q=0.8", "text/csv"),
        ("text/csv;q=0", "application/json"),
        ("text/csv;q=0.5, */*", "application/json"),
        ("text/csv;charset=utf-8;q=0.5, application/x-ndjson;q=0.9", "application/x-ndjson"),
        ("text/csv;header=present, */*", "text/csv"),
        ("*/*", "application/json"),
    ],
)
@ensure
async def test_what_accept_likes_best(served: Served, accept: str, media_type: str) -> None:
    """A list is an export where Accept likes that better than JSON, and a page where it does not."""
    answer = await served.get("/api/v1/transactions", Accept=accept)
    assert (answer.status, answer.media_type) == (200, media_type)


@ensure
async def test_filters(served: Served) -> None:
    """An export has the filters of its list; nothing is left of what they exclude."""
    await transactions(served, 3)
    answer = await served.get("/api/v1/transactions?format=ndjson&charger=CP2")
    assert dechunked(answer.body) == b""
    answer = await served.get("/api/v1/transactions?format=csv&charger=CP2")
    assert dechunked(answer.body).startswith(b"transactionId,charger,") and dechunked(answer.body).count(b"\n") == 1
    head = await served.request("HEAD", "/api/v1/transactions?format=csv")
    assert (head.status, head.body, head.media_type) == (200, b"", "text/csv")


@ensure
async def test_meter_values_as_a_table(served: Served) -> None:
    """Every sample is a line, with what was sent beside its value; a number below zero is a number."""
    await values(served, MANY)
    two = MeterValueElement(
        NOON_MS,
        '[{"value":"1.5","unit":"kWh"},{"value":"230","measurand":"Voltage","unit":"V"},'
        '{"value":"-7.5","measurand":"Power.Active.Import","unit":"kW"}]',
    )
    await served.storage.meter_values_received(inbound(charger="CP2"), 2, None, (two,))
    answer = await served.get("/api/v1/meter-values?format=csv")
    rows = list(csv.DictReader(io.StringIO(dechunked(answer.body).decode(), newline="")))
    assert [row["value"] for row in rows[:MANY]] == [str(n) for n in range(MANY)]
    assert [(row["value"], row["unit"], row["rawValue"], row["rawUnit"]) for row in rows[MANY:]] == [
        ("1500.0", "Wh", "1.5", "kWh"),
        ("230", "V", "230", "V"),
        ("-7500.0", "W", "-7.5", "kW"),
    ]
    answer = await served.get("/api/v1/meter-values?format=ndjson&measurand=Voltage")
    assert len(dechunked(answer.body).splitlines()) == 1


@ensure
async def test_series(served: Served) -> None:
    """`bucket=` gives series with their points in order, of one charger or one transaction."""
    await values(served, 60)
    answer = await served.get("/api/v1/meter-values?bucket=15m&charger=CP1&since=2026-03-01T12:10:00Z")
    assert answer.status == 200, answer
    (found,) = answer.json["items"]
    assert (answer.json["bucket"], found["measurand"], found["unit"]) == (900, "Energy.Active.Import.Register", "Wh")
    assert [(point["at"][11:16], point["min"], point["max"], point["count"]) for point in found["points"]] == [
        ("12:00", 10, 14, 5),
        ("12:15", 15, 29, 15),
        ("12:30", 30, 44, 15),
        ("12:45", 45, 59, 15),
    ]
    assert [point.get("added") for point in found["points"]] == [None, 15, 15, 15]


@ensure
async def test_series_of_a_transaction(served: Served) -> None:
    """The values of one transaction are series as well; one that nobody knows is 404."""
    begun = await served.storage.transaction_started(inbound(), start())
    await served.storage.meter_values_received(inbound(), 1, begun.transaction_id, (element(value="5"), element(value="9")))
    answer = await served.get(f"/api/v1/transactions/{begun.transaction_id}/meter-values?bucket=1h")
    assert answer.json["items"][0]["points"][0]["max"] == 9
    assert (await served.get("/api/v1/transactions/77/meter-values?bucket=1h")).slug == "unknown-transaction"


@ensure
async def test_too_many_for_a_plot(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much for one answer is refused, and says what to do."""
    monkeypatch.setattr(meter_value_series, "MAX_ROWS", 100)
    await values(served, 600)
    answer = await served.get("/api/v1/meter-values?bucket=1h&charger=CP1")
    assert answer.slug == "conflict" and "narrow" in answer.json["detail"]


BAD = {
    "/transactions?format=xml": "format",
    "/transactions?format=csv&limit=5": "limit",
    "/transactions?format=csv&after=MQ": "after",
    "/meter-values?bucket=15": "bucket",
    "/meter-values?bucket=0s&charger=CP1": "bucket",
    "/meter-values?bucket=32d&charger=CP1": "bucket",
    "/meter-values?bucket=1h": "bucket",
    "/meter-values?bucket=1h&charger=CP1&limit=5": "limit",
    "/meter-values?bucket=1h&charger=CP1&format=csv": "format",
}


@ensure
@pytest.mark.parametrize("path", BAD)
async def test_bad_input(served: Served, path: str) -> None:
    """What does not go together is refused, with the name of the parameter."""
    answer = await served.get(f"/api/v1{path}")
    assert (answer.status, answer.slug) == (400, "bad-parameters")
    assert BAD[path] in [error["parameter"] for error in answer.json["errors"]]


@ensure
async def test_a_client_that_does_not_read(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its client does not read, no further page is read from the records; later it gets all of them."""
    fat = "[" + ",".join(['{"value":"1","measurand":"Voltage","unit":"V"}'] * 30) + "]"
    for begin in range(0, 2500, 500):
        elements = tuple(MeterValueElement(NOON_MS + n, fat) for n in range(begin, begin + 500))
        await served.storage.meter_values_received(inbound(), 1, None, elements)
    asked: list[int] = []
    real = served.storage.list_meter_values

    def counted(which: Any, after: int | None, limit: int) -> Deferred[Any]:
        asked.append(limit)
        return real(which, after, limit)

    monkeypatch.setattr(served.storage, "list_meter_values", counted)
    client = await raw(served.port)
    assert client.transport is not None
    client.write(f"GET /api/v1/meter-values?format=ndjson HTTP/1.0\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
    await client.until(b"\r\n\r\n")
    client.transport.pauseProducing()
    before, still = -1, 0
    while still < 20:  # each request is some turns of the reactor, and more work than a page
        still = still + 1 if len(asked) == before else 0
        before = len(asked)
        assert (await served.get("/api/v1/chargers")).status == 200
    assert len(asked) < 6
    client.transport.resumeProducing()
    got = await within(client.lost, 30)
    assert got.count(b'"timestamp"') == 75_000 and len(asked) == 6


class Leisurely(RawClient):
    """For each mebibyte that it reads some time passes."""

    clock: Clock
    megabytes = 0

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if len(self.received) >> 20 > self.megabytes:
            self.megabytes = len(self.received) >> 20
            self.clock.advance(STALL_S / 2)


@ensure
async def test_a_client_that_reads_slowly() -> None:
    """Who takes minutes for a page of an export, and reads all the time, gets all of it."""
    client = Leisurely()
    client.clock = Clock()
    served = Served("CP1", clock=client.clock)
    long = "x" * 40_000
    for number in range(500):
        await served.storage.transaction_started(inbound(), start(timestamp_ms=NOON_MS + number, id_tag=long, id_tag_key=long))
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", served.port), client)
    client.write(f"GET /api/v1/transactions?format=ndjson HTTP/1.0\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
    got = await within(client.lost)
    assert got.count(b'"transactionId"') == 500 and client.megabytes * STALL_S / 2 > 5 * STALL_S
    await served.stop()


@ensure
async def test_large_meter_values(served: Served) -> None:
    """What comes to more than is read at once is read on: in a page, in an export and in a series."""
    large = f'[{{"value":"7","context":"{"x" * (PAGE_CHARACTERS // 2)}"}}]'
    elements = tuple(MeterValueElement(NOON_MS + n * MINUTE_MS, large) for n in range(5))
    await served.storage.meter_values_received(inbound(), 1, None, elements)
    listed = (await served.get("/api/v1/meter-values?limit=500")).json
    assert [item["timestamp"][14:16] for item in listed["items"]] == ["00", "01", "02", "03", "04"] and listed["next"] is None
    assert (await served.get("/api/v1/meter-values?format=ndjson")).body.count(b'"timestamp"') == 5
    series = (await served.get("/api/v1/meter-values?charger=CP1&bucket=1d")).json
    assert [point["count"] for item in series["items"] for point in item["points"]] == [5]


@ensure
async def test_records_that_fail(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the records fail at first it is 503; in the middle the connection is cut, without the end of the body."""
    await values(served, 1200)
    real = served.storage.list_meter_values
    calls: list[None] = []

    def failing(which: Any, after: int | None, limit: int) -> Deferred[Any]:
        calls.append(None)
        return real(which, after, limit) if len(calls) == 1 else closed.list_meter_values(which, after, limit)

    closed = type(served.storage)("sqlite://", None)  # type: ignore[arg-type]
    monkeypatch.setattr(served.storage, "list_meter_values", failing)
    answer = await served.get("/api/v1/meter-values?format=ndjson")
    assert answer.status == 200 and not answer.body.endswith(b"0\r\n\r\n")
    assert (await served.get("/api/v1/meter-values?format=ndjson")).slug == "storage-unavailable"


def dechunked(body: bytes) -> bytes:
    """A body that came in chunks (RFC 9112 7.1)."""
    whole, rest = b"", body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        whole, rest = whole + rest[:length], rest[length + 2 :]
        if not length:
            return whole
    raise AssertionError("the body has no end")
