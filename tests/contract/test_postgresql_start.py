"""What a PostgreSQL server and its database need to be used, and several nodes that start at once."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from threading import Thread
from types import ModuleType
from typing import Any

import psycopg
import pytest
import pytest_twisted
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from twisted.internet import reactor

from ocppd.errors import StartFailed
from ocppd.storage import calls, chargers, messages, meter_values, nodes, postgresql, probe, transactions
from ocppd.storage.engine import open_database
from ocppd.storage.migrate import migrate
from ocppd.storage.schema import metadata
from ocppd.storage.sql_storage import SqlStorage
from ocppd.storage.unit import Statement
from support.daemon import ROOT, environment, free_port
from support.holding import PATIENCE_S
from support.postgresql import PASSWORD, ROLE, SECRET_KEY, Server
from support.storing import inbound

MODULES: tuple[ModuleType, ...] = (calls, chargers, messages, meter_values, nodes, probe, transactions)
#: Tables with a row per node, and no more; what a node does once in its life may take longer.
SMALL = {"nodes", "probe"}
ONCE = {(nodes, "_LET_GO")}


@pytest.fixture
def empty(server: Server) -> Iterator[str]:
    """The name of a database without tables."""
    name = server.create(migrated=False)
    yield name
    server.renew()
    server.drop(name)


def failure_of(url: str, secret_key: str | None = SECRET_KEY) -> str:
    """The line of a start that fails: one, without the password."""
    storage = SqlStorage(url, reactor, secret_key)
    with pytest.raises(StartFailed) as caught:
        storage.start()
    text = str(caught.value)
    assert "\n" not in text
    assert PASSWORD not in text
    return text


def name_of(url: str) -> str:
    """What operators are told of a database: neither user nor password."""
    return "database postgresql://" + url.rpartition("@")[2]


async def starts(url: str, **options: Any) -> SqlStorage:
    """A storage that was started, could be written, and is stopped again."""
    storage = SqlStorage(url, reactor, SECRET_KEY, **options)
    storage.start()
    try:
        await storage.check()
    finally:
        await storage.stop()
    return storage


def test_the_revisions_make_the_tables_of_the_schema(server: Server, empty: str) -> None:
    """A database that was migrated from nothing is what `schema` says."""
    with closing(open_database(server.url(empty))) as database:
        migrate(database)
        with database.writing.begin() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_every_statement_is_one_and_reads_by_index(server: Server, postgresql_url: str) -> None:
    """The server takes every statement, and could answer each without looking through a table that grows."""
    with closing(open_database(postgresql_url)) as database, database.writing.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        connection.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
        for module in MODULES:
            for name, statement in vars(module).items():
                if isinstance(statement, Statement) and (module, name) not in ONCE:
                    text, count = numbered(statement.text(connection))
                    connection.exec_driver_sql(f"PREPARE it AS {text}")
                    nulls = f"({', '.join(['NULL'] * count)})" if count else ""
                    plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN EXECUTE it {nulls}")]
                    connection.exec_driver_sql("DEALLOCATE it")
                    scanned = {found[1] for line in plan if (found := re.search(r"Seq Scan on (\w+)", line))}
                    assert scanned <= SMALL, f"{module.__name__}.{name}: {plan}"


def numbered(text: str) -> tuple[str, int]:
    """SQL with the parameters of PREPARE in place of those of the driver, and how many there are."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    return re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", text), len(names)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
@pytest_twisted.ensureDeferred
async def test_a_server_that_may_lose_commits(server: Server, postgresql_url: str, setting: str, told: list[str]) -> None:
    """A server without one of the settings that durability needs is refused, or accepted with one warning."""
    server.restart(**{setting: "off"})
    assert f"set {setting} to on" in failure_of(postgresql_url)
    await starts(postgresql_url, unsafe=True)
    assert told == [f"warn: {name_of(postgresql_url)} may lose what it has committed: {setting} is off"]


