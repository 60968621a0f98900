"""The journal and the life of our calls, over every storage."""

from __future__ import annotations

import pytest
import pytest_twisted

from ocppd.storage.records import (
    PAGE_CHARACTERS,
    CallEnd,
    Direction,
    MessageFilter,
    MessageRecord,
    MessageState,
    NewCall,
    QueuedCall,
    Verdict,
)
from ocppd.storage.sql_storage import SqlStorage
from support.storing import MINUTE_MS, NOON_MS, call, inbound

LIMIT = 50

SECRET = '[2,"c1","ChangeConfiguration",{"key":"AuthorizationKey","value":"0123456789abcdef"}]'
REDACTED = '[2,"c1","ChangeConfiguration",{"key":"AuthorizationKey","value":"***"}]'


async def accept(storage: SqlStorage, new: NewCall, limit: int) -> Verdict:
    """Queue a call for a charger, wherever that is."""
    return (await storage.call_accepted(new, limit, lambda _: True)).verdict


async def queue(storage: SqlStorage, message_id: str, **members: object) -> bool:
    """Queue a call; whether there was room."""
    return await accept(storage, call(message_id, **members), LIMIT) is Verdict.ACCEPTED


async def read(storage: SqlStorage, message_id: str) -> MessageRecord:
    """A message that is there."""
    found = await storage.read_message(message_id)
    assert found is not None
    return found


async def waiting(storage: SqlStorage, now_ms: int = NOON_MS) -> tuple[QueuedCall, ...]:
    """What is handed out to the charger when it connects."""
    return (await storage.charger_connected("CP1", "127.0.0.1", now_ms)).queued


@pytest_twisted.ensureDeferred
async def test_a_message_is_journaled_whole(storage: SqlStorage) -> None:
    """A message of a charger is kept with its answer, in its final state."""
    message = inbound("SecurityEventNotification")
    sequence = await storage.message_received(message)
    assert await read(storage, message.message_id) == MessageRecord(
        sequence=sequence,
        message_id=message.message_id,
        charger="CP1",
        direction=Direction.FROM_CHARGER,
        action="SecurityEventNotification",
        state=MessageState.COMPLETED,
        created_ms=NOON_MS,
        frame=message.frame,
        answer=message.answer,
    )


@pytest_twisted.ensureDeferred
async def test_a_refused_message_is_an_error(storage: SqlStorage) -> None:
    """A message whose payload was refused is journaled as an error; so is one that a user's handler failed."""
    refused, handled = inbound(), inbound()
    await storage.message_received(refused, failed=True)
    sequence = await storage.message_received(handled)
    await storage.answer_amended(sequence, "[4,other]", failed=True)
    assert (await read(storage, refused.message_id)).state is MessageState.ERROR
    amended = await read(storage, handled.message_id)
    assert (amended.state, amended.answer) == (MessageState.ERROR, "[4,other]")
    await storage.answer_amended(sequence, "[3,again]")
    assert (await read(storage, handled.message_id)).state is MessageState.COMPLETED


@pytest_twisted.ensureDeferred
async def test_ids_of_chargers_may_repeat(storage: SqlStorage) -> None:
    """Messages of chargers with the same id are all kept, and the newest is read; a call of ours goes first (F-6)."""
    older = await storage.message_received(inbound(message_id="1"))
    newer = await storage.message_received(inbound(message_id="1", charger="CP2"))
    assert (await read(storage, "1")).sequence == newer > older
    await queue(storage, "1")
    assert (await read(storage, "1")).direction is Direction.TO_CHARGER
    assert await storage.read_message("2") is None


@pytest_twisted.ensureDeferred
async def test_the_life_of_a_queued_call(storage: SqlStorage) -> None:
    """A call goes from queued over sent to completed, and every instant is kept."""
    assert await queue(storage, "c1")
    queued = await read(storage, "c1")
    assert (queued.state, queued.sent_ms, queued.expires_ms) == (MessageState.QUEUED, None, NOON_MS + 60 * MINUTE_MS)
    assert await storage.call_sent("c1", 4, NOON_MS + 1)
    assert not await storage.call_sent("c1", 5, NOON_MS + 2)
    sent = await read(storage, "c1")
    assert (sent.state, sent.sent_ms) == (MessageState.SENT, NOON_MS + 1)
    await storage.call_ended(CallEnd("c1", MessageState.COMPLETED, NOON_MS + 3, outcome="Accepted", answer="[3]"))
    ended = await read(storage, "c1")
    assert (ended.state, ended.outcome, ended.answer, ended.answered_ms, ended.late) == (
        MessageState.COMPLETED,
        "Accepted",
        "[3]",
        NOON_MS + 3,
        False,
    )


