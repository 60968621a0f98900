"""The same charger on two nodes at once: exactly one connection stays, and it is the newer one (C-1)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, DeferredList, gatherResults

from support import figures, postgresql
from support.cluster import Cluster
from support.peer import Peer, connect, within
from support.redis import RedisServer

ROUNDS = 1000
#: How many chargers do it at the same time.
CHARGERS = 8


class Duel:
    """One charger that connects to both nodes at once, again and again."""

    def __init__(self, cluster: Cluster, records: psycopg.Connection[Any], name: str) -> None:
        self._ports = [node.port for node in cluster.nodes]
        self._records = records
        self._name = name
        #: Seconds from both handshakes to the close of the older connection.
        self.took: list[float] = []

    async def fight(self, rounds: int) -> None:
        """Connect to both so many times."""
        for _ in range(rounds):
            path = f"/ocppj/1.6/{self._name}"
            peers = await gatherResults([Deferred.fromCoroutine(connect(port, path)) for port in self._ports])
            began = time.monotonic()
            over = DeferredList([_watched(peer) for peer in peers], fireOnOneCallback=True)
            _, loser = await within(over)
            self.took.append(time.monotonic() - began)
            winner = peers[1 - loser]
            await winner.silence()
            assert not winner.closed.called, "both connections were closed"
            assert self._holder() == f"n{1 - loser}", "the connection that stayed is not the newest one"
            await winner.leave()

    def _holder(self) -> str:
        """The node that the highest generation was issued to."""
        row = self._records.execute("SELECT node FROM chargers WHERE name = %s", [self._name]).fetchone()
        return str(row[0]).partition("#")[0] if row is not None else ""


def _watched(peer: Peer) -> Deferred[int | None]:
    """Fires with the close code, and leaves `closed` to fire with it, too."""
    watched: Deferred[int | None] = Deferred()

    def told(code: int | None) -> int | None:
        watched.callback(code)
        return code

    peer.closed.addCallback(told)
    return watched


@pytest_twisted.ensureDeferred
async def test_two_connections(tmp_path: Path, pytestconfig: pytest.Config, database: str, broker: RedisServer) -> None:
    """A thousand times a charger connects to two nodes at once; each time the newer connection stays, and it alone."""
    server = postgresql.server(pytestconfig)
    names = [f"CP{number}" for number in range(CHARGERS)]
    with Cluster(tmp_path, server.url(database), broker.url(), names, count=2) as cluster, server.admin(database) as records:
        duels = [Duel(cluster, records, name) for name in names]
        await gatherResults([Deferred.fromCoroutine(duel.fight(ROUNDS // CHARGERS)) for duel in duels])
        took = [seconds for duel in duels for seconds in duel.took]
        assert len(took) == ROUNDS
        figures.tell(f"the older of two connections to two nodes is closed after {figures.spread(took)}")
        complaints = [line for node in cluster.nodes for line in node.complaints()]
        assert complaints == []
