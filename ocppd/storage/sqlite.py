"""All that is SQLite's own: connections, PRAGMAs, the lock, the backup. Knows no table.

A database file has companions beside it: `-wal` and `-shm` (SQLite's), `.lock`, `.key` and `.<revision>.backup` (ours).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from ocppd.errors import StartFailed
from ocppd.storage.database import READERS, Database, Trouble, Unreachable, reason
from ocppd.storage.files import companion, sync_directory
from ocppd.storage.secrets import Secrets

#: RETURNING came with 3.35, the functions of JSON became a part of each build with 3.38.
OLDEST = (3, 38, 0)

#: Only an operator's own tool can hold the write lock of our file; give it this long to finish.
BUSY_TIMEOUT_MS = 5_000

#: Pages of 4 KiB in the write-ahead log before they are brought into the file: a page that changes often is then written
#: there once for many commits. The log stays on the disk with this size, 40 MiB.
CHECKPOINT_PAGES = 10_000
#: What it is cut back to when it begins anew: somebody who read for long, as a backup does, has let it grow beyond that. It is
#: more than commits let it grow to while it is being written back: to make it grow again each time would cost them.
LOG_BYTES = 64 * 1024 * 1024
#: What the connection that writes keeps in memory: the ends of the indexes, which it changes with every message.
CACHE_KIB = 64 * 1024
#: The same for each connection that reads. What it keeps counts until the next commit only, and one statement goes over few
#: pages twice; SQLite's own default is four times as much for each.
READING_CACHE_KIB = 512
#: Statements that stay prepared: some two hundred are in use, as those of many rows are there in nine sizes.
PREPARED = 512
#: Parameters of a URL, which SQLAlchemy hands to the driver.
Query = Mapping[str, str | tuple[str, ...]]
#: Those that change neither what the path means nor what is written how; ocppd sets the others itself.
PARAMETERS = ("timeout", "cached_statements")
_NO_PARAMETERS: Query = {}


class SqliteDatabase(Database):
    """A database file that this process alone uses, or one in memory."""

    def __init__(self, url: URL) -> None:
        """Take hold of the file, and make it where it is missing. Raises StartFailed."""
        #: The connection that writes: taking it from its pool for each commit would take as long as several messages.
        self._held: Connection | None = None
        self._path = path = file_of(url)
        self._lock: int | None = None
        if sqlite3.sqlite_version_info < OLDEST:
            raise StartFailed(
                f"SQLite {sqlite3.sqlite_version} is too old: {'.'.join(map(str, OLDEST))} is needed. Use a Python with a newer "
                "one, or PostgreSQL (--database postgresql://…)"
            )
        if path is None:
            self.name = "database in memory"
            self.durable = False
            self.writing = memory_engine()
            return
        self.name = f"database {path}"
        self._lock = lock(path)
        try:
            create(path)
        except OSError as error:
            os.close(self._lock)
            raise unusable(path, reason(error)) from error
        self.writing = writing_engine(path, url.query)
        self.reading = reading_engine(path, url.query)

    def close(self) -> None:
        """Close all connections, then let go of the file."""
        self._let_go()
        super().close()
        if self._lock is not None:
            os.close(self._lock)

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    @contextmanager
    def connected(self, engine: Engine) -> Iterator[Connection]:
        """See `Database.connected`. The one that writes is kept until something goes wrong; a thread at a time has it."""
        if engine is not self.writing:
            with super().connected(engine) as connection:
                yield connection
            return
        if self._held is None or self._held.closed or self._held.in_transaction():
            self._let_go()
            try:
                self._held = engine.connect()
            except Exception as error:
                raise Unreachable from error
        try:
            with self.guarded(self._held):
                yield self._held
        except BaseException:
            self._let_go()
            raise

    @contextmanager
    def guarded(self, connection: Connection) -> Iterator[None]:
        """See `Database.guarded`. SQLite answers in time, or says that it is locked."""
        try:
            yield
        except BaseException:
            # After a COMMIT that failed SQLAlchemy takes the transaction for ended, and SQLite does not.
            connection.connection.rollback()
            raise

    def driver_trouble(self, error: BaseException | None) -> Trouble:
        """See `Database.driver_trouble`. Nobody else writes, and there is no connection to lose."""
        return Trouble.REFUSAL if isinstance(error, sqlite3.OperationalError) else Trouble.BUG

    def unusable(self, reason: str) -> StartFailed:
        return unusable(self._path, reason)

    def secrets(self, secret_key: str | None) -> Secrets:
        """See `Database.secrets`: the own key is in a file beside the database."""
        if secret_key:
            return Secrets.from_text(secret_key)
        return Secrets.random() if self._path is None else Secrets.beside(self._path)

    def lock_tables(self, connection: Connection) -> None:
        """See `Database.lock_tables`. The file is ours, and a transaction that writes is alone from its begin on."""

    def take_time(self, connection: Connection) -> None:
        """See `Database.take_time`. Nothing limits it."""

    def back_up(self, revision: str) -> Path | None:
        return None if self._path is None else back_up(self._path, revision)


def file_of(url: URL) -> Path | None:
    """The database file of a `sqlite:` URL, None for one in memory. Raises StartFailed."""
    if url.host:
        raise StartFailed(f"database URL {url.render_as_string()}: write sqlite:///relative/path or sqlite:////absolute/path")
    for name in url.query:
        if name not in PARAMETERS:
            known = " and ".join(PARAMETERS)
            raise StartFailed(f"database URL {url.render_as_string()}: leave out {name}=; only {known} may be set")
    if url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database)).absolute()


def memory_engine() -> Engine:
    """An engine over one database in memory, with one connection for everything."""
    engine = create_engine(
        "sqlite://",
        paramstyle="named",
        hide_parameters=True,
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "cached_statements": PREPARED},
    )
    _prepare(engine, ("PRAGMA foreign_keys=ON",))
    return engine


def writing_engine(path: Path, query: Query = _NO_PARAMETERS) -> Engine:
    """The engine of the one connection that writes.

    WAL lets readers read meanwhile; synchronous=FULL makes each commit durable before it returns.
    """
    engine = _file_engine(path, query, 1)
    _prepare(
        engine,
        (
            f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
            f"PRAGMA journal_size_limit={LOG_BYTES}",
            f"PRAGMA cache_size=-{CACHE_KIB}",
            "PRAGMA foreign_keys=ON",
        ),
    )
    return engine


def reading_engine(path: Path, query: Query = _NO_PARAMETERS) -> Engine:
    """The engine of the connections that read, and cannot write."""
    engine = _file_engine(path, query, READERS)
    _prepare(
        engine,
        (f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}", f"PRAGMA cache_size=-{READING_CACHE_KIB}", "PRAGMA query_only=ON"),
        begin="BEGIN",
    )
    return engine


def _file_engine(path: Path, query: Query, connections: int) -> Engine:
    return create_engine(
        URL.create("sqlite", database=str(path), query={"cached_statements": str(PREPARED), **query}),
        paramstyle="named",
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )


def _prepare(engine: Engine, pragmas: tuple[str, ...], begin: str = "BEGIN IMMEDIATE") -> None:
    """Set PRAGMAs on each new connection and begin transactions ourselves.

    Left alone, the driver begins late, deferred, and not at all before a SELECT, a SAVEPOINT or DDL.
    """

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def create(path: Path) -> None:
    """Make an empty database file, for its owner only, where there is none; SQLite gives its companions the same mode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def lock(path: Path) -> int:
    """Take `<file>.lock`; the descriptor that holds it until it is closed or the process ends. Raises StartFailed."""
    beside = companion(path, ".lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartFailed(f"database {path}: cannot open {beside}: {error.strerror}; {_remedy(path)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StartFailed(
            f"database {path} is in use by another ocppd (pid {holder}); stop that one or choose another --database"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _remedy(path: Path) -> str:
    if not path.parent.is_dir():
        return f"create the directory {path.parent} first"
    return f"ocppd must be able to write in {path.parent}"


def unusable(path: Path | None, what: str) -> StartFailed:
    """What to tell an operator whose database cannot be opened or written."""
    if "not a database" in what or "malformed" in what:
        advice = "choose another --database or restore a backup"
    elif "full" in what:
        advice = "free some space on that disk"
    elif "locked" in what:
        advice = "end the program that has it open"
    else:
        advice = "ocppd must be able to read and write it and its directory"
    return StartFailed(f"database {path or 'in memory'} cannot be used: {what}; {advice}")


def back_up(path: Path, revision: str) -> Path:
    """Copy the database, as of its last commit, to a new file beside it, and return that.

    An older backup is never overwritten. Raises OSError or sqlite3.Error.
    """
    partial = companion(path, f".{revision}.backup.partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (str(partial),))
    partial.chmod(path.stat().st_mode & 0o777)
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    backup = _free_name(path, revision)
    partial.rename(backup)
    sync_directory(path.parent)
    return backup


def _free_name(path: Path, revision: str) -> Path:
    """A name that no file has; ours to take, as we hold the lock."""
    name, number = companion(path, f".{revision}.backup"), 1
    while name.exists():
        number += 1
        name = companion(path, f".{revision}.backup.{number}")
    return name
