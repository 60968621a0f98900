"""Chargers and connectors, over every storage."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pytest_twisted

from ocppd.storage.records import ChargerRecord, ConnectedCharger, ConnectorRecord
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.types import RegistrationStatus
from support.storing import NOON_MS, boot, inbound, start, status, stop


async def read(storage: SqlStorage, name: str = "CP1") -> ChargerRecord:
    """A charger that is there."""
    return (await storage.read_chargers([name]))[name]


@pytest_twisted.ensureDeferred
async def test_every_connection_has_a_greater_generation(storage: SqlStorage) -> None:
    """Generations rise per charger, beginning with 1 (C-2)."""
    assert await storage.charger_connected("CP1", "::1", NOON_MS) == ConnectedCharger(1, None, ())
    assert (await storage.charger_connected("CP1", "::1", NOON_MS)).generation == 2
    assert (await storage.charger_connected("CP2", "::1", NOON_MS)).generation == 1
    assert (await storage.charger_connected("CP1", "::1", NOON_MS)).generation == 3


@pytest_twisted.ensureDeferred
async def test_registration_survives_a_reconnect(storage: SqlStorage) -> None:
    """A charger that booted is registered on its next connection without a boot (R-3)."""
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.charger_booted(inbound("BootNotification"), boot(registration=RegistrationStatus.PENDING))
    connected = await storage.charger_connected("CP1", "::1", NOON_MS)
    assert (connected.generation, connected.registration) == (2, RegistrationStatus.PENDING)


@pytest_twisted.ensureDeferred
async def test_a_boot_is_recorded_whole(storage: SqlStorage) -> None:
    """The newest boot is what is known of a charger; its message is journaled."""
    await storage.charger_connected("CP1", "::1", NOON_MS - 5)
    assert await read(storage) == ChargerRecord("CP1", 1, None, "::1", NOON_MS - 5, None, None, NOON_MS - 5, None)
    await storage.charger_booted(inbound("BootNotification"), boot(iccid="1", firmware_version="0.9"))
    newest = boot(serial_number="S", meter_type="M", registration=RegistrationStatus.REJECTED, interval_s=60)
    message = inbound("BootNotification", received_ms=NOON_MS + 1)
    sequence = await storage.charger_booted(message, newest)
    rejected = RegistrationStatus.REJECTED
    assert await read(storage) == ChargerRecord("CP1", 1, None, "::1", NOON_MS - 5, rejected, NOON_MS + 1, NOON_MS - 5, newest)
    journaled = await storage.read_message(message.message_id)
    assert journaled is not None
    assert journaled.sequence == sequence


@pytest_twisted.ensureDeferred
async def test_a_boot_without_a_connection_is_recorded(storage: SqlStorage) -> None:
    """A boot is enough to know a charger, and the next generation is above that of the boot."""
    await storage.charger_booted(inbound("BootNotification", generation=7), boot())
    assert (await read(storage)).boot == boot()
    assert (await storage.charger_connected("CP1", "::1", NOON_MS)).generation == 8


@pytest_twisted.ensureDeferred
async def test_a_registration_is_amended(storage: SqlStorage) -> None:
    """The verdict of a user's handler replaces ours, but never that of a later boot."""
    first = await storage.charger_booted(inbound("BootNotification"), boot())
    await storage.registration_amended(first, "[3,first]", RegistrationStatus.PENDING, 30)
    known = (await read(storage)).boot
    assert known == boot(registration=RegistrationStatus.PENDING, interval_s=30)
    await storage.charger_booted(inbound("BootNotification"), boot())
    await storage.registration_amended(first, "[3,late]", RegistrationStatus.REJECTED, 10)
    assert (await read(storage)).registration is RegistrationStatus.ACCEPTED


@pytest_twisted.ensureDeferred
async def test_when_a_charger_was_last_seen(storage: SqlStorage) -> None:
    """The end of a connection says when its charger was last heard of; an older generation changes nothing (C-2)."""
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.charger_disconnected("CP1", 1, NOON_MS + 9)
    assert (await read(storage)).last_seen_ms == NOON_MS
    await storage.charger_disconnected("CP1", 2, NOON_MS + 5)
    await storage.charger_disconnected("CP2", 1, NOON_MS + 4)
    assert (await read(storage)).last_seen_ms == NOON_MS + 5


@pytest_twisted.ensureDeferred
async def test_the_status_that_arrives_last_is_current(storage: SqlStorage) -> None:
    """A connector is as its last message says, whatever the charger's clock; the history keeps all (N-1)."""
    fault = status(1, "Faulted", error_code="GroundFailure", info="i", vendor_id="v", vendor_error_code="e")
    old = status(1, "Available", timestamp_ms=NOON_MS - 1000)
    await storage.status_notified(inbound("StatusNotification"), fault)
    message = inbound("StatusNotification", received_ms=NOON_MS + 1)
    sequence = await storage.status_notified(message, old)
    await storage.status_notified(inbound("StatusNotification"), status(2, "Charging"))
    found = (await storage.read_connectors(["CP1"]))["CP1"]
    current = ("CP1", 1, "Available", "NoError", None, None, None, NOON_MS - 1000, NOON_MS + 1, None)
    assert found[0] == ConnectorRecord(*current, previous="Faulted")
    assert [connector.connector_id for connector in found] == [1, 2]
    history = await storage.list_statuses("CP1", 1, None, 10)
    assert [record.status for record in history] == [old, fault]
    assert history[0].sequence == sequence
    assert (await storage.list_statuses("CP1", 1, sequence, 10))[0].status == fault
    assert len(await storage.list_statuses("CP1", 1, None, 1)) == 1
    assert await storage.list_statuses("CP2", 1, None, 10) == []


