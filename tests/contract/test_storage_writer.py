"""How storage runs: batches, failures, the end. Over every storage, or over a file where it is about files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import text
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults
from twisted.internet.threads import deferToThread

from ocppd.errors import StorageUnavailable
from ocppd.storage import engine, sqlite, writer
from ocppd.storage.crowding import CROWDED
from ocppd.storage.records import MessageFilter, MessageState
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Statement, Unit
from ocppd.storage.writer import Writer
from ocppd.v16.types import IdTagInfo
from support.holding import PATIENCE_S, held
from support.postgresql import SECRET_KEY
from support.storing import NOON_MS, call, inbound, start

durable = pytest.mark.parametrize("url", ["file", "postgresql"], indirect=True)


class Poison(RuntimeError):
    """Raised by a use case that has a bug."""


def poisoned(_: int, __: IdTagInfo) -> str:
    """An answer function that has a bug."""
    raise Poison("boom")


@pytest_twisted.ensureDeferred
async def test_one_poisonous_use_case_fails_alone(storage: SqlStorage, logged_errors: Any) -> None:
    """Of a batch of 200 with one that raises, 199 are stored and answered; the one is logged and fails."""
    release = held(storage)
    answers: list[Deferred[Any]] = [storage.message_received(inbound(message_id=f"m{number}")) for number in range(120)]
    answers.append(storage.transaction_started(inbound("StartTransaction"), start(answer=poisoned)))
    answers += [storage.message_received(inbound(message_id=f"m{number}")) for number in range(120, 199)]
    release.set()
    results = await DeferredList(answers, consumeErrors=True)
    failed = [result for success, result in results if not success]
    assert [failure.type for failure in failed] == [StorageUnavailable]
    assert isinstance(failed[0].value.__cause__, Poison)
    assert len(logged_errors.flush(Poison)) == 1
    stored = await storage.list_messages(MessageFilter(), None, 500)
    assert [record.message_id for record in reversed(stored)] == [f"m{number}" for number in range(199)]
    assert len({result for success, result in results if success}) == 199


@pytest_twisted.ensureDeferred
async def test_a_batch_is_answered_together_on_the_reactors_thread(storage: SqlStorage) -> None:
    """All of a batch are answered in one turn of the reactor, in order, on its thread."""
    release = held(storage)
    turns: list[tuple[int, int, int]] = []
    turn = [0]

    def answered(sequence: int) -> None:
        turns.append((turn[0], sequence, threading.get_ident()))
        reactor.callLater(0, next_turn)  # type: ignore[attr-defined]

    def next_turn() -> None:
        turn[0] += 1

    answers = [storage.message_received(inbound()).addCallback(answered) for _ in range(50)]
    release.set()
    await gatherResults(answers)
    await storage.check()
    assert {number for number, _, _ in turns} == {0}
    assert [sequence for _, sequence, _ in turns] == sorted(sequence for _, sequence, _ in turns)
    assert {thread for _, _, thread in turns} == {threading.get_ident()}


@pytest_twisted.ensureDeferred
async def test_cancelling_does_not_undo(storage: SqlStorage) -> None:
    """A write whose caller has gone is stored all the same, and its result is dropped in silence."""
    release = held(storage)
    answer = storage.message_received(inbound(message_id="gone"))
    answer.cancel()
    release.set()
    with pytest.raises(CancelledError):
        await answer
    await storage.check()
    assert await storage.read_message("gone") is not None


@pytest_twisted.ensureDeferred
async def test_stop_commits_what_was_accepted(file_url: str) -> None:
    """What was accepted before `stop` is committed and answered; what comes after fails; a new start finds it all."""
    storage = SqlStorage(file_url, reactor)
    storage.start()
    release = held(storage)
    answers = [storage.message_received(inbound()) for _ in range(writer.BATCH_LIMIT + 20)]
    stopping = [storage.stop(), storage.stop()]
    refused = storage.message_received(inbound())
    release.set()
    with pytest.raises(StorageUnavailable):
        await refused
    await gatherResults(stopping)
    assert all(answer.called for answer in answers)
    for late in (storage.check(), storage.read_transaction(1), storage.list_messages(MessageFilter(), None, 1)):
        with pytest.raises(StorageUnavailable):
            await late
    again = SqlStorage(file_url, reactor)
    again.start()
    newest = await again.list_messages(MessageFilter(), None, 1)
    assert newest[0].sequence == len(answers)
    await again.stop()
    await again.stop()


@pytest_twisted.ensureDeferred
async def test_storage_that_never_started(file_url: str) -> None:
    """Without a start everything fails with StorageUnavailable, and stopping is no error."""
    storage = SqlStorage(file_url, reactor)
    with pytest.raises(StorageUnavailable):
        await storage.check()
    with pytest.raises(StorageUnavailable):
        await storage.read_transaction(1)
    await storage.stop()


@pytest.mark.parametrize("url", ["file", "postgresql"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_the_writers_queue_is_bounded(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a write fails at once; when the others are answered there is room again."""
    await storage.check()
    monkeypatch.setattr(writer, "WAITING_LIMIT", 3)
    release = held(storage)
    accepted = [storage.message_received(inbound()) for _ in range(2)]
    with pytest.raises(StorageUnavailable):
        await storage.message_received(inbound())
    release.set()
    await gatherResults(accepted)
    await storage.message_received(inbound())


