"""`Idempotency-Key`: a request is carried out once, however often it is sent. docs/http-api.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.task import Clock

from ocppd.bus.local import LocalBus
from ocppd.errors import StorageUnavailable
from ocppd.storage.idempotency import NOBODY
from ocppd.storage.records.idempotency import KEY_LIFE_MS, Claim
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Unit
from support.peer import raw, within
from support.rest import Answered, Served, silent

ensure = pytest_twisted.ensureDeferred


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """One charger."""
    running = Served("CP1", queue=9)
    yield running
    await running.stop()


async def sent(served: Served, query: str = "", body: Any = None, key: str = "k1", action: str = "ClearCache") -> Answered:
    """A command with a key."""
    return await served.command(action, body, query, Idempotency_Key=key)


async def kept(served: Served) -> list[Any]:
    """Who works at the requests whose keys are on record, in their order, and what they were answered."""

    def read(unit: Unit) -> list[Any]:
        rows = unit.connection.exec_driver_sql("SELECT node, status FROM idempotency_keys ORDER BY key")
        return [tuple(row) for row in rows]

    return await served.storage.write(read)


async def count(served: Served) -> int:
    """Messages to the charger that are on record."""
    return len((await served.get("/api/v1/messages?direction=toCharger")).json["items"])


@ensure
async def test_the_same_request_has_the_same_answer(served: Served) -> None:
    """A command that is sent twice with its key reaches the charger once, and is answered the same, Location and all."""
    link = await served.connect("CP1")
    first = await sent(served, "?wait=5")
    again = await sent(served, "?wait=5")
    assert (first.status, first.json["outcome"]) == (200, "Accepted")
    assert (again.status, again.body) == (first.status, first.body)
    assert [again.headers[name] for name in ("location", "content-type")] == [
        first.headers[name] for name in ("location", "content-type")
    ]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert len(link.calls) == 1
    other = await sent(served, "?wait=5", key="k2")
    assert other.json["messageId"] != first.json["messageId"] and len(link.calls) == 2


@pytest.mark.parametrize("change", ["body", "query", "path", "method"])
@ensure
async def test_a_key_is_of_one_request(served: Served, change: str) -> None:
    """The key of another body, query, path or method is 409, and nothing is sent."""
    accepted = await sent(served, body={"key": "A", "value": "1"}, action="ChangeConfiguration")
    assert accepted.status == 202
    answers = {
        "body": lambda: sent(served, body={"key": "A", "value": "2"}, action="ChangeConfiguration"),
        "query": lambda: sent(served, "?ttl=5", body={"key": "A", "value": "1"}, action="ChangeConfiguration"),
        "path": lambda: sent(served, body={"key": "A", "value": "1"}, action="ClearCache"),
        "method": lambda: served.request("DELETE", accepted.headers["location"], headers={"Idempotency-Key": "k1"}),
    }
    refused = await answers[change]()
    assert (refused.status, refused.slug) == (409, "idempotency-key")
    assert await count(served) == 1


@ensure
async def test_a_request_in_progress(served: Served) -> None:
    """While the first waits for its charger the second is told to come back; then it has the first one's answer."""
    link = await served.connect("CP1", silent)
    called = Deferred.fromCoroutine(link.next_frame())
    first = Deferred.fromCoroutine(sent(served, "?wait=30"))
    call = await within(called)
    busy = await sent(served, "?wait=30")
    assert (busy.status, busy.slug, busy.headers["retry-after"]) == (409, "in-progress", "1")
    link.tell(f'[3,"{call[1]}",{{"status":"Accepted"}}]')
    assert (await first).body == (await sent(served, "?wait=30")).body


