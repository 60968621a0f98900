"""The express way of frequent messages, where it differs from the ordinary one in nothing but what it costs."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from ocppd.central import express
from ocppd.central.conformance import FIRST_LOOKS
from support.wire import booted

ensure = pytest_twisted.ensureDeferred
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.mark.parametrize(("a_second", "looked_at"), [(0, 0), (1000, 3)])
@ensure
async def test_looks_are_limited(start: Any, monkeypatch: pytest.MonkeyPatch, a_second: int, looked_at: int) -> None:
    """The first messages of a charger are looked at more closely, unless too many were in this second: then others are."""
    monkeypatch.setattr(express, "LOOKS_A_SECOND", a_second)
    daemon = start()
    peer = await booted(daemon)
    connection = daemon.central.chargers.connection("CP1")
    before = connection.looks
    for _ in range(3):
        assert (await peer.call("StatusNotification", STATUS))[2] == {}
    assert before <= FIRST_LOOKS
    assert before - connection.looks == looked_at
