"""Brings a database to the revision of this program at start. Knows no table. See the folder `migrations`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from twisted.logger import Logger

from ocppd.errors import StartFailed
from ocppd.storage import sqlite

_log = Logger()

SCRIPTS = "ocppd.storage:migrations"


def migrate(engine: Engine, path: Path | None, scripts: str = SCRIPTS) -> None:
    """Run the revisions that the database at `path` lacks, all or none; back it up before, if it has any.

    Raises StartFailed where the database is of a newer program or none of ours, and the driver's errors.
    """
    with engine.begin() as connection:
        config = _config(connection, scripts)
        current = _current(connection, config, path)
    head = ScriptDirectory.from_config(config).get_current_head()
    if current == head:
        return
    if current is not None and path is not None:
        backup = sqlite.back_up(path, current)
        _log.info("database {path} is backed up as {backup} before it is upgraded", path=str(path), backup=str(backup))
    with engine.begin() as connection:
        command.upgrade(_config(connection, scripts), "head")
    _log.info("database {path} is now at revision {revision}", path=str(path or "in memory"), revision=head)


def _config(connection: Connection, scripts: str) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", scripts)
    config.set_main_option("path_separator", "os")
    return config


def _current(connection: Connection, config: Config, path: Path | None) -> str | None:
    """The revision of the database, one that we know; None for an empty database. Raises StartFailed."""
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        if inspect(connection).get_table_names():
            raise StartFailed(f"database {path} belongs to another program; choose another --database")
        return None
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current not in known:
        raise StartFailed(
            f"database {path} was written by a newer ocppd (revision {current}); start that version, or restore a backup"
        )
    return current
