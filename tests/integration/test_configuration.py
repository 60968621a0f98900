"""The configuration of a charger over HTTP: mirrored, asked for, desired, refused. docs/http-api.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from ocppd.central.configuration_watcher import ConfigurationWatcher
from ocppd.clock import now_ms
from ocppd.storage.configuration import SETTLING_MS
from support.rest import BOOT, Answered, ScriptedLink, Served

ensure = pytest_twisted.ensureDeferred

CONFIGURATION = "/api/v1/chargers/CP1/configuration"
READ_ONLY = {"NumberOfConnectors", "GetConfigurationMaxKeys", "SupportedFeatureProfiles", "MeterValuesSampledDataMaxLength"}


class Keeping:
    """A charger with a configuration: answers Get- and ChangeConfiguration by it, anything else with Accepted.

    `verdicts`: what a key is answered in place of Accepted; a list is a CALLERROR, None silence. `most`: keys in one answer.
    """

    def __init__(self, **values: str | None) -> None:
        self.values: dict[str, str | None] = dict(values)
        self.verdicts: dict[str, Any] = {}
        self.most = 1000
        self.asked: list[Any] = []
        self.set: list[tuple[str, str]] = []

    def __call__(self, call: list[Any]) -> str | None:
        _, message_id, action, payload = call
        answer: Any = {"status": "Accepted"}
        if action == "GetConfiguration":
            self.asked.append(payload)
            answer = self.verdicts.get("*", self.told(payload.get("key") or list(self.values)[: self.most]))
        elif action == "ChangeConfiguration":
            self.set.append((payload["key"], payload["value"]))
            answer = self.verdicts.get(payload["key"], {"status": "Accepted"})
            if answer == {"status": "Accepted"}:
                self.values[payload["key"]] = payload["value"]
        if answer is None:
            return None
        return json.dumps([4, message_id, *answer] if isinstance(answer, list) else [3, message_id, answer])

    def told(self, names: list[str]) -> Any:
        """The answer to a GetConfiguration for these keys."""
        spelt = {name.lower(): name for name in self.values}
        found = [spelt[name.lower()] for name in names if name.lower() in spelt]
        return {
            "configurationKey": [
                {"key": name, "readonly": name in READ_ONLY} | ({} if (value := self.values[name]) is None else {"value": value})
                for name in found
            ],
            "unknownKey": [name for name in names if name.lower() not in spelt],
        }


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Two chargers, of which nothing is known, and nothing is asked unless an operator asks it."""
    running = Served("CP1", "CP2", queue=20, quiet=True)
    yield running
    await running.stop()


@pytest_twisted.async_yield_fixture
async def asking() -> AsyncIterator[Served]:
    """One charger that is asked unasked, too."""
    running = Served("CP1")
    yield running
    await running.stop()


async def put(served: Served, key: str, value: Any, query: str = "", **headers: str) -> Answered:
    """PUT a desired value, or a body."""
    body = value if isinstance(value, bytes) else json.dumps({"value": value} if isinstance(value, str) else value).encode()
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
    return await served.request("PUT", f"{CONFIGURATION}/{key}{query}", body, given)


async def told(served: Served, query: str = "") -> dict[str, Any]:
    """All keys of the list, each by its name."""
    answer = await served.get(CONFIGURATION + query)
    assert answer.status == 200, answer
    return {each["key"]: each for each in answer.json["items"]}


async def state(served: Served, key: str) -> str:
    return str((await served.get(f"{CONFIGURATION}/{key}")).json["desired"]["state"])


async def boots(link: ScriptedLink, firmware: str = "1.2") -> None:
    """The charger boots once more; a repeated id would be the same boot."""
    call = json.loads(BOOT)
    call[1] = f"boot {len(link.answers)}"
    call[3]["firmwareVersion"] = firmware
    assert (await link.ask(json.dumps(call)))[2]["status"] == "Accepted"


# Reading


