"""Chargers, transactions, messages, id tags, events: the tables that messages touch.

There are few indexes on `messages` and `meter_values`, because each costs on every message.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
    true,
)

from ocppd.storage.schema.base import SEQUENCE, metadata

#: Conditions of partial indexes. SQLite uses such an index only where a query repeats one of the terms literally.
IS_QUEUED = text("state = 'queued'")
IS_SENT = text("state = 'sent'")
IS_PENDING = text("state = 'queued' OR state = 'sent'")
IS_OUR_CALL = text("direction = 'toCharger'")
IS_FROM_CHARGER = text("direction = 'fromCharger'")
IS_OPEN = text("state = 'open'")
IS_UNBOUND = text("transaction_id IS NULL")

#: The processes that use these records: one for SQLite, several for PostgreSQL.
nodes = Table(
    "nodes",
    metadata,
    Column("node", Text, primary_key=True),
    # By the database's clock where it has one of its own.
    Column("seen_ms", BigInteger, nullable=False),
)

chargers = Table(
    "chargers",
    metadata,
    Column("name", Text, primary_key=True),
    # 0 where a call waits for a charger that never connected.
    Column("generation", BigInteger, nullable=False),
    # The one that this generation was issued to; null once that connection is over.
    Column("node", Text),
    Column("remote_ip", Text),
    Column("connected_ms", BigInteger),
    Column("last_seen_ms", BigInteger),
    Column("registration", Text),
    Column("registered_ms", BigInteger),
    Column("interval_s", BigInteger),
    # The journal entry of the boot that gave the members below.
    Column("boot_sequence", BigInteger),
    Column("vendor", Text),
    Column("model", Text),
    Column("serial_number", Text),
    Column("charge_box_serial_number", Text),
    Column("firmware_version", Text),
    Column("iccid", Text),
    Column("imsi", Text),
    Column("meter_type", Text),
    Column("meter_serial_number", Text),
)

connectors = Table(
    "connectors",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("connector_id", BigInteger, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("info", Text),
    Column("vendor_id", Text),
    Column("vendor_error_code", Text),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    # The status before this one, for what a change of it means (REQUIREMENTS N-5, N-6).
    Column("previous", Text),
    # Error codes without a fault since the last NoError, between blanks (REQUIREMENTS N-3).
    Column("warnings", Text, nullable=False, server_default=""),
)

statuses = Table(
    "statuses",
    metadata,
    # That of the journal entry.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("charger", Text, nullable=False),
    Column("connector_id", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("info", Text),
    Column("vendor_id", Text),
    Column("vendor_error_code", Text),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Index("statuses_of_connector", "charger", "connector_id", "sequence").ddl_if(dialect="postgresql"),
)

transactions = Table(
    "transactions",
    metadata,
    # One sequence for the whole installation, 32 bit, never reused (REQUIREMENTS T-2).
    Column("transaction_id", Integer, primary_key=True),
    Column("charger", Text, nullable=False),
    Column("connector_id", BigInteger, nullable=False),
    Column("id_tag", Text, nullable=False),
    Column("id_tag_key", Text, nullable=False),
    # The parent of the tag when it was presented, for comparison.
    Column("parent_key", Text),
    Column("state", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("meter_start_wh", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("start_received_ms", BigInteger, nullable=False),
    # 0, or the time of receipt where the charger's clock was never set (REQUIREMENTS T-4).
    Column("dedup_epoch", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("reservation_id", BigInteger),
    Column("meter_stop_wh", BigInteger),
    Column("energy_wh", BigInteger),
    Column("stopped_ms", BigInteger),
    Column("stop_received_ms", BigInteger),
    Column("stop_id_tag", Text),
    Column("reason", Text),
    # A JSON list of texts.
    Column("flags", Text, nullable=False),
    # An operator's.
    Column("closed_ms", BigInteger),
    Column("close_reason", Text),
    # The id of the RemoteStartTransaction that it came of.
    Column("remote_start", Text),
    # The reservation that it has used, by the id of its ReserveNow.
    Column("reservation", Text),
    Index(
        "transactions_start",
        "charger",
        "connector_id",
        "id_tag_key",
        "started_ms",
        "meter_start_wh",
        "dedup_epoch",
        unique=True,
    ),
    Index("transactions_open", "charger", "connector_id", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index("transactions_of_charger", "charger", "transaction_id"),
    Index("transactions_active_tag", "id_tag_key", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index("transactions_active_group", "parent_key", sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index("transactions_of_tag", "id_tag_key", "transaction_id"),
    sqlite_autoincrement=True,
)

id_tags = Table(
    "id_tags",
    metadata,
    # The tag for comparison (REQUIREMENTS G-3).
    Column("key", Text, primary_key=True),
    Column("id_tag", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("parent", Text),
    Column("parent_key", Text),
    Column("expiry_ms", BigInteger),
    Column("max_active", BigInteger),
    Column("group_limit", BigInteger),
    Column("note", Text),
    Column("version", BigInteger, nullable=False),
    Index("id_tags_of_parent", "parent_key", "key"),
    # Whether any has changed is asked for all of them.
    Index("id_tags_versions", "version"),
)

#: Tags that were presented, and refused because nobody knows them.
unknown_id_tags = Table(
    "unknown_id_tags",
    metadata,
    Column("key", Text, primary_key=True),
    Column("id_tag", Text, nullable=False),
    Column("charger", Text, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Index("unknown_id_tags_seen", "last_ms"),
)

meter_values = Table(
    "meter_values",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("charger", Text, nullable=False),
    # 0 where it belongs to none.
    Column("transaction_id", Integer, nullable=False),
    Column("connector_id", BigInteger, nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("samples", Text, nullable=False),
    # REQUIREMENTS M-9; the transaction comes early because most reads ask for it.
    Index("meter_values_once", "charger", "transaction_id", "connector_id", "timestamp_ms", "digest", unique=True).ddl_if(
        dialect="postgresql"
    ),
    sqlite_autoincrement=True,
)

messages = Table(
    "messages",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("charger", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("frame", Text, nullable=False),
    Column("answer", Text),
    Column("outcome", Text),
    Column("late", Boolean, nullable=False),
    # The connection's; null for a call of ours that is not sent yet.
    Column("generation", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("sent_ms", BigInteger),
    Column("answered_ms", BigInteger),
    Column("expires_ms", BigInteger),
    Column("detail", Text),
    # The whole frame, encrypted, where `frame` is redacted.
    Column("secret", LargeBinary),
    # Of the start or stop that this message is; that meter values name; that came of our remote start.
    Column("transaction_id", Integer),
    # The node that accepted a call of ours, and is told when it ends.
    Column("origin", Text),
    # The node that committed a call of ours as `sent`.
    Column("node", Text),
    # Whether a call of ours that is queued outlives the connection (REQUIREMENTS S-6).
    Column("waits", Boolean, nullable=False, server_default=true()),
    Index("messages_of_charger", "charger", "sequence").ddl_if(dialect="postgresql"),
    Index("messages_calls", "message_id", unique=True, sqlite_where=IS_OUR_CALL, postgresql_where=IS_OUR_CALL),
    Index("messages_pending", "charger", "sequence", sqlite_where=IS_PENDING, postgresql_where=IS_PENDING),
    sqlite_autoincrement=True,
)

#: What is in no message, and what became of one later. The numbers are those of the journal.
events = Table(
    "events",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("charger", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # The journal entry that it is about.
    Column("message", SEQUENCE),
    # A JSON object of texts.
    Column("members", Text),
    Index("events_of_charger", "charger", "sequence"),
)

#: Calls of ours that a transaction is to come of.
remote_starts = Table(
    "remote_starts",
    metadata,
    # That of the journal entry.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("charger", Text, nullable=False),
    # Null where the charger chooses.
    Column("connector_id", BigInteger),
    Column("id_tag_key", Text, nullable=False),
    Column("transaction_id", Integer),
    # How long after it was sent its transaction may begin (REQUIREMENTS T-9); null where the charger never told.
    Column("window_ms", BigInteger),
    Index("remote_starts_waiting", "charger", "id_tag_key", "sequence", sqlite_where=IS_UNBOUND, postgresql_where=IS_UNBOUND),
)

#: One row that is written to find out whether a write could be committed now.
probe = Table(
    "probe",
    metadata,
    Column("probe_id", Integer, primary_key=True, autoincrement=False),
    Column("written", BigInteger, nullable=False),
)
