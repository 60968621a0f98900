"""Transactions between chargers and operators: one at a time for a tag, closed by hand, missing their stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from ocppd.central.authorization import verdict
from ocppd.central.system import STOP_MISSING_MS
from ocppd.clock import now_ms
from ocppd.storage.records import IdTag
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.timestamps import format_timestamp
from support import postgresql
from support.rest import ScriptedLink, Served
from support.storing import NOON_MS, inbound, start

ensure = pytest_twisted.ensureDeferred
_numbers = count(1)


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """A central system with two chargers."""
    running = Served("CP1", "CP2")
    yield running
    await running.stop()


async def begin(link: ScriptedLink, tag: str = "Card", *, connector_id: int = 1, instant: str = "12:00:00") -> Any:
    """The answer to a StartTransaction."""
    payload = f'{{"connectorId":{connector_id},"idTag":"{tag}","meterStart":5,"timestamp":"2026-03-01T{instant}Z"}}'
    return (await link.ask(f'[2,"s{connector_id}{instant}","StartTransaction",{payload}]'))[2]


async def authorize(link: ScriptedLink, tag: str) -> list[Any]:
    """The frame that answers an Authorize."""
    return await link.ask(f'[2,"a{next(_numbers)}","Authorize",{{"idTag":"{tag}"}}]')


@ensure
async def test_one_transaction_at_a_time(served: Served) -> None:
    """T-5, A-1: a card that charges is ConcurrentTx at another charger, and Accepted in Authorize; a usable id comes with it."""
    await served.storage.put_id_tag(IdTag(key="card", id_tag="Card"), None, NOON_MS)
    one, two = await served.connect("CP1"), await served.connect("CP2")
    first = await begin(one)
    assert first["idTagInfo"] == {"status": "Accepted"}
    assert (await begin(one)) == first
    assert (await authorize(two, "CARD"))[2] == {"idTagInfo": {"status": "Accepted"}}
    refused = await begin(two)
    assert refused["idTagInfo"] == {"status": "ConcurrentTx"} and refused["transactionId"] > first["transactionId"]
    stop = f'{{"transactionId":{refused["transactionId"]},"meterStop":5,"timestamp":"2026-03-01T12:01:00Z","idTag":"card"}}'
    assert (await two.ask(f'[2,"p","StopTransaction",{stop}]'))[2] == {"idTagInfo": {"status": "Accepted"}}


@ensure
async def test_an_unknown_card_is_remembered(served: Served) -> None:
    """A-5: a card that nobody knows is refused once some are known, and remembered with its charger."""
    link = await served.connect("CP1")
    assert (await authorize(link, "Who"))[2] == {"idTagInfo": {"status": "Accepted"}}
    await served.storage.put_id_tag(IdTag(key="card", id_tag="Card"), None, NOON_MS)
    assert (await authorize(link, "Who"))[2] == {"idTagInfo": {"status": "Invalid"}}
    assert (await begin(link, "Else"))["idTagInfo"] == {"status": "Invalid"}
    await served.storage.check()
    seen = await served.storage.list_unknown_id_tags("", 9)
    assert [(each.id_tag, each.charger) for each in seen] == [("Else", "CP1"), ("Who", "CP1")]


@ensure
async def test_authorize_without_records(served: Served) -> None:
    """Where tags cannot be looked up Authorize is answered InternalError, so that the charger decides by itself or repeats it."""
    link = await served.connect("CP1")
    await served.storage.stop()
    answer = await authorize(link, "Card")
    assert (answer[0], answer[2]) == (4, "InternalError")
    recent = served.system.queries.remembered("CP1")[0]
    assert (recent.action, recent.state) == ("Authorize", "error")


@ensure
async def test_an_operator_closes_a_transaction(served: Served) -> None:
    """T-29: what has no stop is closed with a reason, and no longer counts for its card; what has ended is not."""
    await served.storage.put_id_tag(IdTag(key="card", id_tag="Card"), None, NOON_MS)
    one, two = await served.connect("CP1"), await served.connect("CP2")
    identity = (await begin(one))["transactionId"]
    path = f"/api/v1/transactions/{identity}/close"
    for body, pointers in (
        ({}, ["/reason"]),
        ({"reason": " "}, ["/reason"]),
        ({"reason": 5}, ["/reason"]),
        ({"reason": "x" * 501}, ["/reason"]),
        ({"reason": "x", "a/b": 1}, ["/a~1b"]),
        ({"a": 1}, ["/a", "/reason"]),
    ):
        answer = await served.post(path, body)
        assert (answer.status, [error["pointer"] for error in answer.json["errors"]]) == (422, pointers)
    assert (await served.post("/api/v1/transactions/99/close", {"reason": "x"})).slug == "unknown-transaction"
    assert (await served.get(f"/api/v1/transactions/{identity}")).json["state"] == "open"
    closed = await served.post(path, {"reason": "charger was stolen"})
    assert (closed.status, closed.json["state"], closed.json["closeReason"]) == (200, "closed", "charger was stolen")
    again = await served.post(path, {"reason": "once more"})
    assert (again.status, again.slug) == (409, "not-closable")
    assert (await begin(two))["idTagInfo"] == {"status": "Accepted"}
    stop = f'{{"transactionId":{identity},"meterStop":25,"timestamp":"2026-03-01T12:01:00Z"}}'
    await one.ask(f'[2,"p","StopTransaction",{stop}]')
    stopped = (await served.get(f"/api/v1/transactions/{identity}")).json
    assert (stopped["state"], stopped["energyWh"], stopped["closeReason"]) == ("stopped", 20, "charger was stolen")
    events = (await served.get("/api/v1/events?type=transactionClosed")).json["items"]
    assert [(event["transactionId"], event["reason"]) for event in events] == [(identity, "charger was stolen")]


@ensure
async def test_a_day_without_a_word(served: Served) -> None:
    """T-28: a transaction of which nothing was heard for a day is marked, and told; others are not."""
    await served.storage.transaction_started(inbound("StartTransaction", "CP2"), start())
    link = await served.connect("CP1")
    fresh = (await begin(link))["transactionId"]
    await served.system.look_for_missing_stops()
    states = {row["transactionId"]: row["state"] for row in (await served.get("/api/v1/transactions")).json["items"]}
    assert states == {1: "stopMissing", fresh: "open"} and STOP_MISSING_MS == 86_400_000
    events = (await served.get("/api/v1/events?type=stopMissing")).json["items"]
    assert [(event["charger"], event["transactionId"]) for event in events] == [("CP2", 1)]


@ensure
async def test_two_nodes_judge_one_after_the_other(pytestconfig: pytest.Config) -> None:
    """T-5: of two starts with one card at two nodes at the same moment, exactly one is accepted."""

    server = postgresql.server(pytestconfig)
    database = server.create()
    nodes = [SqlStorage(server.url(database), reactor, postgresql.SECRET_KEY, node=name) for name in ("a#1", "b#1")]
    try:
        for node in nodes:
            node.start()
        await nodes[0].put_id_tags([IdTag(key=f"t{number}", id_tag=f"T{number}") for number in range(40)], NOON_MS)
        accepted = []
        for number in range(40):
            begins = start(
                id_tag=f"T{number}",
                id_tag_key=f"t{number}",
                judge=lambda standing: verdict(standing, None, NOON_MS, starting=True),
            )
            both = [
                node.transaction_started(inbound("StartTransaction", charger), begins)
                for node, charger in zip(nodes, ("CP1", "CP2"), strict=True)
            ]
            accepted.append(sorted(str(started.verdict.status) for started in await gatherResults(both)))
        assert accepted == [["Accepted", "ConcurrentTx"]] * 40
    finally:
        for node in nodes:
            await node.stop()
        server.drop(database)


@pytest.mark.parametrize("charger", [None, 7, "", "\ud800", "CP1\0", "x" * 256])
@ensure
async def test_a_remote_start_names_a_charger(served: Served, charger: Any) -> None:
    """What cannot be the name of one is 422, whatever it is."""
    refused = await served.post("/api/v1/transactions", {"charger": charger, "idTag": "T"})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/charger")


@ensure
async def test_a_remote_start_becomes_a_transaction(served: Served) -> None:
    """T-9: the transaction that follows a remote start is bound to it, and each tells of the other; the next one is not."""
    link = await served.connect("CP1")
    sent = await served.post("/api/v1/transactions?wait=10", {"charger": "CP1", "idTag": "Virtual", "connectorId": 1})
    assert (sent.status, sent.json["action"], sent.json["outcome"]) == (200, "RemoteStartTransaction", "Accepted")
    assert link.calls[-1][3] == {"idTag": "Virtual", "connectorId": 1}
    now = format_timestamp(now_ms(reactor))
    other = await begin(link, "Else", instant="13:00:00")
    begun = await ask_start(link, "VIRTUAL", now)
    message = (await served.get(f"/api/v1/messages/{sent.json['messageId']}")).json
    assert message["transactionId"] == begun["transactionId"] != other["transactionId"]
    transaction = (await served.get(f"/api/v1/transactions/{begun['transactionId']}")).json
    assert transaction["remoteStartId"] == sent.json["messageId"]
    again = await ask_start(link, "Virtual", now, connector_id=2)
    assert "remoteStartId" not in (await served.get(f"/api/v1/transactions/{again['transactionId']}")).json


async def ask_start(link: ScriptedLink, tag: str, instant: str, connector_id: int = 1) -> Any:
    """The answer to a StartTransaction at a full instant."""
    payload = f'{{"connectorId":{connector_id},"idTag":"{tag}","meterStart":5,"timestamp":"{instant}"}}'
    return (await link.ask(f'[2,"r{next(_numbers)}","StartTransaction",{payload}]'))[2]


@ensure
@pytest.mark.parametrize("why", ["connector", "tag", "charger", "old", "rejected"])
async def test_a_start_that_is_another_one(served: Served, why: str) -> None:
    """T-9, A-4: on another connector, with another tag, at another charger, from before, or where the charger has refused."""
    await served.storage.put_id_tag(IdTag(key="card", id_tag="Card"), None, NOON_MS)
    answer = "Rejected" if why == "rejected" else "Accepted"
    link = await served.connect("CP1", lambda call: f'[3,"{call[1]}",{{"status":"{answer}"}}]')
    sent = await served.post("/api/v1/transactions?wait=10", {"charger": "CP1", "idTag": "Virtual", "connectorId": 1})
    assert sent.json["outcome"] == answer
    at = await served.connect("CP2") if why == "charger" else link
    instant = "2026-03-01T12:00:00Z" if why == "old" else format_timestamp(now_ms(reactor))
    begun = await ask_start(at, "Other" if why == "tag" else "Virtual", instant, 2 if why == "connector" else 1)
    assert begun["idTagInfo"]["status"] == "Invalid"
    assert "remoteStartId" not in (await served.get(f"/api/v1/transactions/{begun['transactionId']}")).json


@ensure
async def test_a_virtual_tag_is_accepted_while_it_is_expected(served: Served) -> None:
    """A-4: a tag that was made up for a remote start is Accepted in Authorize and in its StartTransaction, and not after it."""
    await served.storage.put_id_tag(IdTag(key="card", id_tag="Card"), None, NOON_MS)
    link = await served.connect("CP1")
    assert (await authorize(link, "Virtual"))[2]["idTagInfo"]["status"] == "Invalid"
    await served.post("/api/v1/transactions?wait=10", {"charger": "CP1", "idTag": "Virtual"})
    assert (await authorize(link, "Virtual"))[2]["idTagInfo"]["status"] == "Accepted"
    begun = await ask_start(link, "Virtual", format_timestamp(now_ms(reactor)), 2)
    assert begun["idTagInfo"]["status"] == "Accepted"
    assert (await authorize(link, "Virtual"))[2]["idTagInfo"]["status"] == "Invalid"


@ensure
async def test_remote_starts_and_stops_that_are_wrong(served: Served) -> None:
    """What cannot be sent is refused with the member that is wrong, and nothing is sent; a stop goes to its own charger."""
    link = await served.connect("CP1")
    for body, pointers in (
        ({"idTag": "T"}, ["/charger"]),
        ({"charger": 5, "idTag": "T"}, ["/charger"]),
        ({"charger": "CP1"}, ["/idTag"]),
        ({"charger": "CP1", "idTag": "T", "connectorId": 0}, ["/connectorId"]),
    ):
        answer = await served.post("/api/v1/transactions", body)
        assert (answer.status, [error["pointer"] for error in answer.json["errors"]]) == (422, pointers)
    assert (await served.post("/api/v1/transactions", {"charger": "CP9", "idTag": "T"})).slug == "unknown-charger"
    assert (await served.post("/api/v1/transactions", {"charger": "CP2", "idTag": "T"})).slug == "not-connected"
    assert link.calls == []
    identity = (await begin(link))["transactionId"]
    assert (await served.post(f"/api/v1/transactions/{identity}/stop", {"a": 1})).status == 400
    stopped = await served.post(f"/api/v1/transactions/{identity}/stop?wait=10")
    assert (stopped.status, stopped.json["request"]) == (200, {"transactionId": identity})
    await served.post(f"/api/v1/transactions/{identity}/close", {"reason": "x"})
    assert (await served.post(f"/api/v1/transactions/{identity}/stop")).slug == "not-closable"
    assert (await served.post("/api/v1/transactions/77/stop")).slug == "unknown-transaction"
