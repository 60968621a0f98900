"""A reactor's clock that goes on evenly where that of the machine is set."""

from __future__ import annotations

from time import time
from typing import Any

from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock

from ocppd.clock import instant_ms, make_steady, now_ms, now_s, steady_ms


def test_a_clock_that_is_set_back() -> None:
    """Seconds pass as before, and instants are those of the machine."""
    reactor: Any = SelectReactor()
    make_steady(reactor)
    begun_s, heard_ms = reactor.seconds(), steady_ms(reactor)
    begun_at_s = now_s(reactor)
    assert abs(begun_at_s - time()) < 60
    reactor.wall = lambda: time() - 3600
    assert 0 <= reactor.seconds() - begun_s < 60
    assert now_s(reactor) < begun_at_s - 3000
    assert abs(instant_ms(reactor, heard_ms) - now_ms(reactor)) < 60_000


def test_a_clock_of_another_kind() -> None:
    """A clock that goes by no machine stays as it is, and has but one time."""
    other: Any = Clock()
    make_steady(other)
    other.advance(1.5)
    assert (now_ms(other), steady_ms(other), instant_ms(other, 500)) == (1500, 1500, 500)
