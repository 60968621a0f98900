"""Id tags that another service knows: a real HTTP server that answers, is late, answers nonsense, or is not there (A-5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from ocppd.config import UnknownIdTags
from ocppd.storage.records import IdTag
from support.central import Running, chargers
from support.peer import connect
from support.storing import NOON_MS

ensure = pytest_twisted.ensureDeferred

START = {"connectorId": 2, "meterStart": 5, "timestamp": "2026-03-01T12:00:00Z"}
ACCEPTED = {"status": "Accepted", "parentIdTag": "HUB", "expiryDate": "2030-01-01T00:00:00Z"}


class Hub(Resource):
    """The other service. `answer` is what it answers next: bytes, what JSON is made of, a status, or None for silence."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answer: Any = ACCEPTED
        self.questions: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self._open: set[Any] = set()

    def render_POST(self, request: Any) -> Any:
        """A question."""
        self.questions.append(json.loads(request.content.read()))
        self.headers = {name.decode().lower(): values[0].decode() for name, values in request.requestHeaders.getAllRawHeaders()}
        match self.answer:
            case None:
                self._open.add(request)
                request.notifyFinish().addErrback(lambda _: self._open.discard(request))
                return NOT_DONE_YET
            case int():
                request.setResponseCode(self.answer)
                return b"{}"
            case bytes():
                return self.answer
        return json.dumps(self.answer).encode()


Ask = Callable[..., Running]


@pytest_twisted.async_yield_fixture
async def hub() -> AsyncIterator[Hub]:
    """The other service, listening; `port` is its port."""
    served = Hub()
    listening = reactor.listenTCP(0, Site(served), interface="127.0.0.1")
    served.port = listening.getHost().port
    yield served
    await listening.stopListening()
    while served._open:
        served._open.pop().loseConnection()


@pytest_twisted.async_yield_fixture
async def daemon(hub: Hub, tmp_path: Path) -> AsyncIterator[Ask]:
    """A daemon that asks it."""
    running: list[Running] = []

    def start(**settings: Any) -> Running:
        url = f"http://user:p%20w@127.0.0.1:{hub.port}/tags?v=1"
        options = {"authorizer": url, "authorizer_timeout_s": 0.3, **settings}
        running.append(Running(tmp_path, chargers("CP1"), **options).start())
        return running[-1]

    yield start
    for each in running:
        await each.stop()


@pytest.fixture
def told() -> Any:
    """What the authorizer has logged as a warning or for information."""
    found: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event["log_namespace"] == "ocppd.net.authorizer" and event["log_level"].name in ("info", "warn"):
            found.append(f"{event['log_level'].name}: {formatEvent(event)}")

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@ensure
async def test_the_other_one_is_asked(hub: Hub, daemon: Ask) -> None:
    """Authorize, a start and a stop with a tag that nobody here knows are answered with the other one's verdict."""
    running = daemon()
    peer = await connect(running.port, "/ocppj/1.6/CP1")
    await peer.boot()
    assert (await peer.call("Authorize", {"idTag": "Foreign"}))[2] == {"idTagInfo": ACCEPTED}
    hub.answer = {"status": "ConcurrentTx"}
    assert (await peer.call("Authorize", {"idTag": "Foreign"}))[2] == {"idTagInfo": {"status": "Accepted"}}, "A-1"
    begun = (await peer.call("StartTransaction", {**START, "idTag": "Foreign"}))[2]
    assert begun["idTagInfo"] == {"status": "ConcurrentTx"} and begun["transactionId"] > 0
    hub.answer = {"status": "Blocked"}
    stop = {"transactionId": begun["transactionId"], "meterStop": 9, "timestamp": "2026-03-01T12:01:00Z"}
    assert (await peer.call("StopTransaction", {**stop, "idTag": "Foreign"}))[2] == {"idTagInfo": {"status": "Blocked"}}
    assert (await peer.call("StopTransaction", stop))[2] == {}
    assert [(asked["purpose"], asked.get("connectorId")) for asked in hub.questions] == [
        ("authorize", None),
        ("authorize", None),
        ("start", 2),
        ("stop", None),
    ]
    assert {(asked["charger"], asked["idTag"]) for asked in hub.questions} == {("CP1", "Foreign")}
    assert hub.headers["authorization"] == "Basic dXNlcjpwIHc="
    assert hub.headers["content-type"] == "application/json"
    await peer.leave()


