"""Remote starts, and the transactions that came of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_UNBOUND = sa.text("transaction_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "remote_starts",
        sa.Column("sequence", SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("connector_id", sa.BigInteger(), nullable=True),
        sa.Column("id_tag_key", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index(
        "remote_starts_waiting",
        "remote_starts",
        ["charger", "id_tag_key", "sequence"],
        sqlite_where=IS_UNBOUND,
        postgresql_where=IS_UNBOUND,
    )
    op.add_column("transactions", sa.Column("remote_start", sa.Text(), nullable=True))
