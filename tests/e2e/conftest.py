"""The servers that several nodes need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import postgresql, redis


@pytest.fixture
def database(pytestconfig: pytest.Config) -> Iterator[str]:
    """The name of an empty database of its own."""
    server = postgresql.server(pytestconfig)
    name = server.create(migrated=False)
    yield name
    server.drop(name)


@pytest.fixture
def broker() -> Iterator[redis.RedisServer]:
    """A Redis that a test may mistreat."""
    running = redis.RedisServer().start()
    yield running
    running.close()
