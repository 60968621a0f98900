"""The simulated charger against a scripted central system, over real sockets."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.ssl import PrivateCertificate
from twisted.python.failure import Failure

from ocppd.errors import ErrorCode, Violation
from ocppd.ocppj.frames import CallError, CallResult
from ocppd.simulator import SILENCE, AnswerError, CallRefused, Charger, HandshakeRefused, NotAuthorized, Offline
from ocppd.v16.core import DataTransferRequest, ResetConfirmation
from ocppd.v16.types import Reason, ResetStatus
from support.scripted import NOTHING, TIME, Refusal, ScriptedCentralSystem
from support.tls import self_signed

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"backoff_first_s": 0.02, "reboot_s": 0.01, "unplug_s": 0.01, "job_step_s": 0.01, "boot_retry_s": 0.02}


@pytest_twisted.async_yield_fixture
async def central() -> AsyncIterator[ScriptedCentralSystem]:
    """A central system, stopped after the test."""
    system = ScriptedCentralSystem(reactor)
    yield system
    await system.stop()


@pytest_twisted.async_yield_fixture
async def make(central: ScriptedCentralSystem) -> AsyncIterator[Callable[..., Charger]]:
    """Makes chargers of `central`, shut down after the test."""
    made: list[Charger] = []

    def make_one(name: str = "CP1", **changes: Any) -> Charger:
        made.append(Charger(name, central.url, reactor, **{**QUICK, **changes}))
        return made[-1]

    yield make_one
    for charger in made:
        await charger.shutdown()


def result(answer: CallResult | CallError) -> Any:
    """The payload of a CALLRESULT; fails for a CALLERROR."""
    assert isinstance(answer, CallResult), answer
    return json.loads(answer.payload)


# Connecting


@pytest_twisted.ensureDeferred
async def test_name_and_password_reach_the_handshake(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """The name is percent-encoded into the path, the password may be any bytes (U-1, Z-1)."""
    charger = make("RDAM 1/2", password=b"\x00\xff:", automatic=False)
    await charger.connect()
    await central.until(lambda: bool(central.connections))
    assert central.connection.http_request_uri == "/ocppj/1.6/RDAM%201%2F2"
    assert base64.b64decode(central.connection.authorization.split()[1]) == b"RDAM 1/2:\x00\xff:"


@pytest_twisted.ensureDeferred
async def test_a_refused_handshake_tells_the_status(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """HTTP 404 at the upgrade is HandshakeRefused with that status (1.3)."""
    central.refuse = 404
    with pytest.raises(HandshakeRefused) as refused:
        await make().connect()
    assert refused.value.status == 404


@pytest_twisted.ensureDeferred
async def test_nobody_listens(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """A refused TCP connection is HandshakeRefused without a status."""
    await central.deaf()
    with pytest.raises(HandshakeRefused) as refused:
        await make().connect()
    assert refused.value.status is None


@pytest_twisted.ensureDeferred
async def test_a_scripted_charger_is_told_how_it_was_closed(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """`dropped` gives the close code of the central system."""
    charger = make(automatic=False)
    await charger.connect()
    await central.until(lambda: bool(central.connections))
    central.connection.close(1001, "going away")
    closed = await charger.dropped
    assert closed.code == 1001
    with pytest.raises(Offline):
        await charger.heartbeat()


@pytest_twisted.ensureDeferred
async def test_tls(logged_errors: Any) -> None:
    """wss: the central system's certificate is checked against the roots that are given (profile 2, white paper A00)."""
    secret, certificate = self_signed()
    system = ScriptedCentralSystem(reactor, PrivateCertificate.loadPEM(certificate + secret).options())
    trusting = Charger("CP1", system.url, reactor, automatic=False, authority_pem=certificate)
    await trusting.connect()
    await trusting.heartbeat()
    with pytest.raises(HandshakeRefused):
        await Charger("CP2", system.url, reactor, automatic=False).connect()
    await trusting.shutdown()
    await system.stop()
    assert logged_errors.flush()  # by Autobahn, at both ends


