"""The three paths of the seed, called with curl as its README shows them, byte for byte. docs/api.md, "Seed paths"."""

from __future__ import annotations

import json
import shlex
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from support.programs import Daemon, eventually, needed, simulator

NAME, AWAY, GUARDED = "CP0001_V1", "CP0002_V1", "CP0003_V1"
#: The commands that operators of the seed know.
CHARGER_STATUS = "curl --request GET 'http://localhost:9033/charger/{chargerName}/status'"
MESSAGE_STATUS = "curl --request GET 'http://localhost:9033/message/{messageUniqueID}/status'"
TRIGGER = "curl --request POST 'http://localhost:9033/command/{chargerName}/triggeraction/{action}'"
#: A charger that is registered already must not be asked for its boot (errata 3.40): accepted, and failed at once.
TRIGGERED = (
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StatusNotification",
)
NO_MESSAGE = b'{"status":"fail","reference":"","description":"Message is not exist"}\n'


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon as the README starts it, with two simulated chargers that are registered, and one that is away."""
    chargers = [{"Name": name, "HeartBeatInterval": 10} for name in (NAME, AWAY)]
    guarded = {"Name": GUARDED, "HeartBeatInterval": 10, "Authorization": "secret"}
    directory = tmp_path_factory.mktemp("seed")
    idle = ("--transactions", "0", "--name")
    with (
        Daemon(directory, {"MaxQueueSize": 2, "Chargers": [*chargers, guarded]}, port="{}") as running,
        simulator(directory, running.url, *idle, NAME) as charger,
        simulator(directory, running.url, *idle, GUARDED, "--password", "secret") as other,
    ):
        charger.wait_for("booted: Accepted")
        other.wait_for("booted: Accepted")
        yield running
        assert running.stop() == 0
        assert running.complaints() == []


def curl(daemon: Daemon, command: str, **names: str) -> tuple[int, str, bytes]:
    """Run a printed command with its placeholders filled in: status, media type and body."""
    for name, value in names.items():
        command = command.replace(f"{{{name}}}", value)
    words = shlex.split(command.replace("localhost:9033", f"localhost:{daemon.port}"))
    assert words[0] == "curl"
    quietly = ["--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code} %{content_type}"]
    told = [needed("curl"), *words[1:], *quietly]
    ended = subprocess.run(told, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    body, _, last = ended.stdout.rpartition(b"\n")
    status, _, kind = last.decode().partition(" ")
    return int(status), kind.partition(";")[0], body


def trigger(daemon: Daemon, charger: str, action: str) -> str:
    """Trigger an action; the id that the answer has in both its members."""
    status, kind, body = curl(daemon, TRIGGER, chargerName=charger, action=action)
    assert (status, kind) == (200, "application/json")
    identity: str = json.loads(body)["uniqueid"]
    assert str(uuid.UUID(identity)) == identity
    shape = '{"status":"success","reference":"%s","description":"","uniqueid":"%s"}'
    assert body == (shape % (identity, identity)).encode()
    return identity


def message(identity: str, action: str, status: int, received: str = "") -> bytes:
    """What is told of a triggered message."""
    sent = f'[2,"{identity}","TriggerMessage",{{"requestedMessage":"{action}"}}]'
    return f'{{"Action":"{action}","Received":{json.dumps(received)},"Status":{status},"Sent":{json.dumps(sent)}}}'.encode()


def told(daemon: Daemon, identity: str) -> bytes:
    """What is told of a message now."""
    status, kind, body = curl(daemon, MESSAGE_STATUS, messageUniqueID=identity)
    assert (status, kind) == (200, "application/json")
    return body


def test_status_of_a_connected_charger(daemon: Daemon) -> None:
    """The status of a charger that is connected."""
    expected = b'{"AuthToken":"","HeartBeatInterval":10,"AuthConnection":false,"Connected":true,"RemoteIP":"127.0.0.1"}'
    assert curl(daemon, CHARGER_STATUS, chargerName=NAME) == (200, "application/json", expected)


def test_status_of_a_charger_that_is_away(daemon: Daemon) -> None:
    """The status of a charger that has never been connected."""
    expected = b'{"AuthToken":"","HeartBeatInterval":10,"AuthConnection":false,"Connected":false,"RemoteIP":""}'
    assert curl(daemon, CHARGER_STATUS, chargerName=AWAY) == (200, "application/json", expected)


def test_status_of_a_charger_with_a_password(daemon: Daemon) -> None:
    """A charger that has given its password: it is told that it has, and the password is told to nobody."""
    expected = b'{"AuthToken":"","HeartBeatInterval":10,"AuthConnection":true,"Connected":true,"RemoteIP":"127.0.0.1"}'
    assert curl(daemon, CHARGER_STATUS, chargerName=GUARDED) == (200, "application/json", expected)


def test_status_of_an_unknown_charger(daemon: Daemon) -> None:
    """A charger that is not configured is 404, as text."""
    assert curl(daemon, CHARGER_STATUS, chargerName="Nobody") == (404, "text/plain", b"Not Found\n")


@pytest.mark.parametrize("action", TRIGGERED)
def test_trigger(daemon: Daemon, action: str) -> None:
    """A triggered message is sent and answered: status 4, with both frames as they were on the wire."""
    identity = trigger(daemon, NAME, action)

    def completed() -> bytes | None:
        body = told(daemon, identity)
        return body if b'"Status":4' in body else None

    answer = f'[3,"{identity}",{{"status":"Accepted"}}]'
    assert eventually(completed, f"the answer to {action}") == message(identity, action, 4, answer)


def test_trigger_of_a_boot(daemon: Daemon) -> None:
    """A boot of a registered charger is accepted as the seed does, is not sent, and ends with status 5 (errata 3.40)."""
    identity = trigger(daemon, NAME, "BootNotification")
    assert told(daemon, identity) == message(identity, "BootNotification", 5)


def test_trigger_for_a_charger_that_is_away(daemon: Daemon) -> None:
    """A charger that is away gets it later: status 1 until then; one more than the queue takes is 500, as text."""
    for action in ("BootNotification", "Heartbeat"):
        identity = trigger(daemon, AWAY, action)
        assert told(daemon, identity) == message(identity, action, 1)
    full = curl(daemon, TRIGGER, chargerName=AWAY, action="Heartbeat")
    assert full == (500, "text/plain", b"Internal Server Error\n")


@pytest.mark.parametrize(("charger", "action"), [("Nobody", "Heartbeat"), (NAME, "heartbeat"), (NAME, "Reset")])
def test_trigger_of_what_is_not_known(daemon: Daemon, charger: str, action: str) -> None:
    """An unknown charger, and an action that cannot be triggered or is not spelt so, is 400, as text."""
    assert curl(daemon, TRIGGER, chargerName=charger, action=action) == (400, "text/plain", b"Bad Request\n")


def test_unknown_message(daemon: Daemon) -> None:
    """A message that there is not is told with 200, as text."""
    assert curl(daemon, MESSAGE_STATUS, messageUniqueID=str(uuid.uuid4())) == (200, "text/plain", NO_MESSAGE)
