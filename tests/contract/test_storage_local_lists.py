"""Local lists in the records, over every storage."""

from __future__ import annotations

import json
from typing import Any

import pytest_twisted

from ocppd.storage.records import CallEnd, Change, IdTag, MessageState
from ocppd.storage.records.local_lists import ListState, LocalList, Wanted, Work
from ocppd.storage.sql_storage import SqlStorage
from ocppd.v16.types import AuthorizationData, AuthorizationStatus, IdTagInfo
from support.storing import MINUTE_MS, NOON_MS, call, inbound, status

ensure = pytest_twisted.ensureDeferred
State = ListState
GOOD = IdTagInfo(status=AuthorizationStatus.ACCEPTED)


def wanting(*tags: str, **members: Any) -> Wanted:
    return Wanted(entries=tuple(AuthorizationData(id_tag=tag, id_tag_info=GOOD) for tag in tags), **members)


async def found(storage: SqlStorage) -> LocalList:
    listed = await storage.local_lists.read("CP1", "")
    assert listed is not None
    return listed


async def work(storage: SqlStorage, now_ms: int = NOON_MS) -> Work | None:
    return await storage.local_lists.work("CP1", {}, "", now_ms)


async def sent(storage: SqlStorage, version: int, kind: str, tags: tuple[str, ...], said: str | None = "Accepted") -> None:
    """A SendLocalList by us, and its end; a tag with a minus sign is taken out."""
    infos = {tag.lstrip("-"): {} if tag.startswith("-") else {"idTagInfo": {"status": "Accepted"}} for tag in tags}
    listed = [{"idTag": tag, **info} for tag, info in infos.items()]
    frame = json.dumps(
        [2, f"s{version}", "SendLocalList", {"listVersion": version, "updateType": kind, "localAuthorizationList": listed}]
    )
    await storage.local_lists.sending("CP1", version)
    await storage.call_created(call(f"s{version}", action="SendLocalList", frame=frame, redacted=frame), 1)
    answer = None if said is None else json.dumps([3, f"s{version}", {"status": said}])
    state = MessageState.UNKNOWN if said is None else MessageState.COMPLETED
    await storage.call_ended(CallEnd(f"s{version}", state, NOON_MS, said, answer))


async def told(storage: SqlStorage, version: int, message_id: str) -> None:
    """The charger has told its version."""
    frame = json.dumps([2, message_id, "GetLocalListVersion", {}])
    await storage.call_created(call(message_id, action="GetLocalListVersion", frame=frame, redacted=frame), 1)
    answer = json.dumps([3, message_id, {"listVersion": version}])
    await storage.call_ended(CallEnd(message_id, MessageState.COMPLETED, NOON_MS, None, answer))


@ensure
async def test_the_life_of_a_list(storage: SqlStorage) -> None:
    """LL-02, LL-04, L-5, L-6: wanted, worked on, confirmed by the ends of calls, settled; unknown until a version tells."""
    await storage.charger_connected("CP1", "192.0.2.1", NOON_MS)
    made = await storage.local_lists.put("CP1", wanting("A", "B"), 0, NOON_MS)
    assert (made.change, await storage.local_lists.due(NOON_MS, 9)) == (Change.CREATED, ["CP1"])
    assert (await storage.local_lists.put("CP1", wanting("A", "B"), None, NOON_MS)).change is Change.UNCHANGED
    assert (await storage.local_lists.put("CP1", wanting("C"), 5, NOON_MS)).change is Change.CONFLICT
    at_work = await work(storage)
    assert at_work is not None and list(at_work.wanted) == ["a", "b"]
    await sent(storage, 1, "Full", ("A", "B"))
    at_work = await work(storage)
    assert at_work is not None
    assert await storage.local_lists.settled(at_work, State.IN_SYNC, None, NOON_MS)
    listed = await found(storage)
    assert (listed.state, listed.confirmed_version, list(listed.confirmed or {})) == (State.IN_SYNC, 1, ["a", "b"])
    assert await storage.local_lists.due(NOON_MS, 9) == [] and await work(storage) is None
    await storage.local_lists.put("CP1", wanting("B", "C"), listed.wanted_version, NOON_MS)
    await sent(storage, 2, "Differential", ("-A", "C"), None)
    assert list((await found(storage)).confirmed or {}) == ["a", "b"]
    await told(storage, 2, "g1")
    listed = await found(storage)
    assert (listed.confirmed_version, list(listed.confirmed or {}), listed.pending) == (2, ["b", "c"], None)
    await sent(storage, 3, "Differential", ("D",), "VersionMismatch")
    assert (await found(storage)).whole
    await sent(storage, 4, "Full", ("B",), "Failed")
    listed = await found(storage)
    assert (listed.state, listed.due_ms, list(listed.confirmed or {})) == (State.FAILED, None, ["b", "c"])
    assert await work(storage) is None
    asked = await storage.local_lists.ask_again("CP1", NOON_MS, whole=True)
    assert asked is not None and (asked.state, asked.whole, asked.sent_version) == (State.BEHIND, True, 4)


