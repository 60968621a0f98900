"""Chargers that operators enter over HTTP, beside those of configs.json, and unknown ones. docs/http-api.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from support.central import Running, chargers
from support.certification import http
from support.peer import connect, handshake, within
from support.rest import Answered, Served, silent
from support.wire import booted

ensure = pytest_twisted.ensureDeferred

CHARGERS = "/api/v1/chargers"
UNKNOWN = "/api/v1/unknown-chargers"
OFFER = "Sec-WebSocket-Protocol: ocpp1.6"
WHOLE: dict[str, Any] = {
    "tags": ["north", "depot 7"],
    "registration": "Pending",
    "heartbeatInterval": 600,
    "retryInterval": 30,
    "mode": "strict",
    "assumeSubprotocol": True,
    "callTimeout": 12.5,
    "pingInterval": 0,
    "quiet": True,
    "acceptWithoutBoot": True,
    "readConfiguration": False,
    "spreadHeartbeats": False,
    "supplyVoltage": 400,
    "supplyPhases": 1,
    "serialNumber": "S-1",
    "certificatePolicy": "manual",
    "certificateName": "any",
    "repairs": {"null": False},
}


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """One charger in the configuration."""
    running = Served("CP1")
    yield running
    await running.stop()


async def change(served: Served, method: str, path: str, body: Any = None, **headers: str) -> Answered:
    """A request with a JSON body, where there is one."""
    data = b"" if body is None else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await served.request(method, path, data, {**({"Content-Type": "application/json"} if data else {}), **given})


@ensure
async def test_a_charger_is_entered_changed_and_deleted(served: Served) -> None:
    """PUT makes a charger with all its settings, changes it whole, and DELETE ends it; each version has an entity tag."""
    made = await change(served, "PUT", f"{CHARGERS}/New%201", WHOLE)
    assert (made.status, made.headers["location"]) == (201, f"{CHARGERS}/New%201")
    assert made.json == {"name": "New 1", "source": "records", **WHOLE}
    assert served.system.chargers.configured("New 1").supply_voltage_v == 400
    assert (await served.get(f"{CHARGERS}/New%201")).json["tags"] == WHOLE["tags"]
    read = await served.get(f"{CHARGERS}/New%201/settings")
    assert (read.json, read.headers["etag"]) == (made.json, made.headers["etag"])
    same = await served.get(f"{CHARGERS}/New%201/settings", **{"If-None-Match": made.headers["etag"]})
    assert same.status == 304
    changed = await change(served, "PUT", f"{CHARGERS}/New%201", {"mode": "strict"}, If_Match=made.headers["etag"])
    assert changed.status == 200
    assert (changed.json["mode"], changed.json["heartbeatInterval"], changed.json["tags"]) == ("strict", 300, [])
    stale = await change(served, "PUT", f"{CHARGERS}/New%201/settings", {}, If_Match=made.headers["etag"])
    assert (stale.status, stale.slug) == (412, "precondition-failed")
    assert (await change(served, "DELETE", f"{CHARGERS}/New%201", If_Match=made.headers["etag"])).status == 412
    assert (await change(served, "DELETE", f"{CHARGERS}/New%201", If_Match=changed.headers["etag"])).status == 204
    assert (await served.get(f"{CHARGERS}/New%201")).status == 404
    assert (await change(served, "DELETE", f"{CHARGERS}/New%201")).status == 404
    again = await change(served, "POST", CHARGERS, {"name": "New 1"})
    assert again.status == 201
    assert again.headers["etag"] > changed.headers["etag"]
    assert (await change(served, "POST", CHARGERS, {"name": "New 1"})).slug == "conflict"
    assert (await change(served, "PUT", f"{CHARGERS}/X", {}, If_None_Match="*")).status == 201
    assert (await change(served, "PUT", f"{CHARGERS}/X", {}, If_None_Match="*")).status == 412
    events = (await served.get("/api/v1/events?type=chargerChanged&charger=New%201")).json["items"]
    assert [event["change"] for event in reversed(events)] == ["created", "updated", "deleted", "created"]


@ensure
async def test_chargers_of_the_configuration_come_first(served: Served) -> None:
    """A charger of configs.json is changed there: 409, and nothing is changed; its settings can be read."""
    for method, path, body in (
        ("PUT", f"{CHARGERS}/CP1", {}),
        ("PUT", f"{CHARGERS}/CP1/settings", {}),
        ("DELETE", f"{CHARGERS}/CP1", None),
        ("POST", CHARGERS, {"name": "CP1"}),
        ("POST", f"{UNKNOWN}/CP1/approve", {}),
    ):
        assert (await change(served, method, path, body)).slug == "charger-in-configuration", (method, path)
    read = (await served.get(f"{CHARGERS}/CP1/settings")).json
    assert (read["source"], read["heartbeatInterval"]) == ("configuration", 10)
    assert "password" not in str(read).lower()


BAD: tuple[tuple[Any, str], ...] = (
    ({"tags": "x"}, "/tags"),
    ({"tags": [1]}, "/tags/0"),
    ({"tags": ["a", "a"]}, "/tags/1"),
    ({"tags": [""]}, "/tags/0"),
    ({"tags": ["x" * 51]}, "/tags/0"),
    ({"tags": [str(number) for number in range(21)]}, "/tags"),
    ({"registration": "Perhaps"}, "/registration"),
    ({"heartbeatInterval": 9}, "/heartbeatInterval"),
    ({"heartbeatInterval": True}, "/heartbeatInterval"),
    ({"heartbeatInterval": 60.5}, "/heartbeatInterval"),
    ({"retryInterval": 0}, "/retryInterval"),
    ({"mode": None}, "/mode"),
    ({"mode": "lax"}, "/mode"),
    ({"assumeSubprotocol": 1}, "/assumeSubprotocol"),
    ({"callTimeout": 0}, "/callTimeout"),
    ({"callTimeout": "5"}, "/callTimeout"),
    ({"pingInterval": 0.5}, "/pingInterval"),
    ({"quiet": "yes"}, "/quiet"),
    ({"supplyPhases": 4}, "/supplyPhases"),
    ({"serialNumber": "x" * 26}, "/serialNumber"),
    ({"serialNumber": "a\nb"}, "/serialNumber"),
    ({"certificatePolicy": "never"}, "/certificatePolicy"),
    ({"repairs": []}, "/repairs"),
    ({"repairs": {"magic": True}}, "/repairs/magic"),
    ({"repairs": {"null": 1}}, "/repairs/null"),
    ({"password": "secret"}, "/password"),
    ({"authorization": "x"}, "/authorization"),
    ({"name": "other"}, "/name"),
)


@ensure
async def test_bad_chargers(served: Served) -> None:
    """What a charger cannot be is 422 with the place of each fault, and nothing is entered."""
    for body, pointer in BAD:
        refused = await change(served, "PUT", f"{CHARGERS}/New", body)
        assert (refused.status, refused.slug) == (422, "invalid-payload"), body
        assert [error["pointer"] for error in refused.json["errors"]] == [pointer], body
    several = await change(served, "PUT", f"{CHARGERS}/New", {"mode": 1, "quiet": 2, "x": 3})
    assert [error["pointer"] for error in several.json["errors"]] == ["/mode", "/quiet", "/x"]
    assert (await change(served, "PUT", f"{CHARGERS}/New", [1])).status == 422
    assert (await change(served, "PUT", f"{CHARGERS}/New?x=1", {})).status == 400
    assert (await served.get(f"{CHARGERS}/New")).status == 404


@pytest.mark.parametrize("name", ["a/b", "a\\b", ".", "..", "", "a\x01b", "x" * 256, 7, None])
@ensure
async def test_u_3_names_that_cannot_be(served: Served, name: Any) -> None:
    """U-3: a name that no URL can carry is 422."""
    refused = await change(served, "POST", CHARGERS, {"name": name})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/name")


@ensure
async def test_filters_of_the_list(served: Served) -> None:
    """The list is filtered by tag, status of a connector and the time a charger was last seen, page by page."""
    for name, tags in (("A", ["x"]), ("B", ["x", "y"]), ("C", [])):
        await change(served, "PUT", f"{CHARGERS}/{name}", {"tags": tags})
    link = await served.connect("B", silent)
    await link.ask('[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging"}]')
    gone = await served.connect("A", silent)
    served.disconnect(gone)
    for query, names in (
        ("tag=x", ["A", "B"]),
        ("tag=y", ["B"]),
        ("tag=z", []),
        ("status=Charging", ["B"]),
        ("status=Available", []),
        ("lastSeenSince=2026-01-01T00:00:00Z", ["A", "B"]),
        ("lastSeenUntil=2026-01-01T00:00:00Z", []),
        ("lastSeenUntil=2036-01-01T00:00:00Z", ["A", "B"]),
        ("tag=x&connected=false", ["A"]),
    ):
        found = await served.get(f"{CHARGERS}?{query}")
        assert [each["name"] for each in found.json["items"]] == names, query
    first = (await served.get(f"{CHARGERS}?tag=x&limit=1")).json
    second = (await served.get(f"{CHARGERS}?tag=x&limit=1&after={first['next']}")).json
    assert [each["name"] for each in (*first["items"], *second["items"])] == ["A", "B"]
    for query in ("status=charging", "lastSeenSince=yesterday", "tag="):
        assert (await served.get(f"{CHARGERS}?{query}")).status == 400, query


@ensure
async def test_hs_10_an_unknown_charger_is_approved(start: Any) -> None:
    """HS-10, H-5: an unknown identity is listed, approved with its password, and comes in; another one is forgotten."""
    daemon = start()
    for name in ("STRANGER", "PASSER"):
        assert (await handshake(daemon.port, f"/ocppj/1.6/{name}", OFFER)).status == 404
    listed = (await http(daemon.port, "GET", UNKNOWN)).json["items"]
    assert [(each["name"], each["attempts"]) for each in listed] == [("PASSER", 1), ("STRANGER", 1)]
    assert (await http(daemon.port, "DELETE", f"{UNKNOWN}/PASSER")).status == 204
    assert (await http(daemon.port, "DELETE", f"{UNKNOWN}/PASSER")).status == 404
    assert (await http(daemon.port, "POST", f"{UNKNOWN}/PASSER/approve", {})).status == 404
    refused = await http(daemon.port, "POST", f"{UNKNOWN}/STRANGER/approve", {"password": "hex:0", "mode": 1})
    assert [error["pointer"] for error in refused.json["errors"]] == ["/password", "/mode"]
    body = {"password": "a good secret", "tags": ["new"]}
    approved = await http(daemon.port, "POST", f"{UNKNOWN}/STRANGER/approve", body)
    assert (approved.status, approved.json["tags"]) == (201, ["new"])
    assert b"good secret" not in approved.body
    assert (await http(daemon.port, "GET", UNKNOWN)).json["items"] == []
    assert (await handshake(daemon.port, "/ocppj/1.6/STRANGER", OFFER)).status == 401
    peer = await connect(daemon.port, "/ocppj/1.6/STRANGER", password=b"a good secret")
    assert (await peer.boot())["status"] == "Accepted"
    await peer.leave()
    assert (await http(daemon.port, "POST", f"{UNKNOWN}/STRANGER/approve", body)).status == 409


@ensure
async def test_entries_outlive_a_restart_and_a_reload(start: Any) -> None:
    """An entry is there before the port of the next run is served, and configs.json may be read again meanwhile."""
    daemon: Running = start()
    await http(daemon.port, "PUT", f"{CHARGERS}/Kept", {"heartbeatInterval": 77})
    await http(daemon.port, "PUT", f"{CHARGERS}/Gone", {})
    await http(daemon.port, "DELETE", f"{CHARGERS}/Gone")
    daemon.configure(chargers("CP1", "CP2"))
    daemon.service.reload()
    assert {"CP1", "CP2", "Kept"} <= set(daemon.central.chargers.names())
    await daemon.stop()
    again = Running(daemon.directory, chargers("CP1"), database=daemon.settings.database).start()
    try:
        assert again.central.chargers.names() == ["CP1", "Kept"]
        assert again.central.chargers.configured("Kept").heartbeat_interval_s == 77
    finally:
        await again.stop()


@ensure
async def test_a_deleted_charger_is_closed(start: Any) -> None:
    """Deleting a charger closes its connection; its history stays, and the same name may be entered again."""
    daemon = start()
    await http(daemon.port, "PUT", f"{CHARGERS}/Short", {})
    peer = await booted(daemon, "Short")
    assert (await http(daemon.port, "DELETE", f"{CHARGERS}/Short")).status == 204
    assert await within(peer.closed) == 1008
    assert (await handshake(daemon.port, "/ocppj/1.6/Short", OFFER)).status == 404
    messages = (await http(daemon.port, "GET", "/api/v1/messages?charger=Short")).json["items"]
    assert "BootNotification" in [each["action"] for each in messages]


@ensure
async def test_other_nodes_learn_of_changes(served: Served) -> None:
    """What another node entered or deleted holds here once this node has looked at the records (every few seconds)."""
    records = served.system.registry.records
    await records.put("Elsewhere", '{"tags":["far"],"newer":1}', None, 1)
    assert not served.system.chargers.knows("Elsewhere")
    await served.system.registry.sweep(0)
    assert served.system.chargers.configured("Elsewhere").tags == ("far",)
    link = await served.connect("Elsewhere", silent)
    await records.delete("Elsewhere", None, 2)
    await served.system.registry.sweep(0)
    assert link.closed == [1008]


@ensure
async def test_a_flood_of_unknown_names_costs_little(served: Served) -> None:
    """H-5: of a flood of names only so many are recorded, and those that nobody saw for longest make room."""
    for number in range(1000):
        served.system.chargers.refused(f"N{number}", "192.0.2.9")
    found = await served.system.registry.unknown("", 500)
    assert len(found) == 200
