"""What is found by charger in SQLite, before it is filed and after."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import gatherResults

from ocppd.storage import filing
from ocppd.storage.follow_ups import came_since
from ocppd.storage.records import EventFilter, MessageFilter, MeterValueFilter, Status
from ocppd.storage.records.follow_ups import ANYWHERE
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Unit
from support.storing import NOON_MS, element, inbound

pytestmark = pytest.mark.parametrize("url", ["file"], indirect=True)

CHARGERS = ("CP1", "CP2", "CP3")
TABLES = ("messages", "statuses", "meter_values")


async def fill(storage: SqlStorage) -> None:
    """Some statuses and meter values of each charger, in turn."""
    for number in range(5):
        for charger in CHARGERS:
            status = Status(1, "Available", "NoError", f"n{number}", None, None, NOON_MS + number)
            await storage.status_notified(inbound("StatusNotification", charger), status)
            values = (element(NOON_MS + number * 1000),)
            await storage.meter_values_received(inbound("MeterValues", charger), 1, None, values)


async def shown(storage: SqlStorage) -> list[Any]:
    """All that is listed by charger, page by page."""
    found: list[Any] = []
    for charger in CHARGERS:
        after: int | None = None
        while page := await storage.list_messages(MessageFilter(charger=charger), after, 3):
            found += page
            after = page[-1].sequence
        found += await storage.list_events(EventFilter(charger=charger), None, 100)
        found += await storage.list_statuses(charger, 1, None, 3) + await storage.list_statuses(charger, 1, 20, 100)
        found += await storage.list_meter_values(MeterValueFilter(charger=charger, connector_id=1), None, 100)
    return found


def filed(unit: Unit) -> list[int]:
    """How many rows of each table are filed."""
    return [unit.connection.exec_driver_sql(f"SELECT count(*) FROM filed_{name}").scalar() or 0 for name in TABLES]


def remove(unit: Unit) -> None:
    """Remove every row of a charger."""
    for name in TABLES:
        unit.connection.exec_driver_sql(f"DELETE FROM {name} WHERE charger = 'CP2'")


@pytest_twisted.ensureDeferred
async def test_lists_are_the_same_before_and_after(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether none, some or all rows are filed, each list has all of them, in order, each once."""
    monkeypatch.setattr(filing, "PORTION", 7)
    await fill(storage)
    before = await shown(storage)
    assert await storage.read(filed) == [0, 0, 0]
    assert len([each for each in before if getattr(each, "message_id", None)]) == 30
    portions = 0
    more = True
    while more:
        more = await storage.write(filing.file)
        portions += 1
        assert await shown(storage) == before
    assert portions == 5
    assert await storage.read(filed) == [30, 15, 15]
    assert await storage.write(filing.file) is False


@pytest_twisted.ensureDeferred
async def test_what_is_removed_is_not_found(storage: SqlStorage) -> None:
    """A row that goes takes its entry with it, and one that is not filed yet needs none."""
    await fill(storage)
    await storage.write(filing.file)
    await storage.message_received(inbound("FirmwareStatusNotification", "CP2"))
    await storage.write(remove)
    assert await storage.read(filed) == [20, 10, 10]
    assert await storage.list_messages(MessageFilter(charger="CP2"), None, 10) == []
    assert len(await storage.list_messages(MessageFilter(charger="CP1"), None, 100)) == 10


@pytest_twisted.ensureDeferred
async def test_what_followed_a_call_is_found_among_many(storage: SqlStorage) -> None:
    """What came of a charger since a call is sought among its own messages, however many others have sent meanwhile."""
    since = await storage.message_received(inbound("BootNotification", "CP1"))
    await gatherResults([storage.message_received(inbound("BootNotification", f"CP{number}")) for number in range(2, 3000)])
    await storage.write(filing.file)
    asked = ("BootNotification", ANYWHERE)

    def found(unit: Unit, charger: str, sequence: int) -> tuple[int | None, int]:
        """When it came, and what that took of the database: thousands of its steps."""
        steps: list[None] = []
        driver: Any = unit.connection.connection.driver_connection
        driver.set_progress_handler(lambda: steps.append(None), 1000)
        came_ms = came_since(unit, charger, *asked, sequence, NOON_MS)
        driver.set_progress_handler(None, 0)
        return came_ms, len(steps)

    assert await storage.write(found, "CP1", since) == (None, 0)
    assert await storage.write(found, "CP1", since - 1) == (NOON_MS, 0)
    await storage.message_received(inbound("BootNotification", "CP1"))
    assert await storage.write(found, "CP1", since) == (NOON_MS, 0), "it is not filed yet"
    assert await storage.write(filing.file) is False
    assert await storage.write(found, "CP1", since) == (NOON_MS, 0)


@pytest_twisted.ensureDeferred
async def test_it_is_filed_by_itself(url: str) -> None:
    """After so many use cases, and once more at the next start, all that was written is filed."""
    from twisted.internet import reactor

    storage = SqlStorage(url, reactor, file_every=10)
    storage.start()
    await fill(storage)
    await storage.check()
    assert (await storage.read(filed))[0] >= 20
    await storage.stop()
    storage = SqlStorage(url, reactor)
    storage.start()
    await storage.check()
    assert await storage.read(filed) == [30, 15, 15]
    await storage.stop()
