"""Security events: any type, in every state of registration, kept and found again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_twisted

from ocppd.config import Registration
from ocppd.storage.records.security_events import CRITICAL_TYPES, OTHER_TYPES
from support.rest import BOOT, ScriptedLink, Served

ensure = pytest_twisted.ensureDeferred

PATH = "/api/v1/security-events"
AT = "2026-01-02T03:04:05Z"


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Two chargers."""
    running = Served("CP1", "CP2")
    yield running
    await running.stop()


async def tell(link: ScriptedLink, kind: str, **members: Any) -> Any:
    """The answer to a security event."""
    payload = {"type": kind, "timestamp": AT, **members}
    return await link.ask(json.dumps([2, f"e-{kind[:20]}", "SecurityEventNotification", payload]))


async def listed(served: Served, query: str = "", path: str = PATH) -> list[Any]:
    """The items of a list."""
    answer = await served.get(path + query)
    assert answer.status == 200, answer
    found: list[Any] = answer.json["items"]
    return found


@ensure
async def test_every_type(served: Served) -> None:
    """SE-20, V-11: each of the 18 types, an unknown one, with and without techInfo: answered {}, kept with its criticality."""
    link = await served.connect("CP1")
    kinds = sorted(CRITICAL_TYPES | OTHER_TYPES)
    assert (len(kinds), len(CRITICAL_TYPES)) == (18, 7)
    for kind in kinds:
        assert (await tell(link, kind, techInfo=f"about {kind}"))[2] == {}
    assert (await tell(link, "x-acme:DoorOpened"))[2] == {}
    found = await listed(served)
    assert [each["type"] for each in found] == ["x-acme:DoorOpened", *reversed(kinds)]
    assert {each["type"] for each in found if each["critical"]} == CRITICAL_TYPES
    assert [each["type"] for each in found if "techInfo" not in each] == ["x-acme:DoorOpened"]
    assert {each["timestamp"] for each in found} == {"2026-01-02T03:04:05.000Z"}
    assert all(each["receivedAt"] > each["timestamp"] for each in found)
    events = await listed(served, "?type=criticalSecurityEvent", "/api/v1/events")
    assert {each["securityEventType"] for each in events} == CRITICAL_TYPES
    assert {each["securityEventId"] for each in events} == {each["securityEventId"] for each in found if each["critical"]}


@ensure
async def test_in_every_state_of_registration() -> None:
    """SE-20, V-11: also from a charger that is Pending, Rejected, or has not booted."""
    for registration in (Registration.PENDING, Registration.REJECTED, None):
        served = Served("CP1", registration=registration or Registration.ACCEPTED)
        try:
            link = await served.connect("CP1", boot=False)
            if registration is not None:
                assert (await link.ask(BOOT))[2]["status"] == registration.value
            assert (await tell(link, "StartupOfTheDevice"))[2] == {}
            assert [each["type"] for each in await listed(served)] == ["StartupOfTheDevice"]
        finally:
            await served.stop()


@ensure
async def test_what_chargers_send_besides(served: Served) -> None:
    """V-11, G-1, G-7: an unreadable time, a text that is too long, characters that no database takes: kept as far as they go."""
    link = await served.connect("CP1")
    assert (await tell(link, "SettingSystemTime", timestamp="soon"))[2] == {}
    assert (await tell(link, "T" * 60, techInfo="x" * 300))[2] == {}
    assert (await tell(link, "Nul\0", techInfo="\0"))[2] == {}
    nul, long, time = await listed(served)
    assert "timestamp" not in time and time["critical"]
    assert long["type"].startswith("T" * 50) and long["techInfo"].startswith("x" * 255)
    assert nul["type"] == "Nul\ufffd"


@ensure
async def test_lists(served: Served) -> None:
    """By charger, type, criticality and time of receipt, page by page; a wrong filter is refused."""
    one, two = await served.connect("CP1"), await served.connect("CP2")
    for link, kind in ((one, "FirmwareUpdated"), (two, "InvalidMessages"), (one, "InvalidMessages")):
        await tell(link, kind)
    assert [each["charger"] for each in await listed(served, "?type=InvalidMessages")] == ["CP1", "CP2"]
    assert [each["type"] for each in await listed(served, "?critical=true")] == ["FirmwareUpdated"]
    assert len(await listed(served, "?critical=false")) == 2
    assert [each["charger"] for each in await listed(served, "?charger=CP2")] == ["CP2"]
    of_charger = "/api/v1/chargers/CP1/security-events"
    assert [each["type"] for each in await listed(served, "", of_charger)] == ["InvalidMessages", "FirmwareUpdated"]
    assert await listed(served, "?until=2026-01-01T00:00:00Z") == []
    assert len(await listed(served, "?since=2026-01-01T00:00:00Z&limit=500")) == 3
    first = (await served.get(f"{PATH}?limit=2")).json
    second = (await served.get(f"{PATH}?limit=2&after={first['next']}")).json
    assert [each["type"] for each in first["items"] + second["items"]] == [
        "InvalidMessages",
        "InvalidMessages",
        "FirmwareUpdated",
    ]
    assert second["next"] is None
    for query in ("?critical=1", "?since=now", "?kind=x", "?limit=0", "?after=x"):
        assert (await served.get(PATH + query)).status == 400
    assert (await served.get(f"{of_charger}?charger=CP2")).status == 400
    assert (await served.get("/api/v1/chargers/CP9/security-events")).status == 404
