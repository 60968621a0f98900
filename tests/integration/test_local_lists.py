"""Local authorization lists: what operators want, what is sent, and what chargers hold. docs/http-api.md; OCPP 1.6 5.10, 5.15."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
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
from support.local_list import ListKeeper
from support.rest import Answered, Served

ensure = pytest_twisted.ensureDeferred

PATH = "/api/v1/chargers/CP1/local-list"
_ids = itertools.count(1)


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Two chargers, a tag in the configuration."""
    running = Served("CP1", "CP2", queue=10, id_tags=(IdTagSettings(id_tag="CONF", parent_id_tag="Fleet"),))
    yield running
    await running.stop()


async def put(served: Served, body: Any, query: str = "?wait=20", **headers: str) -> Answered:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await served.request("PUT", PATH + query, data, {"Content-Type": "application/json", **given})


async def wanted(served: Served, *tags: str, **members: Any) -> Any:
    """Have the list hold these tags; gives the list when it was seen to."""
    answer = await put(served, {"entries": [{"idTag": tag} for tag in tags], **members})
    assert answer.status in (200, 201), answer
    return answer.json


async def shown(served: Served) -> Any:
    found = await served.get(PATH)
    assert found.status == 200, found
    return found.json


async def swept(served: Served, later_ms: int = 0) -> Any:
    """The list after a look at what is due, now or later, and at the tags."""
    served.system.local_lists._followed_ms = 0
    await served.system.local_lists.sweep(now_ms(reactor) + later_ms)
    await served.system.local_lists.wait("CP1", 20)
    return await shown(served)


async def until(served: Served, condition: Callable[[], bool]) -> None:
    """Requests go to and fro until it holds."""
    for _ in range(1000):
        if condition():
            return
        await served.get("/healthz")
    raise AssertionError("it did not come to that")


async def synced(served: Served, body: Any = None) -> Answered:
    return await served.post(f"{PATH}/sync?wait=20", body)


async def changes(served: Served) -> list[str]:
    """The states that events tell of, oldest first."""
    found = (await served.get("/api/v1/events?type=localListChanged")).json["items"]
    return [each["state"] for each in reversed(found)]


# Versions


@pytest.mark.parametrize(
    ("version", "state"), [(-1, "unsupported"), (0, "inSync"), (5, "inSync")], ids=["unsupported", "empty", "5"]
)
@ensure
async def test_versions(served: Served, version: int, state: str) -> None:
    """LL-01, TC_042_1, TC_042_2: what the charger tells is shown; -1 is no support; else higher versions are sent."""
    keeper = ListKeeper()
    keeper.version = version
    await served.connect("CP1", keeper)
    told = await served.command("GetLocalListVersion", {}, "?wait=10")
    assert told.json["response"] == {"listVersion": version}
    found = await shown(served)
    assert (found["state"], found["chargerVersion"]) == ("unmanaged", version)
    assert "wanted" not in found and "etag" not in (await served.get(PATH)).headers
    keeper.list.version, keeper.version = max(version, 0), version if version < 0 else None
    made = await wanted(served, "A")
    assert made["state"] == state
    assert [each[1] for each in keeper.kinds] == ([] if version < 0 else [version + 1])
    assert await changes(served) == [state]


