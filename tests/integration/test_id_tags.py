"""Id tags over HTTP: kept, imported, judged, and accepted when they are presented. docs/http-api.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from ocppd.central.authorization import id_tag_key
from ocppd.config import IdTagSettings
from ocppd.errors import StorageUnavailable
from ocppd.net.rest.v1 import id_tag_bodies
from ocppd.net.rest.v1.id_tag_import import PORTION
from ocppd.storage.records import Changed, IdTag
from support.peer import raw, within
from support.rest import Answered, Served, silent

ensure = pytest_twisted.ensureDeferred

TAGS = "/api/v1/id-tags"
UNKNOWN = "/api/v1/unknown-id-tags"
IMPORT = f"{TAGS}/import"
CONFIGURED = (
    IdTagSettings(id_tag="Fleet", max_active_transactions=0),
    IdTagSettings(id_tag="BOSS", parent_id_tag="Fleet", expiry_date="2036-12-31T23:59:59Z"),
    IdTagSettings(id_tag="lost", status="Blocked"),
)
WHOLE = {
    "idTag": "Card 1",
    "status": "Accepted",
    "parentIdTag": "FLEET",
    "expiryDate": "2036-01-02T03:04:05.000Z",
    "maxActiveTransactions": 3,
    "note": "of a guest",
}


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """One charger, three tags in the configuration."""
    running = Served("CP1", id_tags=CONFIGURED)
    yield running
    await running.stop()


@pytest_twisted.async_yield_fixture
async def free() -> AsyncIterator[Served]:
    """Two chargers, no tag anywhere."""
    running = Served("CP1", "CP2")
    yield running
    await running.stop()


async def put(served: Served, tag: str, body: Any = None, **headers: str) -> Answered:
    """PUT a tag; `tag` as it stands in the path."""
    data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return await change(served, "PUT", tag, data, **{"Content-Type": "application/json", **headers})


async def delete(served: Served, tag: str, **headers: str) -> Answered:
    """DELETE a tag."""
    return await change(served, "DELETE", tag, **headers)


async def change(served: Served, method: str, tag: str, body: bytes = b"", **headers: str) -> Answered:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await served.request(method, f"{TAGS}/{tag}", body, given)


async def listed(served: Served, path: str = TAGS) -> list[Any]:
    """The items of all pages of a list."""
    found: list[Any] = []
    path += "" if "?" in path else "?limit=500"
    following = ""
    while following is not None:
        answer = await served.get(path + following)
        assert answer.status == 200, answer
        found += answer.json["items"]
        following = None if answer.json["next"] is None else f"&after={answer.json['next']}"
    return found


async def names(served: Served, query: str = "") -> list[str]:
    return [each["idTag"] for each in await listed(served, TAGS + query)]


def pointers(answer: Answered) -> list[str]:
    """What a 422 says is wrong."""
    assert (answer.status, answer.slug) == (422, "invalid-payload"), answer
    assert all(error["detail"] and error["code"] for error in answer.json["errors"])
    return sorted(error["pointer"] for error in answer.json["errors"])


async def presented(link: Any, action: str, tag: str, **members: Any) -> str:
    """The status that a charger is told for a tag."""
    payload = {"idTag": tag, **members}
    return str((await link.ask(json.dumps([2, f"{action}-{tag}", action, payload])))[2]["idTagInfo"]["status"])


# One tag


@ensure
async def test_a_tag_is_made_and_shown(served: Served) -> None:
    """PUT makes a tag as it is spelt in the path, says where it is, and GET gives it whole with the same ETag."""
    made = await put(served, "Card%201", WHOLE)
    assert (made.status, made.headers["location"]) == (201, f"{TAGS}/Card%201")
    assert made.json == {**WHOLE, "source": "records"}
    assert list(made.json) == [*WHOLE, "source"]
    shown = await served.get(f"{TAGS}/cARD%201")
    assert (shown.status, shown.json, shown.headers["etag"]) == (200, made.json, made.headers["etag"])
    head = await served.request("HEAD", f"{TAGS}/card%201")
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", made.headers["etag"])


@ensure
async def test_a_tag_is_replaced_whole(served: Served) -> None:
    """What a second PUT leaves out has its default again; the same once more changes nothing, not even the ETag."""
    first = await put(served, "card%201", WHOLE)
    second = await put(served, "CARD%201", b"")
    assert (second.status, second.json) == (
        200,
        {"idTag": "CARD 1", "status": "Accepted", "maxActiveTransactions": 1, "source": "records"},
    )
    assert "location" not in second.headers and second.headers["etag"] != first.headers["etag"]
    again = await put(served, "CARD%201", {"note": ""})
    assert (again.status, again.json, again.headers["etag"]) == (200, second.json, second.headers["etag"])
    for status in ("Blocked", "Expired", "Invalid"):
        assert (await put(served, "CARD%201", {"status": status, "maxActiveTransactions": 0})).json == {
            "idTag": "CARD 1",
            "status": status,
            "maxActiveTransactions": 0,
            "source": "records",
        }


@pytest.mark.parametrize("tag", ["a b", "ä", "?#%&=+;", "import", "null", "x" * 20, "\U0001f697" * 20, '"quoted"', "a.b"])
@ensure
async def test_any_printable_tag(served: Served, tag: str) -> None:
    """A tag may have any character but a slash; also one that is called like a path of ours can be kept."""
    path = "".join(f"%{byte:02X}" for byte in tag.encode())
    made = await put(served, path)
    assert (made.status, made.json["idTag"]) == (201, tag)
    assert (await served.get(made.headers["location"].removeprefix("http://127.0.0.1"))).json == made.json
    assert (await served.get(f"{TAGS}/{path}/verdict")).json == {"status": "Accepted"}
    assert (await delete(served, path)).status == 204


@ensure
async def test_a_tag_is_deleted(served: Served) -> None:
    """DELETE takes a tag away; then there is none to show, delete or change on a condition."""
    made = await put(served, "A")
    deleted = await delete(served, "a", If_Match=made.headers["etag"])
    assert (deleted.status, deleted.body) == (204, b"")
    for answer in (
        await served.get(f"{TAGS}/A"),
        await delete(served, "A"),
        await delete(served, "A", If_Match=made.headers["etag"]),
        await delete(served, "%00"),
        await served.get(f"{TAGS}/{'x' * 300}"),
    ):
        assert (answer.status, answer.slug) == (404, "unknown-id-tag")
    again = await put(served, "A")
    assert again.status == 201


WRONG: dict[str, tuple[Any, list[str]]] = {
    "no object": ([], [""]),
    "unknown": ({"idtag": "A", "a/b~": 1}, ["/a~1b~0", "/idtag"]),
    "everything": (
        {"idTag": 1, "status": 1, "parentIdTag": 1, "expiryDate": 1, "maxActiveTransactions": "1", "note": 1, "more": 1},
        ["/expiryDate", "/idTag", "/maxActiveTransactions", "/more", "/note", "/parentIdTag", "/status"],
    ),
    "null": (dict.fromkeys(WHOLE), sorted(f"/{name}" for name in WHOLE)),
    "empty": (
        {"status": "", "parentIdTag": "", "expiryDate": "", "idTag": ""},
        ["/expiryDate", "/idTag", "/parentIdTag", "/status"],
    ),
    "another tag": ({"idTag": "B"}, ["/idTag"]),
    "verdict": ({"status": "ConcurrentTx"}, ["/status"]),
    "case": ({"status": "blocked"}, ["/status"]),
    "own parent": ({"parentIdTag": "a"}, ["/parentIdTag"]),
    "long parent": ({"parentIdTag": "x" * 21}, ["/parentIdTag"]),
    "unprintable parent": ({"parentIdTag": "x\n"}, ["/parentIdTag"]),
    "no date": ({"expiryDate": "tomorrow"}, ["/expiryDate"]),
    "no time": ({"expiryDate": "2030-01-01"}, ["/expiryDate"]),
    "negative": ({"maxActiveTransactions": -1}, ["/maxActiveTransactions"]),
    "very many": ({"maxActiveTransactions": 1_000_001}, ["/maxActiveTransactions"]),
    "huge": ({"maxActiveTransactions": 10**30}, ["/maxActiveTransactions"]),
    "beyond": ({"maxActiveTransactions": 2**31}, ["/maxActiveTransactions"]),
    "fraction": ({"maxActiveTransactions": 1.5}, ["/maxActiveTransactions"]),
    "true": ({"maxActiveTransactions": True}, ["/maxActiveTransactions"]),
    "long note": ({"note": "x" * 501}, ["/note"]),
    "half a character": ({"note": "\ud800", "idTag": "\ud800"}, ["/idTag", "/note"]),
}


@pytest.mark.parametrize("case", WRONG)
@ensure
async def test_wrong_members(served: Served, case: str) -> None:
    """Every member that is wrong is told by its pointer, and nothing is changed."""
    before = await put(served, "A", {"note": "as it was"})
    body, expected = WRONG[case]
    assert pointers(await put(served, "A", body)) == expected
    assert (await served.get(f"{TAGS}/A")).json == before.json


@pytest.mark.parametrize("tag", ["x" * 21, "%00", "a%0A", "%C2%A0", "%E2%80%AE"])
@ensure
async def test_what_is_no_tag(served: Served, tag: str) -> None:
    """A tag of the path has 1 to 20 printable characters."""
    assert set(pointers(await put(served, tag))) == {"/idTag"}
    assert await names(served) == ["BOSS", "Fleet", "lost"]


@ensure
async def test_requests_that_are_wrong(served: Served) -> None:
    """What is no JSON, no JSON by its type, too large, or has parameters, is refused as everywhere."""
    assert (await put(served, "A", b"{")).slug == "not-json"
    for kind in ("text/csv", "text/plain", "application/x-www-form-urlencoded"):
        for path in ("A", "import"):
            assert (await change(served, "PUT", path, b"{}", Content_Type=kind)).slug == "not-json-type"
    assert (await put(served, "A", b" " * (1024 * 1024 + 1))).status == 413
    assert (await put(served, "A?x=1")).slug == "bad-parameters"
    for cursor in ("x", "YQ", "eCBh"):
        assert (await served.get(f"{TAGS}?after={cursor}")).json["errors"][0]["parameter"] == "after"
    assert (await served.get(f"{TAGS}?status=ConcurrentTx")).json["errors"][0]["parameter"] == "status"
    assert (await served.request("PUT", f"{TAGS}/a%2Fb")).status == 404
    assert (await served.request("PUT", f"{TAGS}/")).status == 404
    assert (await served.post(TAGS, {})).status == 405
    assert (await served.post(f"{TAGS}/A", {})).headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
    assert await names(served) == ["BOSS", "Fleet", "lost"]


# Conditions


@ensure
async def test_conditions(served: Served) -> None:
    """A change is made only where the tag is as its sender saw it, and where it is not nothing is changed."""
    assert (await put(served, "A", If_Match="*")).slug == "precondition-failed"
    assert (await put(served, "A", If_Match='"0"')).status == 412
    assert await names(served) == ["BOSS", "Fleet", "lost"]
    made = await put(served, "A", {"note": "1"}, If_None_Match="*")
    etag = made.headers["etag"]
    assert made.status == 201
    for headers in ({"If_None_Match": "*"}, {"If_None_Match": etag}, {"If_Match": f"W/{etag}"}, {"If_Match": '"1"'}):
        assert (await put(served, "A", {"note": "2"}, **headers)).slug == "precondition-failed"
        if "If_Match" in headers:
            assert (await delete(served, "A", **headers)).slug == "precondition-failed"
    assert (await served.get(f"{TAGS}/A")).json == made.json
    changed = await put(served, "A", {"note": "3"}, If_Match=f'"x", {etag}')
    assert (changed.status, changed.json["note"]) == (200, "3")
    assert (await put(served, "A", {"note": "4"}, If_Match="*", If_None_Match='"x"')).status == 200
    assert (await delete(served, "A", If_Match=etag)).status == 412
    assert (await delete(served, "A", If_Match="*")).status == 204


@ensure
async def test_conditions_that_cannot_be_read(served: Served) -> None:
    """A condition that cannot be read is refused: nobody who set one wants the change without it."""
    for condition in ("5", "", '"5', "*, *", '"5" x', "W/5"):
        for answer in (await put(served, "A", If_Match=condition), await put(served, "A", If_None_Match=condition)):
            assert (answer.status, answer.slug) == (400, "bad-request")
    assert (await served.get(f"{TAGS}/A")).status == 404


@ensure
async def test_not_modified(served: Served) -> None:
    """Whoever has a tag as it is hears 304, with its ETag and no body; whoever has an older one gets it."""
    etag = (await put(served, "A")).headers["etag"]
    for condition in (etag, f"W/{etag}", f'"x",{etag}', "*"):
        answer = await served.request("GET", f"{TAGS}/A", headers={"If-None-Match": condition})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    await put(served, "A", {"note": "new"})
    answer = await served.request("GET", f"{TAGS}/A", headers={"If-None-Match": etag})
    assert (answer.status, answer.json["note"]) == (200, "new")


@ensure
async def test_two_who_change_the_same(served: Served) -> None:
    """Of two who change what both saw, or make what was not there, one does and the other is told."""
    for headers in ({"If_None_Match": "*"}, {}):
        if not headers:
            headers = {"If_Match": (await served.get(f"{TAGS}/A")).headers["etag"]}
        both = [Deferred.fromCoroutine(put(served, "A", {"note": note + str(headers)}, **headers)) for note in "12"]
        answers = await gatherResults(both)
        assert sorted(answer.status for answer in answers)[1] == 412
        (winner,) = [answer for answer in answers if answer.status != 412]
        assert winner.status == (201 if "If_None_Match" in headers else 200)
        assert (await served.get(f"{TAGS}/A")).json == winner.json


@ensure
async def test_somebody_comes_between(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change between the look at a condition and the write is seen: the condition is looked at once more."""
    etag = (await put(served, "A")).headers["etag"]
    puts = served.storage.put_id_tag

    def late(tag: IdTag, expected: int | None, now_ms: int) -> Deferred[Changed]:
        monkeypatch.setattr(served.storage, "put_id_tag", puts)
        other = puts(IdTag(key="a", id_tag="A", note="of another"), None, now_ms)
        return other.addCallback(lambda _: puts(tag, expected, now_ms))

    monkeypatch.setattr(served.storage, "put_id_tag", late)
    assert (await put(served, "A", {"note": "mine"}, If_Match=etag)).status == 412
    assert (await served.get(f"{TAGS}/A")).json["note"] == "of another"
    monkeypatch.setattr(served.storage, "put_id_tag", late)
    assert (await put(served, "A", {"note": "mine"}, If_Match="*")).json["note"] == "mine"


