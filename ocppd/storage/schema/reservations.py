"""Reservations, and the numbers that were given to them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from ocppd.storage.schema.base import SEQUENCE, metadata

#: The charger may still hold it: what the partial indexes are about.
IS_LIVE = text("ended_ms IS NULL")

reservations = Table(
    "reservations",
    metadata,
    # That of the journal entry of its ReserveNow.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("message_id", Text, nullable=False),
    Column("charger", Text, nullable=False),
    # 0: any.
    Column("connector_id", BigInteger, nullable=False),
    # What the charger knows it by.
    Column("reservation_id", BigInteger, nullable=False),
    Column("id_tag", Text, nullable=False),
    Column("id_tag_key", Text, nullable=False),
    Column("parent", Text),
    Column("parent_key", Text),
    Column("expiry_ms", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    # What the charger refused it with.
    Column("status", Text),
    # Why it ended.
    Column("reason", Text),
    # A JSON list of texts.
    Column("flags", Text, nullable=False),
    Column("ended_ms", BigInteger),
    # The one that used it.
    Column("transaction_id", Integer),
    Index("reservations_message", "message_id", unique=True),
    Index("reservations_live", "charger", "sequence", sqlite_where=IS_LIVE, postgresql_where=IS_LIVE),
    Index("reservations_expiring", "expiry_ms", sqlite_where=IS_LIVE, postgresql_where=IS_LIVE),
    Index("reservations_of_charger", "charger", "sequence"),
    Index("reservations_named", "charger", "reservation_id", "sequence"),
)

#: The highest number that we have given to a reservation of a charger.
reservation_numbers = Table(
    "reservation_numbers",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("given", BigInteger, nullable=False),
)
