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
from ocppd.storage.schema.local_lists import IS_DUE, IS_FOLLOWING, local_lists
from ocppd.storage.schema.reservations import IS_LIVE, reservation_numbers, reservations

__all__ = [
    "IS_DUE",
    "IS_FOLLOWING",
    "IS_FROM_CHARGER",
    "IS_LIVE",
    "IS_OPEN",
    "IS_OUR_CALL",
    "IS_PENDING",
    "IS_QUEUED",
    "IS_SENT",
    "IS_UNBOUND",
    "SEQUENCE",
    "chargers",
    "connectors",
    "events",
    "id_tags",
    "local_lists",
    "messages",
    "metadata",
    "meter_values",
    "nodes",
    "probe",
    "remote_starts",
    "reservation_numbers",
    "reservations",
    "statuses",
    "transactions",
    "unknown_id_tags",
]