@ensure
async def test_versions_as_chargers_write_them(served: Served) -> None:
    """LL-01, L-6: a version that is read kindly counts; an answer without one puts the list off, and is told of as ever."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    answers = iter(['{"listVersion":"5"}', '{"listVersion":5.0,"more":1}', '{"listVersion":"x"}', "{}"])
    link.script = lambda call: f'[3,"{call[1]}",{next(answers)}]'
    for version in (5, 5):
        await served.command("GetLocalListVersion", {}, "?wait=10")
        assert (await shown(served))["chargerVersion"] == version
    assert (await served.command("GetLocalListVersion", {}, "?wait=10")).slug == "invalid-response"
    made = await wanted(served, "A")
    assert (made["state"], made["chargerVersion"]) == ("behind", 5)
    assert "no valid response" in made["detail"] and made["nextAttempt"]
    link.script = keeper
    assert (await synced(served)).json["state"] == "inSync"


# Full and differential


@ensure
async def test_a_full_list(served: Served) -> None:
    """LL-02, TC_043_4, L-1, L-2, L-4: the first list is full, each entry with its info, its version above 0; then confirmed."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    entries = [
        {"idTag": "A"},
        {"idTag": "b", "status": "Blocked", "parentIdTag": "Fleet"},
        {"idTag": "C", "status": "Expired", "expiryDate": "2040-01-01T00:00:00+01:00"},
    ]
    made = await put(served, {"entries": entries})
    assert (made.status, made.json["state"], made.json["confirmedVersion"], made.json["confirmedEntries"]) == (
        201,
        "inSync",
        1,
        3,
    )
    assert [call[2] for call in link.calls] == ["GetLocalListVersion", "SendLocalList"]
    assert keeper.sent == [
        {
            "listVersion": 1,
            "updateType": "Full",
            "localAuthorizationList": [
                {"idTag": "A", "idTagInfo": {"status": "Accepted"}},
                {"idTag": "b", "idTagInfo": {"status": "Blocked", "parentIdTag": "Fleet"}},
                {"idTag": "C", "idTagInfo": {"status": "Expired", "expiryDate": "2037-12-31T23:59:59Z"}},
            ],
        }
    ]
    assert made.json["wanted"]["entries"][1] == {"idTag": "b", "status": "Blocked", "parentIdTag": "Fleet"}
    assert await changes(served) == ["inSync"]
    assert (await swept(served))["state"] == "inSync" and len(link.calls) == 2


@ensure
async def test_a_differential(served: Served) -> None:
    """LL-03, TC_043_5, L-2, L-6: of a confirmed list just what has changed is sent, after a look at the version."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    await wanted(served, "A", "B", "C")
    for _ in range(2):  # up to version 3
        await synced(served, {"full": True})
    made = await wanted(served, "a", "C", "D")
    assert (made["state"], made["confirmedVersion"]) == ("inSync", 4)
    assert keeper.asked == 4
    assert keeper.sent[-1] == {
        "listVersion": 4,
        "updateType": "Differential",
        "localAuthorizationList": [{"idTag": "B"}, {"idTag": "D", "idTagInfo": {"status": "Accepted"}}],
    }
    assert keeper.tags == dict.fromkeys("acd", "Accepted")
    only_new = await wanted(served, "a", "C", "D", "E")
    assert only_new["confirmedVersion"] == 5
    assert keeper.sent[-1]["localAuthorizationList"] == [{"idTag": "E", "idTagInfo": {"status": "Accepted"}}]


@pytest.mark.parametrize("refusal", ["VersionMismatch", "Failed"])
@ensure
async def test_a_differential_is_refused(served: Served, refusal: str) -> None:
    """LL-04, L-5: a differential that is refused is followed by a full list with a higher version."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    await wanted(served, "A")
    keeper.instead = [refusal]
    made = await wanted(served, "A", "B")
    assert made["state"] == "inSync"
    assert keeper.kinds == [("Full", 1, 1), ("Differential", 2, 1), ("Full", 3, 2)]


@ensure
async def test_a_full_list_is_refused(served: Served) -> None:
    """LL-04, TC_043_3, L-5: Failed on a full list stops, and is told; an operator may have it tried again."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    await wanted(served, "A")
    keeper.instead = ["VersionMismatch", "Failed"]
    made = await wanted(served, "A", "B")
    assert made["state"] == "failed" and "Failed to a Full list of version 3" in made["detail"]
    assert await changes(served) == ["inSync", "failed"]
    before = len(link.calls)
    assert (await swept(served, 10**9))["state"] == "failed" and len(link.calls) == before
    again = await synced(served)
    assert (again.status, again.json["state"], "detail" in again.json) == (200, "inSync", False)
    assert keeper.kinds[-1] == ("Full", 4, 2)


@pytest.mark.parametrize("portion", [2, 3])
@ensure
async def test_portions_that_are_always_refused(served: Served, portion: int) -> None:
    """L-5: a charger that takes full lists and no differential after them is not sent them for ever."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    keeper.instead = ["as it should be", "Failed"] * portion
    made = await wanted(served, "A", "B", "C", sendLimit=1)
    assert made["state"] == "failed"
    assert [kind for kind, _, _ in keeper.kinds] == ["Full", "Differential"] * 2


