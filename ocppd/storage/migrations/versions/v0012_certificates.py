"""Requests for certificates, certificates of chargers, the roots in them, and security events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _requests()
    _certificates()
    _roots()
    _security_events()


def _requests() -> None:
    op.create_table(
        "certificate_requests",
        sa.Column("request_id", SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("csr", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("claimed_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("chain", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_index("certificate_requests_of_charger", "certificate_requests", ["charger", "request_id"])
    op.create_index("certificate_requests_in_state", "certificate_requests", ["state", "request_id"])


def _certificates() -> None:
    op.create_table(
        "charger_certificates",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("request_id", SEQUENCE, nullable=True),
        sa.Column("serial_number", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("not_before_ms", sa.BigInteger(), nullable=False),
        sa.Column("not_after_ms", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("accepted_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoke_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("charger", "fingerprint"),
    )


def _roots() -> None:
    op.create_table(
        "installed_certificates",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash_algorithm", sa.Text(), nullable=False),
        sa.Column("issuer_name_hash", sa.Text(), nullable=False),
        sa.Column("issuer_key_hash", sa.Text(), nullable=False),
        sa.Column("serial_number", sa.Text(), nullable=False),
        sa.Column("reported", sa.Boolean(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("charger", "certificate_type", "place"),
    )
    op.create_table(
        "certificate_lists",
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reported_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("charger", "certificate_type"),
    )
    op.create_table(
        "certificate_installs",
        sa.Column("sequence", SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("certificate_installs_of_charger", "certificate_installs", ["charger", "sequence"])


def _security_events() -> None:
    op.create_table(
        "security_events",
        sa.Column("sequence", SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("charger", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("critical", sa.Boolean(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("tech_info", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("request_id", SEQUENCE, nullable=True),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("security_events_of_charger", "security_events", ["charger", "sequence"])
    op.create_index("security_events_of_type", "security_events", ["type", "sequence"])
    op.create_index("security_events_critical", "security_events", ["critical", "sequence"])
