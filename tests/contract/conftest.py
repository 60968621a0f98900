"""The storages that every contract of `ocppd.storage.api` is tested with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from ocppd.storage.sql_storage import SqlStorage


def database_url(kind: str, directory: Path) -> str:
    """The URL of a fresh database of that kind."""
    return "sqlite://" if kind == "memory" else f"sqlite:///{directory / 'ocppd.sqlite'}"


@pytest_twisted.async_yield_fixture(params=["file", "memory"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStorage]:
    """A running storage without records."""
    running = SqlStorage(database_url(request.param, tmp_path), reactor)
    running.start()
    yield running
    await running.stop()


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """The URL of a database file that is not there yet."""
    return database_url("file", tmp_path)
