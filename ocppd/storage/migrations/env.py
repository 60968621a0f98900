"""How Alembic runs our revisions: on the connection that it is handed, all in one transaction."""

from __future__ import annotations

from alembic import context

from ocppd.storage.schema import metadata

# SQLite rolls DDL back as well as PostgreSQL does, once the driver lets us begin the transaction.
context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=context.config.attributes["schema"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
