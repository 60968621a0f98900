"""Jobs of chargers with their timelines, and the file room."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IS_UNDER_WAY = sa.text("ended_ms IS NULL")


def upgrade() -> None:
    op.create_table(
        "charger_jobs",
        sa.Column("job_id", SEQUENCE, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text(), nullable=True),
        sa.Column("request_id", sa.BigInteger(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("file_id", SEQUENCE, nullable=True),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("retrieve_ms", sa.BigInteger(), nullable=True),
        sa.Column("install_ms", sa.BigInteger(), nullable=True),
        sa.Column("oldest_ms", sa.BigInteger(), nullable=True),
        sa.Column("latest_ms", sa.BigInteger(), nullable=True),
        sa.Column("retries", sa.BigInteger(), nullable=True),
        sa.Column("retry_interval_s", sa.BigInteger(), nullable=True),
        sa.Column("version_before", sa.Text(), nullable=True),
        sa.Column("version_after", sa.Text(), nullable=True),
        sa.Column("inferred", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("charger_jobs_due", "charger_jobs", ["due_ms"], sqlite_where=IS_UNDER_WAY, postgresql_where=IS_UNDER_WAY)
    op.create_index("charger_jobs_of_call", "charger_jobs", ["message_id"], unique=True)
    op.create_index("charger_jobs_of_kind", "charger_jobs", ["charger", "kind", "job_id"])
    op.create_index("charger_jobs_of_request", "charger_jobs", ["charger", "request_id"])
    op.create_table(
        "job_entries",
        sa.Column("entry_id", SEQUENCE, nullable=False),
        sa.Column("job_id", SEQUENCE, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("after_end", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("job_entries_of_job", "job_entries", ["job_id", "entry_id"])
    op.create_table(
        "files",
        sa.Column("file_id", SEQUENCE, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("charger", sa.Text(), nullable=True),
        sa.Column("job_id", SEQUENCE, nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stored", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("files_of_job", "files", ["job_id", "file_id"])
    op.create_index("files_of_purpose", "files", ["purpose", "created_ms"])
    op.create_table(
        "file_tokens",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("job_id", SEQUENCE, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("file_id", SEQUENCE, nullable=True),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("file_tokens_expiry", "file_tokens", ["expires_ms"])
    op.create_index("file_tokens_of_job", "file_tokens", ["job_id"])
