"""Jobs over many chargers over HTTP, with chargers that answer, refuse, are away or say nothing. docs/http-api.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor, task

from ocppd.bus.local import LocalBus, LocalHub
from ocppd.central.fleet_jobs import new_job
from ocppd.clock import now_ms
from ocppd.storage.records.fleet_jobs import FleetJob, FleetRowState
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.core import ClearCacheRequest
from support import postgresql
from support.central import Running, chargers
from support.rest import Answered, Script, Served, silent

ensure = pytest_twisted.ensureDeferred

PATH = "/api/v1/jobs"
NAMES = ("CP1", "CP2", "CP3", "CP4")
SETTING = {"key": "HeartbeatInterval", "value": "7"}


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Four chargers, none connected."""
    running = Served(*NAMES, queue=3)
    yield running
    await running.stop()


def saying(status: str) -> Script:
    """A charger that answers every call with this status."""
    return lambda call: json.dumps([3, call[1], {"status": status}])


def refusing(call: list[Any]) -> str:
    """A charger that knows no action."""
    return json.dumps([4, call[1], "NotSupported", "", {}])


def wish(**members: Any) -> dict[str, Any]:
    """ClearCache for all four, as fast as can be."""
    return {"action": "ClearCache", "select": {"names": list(NAMES)}, "rate": 100, **members}


async def ordered(served: Served, **members: Any) -> str:
    """The path of a job that was accepted."""
    made = await served.post(PATH, wish(**members))
    assert made.status == 202, made
    assert made.headers["location"] == f"{PATH}/{made.json['id']}"
    return made.headers["location"]


async def goes_on(served: Served, path: str, until: str, **counts: int) -> Any:
    """The job once it is in this state and has such counts; every node pumps and sweeps meanwhile, as its service does."""
    for turn in range(400):
        if turn % 10 == 5:
            await served.system.fleet_jobs.sweep(now_ms(reactor))
        pumped = served.system.fleet_jobs.pump()
        if pumped is not None:
            await pumped
        job = (await served.get(path)).json
        if job["state"] == until and all(job["counts"][name] == count for name, count in counts.items()):
            return job
        await task.deferLater(reactor, 0.01)
    raise AssertionError(job)


async def events(served: Served, kind: str) -> list[Any]:
    """What events of a kind say of jobs."""
    found = (await served.get(f"/api/v1/events?type={kind}")).json["items"]
    return [{name: each[name] for name in each if name not in ("id", "type", "at")} for each in found]


@ensure
async def test_one_command_to_many(served: Served) -> None:
    """A row for each charger, the offline one included: accepted, refused, not known, away; none stops another."""
    links = [await served.connect("CP1"), await served.connect("CP2", saying("Rejected")), await served.connect("CP3", refusing)]
    path = await ordered(served, offline="fail")
    job = await goes_on(served, path, "done")
    assert job["counts"] == {"total": 4, "waiting": 0, "claimed": 0, "asked": 0, "succeeded": 1, "failed": 3, "skipped": 0}
    assert [link.calls[0][1:3] for link in links] == [[row["messageId"], "ClearCache"] for row in job["items"][:3]]
    told = [{name: row.get(name) for name in ("charger", "state", "messageState", "outcome")} for row in job["items"]]
    assert [tuple(row.values()) for row in told] == [
        ("CP1", "succeeded", "completed", "Accepted"),
        ("CP2", "failed", "completed", "Rejected"),
        ("CP3", "failed", "error", "NotSupported"),
        ("CP4", "failed", None, "notConnected"),
    ]
    assert "messageId" not in job["items"][3] and "CP4" in job["items"][3]["detail"]
    assert (job["rate"], job["offline"], job["payload"], job["next"]) == (100.0, "fail", {}, None)
    assert await events(served, "fleetJobEnded") == [
        {"jobId": job["id"], "state": "done", "succeeded": 1, "failed": 3, "skipped": 0}
    ]
    failed = (await served.get(f"{path}?state=failed&limit=2")).json
    more = (await served.get(f"{path}?state=failed&limit=2&after={failed['next']}")).json
    assert [row["charger"] for row in failed["items"] + more["items"]] == ["CP2", "CP3", "CP4"]
    assert [each["id"] for each in (await served.get(f"{PATH}?state=done&action=ClearCache")).json["items"]] == [job["id"]]
    assert (await served.get(f"{PATH}?state=running")).json["items"] == []


