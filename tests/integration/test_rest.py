"""`/api/v1` over a real port: commands and every status code of the table. docs/http-api.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from conftest import LoggedErrors
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from ocppd.errors import StorageUnavailable
from ocppd.net.rest.body import MAX_BODY_BYTES, MAX_DISCARDED_BYTES
from ocppd.net.rest.problems import RETRY_AFTER_S
from ocppd.net.rest.v1.commands import COMMANDS
from ocppd.storage.sql_storage import SqlStorage
from support.peer import raw, within
from support.rest import Answered, Served, accepting, silent

WAIT = "?wait=10"


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """CP1 and CP 2; two calls may wait for each."""
    served = Served("CP1", "CP 2")
    yield served
    await served.stop()


def rejecting(call: list[Any]) -> str | None:
    return json.dumps([3, call[1], {"status": "Rejected"}])


def failing(call: list[Any]) -> str | None:
    return json.dumps([4, call[1], "NotSupported", "no such thing", {"of": "mine"}])


def babbling(call: list[Any]) -> str | None:
    return json.dumps([3, call[1], {"status": 7}])


# Accepted and answered


@pytest_twisted.ensureDeferred
async def test_command_is_accepted(served: Served) -> None:
    """A command is 202 with its message and where that is found."""
    link = await served.connect("CP1", silent)
    answer = await served.command("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1})
    message = answer.json
    assert answer.status == 202
    assert answer.headers["location"] == f"/api/v1/messages/{message['messageId']}"
    assert link.calls == [[2, message["messageId"], "RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1}]]
    assert {name: message[name] for name in ("charger", "direction", "action", "state", "durable", "request")} == {
        "charger": "CP1",
        "direction": "toCharger",
        "action": "RemoteStartTransaction",
        "state": "sent",
        "durable": True,
        "request": {"idTag": "TAG", "connectorId": 1},
    }
    found = await served.get(answer.headers["location"])
    assert found.json == message


@pytest_twisted.ensureDeferred
async def test_command_is_waited_for(served: Served) -> None:
    """With ?wait= the charger's answer is part of the answer."""
    await served.connect("CP1", accepting)
    answer = await served.command("Reset", {"type": "Soft"}, WAIT)
    assert (answer.status, answer.json["state"], answer.json["outcome"]) == (200, "completed", "Accepted")
    assert answer.json["response"] == {"status": "Accepted"}
    assert answer.json["answeredAt"] >= answer.json["sentAt"] >= answer.json["createdAt"]


@pytest_twisted.ensureDeferred
async def test_rejected_is_no_error(served: Served) -> None:
    """The charger's Rejected is 200 with that outcome."""
    await served.connect("CP1", rejecting)
    answer = await served.command("Reset", {"type": "Soft"}, WAIT)
    assert (answer.status, answer.json["outcome"]) == (200, "Rejected")


@pytest_twisted.ensureDeferred
async def test_wait_that_ends_first(served: Served) -> None:
    """A charger that takes longer than ?wait= is 202."""
    await served.connect("CP1", silent)
    answer = await served.command("Reset", {"type": "Soft"}, "?wait=0.01")
    assert (answer.status, answer.json["state"]) == (202, "sent")


