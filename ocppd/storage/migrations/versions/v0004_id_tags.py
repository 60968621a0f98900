"""Id tags, those that nobody knows, the group that a transaction counts for, and who closed it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

IS_OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    op.create_table(
        "id_tags",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("id_tag", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("parent_key", sa.Text(), nullable=True),
        sa.Column("expiry_ms", sa.BigInteger(), nullable=True),
        sa.Column("max_active", sa.BigInteger(), nullable=True),
        sa.Column("group_limit", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("id_tags_of_parent", "id_tags", ["parent_key", "key"])
    op.create_table(
        "unknown_id_tags",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("id_tag", sa.Text(), nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("unknown_id_tags_seen", "unknown_id_tags", ["last_ms"])
    op.add_column("transactions", sa.Column("parent_key", sa.Text(), nullable=True))
    op.add_column("transactions", sa.Column("closed_ms", sa.BigInteger(), nullable=True))
    op.add_column("transactions", sa.Column("close_reason", sa.Text(), nullable=True))
    for name, column in (("transactions_active_tag", "id_tag_key"), ("transactions_active_group", "parent_key")):
        op.create_index(name, "transactions", [column], sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
