"""What `/api/v1` shows of chargers, messages, transactions and meter values. docs/http-api.md and "Shapes"."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from support.rest import Served, silent

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Five chargers, of which none is connected."""
    served = Served("CP1", "CP2", "CP3", "CP4", "CP 5", queue=10)
    yield served
    await served.stop()


def call(action: str, payload: Any, message_id: str = "m1") -> str:
    return json.dumps([2, message_id, action, payload])


async def pages(served: Served, path: str) -> list[list[Any]]:
    """The items of all pages of a list, followed by its cursors."""
    found: list[list[Any]] = []
    following = ""
    while following is not None:
        answer = await served.get(path + following)
        assert answer.status == 200, answer
        assert list(answer.json) == ["items", "next"]
        found.append(answer.json["items"])
        cursor = answer.json["next"]
        following = None if cursor is None else f"&after={cursor}"
    return found


async def start(served: Served, name: str = "CP1", connector: int = 1, **members: Any) -> Any:
    """A charger that is connected, has booted and has started a transaction; gives its link and the transaction's id."""
    link = await served.connect(name, silent)
    payload = {"connectorId": connector, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-01-02T03:04:05Z", **members}
    answer = await link.ask(call("StartTransaction", payload, "start"))
    return link, answer[2]["transactionId"]


# Chargers


@pytest_twisted.ensureDeferred
async def test_chargers_in_pages(served: Served) -> None:
    """Chargers come in order of their names, in pages as long as asked for."""
    found = await pages(served, "/api/v1/chargers?limit=2")
    assert [[charger["name"] for charger in page] for page in found] == [["CP 5", "CP1"], ["CP2", "CP3"], ["CP4"]]
    assert await pages(served, "/api/v1/chargers?limit=5") == [[charger for page in found for charger in page]]


FILTERS = {
    "connected=true": ["CP2", "CP3"],
    "connected=false": ["CP 5", "CP1", "CP4"],
    "registration=Accepted": ["CP2"],
    "vendor=Acme": ["CP2"],
    "vendor=Acme&model=One&firmware=1.2&connected=true": ["CP2"],
    "model=Two": [],
}


@pytest.mark.parametrize("query", FILTERS)
@pytest_twisted.ensureDeferred
async def test_chargers_by_filter(served: Served, query: str) -> None:
    """Filters are combined, and pages are filled with what passes them."""
    await served.connect("CP2")
    await served.connect("CP3", boot=False)
    found = await pages(served, f"/api/v1/chargers?limit=1&{query}")
    assert [charger["name"] for page in found for charger in page] == FILTERS[query]


@pytest_twisted.ensureDeferred
async def test_charger(served: Served) -> None:
    """A charger is shown with what it told; before that, what does not apply is left out."""
    assert (await served.get("/api/v1/chargers/CP%205")).json == {
        "name": "CP 5",
        "connected": False,
        "heartbeatInterval": 10,
        "connectors": [],
    }
    link = await served.connect("CP1")
    await link.ask(call("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"}))
    charger = (await served.get("/api/v1/chargers/CP1")).json
    assert INSTANT.fullmatch(charger.pop("connectedSince"))
    assert INSTANT.fullmatch(charger.pop("lastSeen"))
    assert INSTANT.fullmatch(charger["connectors"][0].pop("since"))
    assert charger == {
        "name": "CP1",
        "connected": True,
        "node": "here",
        "remoteIp": "192.0.2.7",
        "registration": "Accepted",
        "heartbeatInterval": 10,
        "queued": 0,
        "vendor": "Acme",
        "model": "One",
        "firmwareVersion": "1.2",
        "connectors": [{"connectorId": 1, "status": "Available", "errorCode": "NoError"}],
    }


@pytest_twisted.ensureDeferred
async def test_connection(served: Served) -> None:
    """A connection is shown while it lives; DELETE closes it with 1001."""
    link = await served.connect("CP1")
    shown = (await served.get("/api/v1/chargers/CP1/connection")).json
    assert (shown["charger"], shown["remoteIp"], shown["authenticated"]) == ("CP1", "192.0.2.7", False)
    deleted = await served.request("DELETE", "/api/v1/chargers/CP1/connection")
    assert (deleted.status, deleted.body, link.closed) == (204, b"", [1001])
    served.disconnect(link)
    again = await served.request("DELETE", "/api/v1/chargers/CP1/connection")
    assert (again.status, again.slug) == (404, "no-connection")


