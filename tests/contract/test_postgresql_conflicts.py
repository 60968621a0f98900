"""Batches of two nodes in each other's way, and use cases that the server refuses: who fails, and who does not."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredList, gatherResults
from twisted.internet.threads import deferToThread

from ocppd.errors import StorageUnavailable
from ocppd.storage import postgresql, transactions
from ocppd.storage.probe import written
from ocppd.storage.records import Inbound, MessageFilter, Start, TransactionState
from ocppd.storage.records.charger_jobs import JobKind, NewJob
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Unit
from support.holding import PATIENCE_S, held, until
from support.postgresql import SECRET_KEY, Server
from support.storing import NOON_MS, call, inbound, start

DEADLOCK = "40P01"
SERIALIZATION = "40001"
DISK_FULL = "53100"


@pytest_twisted.async_yield_fixture
async def storages(postgresql_url: str) -> AsyncIterator[list[SqlStorage]]:
    """Two nodes over one database."""
    running = [SqlStorage(postgresql_url, reactor, SECRET_KEY, node=node) for node in ("a", "b")]
    for storage in running:
        storage.start()
    yield running
    for storage in running:
        await storage.stop()


def refused(unit: Unit, state: str) -> None:
    """A use case that the server refuses with this SQLSTATE."""
    unit.connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")


def in_pipeline(unit: Unit) -> bool:
    """A use case that tells whether its session waits with what it is sent."""
    session: Any = unit.connection.connection.driver_connection
    return bool(session.pgconn.pipeline_status)


async def order(storage: SqlStorage) -> list[str]:
    """The ids of all messages, in the order in which they were stored."""
    return [record.message_id for record in reversed(await storage.list_messages(MessageFilter(), None, 1000))]


@pytest_twisted.ensureDeferred
async def test_a_deadlock_fails_nobody(storages: list[SqlStorage], told: list[str]) -> None:
    """Two batches that hold each other's rows: one makes way and is run again in parts; all are stored."""
    for storage in storages:
        await gatherResults([storage.write(written, 8001), storage.write(written, 8002)])
    meeting = threading.Barrier(2)
    runs: list[str] = []

    def meet(unit: Unit, name: str) -> None:
        runs.append(name)
        if runs.count(name) == 1:
            meeting.wait(PATIENCE_S)

    gates = [held(storage) for storage in storages]
    answers = []
    for storage, name, rows in zip(storages, "ab", ((8001, 8002), (8002, 8001)), strict=True):
        answers += [storage.message_received(inbound(message_id=f"{name}1")), storage.write(written, rows[0])]
        answers += [storage.write(meet, name), storage.write(written, rows[1])]
        answers.append(storage.message_received(inbound(message_id=f"{name}2")))
    for gate in gates:
        gate.set()
    await gatherResults(answers)
    assert len(runs) > 2, "there was no deadlock"
    found = await order(storages[0])
    assert sorted(found) == ["a1", "a2", "b1", "b2"]
    assert [name for name in found if name.startswith("a")] == ["a1", "a2"]
    assert [name for name in found if name.startswith("b")] == ["b1", "b2"]
    assert told == []


@pytest.mark.parametrize("state", [DEADLOCK, SERIALIZATION])
@pytest.mark.parametrize("times", [1, 3, 8])
@pytest_twisted.ensureDeferred
async def test_a_batch_that_makes_way_is_run_in_halves(
    storages: list[SqlStorage], state: str, times: int, told: list[str]
) -> None:
    """However often a conflict comes, the use cases are run again, in their order, each committed once."""
    storage = storages[0]
    left = [times]

    def conflict(unit: Unit) -> None:
        if left[0]:
            left[0] -= 1
            refused(unit, state)

    gate = held(storage)
    answers = [storage.message_received(inbound(message_id=f"m{number}")) for number in range(60)]
    answers.insert(30, storage.write(conflict))  # type: ignore[arg-type]
    answers.append(storage.message_received(inbound(message_id="m60")))
    gate.set()
    await gatherResults(answers)
    assert await order(storage) == [f"m{number}" for number in range(61)]
    assert left == [0]
    assert told == []


