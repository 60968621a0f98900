"""A charge point of other people's making against the daemon: `ocpp` of Mobility House, with its own schemas."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.examples import example, payload
from support.party import COMMANDS, Party
from support.programs import SUPPORT, Daemon, Program, eventually

PASSWORD = "0123456789abcdef"
QUEUE = 2
CONFIGURATION = {
    "MaxQueueSize": QUEUE,
    "Chargers": [
        {"Name": "Third", "Authorization": PASSWORD, "HeartBeatInterval": 600},
        {"Name": "Silent", "Authorization": PASSWORD, "CallTimeout": 1},
        {"Name": "Away", "Authorization": PASSWORD},
    ],
}
NOON = "2026-05-04T12:00:{:02}Z"
RESET = {"type": "Soft"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that ends well after all tests, with nothing in its log to be sorry about."""
    with Daemon(tmp_path_factory.mktemp("daemon"), CONFIGURATION) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in "".join(running.lines)
        assert running.errors == []


@pytest.fixture(scope="module")
def charger(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Party]:
    """A charge point that is connected and registered."""
    with Party(daemon, "Third", tmp_path_factory.mktemp("third"), PASSWORD) as party:
        party.boot()
        yield party


@pytest.fixture
def silent(daemon: Daemon, tmp_path: Path) -> Iterator[Party]:
    """One that has a second to answer."""
    with Party(daemon, "Silent", tmp_path, PASSWORD) as party:
        party.boot()
        yield party


@pytest.fixture
def away(daemon: Daemon, tmp_path: Path) -> Iterator[Party]:
    """One that is not connected."""
    with Party(daemon, "Away", tmp_path, PASSWORD) as party:
        yield party
        for message in daemon.http("GET", "/api/v1/messages?charger=Away&state=queued").json["items"]:
            assert daemon.http("DELETE", f"/api/v1/messages/{message['messageId']}").status == 200


def command(daemon: Daemon, charger: str, action: str, body: Any, query: str = "?wait=30") -> Any:
    """Send a command as an operator does."""
    return daemon.http("POST", f"/api/v1/chargers/{charger}/commands/{action}{query}", body)


def is_problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    """Whether an answer is this problem (RFC 9457); its members."""
    assert (answer.status, answer.type) == (status, "application/problem+json"), answer.body
    told: dict[str, Any] = answer.json
    assert told["status"] == status
    assert told["type"].endswith(f":{kind}"), told
    assert told["title"] and told["detail"]
    return told