# The command line


class Process(ProcessProtocol):
    """`python -m ocppd.simulator`; `line` is called with each line it prints, `ended` fires with its exit status."""

    def __init__(self, line: Callable[[Process, str], None]) -> None:
        self.lines: list[str] = []
        self.ended: Deferred[int | None] = Deferred()
        self._line = line
        self._rest = ""

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data.decode()).split("\n")
        for line in lines:
            self.lines.append(line)
            self._line(self, line)

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(getattr(reason.value, "exitCode", None))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("name", ["INT", "TERM"])
async def test_signals_end_it_in_order(name: str, central: ScriptedCentralSystem) -> None:
    """SIGINT and SIGTERM: closing handshakes, the summary, status 0."""
    signals: list[str] = []

    def line(process: Process, _: str) -> None:
        told = "\n".join(process.lines)
        # A charger that is still connecting has no WebSocket to close.
        if not signals and told.count(" booted: Accepted") == 2 and " started on connector 1" in told:
            signals.append(name)
            process.transport.signalProcess(name)

    process = Process(line)
    arguments = [sys.executable, "-m", "ocppd.simulator", central.url, "--name", "CP", "--count", "2"]
    reactor.spawnProcess(process, sys.executable, arguments, {"PYTHONPATH": str(ROOT)})
    assert await process.ended == 0
    assert "CP-0001 booted: Accepted, heartbeat every 300 s" in process.lines
    assert process.lines[-1].startswith("2 chargers: ")
    await central.until(lambda: not central.connections)
    assert central.closed == {1000}


# A script