@pytest_twisted.ensureDeferred
async def test_a_call_that_goes_out_at_once(storage: SqlStorage) -> None:
    """A call may begin as sent, which no limit of the queue holds back."""
    await storage.call_created(call("c1"), None)
    assert (await read(storage, "c1")).sent_ms == NOON_MS
    assert await waiting(storage) == ()


@pytest_twisted.ensureDeferred
async def test_the_queue_of_a_charger_has_a_limit(storage: SqlStorage) -> None:
    """One call above the limit is not journaled; other chargers' calls, and those that left the queue, do not count."""
    assert await accept(storage, call("c1"), 2) is Verdict.ACCEPTED
    assert await accept(storage, call("c2"), 2) is Verdict.ACCEPTED
    assert await accept(storage, call("c3"), 2) is Verdict.FULL
    assert await storage.read_message("c3") is None
    assert await accept(storage, call("c4", "CP2"), 2) is Verdict.ACCEPTED
    await storage.call_sent("c1", 1, NOON_MS)
    assert await accept(storage, call("c3"), 2) is Verdict.ACCEPTED


@pytest_twisted.ensureDeferred
async def test_a_charger_that_connects_is_given_what_waits(storage: SqlStorage) -> None:
    """Queued calls come oldest first; not those that expired, were sent, or are another charger's."""
    await queue(storage, "late", expires_ms=NOON_MS)
    await queue(storage, "b")
    await queue(storage, "a")
    await queue(storage, "sent")
    await queue(storage, "foreign", charger="CP2")
    await storage.call_sent("sent", 1, NOON_MS)
    assert [queued.message_id for queued in await waiting(storage)] == ["b", "a"]


@pytest_twisted.ensureDeferred
async def test_a_secret_is_whole_only_while_it_waits(storage: SqlStorage) -> None:
    """The secret frame reaches the charger's connection and no record; once the call has ended it is gone."""
    await queue(storage, "c1", frame=SECRET, redacted=REDACTED)
    assert (await read(storage, "c1")).frame == REDACTED
    assert [queued.frame for queued in await waiting(storage)] == [SECRET]
    await storage.call_cancelled("c1", NOON_MS)
    assert await waiting(storage) == ()
    assert (await read(storage, "c1")).frame == REDACTED


@pytest.mark.parametrize("state", [MessageState.TIMEOUT, MessageState.UNKNOWN])
@pytest.mark.parametrize("end", [MessageState.COMPLETED, MessageState.ERROR])
@pytest_twisted.ensureDeferred
async def test_a_late_answer_still_counts(storage: SqlStorage, state: MessageState, end: MessageState) -> None:
    """A late answer ends a call that timed out or whose outcome is unknown, once (F-8)."""
    await storage.call_created(call("c1"), None)
    await storage.call_ended(CallEnd("c1", state, NOON_MS + 1, detail="no answer"))
    lost = await read(storage, "c1")
    assert (lost.state, lost.answered_ms, lost.detail) == (state, None, "no answer")
    await storage.call_ended(CallEnd("c1", MessageState.TIMEOUT, NOON_MS + 2))
    assert await read(storage, "c1") == lost
    await storage.call_ended(CallEnd("c1", end, NOON_MS + 3, answer="[3]"))
    await storage.call_ended(CallEnd("c1", MessageState.TIMEOUT, NOON_MS + 4, late=True))
    found = await read(storage, "c1")
    assert (found.state, found.late, found.answered_ms, found.answer) == (end, True, NOON_MS + 3, "[3]")


