"""Charging profiles between operators and chargers: sent, installed, refused, cleared, ended. REQUIREMENTS K-1 to K-8."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import succeed

from ocppd.central.charging.limits import limits_of
from ocppd.clock import now_ms
from ocppd.v16.timestamps import format_timestamp
from support.holding import until
from support.rest import Answered, ScriptedLink, Served

ensure = pytest_twisted.ensureDeferred
_numbers = count(1)
PATH = "/api/v1/chargers/CP1/charging-profiles"


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """A central system with two chargers."""
    running = Served("CP1", "CP2", queue=20)
    yield running
    await running.stop()


def schedule(limit: Any = 16, **members: Any) -> dict[str, Any]:
    """A schedule in A with one period."""
    return {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}], **members}


def profile(purpose: str = "TxDefaultProfile", kind: str = "Relative", level: int = 0, **members: Any) -> dict[str, Any]:
    """A profile without an id."""
    return {
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule(),
        **members,
    }


#: As certification wants it: SC-01.
ABSOLUTE = profile(
    kind="Absolute",
    validFrom="2026-01-01T00:00:00Z",
    validTo="2037-01-01T00:00:00Z",
    chargingSchedule=schedule(6.0, startSchedule="2026-01-01T00:00:00Z", duration=86400),
)


async def send(served: Served, body: Any, query: str = "?wait=10", name: str = "CP1") -> Answered:
    """POST a profile to a charger."""
    return await served.post(f"/api/v1/chargers/{name}/charging-profiles{query}", body)


async def clear(served: Served, query: str) -> Answered:
    """DELETE profiles of CP1."""
    return await served.request("DELETE", f"{PATH}?wait=10{query}")


async def installed(served: Served, query: str = "", name: str = "CP1") -> list[dict[str, Any]]:
    """What is known to be installed."""
    answer = await served.get(f"/api/v1/chargers/{name}/charging-profiles{query}")
    assert answer.status == 200, answer
    return list(answer.json["items"])


async def marks(served: Served) -> dict[int, str]:
    """The mark of each profile of CP1, by its id."""
    return {each["chargingProfileId"]: each["mark"] for each in await installed(served)}


def pointers(answer: Answered) -> list[str]:
    """What a 422 says is wrong."""
    assert (answer.status, answer.slug) == (422, "invalid-payload"), answer
    return [error["pointer"] for error in answer.json["errors"]]


async def start(link: ScriptedLink, connector_id: int = 1, tag: str = "Card", ago_ms: int = 0) -> int:
    """The id of a transaction that begins now, or a while ago."""
    instant = format_timestamp(now_ms(reactor) - ago_ms)
    payload = {"connectorId": connector_id, "idTag": tag, "meterStart": 5, "timestamp": instant}
    answer = await link.ask(json.dumps([2, f"s{next(_numbers)}", "StartTransaction", payload]))
    return int(answer[2]["transactionId"])


async def stop(link: ScriptedLink, transaction_id: int) -> None:
    """End it."""
    payload = {"transactionId": transaction_id, "meterStop": 9, "timestamp": format_timestamp(now_ms(reactor))}
    await link.ask(json.dumps([2, f"p{next(_numbers)}", "StopTransaction", payload]))


def answering(choose: Callable[[str, Any], Any]) -> Callable[[list[Any]], str | None]:
    """A charger that answers with the status, the payload, or the frame (a list) that `choose(action, payload)` gives."""

    def script(call: list[Any]) -> str | None:
        answer = choose(call[2], call[3])
        if answer is None:
            return None
        if isinstance(answer, list):
            return json.dumps([4, call[1], *answer])
        return json.dumps([3, call[1], {"status": answer} if isinstance(answer, str) else answer])

    return script


def sent(link: ScriptedLink, action: str) -> list[Any]:
    """The payloads of all calls of an action."""
    return [call[3] for call in link.calls if call[2] == action]


# The dialogues of certification


@ensure
async def test_a_default_profile(served: Served) -> None:
    """TC_056, SC-01, K-2: an absolute TxDefaultProfile on connector 1 has its times, no transactionId, no recurrencyKind."""
    link = await served.connect("CP1")
    answer = await send(served, {"profile": ABSOLUTE, "connectorId": 1})
    assert (answer.status, answer.json["outcome"]) == (200, "Accepted")
    assert sent(link, "SetChargingProfile") == [{"connectorId": 1, "csChargingProfiles": {"chargingProfileId": 1, **ABSOLUTE}}]
    members = link.calls[-1][3]["csChargingProfiles"]
    assert members.keys() >= {"validFrom", "validTo"} and not members.keys() & {"transactionId", "recurrencyKind"}
    assert members["chargingSchedule"].keys() >= {"startSchedule", "duration"}
    (row,) = await installed(served)
    assert (row["mark"], row["connectorId"], row["messageId"]) == ("confirmed", 1, answer.json["messageId"])
    assert row["profile"] == members


@ensure
async def test_a_profile_of_a_transaction(served: Served) -> None:
    """TC_057, SC-02, T-27, K-8: a relative TxProfile names its transaction and no start, and ends with the transaction."""
    link = await served.connect("CP1")
    transaction = await start(link)
    answer = await send(served, {"profile": profile("TxProfile"), "transactionId": transaction})
    assert (answer.status, answer.json["outcome"]) == (200, "Accepted")
    payload = sent(link, "SetChargingProfile")[0]
    assert (payload["connectorId"], payload["csChargingProfiles"]["transactionId"]) == (1, transaction)
    assert "startSchedule" not in payload["csChargingProfiles"]["chargingSchedule"]
    assert [row["transactionId"] for row in await installed(served)] == [transaction]
    await stop(link, transaction)
    assert await installed(served) == []


@ensure
async def test_a_remote_start_with_a_profile(served: Served) -> None:
    """TC_059, SC-05, K-1, T-10: it is a TxProfile without a transactionId, and installed once its transaction has begun."""
    link = await served.connect("CP1")
    brought = profile("TxProfile", chargingProfileId=7, chargingSchedule=schedule(6.0))
    body = {"charger": "CP1", "idTag": "Card", "connectorId": 1, "chargingProfile": brought}
    for wrong, pointer in (
        ({"chargingProfilePurpose": "TxDefaultProfile"}, "/chargingProfile/chargingProfilePurpose"),
        ({"transactionId": 5}, "/chargingProfile/transactionId"),
        ({"chargingSchedule": schedule(startSchedule="2026-01-01T00:00:00Z")}, "/chargingProfile/chargingSchedule/startSchedule"),
    ):
        refused = await served.post("/api/v1/transactions", {**body, "chargingProfile": {**brought, **wrong}})
        assert pointers(refused) == [pointer]
    answer = await served.post("/api/v1/transactions?wait=10", body)
    assert answer.json["outcome"] == "Accepted"
    payload = sent(link, "RemoteStartTransaction")[0]["chargingProfile"]
    assert payload["chargingProfilePurpose"] == "TxProfile" and "transactionId" not in payload
    assert payload["chargingSchedule"]["chargingSchedulePeriod"][0]["startPeriod"] == 0
    assert await installed(served) == []
    transaction = await start(link)
    (row,) = await installed(served)
    assert (row["transactionId"], row["mark"], row["action"]) == (transaction, "confirmed", "RemoteStartTransaction")
    await stop(link, transaction)
    assert await installed(served) == []


@ensure
async def test_a_composite_schedule_of_the_charger(served: Served) -> None:
    """TC_066, SC-11, K-6: what the charger answers is shown beside ours, with the differences; a refusal without a schedule."""
    answers: list[Any] = [
        {
            "status": "Accepted",
            "connectorId": 1,
            "scheduleStart": "2026-06-01T00:00:00Z",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "startSchedule": "2020-01-01T00:00:00Z",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 100, "limit": 21.4}],
            },
        },
        "Rejected",
        {"status": "Accepted", "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": []}},
        ["PropertyConstraintViolation", "no such unit", {}],
    ]
    link = await served.connect(
        "CP1", answering(lambda action, _: answers.pop(0) if action == "GetCompositeSchedule" else "Accepted")
    )
    await send(served, {"profile": profile(chargingSchedule=schedule(16)), "connectorId": 1})
    path = "/api/v1/chargers/CP1/composite-schedule?connectorId=1&duration=300&assumeTransaction=true"
    told = (await served.post(path)).json
    assert sent(link, "GetCompositeSchedule") == [{"connectorId": 1, "duration": 300}]
    assert (told["charger"]["status"], told["charger"]["scheduleStart"]) == ("Accepted", "2026-06-01T00:00:00.000Z")
    assert told["ours"]["scheduleStart"] == told["charger"]["scheduleStart"]
    assert told["differences"] == [{"startPeriod": 100, "endPeriod": 300, "ours": 16, "charger": 21.4}]
    refused = (await served.post(path)).json
    assert refused["charger"] == {"status": "Rejected"} and "differences" not in refused
    empty = (await served.post(path)).json
    assert empty["charger"]["chargingSchedule"]["chargingSchedulePeriod"] == []
    error = await served.post(f"{path}&unit=W")
    assert (error.status, error.json["ocppErrorCode"]) == (502, "PropertyConstraintViolation")
    assert sent(link, "GetCompositeSchedule")[-1]["chargingRateUnit"] == "W"


@ensure
async def test_profiles_are_cleared(served: Served) -> None:
    """TC_067, SC-10: by id, by connector, purpose and level, and all: the members as asked and no others; the mirror follows."""
    link = await served.connect("CP1")

    async def install() -> None:
        for number, level in ((11, 0), (12, 1), (13, 2)):
            body = {"profile": profile(level=level, chargingProfileId=number), "connectorId": 1}
            assert (await send(served, body)).json["outcome"] == "Accepted"

    await install()
    assert await marks(served) == {11: "confirmed", 12: "confirmed", 13: "confirmed"}
    for query, payload, left in (
        ("&id=12", {"id": 12}, [11, 13]),
        (
            "&connectorId=1&purpose=TxDefaultProfile&stackLevel=2",
            {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 2},
            [11],
        ),
        ("&connectorId=0", {"connectorId": 0}, [11]),
        ("", {}, []),
    ):
        assert (await clear(served, query)).json["outcome"] == "Accepted"
        assert sent(link, "ClearChargingProfile")[-1] == payload
        assert list(await marks(served)) == left
    link.script = answering(lambda action, _: "Unknown" if action == "ClearChargingProfile" else "Accepted")
    await install()
    assert (await clear(served, "&id=11")).json["outcome"] == "Unknown"
    assert list(await marks(served)) == [12, 13], "what the charger does not know is not there"


# What is refused before anything is sent


ROW = {"startPeriod": 0, "limit": 16}


@ensure
@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"chargingSchedule": schedule(6.15)}, "/chargingSchedule/chargingSchedulePeriod/0/limit"),
        ({"chargingSchedule": schedule(-1)}, "/chargingSchedule/chargingSchedulePeriod/0/limit"),
        ({"chargingSchedule": schedule("6")}, "/chargingSchedule/chargingSchedulePeriod/0/limit"),
        ({"chargingSchedule": schedule(6, minChargingRate=-0.1)}, "/chargingSchedule/minChargingRate"),
        ({"chargingSchedule": schedule(6, duration=0)}, "/chargingSchedule/duration"),
        ({"chargingSchedule": schedule(chargingRateUnit="kW")}, "/chargingSchedule/chargingRateUnit"),
        ({"chargingSchedule": schedule(chargingSchedulePeriod=[])}, "/chargingSchedule/chargingSchedulePeriod"),
        (
            {"chargingSchedule": schedule(chargingSchedulePeriod=[{**ROW, "numberPhases": 4}])},
            "/chargingSchedule/chargingSchedulePeriod/0/numberPhases",
        ),
        (
            {"chargingSchedule": schedule(chargingSchedulePeriod=[{**ROW, "startPeriod": 1}])},
            "/chargingSchedule/chargingSchedulePeriod/0/startPeriod",
        ),
        (
            {"chargingSchedule": schedule(chargingSchedulePeriod=[ROW, {**ROW, "startPeriod": 9}, {**ROW, "startPeriod": 9}])},
            "/chargingSchedule/chargingSchedulePeriod/2/startPeriod",
        ),
        (
            {"chargingSchedule": schedule(duration=9, chargingSchedulePeriod=[ROW, {**ROW, "startPeriod": 9}])},
            "/chargingSchedule/chargingSchedulePeriod/1/startPeriod",
        ),
        ({"chargingSchedule": schedule(startSchedule="2026-01-01T00:00:00Z")}, "/chargingSchedule/startSchedule"),
        ({"chargingProfileKind": "Absolute"}, "/chargingSchedule/startSchedule"),
        ({"chargingProfileKind": "Sometimes"}, "/chargingProfileKind"),
        ({"recurrencyKind": "Daily"}, "/recurrencyKind"),
        (
            {"chargingProfileKind": "Recurring", "chargingSchedule": schedule(startSchedule="2026-01-01T00:00:00Z")},
            "/recurrencyKind",
        ),
        (
            {
                "chargingProfileKind": "Recurring",
                "recurrencyKind": "Daily",
                "chargingSchedule": schedule(startSchedule="2026-01-01T00:00:00Z", duration=86401),
            },
            "/chargingSchedule/duration",
        ),
        ({"stackLevel": -1}, "/stackLevel"),
        ({"validFrom": "2026-02-01T00:00:00Z", "validTo": "2026-01-01T00:00:00Z"}, "/validTo"),
        ({"validTo": "tomorrow"}, "/validTo"),
        ({"chargingProfileId": 0}, "/chargingProfileId"),
        ({"chargingProfileId": "1"}, "/chargingProfileId"),
        ({"colour": "red"}, "/colour"),
    ],
)
async def test_profiles_that_make_no_sense(served: Served, wrong: dict[str, Any], pointer: str) -> None:
    """SC-08, SC-06, K-2, K-3: refused with the member, as a template, for a charger and as a command; nothing is sent or kept."""
    link = await served.connect("CP1")
    body = {"profile": {**profile(), **wrong}, "connectorId": 1}
    assert pointers(await send(served, body)) == [f"/profile{pointer}"]
    if "chargingProfileId" not in wrong:
        assert pointers(await served.post("/api/v1/charging-profiles", {"name": "N", "profile": body["profile"]})) == [
            f"/profile{pointer}"
        ]
    if wrong.get("chargingProfileId") != 0:
        payload = {"connectorId": 1, "csChargingProfiles": {"chargingProfileId": 1, **profile(), **wrong}}
        assert pointers(await served.command("SetChargingProfile", payload)) == [f"/csChargingProfiles{pointer}"]
    assert link.calls == [] and await installed(served) == []
    assert (await served.get("/api/v1/charging-profiles")).json["items"] == []


@ensure
async def test_wishes_that_cannot_be(served: Served) -> None:
    """K-1, K-7: purposes, connectors and transactions that do not go together, and references to nothing, are refused."""
    link = await served.connect("CP1")
    await served.connect("CP2")
    open_, ended = await start(link), await start(link, 2)
    await stop(link, ended)
    own, most = profile("TxProfile"), profile("ChargePointMaxProfile")
    for body, expected in (
        ({}, [""]),
        ({"profile": own, "templateId": 1}, [""]),
        ({"profile": 5}, ["/profile"]),
        ({"templateId": 77}, ["/templateId"]),
        ({"templateId": "1"}, ["/templateId"]),
        ({"profile": own}, ["/transactionId"]),
        ({"profile": own, "transactionId": 99}, ["/transactionId"]),
        ({"profile": own, "transactionId": -1}, ["/transactionId"]),
        ({"profile": {**own, "transactionId": 99}}, ["/profile/transactionId"]),
        ({"profile": {**own, "transactionId": open_}, "transactionId": ended}, ["/profile/transactionId"]),
        ({"profile": own, "transactionId": open_, "connectorId": 2}, ["/connectorId"]),
        ({"profile": own, "transactionId": open_, "connectorId": 0}, ["/connectorId"]),
        ({"profile": own, "transactionId": open_, "connectorId": -1}, ["/connectorId"]),
        ({"profile": most, "connectorId": 1}, ["/connectorId"]),
        ({"profile": most, "transactionId": open_}, ["/transactionId"]),
        ({"profile": most, "fallBack": True}, ["/fallBack"]),
        ({"profile": most, "fallBack": 1}, ["/fallBack"]),
        ({"profile": most, "kind": "x"}, ["/kind"]),
    ):
        assert pointers(await send(served, body)) == expected, body
    gone = await send(served, {"profile": own, "transactionId": ended})
    assert (gone.status, gone.slug) == (409, "conflict")
    assert pointers(await send(served, {"profile": own, "transactionId": open_}, name="CP2")) == ["/transactionId"]
    assert (await send(served, {"profile": most}, name="CP9")).slug == "unknown-charger"
    assert (await send(served, {"profile": most}, "?unit=A")).slug == "bad-parameters"
    assert (await send(served, b"{")).slug == "not-json"
    assert (await clear(served, "&stackLevel=-1")).slug == "bad-parameters"
    assert (await clear(served, "&purpose=Default")).slug == "bad-parameters"
    assert sent(link, "SetChargingProfile") == sent(link, "ClearChargingProfile") == [] and await installed(served) == []


@ensure
async def test_what_the_charger_cannot_take(served: Served) -> None:
    """SC-08, K-3, K-4: too many periods, too high a level, a unit it has not, and one profile too many are refused locally."""
    keys = {
        "ChargeProfileMaxStackLevel": "2",
        "ChargingScheduleMaxPeriods": "2",
        "chargingScheduleAllowedChargingRateUnit": "Current",
        "MaxChargingProfilesInstalled": "1",
    }
    served.system.charging.limits = lambda _: succeed(limits_of(keys))
    link = await served.connect("CP1")
    long = schedule(chargingSchedulePeriod=[{**ROW, "startPeriod": second} for second in range(3)])
    for wrong, pointer in (
        ({"stackLevel": 3}, "/profile/stackLevel"),
        ({"chargingSchedule": long}, "/profile/chargingSchedule/chargingSchedulePeriod"),
        ({"chargingSchedule": schedule(chargingRateUnit="W")}, "/profile/chargingSchedule/chargingRateUnit"),
    ):
        assert pointers(await send(served, {"profile": {**profile(), **wrong}})) == [pointer]
    assert link.calls == []
    assert (await send(served, {"profile": profile()})).status == 200
    full = await send(served, {"profile": profile(level=1)})
    assert (full.status, full.slug) == (409, "conflict")
    assert (await send(served, {"profile": profile(chargingSchedule=schedule(20))})).status == 200, "in its place"
    kept = await served.post("/api/v1/charging-profiles", {"name": "High", "profile": profile(level=9)})
    answer = await send(served, {"templateId": kept.json["templateId"]})
    assert pointers(answer) == ["/templateId"] and "stackLevel" in answer.json["errors"][0]["detail"]
    assert len(sent(link, "SetChargingProfile")) == 2


@ensure
async def test_numbers_on_the_wire(served: Served) -> None:
    """SC-06, K-3: limits of one digit are sent, kept and shown as they were given."""
    frames: list[str] = []
    link = await served.connect("CP1")
    write = link.send
    link.send = lambda frame: (frames.append(frame.decode()), write(frame))[1]  # type: ignore[method-assign]
    for text in ("6", "6.0", "6.1", "21.4", "0.3"):
        raw = json.dumps({"profile": profile(chargingSchedule=schedule("LIMIT")), "connectorId": 1}).replace('"LIMIT"', text)
        assert (await send(served, raw.encode())).status == 200
        assert f'"limit":{text}}}' in frames[-1], frames[-1]
        assert f'"limit":{text}}}'.encode() in (await served.get(PATH)).body


# What becomes of them


@ensure
async def test_marks(served: Served) -> None:
    """K-8, S-6: accepted, refused (told as an event), without an answer, and not sent at all."""
    answers: list[Any] = ["Accepted", "Rejected", ["NotSupported", "no", {}], None]
    link = await served.connect("CP1", answering(lambda *_: answers.pop(0)))
    statuses = [(await send(served, {"profile": profile(level=level)}, "?wait=5")).status for level in (0, 1, 2)]
    assert statuses == [200, 200, 502]
    assert await marks(served) == {1: "confirmed", 2: "refused", 3: "refused"}
    assert [row.get("outcome") for row in await installed(served)] == [None, "Rejected", "NotSupported"]
    events = (await served.get("/api/v1/events?type=chargingProfileRefused")).json["items"]
    assert [(event["chargingProfileId"], event["connectorId"], event["outcome"]) for event in events] == [
        (3, 0, "NotSupported"),
        (2, 0, "Rejected"),
    ]
    assert (await send(served, {"profile": profile(level=3)}, "?wait=0")).status == 202
    assert (await marks(served))[4] == "pending"
    served.disconnect(link)
    await served.storage.check()
    assert (await marks(served))[4] == "unknown"
    assert [row["chargingProfileId"] for row in await installed(served, "?mark=unknown&purpose=TxDefaultProfile")] == [4]
    refused = await send(served, {"profile": profile(level=4)}, "?offline=fail")
    assert refused.slug == "not-connected" and 5 not in await marks(served), "what was not sent is not on order"
    waiting = await send(served, {"profile": profile(level=5)}, "")
    assert waiting.json["state"] == "queued" and (await marks(served))[6] == "pending"
    await served.request("DELETE", f"/api/v1/messages/{waiting.json['messageId']}")
    assert 6 not in await marks(served)
    again = await served.connect("CP1", answering(lambda *_: "Accepted"))
    assert again.calls == [] and (await marks(served))[1] == "confirmed", "profiles outlive a boot (K-8)"


@ensure
async def test_pages_of_profiles(served: Served) -> None:
    """The list has pages, and filters of which every one counts."""
    await served.connect("CP1")
    for level in range(3):
        await send(served, {"profile": profile(level=level), "connectorId": level % 2})
    first = (await served.get(f"{PATH}?limit=2")).json
    second = (await served.get(f"{PATH}?limit=2&after={first['next']}")).json
    assert ([row["chargingProfileId"] for row in first["items"] + second["items"]], second["next"]) == ([1, 2, 3], None)
    assert [row["chargingProfileId"] for row in await installed(served, "?connectorId=0")] == [1, 3]
    assert await installed(served, "?mark=refused") == []


@ensure
async def test_a_charger_that_refuses_what_is_for_transactions(served: Served) -> None:
    """K-7: a TxProfile that is refused goes out as a TxDefaultProfile where that is wanted, and is cleared after all (4.4)."""
    link = await served.connect(
        "CP1",
        answering(
            lambda action, payload: (
                "Rejected"
                if action == "SetChargingProfile" and payload["csChargingProfiles"]["chargingProfilePurpose"] == "TxProfile"
                else "Accepted"
            )
        ),
    )
    transaction = await start(link)
    own = profile("TxProfile", chargingSchedule=schedule(8.5))
    assert (await send(served, {"profile": own, "transactionId": transaction})).json["outcome"] == "Rejected"
    await soon(lambda: len(sent(link, "SetChargingProfile")) == 1)
    answer = await send(served, {"profile": own, "transactionId": transaction, "fallBack": True})
    assert answer.json["outcome"] == "Rejected"
    await soon(lambda: len(sent(link, "SetChargingProfile")) == 3)
    payload = sent(link, "SetChargingProfile")[-1]
    other = payload["csChargingProfiles"]
    assert (payload["connectorId"], other["chargingProfilePurpose"]) == (1, "TxDefaultProfile")
    assert other["chargingSchedule"] == own["chargingSchedule"] and "transactionId" not in other
    await until(lambda: has(served, other["chargingProfileId"], "confirmed"))
    events = (await served.get("/api/v1/events?type=chargingProfileRefused&limit=1")).json["items"]
    assert (events[0]["transactionId"], events[0]["fallback"]) == (transaction, "TxDefaultProfile")
    (row,) = [row for row in await installed(served) if "standsInFor" in row]
    assert row["standsInFor"] == transaction
    served.system.sweep()
    await stop(link, transaction)
    served.system.sweep()
    await soon(lambda: sent(link, "ClearChargingProfile") == [{"id": other["chargingProfileId"]}])
    await until(lambda: is_empty(served))


async def soon(condition: Callable[[], object]) -> None:
    """Wait until it is so."""

    async def holds() -> bool:
        return bool(condition())

    await until(holds)


async def has(served: Served, identity: int, mark: str) -> bool:
    """Whether a profile of CP1 has this mark."""
    return (await marks(served)).get(identity) == mark


async def is_empty(served: Served) -> bool:
    """Whether nothing is known to be installed in CP1."""
    return await installed(served) == []


# Templates, and transactions that begin


TEMPLATES = "/api/v1/charging-profiles"
OWN = {"name": "Night", "profile": profile("TxProfile"), "applyAtStart": True, "fallBack": False}


async def keep(served: Served, **members: Any) -> dict[str, Any]:
    """A template."""
    answer = await served.post(TEMPLATES, {**OWN, **members})
    assert (answer.status, answer.headers["location"]) == (201, f"{TEMPLATES}/{answer.json['templateId']}")
    return dict(answer.json)


async def put(served: Served, path: str, body: Any, **headers: str) -> Answered:
    """PUT a template."""
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await served.request("PUT", path, json.dumps(body).encode(), given)


@ensure
async def test_templates(served: Served) -> None:
    """A template is made, shown, changed and deleted, and with conditions only as its sender last saw it."""
    made = await served.post(TEMPLATES, {**OWN, "chargers": ["CP2", "CP1"]})
    path = made.headers["location"]
    assert made.json == {**OWN, "templateId": 1, "chargers": ["CP1", "CP2"]}
    shown = await served.get(path)
    assert (shown.json, shown.headers["etag"]) == (made.json, made.headers["etag"])
    assert (await served.request("GET", path, headers={"If-None-Match": made.headers["etag"]})).status == 304
    changed = await put(served, path, {"name": "Day", "profile": ABSOLUTE}, If_Match=made.headers["etag"])
    assert changed.status == 200
    assert changed.json == {"templateId": 1, "name": "Day", "profile": ABSOLUTE, "applyAtStart": False, "fallBack": False}
    stale = await put(served, path, OWN, If_Match=made.headers["etag"])
    assert (stale.status, stale.slug) == (412, "precondition-failed")
    assert (await served.request("DELETE", path, headers={"If-Match": made.headers["etag"]})).status == 412
    assert [row["name"] for row in (await served.get(TEMPLATES)).json["items"]] == ["Day"]
    assert (await served.request("DELETE", path)).status == 204
    for method in ("GET", "DELETE"):
        assert (await served.request(method, path)).slug == "not-found"
    assert (await put(served, path, OWN)).slug == "not-found"
    assert (await served.get(f"{TEMPLATES}/x")).slug == "not-found"


@ensure
async def test_templates_that_cannot_be(served: Served) -> None:
    """Wrong types, lengths, names and members of a template are refused with their pointers, and change nothing."""
    kept = await keep(served)
    path = f"{TEMPLATES}/{kept['templateId']}"
    for body, expected in (
        ({}, ["/name", "/profile"]),
        ({**OWN, "name": ""}, ["/name"]),
        ({**OWN, "name": "x" * 101}, ["/name"]),
        ({**OWN, "name": 5}, ["/name"]),
        ({**OWN, "profile": []}, ["/profile"]),
        ({**OWN, "profile": {**profile("TxProfile"), "chargingProfileId": 4}}, ["/profile/chargingProfileId"]),
        ({**OWN, "profile": {**profile("TxProfile"), "transactionId": 4}}, ["/profile/transactionId"]),
        ({**OWN, "applyAtStart": "yes"}, ["/applyAtStart"]),
        ({**OWN, "fallBack": None}, ["/fallBack"]),
        ({**OWN, "profile": profile()}, ["/applyAtStart"]),
        ({"name": "N", "profile": profile(), "fallBack": True}, ["/fallBack"]),
        ({**OWN, "chargers": []}, ["/chargers"]),
        ({**OWN, "chargers": "CP1"}, ["/chargers"]),
        ({**OWN, "chargers": ["CP1", "CP9"]}, ["/chargers/1"]),
        ({**OWN, "applyAtStart": False, "chargers": ["CP1"]}, ["/chargers"]),
        ({**OWN, "owner": "me"}, ["/owner"]),
    ):
        assert pointers(await served.post(TEMPLATES, body)) == expected, body
        assert pointers(await put(served, path, body)) == expected, body
    assert (await served.get(TEMPLATES)).json["items"] == [kept]


@ensure
async def test_profiles_for_transactions_that_begin(served: Served) -> None:
    """T-10, S-3: what is kept for starts is sent after the answer, once, one per level, the charger's own before that for all."""
    link = await served.connect("CP1")
    await start(link)
    assert sent(link, "SetChargingProfile") == []
    await keep(served, name="all")
    own = await keep(served, name="own", profile=profile("TxProfile", chargingSchedule=schedule(7)), chargers=["CP1"])
    high = await keep(served, name="high", profile=profile("TxProfile", level=2))
    await keep(served, name="elsewhere", profile=profile("TxProfile", level=4), chargers=["CP2"])
    frame = start_frame(2)
    transaction = (await link.ask(frame))[2]["transactionId"]
    await soon(lambda: len(sent(link, "SetChargingProfile")) == 2)
    payloads = sent(link, "SetChargingProfile")
    assert [(each["connectorId"], each["csChargingProfiles"]["transactionId"]) for each in payloads] == [(2, transaction)] * 2
    await until(lambda: has(served, 2, "confirmed"))
    assert [row["templateId"] for row in await installed(served)] == [own["templateId"], high["templateId"]]
    link.tell(frame.replace('"t1"', '"t2"'))
    await start(link, 1, ago_ms=3600_000)
    refused = await served.connect("CP2")
    await served.storage.check()
    assert len(sent(link, "SetChargingProfile")) == 2 and refused.calls == [], "neither again, nor for an old start"
    assert len(await installed(served)) == 2


