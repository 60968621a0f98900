"""The tables, as SQLAlchemy Core sees them: one module for each group of them."""

from __future__ import annotations

from ocppd.storage.schema.base import SEQUENCE, metadata
from ocppd.storage.schema.charger_jobs import IS_UNDER_WAY, charger_jobs, file_tokens, files, job_entries
from ocppd.storage.schema.journal import (
    IS_FROM_CHARGER,
    IS_OPEN,
    IS_OUR_CALL,
    IS_PENDING,
    IS_QUEUED,
    IS_SENT,
    IS_UNBOUND,
    chargers,
    connectors,
    events,
    id_tags,
    messages,
    meter_values,
    nodes,
    probe,
    remote_starts,
    statuses,
    transactions,
    unknown_id_tags,
)

__all__ = [
    "IS_FROM_CHARGER",
    "IS_OPEN",
    "IS_OUR_CALL",
    "IS_PENDING",
    "IS_QUEUED",
    "IS_SENT",
    "IS_UNBOUND",
    "IS_UNDER_WAY",
    "SEQUENCE",
    "charger_jobs",
    "chargers",
    "connectors",
    "events",
    "file_tokens",
    "files",
    "id_tags",
    "job_entries",
    "messages",
    "metadata",
    "meter_values",
    "nodes",
    "probe",
    "remote_starts",
    "statuses",
    "transactions",
    "unknown_id_tags",
]
