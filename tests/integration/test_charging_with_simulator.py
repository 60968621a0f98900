"""Charging profiles with a simulated charger, which has an evaluator of its own, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from ocppd.clock import now_ms
from ocppd.simulator import Charger
from ocppd.v16.timestamps import format_timestamp
from support.central import Running, chargers
from support.peer import Response, raw, within

PATH = "/api/v1/chargers/CP1"


@pytest_twisted.async_yield_fixture
async def charger(start: Any) -> AsyncIterator[tuple[Running, Charger]]:
    """A daemon that knows the voltage, and a charger that has booted."""
    daemon = start(chargers("CP1", SupplyVoltage=230))
    simulated = Charger("CP1", f"ws://127.0.0.1:{daemon.port}/ocppj/1.6", reactor)
    await simulated.connect()
    await simulated.boot()
    yield daemon, simulated
    await simulated.shutdown()


async def ask(daemon: Running, method: str, path: str, body: Any = None) -> Any:
    """The JSON of a good answer."""
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\nConnection: close\r\nContent-Length: {len(data)}\r\n"
    client = await raw(daemon.port)
    client.write((head + ("Content-Type: application/json\r\n" if data else "") + "\r\n").encode() + data)
    response = Response(await within(client.lost))
    assert response.status in (200, 201), response.body
    return json.loads(response.body)


def profile(purpose: str, kind: str, level: int, unit: str, periods: list[tuple[int, Any]], **members: Any) -> dict[str, Any]:
    """A profile; `start` and `duration` are the schedule's."""
    schedule = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": start, "limit": limit} for start, limit in periods],
        **{name: members.pop(name) for name in ("startSchedule", "duration") if name in members},
    }
    return {
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
        **members,
    }


@pytest_twisted.ensureDeferred
async def test_two_evaluators_agree(charger: tuple[Running, Charger]) -> None:
    """K-6, T-27, SC-11: what we compute for a running transaction is what the charger answers, in A and in W."""
    daemon, simulated = charger
    transaction = await simulated.start_transaction(1, "TAG")
    past = format_timestamp(now_ms(reactor) - 3600_000)
    for body in (
        {"profile": profile("ChargePointMaxProfile", "Absolute", 0, "W", [(0, 11000), (5400, 5000)], startSchedule=past)},
        {"profile": profile("TxDefaultProfile", "Recurring", 1, "A", [(0, 20)], recurrencyKind="Daily", startSchedule=past)},
        {"connectorId": 1, "profile": profile("TxDefaultProfile", "Relative", 0, "A", [(0, 13.5), (600, 9.5)], duration=1200)},
        {
            "transactionId": transaction.transaction_id,
            "profile": profile("TxProfile", "Relative", 0, "A", [(0, 8), (120, 6.1)], duration=300),
        },
    ):
        sent = await ask(daemon, "POST", f"{PATH}/charging-profiles?wait=10", body)
        assert sent["outcome"] == "Accepted", body
    for unit in ("A", "W"):
        told = await ask(daemon, "POST", f"{PATH}/composite-schedule?connectorId=1&duration=7200&unit={unit}")
        assert told["differences"] == [], told
        assert len(told["ours"]["chargingSchedule"]["chargingSchedulePeriod"]) == 6
    await simulated.stop_transaction(transaction)
    await simulated.delivered()
    left = (await ask(daemon, "GET", f"{PATH}/charging-profiles"))["items"]
    assert [row["profile"]["chargingProfilePurpose"] for row in left] == [
        "ChargePointMaxProfile",
        "TxDefaultProfile",
        "TxDefaultProfile",
    ]
    idle = await ask(daemon, "POST", f"{PATH}/composite-schedule?connectorId=1&duration=7200")
    assert idle["differences"] == [] and idle["ours"]["assumptions"]["transactions"] == []
    cleared = await ask(daemon, "DELETE", f"{PATH}/charging-profiles?wait=10")
    assert cleared["outcome"] == "Accepted" and (await ask(daemon, "GET", f"{PATH}/charging-profiles"))["items"] == []
