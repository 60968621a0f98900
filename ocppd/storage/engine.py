"""From a database URL to what storage works with. The one place that chooses between database products."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ocppd.errors import StartFailed
from ocppd.storage import sqlite
from ocppd.storage.migrate import migrate
from ocppd.storage.probe import written
from ocppd.storage.secrets import Secrets
from ocppd.storage.unit import Unit


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. `reading` is None where reads go through the writer's connection."""

    writing: Engine
    reading: Engine | None
    path: Path | None
    lock: int | None

    @property
    def durable(self) -> bool:
        """Whether a commit outlives the process."""
        return self.path is not None

    def prepare(self, secret_key: str | None) -> Secrets:
        """Migrate it, see that it can be written, and get its secrets ready. Raises StartFailed."""
        try:
            migrate(self.writing, self.path)
            with self.writing.begin() as connection:
                written(Unit(connection))
        except (SQLAlchemyError, self.writing.dialect.loaded_dbapi.Error, OSError) as error:
            raise sqlite.unusable(self.path, error) from error
        if secret_key:
            return Secrets.from_text(secret_key)
        return Secrets.random() if self.path is None else Secrets.beside(self.path)

    def close(self) -> None:
        """Close all connections, then let go of the lock."""
        if self.reading is not None:
            self.reading.dispose()
        self.writing.dispose()
        if self.lock is not None:
            os.close(self.lock)


def open_database(url: str) -> Database:
    """Take hold of the database of this URL. Raises StartFailed; connects only later, in `Database.prepare`."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StartFailed("the database URL cannot be read; write sqlite:////absolute/path/of/ocppd.sqlite") from error
    product, _, driver = parsed.drivername.partition("+")
    if product in ("postgresql", "postgres"):
        raise StartFailed(
            "database URL postgresql: this version of ocppd keeps its records in SQLite; write sqlite:////absolute/path"
        )
    if product != "sqlite" or driver not in ("", "pysqlite"):
        raise StartFailed(
            f"database URL {parsed.drivername}: this is not known here; write sqlite:////absolute/path/of/ocppd.sqlite"
        )
    path = sqlite.file_of(parsed)
    if path is None:
        return Database(sqlite.memory_engine(), None, None, None)
    lock = sqlite.lock(path)
    try:
        sqlite.create(path)
    except OSError as error:
        os.close(lock)
        raise sqlite.unusable(path, error) from error
    return Database(sqlite.writing_engine(path, parsed.query), sqlite.reading_engine(path, parsed.query), path, lock)
