"""A PostgreSQL server that goes away, hangs, comes back, or ends sessions: what is lost, what is told, how long it takes."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import text
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.threads import deferToThread

from ocppd.errors import StorageUnavailable
from ocppd.storage import postgresql
from ocppd.storage.records import MessageFilter
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Statement, Unit
from support.holding import PATIENCE_S, held, until
from support.postgresql import SECRET_KEY, Server, attempts
from support.storing import inbound

#: What a machine that runs other tests as well may take on top.
BUSY_S = 6.0
#: So long after the server is back /readyz is fine.
RECOVERY_S = 5.0 + BUSY_S
#: The deadline and the time to connect.
FAILING_S = postgresql.DEADLINE_S + 2 + BUSY_S


@pytest_twisted.async_yield_fixture
async def storage(postgresql_url: str) -> AsyncIterator[SqlStorage]:
    """A running storage on a server."""
    running = SqlStorage(postgresql_url, reactor, SECRET_KEY)
    running.start()
    yield running
    await running.stop()


@pytest.fixture
def database(postgresql_url: str) -> str:
    """The name of its database."""
    return postgresql_url.rpartition("/")[2]


async def works(storage: SqlStorage) -> bool:
    """Whether it can be written and read now."""
    try:
        await gatherResults([storage.check(), storage.read_message("none")], consumeErrors=True)
    except Exception:
        return False
    return True


async def refuses(*asked: Deferred[Any]) -> float:
    """Have all of them fail with StorageUnavailable; how long that took."""
    begin = monotonic()
    results = await DeferredList(asked, consumeErrors=True)
    assert [failure.type for success, failure in results if not success] == [StorageUnavailable] * len(asked)
    return monotonic() - begin


async def stored(storage: SqlStorage) -> list[str]:
    """The ids of all messages, in the order in which they were stored."""
    return [record.message_id for record in reversed(await storage.list_messages(MessageFilter(), None, 1000))]


@pytest_twisted.ensureDeferred
async def test_a_server_that_stops_and_starts(
    server: Server, storage: SqlStorage, told: list[str], logged_errors: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the server is down all fails at once and is told once; when it is back all works, without anybody's doing."""
    await storage.message_received(inbound(message_id="before"))
    await deferToThread(server.stop)
    await refuses(storage.message_received(inbound()), storage.check())
    begin = monotonic()
    for _ in range(500):
        await refuses(storage.message_received(inbound()), storage.read_message("before"), storage.check())
    assert monotonic() - begin < postgresql.DEADLINE_S
    assert [line for line in told if "refuses to write" in line] == told
    assert len(logged_errors.flush()) == 1
    await deferToThread(server.start)
    assert await until(lambda: works(storage)) < RECOVERY_S
    assert len(told) == 2
    assert told[1].startswith("info: the database is back to write after ")
    await storage.message_received(inbound(message_id="after"))
    assert await stored(storage) == ["before", "after"]
    assert capfd.readouterr().err == ""


