"""Requests as they may come from anywhere: random ones, pipelined ones, over a Unix socket."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.task import Clock
from twisted.web.server import Site

from ocppd.central.connection import Exchange
from ocppd.central.recent import PIECE_BYTES
from ocppd.net.rest.app import make_resource
from ocppd.net.rest.body import ApiRequest
from ocppd.ocppj.frames import Call
from support.peer import RawClient, Response, raw, within
from support.rest import Served, silent

#: Enough to meet every path with every kind of nonsense; the same ones in every run.
RANDOM_REQUESTS = 600

CP1 = "/api/v1/chargers/CP1"

METHODS = ["GET", "GET", "POST", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "BREW"]
PATHS = [
    "/api/v1/chargers",
    "/api/v1/chargers/CP1",
    "/api/v1/chargers/CP1/commands/Reset",
    "/api/v1/chargers/CP1/connectors/1/history",
    "/api/v1/messages",
    "/api/v1/transactions",
    "/api/v1/transactions/1/meter-values",
    "/api/v1/meter-values",
    "/api/v1/unknown-chargers",
    "/charger/CP1/status",
    "/message/x/status",
    "/command/CP1/triggeraction/Heartbeat",
    "/healthz",
    "/readyz",
    "/ocppj/1.6/CP1",
]
NONSENSE = (*"|?#%'&=;*@:[{\\", "%00", "%FF", "%2F", "..", "//", "<name>", "\xff", "\xc3\xa4", "%C3%A4", "%0A", "-1", "9" * 20)
PARAMETERS = [
    "limit",
    "after",
    "wait",
    "ttl",
    "offline",
    "charger",
    "since",
    "until",
    "state",
    "connected",
    "durable",
    "idTag",
    "connectorId",
    "measurand",
]
VALUES = ["1", "0", "true", "2026-01-01T00:00:00Z", "queue", "CP1", "MQ", "open"]
HEADERS = (
    "Host: \xff",
    "Host: " + "a" * 100,
    "Origin: \xff",
    "Content-Type: \xff",
    "X: \xff",
    "Cookie: a=\xff;b",
    "Expect: 100-continue",
    "Idempotency-Key: \xff",
)
BODIES = (
    b"",
    b"{}",
    b'{"type":"Soft"}',
    b"[]",
    b"\xff",
    b"{",
    b'{"connectorId":1.0}',
    b'{"type":"\\ud800"}',
    b'{"\\ud800":1e999}',
)


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """CP1, connected and silent."""
    served = Served("CP1", queue=RANDOM_REQUESTS)
    await served.connect("CP1", silent)
    yield served
    await served.stop()


def random_request(source: random.Random) -> bytes:
    """A request that is wrong in one way or another, or not at all."""
    path = source.choice(PATHS)
    if source.random() < 0.3:
        place = source.randint(1, len(path))
        path = path[:place] + source.choice(NONSENSE) + path[place:]
    if source.random() < 0.4:
        pairs = (f"{source.choice(PARAMETERS)}={source.choice([*VALUES, *NONSENSE])}" for _ in range(source.randint(1, 2)))
        path += "?" + "&".join(pairs)
    body = source.choice(BODIES)
    headers = ["Connection: close", f"Content-Length: {len(body)}"]
    headers += ["Host: localhost"] if source.random() < 0.9 else []
    headers += ["Content-Type: application/json"] if source.random() < 0.9 else []
    headers += [source.choice(HEADERS)] if source.random() < 0.2 else []
    lines = [f"{source.choice(METHODS)} {path} HTTP/1.1", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


@pytest_twisted.ensureDeferred
async def test_random_requests(served: Served) -> None:
    """Whatever comes is answered, never with 500, and nothing is logged as an error."""
    source = random.Random(1)
    seen: set[int] = set()
    for _ in range(RANDOM_REQUESTS):
        request = random_request(source)
        answer = await served.send(request)
        assert answer.status < 500 or answer.status == 501, request
        seen.add(answer.status)
    assert seen >= {200, 202, 204, 400, 401, 404, 405, 415, 422, 426, 501}


@pytest_twisted.ensureDeferred
async def test_pipelined_requests(served: Served) -> None:
    """Requests that come in one go on one connection are answered in their order."""
    client = await raw(served.port)
    paths = ("/charger/CP1/status", "/healthz", "/api/v1/nothing")
    last = "Connection: close\r\n"
    for path in paths:
        client.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{last if path == paths[-1] else ''}\r\n".encode())
    answers = await within(client.lost)
    statuses = [part.split(b" ")[0] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"200", b"404"]


@pytest_twisted.ensureDeferred
async def test_unix_socket(served: Served, tmp_path: Path) -> None:
    """A caller over a Unix socket counts as local: the permissions of its directory guard it."""
    path = str(tmp_path / "api")
    listening = reactor.listenUNIX(path, Site(make_resource(served.api), requestFactory=ApiRequest, timeout=None))
    try:
        client: RawClient = await connectProtocol(UNIXClientEndpoint(reactor, path), RawClient())
        client.write(b"GET /api/v1/chargers/CP1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert Response(await within(client.lost)).status == 200
    finally:
        await listening.stopListening()


@pytest_twisted.ensureDeferred
async def test_reason_phrases(served: Served) -> None:
    """Every status has its reason, those that are younger than HTTP/1.1 too."""
    client = await raw(served.port)
    client.write(b"GET /ocppj/1.6/CP1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (await within(client.lost)).startswith(b"HTTP/1.1 426 Upgrade Required\r\n")


@pytest_twisted.ensureDeferred
async def test_bodies_where_none_is_read(served: Served) -> None:
    """What names profiles in the body of a DELETE is refused, and does not clear all of them; an empty object says nothing."""
    link = await served.connect("CP1")
    headers = {"Content-Type": "application/json"}
    for body in (b'{"id":5}', b"[5]", b"null"):
        refused = await served.request("DELETE", "/api/v1/chargers/CP1/charging-profiles?wait=5", body, headers)
        assert (refused.status, refused.slug, link.calls) == (400, "bad-request", [])
    assert (await served.post("/api/v1/jobs/1/resume", {"rate": 1})).slug == "bad-request"
    cleared = await served.request("DELETE", "/api/v1/chargers/CP1/charging-profiles?wait=5", b"{}", headers)
    assert (cleared.status, link.calls[0][3]) == (200, {})


@pytest_twisted.ensureDeferred
async def test_conditions_where_there_is_no_etag(served: Served) -> None:
    """RFC 9110 13.1.1: what has no entity tag is none that If-Match names, and nothing is done; `*` is whatever is there."""
    sent, queued = [(await served.post(f"{CP1}/commands/ClearCache", {})).json["messageId"] for _ in range(2)]
    message = f"/api/v1/messages/{queued}"
    for method, path in (
        ("DELETE", message),
        ("DELETE", f"{CP1}/connection"),
        ("DELETE", f"{CP1}/quarantine"),
        ("DELETE", f"{CP1}/charging-profiles"),
        ("PUT", f"{CP1}/credentials"),
        ("POST", f"{CP1}/commands/ClearCache"),
    ):
        body, headers = b"" if method == "DELETE" else b"{}", {"Content-Type": "application/json", "If-Match": '"seen", W/"7"'}
        refused = await served.request(method, path, body, headers)
        assert (path, refused.status) == (path, 412)
        assert refused.slug == "precondition-failed"
    assert (await served.get(f"{CP1}/credentials")).json["set"] is False
    calls = (await served.get("/api/v1/messages?action=ClearCache")).json["items"]
    assert {each["messageId"] for each in calls} == {sent, queued}
    assert (await served.get(message)).json["state"] == "queued"
    assert (await served.request("DELETE", message, headers={"If-Match": "seen"})).status == 400
    cancelled = await served.request("DELETE", message, headers={"If-Match": "*"})
    assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")


@pytest_twisted.ensureDeferred
async def test_a_message_among_all_that_are_in_memory() -> None:
    """A message that is not in the journal is looked for in pieces, between which others have their turn; unknown in the end."""
    names = [f"CP{number}" for number in range(4000)]
    clock = Clock()
    served = Served(*names, central_clock=clock)
    for name in names:
        exchange = Exchange(1, Call(f"h-{name}", "DataTransfer", b'"%b"' % (b"x" * 900), b'"h-%b"' % name.encode()), b"[3]")
        served.system.chargers.remember(name, exchange)
    assert PIECE_BYTES < 4000 * 900
    for path, status in (("/api/v1/messages/none", 404), ("/api/v1/messages/h-CP3999", 200), ("/message/none/status", 200)):
        answer = Deferred.fromCoroutine(served.get(path))
        for _ in range(1000):
            assert (await served.get("/healthz")).status == 200
            if answer.called or clock.getDelayedCalls():
                break
        assert not answer.called
        clock.advance(0)
        assert (await answer).status == status, path
    await served.stop()