@pytest_twisted.ensureDeferred
async def test_connectors_and_their_history(served: Served) -> None:
    """A connector shows what it told last; its history is complete, newest first."""
    link = await served.connect("CP1")
    told = ["Available", "Preparing", "Faulted"]
    for number, status in enumerate(told):
        payload = {
            "connectorId": 1,
            "status": status,
            "errorCode": "NoError" if status != "Faulted" else "GroundFailure",
            "info": f"no. {number}",
            "vendorId": "v",
            "vendorErrorCode": "e",
            "timestamp": f"2026-01-02T03:04:0{number}.5Z",
        }
        await link.ask(call("StatusNotification", payload, f"s{number}"))
    await link.ask(call("StatusNotification", {"connectorId": 0, "status": "Available", "errorCode": "NoError"}, "s"))
    connector = {
        "connectorId": 1,
        "status": "Faulted",
        "errorCode": "GroundFailure",
        "info": "no. 2",
        "vendorId": "v",
        "vendorErrorCode": "e",
        "previousStatus": "Preparing",
        "since": "2026-01-02T03:04:02.500Z",
    }
    assert (await served.get("/api/v1/chargers/CP1/connectors/1")).json == connector
    listed = (await served.get("/api/v1/chargers/CP1/connectors")).json
    assert [each["connectorId"] for each in listed["items"]] == [0, 1]
    assert listed["items"][1] == connector
    assert listed["next"] is None
    assert [len(page) for page in await pages(served, "/api/v1/chargers/CP1/connectors?limit=1")] == [1, 1]
    history = await pages(served, "/api/v1/chargers/CP1/connectors/1/history?limit=2")
    assert [[each["status"] for each in page] for page in history] == [["Faulted", "Preparing"], ["Available"]]
    assert history[1][0]["timestamp"] == "2026-01-02T03:04:00.500Z"
    assert INSTANT.fullmatch(history[1][0]["receivedAt"])


@pytest_twisted.ensureDeferred
async def test_unknown_chargers(served: Served) -> None:
    """H-5: identities that tried to connect and are not configured are listed with their attempts."""
    for name in ("b", "a", "b", "c"):
        served.system.chargers.refused(name, "192.0.2.9")
    found = [identity for page in await pages(served, "/api/v1/unknown-chargers?limit=2") for identity in page]
    assert [(identity["name"], identity["attempts"]) for identity in found] == [("a", 1), ("b", 2), ("c", 1)]
    assert found[0]["remoteIp"] == "192.0.2.9"
    assert INSTANT.fullmatch(found[0]["firstSeen"])
    assert INSTANT.fullmatch(found[0]["lastSeen"])


# Messages


@pytest_twisted.ensureDeferred
async def test_messages(served: Served) -> None:
    """Messages come newest first, both ways, with their answers, by filters."""
    link = await served.connect("CP1", silent)
    await link.ask(call("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"}, "s1"))
    await served.command("ClearCache")
    everything = [message for page in await pages(served, "/api/v1/messages?limit=1") for message in page]
    assert [message["action"] for message in everything] == ["ClearCache", "StatusNotification", "BootNotification"]
    status = everything[1]
    assert status["direction"] == "fromCharger"
    assert status["request"] == {"connectorId": 1, "status": "Available", "errorCode": "NoError"}
    assert status["response"] == {}
    assert status["state"] == "completed"
    assert (await served.get("/api/v1/messages/s1")).json == status
    since = status["createdAt"]
    filters = {
        "charger=CP1&direction=toCharger": 1,
        "charger=CP2": 0,
        "action=StatusNotification": 1,
        "state=sent": 1,
        "state=completed": 2,
        f"until={since}&action=StatusNotification": 0,
        f"since={since}&action=StatusNotification": 1,
        "durable=true": 3,
    }
    for query, number in filters.items():
        assert len((await served.get(f"/api/v1/messages?{query}")).json["items"]) == number, query