@pytest_twisted.ensureDeferred
async def test_the_end_of_an_outage_is_noticed_by_nobody_asking(
    server: Server, storage: SqlStorage, told: list[str], logged_errors: Any
) -> None:
    """Storage finds out by itself that the server is back."""
    await deferToThread(server.stop, immediate=True)
    await refuses(storage.check())
    await deferToThread(server.start)

    async def is_told() -> bool:
        return any("is back to write" in line for line in told)

    assert await until(is_told) < RECOVERY_S
    assert await works(storage)
    assert len(logged_errors.flush()) == 1


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_paused(
    server: Server, storage: SqlStorage, told: list[str], logged_errors: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody waits for ever for a server that hangs for 8 s; those who come later are told at once; then all works."""
    await gatherResults([storage.check(), *[storage.read_message("none") for _ in range(4)]])
    begin = monotonic()
    server.pause()
    first = [storage.message_received(inbound()) for _ in range(20)]
    reads = [storage.read_message("none") for _ in range(20)]
    assert await refuses(*first, *reads) < FAILING_S
    assert await refuses(storage.check(), storage.read_message("none")) < postgresql.DEADLINE_S
    while monotonic() - begin < 8:
        await refuses(storage.check(), storage.read_message("none"))
        await deferToThread(threading.Event().wait, 0.05)
    server.resume()
    assert await until(lambda: works(storage)) < RECOVERY_S
    assert [line.partition(":")[0] for line in told] == ["error", "info"]
    assert "did not answer within 5 s" in told[0]
    assert len(logged_errors.flush()) == 1
    # What was under way may have been committed: it was refused, so that it is repeated.
    assert len(await stored(storage)) <= len(first)
    assert capfd.readouterr().err == ""


@pytest_twisted.ensureDeferred
async def test_a_pause_that_only_readers_notice(
    server: Server, storage: SqlStorage, told: list[str], logged_errors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody writes, those who read do not wait for each other's deadlines, and the writer is told to look."""
    monkeypatch.setattr(postgresql, "DEADLINE_S", 1.0)
    await gatherResults([storage.check(), *[storage.read_message("none") for _ in range(4)]])
    server.pause()
    assert await refuses(*[storage.read_message("none") for _ in range(50)]) < 1 + 2 + BUSY_S
    await until(lambda: refused_for(storage, "did not answer within 1 s"))
    assert await refuses(storage.check(), storage.read_message("none")) < 1
    server.resume()
    assert await until(lambda: works(storage)) < RECOVERY_S
    assert [line.partition(":")[0] for line in told] == ["error", "info"]
    assert len(logged_errors.flush()) == 1


@pytest_twisted.ensureDeferred
async def test_sessions_that_end_between_batches(
    server: Server, storage: SqlStorage, database: str, told: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A session that ended while nobody used it costs nobody anything."""
    await gatherResults([storage.read_message("none") for _ in range(4)])
    for number in range(3):
        assert server.end_sessions(database) >= 1
        await storage.message_received(inbound(message_id=f"m{number}"))
        assert len(await gatherResults([storage.read_message("m0") for _ in range(8)])) == 8
    assert await stored(storage) == ["m0", "m1", "m2"]
    assert told == []
    assert capfd.readouterr().err == ""


@pytest_twisted.ensureDeferred
async def test_a_session_that_ends_within_a_batch(server: Server, storage: SqlStorage, database: str, told: list[str]) -> None:
    """A batch whose session ends before its commit is run again as a whole on another one: all once, and in order."""
    entered, release = threading.Event(), threading.Event()

    def wait(unit: Unit) -> None:
        entered.set()
        release.wait(PATIENCE_S)

    gate = held(storage)
    answers = [storage.message_received(inbound(message_id=f"m{number}")) for number in range(5)]
    answers.append(storage.write(wait))
    answers += [storage.message_received(inbound(message_id=f"m{number}")) for number in range(5, 10)]
    gate.set()
    await deferToThread(entered.wait, PATIENCE_S)
    await deferToThread(server.end_sessions, database)
    release.set()
    await gatherResults(answers)
    assert await stored(storage) == [f"m{number}" for number in range(10)]
    assert told == []


PING = Statement(text("SELECT 1"))


def sent(unit: Unit) -> int:
    """A use case that waits for nothing, and knows its number at the end."""
    unit.send(PING, {})
    given: int = unit.next_number()
    return given


@pytest.mark.parametrize("way", ["stop", "pause", "end_sessions"])
@pytest_twisted.ensureDeferred
async def test_statements_on_their_way(
    server: Server,
    storage: SqlStorage,
    database: str,
    way: str,
    logged_errors: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Statements that nobody waits for, when the server goes, fail or are run again like all others."""
    monkeypatch.setattr(postgresql, "DEADLINE_S", 1.0)
    entered, release = threading.Event(), threading.Event()

    def wait(unit: Unit) -> int:
        found = sent(unit)
        entered.set()
        release.wait(PATIENCE_S)
        return found

    gate = held(storage)
    answers = [storage.write(sent) for _ in range(20)]
    answers.append(storage.write(wait))
    answers += [storage.write(sent) for _ in range(20)]
    gate.set()
    await deferToThread(entered.wait, PATIENCE_S)
    await deferToThread(getattr(server, way), *([database] if way == "end_sessions" else []))
    release.set()
    if way == "end_sessions":
        numbers = await gatherResults(answers)
        assert numbers == list(range(numbers[0], numbers[0] + 41))
    else:
        assert await refuses(*answers) < 1 + 2 + BUSY_S
        assert len(logged_errors.flush()) == 1
    assert capfd.readouterr().err == ""


@pytest_twisted.ensureDeferred
async def test_a_session_that_ends_within_a_commit(
    server: Server, storage: SqlStorage, database: str, logged_errors: Any
) -> None:
    """Where the connection is lost in the commit nobody knows how that ended: all of the batch fail."""
    with server.admin(database) as connection:
        connection.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NULL; END'"
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW WHEN (NEW.action = 'Slow') EXECUTE FUNCTION wait()"
        )
    gate = held(storage)
    answers = [storage.message_received(inbound(action)) for action in ("Heartbeat", "Slow", "Heartbeat")]
    gate.set()
    await deferToThread(end_commit, server, database)
    await refuses(*answers)
    assert len(logged_errors.flush()) == 1
    assert await stored(storage) == []


def end_commit(server: Server, database: str) -> None:
    """End the session that is committing, as soon as there is one."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query = 'COMMIT' AND state = 'active'"
    with server.admin() as connection:
        for _ in attempts():
            if connection.execute(query, [database]).fetchall():
                return


@pytest_twisted.ensureDeferred
async def test_a_server_that_comes_back_unsafe(server: Server, storage: SqlStorage, told: list[str], logged_errors: Any) -> None:
    """A server that was started again with fsync=off is not written to, and why is told; set right, it is."""
    await deferToThread(server.restart, fsync="off")
    await until(lambda: refused_for(storage, "set fsync to on"))
    assert "set fsync to on" in told[-1]
    assert not await works(storage)
    await deferToThread(server.restart)
    assert await until(lambda: works(storage)) < RECOVERY_S
    assert [line.partition(":")[0] for line in told] == ["error", "info"]
    logged_errors.flush()


async def refused_for(storage: SqlStorage, reason: str) -> bool:
    """Whether a write is refused now, and for this reason."""
    try:
        await storage.check()
    except StorageUnavailable as error:
        return reason in str(error)
    return False


@pytest_twisted.ensureDeferred
async def test_stopping_without_a_server(server: Server, postgresql_url: str, logged_errors: Any) -> None:
    """Storage stops while the server hangs; what waits fails."""
    storage = SqlStorage(postgresql_url, reactor, SECRET_KEY)
    storage.start()
    await storage.check()
    server.pause()
    begin = monotonic()
    waiting = [storage.message_received(inbound()) for _ in range(3)]
    stopping = storage.stop()
    await refuses(*waiting)
    await stopping
    assert monotonic() - begin < FAILING_S
    assert logged_errors.flush()


@pytest_twisted.ensureDeferred
async def test_a_database_that_takes_no_more_connections(
    server: Server, storage: SqlStorage, database: str, told: list[str], logged_errors: Any
) -> None:
    """Where readers find no place on the server but the writer has one, reads are what is told of."""
    with server.admin() as connection:
        connection.execute("ALTER ROLE ocppd CONNECTION LIMIT 1")
        try:
            await refuses(storage.read_message("none"), storage.read_message("none"))
            await storage.check()
        finally:
            connection.execute("ALTER ROLE ocppd CONNECTION LIMIT -1")
    assert await until(lambda: works(storage)) < RECOVERY_S
    assert [line.partition(" after ")[0] for line in told[1:]] == ["info: the database is back to read"]
    assert "refuses to read: " in told[0]
    assert "too many connections for role" in told[0]
    logged_errors.flush()
