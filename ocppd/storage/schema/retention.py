"""How far the removal of old records has come, and whose turn it is. Messages of chargers touch none of these tables."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from ocppd.storage.schema.base import SEQUENCE, metadata

#: One row for each kind of records.
retention_progress = Table(
    "retention_progress",
    metadata,
    Column("kind", Text, primary_key=True),
    # All rows up to this number have been looked at.
    Column("position", SEQUENCE, nullable=False),
    # Ever.
    Column("removed", BigInteger, nullable=False),
)

#: Rows below the position that could not go yet.
retention_postponed = Table(
    "retention_postponed",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("number", SEQUENCE, primary_key=True, autoincrement=False),
)

#: One row: until then it is this node's turn, or nobody's. By the database's clock.
retention_turn = Table(
    "retention_turn",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("node", Text),
    Column("until_ms", BigInteger, nullable=False),
)
