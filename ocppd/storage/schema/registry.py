"""Chargers as operators enter them, their passwords, and identities that nobody has entered."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from ocppd.storage.schema.base import SEQUENCE, metadata

#: One row stays for each name that ever was, so that every node learns of a deletion.
charger_entries = Table(
    "charger_entries",
    metadata,
    Column("name", Text, primary_key=True),
    # A JSON object; null where there is no such charger.
    Column("settings", Text),
    Column("protected", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),
    Index("charger_entries_changed", "change"),
)

#: The last number of a change; its one row makes the writers of entries wait for one another.
charger_changes = Table(
    "charger_changes",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("change", BigInteger, nullable=False),
)

charger_passwords = Table(
    "charger_passwords",
    metadata,
    Column("number", SEQUENCE, primary_key=True),
    Column("charger", Text, nullable=False),
    Column("kept", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("message_id", Text),
    Column("since_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger),
    Index("charger_passwords_of_charger", "charger", "number"),
    Index("charger_passwords_of_message", "message_id"),
    sqlite_autoincrement=True,
)

unknown_chargers = Table(
    "unknown_chargers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("remote_ip", Text, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Index("unknown_chargers_seen", "last_ms"),
)