# Those of the configuration


@ensure
async def test_tags_of_the_configuration(served: Served) -> None:
    """They are shown with their source, and changed in configs.json alone."""
    boss = await served.get(f"{TAGS}/boss")
    assert boss.json == {
        "idTag": "BOSS",
        "status": "Accepted",
        "parentIdTag": "Fleet",
        "expiryDate": "2036-12-31T23:59:59.000Z",
        "maxActiveTransactions": 1,
        "source": "configuration",
    }
    assert (await served.get(f"{TAGS}/FLEET")).json["maxActiveTransactions"] == 0
    answer = await served.request("GET", f"{TAGS}/BOSS", headers={"If-None-Match": boss.headers["etag"]})
    assert answer.status == 304
    for refusal in (
        await put(served, "Boss"),
        await put(served, "Boss", If_Match='"1"'),
        await delete(served, "Boss"),
        await delete(served, "Boss", If_Match=boss.headers["etag"]),
    ):
        assert (refusal.status, refusal.slug) == (409, "in-configuration")
    assert (await served.get(f"{TAGS}/boss")).json == boss.json


@ensure
async def test_a_configuration_that_is_read_again(served: Served) -> None:
    """A tag that comes into the configuration hides the one of the records, with an ETag of its own."""
    kept = await put(served, "lost2", {"note": "of the records"})
    hidden = await served.get(f"{TAGS}/lost")
    before = served.system.chargers.configuration
    tags = {"lost2": IdTagSettings(id_tag="LOST2", status="Blocked"), "lost": IdTagSettings(id_tag="lost")}
    served.system.chargers.reconfigure(type(before)(chargers=before.chargers, id_tags=tags))
    shown = await served.get(f"{TAGS}/lost2")
    assert (shown.json["status"], shown.json["source"]) == ("Blocked", "configuration")
    assert shown.headers["etag"] != kept.headers["etag"]
    changed = await served.request("GET", f"{TAGS}/lost", headers={"If-None-Match": hidden.headers["etag"]})
    assert (changed.status, changed.json["status"]) == (200, "Accepted")
    assert await names(served) == ["lost", "LOST2"]
    served.system.chargers.reconfigure(before)
    assert (await served.get(f"{TAGS}/lost2")).json == kept.json


