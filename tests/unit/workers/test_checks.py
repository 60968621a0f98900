"""Options that do not go together where there are several nodes: one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.config import Settings
from ocppd.errors import StartFailed
from ocppd.workers.checks import check_together
from ocppd.workers.given import NOTHING_GIVEN, Given, Place

SQLITE = "sqlite:////var/lib/ocppd/ocppd.sqlite"
POSTGRESQL = "postgresql://ocppd:hush@db/ocppd"
REDIS = "redis://:hush@redis/0"


class CheckTests(SynchronousTestCase):
    """`check_together`."""

    def check(self, given: Given = NOTHING_GIVEN, **settings: Any) -> None:
        check_together(Settings(**{"config": Path("configs.json"), "database": POSTGRESQL, "redis": REDIS, **settings}), given)

    def refused(self, given: Given = NOTHING_GIVEN, **settings: Any) -> str:
        """Why it is refused: one line, without a password."""
        text = str(self.assertRaises(StartFailed, self.check, given, **settings))
        self.assertNotIn("\n", text)
        self.assertNotIn("hush", text)
        return text

    def test_what_works(self) -> None:
        """One node by itself, several over PostgreSQL and Redis, and a worker of them."""
        self.check(database=SQLITE, redis=None)
        self.check(database=POSTGRESQL, redis=None)
        self.check()
        self.check(workers=4)
        self.check(workers=4, port="0")
        self.check(port="tcp:9033:interface=127.0.0.1")
        self.check(Given((3,), Place(2, 4, Path("/"))), node="n" * 64)

    def test_sqlite(self) -> None:
        """An SQLite database is for one node."""
        for url in (SQLITE, "sqlite://", "sqlite+pysqlite:///x"):
            self.assertIn("--redis is for several nodes", self.refused(database=url))
            self.assertIn("--workers 2 is for several nodes", self.refused(database=url, workers=2))
            self.assertIn("--workers 2 is for several nodes", self.refused(database=url, workers=2, redis=None))

    def test_no_redis(self) -> None:
        """Workers find each other's chargers by Redis."""
        self.assertIn("--workers 2 needs --redis", self.refused(workers=2, redis=None))

    def test_port(self) -> None:
        """Workers share a port, and no endpoint of Twisted can be shared."""
        self.assertIn("plain number for --port, found tcp:9033", self.refused(workers=2, port="tcp:9033"))

    def test_node(self) -> None:
        """The name of the node is to have room for the number of a worker."""
        self.check(workers=256, node="n" * 60)
        self.assertIn("--node: at most 60 characters", self.refused(workers=2, node="n" * 61))

    def test_sockets(self) -> None:
        """systemd hands over one socket for each worker, whatever --port would have been."""
        self.check(Given((3,)))
        self.check(Given((3, 4, 5)), workers=3, port="tcp:9033")
        self.assertIn("2 listening sockets, and one node needs 1", self.refused(Given((3, 4))))
        self.assertIn("1 listening socket, and --workers 3 needs 3", self.refused(Given((3,)), workers=3))
        self.assertIn("ReusePort=yes", self.refused(Given((3, 4)), workers=3))
