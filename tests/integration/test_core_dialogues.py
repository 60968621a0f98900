"""Sessions of the certification as dialogues with a charge point. CASES.md ST, SP, SN, AU; REQUIREMENTS T, A."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from ocppd.config import IdTagSettings
from support.dialogue import ChargePoint, now
from support.rest import Served

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_lanes")

TAGS = (
    IdTagSettings(id_tag="GOOD"),
    IdTagSettings(id_tag="CHILD1", parent_id_tag="P"),
    IdTagSettings(id_tag="CHILD2", parent_id_tag="P"),
    IdTagSettings(id_tag="STRANGER"),
    IdTagSettings(id_tag="EXPIRED", expiry_date="2020-01-01T00:00:00Z"),
    IdTagSettings(id_tag="BLOCKED", status="Blocked"),
)


@pytest_twisted.async_yield_fixture
async def charge_point() -> AsyncIterator[ChargePoint]:
    """A charger with two connectors, and some cards."""
    served = Served("CP1", "CP2", queue=10, id_tags=TAGS)
    charger = await ChargePoint(served).connect()
    await charger.statuses("Available", "Available")
    yield charger
    await served.stop()


async def transactions(charge_point: ChargePoint) -> list[Any]:
    """All transactions, oldest first."""
    await charge_point.barrier()
    items: list[Any] = (await charge_point.served.get("/api/v1/transactions")).json["items"]
    return list(reversed(items))


async def authorize(charge_point: ChargePoint, tag: str) -> str:
    """The verdict of Authorize."""
    return str((await charge_point.call("Authorize", {"idTag": tag}))["idTagInfo"]["status"])


@ensure
@pytest.mark.parametrize("plugged_first", [True, False])
async def test_a_regular_session(charge_point: ChargePoint, plugged_first: bool) -> None:
    """TC_003, TC_004_1, ST-01, SP-01, SN-01: plug and identification in either order; charge; stop by the same card."""
    if plugged_first:
        await charge_point.status("Preparing")
    assert await authorize(charge_point, "GOOD") == "Accepted"
    if not plugged_first:
        await charge_point.status("Preparing")
    transaction, verdict = await charge_point.start("GOOD")
    assert verdict == "Accepted" and transaction > 0
    await charge_point.status("Charging")
    assert (await charge_point.transaction(transaction))["state"] == "open"
    answer = await charge_point.stop(transaction, idTag="good")
    assert answer == {"idTagInfo": {"status": "Accepted"}}
    await charge_point.status("Finishing")
    await charge_point.status("Available")
    shown = await charge_point.transaction(transaction)
    assert (shown["state"], shown["energyWh"], "flags" in shown) == ("stopped", 500, False)
    assert [each["status"] for each in (await charge_point.get("/connectors"))["items"]] == ["Available"] * 3


@ensure
async def test_plugged_and_never_identified(charge_point: ChargePoint) -> None:
    """TC_004_2, A-3: identified, and nothing plugged in: Preparing, then Available; Authorize has made nothing."""
    assert await authorize(charge_point, "GOOD") == "Accepted"
    await charge_point.status("Preparing")
    await charge_point.status("Available")
    assert await transactions(charge_point) == []


@ensure
async def test_unplugged_at_the_car(charge_point: ChargePoint) -> None:
    """TC_005_1, SP-03: SuspendedEV, a stop with EVDisconnected, Finishing, Available: an ordinary end."""
    transaction, _ = await charge_point.start("GOOD")
    await charge_point.status("Charging")
    await charge_point.status("SuspendedEV", info="EV side disconnected")
    assert (await charge_point.transaction(transaction))["state"] == "open"
    assert await charge_point.stop(transaction, "EVDisconnected") == {}
    await charge_point.status("Finishing")
    await charge_point.status("Available")
    assert (await charge_point.transaction(transaction))["reason"] == "EVDisconnected"


@ensure
async def test_a_card_from_the_cache(charge_point: ChargePoint) -> None:
    """TC_007, TC_061, ST-02, OP-14, A-3: a start without Authorize is as good; the cache is cleared when an operator says so."""
    transaction, verdict = await charge_point.start("GOOD")
    assert verdict == "Accepted"
    await charge_point.stop(transaction)
    for status in ("Accepted", "Rejected"):
        message = await charge_point.message(await charge_point.command("ClearCache", {}, status))
        assert (message["request"], message["outcome"]) == ({}, status)


@ensure
async def test_refused_cards(charge_point: ChargePoint) -> None:
    """TC_023_1, TC_023_2, TC_023_3: invalid, expired, blocked."""
    assert [await authorize(charge_point, tag) for tag in ("NOBODY", "EXPIRED", "BLOCKED")] == ["Invalid", "Expired", "Blocked"]


@ensure
async def test_a_refused_start(charge_point: ChargePoint) -> None:
    """TC_037_3, ST-03, T-12: a start offline with an invalid card has a usable id, and its stop with DeAuthorized is matched.

    A charger that only stops the energy, and goes on, is as good.
    """
    transaction, verdict = await charge_point.start("NOBODY", timestamp=now(-600))
    assert verdict == "Invalid" and transaction > 0
    await charge_point.stop(transaction, "DeAuthorized", meterStop=1007)
    shown = await charge_point.transaction(transaction)
    assert (shown["state"], shown["verdict"], shown["reason"], shown["energyWh"]) == ("stopped", "Invalid", "DeAuthorized", 7)
    other, _ = await charge_point.start("BLOCKED", 2)
    await charge_point.status("SuspendedEVSE", 2)
    assert (await charge_point.transaction(other))["state"] == "open"


@ensure
async def test_two_starts_in_a_second(charge_point: ChargePoint) -> None:
    """ST-05: two connectors in the same second have two transactions."""
    instant = now()
    first, _ = await charge_point.start("GOOD", timestamp=instant)
    second, _ = await charge_point.start("STRANGER", 2, timestamp=instant)
    assert first != second and len(await transactions(charge_point)) == 2


@ensure
async def test_a_start_whose_answer_was_lost(charge_point: ChargePoint) -> None:
    """ST-07, ST-06: the same start on another connection has the same id, and is Accepted, not ConcurrentTx."""
    instant = now()
    first = await charge_point.start("GOOD", timestamp=instant)
    await charge_point.connect(boot=False)
    assert await charge_point.start("good", timestamp=instant) == first
    assert len(await transactions(charge_point)) == 1


@ensure
async def test_concurrent_transactions(charge_point: ChargePoint) -> None:
    """ST-10: a card that charges at CP1 is ConcurrentTx at CP2, with a usable id."""
    first, _ = await charge_point.start("GOOD")
    other = await ChargePoint(charge_point.served, "CP2").connect()
    second, verdict = await other.start("GOOD")
    assert verdict == "ConcurrentTx" and second > first


@ensure
async def test_a_start_of_hours_ago(charge_point: ChargePoint) -> None:
    """TC_037_1, ST-13: a start of four hours ago is Accepted, and its time is as it was told."""
    instant = now(-4 * 3600)
    transaction, verdict = await charge_point.start("GOOD", timestamp=instant)
    shown = await charge_point.transaction(transaction)
    assert (verdict, shown["startedAt"]) == ("Accepted", instant.replace("Z", ".000Z")) and "flags" not in shown


@ensure
async def test_stops_without_a_card(charge_point: ChargePoint) -> None:
    """SP-02, T-24: without an id tag the answer is empty, and an absent reason is Local."""
    transaction, _ = await charge_point.start("GOOD")
    assert await charge_point.stop(transaction, None) == {}
    assert (await charge_point.transaction(transaction))["reason"] == "Local"


@ensure
async def test_stops_by_other_cards(charge_point: ChargePoint) -> None:
    """SP-04, T-24: another card of the group stops without a flag, a stranger's stop is answered and flagged."""
    transaction, _ = await charge_point.start("CHILD1")
    answer = await charge_point.stop(transaction, idTag="CHILD2")
    assert answer["idTagInfo"] == {"status": "Accepted", "parentIdTag": "P"}
    assert "flags" not in await charge_point.transaction(transaction)
    other, _ = await charge_point.start("CHILD1", 2)
    assert (await charge_point.stop(other, idTag="STRANGER"))["idTagInfo"]["status"] == "Accepted"
    shown = await charge_point.transaction(other)
    assert (shown["state"], shown["flags"]) == ("stopped", ["stoppedByOtherTag"])