# Lists


@ensure
async def test_pages_over_both(served: Served) -> None:
    """The list has those of the configuration, then those of the records, whatever the pages are."""
    for tag in ("c", "A", "b", "x"):
        await put(served, tag)
    await served.storage.put_id_tag(IdTag(key="boss", id_tag="shadow"), None, 1)
    whole = await listed(served)
    assert [each["idTag"] for each in whole] == ["BOSS", "Fleet", "lost", "A", "b", "c", "x"]
    assert [each["source"] for each in whole] == ["configuration"] * 3 + ["records"] * 4
    assert [each["idTag"] for each in whole if (await served.get(f"{TAGS}/{each['idTag']}")).json != each] == []
    for limit in range(1, 9):
        assert await listed(served, f"{TAGS}?limit={limit}") == whole


@ensure
async def test_many_that_are_hidden(served: Served) -> None:
    """Pages are filled with what is not hidden, also where more than a page is."""
    tags = [IdTag(key=id_tag_key(tag.id_tag), id_tag="shadow") for tag in CONFIGURED]
    await served.storage.put_id_tags(tags, 1)
    for limit in (1, 2, 3):
        assert await names(served, f"?limit={limit}") == ["BOSS", "Fleet", "lost"]
    await put(served, "z")
    for limit in (1, 2, 3, 4):
        assert await names(served, f"?limit={limit}") == ["BOSS", "Fleet", "lost", "z"]


