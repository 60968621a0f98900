"""The configuration keys of chargers, when they are to be read, and the actions that chargers do not know."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from ocppd.storage.schema.base import metadata

#: A value waits for the charger's next boot.
IS_FOR_REBOOT = text("reboot_ms IS NOT NULL")
#: A desired value that has no message yet.
IS_UNSENT = text("desired_state = 'pending' AND desired_message IS NULL")
#: The configuration is to be read.
IS_DUE = text("due_ms IS NOT NULL")

#: What is known of a key, and what it is to be. See `KeyRecord`.
configuration = Table(
    "configuration",
    metadata,
    Column("charger", Text, primary_key=True),
    # For comparison (REQUIREMENTS G-3).
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("value", Text),
    Column("number", BigInteger),
    Column("readonly", Boolean),
    Column("unknown", Boolean, nullable=False),
    Column("told_ms", BigInteger),
    Column("source", Text),
    Column("reboot_ms", BigInteger),
    Column("desired", Text),
    Column("desired_state", Text),
    Column("desired_ms", BigInteger),
    Column("desired_message", Text),
    Column("reason", Text),
    Column("version", BigInteger, nullable=False),
    Index("configuration_for_reboot", "charger", sqlite_where=IS_FOR_REBOOT, postgresql_where=IS_FOR_REBOOT),
    Index("configuration_unsent", "desired_ms", sqlite_where=IS_UNSENT, postgresql_where=IS_UNSENT),
)

#: One row per charger whose configuration is kept; whoever changes that locks it.
configuration_readings = Table(
    "configuration_readings",
    metadata,
    Column("charger", Text, primary_key=True),
    # When the charger last told all of it.
    Column("read_ms", BigInteger),
    # From when on it is to be read, and how often that was tried.
    Column("due_ms", BigInteger),
    Column("attempts", Integer, nullable=False),
    # Vendor, model and firmware of the last boot, and of the one before the last reading.
    Column("machine", Text),
    Column("read_machine", Text),
    Index("configuration_readings_due", "due_ms", sqlite_where=IS_DUE, postgresql_where=IS_DUE),
)

#: Actions that a charger answered NotImplemented or NotSupported to (REQUIREMENTS E-3).
refused_actions = Table(
    "refused_actions",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("code", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # That it had then; empty where it told none.
    Column("firmware", Text, nullable=False),
)