@pytest_twisted.ensureDeferred
async def test_client_that_goes_away(served: Served) -> None:
    """A client that leaves ends the waiting alone: the call goes on and is completed."""
    link = await served.connect("CP1", silent)
    body = b'{"type":"Soft"}'
    client = await raw(served.port)
    client.write(
        b"POST /api/v1/chargers/CP1/commands/Reset?wait=100 HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    call = await link.next_frame()
    client.close()
    await within(client.lost)
    link.tell(json.dumps([3, call[1], {"status": "Accepted"}]))
    await served.storage.check()
    assert (await served.get(f"/api/v1/messages/{call[1]}")).json["state"] == "completed"
    # The wait's timer of 100 s is gone: the test run fails on timers that are left behind.


@pytest_twisted.ensureDeferred
async def test_offline_charger_queues_what_stays_right(served: Served) -> None:
    """A command that is still right later waits for an offline charger; it has an expiry and can be cancelled."""
    answer = await served.command("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, "?ttl=600")
    assert (answer.status, answer.json["state"]) == (202, "queued")
    assert answer.json["expiresAt"] > answer.json["createdAt"]
    path = answer.headers["location"]
    cancelled = await served.request("DELETE", path)
    assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
    assert (await served.request("DELETE", path)).json == cancelled.json
    link = await served.connect("CP1")
    assert link.calls == []


@pytest_twisted.ensureDeferred
async def test_what_is_sent_cannot_be_cancelled(served: Served) -> None:
    """Cancelling a command that is sent already is 409 and says what it is."""
    await served.connect("CP1", silent)
    answer = await served.request("DELETE", (await served.command("ClearCache")).headers["location"])
    assert (answer.status, answer.slug) == (409, "not-cancellable")
    assert "is sent" in answer.json["detail"]


@pytest_twisted.ensureDeferred
async def test_offline_is_for_the_caller_to_say(served: Served) -> None:
    """?offline=queue lets a command wait that by default would not, ?offline=fail the other way round."""
    assert (await served.command("Reset", {"type": "Soft"}, "?offline=queue")).status == 202
    answer = await served.command("ClearCache", {}, "?offline=fail")
    assert (answer.status, answer.slug) == (409, "not-connected")


GOOD_PAYLOADS: dict[str, Any] = {
    "ChangeAvailability": {"connectorId": 1, "type": "Operative"},
    "ChangeConfiguration": {"key": "k", "value": "v"},
    "ClearCache": None,
    "DataTransfer": {"vendorId": "v"},
    "GetConfiguration": {"key": ["HeartbeatInterval"]},
    "RemoteStartTransaction": {"idTag": "T"},
    "RemoteStopTransaction": {"transactionId": 1},
    "Reset": {"type": "Hard"},
    "UnlockConnector": {"connectorId": 1},
    "GetDiagnostics": {"location": "ftp://example.org/x"},
    "UpdateFirmware": {"location": "ftp://example.org/x", "retrieveDate": "2026-01-02T03:04:05Z"},
    "GetLocalListVersion": {},
    "SendLocalList": {"listVersion": 1, "updateType": "Differential"},
    "ReserveNow": {"connectorId": 1, "expiryDate": "2026-01-02T03:04:05Z", "idTag": "T", "reservationId": 1},
    "CancelReservation": {"reservationId": 1},
    "SetChargingProfile": {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.5}]},
        },
    },
    "ClearChargingProfile": {},
    "GetCompositeSchedule": {"connectorId": 1, "duration": 60},
    "TriggerMessage": {"requestedMessage": "Heartbeat"},
    "CertificateSigned": {"certificateChain": "c"},
    "DeleteCertificate": {
        "certificateHashData": {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": "aa",
            "issuerKeyHash": "bb",
            "serialNumber": "01",
        }
    },
    "ExtendedTriggerMessage": {"requestedMessage": "Heartbeat"},
    "GetInstalledCertificateIds": {"certificateType": "CentralSystemRootCertificate"},
    "GetLog": {"log": {"remoteLocation": "ftp://example.org/x"}, "logType": "SecurityLog", "requestId": 1},
    "InstallCertificate": {"certificateType": "CentralSystemRootCertificate", "certificate": "c"},
    "SignedUpdateFirmware": {
        "requestId": 1,
        "firmware": {
            "location": "ftp://example.org/x",
            "retrieveDateTime": "2026-01-02T03:04:05Z",
            "signingCertificate": "c",
            "signature": "s",
        },
    },
}


@pytest.mark.parametrize("action", sorted(COMMANDS))
@pytest_twisted.ensureDeferred
async def test_every_command(served: Served, action: str) -> None:
    """Each of the 26 messages of a central system goes to the charger as it was given."""
    link = await served.connect("CP1", silent)
    answer = await served.command(action, GOOD_PAYLOADS[action])
    assert answer.status == 202, answer
    assert link.calls == [[2, answer.json["messageId"], action, GOOD_PAYLOADS[action] or {}]]
    assert answer.json["request"] == (GOOD_PAYLOADS[action] or {})


def test_all_commands_are_there() -> None:
    """There are 26 commands, and nothing that only a charger sends is one."""
    assert set(COMMANDS) == set(GOOD_PAYLOADS)
    assert len(COMMANDS) == 26


@pytest_twisted.ensureDeferred
async def test_secrets_stay_inside(served: Served) -> None:
    """What is secret goes to the charger and comes back in no answer."""
    link = await served.connect("CP1", silent)
    answer = await served.command("ChangeConfiguration", {"key": "AuthorizationKey", "value": "00112233445566778899"})
    assert link.calls[0][3]["value"] == "00112233445566778899"
    listed = await served.get("/api/v1/messages")
    assert b"00112233445566778899" not in answer.body + listed.body
    assert answer.json["request"]["value"] == listed.json["items"][0]["request"]["value"] == "***"


