"""PostgreSQL and Redis, stopped and paused, below two nodes at work: what chargers and operators see, and how it heals."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support import figures, postgresql
from support.cluster import Cluster, Fleet
from support.programs import eventually
from support.redis import RedisServer
from support.verdict import Verdict

#: CI runs these at full length; elsewhere they are shorter, and otherwise the same.
OUTAGE_S = 30.0 if os.environ.get("CI") else 8.0
COUNT = 40
NAMES = [f"F-{number}" for number in range(COUNT)]


class Scene:
    """Two nodes at work with their fleet, and a charger of the first node."""

    def __init__(self, cluster: Cluster, fleet: Fleet) -> None:
        self.cluster = cluster
        self.fleet = fleet
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


@contextmanager
def scene(tmp_path: Path, config: pytest.Config, database: str, broker: RedisServer) -> Iterator[Scene]:
    """The scene, checked at its end: nothing that was answered is lost, nothing is left over."""
    server = postgresql.server(config)
    with Cluster(tmp_path, server.url(database), broker.url(), NAMES, count=2) as cluster:
        with Fleet(tmp_path, "F", COUNT, 1.0, cluster.urls) as fleet:
            fleet.wait_until_connected()
            yield Scene(cluster, fleet)
            events = fleet.finish()
        assert [node.stop() for node in cluster.nodes] == [0, 0]
        with server.admin(database) as records:
            verdict = Verdict(records, events)
            verdict.check_transactions()
            verdict.check_commands([])


def last(seconds: float) -> None:
    """The outage goes on."""
    threading.Event().wait(seconds)


def recovery(began: float, outage: str) -> None:
    """Tell how long it took since the return of what was away."""
    figures.tell(f"{outage}: all well {time.monotonic() - began:.1f} s after its return")


def since(events: list[dict[str, Any]], at: float, kind: str) -> list[dict[str, Any]]:
    """The events of one kind since then."""
    return [event for event in events if event["event"] == kind and event["at"] >= at]


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_redis_away(tmp_path: Path, pytestconfig: pytest.Config, database: str, broker: RedisServer, how: str) -> None:
    """Without Redis chargers are served and own commands work; others' get 503 at once; it heals by itself, also if empty."""
    leave: Callable[[], object] = broker.stop if how == "stopped" else broker.pause
    come_back: Callable[[], object] = broker.start if how == "stopped" else broker.resume
    with scene(tmp_path, pytestconfig, database, broker) as stage:
        eventually(stage.well, "a cluster that is well")
        began = time.time()
        leave()
        # The first one may have to find out; `at once` is meant for all that come after it.
        assert stage.command(there=False) == 503
        end = time.monotonic() + OUTAGE_S
        assert stage.command(there=True) == 200
        tried = time.monotonic()
        assert stage.command(there=False) == 503
        figures.tell(f"Redis {how}: a command for another node's charger is refused after {time.monotonic() - tried:.3f} s")
        assert stage.ready() == [200, 200]
        last(end - time.monotonic())
        assert stage.command(there=True) == 200
        events = stage.fleet.events()
        assert since(events, began, "lost") == []
        assert since(events, began, "error") == []
        assert len(since(events, began + OUTAGE_S / 2, "answered")) > COUNT / 2
        returned = time.monotonic()
        come_back()
        eventually(stage.well, "recovery", 10)
        recovery(returned, f"Redis {how}")


@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_postgresql_away(tmp_path: Path, pytestconfig: pytest.Config, database: str, broker: RedisServer, how: str) -> None:
    """Without PostgreSQL chargers are answered InternalError and repeat, operators get 503; it heals by itself."""
    server = postgresql.server(pytestconfig)
    with scene(tmp_path, pytestconfig, database, broker) as stage:
        eventually(stage.well, "a cluster that is well")
        began = time.time()
        try:
            (server.stop if how == "stopped" else server.pause)()
            end = time.monotonic() + OUTAGE_S
            assert stage.command(there=True) == 503
            assert stage.command(there=False) == 503
            eventually(lambda: stage.ready() == [503, 503], "nodes that are not ready", 10)
            last(end - time.monotonic())
            events = stage.fleet.events()
            assert since(events, began, "lost") == []
            assert {event["code"] for event in since(events, began, "error")} == {"InternalError"}
            # What was answered in the meantime was committed before.
            assert since(events, began + 7, "answered") == []
        finally:
            returned = time.monotonic()
            (server.start if how == "stopped" else server.resume)()
        eventually(stage.well, "recovery", 15)
        recovery(returned, f"PostgreSQL {how}")
