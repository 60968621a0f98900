"""Messages of a charger that are journaled, and have an effect only where somebody waits for them.

Functions over a running transaction.
"""

from __future__ import annotations

from ocppd.storage import consequences
from ocppd.storage import messages as journal
from ocppd.storage.records import Inbound
from ocppd.storage.unit import Unit


def received(unit: Unit, message: Inbound, failed: bool) -> int:
    """See `MessageRecords.message_received`."""
    followed = not failed and message.action in consequences.ON_MESSAGE
    sequence = journal.received(unit, message, message.answer, failed=failed, later=not followed)
    if followed:
        consequences.message_received(unit, message, sequence)
    return sequence
