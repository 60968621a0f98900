"""The history of the tables, one file per revision in `versions`; Alembic runs them, `migrate.py` calls it.

A revision is never changed once it was released. New one: copy `script.py.mako`'s shape, spell tables and columns
out (never import `schema`, which goes on changing), and let `tests/contract` compare the result with `schema`.
"""