@pytest.mark.parametrize(
    "answer", ["NotSupported", lambda call: json.dumps([4, call[1], "NotImplemented", "", {}])], ids=["status", "error"]
)
@ensure
async def test_no_support(served: Served, answer: Any) -> None:
    """LL-05, TC_043_1, L-5: NotSupported makes the list unsupported, and nothing more is sent."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    keeper.instead = [answer]
    assert (await wanted(served, "A"))["state"] == "unsupported"
    assert (await swept(served, 10**9))["state"] == "unsupported" and len(link.calls) == 2
    assert await changes(served) == ["unsupported"]
    assert (await synced(served)).json["state"] == "inSync", "somebody has switched it on"


@ensure
async def test_no_version(served: Served) -> None:
    """LL-01, LL-05: a charger that does not know GetLocalListVersion has no local list."""
    await served.connect("CP1", lambda call: json.dumps([4, call[1], "NotImplemented", "", {}]))
    made = await wanted(served, "A")
    assert made["state"] == "unsupported" and "GetLocalListVersion" in made["detail"]


@ensure
async def test_portions(served: Served) -> None:
    """LL-06, L-3: 250 tags are a full list of 100 and differentials of 100 and 50; what follows comes in portions, too."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    many = [f"T{number}" for number in range(250)]
    made = await wanted(served, *many)
    assert keeper.kinds == [("Full", 1, 100), ("Differential", 2, 100), ("Differential", 3, 50)]
    assert (made["state"], made["confirmedVersion"], made["confirmedEntries"]) == ("inSync", 3, 250)
    assert keeper.asked == 1 and len(keeper.tags) == 250
    await wanted(served, *many[200:], "NEW", sendLimit=150)
    assert keeper.kinds[3:] == [("Differential", 4, 150), ("Differential", 5, 51)]
    assert keeper.tags == {tag.lower(): "Accepted" for tag in (*many[200:], "NEW")}


@ensure
async def test_limits_of_the_charger(served: Served) -> None:
    """L-3: the charger's SendLocalListMaxLength is kept to, and a list beyond its LocalAuthListMaxLength is not sent."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    known = {"SendLocalListMaxLength": "2", "LocalAuthListMaxLength": "3"}
    served.system.local_lists._known_keys = lambda charger, key: succeed(known[key])
    await wanted(served, "A", "B", "C")
    assert [count for _, _, count in keeper.kinds] == [2, 1]
    before = len(link.calls)
    made = await wanted(served, "A", "B", "C", "D")
    assert (made["state"], made["detail"]) == ("failed", "the list has 4 entries, and the charger takes 3")
    assert len(link.calls) == before


@pytest.mark.parametrize("version", [None, 0])
@ensure
async def test_an_empty_list(served: Served, version: int | None) -> None:
    """L-1, L-2: an empty list is a full one without entries; the charger may call it 0, and versions go on growing."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    await wanted(served, "A", "B")
    assert (await wanted(served))["state"] == "inSync"
    assert keeper.sent[-1] == {"listVersion": 2, "updateType": "Full"}
    keeper.version = version
    assert (await synced(served)).json["confirmedEntries"] == 0
    assert len(keeper.sent) == 2
    assert (await served.request("DELETE", PATH)).status == 204
    await wanted(served, "C")
    assert keeper.kinds[-1] == ("Differential", 3, 1)


# Surprises