@pytest_twisted.ensureDeferred
async def test_large_messages(served: Served) -> None:
    """A page has no more than some of them, whatever its limit, and leads on to the others."""
    link = await served.connect("CP1")
    large = [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": "1", "format": "Raw"}] * 90_000}]
    for number in range(4):
        await link.ask(call("MeterValues", {"connectorId": 1, "meterValue": large}, str(number)))
    found = await pages(served, "/api/v1/messages?action=MeterValues&limit=500")
    assert [[message["messageId"] for message in page] for page in found[:2]] == [["3", "2"], ["1", "0"]]
    assert found[0][0]["request"]["meterValue"] == large


@pytest_twisted.ensureDeferred
async def test_messages_in_memory(served: Served) -> None:
    """Heartbeats are found with durable=false, of one charger, newest first; they are marked as not durable."""
    link = await served.connect("CP1")
    for number in range(3):
        await link.ask(call("Heartbeat", {}, f"h{number}"))
    await link.ask(call("DataTransfer", {"vendorId": "v"}, "d"))
    found = await pages(served, "/api/v1/messages?durable=false&charger=CP1&limit=2")
    assert [[message["messageId"] for message in page] for page in found] == [["d", "h2"], ["h1", "h0"]]
    assert found[0][0]["durable"] is False
    beats = (await served.get("/api/v1/messages?durable=false&charger=CP1&action=Heartbeat")).json["items"]
    assert [beat["messageId"] for beat in beats] == ["h2", "h1", "h0"]
    assert (await served.get("/api/v1/messages/h0")).json == beats[2]
    without = await served.get("/api/v1/messages?durable=false")
    assert (without.status, without.json["errors"][0]["parameter"]) == (400, "charger")


# Transactions and meter values


@pytest_twisted.ensureDeferred
async def test_transaction(served: Served) -> None:
    """A transaction is shown from its start to its stop."""
    link, transaction_id = await start(served)
    opened = (await served.get(f"/api/v1/transactions/{transaction_id}")).json
    assert opened == {
        "transactionId": transaction_id,
        "charger": "CP1",
        "connectorId": 1,
        "idTag": "TAG",
        "state": "open",
        "meterStart": 100,
        "startedAt": "2026-01-02T03:04:05.000Z",
        "verdict": opened["verdict"],
        "messageId": "start",
    }
    stop = {"transactionId": transaction_id, "meterStop": 1600, "timestamp": "2026-01-02T04:00:00Z", "reason": "EVDisconnected"}
    await link.ask(call("StopTransaction", stop, "stop"))
    stopped = (await served.get(f"/api/v1/transactions/{transaction_id}")).json
    assert stopped == {
        **opened,
        "state": "stopped",
        "meterStop": 1600,
        "energyWh": 1500,
        "stoppedAt": "2026-01-02T04:00:00.000Z",
        "reason": "EVDisconnected",
    }


@pytest_twisted.ensureDeferred
async def test_transactions(served: Served) -> None:
    """Transactions come newest first, by filters; times are of the start."""
    _, first = await start(served, "CP1", 1)
    _, second = await start(served, "CP2", 2, idTag="OTHER", timestamp="2026-02-02T03:04:05Z")
    found = await pages(served, "/api/v1/transactions?limit=1")
    assert [[each["transactionId"] for each in page] for page in found] == [[second], [first]]
    filters = {
        "charger=CP1": [first],
        "connectorId=2": [second],
        "idTag=other": [second],
        "state=open": [second, first],
        "state=stopped": [],
        "since=2026-02-01T00:00:00Z": [second],
        "until=2026-02-01T00:00:00%2B01:00": [first],
        "charger=CP1&connectorId=2": [],
    }
    for query, expected in filters.items():
        items = (await served.get(f"/api/v1/transactions?{query}")).json["items"]
        assert [each["transactionId"] for each in items] == expected, query


def measured(minute: int, *samples: dict[str, str]) -> dict[str, Any]:
    return {"timestamp": f"2026-01-02T03:{minute:02}:00Z", "sampledValue": list(samples)}


ENERGY = {"value": "1.5", "unit": "kWh", "measurand": "Energy.Active.Import.Register"}
CURRENT = {"value": "16,0", "unit": "A", "measurand": "Current.Import", "phase": "L1", "context": "Transaction.Begin"}
SIGNED = {"value": "abc", "format": "SignedData"}


@pytest_twisted.ensureDeferred
async def test_meter_values(served: Served) -> None:
    """Meter values come one sample at a time in order of arrival, normalised and raw, with a limit that counts samples."""
    link, transaction_id = await start(served)
    elements = [measured(10, ENERGY, CURRENT), measured(11, {"value": "2000"}, SIGNED, CURRENT)]
    payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": elements}
    await link.ask(call("MeterValues", payload, "v1"))
    await link.ask(call("MeterValues", {"connectorId": 0, "meterValue": [measured(12, ENERGY)]}, "v2"))
    everything = (await served.get("/api/v1/meter-values")).json["items"]
    assert everything[0] == {
        "charger": "CP1",
        "connectorId": 1,
        "transactionId": transaction_id,
        "timestamp": "2026-01-02T03:10:00.000Z",
        "context": "Sample.Periodic",
        "measurand": "Energy.Active.Import.Register",
        "location": "Outlet",
        "unit": "Wh",
        "value": 1500,
        "raw": {"value": "1.5", "unit": "kWh"},
    }
    assert (everything[1]["value"], everything[1]["raw"], everything[1]["phase"]) == (16, {"value": "16,0", "unit": "A"}, "L1")
    assert (everything[2]["value"], everything[2]["unit"], everything[2]["raw"]) == (2000, "Wh", {"value": "2000"})
    assert (everything[3]["value"], everything[3]["format"]) == ("abc", "SignedData")
    assert "transactionId" not in everything[5]
    assert len(everything) == 6
    for limit in range(1, 7):
        found = await pages(served, f"/api/v1/meter-values?limit={limit}")
        assert [sample for page in found for sample in page] == everything
        assert all(len(page) == limit for page in found[:-1])
    path = f"/api/v1/transactions/{transaction_id}/meter-values"
    assert (await served.get(path)).json["items"] == everything[:5]
    assert (await served.get(f"{path}?measurand=Current.Import")).json["items"] == [everything[1], everything[4]]


@pytest_twisted.ensureDeferred
async def test_meter_values_by_filter(served: Served) -> None:
    """Meter values are found by charger, connector, transaction, measurand and time of the sample."""
    link, transaction_id = await start(served)
    elements = [measured(minute, ENERGY, CURRENT) for minute in range(3)]
    await link.ask(call("MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": elements}, "v1"))
    filters = {
        "charger=CP1": 6,
        "charger=CP2": 0,
        "connectorId=1": 6,
        "connectorId=2": 0,
        f"transactionId={transaction_id}": 6,
        "measurand=Current.Import": 3,
        "measurand=Frequency": 0,
        "since=2026-01-02T03:01:00Z": 4,
        "until=2026-01-02T03:01:00Z": 2,
    }
    for query, number in filters.items():
        found = await pages(served, f"/api/v1/meter-values?limit=2&{query}")
        assert sum(map(len, found)) == number, query


