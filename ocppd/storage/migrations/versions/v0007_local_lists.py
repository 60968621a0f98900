"""Local authorization lists; id tags by version, to see whether any has changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IS_DUE = sa.text("due_ms IS NOT NULL")
IS_FOLLOWING = sa.text("follows")


def upgrade() -> None:
    op.create_table(
        "local_lists",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=True),
        sa.Column("wanted_version", sa.BigInteger(), nullable=False),
        sa.Column("follows", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("sent_version", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_version", sa.BigInteger(), nullable=True),
        sa.Column("confirmed", sa.Text(), nullable=True),
        sa.Column("confirmed_ms", sa.BigInteger(), nullable=True),
        sa.Column("pending_version", sa.BigInteger(), nullable=True),
        sa.Column("pending", sa.Text(), nullable=True),
        sa.Column("told_version", sa.BigInteger(), nullable=True),
        sa.Column("told_ms", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.Text(), nullable=True),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("wholes", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("conflict_ms", sa.BigInteger(), nullable=True),
        sa.Column("touched", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("charger"),
    )
    op.create_index("local_lists_due", "local_lists", ["due_ms"], sqlite_where=IS_DUE, postgresql_where=IS_DUE)
    op.create_index("local_lists_following", "local_lists", ["charger"], sqlite_where=IS_FOLLOWING, postgresql_where=IS_FOLLOWING)
    op.create_index("id_tags_versions", "id_tags", ["version"])
