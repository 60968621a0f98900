"""What follows calls, as it is read; and what time decides about it. The use cases of `ocppd.storage.api.follow_ups`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, case, func, literal_column, null, or_, select, tuple_, update
from twisted.internet.defer import Deferred

from ocppd.storage import events
from ocppd.storage.access import Access
from ocppd.storage.follow_ups import METER_VALUES, came_since
from ocppd.storage.records import EventKind
from ocppd.storage.records.follow_ups import ANYWHERE, FollowUp, FollowUpKind, FollowUpState, Settled
from ocppd.storage.schema import IS_UNDECIDED, IS_UNTOLD, IS_WISH, chargers, follow_ups, messages, nodes, transactions
from ocppd.storage.spellings import at_most, one_of
from ocppd.storage.unit import Parameters, Statement, Unit

#: What is decided at once, and the time that looking for it in the journal may take: the writer is not to be held for more
#: than 50 ms. The rest comes with the next portion.
AT_ONCE: Final = 500
DECIDING_S: Final = 0.012
#: A message that no node but the one that asked for it could have heard.
HEARTBEAT: Final = "Heartbeat"
NODE_LOST: Final = "the node that asked for it ended before it could be seen"
EVENTS: Final[Mapping[FollowUpState, EventKind]] = {
    FollowUpState.MISSING: EventKind.FOLLOW_UP_MISSING,
    FollowUpState.FAILED: EventKind.FOLLOW_UP_FAILED,
    FollowUpState.SEEN: EventKind.FOLLOW_UP_SEEN,
}
_RECORD: Final = (
    *("message_id", "place", "charger", "kind", "expected", "state", "since_ms"),
    *("deadline_ms", "decided_ms", "reason", "transaction_id", "wish"),
)
_DECIDING: Final = ("message_id", "place", "charger", "expected", "since_ms", "sequence")
_COLUMNS: Final = tuple(follow_ups.c[name] for name in _RECORD)
_THIS = and_(follow_ups.c.message_id == bindparam("the_id"), follow_ups.c.place == bindparam("the_place"))

_OF_MESSAGES = Statement(
    select(*_COLUMNS)
    .where(one_of(follow_ups.c.message_id, bindparam("the_ids", type_=Text())))
    .order_by(follow_ups.c.message_id, follow_ups.c.place)
)
_FIRST_DUE = Statement(
    at_most(select(follow_ups.c.message_id).where(IS_UNDECIDED, follow_ups.c.deadline_ms <= bindparam("now_ms")), 1)
)
_FIRST_UNTOLD = Statement(at_most(select(follow_ups.c.message_id).where(IS_UNTOLD), 1))
_DUE = Statement(
    at_most(
        select(*(follow_ups.c[name] for name in _DECIDING), messages.c.node, nodes.c.node.label("living"))
        .select_from(
            follow_ups.outerjoin(messages, messages.c.sequence == follow_ups.c.sequence).outerjoin(
                nodes, nodes.c.node == messages.c.node
            )
        )
        .where(IS_UNDECIDED, follow_ups.c.deadline_ms <= bindparam("now_ms"))
        .order_by(follow_ups.c.deadline_ms),
        AT_ONCE,
    )
)
#: Of what is missing a trigger is decided; the others may still come, and change something then.
_DECIDED = Statement(
    update(follow_ups)
    .where(_THIS, IS_UNDECIDED, follow_ups.c.deadline_ms <= bindparam("now_ms"))
    .values(
        state=bindparam("new_state"),
        reason=func.coalesce(bindparam("new_reason"), follow_ups.c.reason),
        decided_ms=case(
            (
                or_(literal_column("'trigger'") == follow_ups.c.kind, bindparam("new_state") != literal_column("'missing'")),
                bindparam("at_ms"),
            ),
            else_=null(),
        ),
        untold=case((bindparam("new_state") == literal_column("'seen'"), null()), else_=literal_column("1")),
        deadline_ms=null(),
    )
)
_KEY = (follow_ups.c.message_id, follow_ups.c.place)
#: Whoever changes a row tells of it: of two nodes that come to it the second one finds it told.
_TOLD = Statement(
    update(follow_ups)
    .where(tuple_(*_KEY).in_(at_most(select(*_KEY).where(IS_UNTOLD), AT_ONCE)), IS_UNTOLD)
    .values(untold=null())
    .returning(*_COLUMNS)
)
_SEEN = Statement(
    update(follow_ups)
    .where(_THIS, IS_UNDECIDED)
    .values(state=literal_column("'seen'"), decided_ms=bindparam("at_ms"), deadline_ms=null())
)
_IMPLIED = Statement(
    update(chargers)
    .where(chargers.c.name == bindparam("the_name"), chargers.c.registration.is_(None))
    .values(registration=literal_column("'Accepted'"), registered_ms=bindparam("now_ms"))
)
_FLAGS = Statement(select(transactions.c.flags).where(transactions.c.transaction_id == bindparam("the_id")).with_for_update())
_FLAGGED = Statement(
    update(transactions).where(transactions.c.transaction_id == bindparam("the_id")).values(flags=bindparam("new_flags"))
)


class SqlFollowUps:
    """`FollowUpRecords` over SQL."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage

    def of_messages(self, message_ids: Sequence[str]) -> Deferred[dict[str, tuple[FollowUp, ...]]]:
        return self._storage.read(of_messages, tuple(message_ids))

    def availability(self, names: Sequence[str]) -> Deferred[dict[str, Mapping[int, FollowUp]]]:
        return self._storage.read(availability, tuple(names))

    def seen(self, message_id: str, connector_id: int | None, at_ms: int) -> Deferred[bool]:
        return self._storage.write(seen, message_id, connector_id, at_ms)

    def is_due(self, now_ms: int) -> Deferred[bool]:
        return self._storage.read(is_due, now_ms)

    def settle(self, now_ms: int, node: str) -> Deferred[Settled]:
        return self._storage.write(settle, now_ms, node)

    def accepted_implicitly(self, charger: str, now_ms: int) -> Deferred[None]:
        return self._storage.write(accepted_implicitly, charger, now_ms)

    def flag_transaction(self, transaction_id: int, flag: str) -> Deferred[bool]:
        return self._storage.write(flag_transaction, transaction_id, flag)