# 400, 415, 413, 422


BAD_QUERIES = (
    "?wait=121",
    "?wait=-1",
    "?wait=nan",
    "?wait=1e1",
    "?ttl=0",
    "?ttl=2592001",
    "?offline=maybe",
    "?wit=1",
    "?wait=1&wait=1",
)


@pytest.mark.parametrize("query", BAD_QUERIES)
@pytest_twisted.ensureDeferred
async def test_bad_parameter(served: Served, query: str) -> None:
    """A parameter that is wrong or unknown is 400 and named; nothing is queued."""
    answer = await served.command("ClearCache", None, query)
    assert (answer.status, answer.slug) == (400, "bad-parameters")
    assert answer.json["errors"][0]["parameter"] == query[1:].partition("=")[0]
    assert (await served.get("/api/v1/messages")).json["items"] == []


@pytest.mark.parametrize("body", [b"{", b'{"type":NaN}', b"\xff", b"[" * 100_000], ids=["cut", "NaN", "UTF-8", "deep"])
@pytest_twisted.ensureDeferred
async def test_not_json(served: Served, body: bytes) -> None:
    """A body that is not JSON is 400."""
    assert (await served.command("Reset", body)).slug == "not-json"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"Soft"', b"1"])
@pytest_twisted.ensureDeferred
async def test_no_object(served: Served, body: bytes) -> None:
    """JSON that is no object is 422, as any other payload that breaks the definition."""
    answer = await served.command("Reset", body)
    assert (answer.status, answer.slug, answer.json["errors"][0]["pointer"]) == (422, "invalid-payload", "")


@pytest_twisted.ensureDeferred
async def test_payload_with_violations(served: Served) -> None:
    """A payload that breaks the definition is 422 with every violation, before anything is queued or sent."""
    link = await served.connect("CP1")
    answer = await served.command("ReserveNow", {"connectorId": "1", "idTag": "T" * 21, "reservationId": 1, "extra": 1})
    assert (answer.status, answer.slug) == (422, "invalid-payload")
    assert {error["pointer"] for error in answer.json["errors"]} == {"/connectorId", "/idTag", "/expiryDate", "/extra"}
    assert link.calls == []
    assert (await served.get("/api/v1/messages?direction=toCharger")).json["items"] == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
@pytest_twisted.ensureDeferred
async def test_other_media_type(served: Served, kind: str) -> None:
    """A body of another media type is 415, on the seed paths as well: a page of another site could send it."""
    body = b'{"type":"Soft"}'
    headers = {"Content-Type": kind} if kind else {}
    for path in ("/api/v1/chargers/CP1/commands/Reset", "/command/CP1/triggeraction/Heartbeat"):
        assert (await served.request("POST", path, body, headers)).slug == "not-json-type"


@pytest_twisted.ensureDeferred
async def test_media_type_with_parameters(served: Served) -> None:
    """application/json is recognised in any case and with parameters."""
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    answer = await served.request("POST", "/api/v1/chargers/CP1/commands/ClearCache", b"{}", kind)
    assert answer.status == 202


@pytest.mark.parametrize("chunked", [False, True])
@pytest_twisted.ensureDeferred
async def test_large_body(served: Served, chunked: bool) -> None:
    """A body over the limit is 413, with its length announced or not, and the connection ends."""
    body = b" " * (MAX_BODY_BYTES + 1)
    path = "/api/v1/chargers/CP1/commands/ClearCache"
    kind = {"Content-Type": "application/json", "Connection": "keep-alive"}
    if chunked:
        data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        answer = await served.request("POST", path, data, {**kind, "Transfer-Encoding": "chunked"})
    else:
        answer = await served.request("POST", path, body, kind)
    assert answer.slug == "body-too-large"


@pytest_twisted.ensureDeferred
async def test_body_at_the_limit(served: Served) -> None:
    """A body of the very limit is read."""
    body = b'{"vendorId":"v","data":"%b"}'
    answer = await served.command("DataTransfer", body % (b"x" * (MAX_BODY_BYTES - len(body) + 2)), "?offline=queue")
    assert answer.status == 202


