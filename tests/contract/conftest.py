"""The storages that every contract of `ocppd.storage.api` is tested with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.logger import formatEvent, globalLogPublisher

from ocppd.storage import filing
from ocppd.storage.sql_storage import SqlStorage
from support import postgresql

KINDS = ("file", "memory", "postgresql")


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """The URL of a database file that is not there yet."""
    return f"sqlite:///{tmp_path / 'ocppd.sqlite'}"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[postgresql.Server]:
    """A PostgreSQL server of our own, running; afterwards it runs again, whatever the test did to it."""
    running = postgresql.server(request.config)
    yield running
    running.renew()


@pytest.fixture
def postgresql_url(server: postgresql.Server) -> Iterator[str]:
    """The URL of a fresh database on a server, with our tables in it."""
    name = server.create()
    yield server.url(name)
    server.renew()
    server.drop(name)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database, of each kind in turn."""
    if request.param == "memory":
        return "sqlite://"
    found: str = request.getfixturevalue("file_url" if request.param == "file" else "postgresql_url")
    return found


@pytest_twisted.async_yield_fixture
async def storage(url: str) -> AsyncIterator[SqlStorage]:
    """A running storage without records."""
    # In a file nothing is filed by charger yet when it is asked for, in memory everything is (`ocppd.storage.filing`).
    often = 1 if url == "sqlite://" else filing.OFTEN
    running = SqlStorage(url, reactor, secret_key=postgresql.SECRET_KEY, file_every=often)
    running.start()
    yield running
    await running.stop()


@pytest_twisted.async_yield_fixture
async def open_node() -> AsyncIterator[Callable[[str, str], SqlStorage]]:
    """Open the records at a URL as a node: `open_node(url, node)`."""
    opened: list[SqlStorage] = []

    def node(url: str, name: str) -> SqlStorage:
        opened.append(SqlStorage(url, reactor, postgresql.SECRET_KEY, node=name))
        opened[-1].start()
        return opened[-1]

    yield node
    for each in opened:
        await each.stop()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What storage has logged so far, each line after its level."""
    found: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event["log_namespace"].startswith("ocppd.storage"):
            found.append(f"{event['log_level'].name}: {formatEvent(event)}")

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)
