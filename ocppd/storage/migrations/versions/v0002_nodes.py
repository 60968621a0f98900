"""Several nodes: who they are, which of them holds a charger, and which accepted and sent a call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node"),
    )
    op.add_column("chargers", sa.Column("node", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("origin", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("node", sa.Text(), nullable=True))
    op.add_column("messages", sa.Column("waits", sa.Boolean(), nullable=False, server_default=sa.true()))
