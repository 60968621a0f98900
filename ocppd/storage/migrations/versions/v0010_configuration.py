"""The configuration keys of chargers, the actions that they do not know, and how long a remote start is expected."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

IS_FOR_REBOOT = sa.text("reboot_ms IS NOT NULL")
IS_UNSENT = sa.text("desired_state = 'pending' AND desired_message IS NULL")
IS_DUE = sa.text("due_ms IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "configuration",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("readonly", sa.Boolean(), nullable=True),
        sa.Column("unknown", sa.Boolean(), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("reboot_ms", sa.BigInteger(), nullable=True),
        sa.Column("desired", sa.Text(), nullable=True),
        sa.Column("desired_state", sa.Text(), nullable=True),
        sa.Column("desired_ms", sa.BigInteger(), nullable=True),
        sa.Column("desired_message", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("charger", "key"),
    )
    for name, table, column, where in (
        ("configuration_for_reboot", "configuration", "charger", IS_FOR_REBOOT),
        ("configuration_unsent", "configuration", "desired_ms", IS_UNSENT),
    ):
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "configuration_readings",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("read_ms", sa.BigInteger(), nullable=True),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=True),
        sa.Column("read_machine", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("charger"),
    )
    op.create_index(
        "configuration_readings_due",
        "configuration_readings",
        ["due_ms"],
        sqlite_where=IS_DUE,
        postgresql_where=IS_DUE,
    )
    op.create_table(
        "refused_actions",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("firmware", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("charger", "action"),
    )
    op.add_column("remote_starts", sa.Column("window_ms", sa.BigInteger(), nullable=True))
