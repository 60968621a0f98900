"""The configuration mirror, over every storage: what chargers tell, what is desired of them, when they are to be read."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from ocppd.storage.configuration import SETTLING_MS, UNSENT_MS
from ocppd.storage.configuration_readings import ATTEMPTS, PATIENCE_MS
from ocppd.storage.records import CallEnd, EventFilter, MessageState, RemoteStart
from ocppd.storage.records.configuration import DesiredState, KeyRecord, RefusedAction, Source, Wished
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.types import RegistrationStatus
from support import postgresql
from support.storing import NOON_MS, boot, call, inbound, start

ensure = pytest_twisted.ensureDeferred
STATE = DesiredState
EVERYTHING = EventFilter()
COMPLETED = MessageState.COMPLETED
_ids = count(1)


async def ended(
    storage: SqlStorage,
    action: str,
    request: Any,
    answer: Any,
    *,
    state: MessageState = MessageState.COMPLETED,
    at: int = NOON_MS,
) -> None:
    """A call of ours was sent, and has ended; a list as the answer is a CALLERROR, None no answer."""
    message_id = f"e{next(_ids)}"
    frame = json.dumps([2, message_id, action, request])
    await storage.call_created(call(message_id, action=action, frame=frame, redacted=frame), None)
    if isinstance(answer, list):
        text, outcome = json.dumps([4, message_id, *answer]), answer[0]
    else:
        text, outcome = (None, None) if answer is None else (json.dumps([3, message_id, answer]), answer.get("status"))
    await storage.call_ended(CallEnd(message_id, state, at, outcome, text))


async def tells(storage: SqlStorage, *entries: Any, unknown: Any = (), asked: Any = (), at: int = NOON_MS) -> None:
    """The charger answers a GetConfiguration: each entry is a key with its value, or without one."""
    keys = [{"key": key, "readonly": False, **({} if value is None else {"value": value})} for key, value in entries]
    await ended(storage, "GetConfiguration", {"key": list(asked)}, {"configurationKey": keys, "unknownKey": list(unknown)}, at=at)


async def changes(storage: SqlStorage, key: str, value: str, answer: Any, **how: Any) -> None:
    """The charger answers a ChangeConfiguration."""
    answer = {"status": answer} if isinstance(answer, str) else answer
    await ended(storage, "ChangeConfiguration", {"key": key, "value": value}, answer, **how)


async def key_of(storage: SqlStorage, name: str) -> KeyRecord:
    """A key that is there."""
    found = await storage.configuration.read_key("CP1", name)
    assert found is not None
    return found


async def state_of(storage: SqlStorage, name: str) -> Any:
    """What became of the desired value."""
    return (await key_of(storage, name)).desired_state


@ensure
async def test_what_a_charger_tells_is_kept(storage: SqlStorage) -> None:
    """OP-01, OP-03, G-3, Z-8: values by key in whatever case; absent ones are not set; a partial answer deletes nothing;
    secrets are not kept; a NUL and what comes twice do no harm."""
    many = [(f"Key{number:02}", str(number)) for number in range(60)]
    await tells(storage, *many, ("HeartbeatInterval", "300"), ("AuthorizationKey", "S3CRET"), ("AdminPassword", "hunter2"))
    assert len((await storage.configuration.read("CP1")).keys) == 63
    await tells(
        storage,
        ("HEARTBEATINTERVAL", None),
        ("key00", "a\0b"),
        ("key00", "last"),
        unknown=["Nothing"],
        asked=["x"],
        at=NOON_MS + 1,
    )
    mirrored = await storage.configuration.read("CP1")
    assert (len(mirrored.keys), mirrored.read_ms) == (64, NOON_MS)
    found = {key.key: key for key in mirrored.keys}
    beat = found["heartbeatinterval"]
    assert (beat.name, beat.value, beat.number, beat.told_ms) == ("HEARTBEATINTERVAL", None, None, NOON_MS + 1)
    assert (found["key00"].value, found["key01"].value, found["key01"].told_ms) == ("last", "1", NOON_MS)
    assert found["nothing"].unknown and found["nothing"].source is Source.GET
    assert {found["authorizationkey"].value, found["adminpassword"].value} == {None}
    assert "S3CRET" not in repr(mirrored) and "hunter2" not in repr(mirrored)


@ensure
async def test_what_becomes_of_a_desired_value(storage: SqlStorage) -> None:
    """OP-04, R-5, FR-24: each status, CALLERROR, no answer; RebootRequired until the next boot; drift and its end."""
    mirror = storage.configuration
    made = await mirror.wish("CP1", "HeartbeatInterval", "60", 0, NOON_MS)
    assert made.wished is Wished.DONE and made.now is not None and made.now.desired_state is STATE.PENDING
    assert (await mirror.wish("CP1", "heartbeatinterval", "61", 0, NOON_MS)).wished is Wished.CONFLICT
    sent = await mirror.wish_sent(made.now, "m1")
    assert sent is not None and sent.desired_message == "m1"
    assert (await mirror.wish("CP1", "HeartbeatInterval", "60", None, NOON_MS)).wished is Wished.PENDING
    for answer, state in (("Rejected", STATE.REJECTED), ("NotSupported", STATE.NOT_SUPPORTED), ("Accepted", STATE.ACCEPTED)):
        await changes(storage, "HeartbeatInterval", "60", answer)
        assert await state_of(storage, "HeartbeatInterval") is state
    accepted = await key_of(storage, "HeartbeatInterval")
    assert (accepted.value, accepted.number, accepted.unknown, accepted.source) == ("60", 60, False, Source.CHANGE)
    await tells(storage, ("HeartbeatInterval", "300"))
    await tells(storage, ("HeartbeatInterval", "300"), at=NOON_MS + 5)
    assert await state_of(storage, "HeartbeatInterval") is STATE.DRIFT
    events = [event for event in await storage.list_events(EVERYTHING, None, 99) if event.kind == "configurationDrifted"]
    assert [event.members for event in events] == [{"key": "HeartbeatInterval", "desired": "60", "value": "300"}]
    await tells(storage, ("HeartbeatInterval", "60"))
    assert await state_of(storage, "HeartbeatInterval") is STATE.ACCEPTED
    await changes(storage, "HeartbeatInterval", "90", "Accepted")
    assert await state_of(storage, "HeartbeatInterval") is STATE.DRIFT, "somebody else set another value"
    await mirror.wish("CP1", "HeartbeatInterval", "60", None, NOON_MS)
    await changes(storage, "HeartbeatInterval", "60", "RebootRequired")
    await tells(storage, ("HeartbeatInterval", "90"))
    assert await state_of(storage, "HeartbeatInterval") is STATE.REBOOT_REQUIRED
    await storage.charger_connected("CP1", "", NOON_MS + 1)
    await storage.charger_booted(inbound("BootNotification"), boot())
    after = await key_of(storage, "HeartbeatInterval")
    assert (after.desired_state, after.reboot_ms) == (STATE.ACCEPTED, None)


@ensure
@pytest.mark.parametrize("verdict", [RegistrationStatus.PENDING, RegistrationStatus.REJECTED])
async def test_a_reboot_is_one_whatever_its_boot_is_answered(storage: SqlStorage, verdict: RegistrationStatus) -> None:
    """OP-04, B-4, B-8: a value that waits for a reboot is in force once its charger has come back and booted, accepted or not; a
    boot over the same connection, repeated or triggered, is none. It is read back a minute after the charger is accepted."""
    mirror, later = storage.configuration, NOON_MS + 3_600_000
    not_accepted = boot(registration=verdict)
    await storage.charger_connected("CP1", "", NOON_MS - 1)
    await storage.charger_booted(inbound("BootNotification", received_ms=NOON_MS - 1), boot())
    await tells(storage, ("Colour", "red"))
    await mirror.wish("CP1", "Colour", "blue", None, NOON_MS)
    await changes(storage, "Colour", "blue", "RebootRequired")
    for same in (boot(), not_accepted, boot(), not_accepted):
        await storage.charger_booted(inbound("BootNotification", received_ms=NOON_MS + 1), same)
        waiting = await key_of(storage, "Colour")
        assert (waiting.desired_state, waiting.reboot_ms) == (STATE.REBOOT_REQUIRED, NOON_MS)
    await storage.charger_connected("CP1", "", NOON_MS + 2)
    await storage.charger_booted(inbound("BootNotification", received_ms=NOON_MS + 3), not_accepted)
    after = await key_of(storage, "Colour")
    assert (after.desired_state, after.reboot_ms) == (STATE.ACCEPTED, None)
    assert await mirror.readings_due(later, 9) == [], "nobody asks a charger that is not accepted"
    await storage.charger_booted(inbound("BootNotification", received_ms=later), boot())
    assert await mirror.readings_due(later + SETTLING_MS - 1, 9) == []
    assert await mirror.readings_due(later + SETTLING_MS, 9) == ["CP1"]


@ensure
async def test_a_reboot_after_the_clock_was_set_back(storage: SqlStorage) -> None:
    """OP-04: a value does not wait until a clock that was set back has come to where it was."""
    hour_ms = 3_600_000
    await storage.charger_connected("CP1", "", NOON_MS - 1)
    await storage.configuration.wish("CP1", "Colour", "blue", None, NOON_MS)
    await changes(storage, "Colour", "blue", "RebootRequired")
    await storage.charger_connected("CP1", "", NOON_MS - hour_ms)
    await storage.charger_booted(inbound("BootNotification", received_ms=NOON_MS - hour_ms + 1), boot())
    after = await key_of(storage, "Colour")
    assert (after.desired_state, after.reboot_ms) == (STATE.ACCEPTED, None)


@ensure
async def test_a_desired_value_that_did_not_get_there(storage: SqlStorage) -> None:
    """FR-24, R-5: CALLERROR and expiry fail; after a timeout nobody knows, and the charger is read back; a wish that no
    message carries ends; one that is withdrawn, or undone, leaves what the charger told."""
    mirror = storage.configuration
    refused = ["NotSupported", "", {}]
    for answer, end, state, reason in (
        (refused, MessageState.ERROR, STATE.FAILED, "CALLERROR NotSupported"),
        (None, MessageState.EXPIRED, STATE.FAILED, "expired"),
        (None, MessageState.TIMEOUT, STATE.UNKNOWN, "timeout"),
    ):
        await mirror.wish("CP1", "Colour", "red", None, NOON_MS)
        await changes(storage, "Colour", "red", answer, state=end)
        found = await key_of(storage, "Colour")
        assert (found.desired_state, found.reason) == (state, reason)
    await storage.charger_connected("CP1", "", NOON_MS)
    assert await mirror.readings_due(NOON_MS + SETTLING_MS, 9) == ["CP1"]
    await tells(storage, ("Colour", "red"))
    assert await state_of(storage, "Colour") is STATE.ACCEPTED
    undone = await mirror.wish("CP1", "Colour", "blue", None, NOON_MS + 1)
    assert undone.now is not None
    await mirror.wish_undone(undone.before, undone.now, NOON_MS + 2)
    assert (await key_of(storage, "Colour")).desired == "red"
    await mirror.wish("CP1", "Colour", "green", None, NOON_MS + 9)
    assert [await mirror.wishes_abandoned(NOON_MS + after + UNSENT_MS) for after in (9, 10)] == [0, 1]
    assert await state_of(storage, "Colour") is STATE.FAILED
    version = (await key_of(storage, "Colour")).version
    assert (await mirror.withdraw("CP1", "Colour", version - 1, NOON_MS)).wished is Wished.CONFLICT
    assert (await mirror.withdraw("CP1", "COLOUR", version, NOON_MS)).wished is Wished.DONE
    kept = await key_of(storage, "Colour")
    assert (kept.value, kept.desired_state) == ("red", None)
    assert (await mirror.withdraw("CP1", "Colour", None, NOON_MS)).wished is Wished.MISSING
    await mirror.wish("CP1", "New", "1", None, NOON_MS)
    await mirror.withdraw("CP1", "New", None, NOON_MS)
    assert await mirror.read_key("CP1", "New") is None


@ensure
async def test_when_a_charger_is_read(storage: SqlStorage) -> None:
    """B-8: once after the first boot, again after another firmware's or where a value waited for it; by one node, a few times."""
    mirror = storage.configuration
    later = NOON_MS + SETTLING_MS
    await storage.charger_connected("CP1", "", NOON_MS)
    await storage.charger_booted(inbound("BootNotification"), boot())
    assert await mirror.readings_due(later - 1, 9) == []
    assert await mirror.readings_due(later, 9) == ["CP1"]
    assert [await mirror.claim_reading("CP1", later, later) for _ in range(2)] == [True, False]
    for attempt in range(1, ATTEMPTS):
        again = later + attempt * PATIENCE_MS
        assert await mirror.claim_reading("CP1", again, again)
    assert await mirror.readings_due(again + 9 * PATIENCE_MS, 9) == []
    await storage.charger_booted(inbound("BootNotification"), boot())
    assert await mirror.readings_due(later, 9) == ["CP1"]
    await tells(storage, ("A", "1"))
    await storage.charger_booted(inbound("BootNotification"), boot())
    assert await mirror.readings_due(later, 9) == []
    await storage.charger_booted(inbound("BootNotification"), boot(firmware_version="2.0"))
    assert await mirror.readings_due(later, 9) == ["CP1"]
    await tells(storage, ("A", "1"))
    await changes(storage, "A", "2", "RebootRequired")
    await storage.charger_connected("CP1", "", NOON_MS + 1)
    await storage.charger_booted(inbound("BootNotification"), boot(firmware_version="2.0"))
    assert await mirror.readings_due(later, 9) == ["CP1"]
    await storage.charger_disconnected("CP1", 2, NOON_MS)
    assert await mirror.readings_due(later, 9) == []