@pytest_twisted.ensureDeferred
async def test_endless_body(served: Served) -> None:
    """A sender who goes on and on is hung up on."""
    client = await raw(served.port)
    client.write(
        b"POST /api/v1/chargers/CP1/commands/ClearCache HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n"
        + b" " * (MAX_DISCARDED_BYTES + 1)
    )
    assert await within(client.lost) == b""


# 404, 405, 501


UNKNOWN_PATHS = {
    "/": "no-such-path",
    "/api": "no-such-path",
    "/api/v1": "no-such-path",
    "/api/v1/charger": "no-such-path",
    "/api/v1/chargers/": "no-such-path",
    "//api/v1/chargers": "no-such-path",
    "/api//v1/chargers": "no-such-path",
    "/api/v1/chargers/CP1%2Fconnection": "no-such-path",
    "/charger/CP1/nothing": "no-such-path",
    "/api/v1/chargers/nobody": "unknown-charger",
    "/api/v1/chargers/nobody/connection": "unknown-charger",
    "/api/v1/chargers/nobody/connectors": "unknown-charger",
    "/api/v1/chargers/nobody/connectors/1": "unknown-charger",
    "/api/v1/chargers/nobody/connectors/1/history": "unknown-charger",
    "/api/v1/chargers/CP1/connection": "no-connection",
    "/api/v1/chargers/CP1/connectors/1": "unknown-connector",
    "/api/v1/chargers/CP1/connectors/one": "unknown-connector",
    "/api/v1/chargers/CP1/connectors/1/history": "unknown-connector",
    "/api/v1/messages/4711": "unknown-message",
    "/api/v1/messages?durable=false&charger=nobody": "unknown-charger",
    "/api/v1/transactions/4711": "unknown-transaction",
    "/api/v1/transactions/99999999999999999999": "unknown-transaction",
    "/api/v1/transactions/x": "unknown-transaction",
    "/api/v1/transactions/4711/meter-values": "unknown-transaction",
}


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
@pytest_twisted.ensureDeferred
async def test_what_is_not_there(served: Served, path: str) -> None:
    """What is not there is 404, and the problem says what."""
    answer = await served.get(path)
    assert (answer.status, answer.slug) == (404, UNKNOWN_PATHS[path])


@pytest.mark.parametrize("path", ["/api/v1/chargers/%zz", "/api/v1/chargers/%ff", "/api/v1/chargers/%"])
@pytest_twisted.ensureDeferred
async def test_path_that_cannot_be_decoded(served: Served, path: str) -> None:
    """A path that is no percent-encoded UTF-8 is 400."""
    assert (await served.get(path)).slug == "bad-request"


@pytest_twisted.ensureDeferred
async def test_unknown_charger_and_action(served: Served) -> None:
    """A command to a charger that is not configured, or that is no command, is 404; the latter tells what was meant."""
    assert (await served.command("ClearCache", name="nobody")).slug == "unknown-charger"
    answer = await served.command("clearcache")
    assert (answer.status, answer.slug) == (404, "unknown-action")
    assert "did you mean ClearCache" in answer.json["detail"]
    assert answer.json["actions"] == sorted(COMMANDS)
    assert (await served.command("BootNotification")).slug == "unknown-action"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/v1/chargers/CP1/connectors", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/v1/chargers/CP1/connection", "DELETE, GET, HEAD, OPTIONS"),
        ("GET", "/api/v1/chargers/CP1/commands/Reset", "OPTIONS, POST"),
        ("GET", "/command/CP1/triggeraction/Heartbeat", "OPTIONS, POST"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_method_not_allowed(served: Served, method: str, path: str, allowed: str) -> None:
    """Another method is 405 with Allow; OPTIONS tells the same as 204."""
    answer = await served.request(method, path)
    assert (answer.status, answer.slug, answer.headers["allow"]) == (405, "no-such-method", allowed)
    options = await served.request("OPTIONS", path)
    assert (options.status, options.headers["allow"], options.body) == (204, allowed, b"")


@pytest_twisted.ensureDeferred
async def test_unknown_method(served: Served) -> None:
    """A method that HTTP does not know is 501."""
    for method in ("BREW", "get"):
        answer = await served.request(method, "/healthz")
        assert (answer.status, answer.slug) == (501, "unknown-method")


@pytest_twisted.ensureDeferred
async def test_head(served: Served) -> None:
    """HEAD is GET without the body."""
    got = await served.get("/api/v1/chargers/CP1")
    head = await served.request("HEAD", "/api/v1/chargers/CP1")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))


