"""Brings a database to the revision of this program at start. Knows no table. See the folder `migrations`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from twisted.logger import Logger

from ocppd.errors import StartFailed

if TYPE_CHECKING:
    from ocppd.storage.database import Database

_log = Logger()

SCRIPTS = "ocppd.storage:migrations"


def migrate(database: Database, scripts: str = SCRIPTS) -> None:
    """Run the revisions that the database lacks, all or none; back it up before, if it has any.

    Several nodes may do so at once: one does, the others wait for it. Raises StartFailed where the database is of a
    newer program or none of ours, and the driver's errors.
    """
    with database.transaction(database.writing) as connection:
        database.lock_tables(connection)
        config = _config(database, connection, scripts)
        head = ScriptDirectory.from_config(config).get_current_head()
        current = _current(database, connection, config)
    if current == head:
        return
    if current is not None and (backup := database.back_up(current)) is not None:
        _log.info("{where} is backed up as {backup} before it is upgraded", where=database.name, backup=str(backup))
    with database.transaction(database.writing) as connection:
        database.lock_tables(connection)
        config = _config(database, connection, scripts)
        if _current(database, connection, config) == head:
            return
        database.take_time(connection)
        command.upgrade(config, "head")
    _log.info("{where} is now at revision {revision}", where=database.name, revision=head)


def _config(database: Database, connection: Connection, scripts: str) -> Config:
    config = Config(attributes={"connection": connection, "schema": database.schema(connection)})
    config.set_main_option("script_location", scripts)
    config.set_main_option("path_separator", "os")
    return config


def _current(database: Database, connection: Connection, config: Config) -> str | None:
    """The revision of the database, one that we know; None for an empty database. Raises StartFailed."""
    schema = config.attributes["schema"]
    current = MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_revision()
    if current is None:
        if inspect(connection).get_table_names(schema):
            raise StartFailed(f"{database.name} belongs to another program; choose another --database")
        return None
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current not in known:
        raise StartFailed(
            f"{database.name} was written by a newer ocppd (revision {current}); start that version, or restore a backup"
        )
    return current
