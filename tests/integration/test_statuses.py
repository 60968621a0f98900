"""Statuses as operators see them: current states, warnings, transitions, clocks. CASES.md SN; REQUIREMENTS N, G-2."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from support.dialogue import ChargePoint, now
from support.rest import Served

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_lanes")


@pytest_twisted.async_yield_fixture
async def charge_point() -> AsyncIterator[ChargePoint]:
    """A charger that has booted."""
    served = Served("CP1")
    yield await ChargePoint(served).connect()
    await served.stop()


async def connector(charge_point: ChargePoint, connector_id: int = 1) -> Any:
    return await charge_point.get(f"/connectors/{connector_id}")


@ensure
async def test_statuses_after_a_boot(charge_point: ChargePoint) -> None:
    """SN-01, N-2: statuses for 0, 1, 2 are three current states; what 0 is out of order for is shown beside the others."""
    await charge_point.statuses("Charging", "Reserved")
    await charge_point.status("Unavailable", 0)
    shown = (await charge_point.get(""))["connectors"]
    assert [each.get("chargerStatus") for each in shown] == [None, "Unavailable", "Unavailable"]
    assert (await connector(charge_point))["chargerStatus"] == "Unavailable"
    await charge_point.status("Charging", 0)
    shown = (await charge_point.get("/connectors"))["items"]
    assert [(each["connectorId"], each["status"]) for each in shown] == [(0, "Charging"), (1, "Charging"), (2, "Reserved")]
    history = (await charge_point.get("/connectors/0/history"))["items"]
    assert [each["status"] for each in history] == ["Charging", "Unavailable", "Available"]


@ensure
async def test_a_lock_that_fails(charge_point: ChargePoint) -> None:
    """TC_024, SN-02: Faulted with ConnectorLockFailure is a fault with its texts, no warning, and ends with the next status."""
    await charge_point.status("Preparing")
    told = {"info": "stuck", "vendorId": "com.example", "vendorErrorCode": "E7"}
    await charge_point.status("Faulted", error_code="ConnectorLockFailure", **told)
    shown = await connector(charge_point)
    assert {**shown, "status": "Faulted", "errorCode": "ConnectorLockFailure", **told} == shown
    assert "warnings" not in shown and shown["previousStatus"] == "Preparing"
    await charge_point.status("Available")
    assert (await connector(charge_point))["errorCode"] == "NoError"


@ensure
async def test_warnings(charge_point: ChargePoint) -> None:
    """N-3: error codes without a fault are warnings, each once, until NoError; those of another connector are its own."""
    await charge_point.status("Charging", error_code="HighTemperature")
    await charge_point.status("Charging", error_code="WeakSignal")
    await charge_point.status("SuspendedEV", error_code="HighTemperature")
    assert (await connector(charge_point))["warnings"] == ["HighTemperature", "WeakSignal"]
    await charge_point.status("Faulted", error_code="GroundFailure")
    assert (await connector(charge_point))["warnings"] == ["HighTemperature", "WeakSignal"]
    await charge_point.status("Charging", 2)
    assert "warnings" not in await connector(charge_point, 2)
    await charge_point.status("Available")
    assert "warnings" not in await connector(charge_point)


@ensure
async def test_undefined_transitions(charge_point: ChargePoint) -> None:
    """SN-05, N-5: an undefined transition is accepted and marked; a defined one, and a status that is told again, are not."""
    for status in ("Available", "Finishing", "Finishing", "Preparing", "Charging"):
        await charge_point.status(status)
    history = (await charge_point.get("/connectors/1/history"))["items"]
    assert [(each["status"], each.get("undefinedTransition", False)) for each in history] == [
        ("Charging", False),
        ("Preparing", False),
        ("Finishing", False),
        ("Finishing", True),
        ("Available", False),
    ]
    page = (await charge_point.get("/connectors/1/history?limit=1"))["items"]
    assert page == history[:1]
    assert "undefinedTransition" not in await connector(charge_point)
    await charge_point.status("Reserved")
    assert (await connector(charge_point))["undefinedTransition"] is True


@ensure
async def test_order_of_arrival(charge_point: ChargePoint) -> None:
    """SN-04, N-1: after a step of the clock the last that arrived is current; a status of long ago is history alone."""
    await charge_point.status("Charging", timestamp=now())
    await charge_point.status("SuspendedEV", timestamp=now(-5))
    assert (await connector(charge_point))["status"] == "SuspendedEV"
    await charge_point.status("Preparing", timestamp=now(-3600))
    assert (await connector(charge_point))["status"] == "SuspendedEV"
    assert len((await charge_point.get("/connectors/1/history"))["items"]) == 3
    await charge_point.status("Finishing", timestamp=None)
    assert (await connector(charge_point))["status"] == "Finishing"


@ensure
async def test_clocks_that_were_never_right(charge_point: ChargePoint) -> None:
    """N-1: where the clock was wrong, was never set, or may have been lost in a boot, what arrives last is current."""
    await charge_point.status("Charging", timestamp=now(7200))
    await charge_point.status("SuspendedEV", timestamp=now())
    assert (await connector(charge_point))["status"] == "SuspendedEV"
    await charge_point.status("Charging", timestamp="1970-01-01T00:01:00Z")
    assert (await connector(charge_point))["status"] == "Charging"
    await charge_point.status("SuspendedEV", timestamp=now())
    await charge_point.boot()
    await charge_point.status("Available", timestamp="2015-01-01T00:01:00Z")
    assert (await connector(charge_point))["status"] == "Available"


@ensure
@pytest.mark.parametrize("untold", [None, "", "yesterday"])
async def test_a_status_without_a_time_says_nothing_of_the_clock(charge_point: ChargePoint, untold: str | None) -> None:
    """N-1: where the last status had no time that can be read, nothing shows that the clock is right: what arrives is current."""
    await charge_point.status("Available", timestamp=untold)
    await charge_point.status("Charging", timestamp=now(-3600))
    assert (await connector(charge_point))["status"] == "Charging"


@ensure
async def test_after_a_reconnect(charge_point: ChargePoint) -> None:
    """N-9, N-7: after a reconnect the current state alone is told; what lay between is asked of nobody."""
    await charge_point.status("Available")
    await charge_point.connect(boot=False)
    await charge_point.status("Charging")
    assert (await connector(charge_point))["status"] == "Charging"
    assert charge_point.unasked() == []


@ensure
async def test_clocks_are_told(charge_point: ChargePoint) -> None:
    """G-2: how far the charger's clock is off, in both directions, by its last status; nothing where it told no time."""
    await charge_point.status("Available", timestamp=None)
    assert "clock" not in await charge_point.get("")
    for ahead_s, state in ((-3600, "behind"), (0, "good"), (7200, "ahead"), (240, "good")):
        await charge_point.status("Available", 2, timestamp=now(ahead_s))
        shown = (await charge_point.get(""))["clock"]
        assert shown["state"] == state and abs(shown["aheadSeconds"] - ahead_s) <= 2