@ensure
async def test_chosen_by_product(served: Served) -> None:
    """By what they told with their boots, and by name at once; in the order of the names that were given."""
    for name in ("CP3", "CP1"):
        await served.connect(name)
    await served.connect("CP2", boot=False)
    path = await ordered(served, select={"vendor": "acme", "model": "ONE", "firmware": "1.2"})
    assert [row["charger"] for row in (await goes_on(served, path, "done"))["items"]] == ["CP1", "CP3"]
    path = await ordered(served, select={"vendor": "Acme", "names": ["CP3", "CP2"]})
    job = await goes_on(served, path, "done")
    assert ([row["charger"] for row in job["items"]], job["select"]) == (["CP3"], {"vendor": "Acme"})


@ensure
async def test_chosen_by_tags(served: Served) -> None:
    """Of chargers that an operator has tagged those with all the tags are meant, in order of their names."""
    for name, tags in (("D1", ["north", "new"]), ("D2", ["north"]), ("D3", ["north", "new"])):
        entered = await served.request(
            "PUT", f"/api/v1/chargers/{name}", json.dumps({"tags": tags}).encode(), {"Content-Type": "application/json"}
        )
        assert entered.status == 201, entered
    path = await ordered(served, select={"tags": ["new", "north"]}, offline="queue")
    job = (await served.get(path)).json
    assert [each["charger"] for each in job["items"]] == ["D1", "D3"]
    refused = await served.post(PATH, wish(select={"tags": ["south"]}))
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/select")


@ensure
async def test_a_canary_that_fails(served: Served) -> None:
    """The job pauses before the others are asked, and goes on when it is resumed."""
    links = [await served.connect("CP1", saying("Rejected")), await served.connect("CP2")]
    path = await ordered(served, canary=1, select={"names": ["CP1", "CP2"]})
    job = await goes_on(served, path, "paused")
    assert (job["reason"], links[1].calls) == ("canaryFailed", [])
    assert [each["reason"] for each in await events(served, "fleetJobPaused")] == ["canaryFailed"]
    resumed = await served.post(f"{path}/resume")
    assert (resumed.status, resumed.json["state"]) == (200, "running")
    assert "reason" not in resumed.json
    assert (await goes_on(served, path, "done"))["counts"]["succeeded"] == 1


@ensure
async def test_canaries_that_succeed(served: Served) -> None:
    """Without an answer of the first nobody else is asked; with it all are."""
    first, second = await served.connect("CP1", silent), await served.connect("CP2")
    path = await ordered(served, canary=1, select={"names": ["CP1", "CP2"]})
    await goes_on(served, path, "running", asked=1)
    (call,) = first.calls
    assert second.calls == []
    first.tell(json.dumps([3, call[1], {"status": "Accepted"}]))
    assert (await goes_on(served, path, "done"))["counts"]["succeeded"] == 2
    assert len(first.calls) == len(second.calls) == 1


@ensure
async def test_stopped(served: Served) -> None:
    """Who was not asked is not; what waits for an offline charger is taken back; what was sent still ends."""
    link = await served.connect("CP2", silent)
    path = await ordered(served, action="ChangeConfiguration", payload=SETTING, rate=0.1, select={"names": ["CP1", "CP2", "CP3"]})
    job = await goes_on(served, path, "running", asked=1, waiting=2)
    assert job["items"][0]["messageState"] == "queued"
    paused = await served.post(f"{path}/pause")
    assert (paused.status, paused.json["state"]) == (200, "paused")
    stopped = await served.request("DELETE", path)
    assert (stopped.status, stopped.json["state"], stopped.json["counts"]["skipped"]) == (202, "stopping", 2)
    job = await goes_on(served, path, "stopped", skipped=3)
    assert (job["items"][0]["messageState"], link.calls) == ("cancelled", [])
    assert [each["state"] for each in await events(served, "fleetJobEnded")] == ["stopped"]
    sent = await ordered(served, select={"names": ["CP2"]})
    await goes_on(served, sent, "running", asked=1)
    await served.request("DELETE", sent)
    await goes_on(served, sent, "stopping", asked=1)
    link.tell(json.dumps([3, link.calls[0][1], {"status": "Accepted"}]))
    assert (await goes_on(served, sent, "stopped"))["counts"]["succeeded"] == 1


@ensure
async def test_the_rate(served: Served) -> None:
    """Ten in a second: the fourth charger is asked three tenths after the first."""
    for name in NAMES:
        await served.connect(name)
    path = await ordered(served, rate=10)
    await goes_on(served, path, "done")
    asked = [each["createdAt"] for each in (await served.get("/api/v1/messages?action=ClearCache")).json["items"]]
    sent = sorted(float(text[-7:-1]) + 60 * int(text[-10:-8]) for text in asked)
    assert len(sent) == 4 and sent[3] - sent[0] >= 0.25


