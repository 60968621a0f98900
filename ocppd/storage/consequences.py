"""What else changes in the records when something happens: a table of functions for each thing that may happen.

Each runs in the commit of what it follows from, so that neither is there without the other. It looks at what it is given
before it asks the database, because most messages concern nobody here, and it refuses nothing: a message of a charger is
recorded whatever follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import bindparam, select

from ocppd.storage import charger_jobs
from ocppd.storage.charger_job_calls import CALLS, NOTIFICATIONS
from ocppd.storage.records import Boot, EndedCall, Inbound, MessageState, Start, Status, TransactionRecord
from ocppd.storage.schema import IS_OUR_CALL, messages
from ocppd.storage.unit import Statement, Unit

#: A BootNotification was recorded.
ON_BOOT: Final[tuple[Callable[[Unit, Inbound, Boot], None], ...]] = (charger_jobs.booted,)
#: A StatusNotification was recorded.
ON_STATUS: Final[tuple[Callable[[Unit, Inbound, Status], None], ...]] = ()
#: A transaction has begun, of that id; not told of a start that is repeated.
ON_START: Final[tuple[Callable[[Unit, Inbound, Start, int], None], ...]] = ()
#: A transaction has been stopped by its charger, or closed by an operator.
ON_END_OF_TRANSACTION: Final[tuple[Callable[[Unit, TransactionRecord, int], None], ...]] = ()
#: A message that is journaled and has no other effect, by its action; with its sequence.
ON_MESSAGE: Final[Mapping[str, tuple[Callable[[Unit, Inbound, int], None], ...]]] = {
    **dict.fromkeys(NOTIFICATIONS, (charger_jobs.notified,)),
}
#: A call of ours has come to a final state, by its action. A late answer is another end.
ON_END_OF_CALL: Final[Mapping[str, tuple[Callable[[Unit, EndedCall], None], ...]]] = {
    **dict.fromkeys(CALLS, (charger_jobs.call_ended,)),
}

_ENDED = Statement(
    select(
        messages.c.sequence,
        messages.c.message_id,
        messages.c.charger,
        messages.c.action,
        messages.c.state,
        messages.c.frame,
        messages.c.answer,
        messages.c.outcome,
        messages.c.created_ms,
        messages.c.sent_ms,
    ).where(messages.c.message_id == bindparam("the_id"), IS_OUR_CALL)
)


def booted(unit: Unit, message: Inbound, boot: Boot) -> None:
    """A boot was recorded."""
    for follow in ON_BOOT:
        follow(unit, message, boot)


def status_notified(unit: Unit, message: Inbound, status: Status) -> None:
    """A status was recorded."""
    for follow in ON_STATUS:
        follow(unit, message, status)


def transaction_started(unit: Unit, message: Inbound, start: Start, transaction_id: int) -> None:
    """A transaction has begun."""
    for follow in ON_START:
        follow(unit, message, start, transaction_id)


def transaction_ended(unit: Unit, transaction: TransactionRecord, at_ms: int) -> None:
    """A transaction has ended; the record may be that of a moment before."""
    for follow in ON_END_OF_TRANSACTION:
        follow(unit, transaction, at_ms)


def message_received(unit: Unit, message: Inbound, sequence: int) -> None:
    """A message without any other effect was journaled."""
    for follow in ON_MESSAGE.get(message.action, ()):
        follow(unit, message, sequence)


def call_ended(unit: Unit, message_id: str, at_ms: int | None) -> None:
    """A call of ours has ended; now, where the caller does not know when."""
    if not ON_END_OF_CALL:
        return
    row = unit.one(_ENDED, {"the_id": message_id})
    if row is None or row[3] not in ON_END_OF_CALL:
        return
    sequence, _, charger, action, state, frame, answer, outcome, created_ms, sent_ms = row
    ended_ms = at_ms if at_ms is not None else sent_ms or created_ms
    ended = EndedCall(sequence, message_id, charger, action, MessageState(state), ended_ms, frame, answer, outcome)
    for follow in ON_END_OF_CALL[action]:
        follow(unit, ended)