@ensure
async def test_a_charger_is_asked_for_all(served: Served) -> None:
    """OP-01, TC_019_1: the frame has no key, or an empty list; sixty keys are mirrored, shown with what the specification
    says, page by page."""
    charger = Keeping(HeartbeatInterval="300", **{f"Vendor{number:02}": str(number) for number in range(60)})
    await served.connect("CP1", charger)
    answer = await served.get(f"{CONFIGURATION}?refresh=1&limit=500")
    assert (answer.status, charger.asked) == (200, [{}])
    assert len(answer.json["items"]) == 61 and answer.json["next"] is None and answer.json["readAt"]
    beat = answer.json["items"][0]
    assert beat.pop("learntAt").endswith("Z")
    assert beat == {
        "key": "HeartbeatInterval",
        "value": "300",
        "readonly": False,
        "learntFrom": "GetConfiguration",
        "standard": {"profile": "Core", "type": "integer", "unit": "seconds", "access": "RW"},
    }
    names, after = [], ""
    while after is not None:
        page = (await served.get(f"{CONFIGURATION}?limit=25{after}")).json
        names += [each["key"] for each in page["items"]]
        after = None if page["next"] is None else f"&after={page['next']}"
    assert len(names) == len(set(names)) == 61 and len(charger.asked) == 1