@ensure
async def test_refused_actions_are_remembered(storage: SqlStorage) -> None:
    """E-3: NotImplemented and NotSupported, until the charger boots with another firmware, or takes the action after all."""

    async def refused() -> tuple[RefusedAction, ...]:
        return (await storage.configuration.read("CP1")).refused

    await storage.charger_booted(inbound("BootNotification"), boot())
    await ended(storage, "GetLog", {}, ["NotImplemented", "", {}], state=MessageState.ERROR)
    await ended(storage, "ClearCache", {}, ["NotSupported", "", {}], state=MessageState.ERROR)
    await ended(storage, "Reset", {}, ["InternalError", "", {}], state=MessageState.ERROR)
    await ended(storage, "UnlockConnector", {}, {"status": "NotSupported"})
    cache = RefusedAction("ClearCache", "NotSupported", NOON_MS)
    assert await refused() == (cache, RefusedAction("GetLog", "NotImplemented", NOON_MS))
    await ended(storage, "GetLog", {}, {"status": "Accepted"})
    await storage.charger_booted(inbound("BootNotification"), boot())
    assert await refused() == (cache,)
    await storage.charger_booted(inbound("BootNotification"), boot(firmware_version="1.1"))
    assert await refused() == ()


@ensure
async def test_how_long_a_remote_start_is_expected(storage: SqlStorage) -> None:
    """T-9: for ConnectionTimeOut and a minute where the charger told it, else for five minutes."""

    async def bound(number: int, after_s: int) -> bool:
        """Whether a start so many seconds after its remote start belongs to it."""
        tag = f"T{number}"
        wanted = call(f"r{number}", action="RemoteStartTransaction", remote_start=RemoteStart(None, tag.lower()))
        await storage.call_created(wanted, None)
        at = NOON_MS + after_s * 1000
        begins = start(number, id_tag=tag, id_tag_key=tag.lower(), timestamp_ms=at)
        begun = await storage.transaction_started(inbound("StartTransaction", received_ms=at), begins)
        record = await storage.read_transaction(begun.transaction_id)
        assert record is not None
        return record.remote_start is not None

    assert [await bound(1, 299), await bound(2, 301)] == [True, False]
    await tells(storage, ("ConnectionTimeOut", "30"))
    assert [await bound(3, 90), await bound(4, 91)] == [True, False]
    await tells(storage, ("ConnectionTimeOut", "600"))
    assert [await bound(5, 660), await bound(6, 661)] == [True, False]
    for nonsense in ("-5", "soon"):
        await tells(storage, ("ConnectionTimeOut", nonsense))
    assert [await bound(7, 299), await bound(8, 301)] == [True, False]


