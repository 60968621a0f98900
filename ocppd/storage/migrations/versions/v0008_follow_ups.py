"""What follows calls; what a connector's state was before, and its warnings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_UNDECIDED = sa.text("decided_ms IS NULL")
IS_UNTOLD = sa.text("untold IS NOT NULL")
IS_WISH = sa.text("wish IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "follow_ups",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", SEQUENCE, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("transaction_id", sa.Integer(), nullable=True),
        sa.Column("wish", sa.Text(), nullable=True),
        sa.Column("untold", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("message_id", "place"),
    )
    for name, columns, which in (
        ("follow_ups_open", ["charger"], IS_UNDECIDED),
        ("follow_ups_due", ["deadline_ms"], IS_UNDECIDED),
        ("follow_ups_untold", ["untold"], IS_UNTOLD),
        ("follow_ups_wishes", ["charger", "place", "sequence"], IS_WISH),
    ):
        op.create_index(name, "follow_ups", columns, sqlite_where=which, postgresql_where=which)
    op.add_column("connectors", sa.Column("previous", sa.Text(), nullable=True))
    op.add_column("connectors", sa.Column("warnings", sa.Text(), nullable=False, server_default=""))