@ensure
async def test_a_charger_is_asked_for_one_key(served: Served) -> None:
    """TC_019_2, OP-02, G-3: one key is asked for by its name, whatever its case; another one is not touched, and none is
    found before the charger has told it."""
    charger = Keeping(HeartbeatInterval="300", Colour="red")
    await served.connect("CP1", charger)
    assert (await served.get(f"{CONFIGURATION}/colour")).slug == "not-found"
    answer = await served.get(f"{CONFIGURATION}/colour?refresh=1")
    assert (answer.status, answer.json["key"], answer.json["value"], charger.asked) == (
        200,
        "Colour",
        "red",
        [{"key": ["colour"]}],
    )
    again = await served.get(f"{CONFIGURATION}/COLOUR", **{"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.headers["etag"]) == (304, answer.headers["etag"])
    unknown = await served.get(f"{CONFIGURATION}/Weight?refresh=1")
    assert unknown.json["unknown"] is True and "value" not in unknown.json
    assert set(await told(served)) == {"Colour", "Weight"}


@ensure
async def test_what_chargers_leave_out_and_hide(served: Served) -> None:
    """OP-03, Z-8: unknown keys, keys without a value, and passwords, which no answer, message or event shows."""
    charger = Keeping(Empty=None, Blank="", AuthorizationKey="0123456789ABCDEF", WifiPassword="hunter2")
    await served.connect("CP1", charger)
    shown = await told(served, "?refresh=1&keys=Empty,Blank,Nothing,AuthorizationKey,WifiPassword")
    assert ("value" in shown["Empty"], shown["Blank"]["value"], shown["Nothing"]["unknown"]) == (False, "", True)
    for name in ("AuthorizationKey", "WifiPassword"):
        assert shown[name]["hidden"] is True and "value" not in shown[name]
    await put(served, "WifiPassword", "S3CRET", "?wait=5")
    assert charger.set == [("WifiPassword", "S3CRET")]
    hidden = (await served.get(f"{CONFIGURATION}/WifiPassword")).json
    assert hidden["desired"]["state"] == "accepted" and "value" not in hidden["desired"]
    for path in (CONFIGURATION, "/api/v1/messages", "/api/v1/events", "/api/v1/chargers/CP1"):
        body = (await served.get(path)).body
        assert not any(secret in body for secret in (b"0123456789ABCDEF", b"hunter2", b"S3CRET")), path


@ensure
async def test_questions_are_split(served: Served) -> None:
    """2.4: no question has more keys than GetConfigurationMaxKeys; the answers are merged, and delete nothing."""
    values = {f"Key{number}": str(number) for number in range(7)}
    charger = Keeping(GetConfigurationMaxKeys="3", **values)
    await served.connect("CP1", charger)
    await told(served, "?refresh=1&keys=GetConfigurationMaxKeys")
    shown = await told(served, f"?refresh=1&keys={','.join(values)},key1,Missing")
    assert [len(each["key"]) for each in charger.asked] == [1, 3, 3, 2]
    assert {name: each.get("value") for name, each in shown.items()} == {**values, "Missing": None}
    assert "GetConfigurationMaxKeys" in await told(served)


@ensure
async def test_an_answer_that_is_cut_off(served: Served) -> None:
    """2.4: keys that a charger told before and leaves out of its answer for all are asked for by name."""
    charger = Keeping(A="1", B="2", C="3")
    await served.connect("CP1", charger)
    await told(served, "?refresh=1")
    charger.most, charger.values["C"] = 2, "4"
    assert (await told(served, "?refresh=1"))["C"]["value"] == "4"
    assert charger.asked == [{}, {}, {"key": ["C"]}]
    charger = Keeping(GetConfigurationMaxKeys="2", HeartbeatInterval="300", ConnectionTimeOut="60", Vendor="x")
    charger.most = 2
    await served.connect("CP2", charger)
    assert (await served.get("/api/v1/chargers/CP2/configuration?refresh=1")).status == 200
    assert charger.asked[0] == {} and max(len(each["key"]) for each in charger.asked[1:]) == 2
    assert (await served.get("/api/v1/chargers/CP2/configuration/ConnectionTimeOut")).json["value"] == "60"


@ensure
@pytest.mark.parametrize(
    ("answer", "status", "slug"),
    [
        (["NotSupported", "", {}], 502, "call-error"),
        ({"configurationKey": 5}, 502, "invalid-response"),
        (None, 202, None),
    ],
)
async def test_a_charger_that_does_not_tell(served: Served, answer: Any, status: int, slug: str | None) -> None:
    """E-3, E-4: CALLERROR, nonsense, or no answer in the time that is waited: what is known is as it was."""
    charger = Keeping(A="1")
    await served.connect("CP1", charger)
    before = await told(served, "?refresh=1")
    charger.verdicts["*"] = answer
    found = await served.get(f"{CONFIGURATION}?refresh=1&wait=0.2")
    assert found.status == status and (slug is None or found.slug == slug)
    assert await told(served) == before
    assert (await served.get("/api/v1/chargers/CP2/configuration?refresh=1")).slug == "not-connected"


# Desiring


@ensure
@pytest.mark.parametrize(
    ("answer", "expected", "value"),
    [
        ({"status": "Accepted"}, "accepted", "60"),
        ({"status": "RebootRequired"}, "rebootRequired", "60"),
        ({"status": "Rejected"}, "rejected", "900"),
        ({"status": "NotSupported"}, "notSupported", None),
        (["NotSupported", "", {}], "failed", "900"),
        (["FormatViolation", "what"], "failed", "900"),
        (["GenericError", "", {}], "failed", "900"),
        ({"status": "Perhaps"}, "failed", "900"),
    ],
)
async def test_what_a_charger_answers(served: Served, answer: Any, expected: str, value: str | None) -> None:
    """OP-04, TC_021, TC_040_1, TC_040_2, FR-24, E-3, F-11: the key is sent as text with the specification's spelling, and each
    answer is reported as what it is, CALLERRORs of any shape included; no answer breaks anything."""
    charger = Keeping(MeterValueSampleInterval="900")
    charger.verdicts["MeterValueSampleInterval"] = answer
    link = await served.connect("CP1", charger)
    await told(served, "?refresh=1")
    answered = await put(served, "metervaluesampleinterval", "60", "?wait=5")
    (sent,) = [call for call in link.calls if call[2] == "ChangeConfiguration"]
    assert sent[3] == {"key": "MeterValueSampleInterval", "value": "60"}
    shown = answered.json
    assert (answered.status, shown["desired"]["state"], shown.get("value")) == (200, expected, value)
    assert (shown["desired"]["value"], shown.get("rebootRequired", False)) == ("60", expected == "rebootRequired")
    message = (await served.get(answered.headers["location"])).json
    assert message["messageId"] == shown["desired"]["messageId"]
    if isinstance(answer, list):
        code = {"FormatViolation": "FormationViolation"}.get(answer[0], answer[0])
        assert (message["error"]["code"], message["outcome"]) == (code, code)
        assert shown["desired"]["reason"] == f"CALLERROR {code}"
    assert (await served.get(f"{CONFIGURATION}/MeterValueSampleInterval")).headers["etag"] == answered.headers["etag"]
    assert (await link.ask('[2,"after","Heartbeat",{}]'))[0] == 3


@ensure
async def test_a_value_that_waits_for_a_boot(asking: Served) -> None:
    """OP-04: RebootRequired is cleared by the boot of the next connection, not by one that was triggered; then it is read back,
    and another value is drift."""
    charger = Keeping(HeartbeatInterval="300")
    charger.verdicts["HeartbeatInterval"] = {"status": "RebootRequired"}
    link = await asking.connect("CP1", charger)
    await told(asking, "?refresh=1")
    await put(asking, "HeartbeatInterval", "60", "?wait=5")
    await told(asking, "?refresh=1")
    assert await state(asking, "HeartbeatInterval") == "rebootRequired"
    await boots(link)
    assert await state(asking, "HeartbeatInterval") == "rebootRequired"
    asking.disconnect(link)
    await asking.connect("CP1", charger)
    assert await state(asking, "HeartbeatInterval") == "accepted"
    asked = len(charger.asked)
    await sweep(asking, after_ms=SETTLING_MS + 1)
    assert len(charger.asked) == asked + 1
    assert await state(asking, "HeartbeatInterval") == "drift", "it boots with its old value"
    events = (await asking.get("/api/v1/events?type=configurationDrifted")).json["items"]
    assert [(each["key"], each["desired"], each["value"]) for each in events] == [("HeartbeatInterval", "60", "300")]


@ensure
async def test_a_value_for_a_charger_that_is_away(served: Served) -> None:
    """OP-05: a desired value waits for its charger; a later one takes its place, so that only that is sent; a value that is
    given up is not sent at all."""
    first = await put(served, "Colour", "red")
    assert (first.status, first.json["desired"]["state"]) == (202, "pending")
    same = await put(served, "Colour", "red")
    assert same.json["desired"] == first.json["desired"], "it is on its way already"
    await put(served, "colour", "blue")
    await put(served, "Size", "9")
    deleted = await served.request("DELETE", f"{CONFIGURATION}/size")
    assert deleted.status == 204
    states = [each["state"] for each in (await served.get("/api/v1/messages?charger=CP1")).json["items"]]
    assert states == ["cancelled", "queued", "cancelled"]
    assert (await served.get(f"{CONFIGURATION}/Size")).status == 404
    charger = Keeping()
    await served.connect("CP1", charger)
    while await state(served, "Colour") == "pending":
        pass
    assert (await state(served, "Colour"), charger.set) == ("accepted", [("Colour", "blue")])


@ensure
async def test_another_door(served: Served) -> None:
    """2.4: a ChangeConfiguration by the general door changes the mirror, settles what is desired, or drifts from it."""
    charger = Keeping(Colour="grey")
    await served.connect("CP1", charger)
    await put(served, "Colour", "red", "?wait=5")
    await served.command("ChangeConfiguration", {"key": "COLOUR", "value": "blue"}, "?wait=5")
    shown = (await served.get(f"{CONFIGURATION}/Colour")).json
    assert (shown["value"], shown["desired"]["state"], shown["learntFrom"]) == ("blue", "drift", "ChangeConfiguration")
    await served.command("ChangeConfiguration", {"key": "Colour", "value": "red"}, "?wait=5")
    assert await state(served, "Colour") == "accepted"
    await served.command("ChangeConfiguration", {"key": "Empty", "value": ""}, "?wait=5")
    assert (await served.get(f"{CONFIGURATION}/Empty")).json["value"] == ""
    charger.values["Colour"] = "black"
    await served.command("GetConfiguration", {"key": ["Colour"]}, "?wait=5")
    assert await state(served, "Colour") == "drift"


@ensure
async def test_a_laboratory_sends_what_it_likes(served: Served) -> None:
    """TC_040_2: an operator may send a value that cannot be right by the general door, and is told what the charger says."""
    charger = Keeping(MeterValueSampleInterval="900")
    charger.verdicts["MeterValueSampleInterval"] = {"status": "Rejected"}
    await served.connect("CP1", charger)
    await told(served, "?refresh=1")
    before = await served.get(f"{CONFIGURATION}/MeterValueSampleInterval")
    sent = await served.command("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "-1"}, "?wait=5")
    assert (sent.status, sent.json["outcome"], charger.set) == (200, "Rejected", [("MeterValueSampleInterval", "-1")])
    after = await served.get(f"{CONFIGURATION}/MeterValueSampleInterval")
    assert (after.json, after.headers["etag"]) == (before.json, before.headers["etag"])


@ensure
async def test_two_operators(served: Served) -> None:
    """With If-Match a value is desired, or given up, only where the key is as its sender saw it; of many who try, one may."""
    await served.connect("CP1", Keeping(Colour="red"))
    seen = (await served.get(f"{CONFIGURATION}/Colour?refresh=1")).headers["etag"]
    answers = await gatherResults(
        [ensure_deferred(put(served, "Colour", f"shade {number}", If_Match=seen)) for number in range(5)]
    )
    assert sorted(answer.status for answer in answers) == [202, 412, 412, 412, 412]
    assert (await put(served, "Colour", "x", If_None_Match="*")).slug == "precondition-failed"
    assert (await put(served, "New", "x", "?wait=5", If_None_Match="*")).status == 200
    stale = await served.request("DELETE", f"{CONFIGURATION}/Colour", headers={"If-Match": seen})
    assert stale.slug == "precondition-failed"
    now = (await served.get(f"{CONFIGURATION}/Colour")).headers["etag"]
    assert (await served.request("DELETE", f"{CONFIGURATION}/Colour", headers={"If-Match": now})).status == 204
    assert (await served.request("DELETE", f"{CONFIGURATION}/Colour", headers={"If-Match": now})).slug == "not-found"
    assert "desired" not in (await served.get(f"{CONFIGURATION}/Colour")).json


def ensure_deferred(coroutine: Any) -> Any:
    """A Deferred for a coroutine, so that several run at once."""
    return Deferred.fromCoroutine(coroutine)


TOO_LONG = "x" * 501


@ensure
@pytest.mark.parametrize(
    ("key", "body", "pointers"),
    [
        ("HeartbeatInterval", {}, ["/value"]),
        ("HeartbeatInterval", {"value": 60}, ["/value"]),
        ("HeartbeatInterval", {"value": None}, ["/value"]),
        ("HeartbeatInterval", {"value": "60", "key": "HeartbeatInterval", "x/y": 1}, ["/key", "/x~1y"]),
        ("HeartbeatInterval", ["60"], [""]),
        ("HeartbeatInterval", "", ["/value"]),
        ("HeartbeatInterval", "sixty", ["/value"]),
        ("HeartbeatInterval", "60.0", ["/value"]),
        ("heartbeatinterval", " 60", ["/value"]),
        ("HeartbeatInterval", "-1", ["/value"]),
        ("HeartbeatInterval", "2147483648", ["/value"]),
        ("WebSocketPingInterval", "-5", ["/value"]),
        ("LightIntensity", "101", ["/value"]),
        ("LocalPreAuthorize", "yes", ["/value"]),
        ("LocalPreAuthorize", "", ["/value"]),
        ("MeterValuesSampledData", "Voltage,,Power.Active.Import", ["/value"]),
        ("MeterValuesSampledData", "Voltage,Frequency,SoC", ["/value"]),
        ("SecurityProfile", "4", ["/value"]),
        ("Vendor", TOO_LONG, ["/value"]),
        ("Vendor", "a\x00b", ["/value"]),
        ("V" * 51, "1", ["/key"]),
        ("Ven%0Ador", "1", ["/key"]),
        ("%20", {"value": 1}, ["/key", "/value"]),
    ],
)
async def test_values_that_cannot_be(served: Served, key: str, body: Any, pointers: list[str]) -> None:
    """P-2, G-10, 2.6: wrong types, lengths, ranges, lists and keys are 422 with their pointers; nothing is sent or kept."""
    charger = Keeping(MeterValuesSampledDataMaxLength="2")
    await served.connect("CP1", charger)
    before = await told(served, "?refresh=1")
    answer = await put(served, key, body)
    assert (answer.status, answer.slug) == (422, "invalid-payload"), answer
    assert sorted({error["pointer"] for error in answer.json["errors"]}) == pointers
    assert await told(served) == before and charger.set == []


@ensure
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("HeartbeatInterval", "0"),
        ("LocalPreAuthorize", "TRUE"),
        ("StopTxnSampledData", ""),
        ("MeterValuesSampledData", "Voltage.L1, Current.Import"),
        ("Vendor-Key.1_2", "anything, also -1"),
        ("Vendor", ""),
    ],
)
async def test_values_that_can_be(served: Served, key: str, value: str) -> None:
    """2.6: booleans in any case, lists with suffixes and blanks, an empty list, vendors' keys with any text."""
    charger = Keeping()
    await served.connect("CP1", charger)
    answer = await put(served, key, value, "?wait=5")
    assert (answer.status, answer.json["desired"]["state"], charger.set) == (200, "accepted", [(key, value)])
    assert ("warnings" in answer.json) is ("," in value and key.startswith("Meter")), "it may take one item only (G-10)"


@ensure
async def test_keys_that_are_not_set_here(served: Served) -> None:
    """Y-2, Z-8: read-only keys, the password, and a security profile that is not above the present one are 409, also by the
    general door; nothing is sent or kept. A charger that is not known is 404."""
    charger = Keeping(NumberOfConnectors="2", SecurityProfile="2", Fixed="x")
    link = await served.connect("CP1", charger)
    before = await told(served, "?refresh=1")
    for key, value in (
        ("numberofconnectors", "3"),
        ("ChargeProfileMaxStackLevel", "9"),
        ("AuthorizationKey", "00112233445566778899AABBCCDDEEFF"),
        ("SecurityProfile", "2"),
        ("SecurityProfile", "0"),
    ):
        answer = await put(served, key, value)
        assert (answer.status, answer.slug) == (409, "conflict"), key
    assert "/commands/ChangeConfiguration" in (await put(served, "authorizationkey", "x")).json["detail"]
    for value in ("1", "2", "-1"):
        lowered = await served.command("ChangeConfiguration", {"key": "securityprofile", "value": value})
        assert (lowered.status, lowered.slug) == (409, "conflict")
    assert [call for call in link.calls if call[2] == "ChangeConfiguration"] == [] and await told(served) == before
    assert (await put(served, "SecurityProfile", "3", "?wait=5")).json["desired"]["state"] == "accepted"
    for method, path in (("GET", ""), ("GET", "/A"), ("PUT", "/A"), ("DELETE", "/A")):
        body = b'{"value": ""}' if method == "PUT" else b""
        headers = {"Content-Type": "application/json"} if body else {}
        answer = await served.request(method, f"/api/v1/chargers/nobody/configuration{path}", body, headers)
        assert (answer.status, answer.slug) == (404, "unknown-charger")


@ensure
async def test_a_value_that_is_not_accepted_for_sending(served: Served) -> None:
    """A full queue leaves everything as it was, the ETag included; wrong parameters and media types are told."""
    await served.connect("CP1", Keeping(Colour="red"), boot=True)
    await told(served, "?refresh=1")
    await put(served, "Colour", "blue", "?wait=5")
    before = await served.get(f"{CONFIGURATION}/Colour")
    for connection in served.system.chargers.connections():
        served.system.disconnected(connection, None, "")
    for number in range(20):
        assert (await served.command("ClearCache", {})).status == 202, number
    assert (await put(served, "Colour", "green")).slug == "queue-full"
    assert (await put(served, "Other", "green")).slug == "queue-full"
    after = await served.get(f"{CONFIGURATION}/Colour")
    assert (after.json, after.headers["etag"]) == (before.json, before.headers["etag"])
    assert (await served.get(f"{CONFIGURATION}/Other")).status == 404
    assert (await put(served, "Colour", "green", Content_Type="text/plain")).slug == "not-json-type"
    assert (await put(served, "Colour", b"{")).slug == "not-json"
    for query in ("?wait=121", "?refresh=yes", "?keys=", "?keys=,", "?limit=0", f"?keys={'x' * 51}", "?key=A"):
        assert (await served.get(CONFIGURATION + query)).slug == "bad-parameters", query


# What chargers can do


@ensure
async def test_advice_and_capabilities(served: Served) -> None:
    """P-5, P-6, P-4, 4.4, 2.6: advice about intervals and missing keys; profiles are a hint, trimmed, and what lacks is warned
    of, not refused."""
    values = {"WebSocketPingInterval": "600", "TransactionMessageAttempts": "3", "TransactionMessageRetryInterval": "60"}
    profiles = " Core, Smart Charging ,RemoteTrigger"
    charger = Keeping(**values, HeartbeatInterval="90000", NumberOfConnectors="2", SupportedFeatureProfiles=profiles)
    await served.connect("CP1", charger)
    assert (await served.get(CONFIGURATION)).json["advice"] == []
    answer = (await served.get(f"{CONFIGURATION}?refresh=1")).json
    pings, heartbeats, missing = answer["advice"]
    assert pings["keys"] == ["WebSocketPingInterval", "TransactionMessageAttempts", "TransactionMessageRetryInterval"]
    assert heartbeats["keys"] == ["HeartbeatInterval"]
    assert "ConnectionTimeOut" in missing["keys"] and "ChargeProfileMaxStackLevel" in missing["keys"]
    assert not {"HeartbeatInterval", "LocalAuthListEnabled", "BlinkRepeat"} & set(missing["keys"])
    shown = (await served.get("/api/v1/chargers/CP1")).json["capabilities"]
    assert (shown["profiles"], shown["numberOfConnectors"]) == (["Core", "Smart Charging", "RemoteTrigger"], 2)
    assert shown["configurationReadAt"] == answer["readAt"]
    sent = await served.command("GetLocalListVersion", {})
    assert sent.json["warnings"] == ["SupportedFeatureProfiles of the charger lacks LocalAuthListManagement"]
    assert "warnings" not in (await served.command("ClearCache", {}, "?wait=5")).json


@ensure
async def test_actions_that_a_charger_does_not_know(served: Served) -> None:
    """E-3: NotImplemented is remembered, shown and warned of, until the charger boots with another firmware."""
    refuses = True

    def script(call: list[Any]) -> str:
        answer = [4, call[1], "NotImplemented", "", {}] if refuses else [3, call[1], {"status": "Accepted"}]
        return json.dumps(answer)

    link = await served.connect("CP1", script)
    log = {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "http://127.0.0.1/x"}}
    assert (await served.command("GetLog", log, "?wait=5")).slug == "call-error"
    refused = (await served.get("/api/v1/chargers/CP1")).json["capabilities"]["refusedActions"]
    assert [(each["action"], each["code"]) for each in refused] == [("GetLog", "NotImplemented")]
    refuses = False
    again = await served.command("GetLog", log, "?wait=5")
    assert (again.status, len(again.json["warnings"])) == (200, 1)
    assert "capabilities" not in (await served.get("/api/v1/chargers/CP1")).json
    refuses = True
    await served.command("ClearCache", {}, "?wait=5")
    for firmware, remembered in (("1.2", True), ("1.3", False)):
        await boots(link, firmware)
        assert ("capabilities" in (await served.get("/api/v1/chargers/CP1")).json) is remembered