# 409, 429, 502, 503, 504


@pytest_twisted.ensureDeferred
async def test_not_connected(served: Served) -> None:
    """What would be wrong hours later is 409 for an offline charger."""
    answer = await served.command("Reset", {"type": "Soft"})
    assert (answer.status, answer.slug, answer.json["charger"]) == (409, "not-connected", "CP1")


@pytest_twisted.ensureDeferred
async def test_not_permitted(served: Served) -> None:
    """What the charger's registration forbids is 409: before its boot it gets no remote start."""
    await served.connect("CP1", boot=False)
    answer = await served.command("RemoteStartTransaction", {"idTag": "T"})
    assert (answer.status, answer.slug) == (409, "not-permitted")


@pytest_twisted.ensureDeferred
async def test_full_queue(served: Served) -> None:
    """A command beyond the queue is 429 and says when to come again."""
    for _ in range(2):
        assert (await served.command("ClearCache")).status == 202
    answer = await served.command("ClearCache")
    assert (answer.status, answer.slug, answer.headers["retry-after"]) == (429, "queue-full", str(RETRY_AFTER_S))


@pytest_twisted.ensureDeferred
async def test_call_error(served: Served) -> None:
    """A CALLERROR of the charger is 502 with its code; the message has the rest."""
    await served.connect("CP1", failing)
    answer = await served.command("ClearCache", None, WAIT)
    assert (answer.status, answer.slug, answer.json["ocppErrorCode"]) == (502, "call-error", "NotSupported")
    message = (await served.get(f"/api/v1/messages/{answer.json['messageId']}")).json
    assert message["error"] == {"code": "NotSupported", "description": "no such thing", "details": {"of": "mine"}}
    assert message["state"] == "error"


@pytest_twisted.ensureDeferred
async def test_invalid_response(served: Served) -> None:
    """An answer that breaks the definition beyond use is 502."""
    await served.connect("CP1", babbling)
    answer = await served.command("ClearCache", None, WAIT)
    assert (answer.status, answer.slug) == (502, "invalid-response")


@pytest_twisted.ensureDeferred
async def test_timeout() -> None:
    """A charger that does not answer in time is 504; its late answer still completes the message."""
    served = Served("CP1", call_timeout_s=0.01)
    try:
        link = await served.connect("CP1", silent)
        answer = await served.command("ClearCache", None, WAIT)
        assert (answer.status, answer.slug) == (504, "timeout")
        message_id = answer.json["messageId"]
        assert answer.headers["location"] == f"/api/v1/messages/{message_id}"
        link.tell(json.dumps([3, message_id, {"status": "Accepted"}]))
        await served.storage.check()
        message = (await served.get(f"/api/v1/messages/{message_id}")).json
        assert (message["state"], message["late"]) == ("completed", True)
    finally:
        await served.stop()


async def newest(served: Served) -> str | None:
    """The id of the newest message that we sent."""
    items = (await served.get("/api/v1/messages?direction=toCharger&limit=1")).json["items"]
    return items[0]["messageId"] if items else None


async def ended_while_waiting(served: Served, end: Any, query: str = "") -> Answered:
    """Wait for a ClearCache over HTTP, and call `end` with its message id once it is accepted."""
    before = await newest(served)
    answer = Deferred.fromCoroutine(served.command("ClearCache", None, f"{WAIT}{query}"))
    message_id = await newest(served)
    while message_id == before and not answer.called:
        message_id = await newest(served)
    await end(message_id)
    result: Answered = await within(answer)
    return result


@pytest_twisted.ensureDeferred
async def test_connection_lost_after_the_frame(served: Served) -> None:
    """A connection that is lost before the answer is 504: nobody knows what the charger did."""
    link = await served.connect("CP1", silent)

    async def lose(_: str) -> None:
        served.disconnect(link)

    answer = await ended_while_waiting(served, lose)
    assert (answer.status, answer.slug) == (504, "outcome-unknown")


@pytest_twisted.ensureDeferred
async def test_connection_lost_before_the_frame(served: Served) -> None:
    """A connection that is lost before the frame was written is 409 for what does not wait for the next one."""
    link = await served.connect("CP1", silent)
    await served.command("ClearCache")

    async def lose(_: str) -> None:
        served.disconnect(link)

    answer = await ended_while_waiting(served, lose, "&offline=fail")
    assert (answer.status, answer.slug) == (409, "not-sent")


