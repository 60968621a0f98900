"""Several nodes of ocppd as processes, over a real PostgreSQL and a real Redis, and a fleet of charge points between them."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from support import postgresql
from support.daemon import environment
from support.programs import SUPPORT, Daemon, Program

PATIENCE_S = 60.0


class Cluster:
    """Nodes that share `database` and `redis` (URLs), each in a directory of its own. A context manager that ends them.

    `together`: they start at the same moment, not one after the other.
    """

    def __init__(
        self,
        directory: Path,
        database: str,
        redis: str,
        chargers: Sequence[str],
        count: int = 3,
        options: Sequence[str] = (),
        together: bool = False,
    ) -> None:
        self._directory = directory
        self._configuration = {"MaxQueueSize": 100, "Quiet": True, "Chargers": [{"Name": name} for name in chargers]}
        self._options = ("--database", database, "--redis", redis, *options)
        self._env = {"OCPPD_SECRET_KEY": postgresql.SECRET_KEY}
        self.nodes: list[Daemon] = []
        try:
            with ThreadPoolExecutor(count if together else 1) as pool:
                self.nodes.extend(pool.map(self._daemon, range(count)))
        except BaseException:
            self.close()
            raise

    def _daemon(self, number: int, port: int | None = None) -> Daemon:
        directory = self._directory / f"n{number}"
        directory.mkdir(exist_ok=True)
        options = (*self._options, "--node", f"n{number}")
        return Daemon(directory, self._configuration, options=options, env=environment(self._env), number=port)

    @property
    def urls(self) -> list[str]:
        """Where chargers connect, node by node."""
        return [node.url for node in self.nodes]

    def kill(self, number: int) -> None:
        """End a node as a power cut does."""
        self.nodes[number].process.kill()
        self.nodes[number].wait()

    def revive(self, number: int) -> None:
        """Start that node again, on its port."""
        dead = self.nodes[number]
        self.nodes[number] = self._daemon(number, dead.port)
        dead.__exit__(None, None, None)

    def node_of(self, charger: str, asked: int = 0) -> int | None:
        """The node that a charger is connected to, by what another one says."""
        name = self.nodes[asked].http("GET", f"/api/v1/chargers/{charger}").json.get("node")
        return None if name is None else int(name.removeprefix("n"))

    def holders(self, asked: int = 0) -> dict[str, int]:
        """The node of each connected charger, by what one node says."""
        found: dict[str, int] = {}
        after = ""
        while True:
            page = self.nodes[asked].http("GET", f"/api/v1/chargers?connected=true&limit=500{after}").json
            found |= {charger["name"]: int(charger["node"].removeprefix("n")) for charger in page["items"]}
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def close(self) -> None:
        """End all nodes at once."""
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.kill()
        for node in self.nodes:
            node.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Fleet(Program):
    """Roaming charge points: see fleet.py. Its events are read as they come."""

    def __init__(
        self, directory: Path, prefix: str, count: int, pace_s: float, urls: Sequence[str], before: Sequence[str] = ()
    ) -> None:
        """`before` is put before the command, to run it somewhere else."""
        script = SUPPORT / "fleet.py"
        super().__init__([*before, sys.executable, str(script), str(count), prefix, str(pace_s), *urls], directory)
        self.names = [f"{prefix}-{number}" for number in range(count)]

    def events(self, start: int = 0) -> list[dict[str, Any]]:
        """What has happened so far, from the line `start` on."""
        return [json.loads(line) for line in self.lines[start:]]

    def wait_until_connected(self, patience_s: float = PATIENCE_S) -> None:
        """All of them are connected at the same time."""

        there: set[str] = set()
        read = 0

        def all_there(lines: list[str]) -> bool | None:
            nonlocal read
            for line in lines[read:]:
                if '"event": "connected"' in line:
                    there.add(json.loads(line)["charger"])
                elif '"event": "lost"' in line:
                    there.discard(json.loads(line)["charger"])
            read = len(lines)
            return True if len(there) == len(self.names) else None

        self.wait_until(all_there, "whole fleet", patience_s)

    def finish(self, patience_s: float = PATIENCE_S) -> list[dict[str, Any]]:
        """Let each end its transaction and leave; all events."""
        self.tell("stop")
        assert self.wait(patience_s) == 0, self.tail()
        assert self.errors == [], self.tail()
        return self.events()


class Operators:
    """Threads that send commands through nodes at random, until they are stopped. Every reply is kept."""

    def __init__(
        self, cluster: Cluster, chargers: Sequence[str], threads: int = 4, pace_s: float = 0.05, action: str = "ClearCache"
    ) -> None:
        self._cluster = cluster
        self._chargers = list(chargers)
        self._pace_s = pace_s
        self._action = action
        self._stop = threading.Event()
        #: Status of each reply, and the id of the message where one was accepted.
        self.replies: list[tuple[int, str | None]] = []
        self.refused = 0
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while not self._stop.wait(self._pace_s):
            node = random.choice(self._cluster.nodes)
            charger = random.choice(self._chargers)
            path = f"/api/v1/chargers/{charger}/commands/{self._action}?wait=0"
            try:
                reply = node.http("POST", path, {})
            except OSError:  # that node is dead at the moment; whether it took the command is not known
                self.refused += 1
                continue
            accepted = reply.json.get("messageId") if reply.status in (200, 202) else None
            self.replies.append((reply.status, accepted))

    def stop(self) -> Counter[int]:
        """Send no more; the number of replies of each status."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        return Counter(status for status, _ in self.replies)

    @property
    def accepted(self) -> list[str]:
        """The ids of the messages that were accepted."""
        return [message_id for _, message_id in self.replies if message_id is not None]