@pytest_twisted.ensureDeferred
async def test_a_conflict_without_end_fails_alone(storages: list[SqlStorage], logged_errors: Any) -> None:
    """A use case that meets a conflict each time fails in the end, and it alone."""
    storage = storages[0]
    gate = held(storage)
    answers = [storage.message_received(inbound()), storage.write(refused, DEADLOCK), storage.message_received(inbound())]
    gate.set()
    results = await DeferredList(answers, consumeErrors=True)
    assert [success for success, _ in results] == [True, False, True]
    assert len(logged_errors.flush()) == 1


@pytest.mark.parametrize("state", [DISK_FULL, "55P03", "23505", "22003"])
@pytest_twisted.ensureDeferred
async def test_what_is_refused_costs_itself_only(storages: list[SqlStorage], state: str, logged_errors: Any) -> None:
    """A full disk met by one use case, a lock, a bug: the others of its batch are stored."""
    storage = storages[0]
    gate = held(storage)
    answers = [storage.message_received(inbound(message_id=f"m{number}")) for number in range(20)]
    answers.insert(7, storage.write(refused, state))  # type: ignore[arg-type]
    gate.set()
    results = await DeferredList(answers, consumeErrors=True)
    assert [number for number, (success, _) in enumerate(results) if not success] == [7]
    assert results[7][1].check(StorageUnavailable)
    assert await order(storage) == [f"m{number}" for number in range(20)]
    assert len(logged_errors.flush()) == 1


