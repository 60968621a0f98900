"""How Alembic runs our revisions: on the connection that it is handed, all in one transaction."""

from __future__ import annotations

from alembic import context

from ocppd.storage.schema import metadata

connection = context.config.attributes["connection"]
# SQLite rolls DDL back as well as PostgreSQL does, once the driver lets us begin the transaction.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
context.run_migrations()
