"""A node that is cut off from Redis, by a network of its own: it keeps its chargers, and no command is run twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support import figures, postgresql
from support.cluster import Fleet
from support.daemon import TWISTD, environment, write_configuration
from support.namespaces import OUTSIDE, Namespace
from support.programs import Answer, Daemon, eventually
from support.redis import RedisServer
from support.verdict import Verdict

CUT_S = 10.0
COUNT = 10
COMMAND = "ClearCache?wait=0"


class Side:
    """A node and the fleet that connects to it alone."""

    def __init__(self, directory: Path, prefix: str, database: str, redis: str, namespace: Namespace | None) -> None:
        self._namespace = namespace
        self.names = [f"{prefix}-{number}" for number in range(COUNT)]
        before = () if namespace is None else namespace.command
        path = directory / prefix
        path.mkdir()
        write_configuration(
            path, {"Quiet": True, "Chargers": [{"Name": f"{side}-{n}"} for side in ("near", "far") for n in range(COUNT)]}
        )
        self.node = Daemon(
            path,
            options=("--database", database, "--redis", redis, "--node", prefix),
            env=environment({"OCPPD_SECRET_KEY": postgresql.SECRET_KEY}),
            program=(*before, str(TWISTD)),
        )
        self.fleet = Fleet(path, prefix, COUNT, 0.5, [self.node.url], before)

    def http(self, method: str, path: str, body: Any = None) -> Answer:
        """A request of this side's node."""
        if self._namespace is None:
            return self.node.http(method, path, body)
        return self._namespace.inside(self.node.http, method, path, body)

    def command(self, charger: str, query: str = COMMAND) -> Answer:
        """A command, given to this side's node."""
        return self.http("POST", f"/api/v1/chargers/{charger}/commands/{query}", {})

    def close(self) -> None:
        """The end of both."""
        self.fleet.__exit__(None, None, None)
        self.node.__exit__(None, None, None)


def test_partition(tmp_path: Path, pytestconfig: pytest.Config, database: str) -> None:
    """The side without Redis serves its chargers and their commands; nothing is lost or doubled when the link is back."""
    server = postgresql.server(pytestconfig)
    with Namespace() as namespace:
        broker = RedisServer(settings=f"bind 127.0.0.1 {OUTSIDE}\nprotected-mode no\n").start()
        sides: list[Side] = []
        try:
            # A Unix socket is the same file in every network.
            records = server.socket_url(database)
            sides.append(Side(tmp_path, "near", records, broker.url(), None))
            sides.append(Side(tmp_path, "far", records, broker.url(host=OUTSIDE), namespace))
            _play(namespace, *sides)
            events = [event for side in sides for event in side.fleet.finish()]
            assert [side.node.stop() for side in sides] == [0, 0]
        finally:
            for side in sides:
                side.close()
            broker.close()
    with server.admin(database) as connection:
        verdict = Verdict(connection, events)
        verdict.check_transactions()
        ends = verdict.check_commands([])
        figures.tell(f"partition of {CUT_S:g} s: commands ended {dict(ends)}")


def _play(namespace: Namespace, near: Side, far: Side) -> None:
    for side in (near, far):
        side.fleet.wait_until_connected()

    def whole() -> bool:
        """Whether a command passes both ways."""
        answers = [near.command(far.names[0], "ClearCache?wait=20"), far.command(near.names[0], "ClearCache?wait=20")]
        return [answer.status for answer in answers] == [200, 200]

    eventually(whole, "a whole cluster")
    began = time.time()
    namespace.cut()
    end = time.monotonic() + CUT_S
    eventually(lambda: far.command(near.names[0]).status == 503, "the refusal of the side that is cut off")
    eventually(lambda: near.command(far.names[0], "GetConfiguration?wait=1").status == 503, "the refusal of the other side")
    while time.monotonic() < end:
        for name in far.names:
            assert far.command(name, "ClearCache?wait=20").status == 200
            assert near.command(near.names[0], "ClearCache?wait=20").status == 200
            near.command(name)
            assert far.command(near.names[1]).status == 503
        assert far.http("GET", "/readyz").status == 200
        threading.Event().wait(0.2)
    events = far.fleet.events() + near.fleet.events()
    assert [event for event in events if event["at"] >= began and event["event"] in ("lost", "error")] == []
    namespace.mend()
    returned = time.monotonic()
    eventually(whole, "a whole cluster again", 10)
    figures.tell(f"partition: all well {time.monotonic() - returned:.1f} s after its end")