@pytest_twisted.ensureDeferred
async def test_a_script_says_everything_itself(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Without `automatic` nothing is sent but what the script asks for."""
    charger = make(automatic=False)
    await charger.connect()
    confirmation = await charger.boot()
    assert confirmation.status == "Accepted"
    transaction = await charger.start_transaction(1, "TAG", meter_start_wh=1000)
    await charger.meter_values(transaction)
    await charger.stop_transaction(transaction, Reason.LOCAL, "TAG", meter_stop_wh=1500)
    await charger.heartbeat()
    assert central.actions == ["BootNotification", "StartTransaction", "MeterValues", "StopTransaction", "Heartbeat"]
    stop = central.payloads("StopTransaction")[0]
    assert (stop["transactionId"], stop["meterStop"], stop["idTag"]) == (1, 1500, "TAG")
    assert central.payloads("MeterValues")[0]["transactionId"] == 1
    assert [frame.sent for frame in charger.frames[:2]] == [True, False]
    assert charger.sent("StartTransaction") == central.payloads("StartTransaction")


@pytest_twisted.ensureDeferred
async def test_a_refused_call_fails_with_its_code(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """CALLERROR is CallRefused, to a script's transaction too; a broken confirmation is a Violation."""
    charger = make(automatic=False)
    await charger.connect()
    central.answers["StartTransaction"] = central.answers["DataTransfer"] = lambda _: Refusal(ErrorCode.SECURITY_ERROR)
    with pytest.raises(CallRefused) as refused:
        await charger.call(DataTransferRequest(vendor_id="com.example"))
    assert refused.value.code == "SecurityError"
    with pytest.raises(CallRefused):
        await charger.start_transaction(1, "TAG")
    central.answers["DataTransfer"] = lambda _: {"status": "Perhaps"}
    with pytest.raises(Violation):
        await charger.call(DataTransferRequest(vendor_id="com.example"))


@pytest_twisted.ensureDeferred
async def test_raw_frames(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """`send_raw` writes what it is given; the answer is in the record."""
    charger = make(automatic=False)
    await charger.connect()
    charger.send_raw(b'[2,"mine","Heartbeat",{}]')
    await charger.heartbeat()
    assert b'[3,"mine",{"currentTime": "%b"}]' % TIME.encode() in [frame.data for frame in charger.frames]


# Answers


@pytest_twisted.ensureDeferred
async def test_answers_can_be_replaced(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """`on` puts a function, a coroutine, an error or silence in place of an answer, and takes it back."""
    charger = make(automatic=False)
    await charger.connect()
    await central.until(lambda: bool(central.connections))

    def refuse(_: Any) -> Any:
        raise AnswerError(ErrorCode.NOT_SUPPORTED, "not here")

    async def later(_: Any) -> ResetConfirmation:
        await charger.heartbeat()
        return ResetConfirmation(status=ResetStatus.REJECTED)

    charger.on("Reset", lambda _: SILENCE)
    unanswered = central.connection.call("Reset", {"type": "Hard"})
    await charger.heartbeat()
    charger.on("Reset", refuse)
    answer = await central.connection.call("Reset", {"type": "Hard"})
    assert isinstance(answer, CallError) and answer.code == "NotSupported"
    charger.on("Reset", later)
    assert result(await central.connection.call("Reset", {"type": "Hard"})) == {"status": "Rejected"}
    charger.on("Reset", None)
    assert result(await central.connection.call("Reset", {"type": "Hard"})) == {"status": "Accepted"}
    assert not unanswered.called


@pytest_twisted.ensureDeferred
async def test_calls_that_break_the_definition_are_refused(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Each fault gets its code (1.7)."""
    charger = make(automatic=False)
    await charger.connect()
    await central.until(lambda: bool(central.connections))
    faults = {
        "Dance": ({}, "NotImplemented"),
        "Heartbeat": ({}, "NotSupported"),
        "Reset": ({}, "OccurenceConstraintViolation"),
        "UnlockConnector": ({"connectorId": "1"}, "TypeConstraintViolation"),
        "ChangeAvailability": ({"connectorId": 1, "type": "Broken"}, "PropertyConstraintViolation"),
        "ClearCache": ({"all": True}, "FormationViolation"),
    }
    for action, (payload, code) in faults.items():
        answer = await central.connection.call(action, payload)
        assert isinstance(answer, CallError) and answer.code == code, action


# An automatic charger


@pytest_twisted.ensureDeferred
async def test_boots_until_accepted(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Pending: it boots again after the interval, and answers commands meanwhile but no remote start (4.2, B-4)."""
    status = "Pending"
    central.answers["BootNotification"] = lambda _: {"status": status, "currentTime": TIME, "interval": 300}
    charger = make()
    await charger.connect()
    await central.until_received("BootNotification")
    assert result(await central.connection.call("GetConfiguration", {"key": ["HeartbeatInterval"]}))["configurationKey"]
    assert result(await central.connection.call("RemoteStartTransaction", {"idTag": "TAG"})) == {"status": "Rejected"}
    status = "Accepted"
    assert result(await central.connection.call("TriggerMessage", {"requestedMessage": "BootNotification"})) == {
        "status": "Accepted"
    }
    await charger.boot()
    await central.until_received("StatusNotification", 2)
    assert central.actions == ["BootNotification", "BootNotification", "StatusNotification", "StatusNotification"]
    again = await central.connection.call("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert result(again) == {"status": "Rejected"}


@pytest_twisted.ensureDeferred
async def test_a_charging_session(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Preparing, Authorize, StartTransaction, Charging, StopTransaction, Finishing, Available."""
    charger = make()
    await charger.connect()
    await charger.boot()
    transaction = await charger.start_transaction(1, "TAG")
    await charger.stop_transaction(transaction)
    await central.until_received("StatusNotification", 6)
    statuses = [payload["status"] for payload in central.payloads("StatusNotification")]
    assert statuses[2:] == ["Preparing", "Charging", "Finishing", "Available"]
    order = [action for action in central.actions if action != "StatusNotification"]
    assert order == ["BootNotification", "Authorize", "StartTransaction", "StopTransaction"]
    assert charger.counts.transactions == 1


@pytest_twisted.ensureDeferred
async def test_a_refused_tag_does_not_charge(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Authorize refused: back to Available, no StartTransaction."""
    central.answers["Authorize"] = lambda _: {"idTagInfo": {"status": "Blocked"}}
    charger = make()
    await charger.connect()
    await charger.boot()
    with pytest.raises(NotAuthorized):
        await charger.start_transaction(1, "TAG")
    await charger.heartbeat()
    assert central.payloads("StatusNotification")[-1]["status"] == "Available"
    assert "StartTransaction" not in central.actions


@pytest_twisted.ensureDeferred
async def test_a_start_that_is_refused_ends_deauthorized(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """StartTransaction.conf Invalid: StopTransaction with reason DeAuthorized and the id that was given (T-12)."""
    central.answers["StartTransaction"] = lambda _: {"idTagInfo": {"status": "Invalid"}, "transactionId": 77}
    charger = make()
    await charger.connect()
    await charger.boot()
    await charger.start_transaction(1, "TAG")
    await central.until_received("StopTransaction")
    stop = central.payloads("StopTransaction")[0]
    assert (stop["transactionId"], stop["reason"]) == (77, "DeAuthorized")


@pytest_twisted.ensureDeferred
async def test_nothing_is_lost_while_offline(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Start and stop made offline are delivered in order after the reconnect, without a boot (R-1, 3.7)."""
    charger = make()
    await charger.connect()
    await charger.boot()
    await charger.call(DataTransferRequest(vendor_id="com.example"))
    charger.configuration.put("AllowOfflineTxForUnknownId", "true")
    port = central.port
    await central.deaf()
    await charger.dropped
    transaction = await charger.start_transaction(1, "TAG")
    await charger.stop_transaction(transaction)
    assert transaction.transaction_id is None
    before = len(central.received)
    central.listen(port)
    await charger.delivered()
    await charger.heartbeat()
    after = [action for action, _ in central.received[before:]]
    assert [action for action in after if action.endswith("Transaction")] == ["StartTransaction", "StopTransaction"]
    assert "BootNotification" not in after
    assert central.payloads("StopTransaction")[0]["transactionId"] == transaction.transaction_id


@pytest_twisted.ensureDeferred
async def test_an_unanswered_start_is_repeated_after_the_reconnect(
    central: ScriptedCentralSystem, make: Callable[..., Charger]
) -> None:
    """A connection lost before the answer: the same StartTransaction comes again (T-3)."""
    charger = make()
    await charger.connect()
    await charger.boot()
    answer, central.answers["StartTransaction"] = central.answers["StartTransaction"], lambda _: NOTHING
    starting = charger.background.run(_start(charger))
    await central.until_received("StartTransaction")
    central.answers["StartTransaction"] = answer
    central.connection.dropConnection(abort=True)
    await central.until_received("StartTransaction", 2)
    await starting
    first, second = central.payloads("StartTransaction")
    assert first == second


async def _start(charger: Charger) -> None:
    await charger.start_transaction(1, "TAG")


@pytest_twisted.ensureDeferred
async def test_transaction_messages_are_repeated(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """CALLERROR to a StopTransaction: tried TransactionMessageAttempts times, then given up (E-1)."""
    charger = make()
    charger.configuration.put("TransactionMessageRetryInterval", "0")
    await charger.connect()
    await charger.boot()
    transaction = await charger.start_transaction(1, "TAG")
    central.answers["StopTransaction"] = lambda _: Refusal()
    await charger.stop_transaction(transaction)
    assert len(central.payloads("StopTransaction")) == 3
    assert charger.queue.given_up == 1


# Commands with what follows


@pytest_twisted.ensureDeferred
async def test_remote_start_and_stop(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Accepted, then the transaction; stopped with reason Remote (5.11, 5.12)."""
    charger = make()
    await charger.connect()
    await charger.boot()
    await central.until(lambda: bool(central.connections))
    assert result(await central.connection.call("RemoteStartTransaction", {"idTag": "TAG"})) == {"status": "Accepted"}
    await central.until(lambda: bool(charger.running_transactions()) and len(central.payloads("StatusNotification")) == 4)
    unknown = await central.connection.call("RemoteStopTransaction", {"transactionId": 99})
    assert result(unknown) == {"status": "Rejected"}
    assert result(await central.connection.call("RemoteStopTransaction", {"transactionId": 1})) == {"status": "Accepted"}
    await central.until_received("StopTransaction")
    assert central.payloads("StopTransaction")[0]["reason"] == "Remote"
    assert "Authorize" not in central.actions


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
async def test_reset(kind: str, reason: str, central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Soft: StopTransaction before the reboot; hard: after the next accepted boot (5.14)."""
    charger = make()
    await charger.connect()
    await charger.boot()
    await charger.start_transaction(1, "TAG")
    assert result(await central.connection.call("Reset", {"type": kind})) == {"status": "Accepted"}
    await central.until(lambda: "StopTransaction" in central.actions and central.actions.count("BootNotification") == 2)
    assert central.payloads("StopTransaction")[0]["reason"] == reason
    boot = len(central.actions) - 1 - central.actions[::-1].index("BootNotification")
    assert (central.actions.index("StopTransaction") < boot) is (kind == "Soft")


@pytest_twisted.ensureDeferred
async def test_firmware_update(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Downloading to Installed, with a boot that tells the new version (5.19)."""
    charger = make()
    await charger.connect()
    await charger.boot()
    update = {"location": "ftp://example.org/fw", "retrieveDate": TIME}
    assert result(await central.connection.call("UpdateFirmware", update)) == {}
    await central.until_received("FirmwareStatusNotification", 4)
    told = [payload["status"] for payload in central.payloads("FirmwareStatusNotification")]
    assert told == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert [boot["firmwareVersion"] for boot in central.payloads("BootNotification")] == ["1.0.0", "1.0.1"]


@pytest_twisted.ensureDeferred
async def test_uploads(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """Uploading, Uploaded; a scheme that is not supported fails (5.9, N01)."""
    charger = make()
    await charger.connect()
    await charger.boot()
    await central.connection.call("GetDiagnostics", {"location": "gopher://example.org/", "retries": 1, "retryInterval": 0})
    await central.until_received("DiagnosticsStatusNotification", 2)
    log = {"remoteLocation": "ftps://example.org/logs"}
    asked = {"log": log, "logType": "SecurityLog", "requestId": 5}
    assert result(await central.connection.call("GetLog", asked))["status"] == "Accepted"
    await central.until_received("LogStatusNotification", 2)
    assert [each["status"] for each in central.payloads("DiagnosticsStatusNotification")] == ["Uploading", "UploadFailed"]
    assert central.payloads("LogStatusNotification") == [
        {"status": "Uploading", "requestId": 5},
        {"status": "Uploaded", "requestId": 5},
    ]


@pytest_twisted.ensureDeferred
async def test_a_new_authorization_key_is_used_at_once(central: ScriptedCentralSystem, make: Callable[..., Charger]) -> None:
    """ChangeConfiguration(AuthorizationKey): reconnects with the bytes, does not boot, never shows it (Z-5 to Z-7)."""
    charger = make(password=b"old")
    await charger.connect()
    await charger.boot()
    key = "00" * 15 + "ff"
    changed = await central.connection.call("ChangeConfiguration", {"key": "authorizationkey", "value": key})
    assert result(changed) == {"status": "Accepted"}
    await central.until(lambda: central.opened == 2)
    assert base64.b64decode(central.connection.authorization.split()[1]) == b"CP1:" + bytes.fromhex(key)
    shown = result(await central.connection.call("GetConfiguration", {"key": ["AuthorizationKey"]}))
    assert shown == {"configurationKey": [{"key": "AuthorizationKey", "readonly": False}]}
    assert central.actions.count("BootNotification") == 1
