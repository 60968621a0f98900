"""A daemon for each test that asks for one, stopped in order afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from ocppd.central import system
from ocppd.central.express import Express
from ocppd.net import fast_frames
from support.central import Running, chargers

Start = Callable[..., Running]


@pytest_twisted.async_yield_fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a daemon: `start(configuration, **settings)`. CP1 and CP2 are configured where nothing else is asked for."""
    running: list[Running] = []

    def make(configuration: dict[str, Any] | None = None, **settings: Any) -> Running:
        directory = tmp_path / str(len(running))
        directory.mkdir()
        running.append(Running(directory, configuration or chargers("CP1", "CP2"), **settings).start())
        return running[-1]

    yield make
    for daemon in running:
        await daemon.stop()


@pytest.fixture(params=["short", "long"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with the short way of text messages, once without it, as where a version of Autobahn lacks a part of it."""
    if request.param == "long":
        monkeypatch.setattr(fast_frames, "READING", ("no such part",))


@pytest.fixture(params=["express", "ordinary"])
def both_lanes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with the express way for whatever it takes, from the first message on, once without it."""
    if request.param == "express":
        monkeypatch.setattr(system, "FIRST_LOOKS", 0)
    else:
        monkeypatch.setattr(Express, "take", lambda *_: False)
