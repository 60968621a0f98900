"""Registration on the wire: boots, verdicts, what is permitted when. CASES.md BO; REQUIREMENTS 2.2, R-1 to R-3."""

from __future__ import annotations

import time
from typing import Any

import pytest
import pytest_twisted
from msgspec import structs
from twisted.internet.defer import Deferred, maybeDeferred

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.errors import NotPermitted, Violation
from ocppd.storage.records import MessageState
from ocppd.v16.core import (
    ChangeConfigurationRequest,
    ClearCacheRequest,
    GetConfigurationRequest,
    RemoteStartTransactionRequest,
    RemoteStopTransactionRequest,
)
from ocppd.v16.remote_trigger import TriggerMessageRequest
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import MessageTrigger, RegistrationStatus
from support.central import Running
from support.peer import connect, within
from support.wire import BOOT, START, STATUS, booted, done, is_error, journal, message, offline, storage_of, transactions, use

ensure = pytest_twisted.ensureDeferred
SAMPLES = {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-04T05:06:07Z", "sampledValue": [{"value": "1"}]}]}
GET = GetConfigurationRequest()


class Deciding(CentralSystemHandlers):
    """Gives every boot the verdict that the test wants."""

    verdict = RegistrationStatus.PENDING

    def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
        return structs.replace(answer, status=self.verdict, interval=60)


def deciding(verdict: RegistrationStatus) -> str:
    Deciding.verdict = verdict
    return use(Deciding)


async def registration(daemon: Running) -> str | None:
    """What is recorded of CP1."""
    await storage_of(daemon).check()
    record = (await storage_of(daemon).read_chargers(["CP1"]))["CP1"]
    return record.registration


async def refusal(daemon: Running, request: Any) -> NotPermitted:
    """The refusal that `request` gets before anything is sent."""
    with pytest.raises(NotPermitted) as error:
        await maybeDeferred(daemon.central.commands.submit, "CP1", request)
    return error.value


@ensure
async def test_bo_01_minimal_boot(start: Any) -> None:
    """BO-01: two members are enough: Accepted, the time now in UTC, the configured interval; recorded before the answer."""
    daemon = start({"Chargers": [{"Name": "CP1", "HeartBeatInterval": 17}]})
    peer = await connect(daemon.port)
    answer = await peer.boot()
    assert set(answer) == {"status", "currentTime", "interval"}
    assert (answer["status"], answer["interval"]) == ("Accepted", 17)
    assert abs(parse_timestamp(answer["currentTime"]) / 1000 - time.time()) < 2
    assert await registration(daemon) == "Accepted"


@ensure
@pytest.mark.parametrize("verdict", [RegistrationStatus.PENDING, RegistrationStatus.REJECTED])
async def test_bo_03_verdict_of_a_handler(start: Any, verdict: RegistrationStatus) -> None:
    """BO-03, BO-08: a handler's Pending or Rejected is answered with its interval, recorded, and the link stays open."""
    daemon = start(handlers=deciding(verdict))
    peer = await connect(daemon.port)
    answer = await peer.boot()
    assert (answer["status"], answer["interval"]) == (verdict, 60)
    assert await registration(daemon) == verdict
    [record] = await journal(daemon, "BootNotification")
    assert verdict in (record.answer or "")
    assert is_error(await peer.call("Heartbeat"), "SecurityError")
    assert (await peer.boot())["status"] == verdict


@ensure
async def test_bo_04_pending(start: Any) -> None:
    """BO-04: while Pending a StatusNotification is SecurityError, unless it was asked for by TriggerMessage."""
    daemon = start(handlers=deciding(RegistrationStatus.PENDING))
    peer = await connect(daemon.port)
    await peer.boot()
    assert is_error(await peer.call("StatusNotification", STATUS), "SecurityError")
    trigger = TriggerMessageRequest(requested_message=MessageTrigger.STATUS_NOTIFICATION)
    pending = daemon.central.commands.call("CP1", trigger)
    asked = await peer.frame()
    assert (await peer.call("StatusNotification", STATUS))[0] == 3
    peer.send([3, asked[1], {"status": "Accepted"}])
    await within(pending)
    assert (await peer.call("StatusNotification", STATUS))[0] == 3
    for action, payload in (("Heartbeat", {}), ("StartTransaction", START), ("MeterValues", SAMPLES)):
        assert is_error(await peer.call(action, payload), "SecurityError")
    assert await transactions(daemon) == []


@ensure
async def test_bo_05_commands_while_pending(start: Any) -> None:
    """BO-05: while Pending RemoteStart and RemoteStop are refused here, with no frame; other commands go out."""
    daemon = start(handlers=deciding(RegistrationStatus.PENDING))
    peer = await connect(daemon.port)
    await peer.boot()
    for request in (RemoteStartTransactionRequest(id_tag="T"), RemoteStopTransactionRequest(transaction_id=1)):
        assert "Pending" in str(await refusal(daemon, request))
    pending = daemon.central.commands.call("CP1", GET)
    asked = await peer.frame()
    assert asked[2] == "GetConfiguration"
    peer.send([3, asked[1], {}])
    await within(pending)


@ensure
async def test_bo_08_commands_while_rejected(start: Any) -> None:
    """BO-08: while Rejected no command goes out; one that may wait goes out once the charger is accepted."""
    daemon = start(handlers=deciding(RegistrationStatus.REJECTED))
    peer = await connect(daemon.port)
    await peer.boot()
    assert "Rejected" in str(await refusal(daemon, GET))
    waiting = await daemon.central.commands.submit("CP1", ClearCacheRequest())
    assert is_error(await peer.call("Heartbeat"), "SecurityError")
    Deciding.verdict = RegistrationStatus.ACCEPTED
    await peer.boot()
    assert (await peer.frame())[1] == waiting.message_id


@ensure
async def test_bo_09_never_booted(start: Any) -> None:
    """BO-09: a Heartbeat before any boot is SecurityError, no command goes out, and after the boot all works."""
    daemon = start()
    peer = await connect(daemon.port)
    assert is_error(await peer.call("Heartbeat"), "SecurityError")
    await refusal(daemon, GET)
    await peer.boot()
    assert (await peer.call("Heartbeat"))[0] == 3


@ensure
async def test_bo_10_reconnect_without_boot(start: Any) -> None:
    """BO-10: after a reconnect an accepted charger goes on without a boot (R-1), after a restart of the daemon too."""
    daemon = start()
    await (await booted(daemon)).leave()
    await offline(daemon)
    peer = await connect(daemon.port)
    calls = {"StatusNotification": STATUS, "MeterValues": SAMPLES, "Heartbeat": {}, "StartTransaction": START}
    for action, payload in calls.items():
        assert (await peer.call(action, payload))[0] == 3, action
    await daemon.stop()
    again = start_again(daemon)
    try:
        peer = await connect(again.port)
        assert (await peer.call("StatusNotification", STATUS))[0] == 3
        await peer.leave()
    finally:
        await again.stop()


def start_again(daemon: Running) -> Running:
    """Another daemon on the same files."""
    return Running(daemon.directory, {"Chargers": [{"Name": "CP1"}]}).start()


@ensure
async def test_verdicts_survive_a_reconnect(start: Any) -> None:
    """R-2: Pending is still Pending after a reconnect."""
    daemon = start(handlers=deciding(RegistrationStatus.PENDING))
    peer = await connect(daemon.port)
    await peer.boot()
    await peer.leave()
    peer = await connect(daemon.port)
    assert is_error(await peer.call("Heartbeat"), "SecurityError")


@ensure
async def test_bo_13_calls_wait_for_the_boots_answer(start: Any) -> None:
    """BO-13: a call that is ready while a boot is being answered goes out after BootNotification.conf (S-3)."""
    gates: list[Deferred[None]] = []

    class Slow(CentralSystemHandlers):
        def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            gates.append(Deferred())
            return gates[-1]

    daemon = start(handlers=use(Slow))
    await storage_of(daemon).charger_connected("CP1", "", 0)
    queued = await daemon.central.commands.submit("CP1", ClearCacheRequest())
    peer = await connect(daemon.port)
    peer.send([2, "boot", "BootNotification", BOOT])
    while not gates:
        await storage_of(daemon).check()
    later = await daemon.central.commands.submit("CP1", ChangeConfigurationRequest(key="k", value="v"))
    assert (await message(daemon, queued.message_id)).state is MessageState.QUEUED
    gates[0].callback(None)
    assert (await peer.frame())[:2] == [3, "boot"]
    first = await peer.frame()
    assert first[1] == queued.message_id
    peer.send([3, first[1], {"status": "Accepted"}])
    assert (await peer.frame())[1] == later.message_id


@ensure
async def test_bo_13_accepted_charger_that_boots_again(start: Any) -> None:
    """BO-13: also a charger that was accepted before hears nothing between its boot and the answer."""
    gates: list[Deferred[None]] = []

    class Slow(CentralSystemHandlers):
        def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            gates.append(Deferred())
            return gates[-1] if len(gates) > 1 else answer

    daemon = start(handlers=use(Slow))
    peer = await booted(daemon)
    peer.send([2, "boot", "BootNotification", BOOT])
    while len(gates) < 2:
        await storage_of(daemon).check()
    pending = daemon.central.commands.call("CP1", GET)
    await storage_of(daemon).check()
    gates[1].callback(None)
    assert (await peer.frame())[:2] == [3, "boot"]
    asked = await peer.frame()
    assert asked[2] == "GetConfiguration" and not done(pending)
    peer.send([3, asked[1], {}])
    await within(pending)


@ensure
@pytest.mark.parametrize("error", [RuntimeError("not found"), Violation("SecurityError", "", "not welcome")])  # type: ignore[arg-type]
async def test_a_boot_whose_handler_fails_is_not_accepted(start: Any, logged_errors: Any, error: Exception) -> None:
    """A boot that was answered CALLERROR is no acceptance: not now, and not after a reconnect."""

    class Failing(CentralSystemHandlers):
        def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            raise error

    daemon = start(handlers=use(Failing))
    peer = await connect(daemon.port)
    assert (await peer.call("BootNotification", BOOT))[0] == 4
    logged_errors.flush(RuntimeError)
    assert is_error(await peer.call("Heartbeat"), "SecurityError")
    await peer.leave()
    peer = await connect(daemon.port)
    assert is_error(await peer.call("StartTransaction", START), "SecurityError")
    assert await registration(daemon) is None
    [record] = await journal(daemon, "BootNotification")
    assert record.state is MessageState.ERROR and (record.answer or "").startswith("[4,")


@ensure
async def test_a_failing_handler_does_not_take_an_acceptance_away(start: Any, logged_errors: Any) -> None:
    """An accepted charger whose next boot is answered CALLERROR stays accepted (B-6: only a verdict changes it)."""

    class FailingLater(CentralSystemHandlers):
        boots = 0

        def BootNotificationRequestHandler(self, charger: Any, request: Any, answer: Any) -> Any:
            self.boots += 1
            if self.boots > 1:
                raise RuntimeError("later")
            return answer

    daemon = start(handlers=use(FailingLater))
    peer = await booted(daemon)
    assert (await peer.call("BootNotification", BOOT))[0] == 4
    logged_errors.flush(RuntimeError)
    assert (await peer.call("Heartbeat"))[0] == 3
    assert await registration(daemon) == "Accepted"


@ensure
async def test_no_trigger_of_boots_after_acceptance(start: Any) -> None:
    """2.2: TriggerMessage(BootNotification) is not sent to an accepted charger (errata 3.40)."""
    daemon = start()
    peer = await booted(daemon)
    await refusal(daemon, TriggerMessageRequest(requested_message=MessageTrigger.BOOT_NOTIFICATION))
    await peer.silence()


def configured(**members: Any) -> dict[str, Any]:
    """CP1 with these members."""
    return {"Chargers": [{"Name": "CP1", **members}]}


@ensure
@pytest.mark.parametrize(("verdict", "interval"), [("Pending", 60), ("Rejected", 3600)])
async def test_a_verdict_of_the_configuration(start: Any, verdict: str, interval: int) -> None:
    """BO-03, BO-08, B-1: a charger is told the verdict that is configured, and when to come again; nothing else is taken."""
    daemon = start(configured(Registration=verdict))
    peer = await connect(daemon.port, "/ocppj/1.6/CP1")
    answer = (await peer.call("BootNotification", BOOT))[2]
    assert (answer["status"], answer["interval"]) == (verdict, interval)
    assert is_error(await peer.call("Heartbeat"), "SecurityError")
    assert await registration(daemon) == verdict
    assert (await refusal(daemon, RemoteStartTransactionRequest(id_tag="T"))).charger == "CP1"
    daemon.configure(configured(Registration=verdict, RetryInterval=7))
    daemon.service.reload()
    assert (await peer.call("BootNotification", BOOT))[2]["interval"] == 7


@ensure
async def test_an_onboarding(start: Any) -> None:
    """B-4: a Pending charger is configured, then accepted by the operator: it is asked to boot, and works."""
    daemon = start(configured(Registration="Pending"))
    peer = await connect(daemon.port, "/ocppj/1.6/CP1")
    assert (await peer.call("BootNotification", BOOT))[2]["status"] == "Pending"
    daemon.central.commands.submit("CP1", ChangeConfigurationRequest(key="HeartbeatInterval", value="7"))
    change = await peer.frame()
    assert change[2] == "ChangeConfiguration"
    peer.send([3, change[1], {"status": "Accepted"}])
    daemon.configure(configured(HeartBeatInterval=77))
    daemon.service.reload()
    trigger = await peer.frame()
    assert trigger[2:] == ["TriggerMessage", {"requestedMessage": "BootNotification"}]
    peer.send([3, trigger[1], {"status": "Accepted"}])
    answer = (await peer.call("BootNotification", BOOT))[2]
    assert (answer["status"], answer["interval"]) == ("Accepted", 77)
    assert (await peer.call("Heartbeat"))[0] == 3
    daemon.service.reload()
    daemon.configure(configured(Registration="Rejected"))
    daemon.service.reload()
    assert (await peer.call("Heartbeat"))[0] == 3, "B-6: it keeps its verdict until it boots"
    await peer.silence()
