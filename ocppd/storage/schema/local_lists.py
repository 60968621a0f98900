"""The local authorization lists of chargers: what each is to hold, and what it holds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from ocppd.storage.schema.base import metadata

#: There is something to do about it.
IS_DUE = text("due_ms IS NOT NULL")
#: It is made of id tags, and changes with them.
IS_FOLLOWING = text("follows")

local_lists = Table(
    "local_lists",
    metadata,
    Column("charger", Text, primary_key=True),
    # A `Wanted` as JSON; null where nobody wants anything of it.
    Column("wanted", Text),
    Column("wanted_version", BigInteger, nullable=False),
    Column("follows", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text),
    # Of the newest SendLocalList; they grow, also where the list is emptied or given up (REQUIREMENTS L-1).
    Column("sent_version", BigInteger, nullable=False),
    # What the charger has confirmed: entries as JSON; null where that is not known.
    Column("confirmed_version", BigInteger),
    Column("confirmed", Text),
    Column("confirmed_ms", BigInteger),
    # What it holds if the message that it has not answered arrived.
    Column("pending_version", BigInteger),
    Column("pending", Text),
    # What it said to GetLocalListVersion, or has accepted since.
    Column("told_version", BigInteger),
    Column("told_ms", BigInteger),
    # What the id tags were like when it was last in sync.
    Column("revision", Text),
    # Only a full list will do.
    Column("whole", Boolean, nullable=False),
    # Full lists that were accepted since it was last in sync.
    Column("wholes", Integer, nullable=False),
    # Attempts since the last progress.
    Column("attempts", Integer, nullable=False),
    Column("due_ms", BigInteger),
    # The node that is at it.
    Column("worker", Text),
    # When the charger last told of a conflict that was acted upon (REQUIREMENTS N-8).
    Column("conflict_ms", BigInteger),
    # Grows with whatever asks for another look.
    Column("touched", BigInteger, nullable=False),
    # The journal entry of the newest call whose end is in here.
    Column("applied", BigInteger, nullable=False),
    Index("local_lists_due", "due_ms", sqlite_where=IS_DUE, postgresql_where=IS_DUE),
    Index("local_lists_following", "charger", sqlite_where=IS_FOLLOWING, postgresql_where=IS_FOLLOWING),
)