# Unasked


@ensure
async def test_what_was_accepted_is_read_back(asking: Served) -> None:
    """2.4: a charger that accepts a value and keeps another one drifts; a command that nobody desires is not read back."""
    charger = Keeping(Colour="red", Size="1")
    link = await asking.connect("CP1", charger)
    charger.verdicts["Colour"] = {"status": "Accepted", "vendorText": "but no"}
    await put(asking, "Colour", "blue", "?wait=5")
    while await state(asking, "Colour") != "drift":
        pass
    assert charger.asked == [{"key": ["Colour"]}]
    await asking.command("ChangeConfiguration", {"key": "Size", "value": "2"}, "?wait=5")
    await put(asking, "Size", "3", "?wait=5")
    while len(charger.asked) < 2:
        await told(asking)
    assert charger.asked[1:] == [{"key": ["Size"]}] and await state(asking, "Size") == "accepted"
    assert [call[2] for call in link.calls].count("ChangeConfiguration") == 3


@ensure
async def test_nothing_is_read_back_in_quiet_mode(served: Served) -> None:
    """B-8, TC_021: in quiet mode a ChangeConfiguration is followed by nothing."""
    charger = Keeping(MeterValueSampleInterval="900")
    link = await served.connect("CP1", charger)
    assert (await put(served, "MeterValueSampleInterval", "60", "?wait=5")).json["desired"]["state"] == "accepted"
    await served.command("ClearCache", {}, "?wait=5")
    assert [call[2] for call in link.calls] == ["ChangeConfiguration", "ClearCache"]


