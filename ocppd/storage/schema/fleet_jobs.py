"""Jobs over many chargers, and what becomes of each at every charger."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Table, Text, text

from ocppd.storage.schema.base import SEQUENCE, metadata

#: The condition of a partial index: the job has not ended.
IS_UNFINISHED = text("ended_ms IS NULL")

fleet_jobs = Table(
    "fleet_jobs",
    metadata,
    Column("job_id", SEQUENCE, primary_key=True),
    Column("action", Text, nullable=False),
    # JSON, without secrets.
    Column("payload", Text, nullable=False),
    # The same with them, encrypted, until the job has ended.
    Column("secret", LargeBinary),
    # How its chargers were chosen: JSON, as the operator wrote it, without names.
    Column("selected", Text, nullable=False),
    # Calls in ten seconds.
    Column("rate_tenths", BigInteger, nullable=False),
    Column("canary", BigInteger, nullable=False),
    Column("canary_passed", Boolean, nullable=False),
    # Null: as the action says.
    Column("offline", Boolean),
    Column("ttl_s", BigInteger),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    # From when on the next call may go out, in microseconds.
    Column("next_us", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Index("fleet_jobs_unfinished", "job_id", sqlite_where=IS_UNFINISHED, postgresql_where=IS_UNFINISHED),
    sqlite_autoincrement=True,
)

fleet_job_rows = Table(
    "fleet_job_rows",
    metadata,
    Column("job_id", SEQUENCE, primary_key=True, autoincrement=False),
    # The order in which chargers are asked.
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("charger", Text, nullable=False),
    # That its call will have, or has.
    Column("message_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    # The node that has claimed it, and when.
    Column("worker", Text),
    Column("claimed_ms", BigInteger),
    Column("outcome", Text),
    Column("detail", Text),
    Column("ended_ms", BigInteger),
    Index("fleet_job_rows_of_state", "job_id", "state", "place"),
    Index("fleet_job_rows_of_call", "message_id", unique=True),
)
