"""Several nodes under load, with nodes that die: real processes, a real PostgreSQL, a real Redis, roaming chargers."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from support import figures, postgresql
from support.cluster import Cluster, Fleet, Operators
from support.programs import eventually
from support.redis import RedisServer
from support.streams import Viewer
from support.verdict import Verdict

#: CI runs these at full length; elsewhere they are shorter, and otherwise the same.
FULL = bool(os.environ.get("CI"))
COUNT = 600 if FULL else 150
KILLING_S = 60.0 if FULL else 30.0
COMMANDS = 150


def names(count: int) -> list[str]:
    """The chargers of a fleet."""
    return [f"F-{number}" for number in range(count)]


def test_commands_through_any_node(tmp_path: Path, pytestconfig: pytest.Config, database: str, broker: RedisServer) -> None:
    """Every command is answered, whichever node it is given to."""
    server = postgresql.server(pytestconfig)
    with Cluster(tmp_path, server.url(database), broker.url(), names(COUNT)) as cluster:
        with Fleet(tmp_path, "F", COUNT, COUNT / 100, cluster.urls) as fleet:
            fleet.wait_until_connected()
            holders = eventually(lambda: len(found := cluster.holders()) == COUNT and found, "every charger's holder")
            took: dict[bool, list[float]] = {True: [], False: []}
            for charger in random.sample(names(COUNT), COMMANDS):
                for there in (True, False):
                    node = cluster.nodes[holders[charger] if there else (holders[charger] + 1) % 3]
                    began = time.perf_counter()
                    answer = node.http("POST", f"/api/v1/chargers/{charger}/commands/ClearCache?wait=30", {})
                    took[there].append(time.perf_counter() - began)
                    assert (answer.status, answer.json.get("outcome")) == (200, "Accepted"), answer.body
            events = fleet.finish()
        figures.tell(f"command through the charger's own node: {figures.spread(took[True])}")
        figures.tell(f"command through another node: {figures.spread(took[False])}")
        with server.admin(database) as records:
            verdict = Verdict(records, events)
            verdict.check_transactions()
            assert verdict.check_commands([]) == Counter(completed=2 * COMMANDS)
            assert verdict.errors() == Counter()


def test_nodes_that_die(tmp_path: Path, pytestconfig: pytest.Config, database: str, broker: RedisServer) -> None:
    """A node is killed every five seconds: no answered message is lost, no start doubled, no command run twice or left over.

    Somebody who follows the events, and comes again every few seconds on another node, misses none.
    """
    server = postgresql.server(pytestconfig)
    with Cluster(tmp_path, server.url(database), broker.url(), names(COUNT)) as cluster:
        with Fleet(tmp_path, "F", COUNT, COUNT / 100, cluster.urls) as fleet:
            fleet.wait_until_connected()
            operators = Operators(cluster, names(COUNT))
            viewer = Viewer(lambda: [node.port for node in cluster.nodes])
            kills = 0
            end = time.monotonic() + KILLING_S
            while time.monotonic() < end:
                next_kill = time.monotonic() + 5
                number = random.randrange(len(cluster.nodes))
                cluster.kill(number)
                kills += 1
                cluster.revive(number)
                threading.Event().wait(max(0.0, next_kill - time.monotonic()))
            replies = operators.stop()
            fleet.wait_until_connected()
            with server.admin(database) as records:
                pending = "SELECT count(*) FROM messages WHERE state IN ('queued', 'sent')"
                eventually(lambda: records.execute(pending).fetchone() == (0,), "the end of every command")
            events = fleet.finish()
            with server.admin(database) as records:
                numbers = "SELECT sequence FROM messages UNION ALL SELECT sequence FROM events"
                happened = {row[0] for row in records.execute(numbers)}
            missing = viewer.wait_for(happened)
            assert missing == set(), f"{len(missing)} of {len(happened)} events are in no stream"
        with server.admin(database) as records:
            verdict = Verdict(records, events)
            answered = verdict.check_transactions()
            ends = verdict.check_commands(operators.accepted)
            back = verdict.check_connections()
        figures.tell(f"{kills} nodes killed in {KILLING_S:g} s, {COUNT} chargers, {answered} answered messages of transactions")
        figures.tell(f"  chargers back after {figures.spread(back, 's', 1)}; errors answered {dict(verdict.errors())}")
        figures.tell(f"  commands by HTTP {dict(replies)}, no reply {operators.refused}; ended {dict(ends)}")
        figures.tell(
            f"  {len(happened)} events, all in a stream over {viewer.connections} connections, {viewer.repeated} more than once"
        )
        assert len(back) >= kills, "no charger lost its connection: nothing was tested"


def test_nodes_that_start_together(tmp_path: Path, pytestconfig: pytest.Config, database: str, broker: RedisServer) -> None:
    """Two nodes that start at the same moment on an empty database both come up, and work as one."""
    server = postgresql.server(pytestconfig)
    with Cluster(tmp_path, server.url(database), broker.url(), names(4), count=2, together=True) as cluster:
        with Fleet(tmp_path, "F", 4, 0.2, cluster.urls) as fleet:
            fleet.wait_until_connected()
            for node in cluster.nodes:
                for charger in names(4):
                    answer = node.http("POST", f"/api/v1/chargers/{charger}/commands/ClearCache?wait=30", {})
                    assert (answer.status, answer.json.get("outcome")) == (200, "Accepted"), answer.body
            fleet.finish()
        assert [node.stop() for node in cluster.nodes] == [0, 0]
        assert [line for node in cluster.nodes for line in node.complaints()] == []
