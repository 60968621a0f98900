"""The tables, as SQLAlchemy Core sees them: one module for each group of them."""

from __future__ import annotations

from ocppd.storage.schema.base import SEQUENCE, metadata
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
from ocppd.storage.schema.quarantine import deviations, quarantine, quarantine_forgotten

__all__ = [
    "IS_FROM_CHARGER",
    "IS_OPEN",
    "IS_OUR_CALL",
    "IS_PENDING",
    "IS_QUEUED",
    "IS_SENT",
    "IS_UNBOUND",
    "SEQUENCE",
    "chargers",
    "connectors",
    "deviations",
    "events",
    "id_tags",
    "messages",
    "metadata",
    "meter_values",
    "nodes",
    "probe",
    "quarantine",
    "quarantine_forgotten",
    "remote_starts",
    "statuses",
    "transactions",
    "unknown_id_tags",
]