@pytest.mark.parametrize("place", ["role", "database", "url"])
@pytest_twisted.ensureDeferred
async def test_commits_that_are_not_waited_for(server: Server, postgresql_url: str, place: str, told: list[str]) -> None:
    """synchronous_commit=off is refused wherever it comes from; any value that waits for our own disk is taken."""

    def url(value: str) -> str:
        if place == "url":
            return f"{postgresql_url}?options=-csynchronous_commit%3D{value}"
        what = f"ROLE {ROLE}" if place == "role" else f"DATABASE {postgresql_url.rpartition('/')[2]}"
        with server.admin() as connection:
            connection.execute(f"ALTER {what} SET synchronous_commit = '{value}'")
        return postgresql_url

    try:
        assert "set synchronous_commit to on" in failure_of(url("off"))
        await starts(url("off"), unsafe=True)
        await starts(url("local"))
        assert told == [f"warn: {name_of(postgresql_url)} may lose what it has committed: synchronous_commit is off"]
    finally:
        with server.admin() as connection:
            connection.execute(f"ALTER ROLE {ROLE} RESET ALL")


def test_a_key_is_needed(postgresql_url: str) -> None:
    """Without a secret key the line says how to make one."""
    for missing in (None, ""):
        line = failure_of(postgresql_url, missing)
        assert "OCPPD_SECRET_KEY" in line
        assert "openssl rand -base64 32" in line


def test_what_cannot_be_reached(server: Server, postgresql_url: str) -> None:
    """A wrong password, an unknown database or user, no server: each is one line that says so."""
    name = postgresql_url.rpartition("/")[2]
    assert "password authentication failed" in failure_of(server.url(name, password="hush-hush-hush"))
    assert "password authentication failed" in failure_of(server.url(name, role="nobody"))
    assert 'database "nowhere" does not exist' in failure_of(server.url("nowhere"))
    nobody = postgresql_url.replace(str(server.port), str(free_port()))
    assert "must be able to reach the server" in failure_of(nobody)
    assert f"{name_of(postgresql_url)} cannot be used" in failure_of(server.url(name, password="x"))
    server.pause()
    assert "timeout" in failure_of(postgresql_url)


@pytest.mark.parametrize(("query", "line"), [("colour=blue", "no colour="), ("sslmode=maybe", 'invalid sslmode value: "maybe"')])
def test_parameters_that_make_no_sense(postgresql_url: str, query: str, line: str) -> None:
    """A parameter or value that libpq does not know is named."""
    assert line in failure_of(f"{postgresql_url}?{query}")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgres+psycopg"])
@pytest_twisted.ensureDeferred
async def test_spellings_of_a_url(postgresql_url: str, scheme: str) -> None:
    """All that PostgreSQL's URLs begin with elsewhere means psycopg 3 here; parameters of libpq may be given."""
    storage = await starts(postgresql_url.replace("postgresql+psycopg", scheme) + "?application_name=mine&sslmode=prefer")
    assert not storage.shared  # known while it runs


@pytest_twisted.ensureDeferred
async def test_sockets_and_several_hosts(server: Server, postgresql_url: str) -> None:
    """A server may be named by the directory of its socket; of several hosts the one that answers is taken."""
    name = postgresql_url.rpartition("/")[2]
    await starts(f"postgresql://{ROLE}@/{name}?host={server.directory}&port={server.port}")
    nobody = free_port()
    await starts(f"postgresql://{ROLE}:{PASSWORD}@/{name}?host=127.0.0.1:{nobody}&host=127.0.0.1:{server.port}")


