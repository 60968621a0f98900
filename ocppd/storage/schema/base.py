"""What the tables have in common. Knows no use case and no database product.

What may be queried has a column of its own; what is only shown again is kept as text, as it came. Instants are
milliseconds since the epoch. Integers that a charger sends are 64 bit here, for what chargers send (REQUIREMENTS G-6).

A change to a table needs a new file in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData()

#: SQLite gives a fresh number only to a column whose type is spelled INTEGER; there it has 64 bit.
SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
