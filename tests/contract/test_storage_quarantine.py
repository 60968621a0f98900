"""The contract of the quarantine, and of what the records know of salvaged messages, on every database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest_twisted

from ocppd.storage.quarantine import BYTES_LIMIT, FORGOTTEN_AT_ONCE, FRAMES_LIMIT
from ocppd.storage.records import MeterValueElement, Product
from ocppd.storage.records.quarantine import Quarantined, QuarantineFilter, QuarantineState, Tally, Treatment
from ocppd.storage.sql_storage import SqlStorage
from support.storing import MINUTE_MS, NOON_MS, boot, inbound, start, stop

ensure = pytest_twisted.ensureDeferred


def frame(number: int = 0, **members: Any) -> Quarantined:
    """A frame in quarantine."""
    defaults: dict[str, Any] = {
        "charger": "CP1",
        "kinds": ("null",),
        "action": "StatusNotification",
        "treatment": Treatment.MENDED,
        "received_ms": NOON_MS + number,
        "frame": f'[2,"{number}","StatusNotification",{{}}]',
        "faults": "[]",
        "firmware": "1.0",
    }
    return Quarantined(**defaults | members)


@ensure
async def test_frames_of_durable_messages(storage: SqlStorage) -> None:
    """E-1, G-12: the raw frame is kept in the commit of its message, with the number of its journal entry; NUL is no obstacle."""
    kept = frame(kinds=("null", "clean"), frame='["\x00\ud800"]', cut=True)
    sequence = await storage.message_received(inbound("StatusNotification", quarantine=kept))
    [record] = await storage.quarantine.list_frames(QuarantineFilter(), None, 10)
    assert record.message == sequence
    assert record.quarantined == replace(kept, frame='["\ufffd\ufffd"]')
    started = await storage.transaction_started(inbound("StartTransaction", quarantine=frame(1)), start())
    values = inbound("MeterValues", quarantine=frame(2))
    numbers = [started.sequence, await storage.meter_values_received(values, 1, None, ())]
    records = await storage.quarantine.list_frames(QuarantineFilter(charger="CP1"), None, 2)
    assert [each.message for each in records] == numbers[::-1]


@ensure
async def test_filters_and_pages(storage: SqlStorage) -> None:
    """Frames are listed newest first, by charger, kind, action, treatment and time; a kind is compared as a whole."""
    frames = [
        frame(0),
        frame(1, kinds=("null-x", "blank"), action="Authorize"),
        frame(2, charger="CP2", treatment=Treatment.REFUSED),
        frame(3, kinds=("a%", "null_"), treatment=Treatment.IGNORED),
    ]
    await storage.quarantine.noted((), frames)

    async def found(after: int | None = None, limit: int = 10, **which: Any) -> list[int]:
        rows = await storage.quarantine.list_frames(QuarantineFilter(**which), after, limit)
        return [row.quarantined.received_ms - NOON_MS for row in rows]

    assert await found() == [3, 2, 1, 0]
    assert await found(charger="CP1") == [3, 1, 0]
    assert await found(kind="null") == [2, 0]
    assert await found(kind="null_") == [3]
    assert await found(kind="%") == []
    assert await found(action="Authorize") == [1]
    assert await found(treatment=Treatment.REFUSED) == [2]
    assert await found(since_ms=NOON_MS + 1, until_ms=NOON_MS + 3) == [2, 1]
    [newest] = await storage.quarantine.list_frames(QuarantineFilter(), None, 1)
    assert await found(after=newest.number, limit=2) == [2, 1]


@ensure
async def test_the_oldest_make_room(storage: SqlStorage) -> None:
    """Each charger has so many frames and bytes; what makes room is counted, and the newest is always kept."""
    await storage.quarantine.noted((), [frame(number) for number in range(FRAMES_LIMIT)])
    await storage.quarantine.noted((), [frame(1, charger="CP2")])
    assert (await storage.quarantine.state("CP1")).forgotten == 0
    await storage.quarantine.noted((), [frame(FRAMES_LIMIT)])
    state = await storage.quarantine.state("CP1")
    assert (state.frames, state.forgotten) == (FRAMES_LIMIT + 1 - FORGOTTEN_AT_ONCE, FORGOTTEN_AT_ONCE)
    rows = await storage.quarantine.list_frames(QuarantineFilter(charger="CP1"), None, 500)
    assert [row.quarantined.received_ms - NOON_MS for row in rows] == list(range(FRAMES_LIMIT, FORGOTTEN_AT_ONCE - 1, -1))
    await storage.quarantine.noted((), [frame(FRAMES_LIMIT + 1, frame="x" * (BYTES_LIMIT + 1))])
    state = await storage.quarantine.state("CP1")
    assert (state.frames, state.forgotten) == (1, FRAMES_LIMIT + 1)
    assert (await storage.quarantine.state("CP2")) == QuarantineState(1, state_size(frame(1)), 0)


def state_size(kept: Quarantined) -> int:
    """What a frame counts for."""
    return len(kept.frame) + len(kept.faults)


@ensure
async def test_counts(storage: SqlStorage) -> None:
    """Counts of a deviation add up per firmware, with the first time and the last; clearing is per charger."""
    one = Tally("CP1", "null", "1.0", 2, NOON_MS, NOON_MS + 5, "/info")
    await storage.quarantine.noted([one, replace(one, firmware="2.0"), replace(one, charger="CP2")], [frame()])
    await storage.quarantine.noted([replace(one, count=3, first_ms=NOON_MS + 9, last_ms=NOON_MS + 9, detail="/x")], [])
    expected = [replace(one, count=5, last_ms=NOON_MS + 9, detail="/x"), replace(one, firmware="2.0")]
    assert await storage.quarantine.tallies("CP1") == expected
    assert await storage.quarantine.forget("CP1") == 2
    assert await storage.quarantine.tallies("CP1") == []
    assert len(await storage.quarantine.tallies("CP2")) == 1
    assert await storage.quarantine.clear("CP2") == 0
    assert await storage.quarantine.clear("CP1") == 1
    assert await storage.quarantine.state("CP1") == QuarantineState(0, 0, 0)


@ensure
async def test_starts_without_a_register(storage: SqlStorage) -> None:
    """E-1, T-25: nothing known gives no energy; then the last stop's register is taken; a repeat finds its start (T-3)."""
    missing: dict[str, Any] = {"meter_start_wh": 0, "flags": ("meterStartMissing",), "meter_missing": True}
    first = await storage.transaction_started(inbound("StartTransaction"), start(**missing))
    await storage.transaction_stopped(inbound("StopTransaction"), stop(first.transaction_id, meter_stop_wh=700))
    record = await storage.read_transaction(first.transaction_id)
    assert record is not None
    assert (record.energy_wh, record.flags) == (None, ("meterStartMissing",))
    later = {**missing, "timestamp_ms": NOON_MS + 9 * MINUTE_MS}
    second = await storage.transaction_started(inbound("StartTransaction"), start(**later))
    ended = {"meter_stop_wh": 1700, "timestamp_ms": NOON_MS + 10 * MINUTE_MS}
    await storage.transaction_stopped(inbound("StopTransaction"), stop(second.transaction_id, **ended))
    again = await storage.transaction_started(inbound("StartTransaction"), start(**later))
    assert (again.transaction_id, again.repeated) == (second.transaction_id, True)
    record = await storage.read_transaction(second.transaction_id)
    assert record is not None
    assert (record.meter_start_wh, record.energy_wh, record.flags) == (700, 1000, ("meterStartAssumed",))
    elsewhere = await storage.transaction_started(inbound("StartTransaction"), start(2, **later))
    record = await storage.read_transaction(elsewhere.transaction_id)
    assert record is not None
    assert record.flags == ("meterStartMissing",)


