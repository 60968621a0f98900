"""Requests of operators that are carried out once, however often they are sent."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from ocppd.storage.schema.base import metadata

#: A request by its key, and its answer once there is one. What its body was and what it was answered is encrypted.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    # Whose key it is; empty for all who call without one of their own.
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    # The id of what the request makes: a message's, a job's.
    Column("reference", Text, nullable=False),
    # The node that works at it.
    Column("node", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("status", Integer),
    Column("answer", LargeBinary),
    Index("idempotency_keys_made", "created_ms"),
)