@pytest.mark.parametrize("state", [MessageState.COMPLETED, MessageState.ERROR, MessageState.EXPIRED, MessageState.CANCELLED])
@pytest.mark.parametrize("late", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_final_state_stays(storage: SqlStorage, state: MessageState, late: bool) -> None:
    """What has ended is not overwritten, by a late answer neither."""
    await queue(storage, "c1")
    await storage.call_ended(CallEnd("c1", state, NOON_MS))
    before = await read(storage, "c1")
    await storage.call_ended(CallEnd("c1", MessageState.TIMEOUT, NOON_MS + 1, answer="[3]", late=late))
    assert await read(storage, "c1") == before
    assert not await storage.call_sent("c1", 1, NOON_MS)


@pytest_twisted.ensureDeferred
async def test_only_what_is_queued_can_be_cancelled(storage: SqlStorage) -> None:
    """Cancelling gives the message as it is then; one that was sent goes on."""
    await queue(storage, "c1")
    await storage.call_created(call("c2"), None)
    await storage.message_received(inbound(message_id="theirs"))
    cancelled = await storage.call_cancelled("c1", NOON_MS)
    assert cancelled is not None
    assert cancelled.state is MessageState.CANCELLED
    assert cancelled == await read(storage, "c1")
    going_on = await storage.call_cancelled("c2", NOON_MS)
    assert going_on is not None
    assert going_on.state is MessageState.SENT
    assert await storage.call_cancelled("theirs", NOON_MS) is None
    assert await storage.call_cancelled("none", NOON_MS) is None


@pytest_twisted.ensureDeferred
async def test_calls_expire(storage: SqlStorage) -> None:
    """Queued calls whose time has ended expire, once, and are told; those that were sent do not."""
    await queue(storage, "c1", expires_ms=NOON_MS + 1)
    await queue(storage, "c2", expires_ms=NOON_MS + 2, charger="CP2")
    await queue(storage, "c3", expires_ms=NOON_MS + 3)
    await storage.call_created(call("c4", expires_ms=NOON_MS), None)
    expired = await storage.calls_expired(NOON_MS + 2)
    assert [(record.message_id, record.state) for record in expired] == [
        ("c1", MessageState.EXPIRED),
        ("c2", MessageState.EXPIRED),
    ]
    assert await storage.calls_expired(NOON_MS + 2) == []
    assert (await read(storage, "c4")).state is MessageState.SENT


@pytest_twisted.ensureDeferred
async def test_messages_are_listed_newest_first(storage: SqlStorage) -> None:
    """Pages go down from the newest, and every filter holds."""
    boot = inbound("BootNotification", received_ms=NOON_MS + 1)
    beat = inbound("Heartbeat", "CP2", received_ms=NOON_MS + 2)
    await storage.message_received(boot)
    await storage.message_received(beat)
    await queue(storage, "c1", created_ms=NOON_MS + 3)

    async def listed(after: int | None = None, limit: int = 10, **which: object) -> list[str]:
        found = await storage.list_messages(MessageFilter(**which), after, limit)  # type: ignore[arg-type]
        return [record.message_id for record in found]

    everything = ["c1", beat.message_id, boot.message_id]
    assert await listed() == everything
    assert await listed(limit=2) == everything[:2]
    assert await listed(after=(await read(storage, "c1")).sequence) == everything[1:]
    assert await listed(charger="CP2") == [beat.message_id]
    assert await listed(action="BootNotification") == [boot.message_id]
    assert await listed(direction=Direction.TO_CHARGER) == ["c1"]
    assert await listed(state=MessageState.QUEUED) == ["c1"]
    assert await listed(since_ms=NOON_MS + 2, until_ms=NOON_MS + 3) == [beat.message_id]


@pytest.mark.parametrize("charger", [None, "CP1"])
@pytest_twisted.ensureDeferred
async def test_a_list_ends_where_its_frames_are_too_many(storage: SqlStorage, charger: str | None) -> None:
    """Large frames are in the list, whole, and end it; the next one goes on, so that none is left out."""
    half = "x" * (PAGE_CHARACTERS // 2)
    for number in range(5):
        await storage.message_received(inbound(message_id=str(number), frame=half if number else "small", answer=f"a{number}"))
    which, after, pages = MessageFilter(charger=charger), None, []
    while found := await storage.list_messages(which, after, 10):
        pages.append([record.message_id for record in found])
        assert all((record.frame, record.answer) == (half, f"a{record.message_id}") for record in found if record.sequence > 1)
        after = found[-1].sequence
    assert pages == [["4", "3"], ["2", "1"], ["0"]]
