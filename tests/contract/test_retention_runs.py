"""Runs of the removal of old records, over every storage, by a clock of the test."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from ocppd.central.retention import LOOK_S, Retention
from ocppd.config import Configuration, RetentionSettings
from ocppd.storage.records import MessageFilter
from ocppd.storage.records.retention import Kind
from ocppd.storage.retention_records import SqlRetention
from ocppd.storage.sql_storage import SqlStorage
from support.storing import MINUTE_MS, NOON_MS, call, inbound

ensure = pytest_twisted.ensureDeferred
DAY_MS = 24 * 60 * MINUTE_MS
DAYS = 90


class Runs:
    """The removal by one node, its clock, and what it has logged."""

    def __init__(self, storage: SqlStorage, node: str = "this", days: int | None = DAYS) -> None:
        self.clock = Clock()
        self.clock.advance(NOON_MS / 1000)
        self.settings = RetentionSettings(messages_days=days)
        self.retention = Retention(SqlRetention(storage, node), self.clock, lambda: Configuration(retention=self.settings))

    async def pump(self, seconds: float = 0.0) -> int:
        """Some time passes, then all is done that is to be done; in how many steps."""
        self.clock.advance(seconds)
        steps = 0
        while (pumped := self.retention.pump()) is not None:
            await pumped
            steps += 1
        return steps


async def received(storage: SqlStorage, *ages_days: float) -> None:
    """Messages that are so old at the begin."""
    for age in ages_days:
        await storage.message_received(inbound(received_ms=NOON_MS - int(age * DAY_MS)))


async def count(storage: SqlStorage) -> int:
    """Messages that are there."""
    return len(await storage.list_messages(MessageFilter(), None, 1000))


@ensure
async def test_a_run(storage: SqlStorage) -> None:
    """All that is old goes, is logged once, and the next run waits for an hour."""
    lines: list[str] = []

    def observe(event: object) -> None:
        lines.append(formatEvent(event))  # type: ignore[arg-type]

    globalLogPublisher.addObserver(observe)
    try:
        await received(storage, *[91.0] * 120, 89.9, 1.0)
        runs = Runs(storage)
        assert await runs.pump() > 3, "several portions"
        assert await count(storage) == 2
        assert [line for line in lines if "old records" in line] == ["old records removed in 0 s: messages: 120"]
        assert await storage.retention.removed() == {Kind.MESSAGES: 120, Kind.EVENTS: 0}
        assert await runs.pump(LOOK_S) == 1, "it is nobody's turn"
        runs.clock.advance(DAY_MS / 1000)
        assert await runs.pump() == 1
        assert len([line for line in lines if "old records" in line]) == 1
    finally:
        globalLogPublisher.removeObserver(observe)


@ensure
async def test_nothing_is_asked_where_all_is_kept(storage: SqlStorage) -> None:
    """Without settings nothing goes; a new configuration holds at once, also after a run."""
    await received(storage, 91.0, 50.0, 1.0)
    runs = Runs(storage, days=None)
    assert await runs.pump() == 0
    runs.settings = RetentionSettings(messages_days=DAYS)
    assert await runs.pump() > 0
    assert await count(storage) == 2


@ensure
async def test_another_node_goes_on(storage: SqlStorage) -> None:
    """A run that ends in its middle is gone on with by another node, once its turn is over."""
    await received(storage, *[91.0] * 120, 1.0)
    one, other = Runs(storage, "one"), Runs(storage, "other")
    for _ in range(2):
        pumped = one.retention.pump()
        assert pumped is not None
        await pumped
    left = await count(storage)
    assert 1 < left < 121
    assert await other.pump() == 1, "it sees that another one is at it"
    assert await count(storage) == left
    await SqlRetention(storage, "one").rest(0)
    assert await other.pump(LOOK_S) > 1
    assert await count(storage) == 1
    assert (await storage.retention.removed())[Kind.MESSAGES] == 120
    assert await one.pump() <= 1, "it has lost its turn"


@ensure
async def test_what_could_not_go_goes_later(storage: SqlStorage) -> None:
    """A call that waits is passed by, and goes with a run after its end; a configuration that is new begins a run."""
    old_ms = NOON_MS - 100 * DAY_MS
    await storage.call_accepted(call("c1", created_ms=old_ms, expires_ms=old_ms + DAY_MS), 10, lambda _: True)
    await received(storage, 91.0, 1.0)
    runs = Runs(storage)
    await runs.pump()
    assert [record.state.value for record in await storage.list_messages(MessageFilter(), None, 10)] == ["completed", "queued"]
    await storage.calls_expired(NOON_MS)
    runs.settings = RetentionSettings(messages_days=DAYS - 1)
    await runs.pump()
    assert [record.state.value for record in await storage.list_messages(MessageFilter(), None, 10)] == ["completed"]