@ensure
async def test_another_version(served: Served) -> None:
    """L-6: a charger with another version than ours, lost or changed by somebody, is sent a full list above both."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    await wanted(served, "A")
    keeper.list.version = 77
    await wanted(served, "A", "B")
    assert keeper.kinds[-1] == ("Full", 78, 2)
    keeper.list = type(keeper.list)(10_000)
    told = await served.command("GetLocalListVersion", {}, "?wait=10")
    assert told.json["response"] == {"listVersion": 0}
    assert (await shown(served))["state"] == "behind", "it was in sync, and the charger tells otherwise"
    assert (await swept(served))["state"] == "inSync"
    assert keeper.kinds[-1] == ("Full", 79, 2)


@pytest.mark.parametrize("arrived", [True, False])
@ensure
async def test_the_link_breaks(served: Served, arrived: bool) -> None:
    """L-5, R-5: after a lost link the charger is asked for its version; what arrived is not sent again, what did not is."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    await wanted(served, "A")
    keeper.instead, keeper.applies = [None], arrived
    asked = Deferred.fromCoroutine(put(served, {"entries": [{"idTag": "A"}, {"idTag": "B"}]}))
    await until(served, lambda: len(keeper.sent) == 2)
    assert (await shown(served))["state"] == "sending"
    served.disconnect(link)
    assert (await asked).json["state"] == "behind"
    await served.connect("CP1", keeper)
    assert (await swept(served))["state"] == "inSync"
    assert keeper.kinds[1:] == [("Differential", 2, 1)] + ([] if arrived else [("Differential", 3, 1)])
    assert keeper.tags == {"a": "Accepted", "b": "Accepted"}


@ensure
async def test_a_conflict(served: Served) -> None:
    """N-8: LocalListConflict on connector 0 has the full list sent again, at most every ten minutes."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    await wanted(served, "A")

    async def conflict(connector_id: int = 0) -> None:
        status = {"connectorId": connector_id, "status": "Available", "errorCode": "LocalListConflict"}
        await link.ask(json.dumps([2, f"c{next(_ids)}", "StatusNotification", status]))

    await conflict(1)
    assert (await swept(served))["state"] == "inSync" and len(keeper.sent) == 1
    await conflict()
    assert (await swept(served))["state"] == "inSync"
    assert keeper.kinds[1:] == [("Full", 2, 1)]
    await conflict()
    await conflict()
    assert (await swept(served))["state"] == "behind" and len(keeper.sent) == 2


@ensure
async def test_the_other_door(served: Served) -> None:
    """A SendLocalList that somebody sends as a command is known, too, and what is wanted is brought back."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    by_hand = {
        "listVersion": 9,
        "updateType": "Full",
        "localAuthorizationList": [{"idTag": "X", "idTagInfo": {"status": "Accepted"}}],
    }
    await served.command("SendLocalList", by_hand, "?wait=10")
    found = await shown(served)
    assert (found["state"], found["confirmedVersion"], found["confirmedEntries"]) == ("unmanaged", 9, 1)
    await wanted(served, "A")
    assert keeper.kinds[-1] == ("Differential", 10, 2)
    await served.command("SendLocalList", by_hand | {"listVersion": 20}, "?wait=10")
    assert (await shown(served))["state"] == "behind"
    assert (await swept(served))["state"] == "inSync"
    assert keeper.tags == {"a": "Accepted"} and keeper.kinds[-1] == ("Differential", 21, 2)


@ensure
async def test_away(served: Served) -> None:
    """A list is kept for a charger that is away, and seen to when it is here and registered."""
    made = await put(served, {"entries": [{"idTag": "A"}]})
    assert (made.status, made.json["state"]) == (201, "behind")
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper, boot=False)
    assert (await swept(served))["state"] == "behind"
    served.disconnect(link)
    await served.connect("CP1", keeper)
    assert (await swept(served))["state"] == "inSync"


