"""The three seed paths, byte for byte. docs/http-api.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from support.rest import Served, silent

ACTIONS = (
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "MeterValues",
    "StatusNotification",
)
NO_MESSAGE = b'{"status":"fail","reference":"","description":"Message is not exist"}\n'


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """CP1 and CP 2; two calls may wait for each."""
    served = Served("CP1", "CP 2")
    yield served
    await served.stop()


async def trigger(served: Served, action: str = "Heartbeat", body: Any = None, name: str = "CP1") -> str:
    """Trigger and give the message's id; checks the answer to the byte."""
    answer = await served.post(f"/command/{name}/triggeraction/{action}", body)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    message_id: str = answer.json["reference"]
    assert answer.body == (
        b'{"status":"success","reference":"%b","description":"","uniqueid":"%b"}' % (message_id.encode(), message_id.encode())
    )
    return message_id


@pytest_twisted.ensureDeferred
async def test_status_of_an_offline_charger(served: Served) -> None:
    """A configured charger that is offline is told with its configured interval and nothing else."""
    answer = await served.get("/charger/CP1/status")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == b'{"AuthToken":"","HeartBeatInterval":10,"AuthConnection":false,"Connected":false,"RemoteIP":""}'


@pytest_twisted.ensureDeferred
async def test_status_of_a_connected_charger(served: Served) -> None:
    """A connected charger is told with its address; a name with a blank is percent-encoded in the path."""
    await served.connect("CP 2")
    answer = await served.get("/charger/CP%202/status")
    assert (
        answer.body == b'{"AuthToken":"","HeartBeatInterval":10,"AuthConnection":false,"Connected":true,"RemoteIP":"192.0.2.7"}'
    )


@pytest_twisted.ensureDeferred
async def test_status_of_an_authenticated_charger() -> None:
    """AuthConnection says that the connection was let in by a password, and the password is told nowhere."""
    served = Served("CP1", authorization=b"very secret")
    try:
        await served.connect("CP1")
        answer = await served.get("/charger/CP1/status")
        assert answer.body == (
            b'{"AuthToken":"","HeartBeatInterval":10,"AuthConnection":true,"Connected":true,"RemoteIP":"192.0.2.7"}'
        )
    finally:
        await served.stop()


@pytest_twisted.ensureDeferred
async def test_status_of_an_unknown_charger(served: Served) -> None:
    """A charger that is not configured is 404 in plain text."""
    answer = await served.get("/charger/nobody/status")
    assert (answer.status, answer.media_type, answer.body) == (404, "text/plain", b"Not Found\n")


@pytest_twisted.ensureDeferred
async def test_trigger_is_sent_and_answered(served: Served) -> None:
    """A trigger goes to a connected charger at once; its answer makes Status 4, and Sent and Received are the frames."""
    link = await served.connect("CP1", silent)
    message_id = await trigger(served)
    sent = f'[2,"{message_id}","TriggerMessage",{{"requestedMessage":"Heartbeat"}}]'
    answer = await served.get(f"/message/{message_id}/status")
    assert answer.headers["content-type"] == "application/json"
    assert answer.body.decode() == f'{{"Action":"Heartbeat","Received":"","Status":2,"Sent":{json.dumps(sent)}}}'
    received = f'[3,"{message_id}",{{"status":"Accepted"}}]'
    link.tell(received)
    await served.storage.check()  # behind the end of the call
    answer = await served.get(f"/message/{message_id}/status")
    assert answer.body.decode() == (
        f'{{"Action":"Heartbeat","Received":{json.dumps(received)},"Status":4,"Sent":{json.dumps(sent)}}}'
    )


