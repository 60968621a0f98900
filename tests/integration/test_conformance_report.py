"""The conformance report and the quarantine by HTTP; repairs that are switched off. docs/http-api.md."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from ocppd.config import Mode, ModelSettings
from ocppd.storage.records.quarantine import QuarantineFilter
from ocppd.v16.repairs import NAMES
from support.rest import ScriptedLink, Served
from support.wire import arrived, booted, refuse_writes, storage_of

ensure = pytest_twisted.ensureDeferred
REPORT = "/api/v1/chargers/CP1/conformance"
QUARANTINE = "/api/v1/quarantine"
NULL_INFO = '[2,"s1","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","info":null}]'


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """A central system with two chargers."""
    running = Served("CP1", "CP2")
    yield running
    await running.stop()


async def reported(served: Served, query: str = "") -> dict[str, Any]:
    """The deviations of CP1, by kind."""
    answer = await served.get(f"{REPORT}{query}")
    assert answer.status == 200, answer.body
    return {each["kind"]: each for each in answer.json["deviations"]}


@ensure
async def test_a_report(served: Served) -> None:
    """E-1, G-5: what was mended is counted by firmware, with its rule, its weight and the raw frame; the worst comes first."""
    link = await served.connect("CP1")
    assert (await served.get(REPORT)).json["deviations"] == []
    assert (await link.ask(NULL_INFO))[2] == {}
    assert (await link.ask(NULL_INFO.replace("s1", "s2")))[2] == {}
    assert (await link.ask('[2,"a","Authorize",{}]'))[0] == 4
    link.tell("{nothing")
    answer = await served.get(REPORT)
    report = answer.json
    assert {name: report[name] for name in ("charger", "vendor", "model", "firmwareVersion", "mode", "repairsOff")} == {
        "charger": "CP1", "vendor": "Acme", "model": "One", "firmwareVersion": "1.2", "mode": "tolerant", "repairsOff": [],
    }  # fmt: skip
    assert [each["kind"] for each in report["deviations"]] == ["frame-unreadable", "missing-member", "null"]
    assert report["quarantine"]["frames"] == 4 and report["quarantine"]["forgotten"] == 0
    null = report["deviations"][2]
    assert (null["severity"], null["rule"], null["count"], null["detail"]) == ("warning", "G-5", 2, "/info")
    assert [(each["version"], each["count"]) for each in null["firmwareVersions"]] == [("1.2", 2)]
    newest, older = null["samples"]
    assert (older["frame"], older["treatment"], older["action"]) == (NULL_INFO, "mended", "StatusNotification")
    fault = {"kind": "null", "code": "TypeConstraintViolation", "pointer": "/info", "repair": "null"}
    assert older["faults"] == [{**fault, "reason": "null is not a value"}]
    listed = (await served.get("/api/v1/messages?charger=CP1&action=StatusNotification")).json["items"]
    assert len(listed) == 2
    assert (await served.get("/api/v1/events?charger=CP1&limit=1&type=messageReceived")).json["items"][0]["id"] == int(
        newest["event"]
    )
    assert (await reported(served, "?samples=0"))["null"]["samples"] == []


@ensure
async def test_counts_go_on_where_samples_end(served: Served) -> None:
    """Of each kind the first frames of a day are kept, and all are counted; another firmware is counted by itself."""
    link = await served.connect("CP1")
    for number in range(8):
        await link.ask(NULL_INFO.replace("s1", f"n{number}"))
    found = await reported(served, "?samples=20")
    assert (found["null"]["count"], len(found["null"]["samples"])) == (8, 5)
    boot = '[2,"again","BootNotification",{"chargePointVendor":"Acme","chargePointModel":"One","firmwareVersion":"2.0"}]'
    await link.ask(boot)
    await link.ask(NULL_INFO.replace("s1", "later"))
    versions = (await reported(served))["null"]["firmwareVersions"]
    assert [(each["version"], each["count"]) for each in versions] == [("1.2", 8), ("2.0", 1)]


@ensure
async def test_the_report_for_a_vendor(served: Served) -> None:
    """As Markdown it is ready for a ticket; what a charger sent cannot end a block or begin a tag."""
    link = await served.connect("CP1")
    hostile = '[2,"x","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available","info":"```<b>","z":1}]'
    await link.ask(hostile)
    link.tell("````\n# Hello")
    answer = await served.get(f"{REPORT}?format=markdown")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    text = answer.body.decode()
    assert text.startswith("# Conformance of CP1 with OCPP 1.6\n\n- Vendor: Acme\n- Model: One\n- Firmware: 1.2\n")
    assert "| unknown member dropped | warning | 1.7 | 1 |" in text
    assert f"````json\n{hostile}\n````" in text
    assert "`````json\n````\n# Hello\n`````" in text
    assert "- /z: not a member of this object" in text
    assert "Nothing was seen" in (await served.get("/api/v1/chargers/CP2/conformance?format=markdown")).body.decode()


@ensure
async def test_secrets_stay_out(served: Served) -> None:
    """Z-7: a frame that names the password's key is kept without its text, however it is spelt; credentials are hidden."""
    link = await served.connect("CP1")
    for text in ('{"key":"AuthorizationKey","value":"hunter2"', '{"\\u0041uthorizationkey":"hunter2"'):
        link.tell(text)
    link.tell('[2,"d","FirmwareStatusNotification",{"status":"Idle","url":"ftp://me:hunter2@host/f"}]')
    link.tell('[3,"ftp:\\/\\/me:hunter2@host')
    link.tell('[3,"x",{"configurationKey":[{"key":"Wifi.Psk","readonly":false,"value":"hunter2"},]}]')
    link.tell('[3,"x",{"configurationKey":[{"value":"hunter2", "key" : "FTP\\u0050wd" "readonly":false}]}]')
    answer = await served.get(QUARANTINE)
    assert len(answer.json["items"]) == 6
    assert b"hunter2" not in answer.body and b"***@host" in answer.body
    assert b"hunter2" not in (await served.get(REPORT)).body


