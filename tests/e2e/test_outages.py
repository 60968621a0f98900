"""PostgreSQL and Redis, stopped and paused, below two nodes at work: what chargers and operators see, and how it heals.

The four outages are played side by side, each with servers and nodes of its own: they are long and mostly waiting.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support import figures, postgresql
from support.cluster import Cluster, Fleet
from support.postgresql import Server
from support.programs import eventually
from support.redis import RedisServer
from support.verdict import Verdict

#: CI runs these at full length; elsewhere they are shorter, and otherwise the same.
OUTAGE_S = 30.0 if os.environ.get("CI") else 8.0
COUNT = 20
NAMES = [f"F-{number}" for number in range(COUNT)]
PATIENCE_S = 150.0


class Scene:
    """Two nodes at work with their fleet, and a charger of the first node."""

    def __init__(self, cluster: Cluster, fleet: Fleet, server: Server, broker: RedisServer) -> None:
        self.cluster = cluster
        self.fleet = fleet
        self.server = server
        self.broker = broker
        self.holders: dict[str, int] = eventually(lambda: len(found := cluster.holders()) == COUNT and found, "all holders")

    def command(self, *, there: bool, wait_s: int = 20) -> int:
        """The status of a command for a charger of the first node, given to that node, or to the other one."""
        charger = next(name for name, node in self.holders.items() if node == 0)
        node = self.cluster.nodes[0 if there else 1]
        return node.http("POST", f"/api/v1/chargers/{charger}/commands/GetConfiguration?wait={wait_s}", {}).status

    def ready(self) -> list[int]:
        """What /readyz says on each node."""
        return [node.http("GET", "/readyz").status for node in self.cluster.nodes]

    def well(self) -> bool:
        """Whether commands go everywhere, and both nodes say so."""
        return self.ready() == [200, 200] and self.command(there=True) == self.command(there=False) == 200

    def since(self, at: float, kind: str) -> list[dict[str, Any]]:
        """The events of the fleet of one kind since then."""
        return [event for event in self.fleet.events() if event["event"] == kind and event["at"] >= at]


@contextmanager
def scene(directory: Path) -> Iterator[Scene]:
    """The scene, checked at its end: nothing that was answered is lost, nothing is left over."""
    programs = postgresql.programs()
    assert programs is not None
    server, broker = Server(programs), RedisServer().start()
    try:
        database = server.create(migrated=False)
        with Cluster(directory, server.url(database), broker.url(), NAMES, count=2) as cluster:
            with Fleet(directory, "F", COUNT, 1.0, cluster.urls) as fleet:
                fleet.wait_until_connected()
                yield Scene(cluster, fleet, server, broker)
                events = fleet.finish()
            assert [node.stop() for node in cluster.nodes] == [0, 0]
            with server.admin(database) as records:
                verdict = Verdict(records, events)
                verdict.check_transactions()
                verdict.check_commands([])
    finally:
        broker.close()
        server.close()


def recovered(stage: Scene, outage: str) -> None:
    """All is well again, and how soon."""
    returned = time.monotonic()
    eventually(stage.well, "recovery", 10)
    figures.tell(f"{outage}: all well {time.monotonic() - returned:.1f} s after its return")


def without_redis(stage: Scene, how: str) -> None:
    """Chargers are served and own commands work; others' get 503 at once."""
    began = time.time()
    (stage.broker.stop if how == "stopped" else stage.broker.pause)()
    # The first one may have to find out; `at once` is meant for all that come after it.
    assert stage.command(there=False) == 503
    end = time.monotonic() + OUTAGE_S
    assert stage.command(there=True) == 200
    tried = time.monotonic()
    assert stage.command(there=False) == 503
    figures.tell(f"Redis {how}: a command for another node's charger is refused after {time.monotonic() - tried:.3f} s")
    assert stage.ready() == [200, 200]
    threading.Event().wait(end - time.monotonic())
    assert stage.command(there=True) == 200
    assert stage.since(began, "lost") == []
    assert stage.since(began, "error") == []
    assert len(stage.since(began + OUTAGE_S / 2, "answered")) > COUNT / 2
    if how == "stopped":
        stage.broker.start()
    else:
        stage.broker.resume()
    recovered(stage, f"Redis {how}")


def without_postgresql(stage: Scene, how: str) -> None:
    """Chargers are answered InternalError and repeat, operators get 503, and neither node is ready."""
    began = time.time()
    (stage.server.stop if how == "stopped" else stage.server.pause)()
    end = time.monotonic() + OUTAGE_S
    assert stage.command(there=True) == 503
    assert stage.command(there=False) == 503
    eventually(lambda: stage.ready() == [503, 503], "nodes that are not ready", 10)
    threading.Event().wait(end - time.monotonic())
    assert stage.since(began, "lost") == []
    assert {event["code"] for event in stage.since(began, "error")} == {"InternalError"}
    # What was answered in the meantime was committed before.
    assert stage.since(began + OUTAGE_S - 1, "answered") == []
    (stage.server.start if how == "stopped" else stage.server.resume)()
    recovered(stage, f"PostgreSQL {how}")


def play(directory: Path, outage: Callable[[Scene, str], None], how: str) -> None:
    """One outage, from a cluster that is well to one that is well."""
    directory.mkdir()
    with scene(directory) as stage:
        eventually(stage.well, "a cluster that is well")
        outage(stage, how)


def test_outages(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Without Redis chargers and own commands are served, without PostgreSQL chargers repeat; both heal by themselves."""
    postgresql.server(pytestconfig)  # skips, where there is none
    playing: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(4) as pool:
        for outage in (without_redis, without_postgresql):
            for how in ("stopped", "paused"):
                name = f"{outage.__name__} {how}"
                playing[name] = pool.submit(play, tmp_path / name.replace(" ", "-"), outage, how)
    failed = {name: error for name, played in playing.items() if (error := played.exception(PATIENCE_S)) is not None}
    for name, error in failed.items():
        raise AssertionError(f"{name}: of {len(failed)} that failed") from error