@ensure
async def test_filters(served: Served) -> None:
    """By parent, ignoring case, and by status, over both parts of the list."""
    await put(served, "A", {"parentIdTag": "FLEET"})
    await put(served, "B", {"parentIdTag": "fleet", "status": "Blocked"})
    await put(served, "C")
    assert await names(served, "?parent=fLEET") == ["BOSS", "A", "B"]
    assert await names(served, "?limit=1&parent=fLEET") == ["BOSS", "A", "B"]
    assert await names(served, "?status=Blocked") == ["lost", "B"]
    assert await names(served, "?parent=Fleet&status=Accepted") == ["BOSS", "A"]
    assert await names(served, "?parent=%00") == []


# Import


async def imported(served: Served, body: Any, kind: str = "text/csv; charset=utf-8") -> Answered:
    data = body.encode() if isinstance(body, str) else body
    return await served.post(IMPORT, data, **({"Content-Type": kind} if isinstance(data, bytes) else {}))


def refusals(answer: Answered) -> list[tuple[int, str | None, list[str]]]:
    """The line, the tag and the pointers of each refusal."""
    assert answer.status == 200, answer
    return [(each["line"], each.get("idTag"), [error["pointer"] for error in each["errors"]]) for each in answer.json["refused"]]


def counts(answer: Answered) -> tuple[int, int, int]:
    assert list(answer.json) == ["created", "updated", "unchanged", "refused"]
    return answer.json["created"], answer.json["updated"], answer.json["unchanged"]