@ensure
async def test_what_follows_a_list_of_which_nobody_knows(storage: SqlStorage) -> None:
    """L-5, L-6: a differential after one without an answer leaves open what the charger holds, whatever comes of it."""
    await storage.charger_connected("CP1", "192.0.2.1", NOON_MS)
    await storage.local_lists.put("CP1", wanting("A"), 0, NOON_MS)
    await sent(storage, 1, "Full", ("A",))
    await sent(storage, 2, "Differential", ("B",), None)
    await sent(storage, 3, "Differential", ("C",))
    assert ((await found(storage)).confirmed_version, (await found(storage)).confirmed) == (3, None)
    await sent(storage, 4, "Full", ("A",))
    for version in (5, 6):
        await sent(storage, version, "Differential", ("B",), None)
    await told(storage, 6, "told")
    assert ((await found(storage)).confirmed_version, (await found(storage)).confirmed) == (6, None)
    await sent(storage, 7, "Full", ("A",))
    for version in (8, 9):
        await sent(storage, version, "Differential", ("B",), None)
    answer = '[3,"s9",{"status":"Accepted"}]'
    await storage.call_ended(CallEnd("s9", MessageState.COMPLETED, NOON_MS, "Accepted", answer, late=True))
    assert ((await found(storage)).confirmed_version, (await found(storage)).confirmed) == (9, None)


@ensure
async def test_who_is_at_it(storage: SqlStorage) -> None:
    """One living node at a time; what comes up meanwhile is not settled; what cannot be gone on with is left for later."""
    await storage.local_lists.put("CP1", wanting("A"), None, NOON_MS)
    await storage.node_started()
    at_work = await work(storage)
    assert at_work is not None
    assert (await found(storage)).worker == "this"
    other = storage.local_lists
    other._node, node = "other", other._node
    assert await work(storage) is None, "the first one lives"
    await storage.node_stopped()
    assert await work(storage) is not None
    other._node = node
    await storage.local_lists.put("CP1", wanting("B"), None, NOON_MS)
    assert not await storage.local_lists.settled(at_work, State.IN_SYNC, None, NOON_MS)
    await storage.local_lists.postponed("CP1", "silence", NOON_MS + MINUTE_MS, attempt=True)
    assert await work(storage) is None
    again = await work(storage, NOON_MS + MINUTE_MS)
    assert again is not None and (again.found.attempts, again.found.detail) == (1, "silence")
    assert (await storage.local_lists.delete("CP1", 3)).change is Change.CONFLICT
    assert (await storage.local_lists.delete("CP1", None)).change is Change.DELETED
    assert await work(storage, NOON_MS + MINUTE_MS) is None


@ensure
async def test_following(storage: SqlStorage) -> None:
    """A list of tags is behind when any of them is made, changed or taken away, or configured; N-8: or in conflict."""
    for name, parent in (("A", "Fleet"), ("B", None)):
        await storage.put_id_tag(
            IdTag(key=name.lower(), id_tag=name, parent=parent, parent_key=parent and parent.lower()), None, NOON_MS
        )
    await storage.local_lists.put("CP1", Wanted(parents=("fleet",), id_tags=("b", "x")), None, NOON_MS)

    async def settle() -> list[str]:
        at_work = await work(storage)
        assert at_work is not None
        assert await storage.local_lists.settled(at_work, State.IN_SYNC, None, NOON_MS)
        assert await storage.local_lists.follow("", NOON_MS) == 0
        return list(at_work.wanted)

    assert await settle() == ["a", "b"]
    await storage.put_id_tag(IdTag(key="x", id_tag="X"), None, NOON_MS)
    assert (await found(storage)).state is State.BEHIND
    assert await storage.local_lists.follow("", NOON_MS) == 1
    assert await settle() == ["a", "b", "x"]
    await storage.delete_id_tag("a", None)
    assert await storage.local_lists.follow("", NOON_MS) == 1
    assert await settle() == ["b", "x"]
    assert await storage.local_lists.follow("another configuration", NOON_MS) == 1
    await settle()
    conflict = status(0, "Available", error_code="LocalListConflict")
    await storage.status_notified(inbound("StatusNotification"), conflict)
    listed = await found(storage)
    assert (listed.state, listed.whole, listed.due_ms) == (State.BEHIND, True, NOON_MS)