@pytest_twisted.ensureDeferred
async def test_what_an_older_connection_tells_last_is_history(
    postgresql_url: str, open_node: Callable[[str, str], SqlStorage]
) -> None:
    """A node that stood still records what it had received before its charger went elsewhere: that is shown no longer than it
    holds the older connection.
    """
    old, new = open_node(postgresql_url, "old#1"), open_node(postgresql_url, "new#1")
    told = (
        *((old, 1, 1, "Available", "NoError"), (old, 1, 2, "Faulted", "GroundFailure")),
        *((new, 2, 1, "Finishing", "GroundFailure"), (old, 1, 1, "Charging", "NoError")),
    )
    for node, generation, connector_id, text, error in told:
        if text in ("Available", "Finishing"):
            await node.charger_connected("CP1", "::1", NOON_MS)
        message = inbound("StatusNotification", generation=generation)
        await node.status_notified(message, status(connector_id, text, error_code=error))
    await old.charger_disconnected("CP1", 1, NOON_MS)
    first, second = (await new.read_connectors(["CP1"]))["CP1"]
    assert (first.status, first.error_code, first.warnings) == ("Finishing", "GroundFailure", " GroundFailure ")
    assert (second.status, second.error_code) == ("Faulted", "GroundFailure")
    history = [each.status.status for each in await new.list_statuses("CP1", 1, None, 10)]
    assert history == ["Charging", "Finishing", "Available"]


@pytest.mark.parametrize("comes_back", [False, True])
@pytest_twisted.ensureDeferred
async def test_what_an_older_connection_tells_last_when_the_newer_one_has_ended(
    postgresql_url: str, open_node: Callable[[str, str], SqlStorage], comes_back: bool
) -> None:
    """It is history as well where the newer connection to another node is over by then, or has led back to the first one."""
    old, new = open_node(postgresql_url, "old#1"), open_node(postgresql_url, "new#1")
    for node in (old, new):
        await node.charger_connected("CP1", "::1", NOON_MS)
    await new.status_notified(inbound("StatusNotification", generation=2), status(1, "Faulted"))
    await new.charger_disconnected("CP1", 2, NOON_MS)
    await old.status_notified(inbound("StatusNotification", generation=1), status(1, "Charging"))
    if comes_back:
        await old.charger_connected("CP1", "::1", NOON_MS)
    await old.charger_disconnected("CP1", 1, NOON_MS)
    [shown] = (await new.read_connectors(["CP1"]))["CP1"]
    assert shown.status == "Faulted"


@pytest_twisted.ensureDeferred
async def test_numbers_that_no_connector_has(storage: SqlStorage) -> None:
    """A status of a number that no charger counts to is on record, and makes no connector (G-8)."""
    numbers = (-1, 0, 999, 1000, 2**31 - 1)
    for number in numbers:
        await storage.status_notified(inbound("StatusNotification"), status(number))
    shown = (await storage.read_connectors(["CP1"]))["CP1"]
    assert [connector.connector_id for connector in shown] == [0, 999]
    assert [len(await storage.list_statuses("CP1", number, None, 9)) for number in numbers] == [1] * len(numbers)


@pytest_twisted.ensureDeferred
async def test_a_connector_shows_its_open_transaction(storage: SqlStorage) -> None:
    """While a transaction is open its connector names it; other connectors and chargers do not."""
    for charger in ("CP1", "CP2"):
        for connector_id in (0, 1, 2):
            await storage.status_notified(inbound("StatusNotification", charger), status(connector_id))
    started = await storage.transaction_started(inbound("StartTransaction"), start(1))

    async def shown() -> list[int | None]:
        found = await storage.read_connectors(["CP2", "CP1", "CP3"])
        assert list(found) == ["CP1", "CP2"]
        return [connector.transaction_id for charger in ("CP1", "CP2") for connector in found[charger]]

    assert await shown() == [None, started.transaction_id, None, None, None, None]
    await storage.transaction_stopped(inbound("StopTransaction"), stop(started.transaction_id))
    assert await shown() == [None] * 6


@pytest_twisted.ensureDeferred
async def test_many_chargers_are_read_at_once(storage: SqlStorage) -> None:
    """The number of names has no limit of the database's; the unknown are left out."""
    await storage.charger_connected("CP1", "::1", NOON_MS)
    await storage.status_notified(inbound("StatusNotification"), status())
    names = [f"CP{number}" for number in range(40_000)]
    assert list(await storage.read_chargers(names)) == ["CP1"]
    assert list(await storage.read_connectors(names)) == ["CP1"]
    assert await storage.read_chargers([]) == {}
    assert await storage.read_connectors([]) == {}