@ensure
async def test_import_of_json(served: Served) -> None:
    """What is right is stored, what is wrong is told with its place."""
    await put(served, "old", {"note": "x"})
    await put(served, "same", {"note": "x"})
    answer = await imported(
        served,
        [
            WHOLE,
            {"idTag": "OLD"},
            {"idTag": "same", "note": "x"},
            {"idTag": "CARD 1"},
            {"status": "Accepted"},
            {"idTag": "bad", "status": "x", "expiryDate": "x", "more": 1},
            {"idTag": "BOSS"},
            7,
            {"idTag": "self", "parentIdTag": "SELF"},
            {"idTag": ""},
            {"idTag": "\ud800" + "x" * 100},
            {"idTag": 5},
        ],
    )
    assert counts(answer) == (1, 1, 1)
    assert refusals(answer) == [
        (4, "CARD 1", ["/idTag"]),
        (5, None, ["/idTag"]),
        (6, "bad", ["/status", "/expiryDate", "/more"]),
        (7, "BOSS", ["/idTag"]),
        (8, None, [""]),
        (9, "self", ["/parentIdTag"]),
        (10, "", ["/idTag"]),
        (11, "?" + "x" * 39, ["/idTag", "/idTag"]),
        (12, None, ["/idTag"]),
    ]
    assert await names(served) == ["BOSS", "Fleet", "lost", "Card 1", "OLD", "same"]
    assert (await served.get(f"{TAGS}/Card%201")).json == {**WHOLE, "source": "records"}
    assert counts(await imported(served, [])) == (0, 0, 0)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@ensure