@pytest_twisted.ensureDeferred
async def test_cancelled_while_waiting(served: Served) -> None:
    """A command that somebody else cancels is 409 for who waits for it."""

    async def cancel(message_id: str) -> None:
        assert (await served.request("DELETE", f"/api/v1/messages/{message_id}")).status == 200

    answer = await ended_while_waiting(served, cancel)
    assert (answer.status, answer.slug) == (409, "cancelled")


@pytest_twisted.ensureDeferred
async def test_expired_while_waiting(served: Served) -> None:
    """A command whose time to live ends in the queue is 504 for who waits for it."""

    async def expire(_: str) -> None:
        later: Deferred[None] = Deferred()
        reactor.callLater(0.002, later.callback, None)
        await later
        await served.system.commands.expire()

    answer = await ended_while_waiting(served, expire, "&ttl=0.001")
    assert (answer.status, answer.slug) == (504, "expired")


STORED = (
    ("GET", "/api/v1/chargers"),
    ("GET", "/api/v1/chargers/CP1"),
    ("GET", "/api/v1/messages"),
    ("GET", "/api/v1/messages/1"),
    ("DELETE", "/api/v1/messages/1"),
    ("GET", "/api/v1/transactions"),
    ("GET", "/api/v1/transactions/1"),
    ("GET", "/api/v1/meter-values"),
    ("POST", "/api/v1/chargers/CP1/commands/ClearCache"),
)


@pytest.mark.parametrize(("method", "path"), STORED)
@pytest_twisted.ensureDeferred
async def test_storage_is_down(served: Served, method: str, path: str) -> None:
    """While the records cannot be reached every path that needs them is 503 and says when to come again."""
    await served.storage.stop()
    answer = await served.request(method, path)
    assert (answer.status, answer.slug) == (503, "storage-unavailable")
    assert answer.headers["retry-after"] == str(RETRY_AFTER_S)


@pytest_twisted.ensureDeferred
async def test_bug(served: Served, logged_errors: LoggedErrors) -> None:
    """A bug is 500 without any of its text; the log has it."""
    object.__setattr__(served.api, "queries", None)
    answer = await served.get("/api/v1/chargers/CP1")
    assert (answer.status, answer.slug) == (500, "internal-error")
    assert b"NoneType" not in answer.body
    assert b"Traceback" not in answer.body
    seed = await served.get("/charger/CP1/status")
    assert (seed.status, seed.body) == (500, b"Internal Server Error\n")
    assert len(logged_errors.flush(AttributeError)) == 2


