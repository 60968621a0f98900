"""What is to follow a call of ours that its charger has accepted.

A row waits for one message of the charger, or for one connector. Only rows that wait are in the indexes that messages of
chargers look at, so that looking costs next to nothing while nothing is expected.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from ocppd.storage.schema.base import SEQUENCE, metadata

IS_UNDECIDED = text("decided_ms IS NULL")
IS_UNTOLD = text("untold IS NOT NULL")
IS_WISH = text("wish IS NOT NULL")

follow_ups = Table(
    "follow_ups",
    metadata,
    # That of our call.
    Column("message_id", Text, primary_key=True),
    # The connector; -1 for any, or where it does not matter.
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    # That of the journal entry of our call.
    Column("sequence", SEQUENCE, nullable=False),
    Column("charger", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # The action of the charger's message.
    Column("expected", Text, nullable=False),
    Column("state", Text, nullable=False),
    # From when on the message counts.
    Column("since_ms", BigInteger, nullable=False),
    # Null where there is none, or where it has passed.
    Column("deadline_ms", BigInteger),
    # Null as long as the message would still change something.
    Column("decided_ms", BigInteger),
    Column("reason", Text),
    # Whose stop is expected; that came of a remote start.
    Column("transaction_id", Integer),
    # Operative or Inoperative, where it is a wish.
    Column("wish", Text),
    # 1 where its state is to become an event.
    Column("untold", Integer),
    Index("follow_ups_open", "charger", sqlite_where=IS_UNDECIDED, postgresql_where=IS_UNDECIDED),
    Index("follow_ups_due", "deadline_ms", sqlite_where=IS_UNDECIDED, postgresql_where=IS_UNDECIDED),
    Index("follow_ups_untold", "untold", sqlite_where=IS_UNTOLD, postgresql_where=IS_UNTOLD),
    Index("follow_ups_wishes", "charger", "place", "sequence", sqlite_where=IS_WISH, postgresql_where=IS_WISH),
)