@ensure
async def test_a_stop_without_an_id(charge_point: ChargePoint) -> None:
    """SP-07, T-22: a stop of -1 closes the one transaction that the charger was never told the id of."""
    transaction, _ = await charge_point.start("GOOD")
    await charge_point.stop(-1, idTag="GOOD")
    shown = await charge_point.transaction(transaction)
    assert (shown["state"], shown["flags"]) == ("stopped", ["reconciled"])


def sample(instant: str, wh: int, connector_id: int = 1, **members: Any) -> dict[str, Any]:
    """A MeterValues with one register."""
    value = {"value": str(wh), "measurand": "Energy.Active.Import.Register"}
    return {"connectorId": connector_id, "meterValue": [{"timestamp": instant, "sampledValue": [value]}], **members}


@ensure
async def test_a_whole_transaction_offline(charge_point: ChargePoint) -> None:
    """TC_039, SP-13, T-28b, T-11: start, values, stop in one burst with old times, from a register that stands anywhere."""
    begun, ended = now(-7200), now(-3600)
    transaction, _ = await charge_point.start("GOOD", timestamp=begun, meterStart=98_765_432)
    for seconds, wh in ((-6000, 98_766_000), (-5000, 98_767_000), (-4000, 98_768_000)):
        await charge_point.call("MeterValues", sample(now(seconds), wh, transactionId=transaction))
    await charge_point.stop(transaction, timestamp=ended, meterStop=98_768_432, idTag="GOOD")
    shown = await charge_point.transaction(transaction)
    assert (shown["state"], shown["energyWh"], "flags" in shown) == ("stopped", 3000, False)
    assert (shown["startedAt"], shown["stoppedAt"]) == (begun.replace("Z", ".000Z"), ended.replace("Z", ".000Z"))
    values = (await charge_point.served.get(f"/api/v1/transactions/{transaction}/meter-values")).json["items"]
    assert [value["value"] for value in values] == [98_766_000, 98_767_000, 98_768_000]


