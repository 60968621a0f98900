"""The events over HTTP: as a list, and as they happen."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ocppd.central import feed as feeding
from ocppd.errors import StorageUnavailable
from ocppd.net.rest import event_stream
from ocppd.net.rest.event_stream import KEEP_ALIVE_S, STALL_S
from ocppd.net.rest.v1.events import BEGIN_S
from ocppd.storage.records import Newest
from support.peer import Response, raw, within
from support.rest import Served, silent
from support.storing import inbound
from support.streams import Told, open_stream

ensure = pytest_twisted.ensureDeferred

STATUS = '[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
START = '[2,"t","StartTransaction",{"connectorId":1,"idTag":"T","meterStart":5,"timestamp":"2026-03-01T12:00:00Z"}]'


@pytest.fixture
def clock() -> Clock:
    """The time of the streams."""
    return Clock()


@pytest_twisted.async_yield_fixture
async def served(clock: Clock) -> AsyncIterator[Served]:
    """A central system with one charger that never answers; the time of its streams stands still."""
    running = Served("CP1", "CP2", queue=100, clock=clock)
    yield running
    await running.stop()


async def happened(served: Served, count: int) -> None:
    """So many messages of a charger, each with a frame of some kilobytes."""
    fill = "x" * 4000
    await gatherResults(
        [
            served.storage.message_received(inbound("LogStatusNotification", frame=f'[2,"{number}","X",{{"v":"{fill}"}}]'))
            for number in range(count)
        ]
    )


def kinds(told: list[Told]) -> list[tuple[str, str]]:
    """What each is, with the action of its message."""
    return [(each.kind, each.data.get("message", {}).get("action", "")) for each in told]


async def gone(served: Served) -> None:
    """Nobody follows any more."""
    while served.system.feed._followers:
        await served.storage.check()
        await served.get("/healthz")


@ensure
async def test_everything_that_happens(served: Served) -> None:
    """A charger's life comes as it happens, each event with its type, its charger and its message."""
    stream = await open_stream(served.port)
    assert (await within(stream.head)).header("content-type") == ["text/event-stream; charset=utf-8"]
    assert (await within(stream.head)).header("cache-control") == ["no-store"]
    link = await served.connect("CP1", silent)
    await link.ask(STATUS)
    started = await link.ask(START)
    command = await served.command("Reset", {"type": "Soft"})
    link.tell(f'[3,"{command.json["messageId"]}",{{"status":"Accepted"}}]')
    told = await stream.take(6)
    served.disconnect(link)
    told.append(await stream.next())
    assert kinds(told) == [
        ("chargerConnected", ""),
        ("messageReceived", "BootNotification"),
        ("messageReceived", "StatusNotification"),
        ("messageReceived", "StartTransaction"),
        ("commandAccepted", "Reset"),
        ("commandEnded", "Reset"),
        ("chargerDisconnected", ""),
    ]
    assert {each.data["charger"] for each in told} == {"CP1"}
    assert (told[0].data["node"], told[0].data["remoteIp"]) == ("this", "192.0.2.7")
    assert told[3].data["message"]["response"] == started[2]
    assert told[5].data["message"]["state"] == "completed"
    listed = (await served.get("/api/v1/events?limit=500")).json["items"]
    assert [each.data for each in reversed(told)] == [
        {**item, "message": each.data["message"]} if "message" in item else item
        for item, each in zip(listed, reversed(told), strict=True)
    ]


@ensure
async def test_a_client_that_comes_again(served: Served) -> None:
    """With the id of the last event that it had, a client gets what has happened since; it misses nothing."""
    link = await served.connect("CP1")
    stream = await open_stream(served.port, "?lastEventId=0")
    first = await stream.take(2)
    stream.close()
    await gone(served)
    await link.ask(STATUS)
    again = await open_stream(served.port, "?lastEventId=0", Last_Event_ID=str(first[-1].resume))
    assert kinds([await again.next()]) == [("messageReceived", "StatusNotification")]
    await link.ask(STATUS.replace('"s"', '"s2"'))
    assert (await again.next()).data["message"]["messageId"] == "s2"
    third = await open_stream(served.port, Last_Event_ID=str(first[0].resume))
    assert kinds(await third.take(3)) == [
        ("messageReceived", "BootNotification"),
        ("messageReceived", "StatusNotification"),
        ("messageReceived", "StatusNotification"),
    ]
    beyond = await open_stream(served.port, Last_Event_ID=str(2**62))
    await link.ask(STATUS.replace('"s"', '"s3"'))
    assert (await beyond.next()).data["message"]["messageId"] == "s3"


@ensure
async def test_a_client_that_is_cut_off_before_the_first_event(served: Served) -> None:
    """A stream begins with the id to come back with, so that what happens meanwhile is not missed."""
    await happened(served, 2)
    stream = await open_stream(served.port)
    for _ in range(100):
        if stream.parser.last_id is None:
            await served.get("/healthz")
    stream.close()
    await happened(served, 1)
    assert stream.parser.last_id == 2
    again = await open_stream(served.port, Last_Event_ID=str(stream.parser.last_id))
    assert (await again.next()).data["id"] == 3