@ensure
async def test_a_client_that_goes_away_finds_the_answer(served: Served) -> None:
    """The connection breaks while the request waits: it is carried out to its end, and told to who asks again."""
    link = await served.connect("CP1", silent)
    called = Deferred.fromCoroutine(link.next_frame())
    client = await raw(served.port)
    path = "/api/v1/chargers/CP1/commands/ClearCache?wait=30"
    client.write(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: k1\r\nContent-Length: 0\r\n\r\n".encode())
    call = await within(called)
    client.close()
    await within(client.lost)
    assert (await sent(served, "?wait=30")).slug == "in-progress"
    await link.ask('[2,"hb","Heartbeat",{}]')
    link.tell(f'[3,"{call[1]}",{{"status":"Accepted"}}]')
    while (answer := await sent(served, "?wait=30")).status == 409:
        assert answer.slug == "in-progress"
    assert (answer.status, answer.json["outcome"], len(link.calls)) == (200, "Accepted", 1)


@ensure
async def test_what_was_refused_gives_its_key_back(served: Served) -> None:
    """A request that had no effect, by its own fault or the charger's absence, may be sent again with its key, also corrected."""
    assert (await sent(served, body={"x": 1})).status == 422
    assert (await sent(served, "?offline=fail")).status == 409
    assert (await sent(served)).status == 202
    assert await count(served) == 1


@ensure
async def test_how_a_command_ended_badly_is_kept(served: Served) -> None:
    """A CALLERROR is the answer to the request, and so to the same request."""
    link = await served.connect("CP1", lambda call: f'[4,"{call[1]}","NotSupported","",{{}}]')
    first, again = await sent(served, "?wait=5"), await sent(served, "?wait=5")
    assert (first.status, again.status, again.body) == (502, 502, first.body)
    assert len(link.calls) == 1


@ensure
async def test_many_at_once(served: Served) -> None:
    """Of ten equal requests at the same time one is carried out; the others wait or have its answer."""
    link = await served.connect("CP1")
    answers = await gatherResults([Deferred.fromCoroutine(sent(served, "?wait=5")) for _ in range(10)])
    assert {answer.status for answer in answers} <= {200, 409}
    assert {answer.json["messageId"] for answer in answers if answer.status == 200} == {link.calls[0][1]}
    assert len(link.calls) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "\xe4", "x" * 256])
@ensure
async def test_a_key_that_is_none(served: Served, key: str) -> None:
    """A key of another form is 400, and nothing is sent."""
    refused = await served.send(
        b"POST /api/v1/chargers/CP1/commands/ClearCache HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Content-Length: 0\r\nIdempotency-Key: " + key.encode("latin-1") + b"\r\n\r\n"
    )
    assert (refused.status, refused.slug, await count(served)) == (400, "bad-request", 0)


@ensure
async def test_other_things_than_commands(served: Served) -> None:
    """Whatever changes something takes a key: a tag that is put, deleted, a remote start; reading ignores it."""
    headers = {"Idempotency-Key": "t1", "Content-Type": "application/json"}
    made = await served.request("PUT", "/api/v1/id-tags/A", b"{}", headers)
    again = await served.request("PUT", "/api/v1/id-tags/A", b"{}", headers)
    assert (made.status, again.status, again.body) == (201, 201, made.body)
    assert again.headers["etag"] == made.headers["etag"]
    for _ in range(2):
        gone = await served.request("DELETE", "/api/v1/id-tags/A", headers={"Idempotency-Key": "t2"})
        assert (gone.status, gone.body) == (204, b"")
    link = await served.connect("CP1")
    start = {"charger": "CP1", "idTag": "APP"}
    starts = [await served.post("/api/v1/transactions?wait=5", start, Idempotency_Key="t3") for _ in range(2)]
    assert starts[0].body == starts[1].body and len(link.calls) == 1
    assert (await served.get("/api/v1/id-tags", Idempotency_Key="t3")).status == 200


@ensure
async def test_a_node_that_died_between(tmp_path: Path) -> None:
    """The node goes away after the command was accepted and before it was answered: the next one answers with that command.

    One whose key was claimed and that had no effect yet is carried out.
    """
    url = f"sqlite:///{tmp_path / 'ocppd.sqlite'}"
    before = SqlStorage(url, reactor, node="here#0")
    served = Served("CP1", queue=9, storage=before)
    before.idempotency.answer = lambda *_: fail(StorageUnavailable("gone"))
    accepted = await sent(served, key="with-effect")
    assert accepted.status == 202
    await served.stop()
    after = Served("CP1", queue=9, storage=SqlStorage(url, reactor, node="here#1"), bus=LocalBus("here#1", reactor))
    try:
        again = await sent(after, key="with-effect")
        assert (again.status, again.json["messageId"]) == (202, accepted.json["messageId"])
        assert again.headers["location"] == accepted.headers["location"]
        assert (await sent(after, key="with-effect")).body == again.body
        assert await count(after) == 1
    finally:
        await after.stop()


