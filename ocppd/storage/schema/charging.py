"""Charging profiles: the templates that operators keep, and what is known to be installed in chargers. REQUIREMENTS K-4, K-8."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from ocppd.storage.schema.base import SEQUENCE, metadata

#: Conditions of partial indexes; see `journal`.
IS_AT_START = text("at_start")
IS_OF_TRANSACTION = text("transaction_id IS NOT NULL")
IS_DUE = text("fallback = 'due'")
STANDS_IN = text("standing_in IS NOT NULL")

charging_templates = Table(
    "charging_templates",
    metadata,
    Column("template_id", SEQUENCE, primary_key=True),
    Column("name", Text, nullable=False),
    # The JSON of a ChargingProfile whose id is 0.
    Column("profile", Text, nullable=False),
    # Whether it is sent for each transaction that begins.
    Column("at_start", Boolean, nullable=False),
    # A JSON list of the chargers where that is so; null: all.
    Column("chargers", Text),
    # Whether a TxDefaultProfile is sent where a charger refuses it as a TxProfile.
    Column("fallback", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("charging_templates_at_start", "template_id", sqlite_where=IS_AT_START, postgresql_where=IS_AT_START),
    sqlite_autoincrement=True,
)

charging_profiles = Table(
    "charging_profiles",
    metadata,
    Column("row_id", SEQUENCE, primary_key=True),
    Column("charger", Text, nullable=False),
    Column("connector_id", BigInteger, nullable=False),
    Column("profile_id", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("stack_level", BigInteger, nullable=False),
    # Of a TxProfile.
    Column("transaction_id", Integer),
    # The JSON of the ChargingProfile as it was sent.
    Column("profile", Text, nullable=False),
    Column("mark", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    # The call of ours that brought it; null until that has ended.
    Column("sequence", SEQUENCE),
    Column("message_id", Text),
    Column("action", Text),
    # The call of ours since whose unknown end nobody knows whether it is still there. Of a refused one where `fallback` is `due`:
    # when (ms) somebody began to send what takes its place.
    Column("doubt", SEQUENCE),
    # What the charger said where it refused it.
    Column("outcome", Text),
    Column("template_id", SEQUENCE),
    # `wanted`: a TxDefaultProfile is to be tried where this one is refused; `due`: it is.
    Column("fallback", Text),
    # The transaction that this TxDefaultProfile was sent for in place of a TxProfile.
    Column("standing_in", Integer),
    Index("charging_profiles_of_charger", "charger", "row_id"),
    Index(
        "charging_profiles_of_transaction",
        "transaction_id",
        sqlite_where=IS_OF_TRANSACTION,
        postgresql_where=IS_OF_TRANSACTION,
    ),
    Index("charging_profiles_due", "row_id", sqlite_where=IS_DUE, postgresql_where=IS_DUE),
    Index("charging_profiles_standing_in", "standing_in", sqlite_where=STANDS_IN, postgresql_where=STANDS_IN),
    sqlite_autoincrement=True,
)

#: The last id that was given to a profile of a charger.
charging_profile_ids = Table(
    "charging_profile_ids",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("last_id", BigInteger, nullable=False),
)
