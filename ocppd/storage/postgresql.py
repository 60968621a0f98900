"""All that is PostgreSQL's own: connections that do not wait for ever, what a server must be set to, errors. Knows no table.

https://www.postgresql.org/docs/current/wal-async-commit.html says what `fsync`, `full_page_writes` and
`synchronous_commit` are for. Importing this module needs psycopg.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel, errors
from psycopg.abc import PQGen
from psycopg.pq import Conninfo, TransactionStatus
from psycopg.waiting import Ready, Wait
from sqlalchemy import URL, Connection, Engine, Integer, create_engine, text
from twisted.logger import Logger

from ocppd.errors import StartFailed
from ocppd.storage.database import READERS, Database, Trouble
from ocppd.storage.secrets import Secrets

T = TypeVar("T")

#: A transaction that has not been answered by then has failed: a charger's patience is some 30 s, an operator's less.
DEADLINE_S = 5.0

#: What a connection is made with where the URL says nothing else; the names are libpq's.
PARAMETERS = {
    "application_name": "ocppd",
    # The least that psycopg takes is 2.
    "connect_timeout": "2",
    # Of several hosts, the one that takes writes; reads must see what was written before.
    "target_session_attrs": "read-write",
    "keepalives_idle": "10",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": str(round(DEADLINE_S * 1000)),
}
#: What the server is told for a session. It gives up shortly before we do, so that the connection lives on; it lets go of
#: the locks of a node that was paused within a transaction.
SETTINGS = {
    "statement_timeout": f"{round(DEADLINE_S * 1000) - 500}ms",
    # Above the server's deadlock_timeout of 1 s, so that a deadlock is told as one.
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
}
#: Settings of a server that may lose what it has committed where one of them is off.
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
#: Upgrading a great database takes its time.
MIGRATION_S = 6 * 3600.0
#: How long to wait before asking again whether another node is done with that.
LOCK_PAUSE_S = 0.1
#: "ocppd". Taken by who makes or changes tables.
_MIGRATION_LOCK = int.from_bytes(b"ocppd", "big")

#: SQLSTATEs of a transaction that was undone for others' sake, even where that is told in answer to its COMMIT:
#: serialization_failure, deadlock_detected, idle_in_transaction_session_timeout.
_UNDONE = ("40001", "40P01", "25P03")
#: Of a session that was ended: an operator's command, a crash, a stop or start of the server, idle_session_timeout.
_ENDED = ("57P01", "57P02", "57P03", "57P05")
_CANCELLED = "57014"

# What they would print of a lost connection, the writer tells in one line.
for _name in ("psycopg", "sqlalchemy.pool"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


_EVENTS = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}


def _ready(events: int) -> Ready:
    """What poll(2) tells, in psycopg's words; what is broken can be read, and tells so then."""
    if events & ~select.POLLOUT:
        return Ready.RW if events & select.POLLOUT else Ready.R
    return Ready.W


class Unanswered(psycopg.OperationalError):
    """The server did not answer in time."""


