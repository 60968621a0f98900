"""An open database, as the writer, the readers and the migrations see it. Knows no product and no use case.

`sqlite` and `postgresql` say what a product does in its own way; `engine` chooses between them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ocppd.errors import StartFailed
from ocppd.storage.migrate import migrate
from ocppd.storage.probe import written
from ocppd.storage.secrets import Secrets
from ocppd.storage.unit import Unit

T = TypeVar("T")

#: Reads at the same time. They are operators', and Python runs one thread at a time.
READERS = 4


class Trouble(Enum):
    """What an error means for those who wait for its transaction."""

    #: It was undone for certain, for the sake of another node's: the same again may succeed.
    CONFLICT = auto()
    #: This connection is gone: the same on another one may succeed, if it was not being committed.
    BROKEN = auto()
    #: Nobody is there, or answers in time: whoever comes next is not to wait for it.
    AWAY = auto()
    #: The database answers, and cannot do it: it is full, locked, read only.
    REFUSAL = auto()
    #: It is none of the database's doing.
    BUG = auto()


class Unreachable(Exception):
    """No connection could be made; its cause says why."""


class Database(ABC):
    """An open database."""

    #: The engine of the one connection that writes.
    writing: Engine
    #: That of the connections that read; None where reads go through the writer's.
    reading: Engine | None = None
    #: Whether a commit outlives the process.
    durable = True
    #: Whether other nodes may use these records, too.
    shared = False
    #: What operators know it by, without any password.
    name: str

    def prepare(self, secret_key: str | None, probe_id: int) -> Secrets:
        """Migrate it, see that it can be written, and get its secrets ready. Raises StartFailed."""
        try:
            migrate(self)
            with self.transaction(self.writing) as connection:
                written(Unit(connection), probe_id)
        except (Unreachable, SQLAlchemyError, self.writing.dialect.loaded_dbapi.Error, OSError) as error:
            raise self.unusable(reason(error)) from error
        return self.secrets(secret_key)

    def first_read(self, read: Callable[[Unit], T]) -> T:
        """What `read` gives, blocking. Raises StartFailed."""
        try:
            with self.transaction(self.writing) as connection:
                return read(Unit(connection))
        except (Unreachable, SQLAlchemyError, self.writing.dialect.loaded_dbapi.Error, OSError) as error:
            raise self.unusable(reason(error)) from error

    @contextmanager
    def connected(self, engine: Engine) -> Iterator[Connection]:
        """A connection for a transaction or two. Raises what `trouble` knows, and leaves none open then."""
        try:
            connection = engine.connect()
        except Exception as error:
            raise Unreachable from error
        with connection, self.guarded(connection):
            yield connection

    @contextmanager
    def transaction(self, engine: Engine) -> Iterator[Connection]:
        """A transaction, committed at the end."""
        with self.connected(engine) as connection:
            running = connection.begin()
            yield connection
            running.commit()

    def close(self) -> None:
        """Close all connections."""
        if self.reading is not None:
            self.reading.dispose()
        self.writing.dispose()

    @abstractmethod
    @contextmanager
    def guarded(self, connection: Connection) -> Iterator[None]:
        """Within it the database answers in time, or what waits for it fails. After an error no transaction is open."""

    def trouble(self, error: BaseException | None) -> Trouble:
        """What this error of `connected` means."""
        if isinstance(error, Unreachable):
            return Trouble.AWAY
        return self.driver_trouble(getattr(error, "orig", None) or error)

    @abstractmethod
    def driver_trouble(self, error: BaseException | None) -> Trouble:
        """What this error of the driver means, or of anybody else."""

    @abstractmethod
    def unusable(self, reason: str) -> StartFailed:
        """What to tell an operator whose database cannot be opened or written."""

    @abstractmethod
    def secrets(self, secret_key: str | None) -> Secrets:
        """What encrypts with this key, or with the database's own where none is given. Raises StartFailed."""

    def schema(self, connection: Connection) -> str | None:
        """The schema of our tables, where the product has schemas. Raises StartFailed."""
        return None

    @abstractmethod
    def lock_tables(self, connection: Connection) -> None:
        """Wait until nobody else makes or changes tables, and let nobody until the transaction ends."""

    @abstractmethod
    def take_time(self, connection: Connection) -> None:
        """Let the rest of the transaction take as long as it takes."""

    def back_up(self, revision: str) -> Path | None:
        """Copy it before it is upgraded from `revision`; None where that is left to the operator."""
        return None


def reason(error: BaseException | None) -> str:
    """What went wrong, in one line: without the values of a statement, and without hints."""
    if isinstance(error, Unreachable):
        error = error.__cause__
    if isinstance(error, DBAPIError):
        error = error.orig or error
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return " ".join((str(primary or error).strip() or repr(error)).splitlines()[0].split())