@ensure
async def test_a_profile_for_a_charger_whose_clock_is_ahead(served: Served) -> None:
    """T-10: a start that says to be later than now is not an old one; its transaction is sent what is kept for it."""
    link = await served.connect("CP1")
    await keep(served)
    transaction = await start(link, ago_ms=-3600_000)
    await soon(lambda: len(sent(link, "SetChargingProfile")) == 1)
    assert sent(link, "SetChargingProfile")[0]["csChargingProfiles"]["transactionId"] == transaction


def start_frame(connector_id: int) -> str:
    """A StartTransaction of now."""
    payload = {"connectorId": connector_id, "idTag": "Card", "meterStart": 5, "timestamp": format_timestamp(now_ms(reactor))}
    return json.dumps([2, "t1", "StartTransaction", payload])


@ensure
async def test_no_profile_beside_one_that_was_brought(served: Served) -> None:
    """T-10: a transaction whose remote start brought a profile of that level is sent no template for it. It is given an id."""
    served.system.charging.limits = lambda _: succeed(limits_of({"ChargeProfileMaxStackLevel": "1"}))
    link = await served.connect("CP1")
    await keep(served)
    body = {"charger": "CP1", "idTag": "Card", "connectorId": 1}
    high = await served.post("/api/v1/transactions?wait=10", {**body, "chargingProfile": profile("TxProfile", level=2)})
    assert pointers(high) == ["/chargingProfile/stackLevel"]
    await served.post("/api/v1/transactions?wait=10", {**body, "chargingProfile": profile("TxProfile")})
    assert [payload["chargingProfile"]["chargingProfileId"] for payload in sent(link, "RemoteStartTransaction")] == [1]
    await start(link)
    await served.storage.check()
    assert sent(link, "SetChargingProfile") == [] and await marks(served) == {1: "confirmed"}