@ensure
async def test_a_restart(tmp_path: Path) -> None:
    """What a stopped daemon had begun is gone on with after its restart, from what is on record and what the charger tells."""
    url = f"sqlite:///{tmp_path}/ocppd.sqlite"
    before = Served("CP1", queue=10, storage=SqlStorage(url, reactor))
    keeper = ListKeeper()
    await before.connect("CP1", keeper)
    await wanted(before, "A")
    keeper.instead, keeper.applies = ["as it should be", None], True
    many = [f"T{number}" for number in range(5)]
    asked = Deferred.fromCoroutine(wanted(before, *many, sendLimit=3))
    await until(before, lambda: len(keeper.sent) == 3)
    await before.stop()
    await asked
    after = Served("CP1", queue=10, storage=SqlStorage(url, reactor))
    try:
        await after.storage.node_started()
        await after.connect("CP1", keeper)
        assert (await swept(after))["state"] == "inSync"
        assert keeper.tags == {tag.lower(): "Accepted" for tag in many}
        assert [kind for kind, _, _ in keeper.kinds] == ["Full", "Differential", "Differential"]
    finally:
        await after.stop()


# Following id tags


async def tag(served: Served, name: str, **members: Any) -> None:
    data = json.dumps(members).encode()
    headers = {"Content-Type": "application/json"}
    assert (await served.request("PUT", f"/api/v1/id-tags/{name}", data, headers)).status in (200, 201)


@ensure
async def test_a_list_follows_the_tags(served: Served) -> None:
    """L-2, L-4: a list of all tags holds them with group and expiry, and changes of tags are sent together, as a differential."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    await tag(served, "A", parentIdTag="Fleet", expiryDate="2036-01-02T03:04:05Z")
    await tag(served, "B", status="Blocked")
    made = await put(served, {"allTags": True})
    assert (made.json["state"], made.json["wanted"]) == ("inSync", {"allTags": True})
    info = {"status": "Accepted", "parentIdTag": "Fleet"}
    assert keeper.sent[0]["localAuthorizationList"] == [
        {"idTag": "A", "idTagInfo": {**info, "expiryDate": "2036-01-02T03:04:05Z"}},
        {"idTag": "B", "idTagInfo": {"status": "Blocked"}},
        {"idTag": "CONF", "idTagInfo": info},
    ]
    await tag(served, "B", note="seen by nobody but us")
    await tag(served, "C")
    assert (await served.request("DELETE", "/api/v1/id-tags/A")).status == 204
    assert (await shown(served))["state"] == "behind"
    assert len(keeper.sent) == 1
    assert (await swept(served))["state"] == "inSync"
    assert keeper.sent[1:] == [
        {
            "listVersion": 2,
            "updateType": "Differential",
            "localAuthorizationList": [
                {"idTag": "A"},
                {"idTag": "B", "idTagInfo": {"status": "Accepted"}},
                {"idTag": "C", "idTagInfo": {"status": "Accepted"}},
            ],
        }
    ]
    await tag(served, "C", note="no charger hears of that")
    assert (await swept(served))["state"] == "inSync" and len(keeper.sent) == 2


@ensure
async def test_a_list_follows_the_tags_where_the_clock_is_set_back(served: Served) -> None:
    """L-4: tags that change after the clock was set back are not left alone until it is as late as it was."""
    await served.connect("CP1", ListKeeper())
    await put(served, {"allTags": True})
    await served.system.local_lists.sweep(now_ms(reactor) + 3_600_000)
    await tag(served, "A")
    await served.system.local_lists.sweep(now_ms(reactor))
    await served.system.local_lists.wait("CP1", 20)
    assert (await shown(served))["state"] == "inSync"


@ensure
async def test_a_selection(served: Served) -> None:
    """A list may follow the tags of groups, and single ones, which need not be there yet."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    for name, members in (("A", {"parentIdTag": "fleet"}), ("B", {}), ("C", {})):
        await tag(served, name, **members)
    made = await put(served, {"parents": ["FLEET"], "idTags": ["c", "LATER"]})
    assert made.json["wanted"] == {"parents": ["fleet"], "idTags": ["c", "later"]}
    assert set(keeper.tags) == {"a", "c", "conf"}
    await tag(served, "Later")
    assert (await swept(served))["state"] == "inSync"
    assert set(keeper.tags) == {"a", "c", "conf", "later"}


