"""Nodes that share a PostgreSQL database and have no Redis between them."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.logger import formatEvent, globalLogPublisher

from ocppd.bus.local import LocalBus
from ocppd.central.cluster import BEAT_S, LEASE_S
from ocppd.storage.sql_storage import SqlStorage
from support import postgresql
from support.rest import Served


@pytest_twisted.ensureDeferred
async def test_they_are_told_of(pytestconfig: pytest.Config) -> None:
    """Another node is told of once, and not before it has outlived the lease of one that was killed before the start."""
    server = postgresql.server(pytestconfig)
    database = server.create()
    told: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if "without --redis" in (event.get("log_format") or ""):
            told.append(formatEvent(event))

    nodes = [
        Served(storage=SqlStorage(server.url(database), reactor, postgresql.SECRET_KEY, node=name), bus=LocalBus(name, reactor))
        for name in ("a#1", "a#2")
    ]
    globalLogPublisher.addObserver(observe)
    try:
        for node in nodes:
            await node.system.cluster.start()
        for _ in range(int(LEASE_S / BEAT_S)):
            await nodes[1].system.cluster.beat()
        assert told == []
        for _ in range(2):
            await nodes[1].system.cluster.beat()
        assert len(told) == 1
    finally:
        globalLogPublisher.removeObserver(observe)
        for node in nodes:
            await node.stop()
        server.drop(database)
