"""A day in the life of one charger, from its first boot to the upload of its log, with two deaths of the daemon in it."""

from __future__ import annotations

import http.client
import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.party import BOOT, Party
from support.programs import Daemon, eventually, request

PASSWORD = "0123456789abcdef"
FIRMWARE = bytes(range(256)) * 4096
LOG = b"all is well\n" * 5000
TAGS = [
    {"idTag": "CARD-1", "parentIdTag": "FLEET"},
    {"idTag": "CARD-2", "parentIdTag": "FLEET"},
    {"idTag": "LOST", "status": "Blocked"},
]
UNTIL = "2036-12-31T23:59:59Z"
ACCEPTED = {"status": "Accepted"}


def configuration(**members: Any) -> dict[str, Any]:
    """One charger; nothing is asked of it that the day does not ask."""
    return {"Chargers": [{"Name": "Day", "Authorization": PASSWORD, "ReadConfiguration": False, **members}]}


def now() -> str:
    """The time, as chargers write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Day:
    """The daemon, which may die and come back on its port, and the charger."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stack = ExitStack()
        self.daemon = self.stack.enter_context(Daemon(directory, configuration(Registration="Pending")))
        self.charger = self.stack.enter_context(Party(self.daemon, "Day", directory, PASSWORD))

    def die(self) -> None:
        """The daemon is killed, and started again; the charger comes back without a boot."""
        number = self.daemon.port
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.daemon = self.stack.enter_context(Daemon(self.directory, number=number))
        self.connect()

    def connect(self) -> None:
        """The charger connects."""
        assert self.charger.ask("connect") == "ocpp1.6"

    # Operators

    def get(self, path: str) -> Any:
        """What is there."""
        answer = self.daemon.http("GET", f"/api/v1{path}")
        assert answer.status == 200, (path, answer)
        return answer.json

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        """Do something, and wait for the charger's answer where it is a command."""
        answer = self.daemon.http("POST", f"/api/v1{path}", body)
        assert answer.status == status, (path, answer)
        return answer.json

    def sent(self, action: str) -> Any:
        """The payload of the newest CALL of this action that the charger got; with all that is secret in the records."""
        frames = (json.loads(json.loads(line)["received"]) for line in reversed(self.charger.program.lines) if "received" in line)
        return next(frame[3] for frame in frames if frame[0] == 2 and frame[2] == action)

    def until(self, path: str, **members: Any) -> Any:
        """What is there, once it has these members."""

        def look() -> Any:
            found = self.get(path)
            return found if members.items() <= found.items() else None

        return eventually(look, f"{members} at {path}")

    # The charger

    def status(self, status: str, connector_id: int = 1) -> None:
        """A StatusNotification."""
        assert self.charger.call("StatusNotification", connectorId=connector_id, errorCode="NoError", status=status) == {}

    def meter(self, transaction_id: int, value: int) -> None:
        """A meter value of the transaction."""
        sampled = [{"value": str(value), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
        told = [{"timestamp": now(), "sampledValue": sampled}]
        assert self.charger.call("MeterValues", connectorId=1, transactionId=transaction_id, meterValue=told) == {}


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The day; what is tested below happens in this order."""
    begun = Day(tmp_path_factory.mktemp("day"))
    with begun.stack:
        yield begun
        assert begun.daemon.stop() == 0
        assert not [line for line in begun.daemon.complaints() if "Traceback" in line]


def test_a_day(day: Day) -> None:
    """A day of a charger, all of it by HTTP, with the daemon killed while a tag is reserved for, and while a car charges."""
    onboarding(day)
    tags(day)
    reservation = reserve(day)
    day.die()
    assert day.get(f"/reservations/{reservation}")["state"] == "active"
    transaction = start(day, reservation)
    limit(day, transaction)
    day.die()
    stop(day, transaction)
    firmware(day)
    log(day)
    told(day)


def onboarding(day: Day) -> None:
    """B-4: Pending, set up, asked to boot, Accepted."""
    day.connect()
    assert day.charger.call("BootNotification", **BOOT)["status"] == "Pending"
    day.charger.answer("ChangeConfiguration", ACCEPTED)
    key = day.daemon.http("PUT", "/api/v1/chargers/Day/configuration/HeartbeatInterval?wait=10", {"value": "300"})
    assert key.status == 200, key
    assert day.sent("ChangeConfiguration") == {"key": "HeartbeatInterval", "value": "300"}
    day.charger.answer("TriggerMessage", ACCEPTED)
    (day.directory / "configs.json").write_text(json.dumps(configuration()))
    day.daemon.send_signal(signal.SIGHUP)
    eventually(lambda: any("TriggerMessage" in line for line in day.charger.program.lines), "the trigger of a boot")
    assert day.charger.call("BootNotification", **BOOT)["status"] == "Accepted"
    day.status("Available", 0)
    day.status("Available", 1)
    shown = day.get("/chargers/Day")
    assert (shown["registration"], shown["vendor"], shown["connected"]) == ("Accepted", "Third", True)


def tags(day: Day) -> None:
    """Tags of a fleet are imported; a blocked one is refused with its parent."""
    assert day.post("/id-tags/import", TAGS)["created"] == 3
    assert day.charger.call("Authorize", idTag="LOST")["idTagInfo"]["status"] == "Blocked"
    assert day.charger.call("Authorize", idTag="card-1")["idTagInfo"] == {"status": "Accepted", "parentIdTag": "FLEET"}


def reserve(day: Day) -> str:
    """The connector is reserved for a card and its group."""
    day.charger.answer("ReserveNow", ACCEPTED)
    body = {"charger": "Day", "connectorId": 1, "idTag": "CARD-1", "expiryDate": UNTIL}
    made = day.post("/reservations?wait=10", body)
    assert (made["state"], day.sent("ReserveNow")["parentIdTag"]) == ("active", "FLEET")
    day.status("Reserved")
    return str(made["id"])


def start(day: Day, reservation: str) -> int:
    """A remote start with a profile, which uses up the reservation, and is one with the transaction that follows."""
    day.charger.answer("RemoteStartTransaction", ACCEPTED)
    profile = {
        "chargingProfileId": 7,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]},
    }
    body = {"charger": "Day", "idTag": "CARD-2", "connectorId": 1, "chargingProfile": profile}
    asked = day.post("/transactions?wait=10", body)
    day.status("Preparing")
    number = day.get(f"/reservations/{reservation}")["reservationId"]
    started = day.charger.call(
        "StartTransaction", connectorId=1, idTag="CARD-2", meterStart=1000, timestamp=now(), reservationId=number
    )
    assert started["idTagInfo"]["status"] == "Accepted"
    transaction = int(started["transactionId"])
    day.status("Charging")
    shown = day.get(f"/transactions/{transaction}")
    assert (shown["state"], shown["remoteStartId"]) == ("open", asked["messageId"])
    used = day.get(f"/reservations/{reservation}")
    assert (used["state"], used["transactionId"]) == ("used", transaction)
    assert day.get(f"/messages/{asked['messageId']}")["followUp"]["state"] == "seen"
    day.meter(transaction, 1200)
    return transaction


def limit(day: Day, transaction: int) -> None:
    """The limit is changed while the car charges; both profiles are known, and what they add up to."""
    day.charger.answer("SetChargingProfile", ACCEPTED)
    profile = {
        "stackLevel": 1,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.1}]},
    }
    day.post("/chargers/Day/charging-profiles?wait=10", {"transactionId": transaction, "profile": profile})
    sent = day.sent("SetChargingProfile")["csChargingProfiles"]
    assert (sent["transactionId"], sent["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]) == (transaction, 6.1)
    installed = day.get("/chargers/Day/charging-profiles")["items"]
    assert sorted((each["profile"]["stackLevel"], each["mark"]) for each in installed) == [(0, "confirmed"), (1, "confirmed")]
    schedule = day.get("/chargers/Day/composite-schedule?connectorId=1&duration=3600")
    assert '"limit":6.1' in json.dumps(schedule, separators=(",", ":"))
    day.meter(transaction, 1300)


def stop(day: Day, transaction: int) -> None:
    """After the daemon's second death the car goes on charging, and is stopped by an operator; nothing is lost."""
    assert day.get(f"/transactions/{transaction}")["state"] == "open"
    assert len(day.get("/chargers/Day/charging-profiles")["items"]) == 2
    day.meter(transaction, 1400)
    day.charger.answer("RemoteStopTransaction", ACCEPTED)
    asked = day.post(f"/transactions/{transaction}/stop?wait=10", None)
    stopped = day.charger.call(
        "StopTransaction", transactionId=transaction, meterStop=1500, timestamp=now(), idTag="CARD-1", reason="Remote"
    )
    assert stopped["idTagInfo"] == {"status": "Accepted", "parentIdTag": "FLEET"}
    day.status("Available")
    shown = day.get(f"/transactions/{transaction}")
    assert (shown["state"], shown["energyWh"], shown.get("flags")) == ("stopped", 500, None)
    values = day.get(f"/transactions/{transaction}/meter-values")["items"]
    assert [value["value"] for value in values] == [1200, 1300, 1400]
    assert day.get(f"/messages/{asked['messageId']}")["followUp"]["state"] == "seen"
    assert day.get("/chargers/Day/charging-profiles")["items"] == []


def fetch(location: str, method: str, body: bytes | None = None) -> Any:
    """What a charger does with the URL that it was given."""
    parts = urlsplit(location)
    return request(int(parts.port or 80), method, parts.path, body)


def firmware(day: Day) -> None:
    """Firmware from our file room, with all its steps, a boot among them."""
    kept = upload(day)
    day.charger.answer("UpdateFirmware", {})
    job = day.post("/chargers/Day/firmware?wait=10", {"file": kept["id"]})
    location = day.sent("UpdateFirmware")["location"]
    assert fetch(location, "GET").body == FIRMWARE
    for status in ("Downloading", "Downloaded", "Installing"):
        assert day.charger.call("FirmwareStatusNotification", status=status) == {}
    assert day.charger.call("BootNotification", **{**BOOT, "firmwareVersion": "2.0"})["status"] == "Accepted"
    assert day.charger.call("FirmwareStatusNotification", status="Installed") == {}
    shown = day.until(f"/chargers/Day/firmware/{job['id']}", state="done")
    steps = ["Downloading", "Downloaded", "Installing", "Installed"]
    assert [entry["status"] for entry in shown["timeline"] if entry.get("status") in steps] == steps
    assert location not in json.dumps(shown)


def upload(day: Day) -> Any:
    """Put the firmware into the file room."""
    connection = http.client.HTTPConnection("127.0.0.1", day.daemon.port, timeout=20)
    connection.request("POST", "/api/v1/files?name=fw-2.bin", FIRMWARE, {"Content-Type": "application/octet-stream"})
    answer = connection.getresponse()
    assert answer.status == 201
    kept = json.loads(answer.read())
    connection.close()
    return kept


def log(day: Day) -> None:
    """The charger sends its log to where we say, and it can be read."""
    day.charger.answer("GetDiagnostics", {"fileName": "day.log"})
    job = day.post("/chargers/Day/logs?wait=10", {"kind": "diagnostics"})
    location = day.sent("GetDiagnostics")["location"]
    assert day.charger.call("DiagnosticsStatusNotification", status="Uploading") == {}
    assert fetch(f"{location}/day.log", "PUT", LOG).status in (200, 201)
    assert day.charger.call("DiagnosticsStatusNotification", status="Uploaded") == {}
    day.until(f"/chargers/Day/logs/{job['id']}", state="done")
    assert day.daemon.http("GET", f"/api/v1/chargers/Day/logs/{job['id']}/content").body == LOG


def told(day: Day) -> None:
    """Everything of the day is among the events, once, and the charger is not said to have broken anything."""
    events = []
    after = ""
    while after is not None:
        page = day.get(f"/events?charger=Day&limit=500{after}")
        events += page["items"]
        after = None if page["next"] is None else f"&after={page['next']}"
    kinds = {event["type"] for event in events}
    assert {"chargerConnected", "messageReceived", "reservationChanged", "firmwareChanged", "jobEnded", "fileReceived"} <= kinds
    ids = [event["id"] for event in events]
    assert len(ids) == len(set(ids))
    starts = [event for event in events if event.get("message", {}).get("action") == "StartTransaction"]
    assert len(starts) == 1
    assert PASSWORD not in json.dumps(events)