@pytest_twisted.ensureDeferred
async def test_storage_fails_while_waiting(logged_errors: LoggedErrors) -> None:
    """A command that was accepted stays accepted: where its end cannot be read any more the answer is 202."""
    served = Served("CP1", call_timeout_s=100)
    try:
        link = await served.connect("CP1", silent)
        answer = Deferred.fromCoroutine(served.command("ClearCache", None, "?wait=0.05"))
        call = await link.next_frame()
        await served.storage.stop()
        accepted = await within(answer)
        assert (accepted.status, accepted.json["messageId"]) == (202, call[1])
        link.tell(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert not logged_errors.flush(StorageUnavailable)
    finally:
        await served.stop()


# Health, charger paths, headers


@pytest_twisted.ensureDeferred
async def test_health(served: Served) -> None:
    """/healthz says ok as long as the process answers; /readyz also asks whether it is started and can write."""
    for path in ("/healthz", "/readyz"):
        answer = await served.get(path)
        assert (answer.status, answer.media_type, answer.body) == (200, "text/plain", b"ok")
    served.is_ready = False
    answer = await served.get("/readyz")
    assert (answer.status, answer.media_type, answer.body) == (503, "text/plain", b"not ok")
    assert (await served.get("/healthz")).body == b"ok"


@pytest_twisted.ensureDeferred
async def test_not_ready_without_storage(served: Served) -> None:
    """/readyz says not ok while the storage does not commit."""
    await served.storage.stop()
    assert (await served.get("/readyz")).status == 503


@pytest_twisted.ensureDeferred
async def test_health_for_everybody(served: Served) -> None:
    """/healthz answers whatever the Host and whoever passed the request on."""
    for host in ("example.org", "\xff", "x" * 200):
        answer = await served.send(
            f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        assert (answer.status, answer.body) == (200, b"ok")


CHARGER_PATHS = ("/ocppj/1.6", "/ocppj/1.6/", "/ocppj/1.6/CP1", "/ocppj/1.6/CP1?redirect=http://x", "/ocppj/1.6/a%2Fb")


@pytest.mark.parametrize("path", CHARGER_PATHS)
@pytest_twisted.ensureDeferred
async def test_charger_path_without_upgrade(served: Served, path: str) -> None:
    """HS-13: a plain request where chargers open WebSockets is 426 for everybody, and never a redirect."""
    for method in ("GET", "POST"):
        answer = await served.request(method, path, headers={"Host": "example.org"})
        assert (answer.status, answer.slug, answer.headers["upgrade"]) == (426, "upgrade-required", "websocket")
        assert "location" not in answer.headers


REFUSED: tuple[dict[str, str], ...] = (
    {"Host": "example.org"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"Via": "1.1 proxy"},
    {"Origin": "http://example.org"},
    {"Sec-Fetch-Site": "cross-site"},
)


@pytest.mark.parametrize("headers", REFUSED, ids=lambda headers: next(iter(headers)))
@pytest_twisted.ensureDeferred
async def test_not_let_in(served: Served, headers: dict[str, str]) -> None:
    """A request that may be another's is 401 with a hint on every path, one that does not exist included."""
    for method, path in (("GET", "/api/v1/chargers"), ("GET", "/charger/CP1/status"), ("GET", "/nothing"), ("PUT", "/")):
        answer = await served.request(method, path, headers=headers)
        assert (answer.status, answer.slug) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "127.0.0.1" in answer.json["detail"]


@pytest_twisted.ensureDeferred
async def test_headers_of_every_answer(served: Served) -> None:
    """No answer may be stored on the way, or taken for something else."""
    for path in ("/healthz", "/charger/CP1/status", "/api/v1/chargers", "/nothing", "/ocppj/1.6/CP1"):
        answer = await served.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


class GatedStorage(SqlStorage):
    """Records whose next write for an operator is told only once the gate is open."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.written: Deferred[None] = Deferred()
        self.gate: Deferred[None] = Deferred()
        self.gated = ""

    def call_created(self, *arguments: Any) -> Deferred[bool]:
        return self._behind_the_gate("call_created", super().call_created(*arguments))

    def call_cancelled(self, *arguments: Any) -> Deferred[Any]:
        return self._behind_the_gate("call_cancelled", super().call_cancelled(*arguments))

    def _behind_the_gate(self, name: str, writing: Deferred[Any]) -> Deferred[Any]:
        def hold(result: Any) -> Deferred[Any]:
            self.written.callback(None)
            return self.gate.addCallback(lambda _: result)

        return writing.addCallback(hold) if name == self.gated else writing


async def leave_meanwhile(served: Served, storage: GatedStorage, gated: str, request: str) -> None:
    """Send a request, leave while its write is on the way, and let that end."""
    storage.gated = gated
    client = await raw(served.port)
    client.write(f"{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    await within(storage.written)
    client.close()
    await within(client.lost)
    await served.get("/healthz")  # behind the loss of that connection on the server's side
    storage.gate.callback(None)


@pytest_twisted.ensureDeferred
async def test_client_leaves_before_the_journal() -> None:
    """A client that leaves while its command is being written has sent it all the same."""
    storage = GatedStorage("sqlite://", reactor)
    served = Served("CP1", storage=storage)
    try:
        link = await served.connect("CP1", silent)
        await leave_meanwhile(served, storage, "call_created", "POST /api/v1/chargers/CP1/commands/ClearCache")
        assert [call[2] for call in link.calls] == ["ClearCache"]
    finally:
        await served.stop()


@pytest_twisted.ensureDeferred
async def test_client_leaves_while_cancelling() -> None:
    """A client that leaves while a command is being cancelled has cancelled it: it is out of the charger's queue."""
    storage = GatedStorage("sqlite://", reactor)
    served = Served("CP1", storage=storage)
    try:
        link = await served.connect("CP1", silent)
        assert link.connection is not None
        await served.command("ClearCache")
        queued = await served.command("ClearCache")
        assert len(link.connection.outbox) == 1
        await leave_meanwhile(served, storage, "call_cancelled", f"DELETE {queued.headers['location']}")
        assert len(link.connection.outbox) == 0
    finally:
        await served.stop()
