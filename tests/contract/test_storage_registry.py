"""Chargers that operators enter, their passwords, and unknown identities: what every storage promises of them."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet.defer import gatherResults

from ocppd.storage.records import CallEnd, Change, MessageState, NewCall
from ocppd.storage.records.registry import PasswordState, UnknownIdentity
from ocppd.storage.sql_storage import SqlStorage

ensure = pytest_twisted.ensureDeferred

KEY = bytes(range(20))


def setting(message_id: str, key: bytes, charger: str = "CP1") -> NewCall:
    """A call that sets a password."""
    frame = f'[2,"{message_id}","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{key.hex()}"}}]'
    return NewCall(message_id, charger, "ChangeConfiguration", frame, frame.replace(key.hex(), "***"), 1000, 61_000)


async def states(storage: SqlStorage, now_ms: int = 2000) -> list[PasswordState]:
    """Those of the passwords of CP1, newest first."""
    return [each.state for each in await storage.registry.passwords("CP1", now_ms)]


@ensure
async def test_entries(storage: SqlStorage) -> None:
    """An entry is made, changed and deleted where its version is the expected one; each change has the next number."""
    registry = storage.registry
    made = await registry.put("A", "{}", 0, 1000)
    assert (made.change, made.entry is not None and made.entry.version) == (Change.CREATED, 1000)
    assert (await registry.put("A", "{}", 1000, 2000)).change is Change.UNCHANGED
    assert (await registry.put("A", '{"quiet":true}', 999, 2000)).change is Change.CONFLICT
    changed = await registry.put("A", '{"quiet":true}', 1000, 2000)
    assert (changed.change, changed.entry is not None and changed.entry.version) == (Change.UPDATED, 2000)
    assert (await registry.delete("A", 1000, 3000)).change is Change.CONFLICT
    assert (await registry.delete("A", None, 3000)).change is Change.DELETED
    assert (await registry.delete("A", None, 3000)).change is Change.MISSING
    assert (await registry.put("A", "{}", 2000, 3000)).change is Change.CONFLICT
    again = await registry.put("A", "{}", 0, 1)
    assert again.entry is not None
    assert again.entry.version == 3001  # it grows, whatever the clock says
    await gatherResults([registry.put(f"N{number}", "{}", None, 4000) for number in range(20)])
    seen = [entry.change for entry in await registry.changes(again.entry.change, 100)]
    assert (len(seen), seen) == (20, sorted(set(seen)))
    assert len(await registry.changes(seen[4], 10)) == 10


@ensure
async def test_a_call_sets_a_password(storage: SqlStorage) -> None:
    """Z-6: valid with the commit of its call, alone with its end; a login in between decides; nothing keeps the key itself."""
    await storage.registry.password_given("CP1", b"old", 500, at_once=True)
    assert await storage.call_accepted(setting("1", KEY), 10, lambda _: True)
    assert await states(storage) == [PasswordState.WAITING, PasswordState.CURRENT]
    checked = await storage.registry.check_password("CP1", KEY, 2000, tolerant=False)
    assert checked.matched is not None
    assert (checked.held, checked.matched.state) == (True, PasswordState.WAITING)
    assert KEY.hex() not in checked.matched.kept
    generation = (await storage.charger_connected("CP1", "", 1500)).generation
    assert await storage.call_sent("1", generation, 1600)
    await storage.call_ended(CallEnd("1", MessageState.COMPLETED, 1700, "Accepted", '[3,"1",{"status":"Accepted"}]'))
    assert await states(storage) == [PasswordState.CURRENT]
    old = await storage.registry.check_password("CP1", b"old", 2000, tolerant=True)
    assert (old.held, old.matched) == (True, None)
    [entry] = [each for each in await storage.registry.changes(0, 10) if each.name == "CP1"]
    assert (entry.protected, entry.settings) == (True, None)


@ensure
async def test_a_call_whose_end_nobody_knows(storage: SqlStorage) -> None:
    """Z-6: after a timeout both are valid; a late answer still decides, and so does a login with the old one."""
    for message_id, end in (("1", "answer"), ("2", "login")):
        await storage.registry.password_given("CP1", b"old", 500, at_once=True)
        await storage.call_accepted(setting(message_id, KEY), 10, lambda _: True)
        generation = (await storage.charger_connected("CP1", "", 1500)).generation
        await storage.call_sent(message_id, generation, 1600)
        await storage.call_ended(CallEnd(message_id, MessageState.TIMEOUT, 1700))
        assert await states(storage) == [PasswordState.UNKNOWN, PasswordState.CURRENT]
        assert (await storage.registry.check_password("CP1", b"old", 2000, tolerant=True)).undecided
        if end == "answer":
            answer = f'[3,"{message_id}",{{"status":"Accepted"}}]'
            await storage.call_ended(CallEnd(message_id, MessageState.COMPLETED, 1800, "Accepted", answer, late=True))
            [holds] = await storage.registry.passwords("CP1", 2000)
            assert holds.message_id == message_id
        else:
            await storage.registry.password_proven("CP1", None, 1800)
            [holds] = await storage.registry.passwords("CP1", 2000)
            assert holds.message_id is None
        assert holds.state is PasswordState.CURRENT


@ensure
async def test_late_answers_about_passwords_in_their_order(storage: SqlStorage) -> None:
    """Z-6: of two calls that nobody answered in time the second may hold, also once the first is answered late after all."""
    await storage.registry.password_given("CP1", b"old", 500, at_once=True)
    other = bytes(range(1, 21))
    generation = (await storage.charger_connected("CP1", "", 900)).generation
    for message_id, key in (("1", KEY), ("2", other)):
        assert await storage.call_accepted(setting(message_id, key), 10, lambda _: True)
        await storage.call_sent(message_id, generation, 1100)
        await storage.call_ended(CallEnd(message_id, MessageState.TIMEOUT, 1200))
    for message_id, state in (("1", PasswordState.UNKNOWN), ("2", PasswordState.CURRENT)):
        answer = f'[3,"{message_id}",{{"status":"Accepted"}}]'
        await storage.call_ended(CallEnd(message_id, MessageState.COMPLETED, 1300, answer=answer, outcome="Accepted", late=True))
        found = await storage.registry.check_password("CP1", other, 2000, tolerant=False)
        assert found.matched is not None and found.matched.state is state
        assert (await storage.registry.check_password("CP1", b"old", 2000, tolerant=False)).matched is None
    assert await states(storage) == [PasswordState.CURRENT]


@ensure
async def test_a_late_answer_that_the_charger_is_to_reboot(storage: SqlStorage) -> None:
    """Z-6: also where RebootRequired comes late, a login with the old password decides nothing about the new one."""
    await storage.registry.password_given("CP1", b"old", 500, at_once=True)
    await storage.call_accepted(setting("1", KEY), 10, lambda _: True)
    await storage.call_sent("1", (await storage.charger_connected("CP1", "", 900)).generation, 1100)
    await storage.call_ended(CallEnd("1", MessageState.TIMEOUT, 1200))
    answer = '[3,"1",{"status":"RebootRequired"}]'
    await storage.call_ended(CallEnd("1", MessageState.COMPLETED, 1300, answer=answer, outcome="RebootRequired", late=True))
    await storage.registry.password_proven("CP1", None, 1400)
    assert await states(storage) == [PasswordState.GIVEN, PasswordState.CURRENT]


@ensure
async def test_many_passwords_on_their_way(storage: SqlStorage) -> None:
    """Z-3, Z-6: the password that holds is asked for, and is right, however many calls wait for their charger to set another."""
    registry = storage.registry
    await registry.password_given("CP1", b"old", 500, at_once=True)
    keys = [bytes([number] * 20) for number in range(12)]
    for number, key in enumerate(keys):
        await storage.call_accepted(setting(str(number), key), 50, lambda _: True)
    assert PasswordState.CURRENT in await states(storage)
    for given, is_right in ((b"old", True), (keys[0], True), (b"wrong", False), (None, False)):
        checked = await registry.check_password("CP1", given, 2000, tolerant=False)
        assert (checked.held, checked.matched is not None) == (True, is_right), given


@ensure
async def test_passwords_are_forgotten_while_a_call_waits(storage: SqlStorage) -> None:
    """Z-6: what a call has yet to set is not forgotten with the others, since its charger may take it."""
    registry = storage.registry
    assert not await registry.passwords_forgotten("CP1", 400)
    await registry.password_given("CP1", b"old", 500, at_once=True)
    await storage.call_accepted(setting("1", KEY), 10, lambda _: True)
    assert await registry.passwords_forgotten("CP1", 600)
    assert await states(storage) == [PasswordState.WAITING]
    await storage.call_sent("1", (await storage.charger_connected("CP1", "", 900)).generation, 1000)
    answer = '[3,"1",{"status":"Accepted"}]'
    await storage.call_ended(CallEnd("1", MessageState.COMPLETED, 1100, "Accepted", answer))
    found = await registry.check_password("CP1", KEY, 2000, tolerant=False)
    assert found.matched is not None and found.matched.state is PasswordState.CURRENT


@ensure
async def test_passwords_are_forgotten_while_a_charger_is_to_reboot(storage: SqlStorage) -> None:
    """Z-6: nor is one that its charger takes with its next boot, also where another one is given that holds at once."""
    registry = storage.registry
    await registry.password_given("CP1", b"old", 500, at_once=True)
    await storage.call_accepted(setting("1", KEY), 10, lambda _: True)
    await storage.call_sent("1", (await storage.charger_connected("CP1", "", 900)).generation, 1000)
    answer = '[3,"1",{"status":"RebootRequired"}]'
    await storage.call_ended(CallEnd("1", MessageState.COMPLETED, 1100, "RebootRequired", answer))
    assert await registry.passwords_forgotten("CP1", 1200)
    assert await states(storage) == [PasswordState.GIVEN]
    await registry.password_given("CP1", b"new", 1300, at_once=True)
    assert await states(storage) == [PasswordState.CURRENT, PasswordState.GIVEN]
    await registry.password_proven("CP1", (await registry.passwords("CP1", 1400))[1].number, 1400)
    assert await states(storage) == [PasswordState.CURRENT]


@ensure
async def test_unknown_identities(storage: SqlStorage) -> None:
    """H-5: attempts add up; of very many those that nobody saw for longest are forgotten; one that is entered is none."""
    registry: Any = storage.registry
    await registry.unknown_seen([UnknownIdentity("A", "192.0.2.1", 5, 6, 2), UnknownIdentity("B", "192.0.2.1", 5, 5)])
    await registry.unknown_seen([UnknownIdentity("A", "192.0.2.2", 7, 8, 3)])
    assert (await registry.list_unknown("", 10))[0] == UnknownIdentity("A", "192.0.2.2", 5, 8, 5)
    await registry.unknown_seen([UnknownIdentity(f"N{number:04}", "192.0.2.3", 7, 7) for number in range(999)])
    assert await registry.is_unknown("A")
    assert not await registry.is_unknown("B")
    await registry.put("A", "{}", None, 9)
    assert not await registry.is_unknown("A")
    assert await registry.forget_unknown("N0000")
    assert not await registry.forget_unknown("N0000")