@pytest_twisted.ensureDeferred
async def test_trigger_for_an_offline_charger_waits(served: Served) -> None:
    """A trigger for an offline charger is queued (Status 1) and delivered when the charger has booted."""
    message_id = await trigger(served, "StatusNotification", {"connectorId": 2})
    assert (await served.get(f"/message/{message_id}/status")).json["Status"] == 1
    link = await served.connect("CP1", silent, boot=True)
    if not link.calls:
        await link.next_frame()
    assert link.calls == [[2, message_id, "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 2}]]
    assert (await served.get(f"/message/{message_id}/status")).json["Status"] == 2


@pytest.mark.parametrize("action", ACTIONS)
@pytest_twisted.ensureDeferred
async def test_every_action_can_be_triggered(served: Served, action: str) -> None:
    """Each of the six actions is accepted, and is the Action of its message."""
    message_id = await trigger(served, action)
    status = (await served.get(f"/message/{message_id}/status")).json
    assert list(status) == ["Action", "Received", "Status", "Sent"]
    assert (status["Action"], status["Status"]) == (action, 1)


@pytest_twisted.ensureDeferred
async def test_trigger_that_the_registration_forbids(served: Served) -> None:
    """An accepted charger is never asked to boot: the message is accepted and has failed already (Status 5)."""
    link = await served.connect("CP1")
    message_id = await trigger(served, "BootNotification")
    assert (await served.get(f"/message/{message_id}/status")).json["Status"] == 5
    assert link.calls == []


@pytest_twisted.ensureDeferred
async def test_action_of_another_message(served: Served) -> None:
    """The Action of a message that is no trigger is its own, and a secret in it is hidden."""
    accepted = await served.command("ChangeConfiguration", {"key": "AuthorizationKey", "value": "0011223344556677"})
    status = (await served.get(f"/message/{accepted.json['messageId']}/status")).json
    assert status["Action"] == "ChangeConfiguration"
    assert "0011223344556677" not in status["Sent"]


@pytest_twisted.ensureDeferred
async def test_unknown_message(served: Served) -> None:
    """A message that nobody knows is 200, plain text, with the seed's own words."""
    answer = await served.get("/message/4711/status")
    assert (answer.status, answer.media_type, answer.body) == (200, "text/plain", NO_MESSAGE)


BAD_TRIGGERS = {
    "unknown charger": ("/command/nobody/triggeraction/Heartbeat", None),
    "unknown action": ("/command/CP1/triggeraction/Authorize", None),
    "other case": ("/command/CP1/triggeraction/heartbeat", None),
    "not JSON": ("/command/CP1/triggeraction/Heartbeat", b"{"),
    "no object": ("/command/CP1/triggeraction/Heartbeat", b"[]"),
    "unknown member": ("/command/CP1/triggeraction/Heartbeat", {"connector": 1}),
    "wrong connector": ("/command/CP1/triggeraction/Heartbeat", {"connectorId": -1}),
}


@pytest.mark.parametrize("case", BAD_TRIGGERS)
@pytest_twisted.ensureDeferred
async def test_bad_trigger(served: Served, case: str) -> None:
    """What cannot be a trigger is 400 in plain text, and nothing is queued."""
    path, body = BAD_TRIGGERS[case]
    answer = await served.post(path, body)
    assert (answer.status, answer.media_type, answer.body) == (400, "text/plain", b"Bad Request\n")
    assert (await served.get("/api/v1/messages")).json["items"] == []


@pytest_twisted.ensureDeferred
async def test_full_queue(served: Served) -> None:
    """A trigger beyond MaxQueueSize is 500 in plain text."""
    for _ in range(2):
        await trigger(served)
    answer = await served.post("/command/CP1/triggeraction/Heartbeat")
    assert (answer.status, answer.media_type, answer.body) == (500, "text/plain", b"Internal Server Error\n")


SEED_REQUESTS = (
    ("GET", "/charger/CP1/status"),
    ("GET", "/message/4711/status"),
    ("POST", "/command/CP1/triggeraction/Heartbeat"),
)


@pytest.mark.parametrize(("method", "path"), SEED_REQUESTS)
@pytest_twisted.ensureDeferred
async def test_storage_is_down(served: Served, method: str, path: str) -> None:
    """While the records cannot be reached the seed paths answer 500 in plain text."""
    await served.storage.stop()
    answer = await served.request(method, path)
    assert (answer.status, answer.media_type, answer.body) == (500, "text/plain", b"Internal Server Error\n")