@ensure
async def test_a_stop_tells_some_samples_again(charge_point: ChargePoint) -> None:
    """SP-11, T-26, M-9: what a stop tells of an instant that was told before with more samples is there once."""
    transaction, _ = await charge_point.start("GOOD", timestamp=now(-900))
    told = sample(now(-600), 1100, transactionId=transaction)
    told["meterValue"][0]["sampledValue"].append({"value": "230", "measurand": "Voltage", "unit": "V"})
    await charge_point.call("MeterValues", told)
    instant = told["meterValue"][0]["timestamp"]
    again = {"timestamp": instant, "sampledValue": [{"value": "1100", "unit": "Wh"}]}
    end = {"timestamp": instant, "sampledValue": [{"value": "1100", "context": "Transaction.End"}]}
    for _ in range(2):
        await charge_point.stop(transaction, timestamp=instant, transactionData=[again, end])
    values = (await charge_point.served.get(f"/api/v1/transactions/{transaction}/meter-values")).json["items"]
    assert [(each["value"], each["context"]) for each in values] == [
        (1100, "Sample.Periodic"),
        (230, "Sample.Periodic"),
        (1100, "Transaction.End"),
    ]


@ensure
async def test_clock_aligned_values(charge_point: ChargePoint) -> None:
    """M-8: clock-aligned values of the main meter and of a connector, with and without a transaction, several at once."""
    transaction, _ = await charge_point.start("GOOD", timestamp=now(-2000))
    for connector_id in (0, 1, 2):
        elements = [
            {"timestamp": now(seconds), "sampledValue": [{"value": str(wh), "context": "Sample.Clock", "phase": "L1"}]}
            for seconds, wh in ((-1800, 1), (-900, 2))
        ]
        assert await charge_point.call("MeterValues", {"connectorId": connector_id, "meterValue": elements}) == {}
    values = (await charge_point.served.get("/api/v1/meter-values?charger=CP1")).json["items"]
    assert [(each["connectorId"], each["value"], each.get("transactionId")) for each in values] == [
        *((0, value, None) for value in (1, 2)),
        *((1, value, transaction) for value in (1, 2)),
        *((2, value, None) for value in (1, 2)),
    ]
    assert {(each["context"], each["phase"]) for each in values} == {("Sample.Clock", "L1")}


# What cannot be right


@ensure
async def test_a_meter_below_the_last_stop(charge_point: ChargePoint) -> None:
    """T-6: a start below the connector's last stop is flagged and answered; one above is not, and nor is another connector's."""
    first, _ = await charge_point.start("GOOD", meterStart=1000)
    await charge_point.stop(first, meterStop=2000)
    elsewhere, _ = await charge_point.start("STRANGER", 2, meterStart=5)
    above, _ = await charge_point.start("GOOD", meterStart=2000, timestamp=now(1))
    await charge_point.stop(above, meterStop=2000)
    below, verdict = await charge_point.start("GOOD", meterStart=1999, timestamp=now(2))
    assert verdict == "Accepted"
    assert (await charge_point.transaction(below))["flags"] == ["meterBelowLastStop"]
    for other in (above, elsewhere):
        assert "meterBelowLastStop" not in (await charge_point.transaction(other)).get("flags", [])


@ensure
@pytest.mark.parametrize("named", [True, False])
async def test_a_register_that_falls(charge_point: ChargePoint, named: bool) -> None:
    """M-7: a register that falls within a transaction is a flag once it has stopped; its values and its energy stay."""
    transaction, _ = await charge_point.start("GOOD", timestamp=now(-100))
    for seconds, wh in ((-80, 1100), (-60, 1300), (-40, 1200)):
        await charge_point.call("MeterValues", sample(now(seconds), wh))
    assert "flags" not in await charge_point.transaction(transaction)
    await charge_point.stop(transaction if named else -1, idTag="GOOD")
    for _ in range(5):
        await charge_point.barrier()
    shown = await charge_point.transaction(transaction)
    assert shown["flags"] == [*(() if named else ("reconciled",)), "registerFell"] and shown["energyWh"] == 500
    good, _ = await charge_point.start("GOOD", timestamp=now(-10), meterStart=1500)
    await charge_point.call("MeterValues", sample(now(-5), 1600))
    await charge_point.stop(good, meterStop=1700)
    for _ in range(5):
        await charge_point.barrier()
    assert "flags" not in await charge_point.transaction(good)