async def sweep(served: Served, after_ms: int) -> None:
    """Let so much time have passed for those who look what is due; done when the charger has answered what it was asked."""
    (watcher,) = [each for each in served.system._watchers._all if isinstance(each, ConfigurationWatcher)]
    await watcher.sweep(now_ms(served.system._clock) + after_ms)
    while watcher._reading:
        await told(served)


@ensure
async def test_a_charger_is_read_after_its_first_boot(asking: Served) -> None:
    """B-8: a minute after its boot, or ten seconds after its last status, once, and again with another firmware alone."""
    charger = Keeping(A="1")
    link = await asking.connect("CP1", charger)
    await sweep(asking, SETTLING_MS - 5_000)
    assert charger.asked == []
    await sweep(asking, SETTLING_MS + 1)
    assert charger.asked == [{}]
    await boots(link)
    await sweep(asking, SETTLING_MS + 1)
    assert charger.asked == [{}]
    await boots(link, "1.3")
    await link.ask('[2,"s","StatusNotification",{"connectorId":0,"errorCode":"NoError","status":"Available"}]')
    await sweep(asking, 9_000)
    assert charger.asked == [{}]
    await sweep(asking, 11_000)
    assert charger.asked == [{}, {}]
    await sweep(asking, SETTLING_MS + 1)
    assert charger.asked == [{}, {}], "it was claimed, and answered"


