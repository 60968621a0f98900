"""Jobs over many chargers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_UNFINISHED = sa.text("ended_ms IS NULL")


def upgrade() -> None:
    op.create_table(
        "fleet_jobs",
        sa.Column("job_id", SEQUENCE, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("selected", sa.Text(), nullable=False),
        sa.Column("rate_tenths", sa.BigInteger(), nullable=False),
        sa.Column("canary", sa.BigInteger(), nullable=False),
        sa.Column("canary_passed", sa.Boolean(), nullable=False),
        sa.Column("offline", sa.Boolean(), nullable=True),
        sa.Column("ttl_s", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("job_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("fleet_jobs_unfinished", "fleet_jobs", ["job_id"], sqlite_where=IS_UNFINISHED, postgresql_where=IS_UNFINISHED)
    op.create_table(
        "fleet_job_rows",
        sa.Column("job_id", SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("claimed_ms", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", "place"),
    )
    op.create_index("fleet_job_rows_of_state", "fleet_job_rows", ["job_id", "state", "place"])
    op.create_index("fleet_job_rows_of_call", "fleet_job_rows", ["message_id"], unique=True)
