"""What happened besides messages, in one sequence with the journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("sequence", SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("message", SEQUENCE, nullable=True),
        sa.Column("members", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("events_of_charger", "events", ["charger", "sequence"])
    if op.get_bind().dialect.name == "sqlite":
        _share_numbers()


def _share_numbers() -> None:
    """An event takes its number from those of the journal: https://www.sqlite.org/autoinc.html, sqlite_sequence.

    A later revision that makes the table `messages` anew has to keep its row there: the highest number may be an event's.
    """
    op.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'messages', 0 "
        "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'messages')"
    )
    op.execute(
        "CREATE TRIGGER events_take_numbers AFTER INSERT ON events BEGIN "
        "UPDATE sqlite_sequence SET seq = NEW.sequence WHERE name = 'messages' AND seq < NEW.sequence; END"
    )