async def test_import_of_csv(served: Served, mark: bytes, end: str) -> None:
    """With or without a byte order mark, with any line ends; a cell that is empty is left out; lines are those of the file."""
    lines = [
        "note,idTag,status,parentIdTag,expiryDate,maxActiveTransactions",
        '"two',
        'lines, ""quoted""",Card 1,,FLEET,2036-01-02T03:04:05Z,3',
        "",
        "für Ä,K2,Blocked,,,0",
        ",K3",
        ",,,,,",
        ",K4,,,,x",
        ",K5,,,,1,",
        ',K6,,,"tomorrow",1000001',
        ",k2,,,,",
        ",fleet,,,,",
    ]
    answer = await imported(served, mark + end.join(lines).encode())
    assert counts(answer) == (3, 0, 0)
    assert refusals(answer) == [
        (7, None, ["/idTag"]),
        (8, "K4", ["/maxActiveTransactions"]),
        (9, "K5", [""]),
        (10, "K6", ["/expiryDate", "/maxActiveTransactions"]),
        (11, "k2", ["/idTag"]),
        (12, "fleet", ["/idTag"]),
    ]
    card = (await served.get(f"{TAGS}/card%201")).json
    assert card == {**WHOLE, "note": f'two{end}lines, "quoted"', "source": "records"}
    second = (await served.get(f"{TAGS}/K2")).json
    assert (second["note"], second["status"], second["maxActiveTransactions"]) == ("für Ä", "Blocked", 0)
    assert (await served.get(f"{TAGS}/K3")).json["maxActiveTransactions"] == 1
    assert counts(await imported(served, mark + end.join(lines[:3]).encode())) == (0, 0, 1)


WRONG_IMPORTS: dict[str, tuple[str, list[str]]] = {
    "empty": ("\n\n", ["/idTag"]),
    "no header": ("K1\nK2\n", ["/K1", "/idTag"]),
    "unknown columns": ("idTag,Status,a/b\nK1,Accepted,\n", ["/Status", "/a~1b"]),
    "twice": ("idTag,note,idTag\nK1,,K2\n", ["/idTag"]),
    "without tag": ("status,note\n,\n", ["/idTag"]),
    "semicolons": ("idTag;status\nK1;\n", ["/idTag", "/idTag;status"]),
    "open quote": ('idTag\nK1\n"K2\n', [""]),
    "stray quote": ('idTag\nK1\n"K2"x\n', [""]),
    "huge cell": ("idTag\nK1\n" + "x" * 200_000, [""]),
}


@pytest.mark.parametrize("case", WRONG_IMPORTS)
@ensure
async def test_wrong_csv(served: Served, case: str) -> None:
    """Where columns or quotes are wrong nothing is taken from the file."""
    body, expected = WRONG_IMPORTS[case]
    assert pointers(await imported(served, body)) == expected
    assert await names(served) == ["BOSS", "Fleet", "lost"]