@pytest_twisted.ensureDeferred
async def test_a_row_that_another_holds(
    server: Server, storages: list[SqlStorage], postgresql_url: str, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """Who needs a row that is locked for longer fails; the others of its batch do not."""
    storage = storages[0]
    await storage.write(written, 8001)
    with server.admin(postgresql_url.rpartition("/")[2]) as other:
        other.execute("BEGIN")
        other.execute("UPDATE probe SET written = 0 WHERE probe_id = 8001")
        gate = held(storage)
        answers = [storage.message_received(inbound()), storage.write(written, 8001), storage.message_received(inbound())]
        gate.set()
        results = await DeferredList(answers, consumeErrors=True)
        other.execute("ROLLBACK")
    assert [success for success, _ in results] == [True, False, True]
    assert "lock timeout" in str(results[1][1].value)
    assert len(logged_errors.flush()) == 1
    await storage.write(written, 8001)


@pytest_twisted.ensureDeferred
async def test_a_node_that_was_paused_within_a_transaction(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    """The server lets go of the locks of a node that stands still; when that goes on, its batch is run again."""
    monkeypatch.setitem(postgresql.SETTINGS, "idle_in_transaction_session_timeout", "300ms")
    paused, other = [SqlStorage(postgresql_url, reactor, SECRET_KEY, node=node) for node in ("a", "b")]
    paused.start()
    other.start()
    entered, release = threading.Event(), threading.Event()

    def stand_still(unit: Unit) -> None:
        written(unit, 8001)
        entered.set()
        release.wait(PATIENCE_S)
        written(unit, 8001)

    standing = paused.write(stand_still)
    await deferToThread(entered.wait, PATIENCE_S)
    await other.write(written, 8001)
    release.set()
    await standing
    assert told == []
    await paused.stop()
    await other.stop()


@pytest_twisted.ensureDeferred
async def test_probes_of_nodes_do_not_meet(server: Server, storages: list[SqlStorage]) -> None:
    """A node that stands still in its probe holds up no other node's."""
    first, second = storages
    entered, release = threading.Event(), threading.Event()

    def stand_still(unit: Unit) -> None:
        entered.set()
        release.wait(PATIENCE_S)

    gate = held(first)
    answers = [first.check(), first.write(stand_still)]
    gate.set()
    await deferToThread(entered.wait, PATIENCE_S)
    await second.check()
    release.set()
    await gatherResults(answers)


@pytest_twisted.ensureDeferred
async def test_a_start_that_another_node_has_just_recorded(storages: list[SqlStorage], monkeypatch: pytest.MonkeyPatch) -> None:
    """T-3, T-7: the same start at two nodes, after a reconnect, is one transaction, which does not supersede itself."""
    one, other = storages
    look = transactions._same_start
    looked, go_on = threading.Event(), threading.Event()

    def slow(unit: Unit, message: Inbound, wanted: Start) -> int | None:
        found = look(unit, message, wanted)
        if message.message_id == "again" and not looked.is_set():
            looked.set()
            go_on.wait(PATIENCE_S)
        return found

    monkeypatch.setattr(transactions, "_same_start", slow)
    again = other.transaction_started(inbound("StartTransaction", message_id="again"), start())
    await deferToThread(looked.wait, PATIENCE_S)
    first = await one.transaction_started(inbound("StartTransaction"), start())
    go_on.set()
    second = await again
    assert (second.transaction_id, second.repeated) == (first.transaction_id, True)
    record = await one.read_transaction(first.transaction_id)
    assert record is not None and record.state is TransactionState.OPEN


@pytest.mark.parametrize("given", [None, 5])
@pytest_twisted.ensureDeferred
async def test_jobs_that_two_nodes_make_at_once(
    server: Server, storages: list[SqlStorage], postgresql_url: str, given: int | None
) -> None:
    """V-1: of a charger that never was connected, too, no two jobs have one request id, drawn or given."""
    entered, release = threading.Event(), threading.Event()

    def stand_still(unit: Unit) -> None:
        entered.set()
        release.wait(PATIENCE_S)

    firmware, logs = (
        NewJob(charger="CP9", kind=kind, message_id=kind.value, created_ms=NOON_MS, request_id=given)
        for kind in (JobKind.SIGNED_FIRMWARE, JobKind.LOG)
    )
    gate = held(storages[0])
    making = [storages[0].charger_jobs.job_created(firmware, None), storages[0].write(stand_still)]
    gate.set()
    await deferToThread(entered.wait, PATIENCE_S)
    second = storages[1].charger_jobs.job_created(logs, None)

    async def settled() -> bool:
        """The second one is done, or waits for the first."""
        with server.admin(postgresql_url.rpartition("/")[2]) as other:
            return bool(second.called or other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall())

    await until(settled)
    release.set()
    jobs = [(await gatherResults(making))[0], await second]
    assert [job and job.request_id for job in jobs] == ([1, 2] if given is None else [given, None])


@pytest_twisted.ensureDeferred
async def test_a_server_that_takes_no_writes(
    server: Server, storages: list[SqlStorage], told: list[str], logged_errors: Any
) -> None:
    """Where what was left to the end of a batch is refused, the reason is the server's, and the session is as good as before."""
    storage = storages[0]

    def read_only(unit: Unit) -> str:
        return str(unit.connection.exec_driver_sql("SHOW transaction_read_only").scalar())

    async def is_read_only(state: str) -> bool:
        return await storage.write(read_only) == state

    with server.admin() as admin:
        try:
            admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            admin.execute("SELECT pg_reload_conf()")
            await until(lambda: is_read_only("on"))
            with pytest.raises(StorageUnavailable, match="cannot execute INSERT in a read-only transaction"):
                await storage.call_created(call("c1"), 1)
            assert await storage.write(in_pipeline) is False
        finally:
            admin.execute("SET default_transaction_read_only = off")
            admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            admin.execute("SELECT pg_reload_conf()")
    await until(lambda: is_read_only("off"))
    assert await storage.call_created(call("c1"), 1)
    assert told == ["error: the database refuses to write: cannot execute INSERT in a read-only transaction"]
    logged_errors.flush()
