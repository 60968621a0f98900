"""Certification dialogues that are about tags, transactions without a network, vendors and the handshake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from ocppd.clock import now_ms
from ocppd.v16.timestamps import format_timestamp
from support.central import Running, chargers
from support.certification import Dialogue
from support.peer import handshake

ensure = pytest_twisted.ensureDeferred
TAGS = [
    {"IdTag": "GOOD"},
    {"IdTag": "OLD", "ExpiryDate": "2020-01-01T00:00:00Z"},
    {"IdTag": "BLOCKED", "Status": "Blocked"},
    {"IdTag": "BLOCKEDOLD", "Status": "Blocked", "ExpiryDate": "2020-01-01T00:00:00Z"},
]


@pytest.fixture
def daemon(start: Callable[..., Running]) -> Running:
    """A central system that knows one good tag, and some others."""
    return start({**chargers("CP1"), "IdTags": TAGS})


def ago(minutes: int) -> str:
    """An instant in the past, as a charge point writes it."""
    return format_timestamp(now_ms(reactor) - minutes * 60_000)


def element(minutes: int, value: str, context: str = "Sample.Periodic") -> dict[str, Any]:
    """A meter value."""
    return {"timestamp": ago(minutes), "sampledValue": [{"value": value, "context": context}]}


@ensure
async def test_a_cached_tag(daemon: Running) -> None:
    """TC_007, ST-02, A-3: a charge point that knows the tag from its cache starts without Authorize, and is answered as ever."""
    point = await Dialogue.begin(daemon)
    await point.status("Preparing")
    started = await point.says("StartTransaction", connectorId=1, idTag="GOOD", meterStart=7, timestamp=ago(0))
    assert started["idTagInfo"] == {"status": "Accepted"}
    await point.status("Charging")
    shown = await point.get(f"/transactions/{started['transactionId']}")
    assert (shown["state"], shown["idTag"], shown["verdict"]) == ("open", "GOOD", "Accepted")


@ensure
@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
async def test_clear_cache(daemon: Running, status: str) -> None:
    """TC_061, OP-14: ClearCache has no members, and its answer is the outcome; without a cache it is refused."""
    point = await Dialogue.begin(daemon)
    message_id = await point.command("ClearCache")
    assert await point.answers("ClearCache", status=status) == {}
    assert (await point.outcome(message_id))["outcome"] == status


@ensure
@pytest.mark.parametrize(
    ("tag", "status"),
    [("NOBODY", "Invalid"), ("OLD", "Expired"), ("BLOCKED", "Blocked"), ("BLOCKEDOLD", "Blocked"), ("good", "Accepted")],
)
async def test_authorize(daemon: Running, tag: str, status: str) -> None:
    """TC_023_1, TC_023_2, TC_023_3, AU-01, AU-02, AU-04: a tag is judged by its record; nothing comes of it (A-3)."""
    point = await Dialogue.begin(daemon)
    await point.status("Preparing")
    assert (await point.says("Authorize", idTag=tag))["idTagInfo"]["status"] == status
    assert (await point.get("/transactions"))["items"] == []


@ensure
async def test_lock_failure(daemon: Running) -> None:
    """TC_024, SN-02: a connector that does not lock is Faulted with its error, and well again afterwards."""
    point = await Dialogue.begin(daemon)
    await point.status("Preparing")
    assert (await point.says("Authorize", idTag="GOOD"))["idTagInfo"]["status"] == "Accepted"
    await point.status("Faulted", error="ConnectorLockFailure")
    shown = await point.get("/chargers/CP1/connectors/1")
    assert (shown["status"], shown["errorCode"]) == ("Faulted", "ConnectorLockFailure")
    await point.status("Available")
    assert (await point.get("/chargers/CP1/connectors/1"))["errorCode"] == "NoError"


@ensure
async def test_an_offline_start(daemon: Running) -> None:
    """TC_037_1, ST-13, T-28b: a start of four hours ago is Accepted, with the instant that it tells."""
    point = await Dialogue.begin(daemon)
    then = ago(240)
    started = await point.says("StartTransaction", connectorId=1, idTag="GOOD", meterStart=7, timestamp=then)
    assert started["idTagInfo"] == {"status": "Accepted"}
    assert (await point.get(f"/transactions/{started['transactionId']}"))["startedAt"] == then.replace("Z", ".000Z")


@ensure
async def test_an_offline_start_with_a_refused_tag(daemon: Running) -> None:
    """TC_037_3, ST-03, T-1, T-12: a refused start has an id that its stop is matched by; it ends as any other, DeAuthorized."""
    point = await Dialogue.begin(daemon)
    started = await point.says("StartTransaction", connectorId=1, idTag="NOBODY", meterStart=7, timestamp=ago(30))
    assert started["idTagInfo"] == {"status": "Invalid"} and started["transactionId"] > 0
    stopped = await point.says(
        "StopTransaction", transactionId=started["transactionId"], meterStop=9, timestamp=ago(29), reason="DeAuthorized"
    )
    assert stopped == {}
    shown = await point.get(f"/transactions/{started['transactionId']}")
    assert (shown["state"], shown["reason"], shown["energyWh"], shown["verdict"]) == ("stopped", "DeAuthorized", 2, "Invalid")


@ensure
async def test_a_transaction_without_a_network(daemon: Running) -> None:
    """TC_039, SP-13, T-28b, T-11: start, values and stop in one burst with old times make one whole transaction."""
    point = await Dialogue.begin(daemon)
    point = await point.again()
    started = await point.says("StartTransaction", connectorId=1, idTag="GOOD", meterStart=1_000_000, timestamp=ago(60))
    number = started["transactionId"]
    for minutes, value in ((50, "1000500"), (40, "1001000"), (30, "1001500")):
        told = [element(minutes, value)]
        assert await point.says("MeterValues", connectorId=1, transactionId=number, meterValue=told) == {}
    stop = {"transactionId": number, "meterStop": 1_002_000, "timestamp": ago(20), "idTag": "GOOD", "reason": "Local"}
    assert (await point.says("StopTransaction", **stop))["idTagInfo"] == {"status": "Accepted"}
    await point.status("Available")
    shown = await point.get(f"/transactions/{number}")
    assert (shown["state"], shown["energyWh"]) == ("stopped", 2000) and "flags" not in shown
    values = (await point.get(f"/meter-values?transactionId={number}"))["items"]
    assert [value["value"] for value in values] == [1_000_500, 1_001_000, 1_001_500]


@ensure
async def test_data_of_a_vendor(daemon: Running) -> None:
    """TC_064, DT-01, D-1: a vendor that nobody knows is told so, without data."""
    point = await Dialogue.begin(daemon)
    answer = await point.says("DataTransfer", vendorId="com.example.nobody", messageId="m1", data="hello")
    assert answer == {"status": "UnknownVendorId"}


@ensure
async def test_data_for_a_charger(daemon: Running) -> None:
    """D-3: whatever status a charger answers to our data is an outcome, and its data is shown."""
    point = await Dialogue.begin(daemon)
    for status in ("Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"):
        message_id = await point.command("DataTransfer", vendorId="com.example", messageId="Ping", data="x")
        assert await point.answers("DataTransfer", status=status, data="y") == {
            "vendorId": "com.example",
            "messageId": "Ping",
            "data": "x",
        }
        shown = await point.outcome(message_id)
        assert (shown["outcome"], shown["response"]["data"], shown["state"]) == (status, "y", "completed")


@ensure
async def test_subprotocols(daemon: Running) -> None:
    """TC_088: the first subprotocol that both speak is confirmed once; where there is none nothing is upgraded."""
    answer = await handshake(daemon.port, "/ocppj/1.6/CP1", "Sec-WebSocket-Protocol: ocpp0.1, ocpp1.6")
    assert (answer.status, answer.header("sec-websocket-protocol")) == (101, ["ocpp1.6"])
    answer = await handshake(daemon.port, "/ocppj/1.6/CP1", "Sec-WebSocket-Protocol: ocpp0.1")
    assert (answer.status, answer.header("sec-websocket-protocol")) == (400, [])
