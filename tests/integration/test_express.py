"""The express way of frequent messages, where it differs from the ordinary one in nothing but what it costs."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
import pytest_twisted

from ocppd.central import express
from ocppd.central.conformance import FIRST_LOOKS
from ocppd.central.outbox import Outbox
from ocppd.central.watching import Watchers
from ocppd.clock import now_ms
from ocppd.v16.core import ClearCacheRequest
from ocppd.v16.timestamps import format_timestamp
from support.dialogue import ChargePoint, starting_clock
from support.rest import Served
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


@ensure
async def test_a_heartbeat_that_is_repeated() -> None:
    """F-6: the repeat of a heartbeat has the answer that the first one had, whatever the time is by then."""
    clock = starting_clock()
    served = Served("CP1", central_clock=clock)
    try:
        link = (await ChargePoint(served).connect()).link
        for message_id in ("again", "other", "again"):
            link.tell(json.dumps([2, message_id, "Heartbeat", {}]))
            await link.next_frame()
            clock.advance(5)
        (first, second, third) = link.answers[-3:]
        assert (first[:2], second[:2]) == ([3, "again"], [3, "other"])
        assert first[2] != second[2]
        assert third == first
    finally:
        await served.stop()


@pytest.mark.usefixtures("both_lanes")
@pytest.mark.parametrize("set_by_s", [-3600, 3600])
@ensure
async def test_repeats_where_the_clock_is_set(set_by_s: int) -> None:
    """F-6: an answer is repeated for ten minutes, no longer where the clock is set back, and no less where it is set forward."""
    clock: Any = starting_clock()
    ahead_s = 0
    clock.wall = lambda: clock.seconds() + ahead_s
    served = Served("CP1", central_clock=clock)
    try:
        link = (await ChargePoint(served).connect()).link
        for passes_s in (300, 400, 0):
            link.tell('[2, "again", "Heartbeat", {}]')
            await link.next_frame()
            ahead_s = set_by_s
            clock.advance(passes_s)
        first, second, third = link.answers[-3:]
        assert second == first
        assert third[2]["currentTime"] == format_timestamp(now_ms(clock))
    finally:
        await served.stop()


@ensure
async def test_nothing_is_left_of_a_call(start: Any) -> None:
    """A call that has been answered leaves nothing behind at the connection: there may be 20,000 of them."""
    daemon = start()
    peer = await booted(daemon)
    call = daemon.central.commands.call("CP1", ClearCacheRequest())
    asked = await peer.frame()
    assert living() == 1
    peer.send([3, asked[1], {"status": "Accepted"}])
    await call
    assert living() == 0
    assert not daemon.central.chargers.connection("CP1").busy
    call = daemon.central.commands.call("CP1", ClearCacheRequest())
    peer.send([3, (await peer.frame())[1], {"status": "Rejected"}])
    assert (await call).status == "Rejected"


def living() -> int:
    """How many outboxes there are."""
    gc.collect()
    return sum(type(each) is Outbox for each in gc.get_objects())


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