@pytest_twisted.ensureDeferred
async def test_rare_measurands(served: Served) -> None:
    """A measurand that is in a few rows among many is found once each, however short the pages."""
    link, _ = await start(served)
    elements = [measured(minute, CURRENT if minute in (4, 9) else ENERGY) for minute in range(11)]
    await link.ask(call("MeterValues", {"connectorId": 1, "meterValue": elements}, "v1"))
    for limit in (1, 2, 3):
        found = await pages(served, f"/api/v1/meter-values?limit={limit}&measurand=Current.Import")
        times = [sample["timestamp"] for page in found for sample in page]
        assert times == ["2026-01-02T03:04:00.000Z", "2026-01-02T03:09:00.000Z"]


# Lists


LISTS = (
    "/api/v1/chargers",
    "/api/v1/unknown-chargers",
    "/api/v1/messages",
    "/api/v1/transactions",
    "/api/v1/meter-values",
)
WRONG = (
    "limit=0",
    "limit=501",
    "limit=x",
    "limit=",
    "after=x",
    "after=",
    "after=bm9ib2R5IQ==",
    "aftr=1",
    "limit=1&limit=2",
    "since=now",
)


@pytest.mark.parametrize("path", LISTS)
@pytest_twisted.ensureDeferred
async def test_wrong_parameters_of_lists(served: Served, path: str) -> None:
    """Lists refuse what they do not understand, and name it: a filter that is ignored shows too much."""
    for query in WRONG:
        answer = await served.get(f"{path}?{query}")
        assert (answer.status, answer.slug) == (400, "bad-parameters"), query
        assert answer.json["errors"][0]["parameter"] == query.partition("=")[0]
    assert (await served.get(f"{path}?%ff=1")).slug == "bad-parameters"


@pytest.mark.parametrize("path", ["/api/v1/chargers/CP1", "/api/v1/messages/1", "/api/v1/transactions/1"])
@pytest_twisted.ensureDeferred
async def test_parameters_where_there_are_none(served: Served, path: str) -> None:
    """A path without parameters refuses any."""
    assert (await served.get(f"{path}?limit=1")).slug == "bad-parameters"
