"""What a database needs to be started with, and how it is migrated; files first of all."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from twisted.internet import reactor

import ocppd.storage.migrations
from ocppd.errors import StartFailed
from ocppd.storage import sqlite
from ocppd.storage.engine import open_database
from ocppd.storage.migrate import SCRIPTS, migrate
from ocppd.storage.schema import metadata
from ocppd.storage.sql_storage import SqlStorage
from support.postgresql import SECRET_KEY
from support.storing import inbound

_CONFIG = Config()
_CONFIG.set_main_option("script_location", SCRIPTS)
_CONFIG.set_main_option("path_separator", "os")
HEAD = ScriptDirectory.from_config(_CONFIG).get_current_head()
NEWER = f"""
revision = "9999"
down_revision = "{HEAD}"
from alembic import op
import sqlalchemy as sa


def upgrade():
    op.add_column("chargers", sa.Column("colour", sa.Text()))
"""
OURS = "SELECT name, sql FROM sqlite_master WHERE name LIKE '%\\_%' ESCAPE '\\'"

durable = pytest.mark.parametrize("url", ["file", "postgresql"], indirect=True)


@pytest.fixture
def newer_scripts(tmp_path: Path) -> Path:
    """The revisions of a later program: ours and one more."""
    folder = tmp_path / "newer"
    shutil.copytree(Path(ocppd.storage.migrations.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "v9999_colour.py").write_text(NEWER)
    return folder


def started(url: str) -> SqlStorage:
    """A running storage."""
    storage = SqlStorage(url, reactor, SECRET_KEY)
    storage.start()
    return storage


def test_sqlite_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python with an SQLite that lacks what the statements need is told so at the start, and makes no file."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    with pytest.raises(StartFailed, match=r"SQLite 3\.34\.1 is too old: 3\.38\.0 is needed.*PostgreSQL"):
        started(f"sqlite:///{tmp_path / 'ocppd.sqlite'}")
    assert list(tmp_path.iterdir()) == []


async def filled(url: str) -> None:
    """Make a database with one message."""
    storage = started(url)
    await storage.message_received(inbound(message_id="kept"))
    await storage.stop()


def upgrade(url: str, scripts: Path) -> None:
    """Do as a later program does."""
    with closing(open_database(url)) as database:
        migrate(database, str(scripts))


def failure_of(url: str) -> str:
    """The line of a start that fails."""
    storage = SqlStorage(url, reactor, SECRET_KEY)
    with pytest.raises(StartFailed) as caught:
        storage.start()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_revisions_make_the_tables_of_the_schema() -> None:
    """A database that was migrated from nothing has the tables and indexes that `schema` says, to the letter."""
    with closing(open_database("sqlite://")) as database:
        migrate(database)
        with database.writing.begin() as connection:
            made = tables(connection)
    plain = sqlite.memory_engine()
    with plain.begin() as connection:
        metadata.create_all(connection)
        wanted = tables(connection)
    plain.dispose()
    assert {name: made[name] for name in wanted} == wanted


def tables(connection: Connection) -> dict[str, str]:
    """The SQL of each table and index, without its layout."""
    return {name: re.sub(r"\s+", "", sql or "") for name, sql in connection.exec_driver_sql(OURS)}


@pytest_twisted.ensureDeferred
async def test_an_old_database_is_backed_up_and_migrated(file_url: str, tmp_path: Path, newer_scripts: Path) -> None:
    """Before an upgrade a copy is kept beside the database; an older copy is never overwritten."""
    await filled(file_url)
    earlier = tmp_path / f"ocppd.sqlite.{HEAD}.backup"
    earlier.write_text("precious")
    upgrade(file_url, newer_scripts)
    assert earlier.read_text() == "precious"
    for file, revision in ((f"ocppd.sqlite.{HEAD}.backup.2", HEAD), ("ocppd.sqlite", "9999")):
        with closing(sqlite3.connect(tmp_path / file)) as copy:
            assert copy.execute("SELECT message_id FROM messages").fetchall() == [("kept",)]
            assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]


@durable
@pytest_twisted.ensureDeferred
async def test_a_newer_database_is_refused(url: str, newer_scripts: Path) -> None:
    """A database that a later program wrote is left as it is."""
    await filled(url)
    upgrade(url, newer_scripts)
    assert "newer ocppd (revision 9999)" in failure_of(url)


@durable
@pytest_twisted.ensureDeferred
async def test_a_failing_revision_changes_nothing(url: str, newer_scripts: Path) -> None:
    """Where a revision fails the whole upgrade is rolled back, and the program before it still starts."""
    await filled(url)
    with (newer_scripts / "versions" / "v9999_colour.py").open("a") as script:
        script.write('    op.execute("SELECT nonsense FROM nowhere")\n')
    with pytest.raises(Exception, match="nowhere"):
        upgrade(url, newer_scripts)
    storage = started(url)
    assert await storage.read_message("kept") is not None
    await storage.stop()


@pytest_twisted.ensureDeferred
async def test_a_current_database_is_not_backed_up(file_url: str, tmp_path: Path) -> None:
    """Starting again makes no backup."""
    await filled(file_url)
    await started(file_url).stop()
    assert not list(tmp_path.glob("*.backup*"))


@pytest_twisted.ensureDeferred
async def test_a_database_has_one_process(file_url: str) -> None:
    """A second start on the same file fails and names the process; after the first has stopped it may start."""
    storage = started(file_url)
    assert f"in use by another ocppd (pid {os.getpid()})" in failure_of(file_url)
    await storage.stop()
    await filled(file_url)


def test_a_file_that_is_no_database(file_url: str, tmp_path: Path) -> None:
    """A file of another kind is refused, and so is the database of another program; neither is changed."""
    path = tmp_path / "ocppd.sqlite"
    path.write_text("Dear diary, " * 200)
    assert "not a database" in failure_of(file_url)
    assert path.read_text() == "Dear diary, " * 200
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (title TEXT)")
    other.close()
    assert "belongs to another program" in failure_of(file_url)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """A missing directory is named, and what to do about it."""
    assert f"create the directory {tmp_path / 'none'}" in failure_of(f"sqlite:///{tmp_path}/none/ocppd.sqlite")


def test_a_directory_in_place_of_the_file(tmp_path: Path) -> None:
    """A directory cannot be a database."""
    (tmp_path / "ocppd.sqlite").mkdir()
    assert "cannot be used" in failure_of(f"sqlite:///{tmp_path}/ocppd.sqlite")


def test_a_key_file_that_holds_no_key(file_url: str, tmp_path: Path) -> None:
    """A damaged key file stops the start; it is not replaced."""
    (tmp_path / "ocppd.sqlite.key").write_text("torn")
    with pytest.raises(StartFailed, match="holds no key"):
        SqlStorage(file_url, reactor).start()
    assert (tmp_path / "ocppd.sqlite.key").read_text() == "torn"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql+psycopg2://u:hush@h/d", "write sqlite:////absolute/path/of/ocppd.sqlite or postgresql+psycopg://"),
        ("postgresql+asyncpg://u:hush@h/d", "postgresql+asyncpg: this is not known"),
        ("postgresql+psycopg_async://u:hush@h/d", "postgresql+psycopg_async: this is not known"),
        ("mysql://u:hush@h/d", "mysql"),
        ("sqlite+aiosqlite:///x", "sqlite+aiosqlite"),
        ("sqlite://x/y", "sqlite:///relative/path"),
        ("sqlite:///x?mode=ro", "leave out mode="),
        ("sqlite:///x?uri=true", "leave out uri="),
        ("ocppd.sqlite", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_url_that_is_not_known(url: str, line: str) -> None:
    """A URL of another kind is refused with what to write, and without its password."""
    text = failure_of(url)
    assert line in text
    assert "hush" not in text


@pytest_twisted.ensureDeferred
async def test_files_are_for_their_owner(tmp_path: Path) -> None:
    """The database and what is beside it are readable for their owner only, whatever the umask."""
    before = os.umask(0)
    try:
        storage = SqlStorage(f"sqlite:///{tmp_path}/ocppd.sqlite", reactor)
        storage.start()
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
        await storage.stop()
    finally:
        os.umask(before)
    assert set(modes) >= {"ocppd.sqlite", "ocppd.sqlite-wal", "ocppd.sqlite.key", "ocppd.sqlite.lock"}
    assert set(modes.values()) == {"0o600"}


@pytest_twisted.ensureDeferred
async def test_parameters_of_the_url(tmp_path: Path) -> None:
    """Parameters that SQLAlchemy hands to the driver work, where they do not change what the path means."""
    storage = SqlStorage(f"sqlite:///{tmp_path}/ocppd.sqlite?timeout=7&cached_statements=50", reactor)
    storage.start()
    await storage.check()
    await storage.stop()


@pytest_twisted.ensureDeferred
async def test_the_log_is_cut_back(tmp_path: Path) -> None:
    """Somebody who reads for long lets the `-wal` file grow; when he is gone it is as large as before."""
    path, frame = tmp_path / "ocppd.sqlite", "x" * 2**20
    log = path.with_name("ocppd.sqlite-wal")
    storage = started(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchall()
        for _ in range(sqlite.LOG_BYTES // len(frame) + 5):
            await storage.message_received(inbound(frame=frame))
    grown = log.stat().st_size
    for _ in range(2):  # the first has all written back, the second begins the file anew
        await storage.message_received(inbound())
    left = log.stat().st_size
    await storage.stop()
    assert left <= sqlite.LOG_BYTES < grown - 4 * len(frame)
