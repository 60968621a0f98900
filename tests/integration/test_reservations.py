"""Reservations over HTTP and what chargers make of them. docs/http-api.md; OCPP 1.6 sections 5.1, 5.13."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed

from ocppd.clock import now_ms
from ocppd.config import IdTagSettings
from ocppd.storage.records import IdTag
from ocppd.storage.sql_storage import SqlStorage
from support.rest import Answered, ScriptedLink, Served, silent

ensure = pytest_twisted.ensureDeferred

PATH = "/api/v1/reservations"
TAGS = (
    IdTagSettings(id_tag="GOOD"),
    IdTagSettings(id_tag="CHILD", parent_id_tag="P"),
    IdTagSettings(id_tag="SIBLING", parent_id_tag="P"),
    IdTagSettings(id_tag="STRANGER"),
)
_ids = itertools.count(1)


def in_future(minutes: float = 60) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def wish(**members: Any) -> dict[str, Any]:
    """A body: connector 1 of CP1 for GOOD, for an hour."""
    return {"charger": "CP1", "connectorId": 1, "idTag": "GOOD", "expiryDate": in_future(), **members}


def saying(status: str) -> Any:
    """A charger that answers every call with this status."""
    return lambda call: json.dumps([3, call[1], {"status": status}])


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Two chargers; tags of a group, and others."""
    running = Served("CP1", "CP2", queue=10, id_tags=TAGS)
    yield running
    await running.stop()


async def says(link: ScriptedLink, action: str, **payload: Any) -> Any:
    """The payload that a CALL of the charger is answered with."""
    answer = await link.ask(json.dumps([2, f"r{next(_ids)}", action, payload]))
    assert answer[0] == 3, answer
    return answer[2]


async def status(link: ScriptedLink, text: str, connector_id: int = 1) -> None:
    """A StatusNotification."""
    await says(link, "StatusNotification", connectorId=connector_id, status=text, errorCode="NoError")


async def starts(link: ScriptedLink, id_tag: str = "GOOD", connector_id: int = 1, **members: Any) -> int:
    """The id of a transaction that the charger begins now."""
    now = datetime.now(UTC).isoformat()
    payload = {"connectorId": connector_id, "idTag": id_tag, "meterStart": 5, "timestamp": now, **members}
    return int((await says(link, "StartTransaction", **payload))["transactionId"])


async def reserved(served: Served, **members: Any) -> Any:
    """An active reservation."""
    made = await served.post(f"{PATH}?wait=10&force=true", wish(**members))
    assert (made.status, made.json["state"]) == (200, "active"), made
    return made.json


async def shown(served: Served, made: Any) -> Any:
    """The reservation as it is now."""
    found = await served.get(f"{PATH}/{made['id']}")
    assert found.status == 200, found
    return found.json


async def cancelled(served: Served, made: Any, query: str = "?wait=10") -> Answered:
    return await served.request("DELETE", f"{PATH}/{made['id']}{query}")


async def changes(served: Served) -> list[Any]:
    """What events say of reservations, oldest first."""
    found = (await served.get("/api/v1/events?type=reservationChanged")).json["items"]
    return [{name: each[name] for name in each if name not in ("id", "type", "at")} for each in reversed(found)]


# Made


@ensure
async def test_a_reservation_is_made(served: Served) -> None:
    """RV-01, TC_046: ReserveNow with a positive id and a future expiry in UTC; Accepted makes it active, and it is told of."""
    link = await served.connect("CP1")
    made = await served.post(f"{PATH}?wait=10", wish(expiryDate="2036-03-04T05:06:07+02:00"))
    assert made.status == 200
    assert made.headers["location"] == f"{PATH}/{made.json['id']}"
    (call,) = link.calls
    assert call[1:] == [
        made.json["id"],
        "ReserveNow",
        {"connectorId": 1, "expiryDate": "2036-03-04T03:06:07Z", "idTag": "GOOD", "reservationId": 1},
    ]
    assert {name: value for name, value in made.json.items() if name != "createdAt"} == {
        "id": call[1],
        "charger": "CP1",
        "reservationId": 1,
        "connectorId": 1,
        "idTag": "GOOD",
        "expiryDate": "2036-03-04T03:06:07.000Z",
        "state": "active",
    }
    message = await served.get(f"/api/v1/messages/{call[1]}")
    assert (message.json["action"], message.json["outcome"]) == ("ReserveNow", "Accepted")
    assert await changes(served) == [
        {"charger": "CP1", "reservation": call[1], "reservationId": 1, "state": "active"},
    ]


