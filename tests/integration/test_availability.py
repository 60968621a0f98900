"""Wishes for an availability, from the operator to the status. REQUIREMENTS 2.4, 4.1 row 22, T-27; CASES.md OP-13."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from ocppd.storage.sql_storage import SqlStorage
from support.dialogue import ChargePoint
from support.rest import Served

ensure = pytest_twisted.ensureDeferred

INOPERATIVE = {"connectorId": 1, "type": "Inoperative"}
OPERATIVE = {"connectorId": 1, "type": "Operative"}


@pytest_twisted.async_yield_fixture
async def charge_point() -> AsyncIterator[ChargePoint]:
    """A charger with two connectors that has booted and told of them."""
    served = Served("CP1", "CP2", queue=10)
    charger = await ChargePoint(served).connect()
    await charger.statuses("Available", "Available")
    yield charger
    await served.stop()


async def wish(charge_point: ChargePoint, connector_id: int = 1) -> str | None:
    """What became of the wish for a connector."""
    found = (await charge_point.get(f"/connectors/{connector_id}")).get("availability", {})
    state: str | None = found.get("state")
    return state


@ensure
async def test_accepted_and_shown(charge_point: ChargePoint) -> None:
    """OP-13: Accepted, then Unavailable: wished, accepted, done; and back."""
    message_id = await charge_point.command("ChangeAvailability", INOPERATIVE, None)
    assert await wish(charge_point) == "pending"
    charge_point.answer([2, message_id])
    assert await wish(charge_point) == "accepted"
    await charge_point.status("Available", 2)
    await charge_point.status("Available")
    assert (await charge_point.follow_up(message_id))["state"] == "expected"
    await charge_point.status("Unavailable")
    shown = (await charge_point.get("/connectors/1"))["availability"]
    assert (shown["type"], shown["state"], shown["messageId"]) == ("Inoperative", "done", message_id)
    assert "since" in shown and "doneAt" in shown
    await charge_point.command("ChangeAvailability", OPERATIVE)
    assert await wish(charge_point) == "accepted"
    await charge_point.status("Available")
    assert await wish(charge_point) == "done"


@ensure
async def test_scheduled(charge_point: ChargePoint) -> None:
    """OP-13, T-27: Scheduled waits for the end of the transaction however long it takes, and a minute more for the status."""
    transaction, _ = await charge_point.start()
    await charge_point.status("Charging")
    message_id = await charge_point.command("ChangeAvailability", INOPERATIVE, "Scheduled")
    assert await wish(charge_point) == "scheduled"
    await charge_point.later(24 * 3600)
    assert await wish(charge_point) == "scheduled"
    await charge_point.stop(transaction)
    await charge_point.later(61)
    assert await wish(charge_point) == "missing"
    assert [event["messageId"] for event in await charge_point.events("followUpMissing")] == [message_id]
    await charge_point.status("Unavailable")
    assert await wish(charge_point) == "done"


@ensure
async def test_already_so(charge_point: ChargePoint) -> None:
    """OP-13: Accepted where it is so already needs no status; nor does one that has crossed the answer."""
    await charge_point.command("ChangeAvailability", OPERATIVE)
    assert await wish(charge_point) == "done"
    message_id = await charge_point.command("ChangeAvailability", INOPERATIVE, None)
    await charge_point.status("Unavailable")
    charge_point.answer([2, message_id])
    assert await wish(charge_point) == "done"
    await charge_point.later(3600)
    assert await charge_point.events("followUpMissing") == []


@ensure
async def test_rejected(charge_point: ChargePoint) -> None:
    """OP-13: Rejected is no wish any more, and the one before it goes on."""
    await charge_point.start()
    await charge_point.status("Charging")
    first = await charge_point.command("ChangeAvailability", INOPERATIVE, "Scheduled")
    second = await charge_point.command("ChangeAvailability", OPERATIVE, "Rejected")
    shown = (await charge_point.get("/connectors/1"))["availability"]
    assert (shown["state"], shown["messageId"]) == ("scheduled", first)
    assert (await charge_point.message(second))["outcome"] == "Rejected" and await charge_point.follow_up(second) is None
    await charge_point.command("ChangeAvailability", OPERATIVE)
    assert await wish(charge_point) == "done"
    await charge_point.status("Unavailable")
    assert await charge_point.follow_up(first) is None


@ensure
async def test_the_whole_charger(charge_point: ChargePoint) -> None:
    """4.1 row 22, OP-13: on connector 0 Scheduled covers all connectors; each is done with its own status."""
    await charge_point.start(connector_id=2)
    await charge_point.status("Charging", 2)
    answer = await charge_point.put("/availability", {"type": "Inoperative"})
    assert (answer.status, answer.json["request"]) == (202, {"connectorId": 0, "type": "Inoperative"})
    call = await charge_point.asked()
    charge_point.answer(call, "Scheduled")
    await charge_point.status("Unavailable", 0)
    await charge_point.status("Unavailable", 1)
    whole = await charge_point.get("/availability")
    assert (whole["state"], [each["state"] for each in whole["connectors"]]) == ("done", ["done", "scheduled"])
    followed = await charge_point.follow_up(call[1])
    assert (followed["state"], [each["state"] for each in followed["connectors"]]) == ("expected", ["seen", "seen", "expected"])
    charger = await charge_point.get("")
    assert charger["availability"]["state"] == "done"
    assert [each["availability"]["state"] for each in charger["connectors"]] == ["done", "done", "scheduled"]
    await charge_point.status("Unavailable", 2)
    assert (await charge_point.follow_up(call[1]))["state"] == "seen"


@ensure
async def test_one_connector_as_one_thing(charge_point: ChargePoint) -> None:
    """PUT on a connector is a ChangeAvailability whose answer can be waited for; for an offline charger it waits."""
    put = charge_point.put("/connectors/2/availability?wait=10", {"type": "Inoperative"})
    waiting = Deferred.fromCoroutine(put)
    charge_point.answer(await charge_point.asked())
    answer = await waiting
    assert (answer.status, answer.json["outcome"], answer.json["followUp"]["state"]) == (200, "Accepted", "expected")
    charge_point.served.disconnect(charge_point.link)
    later = await charge_point.put("/connectors/1/availability", {"type": "Inoperative"})
    assert (later.status, later.json["state"]) == (202, "queued")
    shown = await charge_point.get("/connectors/1/availability")
    assert (shown["connectorId"], shown["type"], shown["state"]) == (1, "Inoperative", "pending")
    cancelled = await charge_point.served.request("DELETE", f"/api/v1/messages/{later.json['messageId']}")
    assert cancelled.status == 200
    assert "state" not in await charge_point.get("/connectors/1/availability")


BAD_BODIES: tuple[tuple[Any, list[str]], ...] = (
    ({}, ["/type"]),
    ({"type": None}, ["/type"]),
    ({"type": 1}, ["/type"]),
    ({"type": "inoperative"}, ["/type"]),
    ({"type": "Operative", "connectorId": 1}, ["/connectorId"]),
    ({"type": "x", "a/b": 1}, ["/a~1b", "/type"]),
    ([], [""]),
)


@ensure
async def test_bad_input_changes_nothing(charge_point: ChargePoint) -> None:
    """A body that is wrong is 422 with its pointers, another path 404, and nothing is sent or wished."""
    for path in ("/availability", "/connectors/1/availability"):
        for body, pointers in BAD_BODIES:
            answer = await charge_point.put(path, body)
            assert (answer.status, sorted(error["pointer"] for error in answer.json["errors"])) == (422, pointers), body
        assert (await charge_point.put(path, b"{")).slug == "not-json"
        assert (await charge_point.put(f"{path}?waits=1", {"type": "Operative"})).status == 400
    for path in ("/connectors/0/availability", "/connectors/9/availability", "/connectors/x/availability"):
        assert (await charge_point.put(path, {"type": "Operative"})).status == 404, path
    for method in ("GET", "PUT"):
        headers = {"Content-Type": "application/json"}
        body = json.dumps({"type": "Operative"}).encode() if method == "PUT" else b""
        answer = await charge_point.served.request(method, "/api/v1/chargers/CP9/availability", body, headers)
        assert (answer.status, answer.slug) == (404, "unknown-charger")
    assert charge_point.unasked() == []
    assert await charge_point.get("/availability") == {"charger": "CP1", "connectors": []}


@ensure
async def test_wishes_survive_restarts(tmp_path: Path) -> None:
    """OP-13: our copy of what was wished is on record, and goes on where it was after a restart."""
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    first = Served("CP1", storage=SqlStorage(url, reactor))
    charger = await ChargePoint(first).connect()
    await charger.statuses("Charging")
    await charger.command("ChangeAvailability", INOPERATIVE, "Scheduled")
    await first.stop()
    second = Served("CP1", storage=SqlStorage(url, reactor))
    try:
        again = await ChargePoint(second).connect(boot=False)
        assert await wish(again) == "scheduled"
        await again.status("Unavailable")
        assert await wish(again) == "done"
    finally:
        await second.stop()


@ensure
@pytest.mark.parametrize("end", ["error", "lost"])
async def test_a_wish_without_an_answer(charge_point: ChargePoint, end: str) -> None:
    """R-5, OP-13: a call that ended in an error or is unknown leaves no wish behind."""
    message_id = await charge_point.command("ChangeAvailability", INOPERATIVE, None)
    if end == "error":
        charge_point.link.tell(json.dumps([4, message_id, "NotSupported", "", {}]))
    else:
        charge_point.served.disconnect(charge_point.link)
    assert await wish(charge_point) is None