@ensure
async def test_a_tag_changes_while_the_list_is_sent(served: Served) -> None:
    """What changes in the middle of it is sent after it."""
    keeper = ListKeeper()
    await served.connect("CP1", keeper)
    await tag(served, "A")

    def change(call: list[Any]) -> str:
        later = IdTag(key="b", id_tag="B")
        served.storage.put_id_tag(later, None, now_ms(reactor))
        return json.dumps([3, call[1], {"status": "Accepted"}])

    keeper.instead, keeper.applies = [change], True
    assert (await put(served, {"allTags": True})).json["state"] == "inSync"
    assert keeper.kinds == [("Full", 1, 2), ("Differential", 2, 1)]


@ensure
async def test_another_wish_while_the_list_is_sent(served: Served) -> None:
    """Whoever wants something else in the middle of it gets that in the end."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    held: list[list[Any]] = []
    keeper.instead, keeper.applies = [held.append], True
    first = Deferred.fromCoroutine(wanted(served, "A"))
    await until(served, lambda: bool(held))
    second = Deferred.fromCoroutine(wanted(served, "B"))
    while "B" not in json.dumps((await shown(served))["wanted"]):
        pass
    link.tell(json.dumps([3, held[0][1], {"status": "Accepted"}]))
    states = [each["state"] for each in await gatherResults([first, second])]
    assert states == ["inSync", "inSync"] and keeper.tags == {"b": "Accepted"}


# Entries, conditions, what is wrong


@ensure
async def test_entries(served: Served) -> None:
    """Tag by tag: what is wanted, what is confirmed, and whether they differ."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    await wanted(served, "A", "B")
    served.disconnect(link)
    await put(served, {"entries": [{"idTag": "b"}, {"idTag": "C", "status": "Blocked"}]})
    good = {"status": "Accepted"}
    rows = [
        {"idTag": "A", "confirmed": good, "differs": True},
        {"idTag": "b", "wanted": good, "confirmed": good, "differs": False},
        {"idTag": "C", "wanted": {"status": "Blocked"}, "differs": True},
    ]
    assert (await served.get(f"{PATH}/entries")).json["items"] == rows
    assert (await served.get(f"{PATH}/entries?differing=true")).json["items"] == [rows[0], rows[2]]
    page = await served.get(f"{PATH}/entries?limit=1")
    following = await served.get(f"{PATH}/entries?limit=5&after={page.json['next']}")
    assert (page.json["items"], following.json) == (rows[:1], {"items": rows[1:], "next": None})


@ensure
async def test_conditions(served: Served) -> None:
    """A wish is changed only where it is what its sender saw; how far it has come has nothing to do with it."""
    assert (await put(served, {"entries": []}, If_Match="*")).slug == "precondition-failed"
    made = await put(served, {"entries": []}, If_None_Match="*")
    etag = made.headers["etag"]
    assert made.status == 201
    assert (await put(served, {"allTags": True}, If_None_Match="*")).status == 412
    await served.connect("CP1", ListKeeper())
    assert (await synced(served)).headers["etag"] == etag
    same = await put(served, {"entries": []}, If_Match=etag)
    assert (same.status, same.headers["etag"]) == (200, etag)
    changed = await put(served, {"allTags": True}, If_Match=etag)
    assert changed.status == 200 and changed.headers["etag"] != etag
    assert (await put(served, {"entries": []}, If_Match=etag)).status == 412
    assert (await served.request("DELETE", PATH, headers={"If-Match": etag})).status == 412
    assert (await shown(served))["wanted"] == {"allTags": True}
    assert (await served.request("DELETE", PATH, headers={"If-Match": changed.headers["etag"]})).status == 204
    assert (await shown(served))["state"] == "unmanaged"
    assert (await served.request("DELETE", PATH)).status == 404
    again = await put(served, {"allTags": True})
    assert again.status == 201 and again.headers["etag"] not in (etag, changed.headers["etag"])


