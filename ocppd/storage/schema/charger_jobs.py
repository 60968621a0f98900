"""Jobs of chargers (firmware, diagnostics, logs), what happened to each, and the files that belong to them.

Of a token there is the digest alone: whoever reads the database can neither send nor fetch a file with it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, text

from ocppd.storage.schema.base import SEQUENCE, metadata

#: The condition of partial indexes: the job has not ended.
IS_UNDER_WAY = text("ended_ms IS NULL")

charger_jobs = Table(
    "charger_jobs",
    metadata,
    Column("job_id", SEQUENCE, primary_key=True),
    Column("charger", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # Of a log: which one.
    Column("log_type", Text),
    # Of GetLog and SignedUpdateFirmware.
    Column("request_id", BigInteger),
    # Our call.
    Column("message_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    # What the charger told last.
    Column("status", Text),
    # Why it ended, where its status does not say it.
    Column("reason", Text),
    # Without credentials and tokens; null where it is the file room.
    Column("location", Text),
    # The firmware of the file room that it is about.
    Column("file_id", SEQUENCE),
    # What the charger calls what it sends.
    Column("file_name", Text),
    Column("retrieve_ms", BigInteger),
    Column("install_ms", BigInteger),
    Column("oldest_ms", BigInteger),
    Column("latest_ms", BigInteger),
    Column("retries", BigInteger),
    Column("retry_interval_s", BigInteger),
    # Of the charger's firmware, when the job began and at a boot during it.
    Column("version_before", Text),
    Column("version_after", Text),
    # Its end is concluded from a boot; the charger has not told it.
    Column("inferred", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    # When it is to be looked at, where nothing comes before.
    Column("due_ms", BigInteger, nullable=False),
    Index("charger_jobs_of_kind", "charger", "kind", "job_id"),
    Index("charger_jobs_of_call", "message_id", unique=True),
    Index("charger_jobs_of_request", "charger", "request_id"),
    Index("charger_jobs_due", "due_ms", sqlite_where=IS_UNDER_WAY, postgresql_where=IS_UNDER_WAY),
    sqlite_autoincrement=True,
)

job_entries = Table(
    "job_entries",
    metadata,
    Column("entry_id", SEQUENCE, primary_key=True),
    Column("job_id", SEQUENCE, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("what", Text, nullable=False),
    Column("status", Text),
    Column("detail", Text),
    # The message of the charger that tells it.
    Column("message_id", Text),
    # It came when the job had ended.
    Column("after_end", Boolean, nullable=False),
    Index("job_entries_of_job", "job_id", "entry_id"),
    sqlite_autoincrement=True,
)

files = Table(
    "files",
    metadata,
    Column("file_id", SEQUENCE, primary_key=True),
    # `firmware`, or `upload` of a charger.
    Column("purpose", Text, nullable=False),
    Column("charger", Text),
    Column("job_id", SEQUENCE),
    # What it is called by who sent it; never a path of ours.
    Column("name", Text, nullable=False),
    # What it is called on disk.
    Column("stored", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("files_of_job", "job_id", "file_id"),
    Index("files_of_purpose", "purpose", "created_ms"),
    sqlite_autoincrement=True,
)

file_tokens = Table(
    "file_tokens",
    metadata,
    # SHA-256 of the token, in hexadecimal digits.
    Column("digest", Text, primary_key=True),
    Column("job_id", SEQUENCE, nullable=False),
    Column("charger", Text, nullable=False),
    # The file to fetch; null where one is to be sent.
    Column("file_id", SEQUENCE),
    Column("expires_ms", BigInteger, nullable=False),
    # When the file was there.
    Column("used_ms", BigInteger),
    Index("file_tokens_of_job", "job_id"),
    Index("file_tokens_expiry", "expires_ms"),
)