@ensure
async def test_records_that_fail_between(served: Served) -> None:
    """The records fail while a request is carried out: 503, and the same request again is carried out then, once."""
    accept = served.storage.call_accepted
    served.storage.call_accepted = lambda *_: fail(StorageUnavailable("away"))  # type: ignore[method-assign,assignment]
    assert (await sent(served)).status == 503
    served.storage.call_accepted = accept  # type: ignore[method-assign]
    answer = await sent(served)
    assert (answer.status, (await sent(served)).body, await count(served)) == (202, answer.body, 1)


@ensure
async def test_records_that_fail_at_the_end(served: Served) -> None:
    """An answer that could not be kept is kept once the records are back; so is that nobody knows of an effect.

    Else other nodes would take the request for one that is carried out as long as this node lives.
    """

    is_back = False

    def unless_away(write: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: write(*arguments) if is_back else fail(StorageUnavailable("away"))

    storage: Any = served.storage
    records = storage.idempotency
    records.answer, records.leave = unless_away(records.answer), unless_away(records.leave)
    first = await sent(served)
    storage.call_accepted = unless_away(storage.call_accepted)
    assert (await sent(served, key="k2")).status == 503
    served.system.retry()
    held = await kept(served)
    assert [status for _, status in held] == [None, None], "they are not back yet"
    is_back = True
    served.system.retry()
    assert await kept(served) == [(held[0][0], 202), (NOBODY, None)]
    again = await sent(served)
    assert (again.headers["idempotency-replayed"], again.body) == ("true", first.body)


def unheard(write: Callable[..., Any]) -> Callable[..., Any]:
    """A write that is committed, of which nothing is heard."""
    return lambda *arguments: write(*arguments).addCallback(lambda _: fail(StorageUnavailable("lost")))


@ensure
async def test_a_claim_of_which_nobody_knows(served: Served) -> None:
    """A key that was claimed in a commit whose outcome was lost is left to whoever asks next, once the records are back."""
    records: Any = served.storage.idempotency
    claim, records.claim = records.claim, unheard(records.claim)
    assert (await sent(served)).status == 503
    records.claim = lambda *_: fail(StorageUnavailable("away"))
    assert (await sent(served)).status == 503
    records.claim = claim
    assert [node for node, _ in await kept(served)] != [NOBODY]
    served.system.retry()
    assert await kept(served) == [(NOBODY, None)]
    assert (await sent(served)).status == 202
    served.system.retry()
    assert [status for _, status in await kept(served)] == [202]


@ensure
async def test_a_key_taken_over_of_which_nobody_knows(served: Served) -> None:
    """So is one that this node has taken over from another in such a commit, which keeps the reference of the first request."""
    records: Any = served.storage.idempotency
    claim, records.claim = records.claim, unheard(records.claim)
    for _ in range(2):
        assert (await sent(served)).status == 503
        served.system.retry()
        assert await kept(served) == [(NOBODY, None)]
    records.claim = claim
    assert (await sent(served)).status == 202


@ensure
async def test_a_key_lives_for_a_day() -> None:
    """After a day a key is as good as new, and forgotten by itself."""
    clock = Clock()
    clock.advance(1_800_000_000)
    served = Served("CP1", queue=9, clock=clock)
    try:
        first = await sent(served)
        clock.advance(KEY_LIFE_MS / 1000 - 1)
        assert (await sent(served)).body == first.body
        clock.advance(2)
        assert (await sent(served)).json["messageId"] != first.json["messageId"]
        now = int(clock.seconds() * 1000)
        assert await served.storage.idempotency.forget_old(now + KEY_LIFE_MS) == 1
        assert (await served.storage.idempotency.claim("", "k1", "f", "r", now)).claim is Claim.NEW
    finally:
        await served.stop()
