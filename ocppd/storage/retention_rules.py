"""Which old rows may go: the journal, events, the history of connectors, the quarantine. See `retention` for how.

A row that something refers to stays. What is still on its way stays for now, and is looked at again. The newest row of the
journal and of the events stays as well: the numbers of events go on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Table,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from ocppd.storage.records.retention import Kind
from ocppd.storage.schema import (
    charger_jobs,
    events,
    filed_statuses,
    fleet_job_rows,
    follow_ups,
    messages,
    quarantine,
    reservations,
    retention_postponed,
    statuses,
    transactions,
)
from ocppd.storage.unit import Statement

#: A call of ours may have ended so long after the last instant that its row has; its event is not to outlive it.
END_MS: Final = 3_600_000


class Fate(Enum):
    """What becomes of a row."""

    GOES = auto()
    STAYS = auto()
    #: It stays for now.
    LATER = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """Of one kind. The rows of both statements begin with their number; `judge` is given a row and what is old."""

    walk: Statement
    postponed: Statement
    gone: Statement
    judge: Callable[[Any, int], Fate]


def rule_of(
    table: Table, number: Column[int], columns: tuple[ColumnElement[Any], ...], judge: Callable[[Any, int], Fate]
) -> Rule:
    """A rule for a table whose numbers grow with time."""
    newest = select(func.max(number)).scalar_subquery()
    count, none = bindparam("the_count", type_=BigInteger()), literal_column("0", type_=BigInteger())
    after = bindparam("the_last", type_=BigInteger())
    walk = select(number, *columns).where(number > after, number < newest).order_by(number)
    again = (
        select(retention_postponed.c.number, *columns)
        .select_from(retention_postponed.outerjoin(table, number == retention_postponed.c.number))
        .where(retention_postponed.c.kind == bindparam("the_kind", type_=Text()), retention_postponed.c.number > after)
        .order_by(retention_postponed.c.number)
    )
    return Rule(
        Statement(walk.limit(count).offset(none)),
        Statement(again.limit(count).offset(none)),
        Statement(delete(table).where(number == bindparam("the_number"))),
        judge,
    )


def _text(value: str) -> ColumnElement[str]:
    return literal_column(f"'{value}'", type_=Text())


def _any_of(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return case((or_(*conditions), literal_column("1")), else_=literal_column("0"))


#: `=` in this order, so that the index of the table is the one that is used.
_IS_OURS: Final = messages.c.direction == _text("toCharger")
_THIS_ID: Final = messages.c.message_id
#: Transactions, jobs and reservations are kept, and name their messages.
_REFERRED: Final = _any_of(
    and_(
        messages.c.transaction_id.is_not(None),
        messages.c.action.in_([_text(name) for name in ("StartTransaction", "StopTransaction", "RemoteStartTransaction")]),
    ),
    and_(_IS_OURS, exists().where(fleet_job_rows.c.message_id == _THIS_ID)),
    and_(_IS_OURS, exists().where(charger_jobs.c.message_id == _THIS_ID)),
    and_(_IS_OURS, exists().where(reservations.c.message_id == _THIS_ID)),
)
#: A nameless stop asks whether an open transaction was ever named (REQUIREMENTS T-22).
_WAITED_FOR: Final = _any_of(
    and_(_IS_OURS, messages.c.state.in_([_text("queued"), _text("sent")])),
    exists().where(transactions.c.transaction_id == messages.c.transaction_id, transactions.c.state == _text("open")),
    and_(
        _IS_OURS,
        exists().where(
            follow_ups.c.message_id == _THIS_ID, or_(follow_ups.c.decided_ms.is_(None), follow_ups.c.wish.is_not(None))
        ),
    ),
)


def _message(row: Any, before_ms: int) -> Fate:
    _, created_ms, sent_ms, answered_ms, expires_ms, referred, waited_for = row
    ended_ms = max(sent_ms or 0, answered_ms or 0, expires_ms or 0)
    if created_ms >= before_ms or (ended_ms and ended_ms + END_MS >= before_ms) or waited_for:
        return Fate.LATER
    return Fate.STAYS if referred else Fate.GOES


def _status(row: Any, before_ms: int) -> Fate:
    _, received_ms, newer = row
    return Fate.GOES if received_ms < before_ms and newer else Fate.LATER


def _by_age(row: Any, before_ms: int) -> Fate:
    return Fate.GOES if row[1] < before_ms else Fate.LATER


_instants = (messages.c.created_ms, messages.c.sent_ms, messages.c.answered_ms, messages.c.expires_ms)
_newer = filed_statuses.alias("newer")
#: A status of the same connector came after it: this is not the current one.
_SUPERSEDED: Final = _any_of(
    exists().where(
        _newer.c.charger == statuses.c.charger,
        _newer.c.connector_id == statuses.c.connector_id,
        _newer.c.sequence > statuses.c.sequence,
    )
)

MESSAGES: Final = rule_of(messages, messages.c.sequence, (*_instants, _REFERRED, _WAITED_FOR), _message)
EVENTS: Final = rule_of(events, events.c.sequence, (events.c.at_ms,), _by_age)
STATUSES: Final = rule_of(statuses, statuses.c.sequence, (statuses.c.received_ms, _SUPERSEDED), _status)
QUARANTINE: Final = rule_of(quarantine, quarantine.c.number, (quarantine.c.received_ms,), _by_age)

RULES: Final = {
    Kind.MESSAGES: MESSAGES,
    Kind.EVENTS: EVENTS,
    Kind.STATUSES: STATUSES,
    Kind.QUARANTINE: QUARANTINE,
}