def test_without_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where psycopg is not installed the line says how to install it."""
    for module in [name for name in sys.modules if name.partition(".")[0] in ("psycopg", "psycopg_binary")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "ocppd.storage.postgresql")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'ocppd[postgres]'" in failure_of(f"postgresql://u:{PASSWORD}@h/d")


def test_another_programs_database(server: Server, empty: str) -> None:
    """A database with other tables in our schema is refused, and not changed."""
    with server.admin(empty) as connection:
        connection.execute("CREATE TABLE songs (title text)")
    assert "belongs to another program" in failure_of(server.url(empty))
    with server.admin(empty) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert found == [("songs",)]


@pytest_twisted.ensureDeferred
async def test_other_schemas_are_none_of_our_business(server: Server, empty: str) -> None:
    """Only the first schema of the search path is looked at, even where another one has revisions, too."""
    with server.admin(empty) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num text)")
        connection.execute("INSERT INTO alembic_version VALUES ('theirs')")
        connection.execute(f"CREATE SCHEMA ours AUTHORIZATION {ROLE}")
    await starts(server.url(empty, options="-csearch_path=ours,public"))
    with server.admin(empty) as connection:
        ours = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'ours'").fetchone()
        theirs = connection.execute("SELECT version_num FROM public.alembic_version").fetchall()
    assert ours == (len(metadata.tables) + 1,)
    assert theirs == [("theirs",)]
    assert "has no schema of the search_path" in failure_of(server.url(empty, options="-csearch_path=none"))


def test_a_schema_that_is_not_ours_to_fill(server: Server, empty: str) -> None:
    """A user who may not create tables is told so."""
    with server.admin(empty) as connection:
        connection.execute("ALTER SCHEMA public OWNER TO postgres")
        connection.execute("REVOKE ALL ON SCHEMA public FROM public")
        connection.execute(f"GRANT USAGE ON SCHEMA public TO {ROLE}")
    assert "let the user of --database create tables" in failure_of(server.url(empty))


def test_an_encoding_that_cannot_hold_every_text(server: Server) -> None:
    """A database that is not in UTF-8 is refused: chargers send any text."""
    with server.admin() as connection:
        connection.execute(f"CREATE DATABASE latin OWNER {ROLE} ENCODING 'LATIN1' TEMPLATE template0")
    try:
        assert "ENCODING 'UTF8'" in failure_of(server.url("latin"))
    finally:
        server.drop("latin")


@pytest.mark.parametrize("nodes", [2, 5])
@pytest_twisted.ensureDeferred
async def test_nodes_that_start_at_once(server: Server, empty: str, nodes: int) -> None:
    """Several nodes that find an empty database all start: one makes the tables, the others wait for it."""
    storages = [SqlStorage(server.url(empty), reactor, SECRET_KEY, node=f"node {number}") for number in range(nodes)]
    failures: list[BaseException] = []

    def start(storage: SqlStorage) -> None:
        try:
            storage.start()
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=start, args=(storage,)) for storage in storages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert failures == []
    try:
        assert all(storage.shared for storage in storages)
        for storage in storages:
            await storage.message_received(inbound())
        assert await storages[0].message_received(inbound()) == nodes + 1
    finally:
        for storage in storages:
            await storage.stop()


START = """
import sys
from twisted.internet import reactor
from ocppd.storage.sql_storage import SqlStorage
storage = SqlStorage(sys.argv[1], reactor, "a key for tests, not for anything else")
sys.stdin.readline()
storage.start()
storage.stop().addCallback(lambda _: reactor.stop())
reactor.run()
"""


def test_processes_that_start_at_once(server: Server, empty: str) -> None:
    """Five processes that find an empty database all start and stop."""
    command = [sys.executable, "-c", START, server.url(empty)]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"now\n")
        process.stdin.flush()
    for process in running:
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (0, b"")
    with psycopg.connect(server.url(empty).replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_a_server_that_hangs_while_it_is_asked(server: Server, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that goes silent between two questions of the start ends it after the deadline."""
    monkeypatch.setattr(postgresql, "DEADLINE_S", 0.3)
    with closing(open_database(postgresql_url)) as database:
        with database.connected(database.writing):
            pass
        server.pause()
        with pytest.raises(StartFailed, match=r"did not answer within 0\.3 s"):
            database.prepare(SECRET_KEY, 1)