@ensure
async def test_stops_without_a_register(storage: SqlStorage) -> None:
    """E-1, T-25: the newest sampled register is taken; without any there is no energy; a repeat changes nothing (T-23)."""

    def register(texts: list[str]) -> int | None:
        return next((int(text) for text in texts if text.isdigit()), None)

    missing: dict[str, Any] = {
        "meter_stop_wh": 0,
        "flags": ("meterStopMissing",),
        "meter_missing": True,
        "register_of": register,
    }
    first = await storage.transaction_started(inbound("StartTransaction"), start())
    values = tuple(MeterValueElement(NOON_MS + at, text) for at, text in ((3, "1300"), (9, "none"), (7, "1700")))
    await storage.meter_values_received(inbound("MeterValues"), 1, first.transaction_id, values)
    stopped = await storage.transaction_stopped(inbound("StopTransaction"), stop(first.transaction_id, **missing))
    record = await storage.read_transaction(first.transaction_id)
    assert record is not None
    assert (record.meter_stop_wh, record.energy_wh, record.flags) == (1700, 700, ("meterStopAssumed",))
    again = await storage.transaction_stopped(inbound("StopTransaction"), stop(first.transaction_id, **missing))
    assert (stopped.outcome, again.outcome) == ("stopped", "repeated")
    second = await storage.transaction_started(inbound("StartTransaction"), start(2))
    own = {**missing, "elements": (MeterValueElement(NOON_MS, "1900"),)}
    await storage.transaction_stopped(inbound("StopTransaction"), stop(second.transaction_id, **own))
    third = await storage.transaction_started(inbound("StartTransaction"), start(3))
    await storage.transaction_stopped(inbound("StopTransaction"), stop(third.transaction_id, **missing))
    energies = [await storage.read_transaction(each.transaction_id) for each in (second, third)]
    assert [each and (each.energy_wh, each.flags) for each in energies] == [
        (900, ("meterStopAssumed",)),
        (None, ("meterStopMissing",)),
    ]


@ensure
async def test_products(storage: SqlStorage) -> None:
    """B-2: what a charger said it is at its last boot is known when it connects again."""
    assert (await storage.charger_connected("CP1", "::1", NOON_MS)).product == Product()
    await storage.charger_booted(inbound("BootNotification"), boot())
    assert (await storage.charger_connected("CP1", "::1", NOON_MS)).product == Product("Acme", "One", "1.0")