@ensure
@pytest.mark.parametrize("setting", [{"quiet": True}, {"read_configuration": False}, {}])
async def test_quiet_mode(setting: dict[str, Any]) -> None:
    """B-8: in quiet mode, or where it is switched off, nothing is asked; nor of a charger that is not accepted any more."""
    served = Served("CP1", **setting)
    try:
        charger = Keeping(A="1")
        link = await served.connect("CP1", charger)
        if not setting:
            assert link.connection is not None
            link.connection.registration = None
        await sweep(served, SETTLING_MS + 1)
        assert charger.asked == []
    finally:
        await served.stop()


@ensure
async def test_an_unknown_outcome_is_read_back(asking: Served) -> None:
    """R-5: where nobody knows whether a charger took a value, it is asked, and the value is accepted, or drifts."""
    charger = Keeping(Colour="red")
    charger.verdicts["Colour"] = None
    link: ScriptedLink = await asking.connect("CP1", charger)
    await sweep(asking, SETTLING_MS + 1)
    sending = ensure_deferred(put(asking, "Colour", "blue", "?wait=5"))
    while not charger.set:
        await told(asking)
    asking.disconnect(link)
    shown = (await sending).json["desired"]
    assert (shown["state"], shown["reason"]) == ("unknown", "unknown")
    charger.values["Colour"] = "blue"
    await asking.connect("CP1", charger)
    await sweep(asking, SETTLING_MS + 1)
    assert await state(asking, "Colour") == "accepted"
