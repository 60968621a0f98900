"""What follows an operator's call, as dialogues with a charge point. CASES.md OP; REQUIREMENTS 2.4, N-6, N-7."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from ocppd.clock import now_ms
from ocppd.config import Registration
from support.dialogue import ChargePoint
from support.rest import Served

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_lanes")


@pytest_twisted.async_yield_fixture
async def charge_point() -> AsyncIterator[ChargePoint]:
    """A charger with two connectors that has booted and told of them."""
    served = Served("CP1", "CP2", queue=10)
    charger = await ChargePoint(served).connect()
    await charger.statuses("Available", "Available")
    yield charger
    await served.stop()


CONNECTORLESS = (
    ("Heartbeat", {}),
    ("DiagnosticsStatusNotification", {"status": "Idle"}),
    ("FirmwareStatusNotification", {"status": "Idle"}),
)
METER_VALUES = {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": "1"}]}]}


@ensure
@pytest.mark.parametrize("crossed", [False, True])
async def test_triggered_messages(charge_point: ChargePoint, crossed: bool) -> None:
    """OP-16, TC_054: each message that is triggered is matched, after the answer, and where it has crossed the answer."""
    told = (
        *CONNECTORLESS,
        ("MeterValues", METER_VALUES),
        ("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"}),
    )
    for action, payload in told:
        body: dict[str, Any] = {"requestedMessage": action}
        if "connectorId" in payload:
            body["connectorId"] = 1
        if crossed:
            message_id = await charge_point.command("TriggerMessage", body, status=None)
            await charge_point.call(action, payload)
            charge_point.answer([2, message_id])
        else:
            message_id = await charge_point.command("TriggerMessage", body)
            expected = await charge_point.follow_up(message_id)
            assert (expected["expected"], expected["state"]) == (action, "expected") and expected["deadline"]
            await charge_point.call(action, payload)
        await charge_point.barrier()
        seen = await charge_point.follow_up(message_id)
        assert (seen["state"], "seenAt" in seen, seen.get("connectorId")) == ("seen", True, body.get("connectorId")), action
    await charge_point.later(3600)
    assert await charge_point.events("followUpMissing") == []


@ensure
async def test_all_connectors_are_triggered(charge_point: ChargePoint) -> None:
    """OP-16: without a connector the statuses of all are expected, 0 included; the one that does not come is named."""
    message_id = await charge_point.command("TriggerMessage", {"requestedMessage": "StatusNotification"})
    await charge_point.status("Available", 0)
    await charge_point.status("Charging", 2)
    expected = await charge_point.follow_up(message_id)
    assert (expected["state"], [each["state"] for each in expected["connectors"]]) == ("expected", ["seen", "expected", "seen"])
    await charge_point.later(31)
    missing = await charge_point.follow_up(message_id)
    assert missing["state"] == "missing"
    [event] = await charge_point.events("followUpMissing")
    assert (event["messageId"], event["expected"], event["connectorId"]) == (message_id, "StatusNotification", 1)


@ensure
async def test_values_of_any_connector(charge_point: ChargePoint) -> None:
    """OP-16: without a connector the first meter values are what was asked for, whatever connector they are of."""
    message_id = await charge_point.command("TriggerMessage", {"requestedMessage": "MeterValues"})
    await charge_point.call("MeterValues", METER_VALUES)
    seen = await charge_point.follow_up(message_id)
    assert (seen["state"], "connectorId" in seen, "connectors" in seen) == ("seen", False, False)


@ensure
async def test_a_boot_that_is_asked_for() -> None:
    """OP-16, B-4: a charger that is Pending may be asked to boot, and its boot is what follows."""
    served = Served("CP1", registration=Registration.PENDING)
    try:
        charger = await ChargePoint(served).connect(boot=False)
        assert await charger.boot() == "Pending"
        message_id = await charger.command("TriggerMessage", {"requestedMessage": "BootNotification"})
        assert (await charger.follow_up(message_id))["state"] == "expected"
        await charger.boot()
        assert (await charger.follow_up(message_id))["state"] == "seen"
    finally:
        await served.stop()


@ensure
async def test_a_trigger_without_its_message(charge_point: ChargePoint) -> None:
    """OP-16: what does not come within 30 s is missing and an event, once; a message of another connector is not it."""
    body = {"requestedMessage": "MeterValues", "connectorId": 2}
    message_id = await charge_point.command("TriggerMessage", body)
    await charge_point.call("MeterValues", METER_VALUES)
    await charge_point.later(29)
    assert (await charge_point.follow_up(message_id))["state"] == "expected"
    await charge_point.later(31)
    await charge_point.later(40)
    assert (await charge_point.follow_up(message_id))["state"] == "missing"
    assert [event["messageId"] for event in await charge_point.events("followUpMissing")] == [message_id]


@ensure
async def test_meter_values_that_no_node_remembers(charge_point: ChargePoint) -> None:
    """OP-16: meter values that came are found in the journal when the time is over, though the node has forgotten to listen."""
    message_id = await charge_point.command("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})
    charge_point.served.system._watchers._awaited.forget(2**62)
    await charge_point.call("MeterValues", METER_VALUES)
    assert (await charge_point.follow_up(message_id))["state"] == "expected"
    await charge_point.later(31)
    assert (await charge_point.follow_up(message_id))["state"] == "seen"


@ensure
async def test_a_heartbeat_that_no_node_remembers(charge_point: ChargePoint) -> None:
    """OP-16: whether a Heartbeat came is not known once the node that asked for it is gone, and is not called missing."""
    message_id = await charge_point.command("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await charge_point.served.storage.follow_ups.settle(now_ms(reactor) + 31_000, "another#1")
    assert (await charge_point.follow_up(message_id))["state"] == "failed"
    assert "node" in (await charge_point.events("followUpFailed"))[0]["reason"]


@ensure
@pytest.mark.parametrize("status", ["Rejected", "NotImplemented"])
async def test_refused_triggers(charge_point: ChargePoint, status: str) -> None:
    """OP-17, TC_055: a trigger that is refused is an outcome, and nothing is expected to follow."""
    message_id = await charge_point.command("TriggerMessage", {"requestedMessage": "MeterValues"}, status)
    message = await charge_point.message(message_id)
    assert (message["state"], message["outcome"], "followUp" in message) == ("completed", status, False)


@ensure
async def test_extended_triggers(charge_point: ChargePoint) -> None:
    """V-12: an extended trigger is followed by the message of the security extension that it means."""
    for asked, action, payload in (
        ("FirmwareStatusNotification", "SignedFirmwareStatusNotification", {"status": "Idle"}),
        ("LogStatusNotification", "LogStatusNotification", {"status": "Idle"}),
        ("SignChargePointCertificate", "SignCertificate", {"csr": "c"}),
    ):
        message_id = await charge_point.command("ExtendedTriggerMessage", {"requestedMessage": asked})
        await charge_point.call(action, payload)
        assert (await charge_point.follow_up(message_id))["state"] == "seen", asked


# Reset


@ensure
@pytest.mark.parametrize("kind", ["Hard", "Soft"])
async def test_a_reset_ends_with_a_boot(charge_point: ChargePoint, kind: str) -> None:
    """OP-11, TC_013, TC_014: stop, link loss, boot, statuses: the reset has been seen through, with no call of ours between."""
    transaction, _ = await charge_point.start()
    message_id = await charge_point.command("Reset", {"type": kind})
    assert (await charge_point.follow_up(message_id))["expected"] == "BootNotification"
    if kind == "Soft":
        await charge_point.stop(transaction, "SoftReset")
    assert not charge_point.served.system.unasked.allowed("CP1")
    await charge_point.connect(boot=False)
    await charge_point.status("Available", 0)
    assert charge_point.unasked() == [] and not charge_point.served.system.unasked.allowed("CP1")
    assert await charge_point.boot() == "Accepted"
    await charge_point.statuses("Available", "Available")
    if kind == "Hard":
        await charge_point.stop(transaction, "HardReset")
    followed = await charge_point.follow_up(message_id)
    assert (followed["state"], "seenAt" in followed) == ("seen", True)
    assert (await charge_point.transaction(transaction))["reason"] == f"{kind}Reset"
    assert charge_point.unasked() == [] and charge_point.served.system.unasked.allowed("CP1")


@ensure
async def test_a_reset_without_a_boot_is_an_alarm(charge_point: ChargePoint) -> None:
    """OP-11: no boot for five minutes is an event; a boot that comes after all is seen, and told too."""
    message_id = await charge_point.command("Reset", {"type": "Hard"})
    await charge_point.later(299)
    assert await charge_point.events("followUpMissing") == []
    await charge_point.later(301)
    assert [event["expected"] for event in await charge_point.events("followUpMissing")] == ["BootNotification"]
    await charge_point.connect()
    assert (await charge_point.follow_up(message_id))["state"] == "seen"
    await charge_point.later(302)
    assert [event["messageId"] for event in await charge_point.events("followUpSeen")] == [message_id]
    refused = await charge_point.command("Reset", {"type": "Soft"}, "Rejected")
    assert await charge_point.follow_up(refused) is None


# Unlocking


@ensure
@pytest.mark.parametrize("status", ["Unlocked", "UnlockFailed", "NotSupported"])
async def test_unlocking_without_a_transaction(charge_point: ChargePoint, status: str) -> None:
    """OP-12, TC_017_1, TC_017_2, TC_030, TC_031: each of the three statuses is an outcome, and nothing is expected."""
    message = await charge_point.message(await charge_point.command("UnlockConnector", {"connectorId": 1}, status))
    assert (message["state"], message["outcome"], "followUp" in message) == ("completed", status, False)


@ensure
@pytest.mark.parametrize("first", [True, False])
async def test_unlocking_with_a_transaction(charge_point: ChargePoint, first: bool) -> None:
    """OP-12, TC_018_1: the running transaction is ended with UnlockCommand, before the answer or after it."""
    transaction, _ = await charge_point.start()
    message_id = await charge_point.command("UnlockConnector", {"connectorId": 1}, None)
    if first:
        await charge_point.stop(transaction, "UnlockCommand")
    charge_point.answer([2, message_id], "Unlocked")
    await charge_point.barrier()
    if not first:
        await charge_point.stop(transaction, "UnlockCommand")
    followed = await charge_point.follow_up(message_id)
    assert (followed["state"], followed["reason"], followed["transactionId"]) == ("seen", "UnlockCommand", transaction)


@ensure
async def test_unlocking_the_charger_is_refused_here(charge_point: ChargePoint) -> None:
    """OP-12, G-11: connector 0 has no lock: 422 with its pointer, and no frame."""
    answer = await charge_point.served.command("UnlockConnector", {"connectorId": 0})
    assert (answer.status, [error["pointer"] for error in answer.json["errors"]]) == (422, ["/connectorId"])
    assert charge_point.unasked() == []


# Remote start


@ensure
async def test_a_remote_start_that_succeeds(charge_point: ChargePoint) -> None:
    """OP-06, TC_010, TC_011_1, N-7: Accepted, Authorize, perhaps Preparing, StartTransaction, Charging: bound, and seen."""
    for connector_id, shown in ((1, True), (2, False)):
        message_id = await charge_point.command("RemoteStartTransaction", {"idTag": "App", "connectorId": connector_id})
        assert (await charge_point.follow_up(message_id))["state"] == "expected"
        assert (await charge_point.call("Authorize", {"idTag": "App"}))["idTagInfo"]["status"] == "Accepted"
        if shown:
            await charge_point.status("Preparing", connector_id)
        transaction, verdict = await charge_point.start("App", connector_id)
        await charge_point.status("Charging", connector_id)
        message = await charge_point.message(message_id)
        assert (verdict, message["transactionId"]) == ("Accepted", transaction)
        assert (message["followUp"]["state"], message["followUp"]["transactionId"]) == ("seen", transaction)


@ensure
async def test_a_start_that_crosses_the_answer(charge_point: ChargePoint) -> None:
    """OP-06, T-9: a StartTransaction that comes before our RemoteStart is answered is what it led to."""
    message_id = await charge_point.command("RemoteStartTransaction", {"idTag": "App"}, None)
    transaction, _ = await charge_point.start("App")
    charge_point.answer([2, message_id])
    await charge_point.barrier()
    followed = await charge_point.follow_up(message_id)
    assert (followed["state"], followed["transactionId"]) == ("seen", transaction)


@ensure
async def test_outcomes_of_a_remote_start_are_distinct(charge_point: ChargePoint) -> None:
    """OP-07, TC_026: Rejected, CALLERROR and no answer in time are three outcomes, and nothing follows any of them."""
    body = {"idTag": "App", "connectorId": 1}
    rejected = await charge_point.message(await charge_point.command("RemoteStartTransaction", body, "Rejected"))
    assert (rejected["state"], rejected["outcome"]) == ("completed", "Rejected")
    message_id = await charge_point.command("RemoteStartTransaction", body, None)
    charge_point.link.tell(json.dumps([4, message_id, "InternalError", "relay", {}]))
    error = await charge_point.message(message_id)
    assert (error["state"], error["error"]["code"]) == ("error", "InternalError")
    assert charge_point.link.connection is not None
    charge_point.link.connection.call_timeout_s = 0.05
    waiting = charge_point.served.command("RemoteStartTransaction", body, "?wait=5")
    silent = await waiting
    assert silent.status == 504 and silent.slug
    assert all("followUp" not in each for each in (rejected, error))


@ensure
@pytest.mark.parametrize("connector", [{"connectorId": 1}, {}])
async def test_a_remote_start_that_is_given_up(charge_point: ChargePoint, connector: dict[str, int]) -> None:
    """SN-10, N-6, TC_004_2, TC_011_2: Preparing and then Available without a start: the remote start has failed, at once."""
    message_id = await charge_point.command("RemoteStartTransaction", {"idTag": "App", **connector})
    await charge_point.status("Available")
    assert (await charge_point.follow_up(message_id))["state"] == "expected"
    await charge_point.status("Preparing")
    if connector:
        await charge_point.status("Preparing", 2)
        await charge_point.status("Available", 2)
        assert (await charge_point.follow_up(message_id))["state"] == "expected"
    await charge_point.status("Available")
    failed = await charge_point.follow_up(message_id)
    assert failed["state"] == "failed" and "Preparing" in failed["reason"]
    await charge_point.later(1)
    [event] = await charge_point.events("followUpFailed")
    assert (event["messageId"], event["expected"]) == (message_id, "StartTransaction")
    transaction, _ = await charge_point.start("App")
    assert (await charge_point.follow_up(message_id))["transactionId"] == transaction


@ensure
async def test_a_remote_start_without_a_start(charge_point: ChargePoint) -> None:
    """OP-06: a remote start that nothing comes of is missing when its time is over."""
    message_id = await charge_point.command("RemoteStartTransaction", {"idTag": "App", "connectorId": 1})
    await charge_point.later(299)
    assert (await charge_point.follow_up(message_id))["state"] == "expected"
    await charge_point.later(301)
    assert (await charge_point.follow_up(message_id))["state"] == "missing"


# Remote stop


@ensure
async def test_a_remote_stop_that_succeeds(charge_point: ChargePoint) -> None:
    """OP-09, TC_012: the frame has the id; Accepted, then a stop with Remote: seen, with the reason."""
    transaction, _ = await charge_point.start()
    message_id = await charge_point.command("RemoteStopTransaction", {"transactionId": transaction})
    assert charge_point.link.calls[-1][3] == {"transactionId": transaction}
    await charge_point.stop(transaction, "Remote")
    followed = await charge_point.follow_up(message_id)
    assert (followed["state"], followed["reason"], followed["transactionId"]) == ("seen", "Remote", transaction)


@ensure
async def test_a_remote_stop_that_does_not_come(charge_point: ChargePoint) -> None:
    """OP-09: no stop within two minutes is an alarm, and one that comes after all is seen."""
    transaction, _ = await charge_point.start()
    message_id = await charge_point.command("RemoteStopTransaction", {"transactionId": transaction})
    await charge_point.later(119)
    assert await charge_point.events("followUpMissing") == []
    await charge_point.later(121)
    [event] = await charge_point.events("followUpMissing")
    assert (event["messageId"], event["transactionId"]) == (message_id, transaction)
    await charge_point.stop(transaction, "Remote")
    assert (await charge_point.follow_up(message_id))["state"] == "seen"


@ensure
async def test_a_remote_stop_of_what_nobody_knows(charge_point: ChargePoint) -> None:
    """OP-10, TC_028: an id that is unknown here is sent all the same; its charger's Rejected is the outcome."""
    message_id = await charge_point.command("RemoteStopTransaction", {"transactionId": 4711}, "Rejected")
    message = await charge_point.message(message_id)
    assert (message["outcome"], message["request"], "followUp" in message) == ("Rejected", {"transactionId": 4711}, False)
    accepted = await charge_point.command("RemoteStopTransaction", {"transactionId": 4712})
    await charge_point.later(121)
    assert (await charge_point.follow_up(accepted))["state"] == "missing"


@ensure
async def test_an_operator_closes_what_was_to_stop(charge_point: ChargePoint) -> None:
    """T-29: a transaction that an operator closes is not stopped by its charger: what was expected has failed."""
    transaction, _ = await charge_point.start()
    message_id = await charge_point.command("RemoteStopTransaction", {"transactionId": transaction})
    await charge_point.served.post(f"/api/v1/transactions/{transaction}/close", {"reason": "gone"})
    assert (await charge_point.follow_up(message_id))["state"] == "failed"


@ensure
async def test_follow_ups_in_lists_and_after_restarts(charge_point: ChargePoint) -> None:
    """What is expected is in lists of messages too, and on record: it waits for whatever connection comes."""
    message_id = await charge_point.command("Reset", {"type": "Hard"})
    listed = (await charge_point.served.get("/api/v1/messages?action=Reset")).json["items"]
    assert [each["followUp"]["state"] for each in listed] == ["expected"]
    await charge_point.connect()
    assert (await charge_point.follow_up(message_id))["state"] == "seen"
