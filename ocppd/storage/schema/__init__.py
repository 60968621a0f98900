"""The tables, as SQLAlchemy Core sees them: one module for each group of them."""

from __future__ import annotations

from ocppd.storage.schema.base import SEQUENCE, metadata
from ocppd.storage.schema.certificates import (
    certificate_installs,
    certificate_lists,
    certificate_requests,
    charger_certificates,
    installed_certificates,
    security_events,
)
from ocppd.storage.schema.charger_jobs import IS_UNDER_WAY, charger_jobs, file_tokens, files, job_entries
from ocppd.storage.schema.charging import (
    IS_AT_START,
    IS_OF_TRANSACTION,
    STANDS_IN,
    charging_profile_ids,
    charging_profiles,
    charging_templates,
)
from ocppd.storage.schema.configuration import configuration, configuration_readings, refused_actions
from ocppd.storage.schema.filing import (
    filed_messages,
    filed_meter_values,
    filed_statuses,
    filing,
    messages_of,
    meter_values_of,
)
from ocppd.storage.schema.fleet_jobs import fleet_job_rows, fleet_jobs
from ocppd.storage.schema.follow_ups import IS_UNDECIDED, IS_UNTOLD, IS_WISH, follow_ups
from ocppd.storage.schema.idempotency import idempotency_keys
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
from ocppd.storage.schema.local_lists import IS_FOLLOWING, local_lists
from ocppd.storage.schema.quarantine import deviations, quarantine, quarantine_forgotten
from ocppd.storage.schema.registry import charger_changes, charger_entries, charger_passwords, unknown_chargers
from ocppd.storage.schema.reservations import IS_LIVE, reservation_numbers, reservations
from ocppd.storage.schema.retention import retention_postponed, retention_progress, retention_turn

__all__ = [
    "IS_AT_START",
    "IS_FOLLOWING",
    "IS_FROM_CHARGER",
    "IS_LIVE",
    "IS_OF_TRANSACTION",
    "IS_OPEN",
    "IS_OUR_CALL",
    "IS_PENDING",
    "IS_QUEUED",
    "IS_SENT",
    "IS_UNBOUND",
    "IS_UNDECIDED",
    "IS_UNDER_WAY",
    "IS_UNTOLD",
    "IS_WISH",
    "SEQUENCE",
    "STANDS_IN",
    "certificate_installs",
    "certificate_lists",
    "certificate_requests",
    "charger_certificates",
    "charger_changes",
    "charger_entries",
    "charger_jobs",
    "charger_passwords",
    "chargers",
    "charging_profile_ids",
    "charging_profiles",
    "charging_templates",
    "configuration",
    "configuration_readings",
    "connectors",
    "deviations",
    "events",
    "file_tokens",
    "filed_messages",
    "filed_meter_values",
    "filed_statuses",
    "files",
    "filing",
    "fleet_job_rows",
    "fleet_jobs",
    "follow_ups",
    "id_tags",
    "idempotency_keys",
    "installed_certificates",
    "job_entries",
    "local_lists",
    "messages",
    "messages_of",
    "metadata",
    "meter_values",
    "meter_values_of",
    "nodes",
    "probe",
    "quarantine",
    "quarantine_forgotten",
    "refused_actions",
    "remote_starts",
    "reservation_numbers",
    "reservations",
    "retention_postponed",
    "retention_progress",
    "retention_turn",
    "security_events",
    "statuses",
    "transactions",
    "unknown_chargers",
    "unknown_id_tags",
]
