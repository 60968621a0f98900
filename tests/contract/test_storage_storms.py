"""Connections and boots of one batch, as after an outage: what most of them need not ask for is asked for once."""

from __future__ import annotations

import json
from typing import Any

import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from ocppd.storage.records import CallEnd, EventFilter, MessageFilter, MessageState
from ocppd.storage.records.configuration import DesiredState
from ocppd.storage.sql_storage import SqlStorage
from support.holding import held
from support.storing import NOON_MS, boot, call, inbound

ensure = pytest_twisted.ensureDeferred


def ended(storage: SqlStorage, message_id: str, action: str, request: Any, answer: Any) -> list[Deferred[Any]]:
    """A call of ours with its end, in the batch that gathers."""
    frame = json.dumps([2, message_id, action, request])
    state = MessageState.ERROR if isinstance(answer, list) else MessageState.COMPLETED
    outcome, text = (
        (answer[0], json.dumps([4, message_id, *answer]))
        if state is MessageState.ERROR
        else (answer["status"], json.dumps([3, message_id, answer]))
    )
    return [
        storage.call_created(call(message_id, action=action, frame=frame, redacted=frame), 1),
        storage.call_ended(CallEnd(message_id, state, NOON_MS, outcome, text)),
    ]


@ensure
async def test_numbers_in_the_order_of_what_happened(storage: SqlStorage) -> None:
    """Connections and boots of a batch have numbers that are theirs alone, in their order; a disconnection too."""
    release = held(storage)
    waiting: list[Deferred[Any]] = []
    for name in ("CP1", "CP2", "CP3"):
        waiting.append(storage.charger_connected(name, "127.0.0.1", NOON_MS))
        waiting.append(storage.charger_booted(inbound("BootNotification", charger=name), boot()))
    waiting.append(storage.charger_disconnected("CP1", 1, NOON_MS + 1))
    release.set()
    await gatherResults(waiting)
    events = (await storage.events_after(0, (), 50)).events
    happened = [(event.kind, event.charger) for event in events]
    connected, booted = "chargerConnected", "BootNotification"
    told = [("CP1", connected), ("CP1", booted), ("CP2", connected), ("CP2", booted), ("CP3", connected), ("CP3", booted)]
    assert [(charger, kind if kind == connected else booted) for kind, charger in happened[:6]] == told
    assert happened[6] == ("chargerDisconnected", "CP1")
    numbers = [event.sequence for event in events]
    assert numbers == sorted(set(numbers))
    assert len(await storage.list_messages(MessageFilter(), None, 50)) == 3


@ensure
async def test_what_a_connection_finds(storage: SqlStorage) -> None:
    """S-6: a call that was queued in the same batch is found by the connection behind it, or ends with it."""
    release = held(storage)
    accepted = [storage.call_accepted(call(name, waits=name == "waits"), 9, lambda _: True) for name in ("waits", "ends")]
    elsewhere = storage.charger_connected("CP2", "", NOON_MS)
    first = storage.charger_connected("CP1", "", NOON_MS)
    again = storage.call_accepted(call("later", waits=False), 9, lambda _: True)
    gone = storage.charger_disconnected("CP1", 1, NOON_MS + 1)
    release.set()
    await gatherResults([*accepted, again])
    found = await first
    assert [each.message_id for each in found.queued] == ["waits"]
    assert [each.message_id for each in found.dropped] == ["ends"]
    assert [each.message_id for each in await gone] == ["later"]
    other = await elsewhere
    assert (other.queued, other.dropped) == ((), ())


@ensure
async def test_what_a_boot_finds(storage: SqlStorage) -> None:
    """OP-04, E-3, B-2: what waits for a boot, is refused until one, or is told by one, also where it is of the same batch."""
    await storage.configuration.wish("CP1", "Colour", "blue", None, NOON_MS)
    release = held(storage)
    waiting = [storage.charger_connected("CP1", "", NOON_MS), storage.charger_booted(inbound("BootNotification"), boot())]
    waiting += ended(storage, "change", "ChangeConfiguration", {"key": "Colour", "value": "blue"}, {"status": "RebootRequired"})
    waiting += ended(storage, "refused", "GetLog", {}, ["NotImplemented", "", {}])
    waiting += ended(storage, "reset", "Reset", {"type": "Soft"}, {"status": "Accepted"})
    waiting.append(storage.charger_connected("CP1", "", NOON_MS + 1))
    second = inbound("BootNotification", received_ms=NOON_MS + 2)
    waiting.append(storage.charger_booted(second, boot(firmware_version="1.1", serial_number="7")))
    waiting.append(storage.charger_booted(inbound("BootNotification"), boot(firmware_version="1.2", serial_number="8")))
    release.set()
    await gatherResults(waiting)
    colour = await storage.configuration.read_key("CP1", "Colour")
    assert colour is not None and (colour.desired_state, colour.reboot_ms) == (DesiredState.ACCEPTED, None)
    assert (await storage.configuration.read("CP1")).refused == ()
    ((follow_up,),) = (await storage.follow_ups.of_messages(["reset"])).values()
    assert (follow_up.state, follow_up.decided_ms) == ("seen", NOON_MS + 2)
    events = await storage.list_events(EventFilter(charger="CP1"), None, 50)
    changes = [event.members for event in reversed(events) if event.kind in ("firmwareChanged", "serialNumberChanged")]
    assert changes == [
        {"before": "1.0", "after": "1.1"},
        {"before": "7", "after": "8"},
        {"before": "1.1", "after": "1.2"},
    ]