@ensure
async def test_the_quarantine_is_listed(served: Served) -> None:
    """Frames of all chargers are listed newest first, page by page, and by each filter."""
    one, two = await served.connect("CP1"), await served.connect("CP2")
    await one.ask(NULL_INFO)
    await two.ask('[2,"h","Heartbeat",{"extra":1}]')
    await two.ask('[2,"a","Authorize",{"idTag":[]}]')
    first = (await served.get(f"{QUARANTINE}?limit=2")).json
    assert [each["charger"] for each in first["items"]] == ["CP2", "CP2"] and first["next"]
    rest = (await served.get(f"{QUARANTINE}?limit=2&after={first['next']}")).json
    assert [each["charger"] for each in rest["items"]] == ["CP1"] and rest["next"] is None
    for query, count in (
        ("charger=CP1", 1),
        ("charger=CP3", 0),
        ("kind=unknown-member", 1),
        ("kind=unknown", 0),
        ("action=Authorize", 1),
        ("treatment=refused", 1),
        ("treatment=ignored", 0),
        ("since=2020-01-01T00:00:00Z", 3),
        ("until=2020-01-01T00:00:00Z", 0),
    ):
        assert len((await served.get(f"{QUARANTINE}?{query}")).json["items"]) == count, query


@ensure
async def test_what_is_forgotten(served: Served) -> None:
    """DELETE forgets the frames or the counts of one charger."""
    for name in ("CP1", "CP2"):
        await (await served.connect(name)).ask(NULL_INFO)
    deleted = await served.request("DELETE", "/api/v1/chargers/CP1/quarantine")
    assert (deleted.status, deleted.body) == (204, b"")
    assert [each["charger"] for each in (await served.get(QUARANTINE)).json["items"]] == ["CP2"]
    assert (await reported(served))["null"]["count"] == 1
    assert (await served.request("DELETE", REPORT)).status == 204
    assert await reported(served) == {}
    assert len((await served.get("/api/v1/chargers/CP2/conformance")).json["deviations"]) == 1