@ensure
async def test_imports_that_are_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import is UTF-8, JSON or CSV by its type, an array, at most 1 MiB, and of a fair number of tags."""
    assert (await imported(served, b"idTag\n\xff")).slug == "bad-request"
    assert (await imported(served, b"[", "application/json")).slug == "not-json"
    assert pointers(await imported(served, b"")) == ["/idTag"]
    assert (await imported(served, b"", "application/json")).slug == "not-json"
    assert pointers(await imported(served, {"idTag": "K1"})) == [""]
    for kind in ("text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "text/csvx", ""):
        answer = await imported(served, b"idTag\nK1", kind)
        assert (answer.slug, "text/csv" in answer.json["detail"]) == ("not-json-type", True)
    assert (await served.post("/api/v1/chargers/CP1/commands/Reset", b"idTag\nK1", Content_Type="text/csv")).status == 415
    assert (await imported(served, b"idTag\n" + b"K" * 1024 * 1024)).status == 413
    assert (await served.post(f"{IMPORT}?x=1", [])).status == 400
    monkeypatch.setattr(id_tag_bodies, "MAX_IMPORTED", 2)
    assert pointers(await imported(served, "idTag\n1\n2\n3")) == [""]
    assert pointers(await imported(served, [{"idTag": name} for name in "123"])) == [""]
    assert counts(await imported(served, "idTag\n1\n2\n")) == (2, 0, 0)


@ensure
async def test_a_large_import(served: Served) -> None:
    """An import is stored in portions; a tag that stands there twice is found wherever it stands."""
    rows = [f"T{number:05}" for number in range(2 * PORTION + 1)]
    answer = await imported(served, "\n".join(["idTag", *rows, "t00000"]))
    assert counts(answer) == (len(rows), 0, 0)
    assert refusals(answer) == [(len(rows) + 2, "t00000", ["/idTag"])]
    assert (await names(served))[len(CONFIGURED) :] == rows
    bad = await imported(served, [0] * (PORTION + 1))
    assert len(refusals(bad)) == PORTION + 1


@ensure
async def test_a_client_that_goes(served: Served) -> None:
    """What was begun is finished, also where nobody waits for the answer any more."""
    body = "\n".join(["idTag", *(f"T{number}" for number in range(2 * PORTION))]).encode()
    client = await raw(served.port)
    head = f"POST {IMPORT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: {len(body)}\r\n\r\n"
    client.write(head.encode() + body)
    client.close()
    await within(client.lost)
    while (await served.get(f"{TAGS}/T{2 * PORTION - 1}")).status == 404:
        await served.storage.check()


@ensure
async def test_an_import_that_is_sent_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the records are lost in the middle of an import it is 503, and complete when it is sent again."""
    body = "\n".join(["idTag", *(f"T{number}" for number in range(PORTION + 1))])
    puts = served.storage.put_id_tags

    def away(tags: Any, now_ms: int) -> Deferred[Any]:
        if len(tags) == PORTION:
            return puts(tags, now_ms)
        failed: Deferred[Any] = Deferred()
        failed.errback(Failure(StorageUnavailable("on purpose")))
        return failed

    monkeypatch.setattr(served.storage, "put_id_tags", away)
    assert (await imported(served, body)).slug == "storage-unavailable"
    monkeypatch.setattr(served.storage, "put_id_tags", puts)
    assert counts(await imported(served, body)) == (1, 0, PORTION)


# Verdicts, and who is not known


@ensure
async def test_verdicts(served: Served) -> None:
    """The verdict is that of Authorize, and asking for it records nothing."""
    await put(served, "old", {"expiryDate": "2020-01-01T00:00:00Z", "parentIdTag": "Fleet"})
    await put(served, "far", {"expiryDate": "2999-01-01T00:00:00Z"})
    await put(served, "bad", {"status": "Invalid"})
    link = await served.connect("CP1", silent)
    expected = {
        "BOSS": {"status": "Accepted", "parentIdTag": "Fleet", "expiryDate": "2036-12-31T23:59:59Z"},
        "LOST": {"status": "Blocked"},
        "Old": {"status": "Expired", "parentIdTag": "Fleet", "expiryDate": "2020-01-01T00:00:00Z"},
        "far": {"status": "Accepted", "expiryDate": "2037-12-31T23:59:59Z"},
        "bad": {"status": "Invalid"},
        "nobody": {"status": "Invalid"},
    }
    for tag, verdict in expected.items():
        answer = await served.get(f"{TAGS}/{tag}/verdict")
        assert (answer.status, answer.json) == (200, verdict)
    assert await listed(served, UNKNOWN) == []
    for tag, verdict in expected.items():
        assert (await link.ask(json.dumps([2, tag, "Authorize", {"idTag": tag}])))[2]["idTagInfo"] == verdict
    assert [each["idTag"] for each in await listed(served, UNKNOWN)] == ["nobody"]


@ensure
async def test_verdict_while_no_tag_is_known(free: Served) -> None:
    """Everybody may charge until the first tag is known."""
    assert (await free.get(f"{TAGS}/X/verdict")).json == {"status": "Accepted"}
    await put(free, "A")
    assert (await free.get(f"{TAGS}/X/verdict")).json == {"status": "Invalid"}


