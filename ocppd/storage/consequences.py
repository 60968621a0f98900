"""What else changes in the records when something happens: a table of functions for each thing that may happen.

Each runs in the commit of what it follows from, so that neither is there without the other. It looks at what it is given
before it asks the database, because most messages concern nobody here, and it refuses nothing: a message of a charger, and the
end of a call, are recorded whatever follows from them. So where one of these functions has a bug, the batch that fails is run
again with a SAVEPOINT for each of them, which costs nothing until then. A call of ours is not accepted where what follows it
fails: nothing of it has been sent yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import bindparam, select
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from ocppd.errors import Violation
from ocppd.storage import (
    charger_certificates,
    charger_jobs,
    charging_effects,
    configuration,
    fleet_job_steps,
    follow_ups,
    installed_certificates,
    local_list_effects,
    refused_actions,
    registry_effects,
    reservations,
    security_events,
    wishes,
)
from ocppd.storage.charger_job_calls import CALLS, NOTIFICATIONS
from ocppd.storage.records import Boot, EndedCall, Inbound, MessageState, NewCall, Start, Status, TransactionRecord
from ocppd.storage.schema import IS_OUR_CALL, messages
from ocppd.storage.unit import Statement, Unit

log = Logger()

#: What reading a frame may raise, which is in the journal all the same: it is recorded, and has no consequence.
UNREADABLE: Final = (Violation, msgspec.MsgspecError, UnicodeError, RecursionError)

F = TypeVar("F")

#: Given by a function in whose place nothing was done.
FAILED: Final = object()


def joined(*tables: Mapping[str, Sequence[F]]) -> dict[str, tuple[F, ...]]:
    """One table of several: who follows an action in any of them, in their order."""
    whole: dict[str, tuple[F, ...]] = {}
    for table in tables:
        for action, functions in table.items():
            whole[action] = whole.get(action, ()) + tuple(functions)
    return whole


#: A BootNotification was recorded.
ON_BOOT: Final[tuple[Callable[[Unit, Inbound, Boot], None], ...]] = (
    follow_ups.booted,
    configuration.booted,
    charger_jobs.booted,
)
#: A StatusNotification was recorded.
ON_STATUS: Final[tuple[Callable[[Unit, Inbound, Status], None], ...]] = (
    follow_ups.status_notified,
    reservations.status_notified,
    local_list_effects.status_notified,
)
#: A transaction has begun, of that id; not told of a start that is repeated.
ON_START: Final[tuple[Callable[[Unit, Inbound, Start, int], None], ...]] = (reservations.begun,)
#: A transaction has been stopped by its charger, or closed by an operator.
ON_END_OF_TRANSACTION: Final[tuple[Callable[[Unit, TransactionRecord, int], None], ...]] = (
    follow_ups.transaction_ended,
    charging_effects.transaction_ended,
)
#: The transaction of a remote start has begun: the id of the call's message, and that of the transaction.
ON_REMOTE_START: Final[tuple[Callable[[Unit, str, int], None], ...]] = (charging_effects.remote_start_bound,)
#: A message that is journaled and has no other effect, by its action; with its sequence.
ON_MESSAGE: Final = joined(
    follow_ups.AFTER_MESSAGES,
    {"SecurityEventNotification": (security_events.received,)},
    dict.fromkeys(NOTIFICATIONS, (charger_jobs.notified,)),
)
#: A call of ours was journaled, by its action; with its sequence.
ON_CALL: Final = joined(
    {
        "ChangeAvailability": (wishes.wished,),
        "ChangeConfiguration": (registry_effects.call_accepted,),
        "ReserveNow": (reservations.requested,),
    }
)
#: A call of ours has come to a final state, by its action. A late answer is another end.
ON_END_OF_CALL: Final = joined(
    follow_ups.AFTER_CALLS,
    dict.fromkeys(CALLS, (charger_jobs.call_ended,)),
    {
        "CancelReservation": (reservations.cancelled,),
        "CertificateSigned": (charger_certificates.signed_ended,),
        "ChangeAvailability": (wishes.answered,),
        "ChangeConfiguration": (configuration.call_ended, registry_effects.call_ended),
        "ClearChargingProfile": (charging_effects.clear_ended,),
        "DeleteCertificate": (installed_certificates.deleted,),
        "GetConfiguration": (configuration.call_ended,),
        "GetInstalledCertificateIds": (installed_certificates.listed,),
        "GetLocalListVersion": (local_list_effects.told,),
        "InstallCertificate": (installed_certificates.installed,),
        "ReserveNow": (reservations.answered,),
        "SendLocalList": (local_list_effects.sent,),
        "SetChargingProfile": (charging_effects.set_ended,),
    },
)
#: The same, whatever its action.
ON_END_OF_ANY_CALL: Final[tuple[Callable[[Unit, EndedCall], None], ...]] = (
    refused_actions.call_ended,
    fleet_job_steps.call_ended,
)
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
    for follow in _each(unit, ON_BOOT, message.charger):
        follow(unit, message, boot)


def status_notified(unit: Unit, message: Inbound, status: Status) -> None:
    """A status was recorded."""
    for follow in ON_STATUS if unit.is_bug is None else _each(unit, ON_STATUS, message.charger):  # the hot path
        follow(unit, message, status)


def transaction_started(unit: Unit, message: Inbound, start: Start, transaction_id: int) -> None:
    """A transaction has begun."""
    for follow in _each(unit, ON_START, message.charger):
        follow(unit, message, start, transaction_id)


def transaction_ended(unit: Unit, transaction: TransactionRecord, at_ms: int) -> None:
    """A transaction has ended; the record may be that of a moment before."""
    for follow in _each(unit, ON_END_OF_TRANSACTION, transaction.charger):
        follow(unit, transaction, at_ms)


def remote_start_bound(unit: Unit, message_id: str, transaction_id: int) -> None:
    """A transaction has begun that came of our RemoteStartTransaction of that message id."""
    for follow in _each(unit, ON_REMOTE_START, message_id):
        follow(unit, message_id, transaction_id)


def message_received(unit: Unit, message: Inbound, sequence: int) -> None:
    """A message without any other effect was journaled."""
    for follow in _each(unit, ON_MESSAGE.get(message.action, ()), message.charger):
        try:
            follow(unit, message, sequence)
        except UNREADABLE as error:
            _tell_unread(message.charger, message.action, sequence, error)


def call_accepted(unit: Unit, call: NewCall, sequence: int) -> None:
    """A call of ours was journaled, to be sent now or later."""
    for follow in ON_CALL.get(call.action, ()):
        follow(unit, call, sequence)


def call_ended(unit: Unit, message_id: str, at_ms: int | None) -> None:
    """A call of ours has ended; now, where the caller does not know when."""
    row = unit.one(_ENDED, {"the_id": message_id})
    if row is None:
        return
    sequence, _, charger, action, state, frame, answer, outcome, created_ms, sent_ms = row
    ended_ms = at_ms if at_ms is not None else sent_ms or created_ms
    ended = EndedCall(*(sequence, message_id, charger, action, MessageState(state), ended_ms, frame, answer, outcome, sent_ms))
    this_call_ended(unit, ended)


def this_call_ended(unit: Unit, ended: EndedCall) -> None:
    """The same of a call that is at hand."""
    for follow in _each(unit, (*ON_END_OF_CALL.get(ended.action, ()), *ON_END_OF_ANY_CALL), ended.charger):
        expected = len(ended.follow_ups)
        try:
            if follow(unit, ended) is FAILED:  # what it expected is not on record
                del ended.follow_ups[expected:]
        except UNREADABLE as error:
            _tell_unread(ended.charger, ended.action, ended.sequence, error)


def _each(unit: Unit, functions: Sequence[Callable[..., None]], about: str) -> Sequence[Callable[..., object]]:
    """The functions; after a failure each so that what goes wrong in it is its own loss, and told `about` whom."""
    if unit.is_bug is None:
        return functions
    return [partial(_attempted, follow, unit.is_bug, about) for follow in functions]


def _attempted(follow: Callable[..., None], is_bug: Callable[[Exception], bool], about: str, unit: Unit, *what: Any) -> object:
    failure = unit.attempt(lambda unit: follow(unit, *what), is_bug)
    if isinstance(failure, Failure):
        level = LogLevel.warn if failure.check(*UNREADABLE) else LogLevel.critical
        name = f"{follow.__module__}.{follow.__name__}"
        log.failure("{about}: {name} failed; what it follows from is recorded", failure, level, about=about, name=name)
        return FAILED
    return None


def _tell_unread(charger: str, action: str, sequence: int, error: Exception) -> None:
    log.warn(
        "{charger}: nothing follows from {action} {sequence}, which cannot be read: {reason}",
        charger=charger, action=action, sequence=sequence, reason=str(error),
    )  # fmt: skip
