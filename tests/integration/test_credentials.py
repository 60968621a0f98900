"""Passwords of chargers: changed by a call, given by an operator, and proven by a login. REQUIREMENTS 3.2, docs/http-api.md."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
import pytest_twisted

from ocppd.pki.passwords import is_hash_of
from support.central import Running, chargers
from support.certification import Dialogue, http
from support.peer import connect, handshake
from support.wire import offline, storage_of

ensure = pytest_twisted.ensureDeferred

OLD = b"the old password"
PATH = "/ocppj/1.6/CP1"
CREDENTIALS = "/api/v1/chargers/CP1/credentials"


async def login(daemon: Running, key: bytes, name: str = "CP1") -> int:
    """What a handshake with this password gets."""
    encoded = base64.b64encode(f"{name}:".encode() + key).decode()
    header = (f"Authorization: Basic {encoded}",) if key else ()
    status = (await handshake(daemon.port, f"/ocppj/1.6/{name}", "Sec-WebSocket-Protocol: ocpp1.6", *header)).status
    if status == 101:
        await offline(daemon)
    return status


async def logins(dialogue: Dialogue, *keys: bytes) -> Sequence[int]:
    """What each of them gets, one after the other, when the charger has left."""
    await dialogue.peer.leave()
    daemon = dialogue.daemon
    return [await login(daemon, key) for key in keys]


async def secured(start: Any) -> tuple[Running, Dialogue]:
    """A daemon whose charger has a password in configs.json, and that charger."""
    daemon = start(chargers("CP1", Authorization=OLD.decode(), ReadConfiguration=False, CallTimeout=1))
    peer = await connect(daemon.port, PATH, password=OLD)
    assert (await peer.boot())["status"] == "Accepted"
    return daemon, Dialogue(daemon, peer, "CP1")


async def asked(dialogue: Dialogue, body: Any = None) -> tuple[str, bytes, str]:
    """The operator sends a new key: the id of the message, the key, and the id that the charger has to answer."""
    answer = await dialogue.http("PUT", CREDENTIALS, {"send": True} if body is None else body)
    assert answer.status == 202, answer
    message_id, request = await dialogue.hears("ChangeConfiguration")
    assert request["key"] == "AuthorizationKey"
    return str(answer.json["messageId"]), bytes.fromhex(request["value"]), message_id


async def settled(dialogue: Dialogue) -> None:
    """What the charger has answered is on record."""
    await dialogue.peer.silence()
    await storage_of(dialogue.daemon).check()


@ensure
async def test_tc_073_the_password_is_changed(start: Any) -> None:
    """TC_073, SE-05, Z-5, Z-6, Z-7: 40 hex digits; Accepted, the charger reconnects at once with the new key, the old is 401."""
    daemon, dialogue = await secured(start)
    answer = await dialogue.http("PUT", CREDENTIALS, {"send": True})
    message_id, request = await dialogue.hears("ChangeConfiguration")
    assert request["key"] == "AuthorizationKey"
    assert len(request["value"]) == 40
    key = bytes.fromhex(request["value"])
    dialogue.peer.send([3, message_id, {"status": "Accepted"}])
    await dialogue.peer.leave()
    peer = await connect(daemon.port, PATH, password=key)
    assert (await peer.call("Heartbeat"))[0] == 3
    assert await login(daemon, OLD) == 401
    assert (await dialogue.get(f"/messages/{answer.json['messageId']}"))["outcome"] == "Accepted"
    found = (await http(daemon.port, "GET", CREDENTIALS)).json
    assert (found["set"], found["source"], "pending" in found) == (True, "records", False)
    await peer.leave()


@ensure
async def test_z_6_the_new_key_is_valid_before_its_answer(start: Any) -> None:
    """Z-6: while the call is on its way both are valid; a login with the new one decides, whatever becomes of the call."""
    daemon, dialogue = await secured(start)
    _, key, _ = await asked(dialogue)
    assert [each["state"] for each in (await http(daemon.port, "GET", CREDENTIALS)).json["pending"]] == ["waiting"]
    await dialogue.peer.leave()  # and the answer is lost
    dialogue.peer = await connect(daemon.port, PATH, password=key)
    assert (await dialogue.peer.call("Heartbeat"))[0] == 3
    assert await logins(dialogue, OLD, key) == [401, 101]
    assert "pending" not in (await http(daemon.port, "GET", CREDENTIALS)).json


@pytest.mark.parametrize(
    "answer",
    [
        [3, {"status": "Rejected"}],
        [3, {"status": "NotSupported"}],
        [4, "NotImplemented", "no such thing", {}],
        [4, "NotSupported", "", {}],
    ],
)
@ensure
async def test_z_6_a_refused_key_changes_nothing(start: Any, answer: list[Any]) -> None:
    """Z-6: Rejected and NotSupported, as a status or as a CALLERROR, leave the old key, and only that."""
    _, dialogue = await secured(start)
    _, key, message_id = await asked(dialogue)
    dialogue.peer.send([answer[0], message_id, *answer[1:]])
    await settled(dialogue)
    assert await logins(dialogue, key, OLD) == [401, 101]


@pytest.mark.parametrize("first", ["old", "new"])
@pytest.mark.parametrize("outcome", ["error", "lost"])
@ensure
async def test_z_6_the_first_login_decides(start: Any, outcome: str, first: str) -> None:
    """Z-6: where nobody knows whether the charger has it, both are valid until the first login with either decides."""
    daemon, dialogue = await secured(start)
    _, key, message_id = await asked(dialogue)
    if outcome == "lost":
        await dialogue.peer.leave()
    else:
        dialogue.peer.send([4, message_id, "InternalError", "", {}])
        await settled(dialogue)
    await until_state(daemon, "unknown")
    expected = [OLD, key] if first == "old" else [key, OLD]
    assert await logins(dialogue, *expected) == [101, 401]
    assert await login(daemon, expected[0]) == 101


@ensure
async def test_z_6_a_charger_that_is_to_reboot(start: Any) -> None:
    """Z-6: a charger that takes its key with its next boot may come back with the old one before; the new one decides."""
    daemon, dialogue = await secured(start)
    _, key, message_id = await asked(dialogue)
    dialogue.peer.send([3, message_id, {"status": "RebootRequired"}])
    await settled(dialogue)
    await until_state(daemon, "given")
    assert await logins(dialogue, OLD, OLD, key, OLD) == [101, 101, 101, 401]
    assert await login(daemon, key) == 101


async def until_state(daemon: Running, state: str) -> None:
    """The end of a call is on record: nothing tells so but the records."""
    for _ in range(100):
        pending = (await http(daemon.port, "GET", CREDENTIALS)).json.get("pending", [])
        if [each["state"] for each in pending] == [state]:
            return
    raise AssertionError(pending)


@ensure
async def test_z_6_nobody_knows_for_seven_days(start: Any) -> None:
    """Z-6: after seven days without a login what nobody has used is over, and the old key stays."""
    daemon, dialogue = await secured(start)
    _, key, message_id = await asked(dialogue)
    dialogue.peer.send([3, message_id, {"status": "RebootRequired"}])
    await settled(dialogue)
    records = storage_of(daemon).registry
    [undecided] = await records.passwords("CP1", 0)
    assert undecided.until_ms is not None
    assert undecided.until_ms - undecided.since_ms >= 7 * 24 * 3600 * 1000
    assert await records.passwords("CP1", undecided.until_ms) == []
    checked = await records.check_password("CP1", key, undecided.until_ms, tolerant=True)
    assert checked.matched is None


@ensure
async def test_a_generic_command_has_the_same_effects(start: Any) -> None:
    """Z-5, Z-6, Z-8: a ChangeConfiguration of an operator sets the password too, also as plain text; no answer shows it."""
    daemon, dialogue = await secured(start)
    message_id = await dialogue.command("ChangeConfiguration", key="authorizationKEY", value="plain text secret")
    await dialogue.answers("ChangeConfiguration", status="Accepted")
    shown = await dialogue.outcome(message_id)
    assert "plain text" not in json.dumps(shown)
    assert await logins(dialogue, OLD, b"plain text secret") == [401, 101]
    [kept] = await storage_of(daemon).registry.passwords("CP1", 0)
    assert "plain" not in kept.kept
    assert is_hash_of(kept.kept, b"plain text secret")


@ensure
async def test_z_4_a_key_as_its_digits(start: Any) -> None:
    """Z-4, Z-9: a charger that presents the digits of its key is let in; in strict mode it is not."""
    daemon, dialogue = await secured(start)
    _, key, message_id = await asked(dialogue)
    dialogue.peer.send([3, message_id, {"status": "Accepted"}])
    await settled(dialogue)
    assert await logins(dialogue, key.hex().encode(), key.hex().upper().encode(), key) == [101, 101, 101]
    daemon.configure(chargers("CP1", Authorization=OLD.decode(), Mode="strict"))
    daemon.service.reload()
    assert await logins(dialogue, key.hex().encode(), key, OLD) == [401, 101, 401]


@ensure
async def test_two_keys_on_their_way(start: Any) -> None:
    """Z-6: of two keys that were sent one after the other, the one that was accepted holds while the other is on its way."""
    daemon, dialogue = await secured(start)
    _, first, first_id = await asked(dialogue)
    second = await dialogue.http("PUT", CREDENTIALS, {"send": True})
    dialogue.peer.send([3, first_id, {"status": "Accepted"}])
    second_id, request = await dialogue.hears("ChangeConfiguration")
    await settled(dialogue)
    assert second.status == 202
    assert await login(daemon, OLD) == 401
    dialogue.peer.send([3, second_id, {"status": "Rejected"}])
    await settled(dialogue)
    assert await logins(dialogue, bytes.fromhex(request["value"]), first) == [401, 101]


@ensure
async def test_a_queued_key_that_never_left(start: Any) -> None:
    """A key whose call was cancelled before it was sent is forgotten; the old one was valid all the time."""
    daemon, dialogue = await secured(start)
    await dialogue.peer.leave()
    answer = await http(daemon.port, "PUT", CREDENTIALS, {"send": True, "password": "0123456789abcdef"})
    assert answer.status == 202
    assert (await http(daemon.port, "DELETE", f"/api/v1/messages/{answer.json['messageId']}")).status == 200
    assert await logins(dialogue, b"0123456789abcdef", OLD) == [401, 101]


@ensure
async def test_a_password_for_somebody_to_enter(start: Any) -> None:
    """Z-8: a key that is made here is shown once; both are valid until the charger has used the new one, which then holds."""
    daemon, dialogue = await secured(start)
    made = await http(daemon.port, "PUT", CREDENTIALS, {})
    assert (made.status, made.json["state"]) == (200, "given")
    key = bytes.fromhex(made.json["authorizationKey"])
    assert len(key) == 20
    assert await logins(dialogue, OLD, OLD, key, OLD) == [101, 101, 101, 401]
    found = await http(daemon.port, "GET", CREDENTIALS)
    assert made.json["authorizationKey"].encode() not in found.body
    given = await http(daemon.port, "PUT", CREDENTIALS, {"password": "chosen by a person"})
    assert given.json == {"charger": "CP1", "state": "given"}
    assert await logins(dialogue, key, b"chosen by a person", key) == [101, 101, 401]
    assert (await http(daemon.port, "DELETE", CREDENTIALS)).status == 204
    assert await logins(dialogue, b"chosen by a person", OLD) == [401, 101]
    assert (await http(daemon.port, "DELETE", CREDENTIALS)).status == 404
    kinds = (await http(daemon.port, "GET", "/api/v1/events?type=credentialsChanged&charger=CP1")).json["items"]
    assert [each["by"] for each in reversed(kinds)] == ["operator", "login", "operator", "login", "operator"]


@ensure
async def test_a_password_where_there_was_none(start: Any) -> None:
    """A charger that needed none needs the one it is given at once, also after a restart; one that is deleted takes it along."""
    daemon: Running = start(chargers("CP1"))
    await http(daemon.port, "PUT", "/api/v1/chargers/New", {})
    for name in ("CP1", "New"):
        assert await login(daemon, b"", name) == 101
        answer = await http(daemon.port, "PUT", f"/api/v1/chargers/{name}/credentials", {"password": "hex:00ff"})
        assert answer.json["state"] == "current"
        assert [await login(daemon, key, name) for key in (b"", b"\x00\xff")] == [401, 101]
    await daemon.stop()
    again = Running(daemon.directory, chargers("CP1"), database=daemon.settings.database).start()
    try:
        assert [await login(again, key) for key in (b"", b"\x00\xff")] == [401, 101]
        await http(again.port, "DELETE", "/api/v1/chargers/New")
        await http(again.port, "PUT", "/api/v1/chargers/New", {})
        assert await login(again, b"", "New") == 101
    finally:
        await again.stop()


@ensure
async def test_bad_credentials(start: Any) -> None:
    """What is no password is 422 with its place and without its text; nothing is changed."""
    daemon: Running = start(chargers("CP1"))
    for body, pointer in (
        ({"password": ""}, "/password"),
        ({"password": 7}, "/password"),
        ({"password": None}, "/password"),
        ({"password": "x" * 201}, "/password"),
        ({"password": "hex:secretz"}, "/password"),
        ({"password": "too short", "send": True}, "/password"),
        ({"password": "much too long for a charger", "send": True}, "/password"),
        ({"send": "yes"}, "/send"),
        ({"key": "secret"}, "/key"),
    ):
        refused = await http(daemon.port, "PUT", CREDENTIALS, body)
        assert (refused.status, [each["pointer"] for each in refused.json["errors"]]) == (422, [pointer]), body
        assert b"secret" not in refused.body
    assert (await http(daemon.port, "GET", CREDENTIALS)).json == {"charger": "CP1", "set": False}
    assert (await http(daemon.port, "PUT", "/api/v1/chargers/Nobody/credentials", {})).status == 404
    assert (await http(daemon.port, "PUT", f"{CREDENTIALS}?wait=x", {})).status == 400