# Previews


@ensure
async def test_a_preview(served: Served) -> None:
    """K-6, K-7: what is installed adds up for a running transaction, an assumed one, and the charger as a whole."""
    link = await served.connect("CP1")
    for connector in (1, 2):
        status = {"connectorId": connector, "errorCode": "NoError", "status": "Available"}
        await link.ask(json.dumps([2, f"n{connector}", "StatusNotification", status]))
    transaction = await start(link)
    for body in (
        {"profile": profile("ChargePointMaxProfile", chargingSchedule=schedule(40))},
        {"profile": profile("TxProfile", chargingSchedule=schedule(10, duration=1000)), "transactionId": transaction},
        {"profile": profile(chargingSchedule=schedule(32, minChargingRate=6.1))},
    ):
        assert (await send(served, body)).status == 200
    path = "/api/v1/chargers/CP1/composite-schedule"
    one = (await served.get(f"{path}?connectorId=1&duration=600")).json
    assert one["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10}]
    assert one["assumptions"] == {"phases": 3, "transactions": [{"connectorId": 1, "transactionId": transaction}]}
    two = (await served.get(f"{path}?connectorId=2&duration=600&at=2030-01-01T00:00:00Z")).json
    assert two["scheduleStart"] == "2030-01-01T00:00:00.000Z" and two["chargingSchedule"]["minChargingRate"] == 6.1
    assert two["assumptions"]["transactions"] == [{"connectorId": 2, "assumed": True}]
    idle = (await served.get(f"{path}?connectorId=2&duration=600&assumeTransaction=false")).json
    assert idle["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 40}]
    whole = (await served.get(f"{path}?duration=600")).json
    assert whole["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 40}], "10 + 32, and no more"
    watts = (await served.get(f"{path}?connectorId=1&duration=600&unit=W&voltage=230")).json
    assert (watts["chargingSchedule"]["chargingRateUnit"], watts["assumptions"]["voltage"]) == ("W", 230)
    assert watts["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 6900}]
    kept = (await served.get(f"{path}?connectorId=1&unit=W")).json
    assert (kept["unitKept"], kept["chargingSchedule"]["chargingRateUnit"]) == (True, "A")
    await send(served, {"profile": profile(level=1, chargingSchedule=schedule(5000, chargingRateUnit="W")), "connectorId": 2})
    mixed = await served.get(f"{path}?connectorId=2")
    assert (mixed.status, mixed.slug) == (409, "conflict")
    for query in ("unit=kW", "duration=0", "duration=9999999", "connectorId=-1", "at=now", "voltage=1", "phases=4", "when=1"):
        assert (await served.get(f"{path}?{query}")).slug == "bad-parameters"
    assert (await served.get(path.replace("CP1", "CP9"))).slug == "unknown-charger"
    assert (await served.post(path.replace("CP1", "CP2"))).slug == "not-connected"
    assert (await served.post(path, {"a": 1})).slug == "bad-request"


@ensure
async def test_what_counts_in_a_preview(served: Served) -> None:
    """K-8, K-6: a refused profile and one that is on its way do not count; one of which nobody knows does, and is named."""
    answers: list[Any] = ["Accepted", "Rejected", None]
    link = await served.connect("CP1", answering(lambda *_: answers.pop(0)))
    for level in range(3):
        body = {"profile": profile(level=level, chargingSchedule=schedule(10 + level)), "connectorId": 1}
        await send(served, body, "?wait=0.2" if level == 2 else "?wait=10")
    path = "/api/v1/chargers/CP1/composite-schedule?connectorId=1"

    async def counted() -> tuple[int, list[int]]:
        told = (await served.get(path)).json
        (period,) = told["chargingSchedule"]["chargingSchedulePeriod"]
        return period["limit"], told["uncertain"]

    assert await counted() == (10, [3])
    served.disconnect(link)
    await served.storage.check()
    assert await counted() == (12, [3])