WRONG = [
    ("GET", "/api/v1/chargers/CP9/conformance", 404, "unknown-charger"),
    ("DELETE", "/api/v1/chargers/CP9/conformance", 404, "unknown-charger"),
    ("DELETE", "/api/v1/chargers/CP9/quarantine", 404, "unknown-charger"),
    ("GET", f"{REPORT}?format=xml", 400, "bad-parameters"),
    ("GET", f"{REPORT}?format=", 400, "bad-parameters"),
    ("GET", f"{REPORT}?samples=-1", 400, "bad-parameters"),
    ("GET", f"{REPORT}?samples=21", 400, "bad-parameters"),
    ("GET", f"{REPORT}?samples=1&samples=1", 400, "bad-parameters"),
    ("DELETE", f"{REPORT}?all=true", 400, "bad-parameters"),
    ("DELETE", "/api/v1/chargers/CP1/quarantine?kind=null", 400, "bad-parameters"),
    ("GET", f"{QUARANTINE}?treatment=lost", 400, "bad-parameters"),
    ("GET", f"{QUARANTINE}?charger=", 400, "bad-parameters"),
    ("GET", f"{QUARANTINE}?since=yesterday", 400, "bad-parameters"),
    ("GET", f"{QUARANTINE}?after=zzz", 400, "bad-parameters"),
    ("GET", f"{QUARANTINE}?limit=501", 400, "bad-parameters"),
    ("GET", "/api/v1/repairs?on=true", 400, "bad-parameters"),
    ("POST", REPORT, 405, "no-such-method"),
    ("PUT", "/api/v1/chargers/CP1/quarantine", 405, "no-such-method"),
    ("DELETE", QUARANTINE, 405, "no-such-method"),
]


@ensure
async def test_wrong_requests(served: Served) -> None:
    """Every wrong name, parameter and method is a problem, and changes nothing."""
    link = await served.connect("CP1")
    await link.ask(NULL_INFO)
    before = (await served.get(REPORT)).json
    for method, path, status, slug in WRONG:
        answer = await served.request(method, path)
        assert (answer.status, answer.slug) == (status, slug), (method, path, answer.body)
        if slug == "bad-parameters":
            assert answer.json["errors"][0]["parameter"], path
    assert (await served.get(REPORT)).json == before


# Switches


async def boot(link: ScriptedLink, vendor: str, model: str) -> None:
    """Boot as this product."""
    frame = f'[2,"{vendor}{model}","BootNotification",{{"chargePointVendor":"{vendor}","chargePointModel":"{model}"}}]'
    assert (await link.ask(frame))[2]["status"] == "Accepted"


def configure(served: Served, **members: Any) -> None:
    """Change the configuration, as SIGHUP does."""
    served.system.reconfigure(replace(served.system.chargers.configuration, **members))


@ensure
async def test_switches(served: Served) -> None:
    """4.4: a repair that is off is a CALLERROR: for all, for a model from its boot on, and the charger has the last word."""
    link = await served.connect("CP1", boot=False)
    configure(
        served,
        repairs=MappingProxyType({"unknown-member": False}),
        models=(
            ModelSettings(vendor="ac*", model="t?o", repairs=MappingProxyType({"null": False})),
            ModelSettings(vendor="*", model="two", repairs=MappingProxyType({"unknown-member": True})),
        ),
    )
    number = 0

    async def status(**members: str) -> Any:
        nonlocal number
        number += 1
        inner = "".join(f',"{name}":{value}' for name, value in members.items())
        frame = f'[2,"n{number}","StatusNotification",{{"connectorId":1,"errorCode":"NoError","status":"Available"{inner}}}]'
        answer = await link.ask(frame)
        return answer[2] if answer[0] == 4 else "taken"

    await boot(link, "Acme", "One")
    assert (await status(info="null"), await status(foo="1")) == ("taken", "FormationViolation")
    await boot(link, "ACME", "Two")
    assert (await status(info="null"), await status(foo="1")) == ("TypeConstraintViolation", "taken")
    assert (await served.get(REPORT)).json["repairsOff"] == ["null"]
    served.disconnect(link)
    settings = served.system.chargers.configuration.chargers["CP1"]
    own = replace(settings, repairs=MappingProxyType({"null": True, "unknown-member": False}))
    configure(served, chargers={"CP1": own})
    link = await served.connect("CP1", boot=False)
    assert (await status(info="null"), await status(foo="1")) == ("taken", "FormationViolation")
    refused = (await served.get(f"{QUARANTINE}?treatment=refused")).json["items"]
    assert [each["kinds"] for each in refused] == [["malformed-payload"], ["wrong-type"], ["malformed-payload"]]
    repairs = {each["repair"]: each for each in (await served.get("/api/v1/repairs")).json["items"]}
    assert tuple(repairs) == NAMES
    assert repairs["unknown-member"]["on"] is False
    assert repairs["unknown-member"]["models"] == [{"vendor": "*", "model": "two", "on": True}]
    assert repairs["null"]["chargers"] == [{"charger": "CP1", "on": True}]
    assert repairs["fill-meter-stop"]["actions"] == ["MeterValues", "StartTransaction", "StopTransaction"]


