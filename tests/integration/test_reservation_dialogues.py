"""Reservations and local lists between the daemon itself and the simulated charger, over WebSockets and HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from ocppd.clock import now_ms
from ocppd.simulator import Charger
from ocppd.v16.timestamps import format_timestamp
from support.central import Running
from support.peer import Response, raw, within

QUICK = {"backoff_first_s": 0.02, "reboot_s": 0.01, "unplug_s": 0.01, "job_step_s": 0.01}
LIST = "/api/v1/chargers/CP1/local-list"
ensure = pytest_twisted.ensureDeferred


@pytest_twisted.async_yield_fixture
async def both(start: Any) -> AsyncIterator[tuple[Running, Charger]]:
    """A daemon, and a charger of it that has booted."""
    daemon = start()
    charger = Charger("CP1", f"ws://127.0.0.1:{daemon.port}/ocppj/1.6", reactor, **QUICK)
    await charger.connect()
    await charger.boot()
    yield daemon, charger
    await charger.shutdown()


async def http(daemon: Running, method: str, path: str, body: Any = None) -> Any:
    """The JSON of an answer; an error fails the test."""
    client = await raw(daemon.port)
    data = b"" if body is None else json.dumps(body).encode()
    head = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{daemon.port}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
    ]
    client.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)
    response = Response(await within(client.lost))
    assert 200 <= response.status < 300, response.body
    return json.loads(response.body) if response.body else None


async def until(daemon: Running, path: str, **members: Any) -> Any:
    """What is at this path as soon as it has these members."""
    patience = now_ms(reactor) + 20_000
    while True:
        found = await http(daemon, "GET", path)
        if members.items() <= found.items():
            return found
        assert now_ms(reactor) < patience, f"{found} never had {members}"


def wish(connector_id: int, seconds: int = 3600) -> dict[str, Any]:
    expiry = format_timestamp(now_ms(reactor) + seconds * 1000)
    return {"charger": "CP1", "connectorId": connector_id, "idTag": "TAG", "expiryDate": expiry}


@ensure
async def test_reserved_and_used(both: tuple[Running, Charger]) -> None:
    """TC_046, ST-15, T-8: the charger keeps its connector, and its start, which names the reservation, uses it."""
    daemon, charger = both
    made = await http(daemon, "POST", "/api/v1/reservations?wait=20", wish(1))
    assert made["state"] == "active"
    occupied = await http(daemon, "POST", "/api/v1/reservations?wait=20", wish(1))
    assert (occupied["state"], occupied["status"]) == ("refused", "Occupied")
    transaction = await charger.start_transaction(1, "TAG")
    used = await until(daemon, f"/api/v1/reservations/{made['id']}", state="used")
    assert used["transactionId"] == transaction.transaction_id
    assert charger.sent("StartTransaction")[-1]["reservationId"] == made["reservationId"]
    found = await http(daemon, "GET", f"/api/v1/transactions/{transaction.transaction_id}")
    assert found["reservation"] == made["id"]


@ensure
async def test_reserved_and_cancelled_or_expired(both: tuple[Running, Charger]) -> None:
    """TC_047, TC_051, RV-04, RV-05, N-6: the charger's Available after the expiry, and CancelReservation, end reservations."""
    daemon, _ = both
    made = await http(daemon, "POST", "/api/v1/reservations?wait=20", wish(1))
    cancelled = await http(daemon, "DELETE", f"/api/v1/reservations/{made['id']}?wait=20")
    assert cancelled["outcome"] == "Accepted"
    assert (await http(daemon, "GET", f"/api/v1/reservations/{made['id']}"))["state"] == "cancelled"
    await until(daemon, "/api/v1/chargers/CP1/connectors/1", status="Available")
    again = await http(daemon, "POST", "/api/v1/reservations?wait=20", wish(1, seconds=2))
    assert again["reservationId"] == made["reservationId"] + 1
    await until(daemon, f"/api/v1/reservations/{again['id']}", state="expired")


@ensure
async def test_a_list_that_the_charger_decides_by(both: tuple[Running, Charger]) -> None:
    """LL-02, LL-03, TC_043_4, TC_043_5: the simulated charger holds just what is wanted, and what id tags become later."""
    daemon, charger = both
    await http(daemon, "PUT", "/api/v1/id-tags/ONE", {})
    made = await http(daemon, "PUT", f"{LIST}?wait=20", {"allTags": True})
    assert (made["state"], made["confirmedEntries"], charger.local_list.version) == ("inSync", 1, 1)
    await http(daemon, "PUT", "/api/v1/id-tags/TWO", {"status": "Blocked"})
    assert (await http(daemon, "GET", LIST))["state"] == "behind"
    daemon.central.local_lists._followed_ms = 0
    daemon.central.sweep()
    await until(daemon, LIST, state="inSync", confirmedVersion=2)
    found = charger.local_list.find("two")
    assert found is not None and found.status == "Blocked"