def of_messages(unit: Unit, message_ids: Sequence[str]) -> dict[str, tuple[FollowUp, ...]]:
    """See `FollowUpRecords.of_messages`."""
    found: dict[str, list[FollowUp]] = {}
    for row in unit.all(_OF_MESSAGES, {"the_ids": json.dumps(tuple(message_ids))}):
        found.setdefault(row[0], []).append(_record(row))
    return {message_id: tuple(records) for message_id, records in found.items()}


def availability(unit: Unit, names: Sequence[str]) -> dict[str, Mapping[int, FollowUp]]:
    """See `FollowUpRecords.availability`."""
    found: dict[str, dict[int, FollowUp]] = {}
    if len(names) == 1:
        rows = unit.all(_WISHES, {"the_name": names[0]})
    else:
        rows = unit.all(_WISHES_OF_MANY, {"the_names": json.dumps(tuple(names))})
    for record in map(_record, rows):
        found.setdefault(record.charger, {})[record.connector_id or 0] = record
    return dict(found)


def _wishes(which: ColumnElement[bool]) -> Select[Any]:
    """The newest wish for each connector that is not void."""
    newest = (
        select(follow_ups.c.charger, follow_ups.c.place, func.max(follow_ups.c.sequence).label("sequence"))
        .where(IS_WISH, which, follow_ups.c.state != literal_column("'void'"))
        .group_by(follow_ups.c.charger, follow_ups.c.place)
        .subquery("newest")
    )
    this = and_(*(newest.c[name] == follow_ups.c[name] for name in ("charger", "place", "sequence")))
    return select(*_COLUMNS).select_from(newest.join(follow_ups, and_(this, IS_WISH)))


