"""How storage runs: batches, failures, the end. Over every storage, or over a file where it is about files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults

from ocppd.errors import StorageUnavailable
from ocppd.storage import engine, sqlite, writer
from ocppd.storage.records import MessageFilter, MessageState
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Unit
from ocppd.storage.writer import Writer
from support.storing import NOON_MS, call, inbound, start


class Poison(RuntimeError):
    """Raised by a use case that has a bug."""


def poisoned(_: int) -> str:
    """An answer function that has a bug."""
    raise Poison("boom")


def held(storage: SqlStorage) -> threading.Event:
    """Keep the writer busy until the event is set, so that what follows gathers into one batch."""
    entered, release = threading.Event(), threading.Event()

    def wait(unit: Unit) -> None:
        entered.set()
        release.wait(10)

    storage._write(wait)
    entered.wait(10)
    return release


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


@pytest_twisted.ensureDeferred
async def test_the_writers_queue_is_bounded(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a write fails at once; when the others are answered there is room again."""
    monkeypatch.setattr(writer, "WAITING_LIMIT", 3)
    release = held(storage)
    accepted = [storage.message_received(inbound()) for _ in range(2)]
    with pytest.raises(StorageUnavailable):
        await storage.message_received(inbound())
    release.set()
    await gatherResults(accepted)
    await storage.message_received(inbound())


@pytest_twisted.ensureDeferred
async def test_a_full_disk_fails_writes_until_there_is_room(storage: SqlStorage, logged_errors: Any) -> None:
    """With a full disk writes fail and reads go on; with room again writes go on, and nothing half is stored."""

    def limit_pages(unit: Unit, pages: int) -> None:
        unit.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    await storage.message_received(inbound(message_id="before"))
    await storage._write(limit_pages, 1)
    big = [storage.message_received(inbound(frame="x" * 100_000)) for _ in range(3)]
    results = await DeferredList(big, consumeErrors=True)
    assert [failure.type for success, failure in results if not success] == [StorageUnavailable] * 3
    assert logged_errors.flush()
    assert await storage.read_message("before") is not None
    await storage._write(limit_pages, 1_000_000)
    await storage.message_received(inbound(frame="x" * 100_000))
    await storage.check()
    assert len(await storage.list_messages(MessageFilter(), None, 10)) == 2


@pytest_twisted.ensureDeferred
async def test_a_locked_database_fails_the_whole_batch(
    file_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """While another program holds the write lock all writes fail, logged once per batch; then they go on."""
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
    for answer in [storage.message_received(inbound()), storage.check()]:
        with pytest.raises(StorageUnavailable, match="locked"):
            await answer
    assert logged_errors.flush()
    other.execute("ROLLBACK")
    other.close()
    await storage.check()
    await storage.stop()


@pytest_twisted.ensureDeferred
async def test_a_reading_bug_is_logged(file_url: str, logged_errors: Any) -> None:
    """A read that raises fails with StorageUnavailable and is logged; readers cannot write."""
    storage = SqlStorage(file_url, reactor)
    storage.start()

    def bug(unit: Unit) -> None:
        raise Poison("boom")

    def intrude(unit: Unit) -> None:
        unit.connection.exec_driver_sql("DELETE FROM messages")

    for read in (bug, intrude):
        with pytest.raises(StorageUnavailable):
            await storage._read(read)
    assert len(logged_errors.flush()) == 2
    await storage.stop()


@pytest_twisted.ensureDeferred
async def test_a_commit_that_fails_fails_its_batch(file_url: str, logged_errors: Any) -> None:
    """Where the commit itself fails nobody of that batch is told that it was stored."""
    from sqlalchemy import event

    database = engine.open_database(file_url)
    database.prepare(None)
    writes = Writer(database.writing, reactor)  # type: ignore[arg-type]
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
    from ocppd.storage.messages import KEY_LOST

    storage = SqlStorage(file_url, reactor, secret_key="a passphrase")
    storage.start()
    new = call("c1", frame="[2,sesame]", redacted="[2,***]")
    await storage.call_created(new, MessageState.QUEUED, 10)
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