class Unfit(psycopg.OperationalError):
    """The server is set up in a way that makes it useless for our records."""


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits until `deadline` only, by `time.monotonic`; without one, for DEADLINE_S at a time.

    libpq alone would wait for ever where a server is paused or cut off.
    """

    deadline: float | None = None

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """See `psycopg.Connection.wait`: do what the steps of `gen` ask for, until they are done.

        Raises Unanswered at the deadline; the connection is closed then.
        """
        deadline = self.deadline if self.deadline is not None else monotonic() + DEADLINE_S
        descriptor, poll, watched = self.pgconn.socket, select.poll(), None
        try:
            wanted = next(gen)
            while True:
                if wanted != watched:
                    poll.register(descriptor, _EVENTS[wanted])
                    watched = wanted
                happened = poll.poll(max(0.0, deadline - monotonic()) * 1000)
                if not happened:
                    self.close()
                    raise Unanswered(f"the server did not answer within {DEADLINE_S:g} s")
                wanted = gen.send(_ready(happened[0][1]))
        except StopIteration as done:
            result: T = done.value
            return result
        except BaseException:
            with suppress(Exception):  # whatever it still wanted to say to the server
                gen.close()
            raise

    def commit(self) -> None:
        """See `psycopg.Connection.commit`. Raises where the server would answer COMMIT with a rollback, and no error."""
        if self.info.transaction_status is TransactionStatus.INERROR:
            raise errors.InFailedSqlTransaction("a statement of this transaction failed")
        super().commit()


class PostgresqlDatabase(Database):
    """A database on a server, which other nodes may use, too."""

    shared = True
    _log = Logger()

    def __init__(self, url: URL, *, unsafe: bool = False) -> None:
        """Connects to nothing yet. Raises StartFailed for a parameter that libpq does not know."""
        _check_parameters(url)
        # Neither the URL's user nor its parameters, which may be secret.
        shown = URL.create("postgresql", host=url.host, port=url.port, database=url.database)
        self.name = f"database {shown.render_as_string()}"
        self._unsafe = unsafe
        self._lax: tuple[str, ...] = ()
        self.writing = _engine(url, 1, self._prepare_writing)
        self.reading = _engine(url, READERS, _prepare_reading)

    def _prepare_writing(self, session: Session) -> None:
        """Raises Unfit where the server would not keep every text, or, unless that is accepted, not all that is committed."""
        found = _prepare(session)
        if found["server_encoding"] != "UTF8":
            raise Unfit(f"its encoding is {found['server_encoding']}; create it with ENCODING 'UTF8' TEMPLATE template0")
        self._lax = tuple(name for name in DURABLE if found[name] == "off")
        if self._lax and not self._unsafe:
            names = " and ".join(self._lax)
            raise Unfit(f"it may lose what it has committed: set {names} to on, or accept that by --unsafe-database")
        session.isolation_level = IsolationLevel.READ_COMMITTED

    def prepare(self, secret_key: str | None, probe_id: int) -> Secrets:
        """See `Database.prepare`. Warns where a server is accepted that may lose what it has committed."""
        self.secrets(secret_key)  # without a key there is no need to connect
        secrets = super().prepare(secret_key, probe_id)
        if self._lax:
            names = " and ".join(self._lax)
            self._log.warn("{where} may lose what it has committed: {names} is off", where=self.name, names=names)
        return secrets

    def secrets(self, secret_key: str | None) -> Secrets:
        """See `Database.secrets`. Beside a database on a server there is no place for a key."""
        if not secret_key:
            raise StartFailed(
                "PostgreSQL needs a key for secrets in the environment variable OCPPD_SECRET_KEY, the same on every node; "
                "openssl rand -base64 32 makes one"
            )
        return Secrets.from_text(secret_key)

    def schema(self, connection: Connection) -> str:
        """See `Database.schema`. The first of the search path: what is in others is not ours."""
        found = connection.execute(text("SELECT current_schema()")).scalar()
        if found is None:
            raise StartFailed(f"{self.name} has no schema of the search_path; create one for the user of --database")
        return str(found)

    def lock_tables(self, connection: Connection) -> None:
        """See `Database.lock_tables`. Asks again and again, so that a server that goes silent meanwhile is noticed."""
        session, pause = _session(connection), Event()
        while not connection.execute(text(f"SELECT pg_try_advisory_xact_lock({_MIGRATION_LOCK})")).scalar():
            pause.wait(LOCK_PAUSE_S)
            session.deadline = monotonic() + DEADLINE_S

    def take_time(self, connection: Connection) -> None:
        """See `Database.take_time`."""
        _session(connection).deadline = monotonic() + MIGRATION_S
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))

    @contextmanager
    def guarded(self, connection: Connection) -> Iterator[None]:
        """See `Database.guarded`. A connection that broke is thrown away."""
        session = _session(connection)
        session.deadline = monotonic() + DEADLINE_S
        try:
            yield
        except BaseException:
            _roll_back(session)
            raise
        finally:
            session.deadline = None
            if session.closed:
                connection.invalidate()

    def driver_trouble(self, error: BaseException | None) -> Trouble:
        if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError):
            return Trouble.BUG
        if isinstance(error, Unanswered) or error.sqlstate == _CANCELLED:
            return Trouble.AWAY
        if error.sqlstate in _UNDONE:
            return Trouble.CONFLICT
        ended = error.sqlstate is None or error.sqlstate in _ENDED or error.sqlstate.startswith("08")
        return Trouble.BROKEN if ended and not isinstance(error, errors.PipelineAborted) else Trouble.REFUSAL

    def unusable(self, reason: str) -> StartFailed:
        advice = next((advice for sign, advice in _ADVICE if sign in reason), "its log may say more")
        return StartFailed(f"{self.name} cannot be used: {reason}; {advice}")


#: What a message of libpq or of the server begins to mean for an operator.
_ADVICE = (
    ("may lose", "https://www.postgresql.org/docs/current/runtime-config-wal.html"),
    ("encoding", "text of every language has to fit"),
    ("authentication failed", "check user and password of --database"),
    ("no password supplied", "give --database a password"),
    ("does not exist", "create it first, or choose another --database"),
    ("permission denied", "let the user of --database create tables in its schema"),
    ("read-only", "choose the server that takes writes"),
    ("connection failed", "ocppd must be able to reach the server"),
    ("timeout", "ocppd must be able to reach the server"),
    ("resolve host", "ocppd must be able to reach the server"),
)


def _engine(url: URL, connections: int, prepare: Callable[[Session], object]) -> Engine:
    """An engine over that many connections at most."""
    url = url.set(drivername="postgresql+psycopg")

    def connect() -> Session:
        _, parameters = engine.dialect.create_connect_args(url)
        session = Session.connect(**{**PARAMETERS, **parameters, "client_encoding": "UTF8"})
        try:
            prepare(session)
        except BaseException:
            session.close()
            raise
        return session

    engine = create_engine(
        url,
        creator=connect,
        hide_parameters=True,
        use_native_hstore=False,
        pool_size=connections,
        max_overflow=0,
    )
    # Left alone, an integer is cast to 32 bit where its column has no more; asking for a greater one would be an error.
    engine.dialect.colspecs = {kind: ours for kind, ours in engine.dialect.colspecs.items() if kind is not Integer}
    return engine


def _session(connection: Connection) -> Session:
    session = connection.connection.driver_connection
    assert isinstance(session, Session)
    return session


def _prepare(session: Session) -> dict[str, str]:
    """Tell the server our settings, in one round trip; what it says of its own."""
    names = (*DURABLE, "server_encoding")
    told = [f"set_config('{name}', '{value}', false)" for name, value in SETTINGS.items()]
    asked = [f"current_setting('{name}')" for name in names]
    session.deadline = monotonic() + DEADLINE_S
    session.autocommit = True
    row = session.execute(f"SELECT {', '.join(asked + told)}".encode()).fetchone()
    session.autocommit = False
    session.deadline = None
    return dict(zip(names, row or (), strict=False))


def _prepare_reading(session: Session) -> None:
    _prepare(session)
    session.read_only = True
    session.isolation_level = IsolationLevel.REPEATABLE_READ


def _roll_back(session: Session) -> None:
    if not session.closed:
        try:
            session.rollback()
        except psycopg.Error:
            session.close()


def _check_parameters(url: URL) -> None:
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    for name in url.query:
        if name not in known:
            raise StartFailed(f"database URL: PostgreSQL's client knows no {name}=; leave it out")