@ensure
async def test_every_id_is_a_place_to_go_on(served: Served) -> None:
    """Whichever event was the last that a client had, it gets all those behind it, in their order."""
    await happened(served, 12)
    stream = await open_stream(served.port, "?lastEventId=0")
    first = await stream.take(12)
    await happened(served, 8)
    whole = [*first, *await stream.take(8)]
    for place, told in enumerate(whole[:-1]):
        again = await open_stream(served.port, Last_Event_ID=str(told.resume))
        rest = await again.take(len(whole) - place - 1)
        assert [each.data["id"] for each in rest] == [each.data["id"] for each in whole[place + 1 :]]
        again.close()


@ensure
async def test_filters(served: Served) -> None:
    """A stream has what was asked for, and says by the way how far it is."""
    queries = ("?charger=CP2", "?type=chargerConnected", "?action=BootNotification&charger=CP1")
    streams = [await open_stream(served.port, query) for query in queries]
    for name in ("CP1", "CP2"):
        served.disconnect(await served.connect(name))
    assert kinds(await streams[0].take(3)) == [
        ("chargerConnected", ""),
        ("messageReceived", "BootNotification"),
        ("chargerDisconnected", ""),
    ]
    assert [each.data["charger"] for each in await streams[1].take(2)] == ["CP1", "CP2"]
    assert (await streams[2].next()).data["message"]["messageId"] == "boot"
    assert [stream.parser.comments for stream in streams] == [0, 0, 0]


@ensure
async def test_a_silent_stream_stays_alive(served: Served, clock: Clock) -> None:
    """Every fifteen seconds the client is told how far it is, which is no event to it."""
    await happened(served, 3)
    stream = await open_stream(served.port, "?type=commandEnded&lastEventId=0")
    while stream.parser.last_id != 3:
        clock.advance(KEEP_ALIVE_S)
        await served.get("/healthz")
    assert stream.parser.comments == 0


@ensure
async def test_a_slow_client_holds_nothing_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not read is not written to; when he reads again he gets everything, from the records."""
    monkeypatch.setattr(feeding, "KEPT", 50)
    slow = await open_stream(served.port)
    quick = await open_stream(served.port)
    await happened(served, 1)
    assert (await slow.next()).data["id"] == (await quick.next()).data["id"] == 1
    slow.pause()
    for _ in range(10):
        await happened(served, 400)
        await quick.take(400)
    assert len(served.system.feed._kept) <= 50
    # Neither read by the client nor written by us, except for what the network's own buffers take.
    assert min(follower.resume or 0 for follower in served.system.feed._followers) < 4001
    slow.resume()
    assert [each.data["id"] for each in await slow.take(4000)] == list(range(2, 4002))
    await happened(served, 1)
    assert (await slow.next()).data["id"] == 4002


@ensure
async def test_a_client_that_never_reads_is_cut_off(served: Served, clock: Clock) -> None:
    """A connection that takes nothing for a minute is ended, and its place is free."""
    stream = await open_stream(served.port, "?lastEventId=0")
    stream.pause()
    feed = served.system.feed
    for _ in range(20):
        await happened(served, 200)
    while feed._followers:
        await served.get("/healthz")
        clock.advance(STALL_S / 4)
    stream.resume()
    await within(stream.lost)


@ensure
async def test_the_places_are_limited(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One client too many is told to come later, or elsewhere; when another one goes there is room."""
    monkeypatch.setattr(feeding, "FOLLOWERS_LIMIT", 2)
    streams = [await open_stream(served.port) for _ in range(2)]
    refused = await served.get("/api/v1/events/stream")
    assert (refused.status, refused.slug, refused.headers["retry-after"]) == (503, "too-many-streams", "5")
    streams[0].close()
    while len(served.system.feed._followers) > 1:
        await served.get("/healthz")
    await happened(served, 1)
    assert (await (await open_stream(served.port, "?lastEventId=0")).next()).data["id"] == 1


@ensure
async def test_the_end_of_the_daemon(served: Served) -> None:
    """Streams end in order when the daemon stops, so that their clients look for another node."""
    streams = [await open_stream(served.port, query) for query in ("", "?lastEventId=0")]
    served.system.feed.stop()
    for stream in streams:
        await within(stream.lost)
    assert not served.system.feed._followers
    late = await open_stream(served.port)
    await within(late.lost)


