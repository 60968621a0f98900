"""Charging profiles between operators and chargers: sent, installed, refused, cleared, ended. REQUIREMENTS K-1 to K-8."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import pytest_twisted
from twisted.internet import reactor

from ocppd.clock import now_ms
from ocppd.v16.timestamps import format_timestamp
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
    path = "/api/v1/chargers/CP1/composite-schedule?connectorId=1&duration=300"
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