@ensure
async def test_two_who_change_the_same(served: Served) -> None:
    """Of two who change what both saw one does, and the other is told."""
    etag = (await put(served, {"entries": []})).headers["etag"]
    wishes = ({"entries": [{"idTag": name}]} for name in "AB")
    answers = await gatherResults([Deferred.fromCoroutine(put(served, each, If_Match=etag)) for each in wishes])
    assert sorted(answer.status for answer in answers) == [200, 412]


WRONG: dict[str, tuple[Any, list[str]]] = {
    "nothing": ({}, [""]),
    "no wish": ({"allTags": False, "parents": [], "idTags": []}, [""]),
    "types": (
        {"entries": 1, "sendLimit": "x", "more": 1},
        ["/entries", "/more", "/sendLimit"],
    ),
    "both": ({"entries": [], "allTags": True, "parents": ["A"]}, ["/allTags", "/parents"]),
    "nulls": (dict.fromkeys(("entries", "sendLimit")), ["/entries", "/sendLimit"]),
    "limits": ({"allTags": True, "sendLimit": 0}, ["/sendLimit"]),
    "huge": ({"allTags": True, "sendLimit": 2**31}, ["/sendLimit"]),
    "entries": (
        {
            "entries": [
                {},
                5,
                {"idTag": "x" * 21},
                {"idTag": ""},
                {"idTag": "A", "status": "ConcurrentTx", "expiryDate": "soon", "parentIdTag": "", "note": "x"},
                {"idTag": "B\n", "parentIdTag": "\u202e"},
            ]
        },
        [
            "/entries/0/idTag",
            "/entries/1",
            "/entries/2/idTag",
            "/entries/3/idTag",
            "/entries/4/expiryDate",
            "/entries/4/note",
            "/entries/4/parentIdTag",
            "/entries/4/status",
            "/entries/5/idTag",
            "/entries/5/parentIdTag",
        ],
    ),
    "twice": ({"entries": [{"idTag": "A"}, {"idTag": "B"}, {"idTag": "a"}]}, ["/entries/2/idTag"]),
    "selection": ({"parents": ["", 1, "x" * 21], "idTags": ["\n"]}, ["/idTags/0", "/parents/0", "/parents/1", "/parents/2"]),
}


@pytest.mark.parametrize("case", WRONG)
@ensure
async def test_wrong_bodies(served: Served, case: str) -> None:
    """L-3, L-4: every member that is wrong is told by its pointer, a tag that stands there twice, too; nothing is changed."""
    keeper = ListKeeper()
    link = await served.connect("CP1", keeper)
    body, expected = WRONG[case]
    answer = await put(served, body)
    assert (answer.status, answer.slug) == (422, "invalid-payload"), answer
    assert sorted(error["pointer"] for error in answer.json["errors"]) == expected
    assert (await served.get(PATH)).status == 404 and link.calls == []


@ensure
async def test_wrong_requests(served: Served) -> None:
    """What is not there is 404; what cannot be read is refused."""
    nobody = "/api/v1/chargers/NOBODY/local-list"
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/sync"), ("GET", "/entries")):
        answer = await served.request(method, nobody + path)
        assert (answer.status, answer.slug) == (404, "unknown-charger")
        if method != "PUT":
            assert (await served.request(method, PATH + path)).slug == "not-found"
    assert (await put(served, b"[")).slug == "not-json"
    assert (await put(served, [])).slug == "invalid-payload"
    assert (await put(served, {"allTags": True}, "?wait=x")).slug == "bad-parameters"
    await put(served, {"allTags": True})
    assert (await synced(served, {"full": 1})).json["errors"][0]["pointer"] == "/full"
    assert (await served.get(f"{PATH}/entries?differing=1")).slug == "bad-parameters"
    assert (await synced(served)).status == 202, "the charger is away"