_WISHES = Statement(_wishes(follow_ups.c.charger == bindparam("the_name")))
_WISHES_OF_MANY = Statement(_wishes(one_of(follow_ups.c.charger, bindparam("the_names", type_=Text()))))


def _record(row: Any) -> FollowUp:
    message_id, place, charger, kind, expected, state, *others = row
    connector_id = None if place == ANYWHERE else place
    return FollowUp(message_id, connector_id, charger, FollowUpKind(kind), expected, FollowUpState(state), *others)


def seen(unit: Unit, message_id: str, connector_id: int | None, at_ms: int) -> bool:
    """See `FollowUpRecords.seen`."""
    place = ANYWHERE if connector_id is None else connector_id
    return unit.run(_SEEN, {"the_id": message_id, "the_place": place, "at_ms": at_ms}) == 1


def is_due(unit: Unit, now_ms: int) -> bool:
    """See `FollowUpRecords.is_due`."""
    return unit.one(_FIRST_DUE, {"now_ms": now_ms}) is not None or unit.one(_FIRST_UNTOLD, {}) is not None


def settle(unit: Unit, now_ms: int, node: str) -> Settled:
    """See `FollowUpRecords.settle`. Of several nodes at the same moment each row is one node's."""
    due = unit.all(_DUE, {"now_ms": now_ms})
    more, end_s = len(due) == AT_ONCE, monotonic() + DECIDING_S
    for row in due:
        _decide(unit, row, now_ms, node)
        if monotonic() > end_s:
            more = True
            break
    untold = [_record(row) for row in unit.all(_TOLD, {})]
    return Settled(_tell(unit, untold, now_ms), more or len(untold) == AT_ONCE)


def _decide(unit: Unit, due: Any, now_ms: int, node: str) -> None:
    message_id, place, charger, expected, since_ms, sequence, sender, living = due
    state, reason, at_ms = FollowUpState.MISSING, None, now_ms
    if expected == METER_VALUES:  # what every message would have to ask for otherwise
        came_ms = came_since(unit, charger, expected, place, sequence, since_ms)
        if came_ms is not None:
            state, at_ms = FollowUpState.SEEN, came_ms
    elif expected == HEARTBEAT and sender not in (node, living):
        state, reason = FollowUpState.FAILED, NODE_LOST
    row: Parameters = {
        "the_id": message_id,
        "the_place": place,
        "now_ms": now_ms,
        "new_state": state.value,
        "new_reason": reason,
        "at_ms": at_ms,
    }
    unit.send(_DECIDED, row)


def _tell(unit: Unit, untold: Sequence[FollowUp], now_ms: int) -> int:
    """Make events of these; how many."""
    told = [record for record in untold if record.state in EVENTS]
    for record in told:
        events.happened(unit, EVENTS[record.state], record.charger, record.decided_ms or now_ms, **_members(record))
    return len(told)


def _members(record: FollowUp) -> dict[str, str]:
    told = {
        "messageId": record.message_id,
        "expected": record.expected,
        "connectorId": record.connector_id,
        "transactionId": record.transaction_id,
        "reason": record.reason,
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def accepted_implicitly(unit: Unit, charger: str, now_ms: int) -> None:
    """See `FollowUpRecords.accepted_implicitly`."""
    unit.send(_IMPLIED, {"the_name": charger, "now_ms": now_ms})


def flag_transaction(unit: Unit, transaction_id: int, flag: str) -> bool:
    """See `FollowUpRecords.flag_transaction`."""
    row = unit.one(_FLAGS, {"the_id": transaction_id})
    if row is None:
        return False
    flags = json.loads(row[0])
    if flag in flags:
        return False
    unit.send(_FLAGGED, {"the_id": transaction_id, "new_flags": json.dumps([*flags, flag])})
    return True