@pytest.mark.parametrize("url", ["file", "memory"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_a_full_disk_fails_writes_until_there_is_room(storage: SqlStorage, logged_errors: Any) -> None:
    """With a full disk writes fail and reads go on; with room again writes go on, and nothing half is stored."""

    def limit_pages(unit: Unit, pages: int) -> None:
        unit.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    await storage.message_received(inbound(message_id="before"))
    await storage.write(limit_pages, 1)
    big = [storage.message_received(inbound(frame="x" * 100_000)) for _ in range(3)]
    results = await DeferredList(big, consumeErrors=True)
    assert [failure.type for success, failure in results if not success] == [StorageUnavailable] * 3
    assert logged_errors.flush()
    assert await storage.read_message("before") is not None
    await storage.write(limit_pages, 1_000_000)
    await storage.message_received(inbound(frame="x" * 100_000))
    await storage.check()
    assert len(await storage.list_messages(MessageFilter(), None, 10)) == 2


@pytest_twisted.ensureDeferred
async def test_a_locked_database_fails_the_whole_batch(
    file_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """While another program holds the write lock all writes fail, logged once; then they go on, which is told, too."""
    import sqlite3

    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1)
    storage = SqlStorage(file_url, reactor)
    storage.start()
    release = held(storage)
    answers = [storage.message_received(inbound()) for _ in range(20)]
    other = sqlite3.connect(tmp_path / "ocppd.sqlite", isolation_level=None, timeout=10)
    release.set()
    await gatherResults(answers)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="locked"):
            await storage.message_received(inbound())
    assert len(logged_errors.flush()) == 1
    other.execute("ROLLBACK")
    other.close()
    await storage.check()
    await storage.stop()


@durable
@pytest_twisted.ensureDeferred
async def test_a_reading_bug_is_logged(storage: SqlStorage, logged_errors: Any) -> None:
    """A read that raises fails with StorageUnavailable and is logged, once; readers cannot write."""

    def bug(unit: Unit) -> None:
        raise Poison("boom")

    def intrude(unit: Unit) -> None:
        unit.connection.exec_driver_sql("DELETE FROM messages")

    for read in (bug, intrude):
        with pytest.raises(StorageUnavailable):
            await storage.read(read)
    await storage.check()
    assert len(logged_errors.flush()) == 2
    await storage.read_message("m")


@durable
@pytest_twisted.ensureDeferred
async def test_writes_that_follow_closely_share_a_commit(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that comes at once after a commit waits a moment, and what comes meanwhile is committed with it."""
    from sqlalchemy import event

    waits: list[float] = []
    waiting, go_on = threading.Event(), threading.Event()

    def waited(seconds: float) -> None:
        waits.append(seconds)
        waiting.set()
        assert go_on.wait(PATIENCE_S)

    monkeypatch.setattr(writer, "sleep", waited)
    monkeypatch.setattr(writer, "APART_S", 600.0)
    database = engine.open_database(url)
    database.prepare(SECRET_KEY, 1)
    commits: list[None] = []
    event.listen(database.writing, "commit", lambda connection: commits.append(None))
    writes = Writer(database, reactor)  # type: ignore[arg-type]
    writes.start()
    monkeypatch.setattr(writer, "monotonic", lambda: 1000.0)
    assert (await writes.submit(lambda unit: 1), len(commits), waits) == (1, 1, [])
    second = writes.submit(lambda unit: 2)
    assert waiting.wait(PATIENCE_S)
    third = writes.submit(lambda unit: 3)
    go_on.set()
    assert await gatherResults([second, third]) == [2, 3]
    assert (len(commits), waits) == (2, [600.0])
    await writes.stop()
    database.close()


def test_how_long_a_batch_gathers() -> None:
    """It is not kept back after a pause; else for the rest of it, and longer after a large one, up to a limit."""
    assert writer.time_to_gather(1, 1.0) <= 0
    assert writer.time_to_gather(1, writer.APART_S / 4) == writer.APART_S * 3 / 4
    assert writer.time_to_gather(40, 1.0) == pytest.approx(40 * writer.EACH_S)
    assert writer.time_to_gather(1000, 0.0) == writer.GATHERING_S


@durable
@pytest_twisted.ensureDeferred
async def test_a_commit_that_fails_fails_its_batch(url: str, logged_errors: Any) -> None:
    """Where the commit itself fails nobody of that batch is told that it was stored."""
    from sqlalchemy import event

    database = engine.open_database(url)
    database.prepare(SECRET_KEY, 1)
    writes = Writer(database, reactor)  # type: ignore[arg-type]
    broken = [True]

    @event.listens_for(database.writing, "commit")
    def refuse(connection: object) -> None:
        if broken[0]:
            raise OSError("no commit today")

    writes.start()
    results = await DeferredList([writes.submit(lambda unit: 1), writes.submit(lambda unit: 2)], consumeErrors=True)
    assert [failure.type for success, failure in results if not success] == [StorageUnavailable] * 2
    assert logged_errors.flush(OSError)
    broken[0] = False
    assert await writes.submit(lambda unit: 3) == 3
    await writes.stop()
    database.close()


@pytest_twisted.ensureDeferred
async def test_a_secret_is_not_in_the_file(file_url: str, tmp_path: Path) -> None:
    """No file beside the database holds the secret of a queued call; another key ends that call with a reason."""
    from ocppd.storage.calls import KEY_LOST

    storage = SqlStorage(file_url, reactor, secret_key="a passphrase")
    storage.start()
    new = call("c1", frame="[2,sesame]", redacted="[2,***]")
    await storage.call_accepted(new, 10, lambda _: True)
    for file in tmp_path.iterdir():
        assert b"sesame" not in file.read_bytes()
    await storage.stop()
    assert not (tmp_path / "ocppd.sqlite.key").exists()
    other = SqlStorage(file_url, reactor)
    other.start()
    assert (tmp_path / "ocppd.sqlite.key").stat().st_mode & 0o777 == 0o600
    assert (await other.charger_connected("CP1", "::1", NOON_MS)).queued == ()
    ended = await other.read_message("c1")
    assert ended is not None
    assert (ended.state, ended.detail) == (MessageState.ERROR, KEY_LOST)
    await other.stop()


SENT = Statement(text("INSERT INTO nodes (node, seen_ms) VALUES (:node, :seen_ms)"))
COUNTED = Statement(text("UPDATE nodes SET seen_ms = seen_ms + 1 WHERE node = :node"))
ASKED = Statement(text("SELECT seen_ms FROM nodes WHERE node = :node"))


def sends(unit: Unit, node: str) -> int:
    """A use case of each way to run a statement; what it read."""
    unit.send(SENT, {"node": node, "seen_ms": 1})
    unit.send(SENT, {"node": node + "'", "seen_ms": 1})
    assert unit.one(ASKED, {"node": "nobody"}) is None
    assert unit.run(COUNTED, {"node": node}) == 1
    unit.send(COUNTED, {"node": node})
    assert unit.connection.exec_driver_sql("SELECT 1").scalar() == 1
    unit.send(COUNTED, {"node": node})
    given: int = unit.one(ASKED, {"node": node})[0]
    unit.send(COUNTED, {"node": node})
    return given


@pytest_twisted.ensureDeferred
async def test_statements_that_nobody_waits_for(storage: SqlStorage, logged_errors: Any) -> None:
    """What is only sent is done in order with the rest; what goes wrong with it fails the use case that sent it."""
    gate = held(storage)
    answers = [storage.write(sends, node) for node in ("n1", "n2", "n1", "n3")]
    gate.set()
    results = await DeferredList(answers, consumeErrors=True)
    assert [result if success else None for success, result in results] == [4, 4, None, 4]
    assert len(logged_errors.flush()) == 1


@pytest_twisted.ensureDeferred
async def test_a_long_batch_is_committed_in_parts(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a thousand others: after a while what was done is committed and answered, in order."""
    monkeypatch.setattr(writer, "BATCH_S", 0.0)
    turns: list[int] = []
    turn = [0]

    def answered(sequence: int) -> int:
        turns.append(turn[0])
        reactor.callLater(0, next_turn)  # type: ignore[attr-defined]
        return sequence

    def next_turn() -> None:
        turn[0] += 1

    release = held(storage)
    answers = [storage.message_received(inbound()).addCallback(answered) for _ in range(20)]
    release.set()
    sequences = await gatherResults(answers)
    assert sequences == sorted(sequences)
    assert len(turns) == 20
    await storage.check()
    assert len(await storage.list_messages(MessageFilter(), None, 50)) == 20


@durable
@pytest_twisted.ensureDeferred
async def test_a_read_sees_one_state(storage: SqlStorage) -> None:
    """What is committed while somebody reads is not seen by that read, and by the next one."""
    entered, release = threading.Event(), threading.Event()

    def read_twice(unit: Unit) -> list[int]:
        found = [count(unit)]
        entered.set()
        release.wait(PATIENCE_S)
        return [*found, count(unit)]

    reading = storage.read(read_twice)
    await deferToThread(entered.wait, PATIENCE_S)
    await storage.message_received(inbound())
    release.set()
    assert await reading == [0, 0]
    assert await storage.read(count) == 1


def count(unit: Unit) -> int:
    """A use case: how many messages there are."""
    return int(unit.connection.exec_driver_sql("SELECT count(*) FROM messages").scalar_one())


@pytest.mark.parametrize("url", ["file", "postgresql"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_those_who_ask_are_told_when_too_many_wait(storage: SqlStorage) -> None:
    """When so many use cases wait that nobody should ask for more it is told once, and once when few do; none is refused."""
    told: list[bool] = []
    storage.when_crowded(told.append)
    release = held(storage)
    # The storage's own use cases wait, too: now and then what was written is filed.
    answers = [storage.message_received(inbound()) for _ in range(CROWDED - 10)]
    assert told == []
    answers += [storage.message_received(inbound()) for _ in range(20)]
    assert told == [True]
    release.set()
    await gatherResults(answers)
    assert told == [True, False]