@pytest.mark.parametrize("answer", ["Faulted", "Occupied", "Unavailable", "Rejected"])
@ensure
async def test_a_reservation_is_refused(served: Served, answer: str) -> None:
    """RV-02, TC_048_1, TC_048_2, TC_048_3, TC_048_4: what the charger refuses is not made, and says why."""
    await served.connect("CP1", saying(answer))
    made = await served.post(f"{PATH}?wait=10", wish())
    assert (made.status, made.json["state"], made.json["status"]) == (200, "refused", answer)
    assert made.json["endedAt"]
    assert (await cancelled(served, made.json)).slug == "conflict"


@ensure
async def test_the_parent_goes_along(served: Served) -> None:
    """RV-03, TC_053: the group of a tag is in its ReserveNow, from the configuration, the records, or as it is asked for."""
    link = await served.connect("CP1")
    recorded = IdTag(key="rec", id_tag="REC", parent="Q", parent_key="q")
    await served.storage.put_id_tag(recorded, None, 1)
    parents = []
    for members in ({"idTag": "child"}, {"idTag": "Rec"}, {"parentIdTag": "OTHER"}, {"idTag": "NOBODY"}):
        made = await reserved(served, **members)
        parents.append(link.calls[-1][3].get("parentIdTag"))
        assert made.get("parentIdTag") == parents[-1]
    assert parents == ["P", "Q", "OTHER", None]


@ensure
async def test_connector_zero(served: Served) -> None:
    """RV-06, TC_049: connector 0 is asked for where the charger is known to support it, or the operator insists."""
    link = await served.connect("CP1")
    refused = await served.post(PATH, wish(connectorId=0))
    assert (refused.status, refused.slug) == (409, "conflict")
    assert "force=true" in refused.json["detail"] and link.calls == []
    known = {"CP1": "True", "CP2": "false"}
    served.system.reservations._known_keys = lambda charger, key: succeed(known[charger])
    assert (await served.post(f"{PATH}?wait=10", wish(connectorId=0))).json["state"] == "active"
    assert link.calls[-1][3]["connectorId"] == 0
    assert (await served.post(PATH, wish(connectorId=0, charger="CP2"))).slug == "conflict"
    assert (await served.post(PATH, wish(connectorId=0, charger="CP2"))).status == 409


@ensure
async def test_numbers_are_given_once(served: Served) -> None:
    """Two operators at once get two numbers, also past one that somebody has chosen; each charger counts for itself."""
    await served.connect("CP1")
    await served.connect("CP2")
    await reserved(served, reservationId=2)
    wishes = [wish(connectorId=1), wish(connectorId=3), wish(connectorId=4, charger="CP2")]
    both = [Deferred.fromCoroutine(served.post(f"{PATH}?wait=10", each)) for each in wishes]
    assert sorted(answer.json["reservationId"] for answer in await gatherResults(both)) == [1, 1, 3]


@ensure
async def test_the_same_id_replaces(served: Served) -> None:
    """5.13: the same id again takes the place of the reservation, and so does another one on its connector."""
    await served.connect("CP1")
    first = await reserved(served, reservationId=7)
    second = await reserved(served, reservationId=7, connectorId=2, idTag="STRANGER")
    third = await reserved(served, connectorId=2)
    anywhere = [await reserved(served, connectorId=0) for _ in range(2)]
    for made in (first, second):
        found = await shown(served, made)
        assert (found["state"], found["reason"]) == ("ended", "replaced")
    assert [(await shown(served, made))["state"] for made in (third, *anywhere)] == ["active"] * 3