@ensure
async def test_who_is_known_here_is_judged_here(hub: Hub, daemon: Ask) -> None:
    """A tag of the configuration or of the records is never asked about, whatever its verdict is."""
    running = daemon()
    await running.central._storage.put_id_tag(IdTag(key="card", id_tag="Card", expiry_ms=NOON_MS), None, NOON_MS)
    peer = await connect(running.port, "/ocppj/1.6/CP1")
    await peer.boot()
    assert (await peer.call("Authorize", {"idTag": "CARD"}))[2]["idTagInfo"]["status"] == "Expired"
    assert (await peer.call("StartTransaction", {**START, "idTag": "Card"}))[2]["idTagInfo"]["status"] == "Expired"
    assert hub.questions == []
    await peer.leave()


@ensure
@pytest.mark.parametrize("failing", list(UnknownIdTags))
async def test_no_verdict(hub: Hub, daemon: Ask, told: list[str], failing: UnknownIdTags) -> None:
    """Silence, an error, nonsense or too much is no verdict: the policy decides, and a charger sees no error; told once."""
    running = daemon(authorizer_failure=failing)
    peer = await connect(running.port, "/ocppj/1.6/CP1")
    await peer.boot()
    policy = "Accepted" if failing is UnknownIdTags.ACCEPT else "Invalid"
    nonsense = [b"", b"no JSON", [], {}, {"status": "Maybe"}, {"status": 5}, {"status": "Accepted", "x": 1}, b"x" * 100_000]
    for number, answer in enumerate((None, 500, 302, *nonsense)):
        hub.answer = answer
        assert (await peer.call("Authorize", {"idTag": f"T{number}"}))[2] == {"idTagInfo": {"status": policy}}, answer
        start = {**START, "idTag": f"T{number}", "meterStart": number}
        assert (await peer.call("StartTransaction", start))[2]["idTagInfo"] == {"status": policy}, answer
    hub.answer = ACCEPTED
    assert (await peer.call("Authorize", {"idTag": "Last"}))[2] == {"idTagInfo": ACCEPTED}
    assert [line.split(":")[0] for line in told] == ["warn", "info"]
    assert "did not answer within 0.3 s" in told[0] and "p%20w" not in told[0] and "user" not in told[0]
    await peer.leave()


@ensure
async def test_nobody_is_there(hub: Hub, daemon: Ask, told: list[str]) -> None:
    """Where nobody listens chargers are answered at once, by the policy."""
    running = daemon(authorizer="http://127.0.0.1:1/")
    peer = await connect(running.port, "/ocppj/1.6/CP1")
    await peer.boot()
    assert (await peer.call("Authorize", {"idTag": "T"}))[2] == {"idTagInfo": {"status": "Invalid"}}
    assert len(told) == 1 and told[0].startswith("warn: http://127.0.0.1:1")
    await peer.leave()


@ensure
async def test_chargers_do_not_wait_for_each_other(hub: Hub, daemon: Ask) -> None:
    """A hub that does not answer holds up whoever asked, and nobody else."""
    running = daemon(authorizer_timeout_s=3.0)
    peer = await connect(running.port, "/ocppj/1.6/CP1")
    await peer.boot()
    hub.answer = None
    peer.send('[2,"slow","Authorize",{"idTag":"T"}]')
    while not hub.questions:
        await Deferred.fromCoroutine(_turn())
    other = await connect(running.port, "/ocppj/1.6/CP1")
    assert (await other.boot())["status"] == "Accepted"
    await other.leave()


async def _turn() -> None:
    """A turn of the reactor."""
    turned: Deferred[None] = Deferred()
    reactor.callLater(0, turned.callback, None)
    await turned