@ensure
async def test_unknown_tags(served: Served) -> None:
    """A-5: tags that were presented and are not known are listed until they are forgotten, or made."""
    link = await served.connect("CP1", silent)
    for tag in ("Strange/1", "new", "NEW", "third"):
        assert await presented(link, "Authorize", tag) == "Invalid"
    found = await listed(served, UNKNOWN)
    assert [(each["idTag"], each["charger"], each["attempts"]) for each in found] == [
        ("NEW", "CP1", 2),
        ("Strange/1", "CP1", 1),
        ("third", "CP1", 1),
    ]
    assert list(found[0]) == ["idTag", "charger", "firstSeen", "lastSeen", "attempts"]
    assert found[0]["firstSeen"] <= found[0]["lastSeen"] and found[0]["lastSeen"].endswith("Z")
    assert await listed(served, f"{UNKNOWN}?limit=1") == found
    forgotten = await served.request("DELETE", f"{UNKNOWN}/Third")
    assert (forgotten.status, forgotten.body) == (204, b"")
    again = await served.request("DELETE", f"{UNKNOWN}/third")
    assert (again.status, again.slug) == (404, "not-remembered")
    await put(served, "new")
    assert [each["idTag"] for each in await listed(served, UNKNOWN)] == ["Strange/1"]


@ensure
async def test_a_tag_that_was_made_may_charge(served: Served) -> None:
    """A tag that was PUT is accepted from then on, within its limits; one that was deleted is not."""
    link = await served.connect("CP1", silent)
    start = {"connectorId": 1, "meterStart": 5, "timestamp": "2026-03-01T12:00:00Z"}
    assert await presented(link, "Authorize", "Mine") == "Invalid"
    await put(served, "Mine", {"maxActiveTransactions": 1})
    assert await presented(link, "Authorize", "MINE") == "Accepted"
    assert await presented(link, "StartTransaction", "mine", **start) == "Accepted"
    assert await presented(link, "StartTransaction", "mINE", **{**start, "connectorId": 2}) == "ConcurrentTx"
    await put(served, "Mine", {"maxActiveTransactions": 0})
    assert await presented(link, "StartTransaction", "MinE", **{**start, "connectorId": 3}) == "Accepted"
    await put(served, "Mine", {"status": "Blocked"})
    assert await presented(link, "Authorize", "mine") == "Blocked"
    await delete(served, "mine")
    assert await presented(link, "Authorize", "MiNe") == "Invalid"


@ensure
async def test_records_that_are_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the records cannot be reached it is 503; what stands in the configuration is shown."""

    def away(*_: Any) -> Deferred[Any]:
        failed: Deferred[Any] = Deferred()
        failed.errback(Failure(StorageUnavailable("on purpose")))
        return failed

    for name in ("put_id_tag", "read_id_tag", "delete_id_tag", "list_id_tags", "forget_unknown_id_tag", "id_tag_standing"):
        monkeypatch.setattr(served.storage, name, away)
    for answer in (
        await put(served, "A"),
        await put(served, "A", If_Match="*"),
        await delete(served, "A"),
        await served.get(f"{TAGS}/A"),
        await served.get(f"{TAGS}/A/verdict"),
        await served.get(TAGS),
        await served.request("DELETE", f"{UNKNOWN}/A"),
    ):
        assert (answer.status, answer.slug) == (503, "storage-unavailable")
    assert (await served.get(f"{TAGS}/BOSS")).status == 200


@ensure
async def test_the_limit_of_a_group(served: Served) -> None:
    """A group's limit is kept and shown; what is no limit is refused by its pointer."""
    made = await put(served, "DEPOT", {"groupMaxActiveTransactions": 7})
    assert (made.status, made.json["groupMaxActiveTransactions"], made.json["maxActiveTransactions"]) == (201, 7, 1)
    for wrong in (-1, 1_000_001, "7", 1.5):
        refused = await put(served, "DEPOT", {"groupMaxActiveTransactions": wrong})
        assert (refused.status, pointers(refused)) == (422, ["/groupMaxActiveTransactions"])
    assert (await served.get("/api/v1/id-tags/DEPOT")).json["groupMaxActiveTransactions"] == 7
