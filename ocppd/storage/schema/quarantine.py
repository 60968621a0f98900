"""Raw frames that broke the specification, and how often what was seen."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from ocppd.storage.schema.base import SEQUENCE, metadata

#: Bounded for each charger, the oldest make room.
quarantine = Table(
    "quarantine",
    metadata,
    Column("number", SEQUENCE, primary_key=True),
    Column("charger", Text, nullable=False),
    # The kinds of deviations, each between blanks.
    Column("kinds", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("treatment", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("frame", Text, nullable=False),
    Column("cut", Boolean, nullable=False),
    Column("size", Integer, nullable=False),
    # A JSON list of objects.
    Column("faults", Text, nullable=False),
    Column("firmware", Text, nullable=False),
    # The journal entry, where there is one.
    Column("message", SEQUENCE),
    Index("quarantine_of_charger", "charger", "number"),
    sqlite_autoincrement=True,
)

#: How many frames of a charger have made room.
quarantine_forgotten = Table(
    "quarantine_forgotten",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

deviations = Table(
    "deviations",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("firmware", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
)
