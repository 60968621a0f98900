"""From a database URL to what storage works with. The one place that chooses between database products."""

from __future__ import annotations

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from ocppd.errors import StartFailed
from ocppd.storage.database import Database
from ocppd.storage.sqlite import SqliteDatabase

#: What may be written for PostgreSQL; all mean psycopg 3.
POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg", "postgres+psycopg")
_EXAMPLES = "sqlite:////absolute/path/of/ocppd.sqlite or postgresql+psycopg://user:password@host:5432/database"


def open_database(url: str, *, unsafe: bool = False) -> Database:
    """Take hold of the database of this URL. Raises StartFailed; connects only later, in `Database.prepare`.

    `unsafe`: use it even where it may lose what it has committed.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StartFailed(f"the database URL cannot be read; write {_EXAMPLES}") from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return SqliteDatabase(parsed)
    if parsed.drivername not in POSTGRESQL:
        raise StartFailed(f"database URL {parsed.drivername}: this is not known here; write {_EXAMPLES}")
    try:
        from ocppd.storage.postgresql import PostgresqlDatabase
    except ImportError as error:
        raise StartFailed(f"PostgreSQL needs psycopg 3 ({error}); pip install 'ocppd[postgres]' brings it") from error
    return PostgresqlDatabase(parsed, unsafe=unsafe)