@ensure
async def test_salvage_is_switched(served: Served) -> None:
    """E-1: what is filled in can be switched off like any other repair; then the member that is missing is told."""
    own = served.system.chargers.configuration.chargers["CP1"]
    configure(served, chargers={"CP1": replace(own, repairs=MappingProxyType({"fill-id-tag": False, "fill-connector": False}))})
    link = await served.connect("CP1")
    start = '[2,"{}","StartTransaction",{{"connectorId":1,"meterStart":1,"timestamp":"2026-03-01T12:00:00Z"}}]'
    answer = await link.ask(start.format("s"))
    assert answer[2] == "OccurenceConstraintViolation" and answer[4]["path"] == "/idTag"
    assert (await reported(served))["missing-member"]["samples"][0]["frame"] == start.format("s")


@ensure
async def test_strict_chargers() -> None:
    """G-0: in strict mode nothing is mended, whatever is switched, and what is refused is in quarantine."""
    served = Served("CP1", mode=Mode.STRICT)
    link = await served.connect("CP1")
    assert (await link.ask(NULL_INFO))[2] == "TypeConstraintViolation"
    assert (await link.ask('[2,"s","StartTransaction",{}]'))[2] == "OccurenceConstraintViolation"
    report = (await served.get(REPORT)).json
    assert (report["mode"], report["quarantine"]["frames"]) == ("strict", 2)
    await served.stop()


# Failing records


@ensure
async def test_counts_survive_an_outage(start: Any, logged_errors: Any) -> None:
    """What was seen while the records are down is added when they are back, frames included."""
    daemon = start()
    peer = await booted(daemon)
    await peer.silence()
    refuse_writes(daemon, True)
    for text in ("{", "{{"):
        peer.send(text)
        await arrived(peer)
        await daemon.central.conformance.flush()
    refuse_writes(daemon, False)
    await daemon.central.conformance.flush()
    records = storage_of(daemon).quarantine
    assert [tally.count for tally in await records.tallies("CP1")] == [2]
    assert [each.quarantined.frame for each in await records.list_frames(QuarantineFilter(), None, 9)] == ["{{", "{"]
    await peer.leave()
    logged_errors.flush()


@ensure
async def test_reports_without_records(served: Served) -> None:
    """Where the records cannot be read a report is 503."""
    await served.storage.stop()
    for path in (REPORT, QUARANTINE):
        answer = await served.get(path)
        assert (answer.status, answer.slug) == (503, "storage-unavailable")


@ensure
async def test_two_reports_at_once(served: Served) -> None:
    """Two readers at the same moment both see everything, and nothing is counted twice."""
    link = await served.connect("CP1")
    link.tell("{")
    link.tell("[]")
    both = await gatherResults([Deferred.fromCoroutine(served.get(REPORT)) for _ in range(4)])
    assert [answer.json["deviations"][0]["count"] for answer in both] == [2, 2, 2, 2]
    assert (await reported(served))["frame-unreadable"]["count"] == 2


@ensure
async def test_counts_are_written_at_the_end(start: Any) -> None:
    """What was counted since the last round is in the records when the daemon has stopped."""
    daemon = start()
    peer = await booted(daemon)
    peer.send("{")
    await arrived(peer)
    await peer.leave()
    await daemon.stop()
    with closing(sqlite3.connect(daemon.directory / "ocppd.sqlite")) as records:
        assert records.execute("SELECT kind, count FROM deviations").fetchall() == [("frame-unreadable", 1)]
        assert records.execute("SELECT frame FROM quarantine").fetchall() == [("{",)]