@ensure
async def test_a_secret(served: Served) -> None:
    """Z-8: the charger is sent it; no answer, no row and no event tells it."""
    link = await served.connect("CP1")
    key = {"key": "AuthorizationKey", "value": "00112233445566778899aabbccddeeff"}
    path = await ordered(served, action="ChangeConfiguration", payload=key, select={"names": ["CP1"]})
    job = await goes_on(served, path, "done")
    assert (job["payload"]["value"], link.calls[0][3]) == ("***", key)
    for told in (path, PATH, "/api/v1/events", "/api/v1/messages"):
        assert key["value"].encode() not in (await served.get(told)).body


@ensure
async def test_a_restart(tmp_path: Path) -> None:
    """A job goes on with the process after: who was asked is not asked again, claims that it left behind are looked up."""
    url = f"sqlite:///{tmp_path / 'ocppd.sqlite'}"
    before = Served(*NAMES, storage=SqlStorage(url, reactor, postgresql.SECRET_KEY, node="one#1"))
    await before.system.cluster.start()
    link = await before.connect("CP1")
    path = await ordered(before, rate=10)
    await goes_on(before, path, "running", succeeded=1)
    (job_id,) = await before.storage.fleet_jobs.active()
    step = await before.storage.fleet_jobs.step(job_id, now_ms(reactor) + 500)
    assert step is not None and step.claims  # and the process dies before it asks them
    await before.stop()
    after = Served(*NAMES, storage=SqlStorage(url, reactor, postgresql.SECRET_KEY, node="one#2"))
    try:
        await after.system.cluster.start()
        links = {name: await after.connect(name) for name in NAMES}
        job = await goes_on(after, path, "done")
        assert job["counts"]["succeeded"] == 4
        assert [len(link.calls), *(len(links[name].calls) for name in NAMES)] == [1, 0, 1, 1, 1]
    finally:
        await after.stop()


@ensure
async def test_two_nodes(pytestconfig: pytest.Config) -> None:
    """Each takes what it claims, nobody is asked twice, and the other one stops what the first has begun."""
    server = postgresql.server(pytestconfig)
    database = server.create()
    hub = LocalHub()
    nodes = []
    for identity in ("a#1", "b#1"):
        storage = SqlStorage(server.url(database), reactor, postgresql.SECRET_KEY, node=identity)
        nodes.append(Served(*NAMES, storage=storage, bus=LocalBus(identity, reactor, hub)))
    one, two = nodes
    try:
        for node in nodes:
            await node.system.cluster.start()
        links = [await node.connect(name) for node, name in zip((one, two, one, two), NAMES, strict=True)]
        path = await ordered(one, rate=20)
        for _ in range(400):
            await two.system.fleet_jobs.sweep(now_ms(reactor))
            for node in (two, one):
                await (node.system.fleet_jobs.pump() or task.deferLater(reactor, 0.01))
            job = (await two.get(path)).json
            if job["state"] == "done":
                break
        assert job["counts"]["succeeded"] == 4, job
        assert [len(link.calls) for link in links] == [1] * 4
        slow = await ordered(one, rate=0.1)
        await two.system.fleet_jobs.sweep(now_ms(reactor))
        assert (await two.request("DELETE", slow)).status == 202
        await goes_on(two, slow, "stopped")
    finally:
        for node in nodes:
            await node.stop()
            await node.bus.stop()
        server.drop(database)


# What is wrong

