"""Requests for certificates, certificates of chargers, roots in chargers, and security events."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from ocppd.storage.schema.base import SEQUENCE, metadata

certificate_requests = Table(
    "certificate_requests",
    metadata,
    # That of the journal entry.
    Column("request_id", SEQUENCE, primary_key=True, autoincrement=False),
    Column("charger", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("csr", Text, nullable=False),
    # Of its bytes, so that a request that is repeated is recognised.
    Column("digest", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("reason", Text),
    Column("decided_by", Text),
    Column("created_ms", BigInteger, nullable=False),
    Column("decided_ms", BigInteger),
    # When a node took it up to sign and send it.
    Column("claimed_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("chain", Text),
    Column("fingerprint", Text),
    Column("message_id", Text),
    Index("certificate_requests_of_charger", "charger", "request_id"),
    Index("certificate_requests_in_state", "state", "request_id"),
)

#: Those that chargers show us one day, to whom they were given, and which of them are revoked.
charger_certificates = Table(
    "charger_certificates",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("request_id", SEQUENCE),
    Column("serial_number", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("not_before_ms", BigInteger, nullable=False),
    Column("not_after_ms", BigInteger, nullable=False),
    Column("chain", Text, nullable=False),
    Column("issued_ms", BigInteger, nullable=False),
    Column("accepted_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("revoke_reason", Text),
)

#: What a charger has listed, in its own words, and what it has taken since.
installed_certificates = Table(
    "installed_certificates",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("certificate_type", Text, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("hash_algorithm", Text, nullable=False),
    Column("issuer_name_hash", Text, nullable=False),
    Column("issuer_key_hash", Text, nullable=False),
    Column("serial_number", Text, nullable=False),
    Column("reported", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

certificate_lists = Table(
    "certificate_lists",
    metadata,
    Column("charger", Text, primary_key=True),
    Column("certificate_type", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("reported_ms", BigInteger, nullable=False),
)

certificate_installs = Table(
    "certificate_installs",
    metadata,
    # That of the journal entry of our call.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("charger", Text, nullable=False),
    Column("certificate_type", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("fingerprint", Text),
    Column("pem", Text, nullable=False),
    Index("certificate_installs_of_charger", "charger", "sequence"),
)

security_events = Table(
    "security_events",
    metadata,
    # That of the journal entry.
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("charger", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("critical", Boolean, nullable=False),
    # Null where the charger told no instant.
    Column("timestamp_ms", BigInteger),
    Column("received_ms", BigInteger, nullable=False),
    Column("tech_info", Text),
    # The call of ours that it follows from.
    Column("message_id", Text),
    Column("request_id", SEQUENCE),
    Index("security_events_of_charger", "charger", "sequence"),
    Index("security_events_of_type", "type", "sequence"),
    Index("security_events_critical", "critical", "sequence"),
)