@ensure
async def test_one_that_is_refused_replaces_nothing(served: Served) -> None:
    """A charger that refuses to replace a reservation still has it."""
    link = await served.connect("CP1")
    first = await reserved(served, reservationId=7)
    link.script = saying("Occupied")
    assert (await served.post(f"{PATH}?wait=10", wish(reservationId=7))).json["state"] == "refused"
    assert (await shown(served, first))["state"] == "active"


@ensure
async def test_no_answer(served: Served) -> None:
    """A reservation is unknown when the link breaks before the answer; a late answer settles it."""
    link = await served.connect("CP1", silent)
    asked = Deferred.fromCoroutine(served.post(f"{PATH}?wait=30", wish()))
    call = await link.next_frame()
    offered = await served.get(f"{PATH}/{call[1]}")
    assert offered.json["state"] == "requested"
    served.disconnect(link)
    answer = await asked
    assert (answer.status, answer.slug, answer.headers["location"]) == (504, "outcome-unknown", f"{PATH}/{call[1]}")
    assert (await shown(served, offered.json))["state"] == "unknown"
    again = await served.connect("CP1", silent)
    again.tell(json.dumps([3, call[1], {"status": "Accepted"}]))
    await says(again, "Heartbeat")
    message = await served.get(f"/api/v1/messages/{call[1]}?")
    while message.json["state"] == "unknown":
        message = await served.get(f"/api/v1/messages/{call[1]}?")
    assert (await shown(served, offered.json))["state"] == "active"


@ensure
async def test_an_error_is_a_refusal(served: Served) -> None:
    """A CALLERROR makes no reservation, and its code says why; one that was cancelled in the queue has never been."""
    link = await served.connect("CP1", lambda call: json.dumps([4, call[1], "NotSupported", "", {}]))
    made = await served.post(f"{PATH}?wait=10", wish())
    assert (made.status, made.json["ocppErrorCode"]) == (502, "NotSupported")
    found = (await served.get(made.headers["location"])).json
    assert (found["state"], found["status"]) == ("refused", "NotSupported")
    link.script = silent
    waiting = [await served.post(PATH, wish()) for _ in range(2)]
    assert [each.status for each in waiting] == [202, 202]
    taken_back = await served.request("DELETE", f"/api/v1/messages/{waiting[1].json['id']}")
    assert taken_back.status == 200
    found = await shown(served, waiting[1].json)
    assert (found["state"], found["reason"]) == ("ended", "notSent")


@ensure
async def test_the_other_door(served: Served) -> None:
    """A ReserveNow that is sent as a command is a reservation, too."""
    await served.connect("CP1")
    sent = await served.command(
        "ReserveNow", {name: each for name, each in wish(reservationId=9).items() if name != "charger"}, "?wait=10"
    )
    assert sent.status == 200
    found = await served.get(f"{PATH}/{sent.json['messageId']}")
    assert (found.json["state"], found.json["reservationId"]) == ("active", 9)
    cancel = await served.command("CancelReservation", {"reservationId": 9}, "?wait=10")
    assert cancel.json["outcome"] == "Accepted"
    assert (await shown(served, found.json))["state"] == "cancelled"


# Used


@pytest.mark.parametrize(("connector_id", "started_on"), [(1, 1), (0, 2)])
@ensure
async def test_a_reservation_is_used(served: Served, connector_id: int, started_on: int) -> None:
    """ST-15, ST-17, TC_046, TC_049, T-8: a start with the id of a reservation uses it, on its connector or any."""
    link = await served.connect("CP1")
    made = await reserved(served, reservationId=7, connectorId=connector_id)
    await status(link, "Reserved", started_on)
    await status(link, "Preparing", started_on)
    transaction_id = await starts(link, connector_id=started_on, reservationId=7)
    found = await shown(served, made)
    assert (found["state"], found["transactionId"]) == ("used", transaction_id)
    transaction = (await served.get(f"/api/v1/transactions/{transaction_id}")).json
    assert (transaction["reservation"], transaction["reservationId"]) == (made["id"], 7)
    assert (await changes(served))[-1] == {
        "charger": "CP1",
        "reservation": made["id"],
        "reservationId": 7,
        "state": "used",
        "transactionId": transaction_id,
    }


