"""Reservations, and the one that a transaction has used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_LIVE = sa.text("ended_ms IS NULL")


def upgrade() -> None:
    op.create_table(
        "reservations",
        sa.Column("sequence", SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("connector_id", sa.BigInteger(), nullable=False),
        sa.Column("reservation_id", sa.BigInteger(), nullable=False),
        sa.Column("id_tag", sa.Text(), nullable=False),
        sa.Column("id_tag_key", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("parent_key", sa.Text(), nullable=True),
        sa.Column("expiry_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("transaction_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("reservations_message", "reservations", ["message_id"], unique=True)
    for name, columns in (("reservations_live", ["charger", "sequence"]), ("reservations_expiring", ["expiry_ms"])):
        op.create_index(name, "reservations", columns, sqlite_where=IS_LIVE, postgresql_where=IS_LIVE)
    op.create_index("reservations_of_charger", "reservations", ["charger", "sequence"])
    op.create_index("reservations_named", "reservations", ["charger", "reservation_id", "sequence"])
    op.create_table(
        "reservation_numbers",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("given", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("charger"),
    )
    op.add_column("transactions", sa.Column("reservation", sa.Text(), nullable=True))
