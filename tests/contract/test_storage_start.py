"""What a database file needs to be started with, and how it is migrated."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import pytest_twisted
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from twisted.internet import reactor

import ocppd.storage.migrations
from ocppd.errors import StartFailed
from ocppd.storage import sqlite
from ocppd.storage.migrate import migrate
from ocppd.storage.schema import metadata
from ocppd.storage.sql_storage import SqlStorage
from support.storing import inbound

SECOND = """
revision = "0002"
down_revision = "0001"
from alembic import op
import sqlalchemy as sa


def upgrade():
    op.add_column("chargers", sa.Column("colour", sa.Text()))
"""


@pytest.fixture
def newer_scripts(tmp_path: Path) -> str:
    """The revisions of a later program: ours and one more."""
    folder = tmp_path / "newer"
    shutil.copytree(Path(ocppd.storage.migrations.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "v0002_colour.py").write_text(SECOND)
    return str(folder)


async def filled(url: str) -> None:
    """Make a database with one message."""
    storage = SqlStorage(url, reactor)
    storage.start()
    await storage.message_received(inbound(message_id="kept"))
    await storage.stop()


def failure_of(url: str) -> str:
    """The line of a start that fails."""
    storage = SqlStorage(url, reactor)
    with pytest.raises(StartFailed) as caught:
        storage.start()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_revisions_make_the_tables_of_the_schema() -> None:
    """A database that was migrated from nothing is what `schema` says."""
    engine = sqlite.memory_engine()
    migrate(engine, None)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        made = dict(connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE name LIKE '%\\_%' ESCAPE '\\'").all())
    plain = sqlite.memory_engine()
    with plain.begin() as connection:
        metadata.create_all(connection)
        wanted = dict(connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE name LIKE '%\\_%' ESCAPE '\\'").all())
    assert {name: squeezed(made[name]) for name in wanted} == {name: squeezed(sql) for name, sql in wanted.items()}
    engine.dispose()
    plain.dispose()


def squeezed(sql: str | None) -> str:
    """SQL without its layout."""
    return re.sub(r"\s+", "", sql or "")


@pytest_twisted.ensureDeferred
async def test_an_old_database_is_backed_up_and_migrated(file_url: str, tmp_path: Path, newer_scripts: str) -> None:
    """Before an upgrade a copy is kept beside the database; an older copy is never overwritten."""
    await filled(file_url)
    path = tmp_path / "ocppd.sqlite"
    earlier = tmp_path / "ocppd.sqlite.0001.backup"
    earlier.write_text("precious")
    engine = sqlite.writing_engine(path)
    migrate(engine, path, newer_scripts)
    engine.dispose()
    assert earlier.read_text() == "precious"
    backup = sqlite3.connect(tmp_path / "ocppd.sqlite.0001.backup.2")
    assert backup.execute("SELECT message_id FROM messages").fetchall() == [("kept",)]
    assert backup.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    backup.close()
    upgraded = sqlite3.connect(path)
    assert upgraded.execute("SELECT message_id FROM messages").fetchall() == [("kept",)]
    assert upgraded.execute("SELECT version_num FROM alembic_version").fetchall() == [("0002",)]
    upgraded.close()


@pytest_twisted.ensureDeferred
async def test_a_newer_database_is_refused(file_url: str, tmp_path: Path, newer_scripts: str) -> None:
    """A database that a later program wrote is left as it is."""
    await filled(file_url)
    path = tmp_path / "ocppd.sqlite"
    engine = sqlite.writing_engine(path)
    migrate(engine, path, newer_scripts)
    engine.dispose()
    assert "newer ocppd (revision 0002)" in failure_of(file_url)


@pytest_twisted.ensureDeferred
async def test_a_failing_revision_changes_nothing(file_url: str, tmp_path: Path, newer_scripts: str) -> None:
    """Where a revision fails the whole upgrade is rolled back, and the program before it still starts."""
    await filled(file_url)
    with (Path(newer_scripts) / "versions" / "v0002_colour.py").open("a") as script:
        script.write('    op.execute("SELECT nonsense FROM nowhere")\n')
    path = tmp_path / "ocppd.sqlite"
    engine = sqlite.writing_engine(path)
    with pytest.raises(Exception, match="nowhere"):
        migrate(engine, path, newer_scripts)
    engine.dispose()
    storage = SqlStorage(file_url, reactor)
    storage.start()
    assert await storage.read_message("kept") is not None
    await storage.stop()


@pytest_twisted.ensureDeferred
async def test_a_current_database_is_not_backed_up(file_url: str, tmp_path: Path) -> None:
    """Starting again makes no backup."""
    await filled(file_url)
    storage = SqlStorage(file_url, reactor)
    storage.start()
    await storage.stop()
    assert not list(tmp_path.glob("*.backup*"))


@pytest_twisted.ensureDeferred
async def test_a_database_has_one_process(file_url: str) -> None:
    """A second start on the same file fails and names the process; after the first has stopped it may start."""
    storage = SqlStorage(file_url, reactor)
    storage.start()
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
    assert "holds no key" in failure_of(file_url)
    assert (tmp_path / "ocppd.sqlite.key").read_text() == "torn"


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql://u:hush@h/d", "SQLite"),
        ("postgresql+psycopg://u:hush@h/d", "SQLite"),
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