def sample(value: int, context: str, second: int) -> dict[str, Any]:
    """A meter value with energy and power."""
    values = [
        {"value": str(value), "context": context, "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "7.4", "context": context, "measurand": "Power.Active.Import", "unit": "kW"},
    ]
    return {"timestamp": NOON.format(second), "sampledValue": values}


def test_charging_session(daemon: Daemon, charger: Party) -> None:
    """A charging session from the tag to the stop: each answer passes the other side's schemas, all of it is recorded."""
    for connector, status in ((0, "Available"), (1, "Preparing")):
        assert charger.call("StatusNotification", connectorId=connector, errorCode="NoError", status=status) == {}
    assert charger.call("Authorize", idTag="0012")["idTagInfo"]["status"] == "Accepted"
    started = charger.call("StartTransaction", connectorId=1, idTag="0012", meterStart=1000, timestamp=NOON.format(0))
    assert started["idTagInfo"]["status"] == "Accepted"
    transaction = started["transactionId"]
    for count in (1, 2, 3):
        meter_value = [sample(1000 + count, "Sample.Periodic", count)]
        assert charger.call("MeterValues", connectorId=1, transactionId=transaction, meterValue=meter_value) == {}
    stopped = charger.call(
        "StopTransaction",
        transactionId=transaction,
        idTag="0012",
        meterStop=1010,
        timestamp=NOON.format(10),
        reason="Local",
        transactionData=[sample(1000, "Transaction.Begin", 0), sample(1010, "Transaction.End", 10)],
    )
    assert stopped["idTagInfo"]["status"] == "Accepted"
    recorded = daemon.http("GET", f"/api/v1/transactions/{transaction}").json
    assert (recorded["state"], recorded["energyWh"], recorded["idTag"]) == ("stopped", 10, "0012")
    values = daemon.http("GET", f"/api/v1/transactions/{transaction}/meter-values?limit=500").json["items"]
    energy = [each["value"] for each in values if each["measurand"] == "Energy.Active.Import.Register"]
    assert sorted(energy) == [1000, 1001, 1002, 1003, 1010]


@pytest.mark.parametrize(
    ("action", "members", "answer"),
    [
        ("DataTransfer", {"vendorId": "org.example", "messageId": "hello", "data": "x"}, {"status": "UnknownVendorId"}),
        ("FirmwareStatusNotification", {"status": "Installed"}, {}),
        ("DiagnosticsStatusNotification", {"status": "Uploaded"}, {}),
        ("SecurityEventNotification", {"type": "StartupOfTheDevice", "timestamp": NOON.format(20), "techInfo": "cold"}, {}),
        ("SignCertificate", {"csr": "-----BEGIN CERTIFICATE REQUEST-----"}, {"status": "Rejected"}),
        ("LogStatusNotification", {"status": "Uploaded", "requestId": 1}, {}),
        ("SignedFirmwareStatusNotification", {"status": "Installed", "requestId": 1}, {}),
    ],
)
def test_other_messages(charger: Party, action: str, members: dict[str, Any], answer: dict[str, Any]) -> None:
    """Every other message of a charge point gets its answer, those of the security extension included."""
    assert charger.call(action, **members) == answer


def test_heartbeat(charger: Party) -> None:
    """A heartbeat is answered with the time, which the other side's schema can read."""
    assert charger.call("Heartbeat")["currentTime"].endswith("Z")


@pytest.mark.parametrize("action", COMMANDS)
def test_command(daemon: Daemon, charger: Party, action: str) -> None:
    """A command arrives with the operator's payload, unchanged, and the answer of the charge point comes back."""
    body = payload(example(f"{action}Request"))
    if action == "TriggerMessage":
        body = b'{"requestedMessage":"Heartbeat","connectorId":1}'  # a registered charger is asked for no boot (errata 3.40)
    if action == "ExtendedTriggerMessage":
        body = b'{"requestedMessage":"LogStatusNotification","connectorId":1}'
    answer = command(daemon, "Third", action, body)
    assert answer.status == 200, answer.body
    message = json.loads(answer.body, parse_float=Decimal)
    confirmation = example(f"{action}Confirmation")
    assert (message["state"], message["action"], message["charger"]) == ("completed", action, "Third")
    assert message["response"] == confirmation
    assert message.get("outcome") == confirmation.get("status")
    sent = charger.received(message["messageId"])
    assert sent == [2, message["messageId"], action, json.loads(body, parse_float=Decimal)]
    if action not in ("ChangeConfiguration", "GetDiagnostics", "UpdateFirmware", "GetLog", "SignedUpdateFirmware"):
        assert message["request"] == sent[3]


def test_all_commands_are_there() -> None:
    """There are 26 messages that a central system may send."""
    assert len(COMMANDS) == 26


def test_rejected_is_an_outcome(daemon: Daemon, charger: Party) -> None:
    """Rejected is an answer as any other: 200, with the outcome."""
    charger.answer("Reset", {"status": "Rejected"})
    answer = command(daemon, "Third", "Reset", RESET)
    assert (answer.status, answer.json["state"], answer.json["outcome"]) == (200, "completed", "Rejected")
    charger.answer("Reset", {"status": "Accepted"})


def test_call_error(daemon: Daemon, charger: Party) -> None:
    """A CALLERROR is a problem 502 with the code that the charge point gave."""
    charger.answer("Reset", "InternalError")
    told = is_problem(command(daemon, "Third", "Reset", RESET), 502, "call-error")
    assert (told["ocppErrorCode"], told["charger"]) == ("InternalError", "Third")
    message = daemon.http("GET", f"/api/v1/messages/{told['messageId']}").json
    assert message["error"] == {"code": "InternalError", "description": "as told", "details": {"why": "test"}}
    charger.answer("Reset", {"status": "Accepted"})


def test_silence(daemon: Daemon, silent: Party) -> None:
    """A charge point that does not answer within its CallTimeout is a problem 504; its connection stays."""
    silent.answer("Reset", None)
    told = is_problem(command(daemon, "Silent", "Reset", RESET), 504, "timeout")
    assert daemon.http("GET", f"/api/v1/messages/{told['messageId']}").json["state"] == "timeout"
    assert silent.call("Heartbeat")["currentTime"]


def test_offline(daemon: Daemon, away: Party) -> None:
    """A command that is of no use later is a problem 409 while the charge point is away."""
    told = is_problem(command(daemon, "Away", "Reset", RESET), 409, "not-connected")
    assert told["charger"] == "Away"


def test_offline_queue(daemon: Daemon, away: Party) -> None:
    """With ?offline=queue it is accepted with 202, and delivered when the charge point has registered."""
    answer = command(daemon, "Away", "Reset", RESET, "?offline=queue")
    assert (answer.status, answer.json["state"]) == (202, "queued")
    identity = answer.json["messageId"]
    assert answer.headers["location"] == f"/api/v1/messages/{identity}"
    away.boot()
    assert away.received(identity) == [2, identity, "Reset", RESET]

    def completed() -> Any:
        message = daemon.http("GET", answer.headers["location"]).json
        return message if message["state"] == "completed" else None

    assert eventually(completed, "the answer")["outcome"] == "Accepted"
    away.ask("disconnect")


def test_full_queue(daemon: Daemon, away: Party) -> None:
    """One command more than MaxQueueSize is a problem 429 that says when to come again."""
    for _ in range(QUEUE):
        assert command(daemon, "Away", "ClearCache", {}, "?offline=queue").status == 202
    refused = command(daemon, "Away", "ClearCache", {}, "?offline=queue")
    is_problem(refused, 429, "queue-full")
    assert int(refused.headers["retry-after"]) > 0


def test_broken_payload(daemon: Daemon, charger: Party) -> None:
    """A payload that breaks the definition is a problem 422 that points at each place; nothing is sent."""
    body = {"connectorId": -1, "type": "Operativ"}
    told = is_problem(command(daemon, "Third", "ChangeAvailability", body), 422, "invalid-payload")
    assert {each["pointer"] for each in told["errors"]} == {"/connectorId", "/type"}
    before = len(charger.program.lines)
    charger.call("Heartbeat")
    assert not any("Operativ" in line for line in charger.program.lines[before - 1 :])


def test_broken_json(daemon: Daemon, charger: Party) -> None:
    """A body that is no JSON is a problem 400."""
    is_problem(command(daemon, "Third", "Reset", b'{"type": '), 400, "not-json")


def test_unknown_names(daemon: Daemon, charger: Party) -> None:
    """A charger or an action that is not known is a problem 404."""
    is_problem(command(daemon, "Nobody", "Reset", RESET), 404, "unknown-charger")
    is_problem(command(daemon, "Third", "reset", RESET), 404, "unknown-action")


def test_wrong_password(daemon: Daemon, tmp_path: Path) -> None:
    """The same charge point with another password is refused with 401."""
    url = daemon.url.replace("ws://", "ws://Third:wrong@")
    with Program([sys.executable, str(SUPPORT / "third_party.py"), url, "Third"], tmp_path) as program:
        program.tell('{"do": "connect"}')
        assert "HTTP 401" in program.wait_for("failed")
