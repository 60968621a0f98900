"""The express way of frequent messages, where it differs from the ordinary one in nothing but what it costs."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from ocppd.central import express
from ocppd.central.conformance import FIRST_LOOKS
from ocppd.central.watching import Watchers
from support.wire import booted, is_error

ensure = pytest_twisted.ensureDeferred
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.mark.parametrize(("at_once", "looked_at"), [(0, 0), (1000, 3)])
@ensure
async def test_looks_are_limited(start: Any, monkeypatch: pytest.MonkeyPatch, at_once: int, looked_at: int) -> None:
    """The first messages of a charger are looked at more closely, unless too many were just now: then others are."""
    monkeypatch.setattr(express, "LOOKS", at_once)
    daemon = start()
    peer = await booted(daemon)
    connection = daemon.central.chargers.connection("CP1")
    before = connection.looks
    for _ in range(3):
        assert (await peer.call("StatusNotification", STATUS))[2] == {}
    assert before <= FIRST_LOOKS
    assert before - connection.looks == looked_at


def broken(*_: Any) -> Any:
    """Stands for a bug."""
    raise ZeroDivisionError


@ensure
async def test_a_bug_costs_one_message(start: Any, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """Where the short way stumbles once a call is taken, that is InternalError, and the next one is answered as ever."""
    monkeypatch.setattr(express, "LOOKS", 0)
    peer = await booted(start())
    with monkeypatch.context() as patched:
        patched.setattr(express, "status_of", broken)
        assert is_error(await peer.call("StatusNotification", STATUS), "InternalError")
    assert logged_errors.flush()
    assert (await peer.call("StatusNotification", STATUS))[2] == {}


@ensure
async def test_a_bug_of_a_follower_costs_nothing(start: Any, monkeypatch: pytest.MonkeyPatch, logged_errors: Any) -> None:
    """Where whoever follows a message stumbles over it, its charger is answered all the same, and goes on."""
    monkeypatch.setattr(express, "LOOKS", 0)
    peer = await booted(start())
    with monkeypatch.context() as patched:
        patched.setattr(Watchers, "want", broken)
        assert (await peer.call("StatusNotification", STATUS))[2] == {}
        assert "currentTime" in (await peer.call("Heartbeat", {}))[2]
    assert logged_errors.flush()
    assert (await peer.call("StatusNotification", STATUS))[2] == {}