@ensure
async def test_storage_that_is_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream outlives an outage of the records, and goes on where it was."""
    stream = await open_stream(served.port)
    await happened(served, 1)
    await stream.next()
    asked: Deferred[None] = Deferred()
    reads = served.storage.events_after

    def away(*arguments: Any, **keywords: Any) -> Deferred[Any]:
        if not asked.called:
            asked.callback(None)
        failed: Deferred[Any] = Deferred()
        failed.errback(Failure(StorageUnavailable("on purpose")))
        return failed

    monkeypatch.setattr(served.storage, "events_after", away)
    await within(asked)
    await happened(served, 2)
    monkeypatch.setattr(served.storage, "events_after", reads)
    assert [each.data["id"] for each in await stream.take(2)] == [2, 3]


@ensure
async def test_requests_that_are_wrong(served: Served) -> None:
    """A wrong parameter is told by its name; HEAD gives the headers and takes no place."""
    for query, name in (("?type=x", "type"), ("?lastEventId=x", "lastEventId"), ("?charger=", "charger"), ("?limit=2", "limit")):
        answer = await served.get(f"/api/v1/events/stream{query}")
        assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, name)
    answer = await served.request("GET", "/api/v1/events/stream", headers={"Last-Event-ID": "-1"})
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "Last-Event-ID")
    assert (await served.get("/api/v1/events?type=nothing")).status == 400
    assert (await served.post("/api/v1/events/stream")).status == 405
    for header in (b"\xff", b"", b"\xc3\xa9"):
        client = await raw(served.port)
        client.write(b"GET /api/v1/events/stream HTTP/1.0\r\nHost: 127.0.0.1\r\nLast-Event-ID: %b\r\n\r\n" % header)
        assert Response(await client.until(b"\r\n\r\n")).status == (400 if header else 200)
        client.close()
    await gone(served)
    head = await served.request("HEAD", "/api/v1/events/stream")
    assert (head.status, head.body, head.media_type) == (200, b"", "text/event-stream")
    assert not served.system.feed._followers


@ensure
async def test_pages_and_filters_of_the_list(served: Served) -> None:
    """Newest first, page by page."""
    for name in ("CP1", "CP2"):
        served.disconnect(await served.connect(name))
    whole = (await served.get("/api/v1/events")).json
    assert whole["next"] is None and len(whole["items"]) == 6
    first = (await served.get("/api/v1/events?limit=4")).json
    rest = (await served.get(f"/api/v1/events?limit=4&after={first['next']}")).json
    assert first["items"] + rest["items"] == whole["items"] and rest["next"] is None
    some = (await served.get("/api/v1/events?charger=CP2&type=chargerConnected&since=2020-01-01T00:00:00Z")).json["items"]
    assert [(item["charger"], item["type"]) for item in some] == [("CP2", "chargerConnected")]
    assert (await served.get("/api/v1/events?until=2020-01-01T00:00:00Z")).json["items"] == []


@ensure
async def test_a_frame_that_is_no_line(served: Served) -> None:
    """A frame with line breaks between its tokens is one line of data; a frame that is too large stays in the records."""
    stream = await open_stream(served.port)
    await served.storage.message_received(
        inbound("LogStatusNotification", frame='[2,\r\n"1","LogStatusNotification",\n{"a":\r"\\n"\n\n}]')
    )
    await served.storage.message_received(inbound("LogStatusNotification", frame=json.dumps([2, "2", "X", {"a": "x" * 70_000}])))
    told = await stream.take(2)
    assert told[0].data["message"]["request"] == {"a": "\n"}
    assert told[1].data["truncated"] is True and "request" not in told[1].data["message"]


@ensure
async def test_a_stream_does_not_begin_without_records(served: Served, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is told where nothing can be read for it, and one that goes before that leaves nothing behind."""
    never: list[Deferred[Newest]] = []

    def waits(_: int) -> Deferred[Newest]:
        never.append(Deferred())
        return never[-1]

    monkeypatch.setattr(served.storage, "newest_event", waits)
    asked = served.get("/api/v1/events/stream")
    refusal = Deferred.fromCoroutine(asked)
    while not never:
        await served.get("/healthz")
    clock.advance(BEGIN_S)
    answer = await within(refusal)
    assert (answer.status, answer.slug) == (503, "storage-unavailable")
    client = await raw(served.port)
    client.write(b"GET /api/v1/events/stream HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    while not served.system.feed._followers:
        await served.get("/healthz")
    client.close()
    await within(client.lost)
    await gone(served)
    for each in never:
        each.callback(Newest(0, None))


@ensure
async def test_clients_that_go_while_they_are_read_for(served: Served, clock: Clock) -> None:
    """A client that goes in the middle of a read of the records leaves nothing behind, and nothing in the log."""
    await happened(served, 500)
    for pause in range(20):
        stream = await open_stream(served.port, "?lastEventId=0")
        for _ in range(pause):
            await served.get("/healthz")
        stream.close()
    while served.system.feed._followers:  # who could not be written to is found gone by the next sign of life
        await served.get("/healthz")
        clock.advance(KEEP_ALIVE_S)
    client = await raw(served.port)
    client.write(b"GET /api/v1/events HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    client.close()
    await within(client.lost)
    await served.storage.check()


@ensure
async def test_a_bug_ends_the_stream(served: Served, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """Where a stream cannot go on its client is cut off, so that it comes again."""

    def broken(*_: Any) -> Any:
        raise KeyError("on purpose")

    stream = await open_stream(served.port)
    monkeypatch.setattr(event_stream, "text_of", broken)
    await happened(served, 1)
    await within(stream.lost)
    assert len(logged_errors.flush(KeyError)) == 1
    await gone(served)