@ensure
async def test_the_mirror_survives_a_restart(file_url: str) -> None:
    """2.5: values, wishes, refused actions and what is due are there after the daemon has ended."""
    storage = SqlStorage(file_url, reactor)
    storage.start()
    await storage.charger_booted(inbound("BootNotification"), boot())
    await tells(storage, ("A", "1"))
    await storage.configuration.wish("CP1", "B", "2", None, NOON_MS)
    await ended(storage, "GetLog", {}, ["NotImplemented", "", {}], state=MessageState.ERROR)
    before = await storage.configuration.read("CP1")
    await storage.stop()
    storage = SqlStorage(file_url, reactor)
    storage.start()
    try:
        assert await storage.configuration.read("CP1") == before and len(before.keys) == 2 and before.refused
    finally:
        await storage.stop()


@ensure
async def test_two_nodes_do_not_lose_what_the_other_wrote(postgresql_url: str) -> None:
    """Two nodes over one database: of two who desire a value of the same key one is told of the other, and what a charger
    tells meanwhile is kept beside what is desired."""
    storages = [SqlStorage(postgresql_url, reactor, postgresql.SECRET_KEY, node=node) for node in ("a", "b")]
    for storage in storages:
        storage.start()
    try:
        for number in range(10):
            name = f"Key{number}"
            wishes = [storage.configuration.wish("CP1", name, storage._node, 0, NOON_MS) for storage in storages]
            telling = Deferred.fromCoroutine(tells(storages[number % 2], ("Other", str(number)), (name, "told")))
            done = await gatherResults([*wishes, telling])
            wished = [wish.wished for wish in done[:2]]
            assert sorted(wished)[0] == Wished.CONFLICT, wished
            found = await key_of(storages[0], name)
            assert found.value == "told" and found.is_desired is (Wished.DONE in wished)
    finally:
        for storage in storages:
            await storage.stop()