BAD: tuple[tuple[Any, list[str]], ...] = (
    ({}, ["/action", "/select"]),
    (wish(action=7), ["/action"]),
    (wish(action="Heartbeat"), ["/action"]),
    (wish(action="clearcache"), ["/action"]),
    (wish(payload=[]), ["/payload"]),
    (wish(payload=None), ["/payload"]),
    (wish(action="ChangeConfiguration"), ["/payload/key", "/payload/value"]),
    (wish(action="Reset", payload={"type": "Warm", "more": 1}), ["/payload/type", "/payload/more"]),
    (wish(payload={"x": 1}), ["/payload/x"]),
    (wish(select=None), ["/select"]),
    (wish(select=["CP1"]), ["/select"]),
    (wish(select={}), ["/select"]),
    (wish(select={"tags": "north"}), ["/select/tags"]),
    (wish(select={"names": "CP1"}), ["/select/names"]),
    (wish(select={"names": []}), ["/select/names"]),
    (wish(select={"tags": []}), ["/select/tags"]),
    (wish(select={"names": ["CP1"], "tags": []}), ["/select/tags"]),
    (wish(select={"names": ["CP1", "CP9", 7, "", "CP1"]}), [f"/select/names/{place}" for place in (1, 2, 3, 4)]),
    (wish(select={"names": ["x" * 256]}), ["/select/names/0"]),
    (wish(select={"vendor": ""}), ["/select/vendor"]),
    (wish(select={"vendor": 1, "model": "m" * 51, "firmware": None}), ["/select/vendor", "/select/model", "/select/firmware"]),
    (wish(select={"vendor": "Nobody"}), ["/select"]),
    (wish(select={"vendor": "\ud800"}), ["/select/vendor"]),
    (wish(rate=0), ["/rate"]),
    (wish(rate=-1), ["/rate"]),
    (wish(rate=100.1), ["/rate"]),
    (wish(rate=0.15), ["/rate"]),
    (wish(rate="5"), ["/rate"]),
    (wish(rate=True), ["/rate"]),
    (wish(rate=10**30), ["/rate"]),
    (wish(canary=-1), ["/canary"]),
    (wish(canary=1001), ["/canary"]),
    (wish(canary=1.5), ["/canary"]),
    (wish(canary=None), ["/canary"]),
    (wish(offline=True), ["/offline"]),
    (wish(offline="wait"), ["/offline"]),
    (wish(ttl=0), ["/ttl"]),
    (wish(ttl=30 * 24 * 3600 + 1), ["/ttl"]),
    (wish(ttl="60"), ["/ttl"]),
    (wish(wait=5, canary="x"), ["/wait", "/canary"]),
)


@ensure
async def test_bad_jobs(served: Served) -> None:
    """HS-10: 422 with a pointer to each thing that is wrong, and nothing is made."""
    for body, pointers in BAD:
        answer = await served.post(PATH, body)
        assert (answer.status, answer.slug) == (422, "invalid-payload"), (body, answer)
        assert sorted({error["pointer"] for error in answer.json["errors"]}) == sorted(pointers), (body, answer.json)
    assert (await served.get(PATH)).json["items"] == []


@ensure
async def test_bad_requests(served: Served) -> None:
    """What there is not, what cannot be now, and what cannot be read."""
    path = await ordered(served, select={"names": ["CP1"]}, offline="fail")
    await goes_on(served, path, "done")

    async def told(method: str, where: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        found: Answered = await served.request(
            method, where, body, {name.replace("_", "-"): text for name, text in headers.items()}
        )
        return found.status, found.slug

    for name in ("7", "x", "-1", "9223372036854775808", "%00"):
        for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume")):
            assert await told(method, f"{PATH}/{name}{rest}") == (404, "not-found"), (method, name)
    for method, rest in (("DELETE", ""), ("POST", "/pause"), ("POST", "/resume")):
        assert await told(method, path + rest) == (409, "conflict"), method
    for where in (
        f"{PATH}?state=odd",
        f"{PATH}?action=Odd",
        f"{PATH}?limit=0",
        f"{path}?state=done",
        f"{path}?after=!",
        f"{PATH}?x=1",
    ):
        assert (await told("GET", where))[0] == 400, where
    for rest in ("/pause?x=1", "/resume?x=1"):
        assert (await told("POST", path + rest))[0] == 400
    assert (await told("PUT", path))[0] == 405
    assert (await told("POST", PATH, b"{", Content_Type="application/json"))[0] == 400
    assert (await told("POST", PATH, b"[]", Content_Type="application/json"))[0] == 422
    assert (await told("POST", PATH, b"{}", Content_Type="text/plain"))[0] == 415
    assert (await served.get(path)).json["state"] == "done"


# The daemon


@ensure
async def test_the_daemon_goes_on_by_itself(tmp_path: Path) -> None:
    """A daemon takes the steps of jobs, those of the run before too; what is read again of them is all in the records."""
    configuration = chargers(*NAMES)
    running = Running(tmp_path, configuration).start()
    wish = new_job(
        "ClearCache",
        ClearCacheRequest(),
        "{}",
        NAMES,
        rate_tenths=20,
        canary=0,
        offline=False,
        ttl_s=None,
        created_ms=now_ms(reactor),
    )
    made = await running.central.fleet_jobs.create(wish)
    await ended_rows(running, made.job_id, 1)
    await running.stop()
    running = Running(tmp_path, configuration).start()
    try:
        job = await ended_rows(running, made.job_id, 4)
        assert dict(job.counts) == {FleetRowState.FAILED: 4}
    finally:
        await running.stop()


async def ended_rows(running: Running, job_id: int, count: int) -> FleetJob:
    """The job once so many of its chargers have failed."""
    for _ in range(1000):
        job = await running.central.fleet_jobs.read(job_id)
        if job.counts.get(FleetRowState.FAILED, 0) >= count:
            return job
        await task.deferLater(reactor, 0.02)
    raise AssertionError(job)