@pytest.mark.parametrize("id_tag", ["P", "SIBLING", "child"])
@ensure
async def test_the_group_uses_a_reservation(served: Served, id_tag: str) -> None:
    """ST-18, TC_053, A-2b: the tag, one of its group, or the group's own tag may start on what was reserved for it."""
    link = await served.connect("CP1")
    made = await reserved(served, idTag="CHILD", reservationId=8)
    assert link.calls[-1][3]["parentIdTag"] == "P"
    transaction_id = await starts(link, id_tag, reservationId=8)
    assert (await shown(served, made))["transactionId"] == transaction_id


UNUSED: dict[str, dict[str, Any]] = {
    "another tag": {"id_tag": "STRANGER", "reservationId": 7},
    "another tag without id": {"id_tag": "STRANGER"},
    "another connector": {"connector_id": 2, "reservationId": 7},
    "another connector without id": {"connector_id": 2},
    "another tag, no such id": {"id_tag": "STRANGER", "reservationId": 4711},
    "another tag, id 0": {"id_tag": "STRANGER", "reservationId": 0},
    "long before": {"timestamp": "2026-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("case", UNUSED)
@ensure
async def test_starts_that_use_nothing(served: Served, case: str) -> None:
    """T-8: a start of another tag, on another connector, or from before uses no reservation, and is answered as ever."""
    link = await served.connect("CP1")
    made = await reserved(served, reservationId=7)
    transaction_id = await starts(link, **UNUSED[case])
    assert (await shown(served, made))["state"] == "active"
    assert "reservation" not in (await served.get(f"/api/v1/transactions/{transaction_id}")).json


@pytest.mark.parametrize("members", [{}, {"reservationId": 0}, {"reservationId": 4711}, {"reservationId": -5}])
@ensure
async def test_a_start_without_the_id_uses_it_too(served: Served, members: dict[str, Any]) -> None:
    """T-8: the tag of a reservation uses it also where the charger sends no id, 0, or one that nobody knows."""
    link = await served.connect("CP1")
    anywhere = await reserved(served, connectorId=0)
    made = await reserved(served)
    transaction_id = await starts(link, "good", **members)
    assert (await shown(served, made))["transactionId"] == transaction_id
    assert (await shown(served, anywhere))["state"] == "active"


@ensure
async def test_a_start_is_told_late(served: Served) -> None:
    """T-8: one that has expired by our clock was used after all, when its charger names it in a start."""
    link = await served.connect("CP1")
    made = await reserved(served, reservationId=7)
    await served.storage.reservations.expire(now_ms(reactor) + 2 * 3_600_000)
    assert (await shown(served, made))["state"] == "expired"
    transaction_id = await starts(link, reservationId=7)
    assert (await shown(served, made))["transactionId"] == transaction_id


# Ended


@ensure
async def test_a_reservation_expires(served: Served) -> None:
    """RV-04, TC_047: when its expiry has passed it is expired by our clock, once, and the charger's Available changes nothing."""
    link = await served.connect("CP1")
    made = await reserved(served)
    await status(link, "Reserved")
    later = now_ms(reactor) + 61 * 60_000
    assert await served.storage.reservations.are_over(now_ms(reactor)) is False
    assert await served.storage.reservations.are_over(later) is True
    await served.system.reservations.sweep(later)
    await served.system.reservations.sweep(later)
    assert (await shown(served, made))["state"] == "expired"
    await status(link, "Available")
    assert [each["state"] for each in await changes(served)] == ["active", "expired"]


@pytest.mark.parametrize(("minutes", "state"), [(0.5, "expired"), (30, "cancelled")])
@ensure
async def test_a_charger_gives_up(served: Served, minutes: float, state: str) -> None:
    """N-6, RV-04: Reserved, then Available: expired about its time, cancelled at the charger before it."""
    link = await served.connect("CP1")
    made = await reserved(served, expiryDate=in_future(minutes))
    await status(link, "Available")
    assert (await shown(served, made))["state"] == "active"
    await status(link, "Reserved")
    await status(link, "Reserved", 2)
    await status(link, "Available", 2)
    assert (await shown(served, made))["state"] == "active"
    await status(link, "Available")
    assert (await shown(served, made))["state"] == state


@ensure
async def test_a_reservation_is_cancelled(served: Served) -> None:
    """RV-05, TC_051: CancelReservation with the charger's id; Accepted cancels it, and then there is nothing to cancel."""
    link = await served.connect("CP1")
    made = await reserved(served)
    answer = await cancelled(served, made)
    assert (answer.status, answer.json["action"], answer.json["outcome"]) == (200, "CancelReservation", "Accepted")
    assert link.calls[-1][3] == {"reservationId": made["reservationId"]}
    assert (await shown(served, made))["state"] == "cancelled"
    assert (await cancelled(served, made)).slug == "conflict"


@ensure
async def test_a_charger_does_not_know_it(served: Served) -> None:
    """RV-05, TC_052: CancelReservation Rejected leaves it as it is, with a flag; it is used all the same."""
    link = await served.connect("CP1")
    made = await reserved(served)
    link.script = saying("Rejected")
    assert (await cancelled(served, made)).json["outcome"] == "Rejected"
    found = await shown(served, made)
    assert (found["state"], found["flags"]) == ("active", ["cancelRejected"])
    await starts(link)
    assert (await shown(served, made))["state"] == "used"


@ensure
async def test_out_of_order(served: Served) -> None:
    """SN-06, N-4: Faulted or Unavailable ends what was reserved on that connector, on connector 0 all, and no charger else's."""
    link, other = await served.connect("CP1"), await served.connect("CP2")
    made = [await reserved(served, connectorId=number) for number in (0, 1, 2, 3)]
    elsewhere = await reserved(served, charger="CP2")
    await status(link, "Faulted", 1)
    await status(link, "Unavailable", 2)
    found = [await shown(served, each) for each in made]
    assert [(each["state"], each.get("reason")) for each in found] == [
        ("active", None),
        ("ended", "Faulted"),
        ("ended", "Unavailable"),
        ("active", None),
    ]
    await status(link, "Unavailable", 0)
    assert {(await shown(served, each))["state"] for each in made} == {"ended"}
    assert (await shown(served, elsewhere))["state"] == "active"
    await status(other, "Faulted", 0)
    assert (await shown(served, elsewhere))["state"] == "ended"


# Lists, restarts, what is wrong


@ensure
async def test_lists(served: Served) -> None:
    """All reservations, newest first, page by page, by what is asked for."""
    await served.connect("CP1")
    await served.connect("CP2", saying("Occupied"))
    for members in ({}, {"connectorId": 2, "idTag": "CHILD"}):
        await reserved(served, **members)
    await served.post(f"{PATH}?wait=10", wish(charger="CP2", idTag="CHILD", reservationId=5))

    async def listed(query: str = "") -> list[Any]:
        items = (await served.get(PATH + query)).json["items"]
        return [(each["charger"], each["connectorId"], each["idTag"]) for each in items]

    assert await listed() == [("CP2", 1, "CHILD"), ("CP1", 2, "CHILD"), ("CP1", 1, "GOOD")]
    assert await listed("?charger=CP1&connectorId=2") == [("CP1", 2, "CHILD")]
    assert await listed("?idTag=child&state=refused") == [("CP2", 1, "CHILD")]
    assert await listed("?reservationId=5") == [("CP2", 1, "CHILD")]
    first = await served.get(f"{PATH}?limit=2")
    rest = await served.get(f"{PATH}?limit=2&after={first.json['next']}")
    assert ([each["idTag"] for each in rest.json["items"]], rest.json["next"]) == (["GOOD"], None)
    for query in ("?state=gone", "?connectorId=-1", "?charger=", "?tag=GOOD", "?after=x"):
        assert (await served.get(PATH + query)).status == 400


@ensure
async def test_a_restart(tmp_path: Path) -> None:
    """Reservations outlive the daemon: after a restart a start uses one, and another one expires."""
    url = f"sqlite:///{tmp_path}/ocppd.sqlite"
    before = Served("CP1", queue=10, id_tags=TAGS, storage=SqlStorage(url, reactor))
    link = await before.connect("CP1")
    made = [await reserved(before, connectorId=number) for number in (1, 2)]
    link.script = silent
    asked = await before.post(PATH, wish(connectorId=3))
    await before.stop()
    after = Served("CP1", queue=10, id_tags=TAGS, storage=SqlStorage(url, reactor))
    try:
        link = await after.connect("CP1")
        transaction_id = await starts(link, reservationId=made[0]["reservationId"])
        assert (await shown(after, made[0]))["transactionId"] == transaction_id
        await after.storage.node_started()
        assert (await shown(after, asked.json))["state"] == "unknown"
        await after.system.reservations.sweep(now_ms(reactor) + 2 * 3_600_000)
        assert [(await shown(after, each))["state"] for each in (made[1], asked.json)] == ["expired", "expired"]
        assert (await reserved(after, connectorId=4))["reservationId"] == 4
    finally:
        await after.stop()


WRONG: dict[str, tuple[Any, list[str]]] = {
    "nothing": ({}, ["/charger", "/connectorId", "/expiryDate", "/idTag"]),
    "types": (
        {"charger": 1, "connectorId": "1", "idTag": 5, "expiryDate": 7, "parentIdTag": [], "reservationId": "x", "more": 1},
        ["/charger", "/connectorId", "/expiryDate", "/idTag", "/more", "/parentIdTag", "/reservationId"],
    ),
    "nulls": (
        dict.fromkeys(("charger", "connectorId", "idTag", "expiryDate", "parentIdTag", "reservationId")),
        ["/charger", "/connectorId", "/expiryDate", "/idTag", "/parentIdTag", "/reservationId"],
    ),
    "empty": (wish(charger="", idTag="", parentIdTag=""), ["/charger", "/idTag", "/parentIdTag"]),
    "long": (wish(idTag="x" * 21, parentIdTag="x" * 21), ["/idTag", "/parentIdTag"]),
    "unprintable": (wish(idTag="x\n", parentIdTag="\u202e"), ["/idTag", "/parentIdTag"]),
    "negative": (wish(connectorId=-1, reservationId=-1), ["/connectorId", "/reservationId"]),
    "id 0": (wish(reservationId=0), ["/reservationId"]),
    "beyond": (wish(connectorId=2**31, reservationId=2**31), ["/connectorId", "/reservationId"]),
    "fraction": (wish(connectorId=1.5, reservationId=True), ["/connectorId", "/reservationId"]),
    "no date": (wish(expiryDate="tomorrow"), ["/expiryDate"]),
    "past": (wish(expiryDate="2020-01-01T00:00:00Z"), ["/expiryDate"]),
    "past and more": (wish(expiryDate="2020-01-01T00:00:00Z", idTag=""), ["/expiryDate", "/idTag"]),
}


@pytest.mark.parametrize("case", WRONG)
@ensure
async def test_wrong_bodies(served: Served, case: str) -> None:
    """Every member that is wrong is told by its pointer; nothing is sent or kept."""
    link = await served.connect("CP1")
    body, expected = WRONG[case]
    answer = await served.post(PATH, body)
    assert (answer.status, answer.slug) == (422, "invalid-payload")
    assert sorted(error["pointer"] for error in answer.json["errors"]) == expected
    assert link.calls == [] and (await served.get(PATH)).json["items"] == []


@ensure
async def test_wrong_requests(served: Served) -> None:
    """Chargers and reservations that are not there, a charger that is away, and unknown parameters are refused."""
    assert (await served.post(PATH, wish(charger="NOBODY"))).slug == "unknown-charger"
    assert (await served.post(PATH, wish())).slug == "not-connected"
    assert (await served.post(PATH, [])).slug == "invalid-payload"
    assert (await served.post(PATH, b"{")).slug == "not-json"
    assert (await served.post(f"{PATH}?wait=x", wish())).slug == "bad-parameters"
    assert (await served.post(f"{PATH}?force=1", wish())).slug == "bad-parameters"
    for method in ("GET", "DELETE"):
        answer = await served.request(method, f"{PATH}/nothing")
        assert (answer.status, answer.slug) == (404, "not-found")
    assert (await served.get(PATH)).json["items"] == []
