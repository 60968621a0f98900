"""Charging profiles: templates, and what is installed in chargers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_AT_START = sa.text("at_start")
IS_OF_TRANSACTION = sa.text("transaction_id IS NOT NULL")
IS_DUE = sa.text("fallback = 'due'")
STANDS_IN = sa.text("standing_in IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "charging_templates",
        sa.Column("template_id", SEQUENCE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("at_start", sa.Boolean(), nullable=False),
        sa.Column("chargers", sa.Text(), nullable=True),
        sa.Column("fallback", sa.Boolean(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("template_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "charging_profiles",
        sa.Column("row_id", SEQUENCE, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("connector_id", sa.BigInteger(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("stack_level", sa.BigInteger(), nullable=False),
        sa.Column("transaction_id", sa.Integer(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("sequence", SEQUENCE, nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("doubt", SEQUENCE, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("template_id", SEQUENCE, nullable=True),
        sa.Column("fallback", sa.Text(), nullable=True),
        sa.Column("standing_in", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("row_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("charging_profiles_of_charger", "charging_profiles", ["charger", "row_id"])
    op.create_table(
        "charging_profile_ids",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("charger"),
    )
    for name, table, column, condition in (
        ("charging_templates_at_start", "charging_templates", "template_id", IS_AT_START),
        ("charging_profiles_of_transaction", "charging_profiles", "transaction_id", IS_OF_TRANSACTION),
        ("charging_profiles_due", "charging_profiles", "row_id", IS_DUE),
        ("charging_profiles_standing_in", "charging_profiles", "standing_in", STANDS_IN),
    ):
        op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)
