"""Frames that are read kindly when they come are read as kindly in the commit that they have effects in. F-12, E-4, V-11."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from ocppd.storage.records.messages import element_of
from ocppd.storage.sql_storage import SqlStorage
from support.dialogue import ChargePoint
from support.postgresql import SECRET_KEY
from support.rest import Served

ensure = pytest_twisted.ensureDeferred

LOG = {"logType": "SecurityLog", "requestId": 4, "log": {"remoteLocation": "ftp://files/"}}
ANSWERS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("GetLocalListVersion", {}, r'{"listVersion":"5"}'),
    ("GetLocalListVersion", {}, r'{"listVersion":5.0,"more":1}'),
    ("GetDiagnostics", {"location": "ftp://files/"}, r'{"fileName":"a\u0000b"}'),
    ("GetLog", LOG, r'{"status":"Accepted","filename":"a\ud800\u0000b"}'),
    ("GetConfiguration", {}, r'{"configurationKey":[{"key":"K","readonly":false,"value":"\ud800"}]}'),
)
EVENTS = (
    r'[2,"1","SecurityEventNotification",{"type":"Odd","timestamp":"2026-01-01T00:00:00Z","techInfo":"\ud800\u0000"}]',
    r'[2,"\ud800","SecurityEventNotification",{"type":"Odd","timestamp":"2026-01-01T00:00:00Z"}]',
    r'[2,1e400,"SecurityEventNotification",{"type":"Odd","timestamp":"2026-01-01T00:00:00Z"}]',
)


@ensure
async def test_odd_frames(url: str) -> None:
    """G-6, F-12, V-11: each call ends in the records, and each security event is answered and kept."""
    served = Served("CP1", queue=10, storage=SqlStorage(url, reactor, secret_key=SECRET_KEY))
    charger = await ChargePoint(served).connect()
    for action, body, payload in ANSWERS:
        assert (await served.command(action, body)).status == 202
        call = await charger.asked()
        charger.link.tell(f'[3,"{call[1]}",{payload}]')
        assert (await charger.message(call[1]))["state"] == "completed", (action, payload)
    shown = (await served.get("/api/v1/chargers/CP1/local-list")).json
    assert shown["chargerVersion"] == 5
    for frame in EVENTS:
        assert (await charger.link.ask(frame))[2] == {}, frame
    kept = (await served.get("/api/v1/security-events?charger=CP1")).json["items"]
    assert [each["type"] for each in kept] == ["Odd"] * len(EVENTS), json.dumps(kept)
    await served.stop()


@ensure
async def test_a_status_with_something_odd_beside_it(url: str) -> None:
    """F-12, FD-05: a job moves by a status whose frame a strict parser does not take."""
    served = Served("CP1", queue=10, storage=SqlStorage(url, reactor, secret_key=SECRET_KEY))
    charger = await ChargePoint(served).connect()
    await charger.command("GetDiagnostics", {"location": "ftp://files/"}, {"fileName": "a"})
    told = r'[2,"1","DiagnosticsStatusNotification",{"status":"Uploaded","vendor":"\ud800"}]'
    assert (await charger.link.ask(told))[2] == {}
    [ended] = await charger.events("jobEnded")
    assert ended["state"] == "done"
    await served.stop()


@pytest.mark.parametrize("frame", ["no frame", "[2]", '"hidden"', "[3,4"])
def test_what_is_no_frame(frame: str) -> None:
    """E-4: of what is not to be read there is nothing, and nothing fails."""
    assert element_of(frame, 2) == b"{}"
