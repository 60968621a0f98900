"""The life of a call of ours: from `queued` or `sent` to a final state. Functions over a running transaction.

Its secret is forgotten when it gets there. Accepting a call and connecting its charger both lock the charger's row, so
that one of them sees what the other has done: no call waits unseen by the node that holds its charger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import TextClause, and_, bindparam, func, insert, null, or_, select, text, update

from ocppd.storage import charger_row, consequences, events, remote_starts
from ocppd.storage.messages import CALL, RECORD, THIS_CALL, record_of
from ocppd.storage.records import (
    Acceptance,
    CallEnd,
    DroppedCall,
    EndedCall,
    Holding,
    MessageRecord,
    MessageState,
    NewCall,
    QueuedCall,
    Verdict,
)
from ocppd.storage.records.follow_ups import FollowUp
from ocppd.storage.schema import IS_QUEUED, IS_SENT, chargers, messages, nodes
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Statement, Unit, values_of
from ocppd.v16.types import RegistrationStatus

#: The `detail` of a call that was queued under another key.
KEY_LOST = "its secret was encrypted with a key that is gone"
#: The `detail` of a queued call whose connection is over.
NOT_SENT = "the connection was lost before it was sent"
#: The `detail` of a call whose node has died.
NODE_LOST = "its node ended before the charger answered"

#: Calls whose follow-ups are on record since they were accepted.
ON_RECORD_BEFORE = frozenset({"ChangeAvailability"})

Decrypt = Callable[[bytes], str | None]

_MEMBERS = (
    *("message_id", "charger", "direction", "action", "state", "frame", "late", "generation"),
    *("created_ms", "sent_ms", "expires_ms", "secret", "origin", "node", "waits"),
)
_CREATED = Statement(values_of(insert(messages), *_MEMBERS).returning(messages.c.sequence))
#: One that is sent at once: nothing in its batch asks for it.
_NUMBERED = Statement(values_of(insert(messages), "sequence", *_MEMBERS)).gathering()
_HOLDING = Statement(
    select(nodes.c.node, chargers.c.registration)
    .select_from(chargers.outerjoin(nodes, nodes.c.node == chargers.c.node))
    .where(chargers.c.name == bindparam("the_name"))
)
#: Chargers with queued calls that are looked at together; where there are more, each is looked at by itself.
MOST_WAITING = 100
_WAITING = Statement(at_most(select(messages.c.charger).where(IS_QUEUED), MOST_WAITING))
_COUNT_QUEUED = Statement(select(func.count()).where(messages.c.charger == bindparam("the_charger"), IS_QUEUED))
_QUEUED_OF = Statement(
    select(
        messages.c.message_id,
        messages.c.action,
        messages.c.frame,
        messages.c.secret,
        messages.c.created_ms,
        messages.c.expires_ms,
        messages.c.origin,
        messages.c.waits,
        messages.c.sequence,
    )
    .where(messages.c.charger == bindparam("the_charger"), IS_QUEUED, messages.c.expires_ms > bindparam("now_ms"))
    .order_by(messages.c.sequence)
).standing_beside()
_QUEUED_AT = Statement(
    select(messages.c.charger, chargers.c.node)
    .distinct()
    .select_from(messages.join(chargers, chargers.c.name == messages.c.charger).join(nodes, nodes.c.node == chargers.c.node))
    .where(IS_QUEUED)
)

_SENT = Statement(
    update(messages)
    .where(
        THIS_CALL,
        or_(IS_QUEUED, and_(IS_SENT, messages.c.generation == bindparam("the_generation"))),
    )
    .values(
        state=bindparam("new_state"),
        generation=bindparam("the_generation"),
        sent_ms=bindparam("now_ms"),
        node=bindparam("the_node"),
    )
)
_REQUEUED = Statement(
    update(messages)
    .where(THIS_CALL, IS_SENT, messages.c.generation == bindparam("the_generation"))
    .values(state=bindparam("new_state"), generation=null(), sent_ms=null(), node=null())
)
#: What an end needs of the journal.
_ENDED_ROW = tuple(messages.c[name] for name in ("sequence", "charger", "action", "frame", "sent_ms"))
_CHARGER_OF = Statement(select(messages.c.charger).where(THIS_CALL))


def _ended_from(*states: TextClause) -> Statement:
    return Statement(
        update(messages)
        .where(THIS_CALL, or_(*states))
        .values(
            state=bindparam("new_state"),
            answered_ms=bindparam("new_answered_ms"),
            outcome=bindparam("new_outcome"),
            answer=bindparam("new_answer"),
            late=bindparam("new_late"),
            detail=bindparam("new_detail"),
            secret=null(),
        )
        .returning(*_ENDED_ROW)
    )


_WITHDRAWN = _ended_from(IS_QUEUED)
_ENDED = _ended_from(IS_QUEUED, IS_SENT)
#: The same, where the journal has the call already.
_ENDED_AT_ONCE = _ended_from(IS_QUEUED, IS_SENT).standing_beside()
_ENDED_LATE = _ended_from(text("state = 'timeout'"), text("state = 'unknown'"))
_CANCELLED = Statement(update(messages).where(THIS_CALL, IS_QUEUED).values(state=bindparam("new_state"), secret=null()))
_EXPIRED = Statement(
    update(messages)
    .where(IS_QUEUED, messages.c.expires_ms <= bindparam("now_ms"))
    .values(state=bindparam("new_state"), secret=null())
    .returning(*RECORD)
)
_DROPPED = Statement(
    update(messages)
    .where(messages.c.charger == bindparam("the_charger"), IS_QUEUED, messages.c.waits.is_(False))
    .values(state=bindparam("new_state"), detail=bindparam("new_detail"), secret=null())
    .returning(messages.c.message_id, messages.c.origin)
)
_LIVING = select(nodes.c.node)
_INTERRUPTED = Statement(
    update(messages)
    .where(IS_SENT, or_(messages.c.node.is_(None), messages.c.node.not_in(_LIVING)))
    .values(state=bindparam("new_state"), detail=bindparam("new_detail"), secret=null())
    .returning(messages.c.message_id, messages.c.origin)
)
_ORPHANED = Statement(
    update(messages)
    .where(
        IS_QUEUED,
        messages.c.waits.is_(False),
        messages.c.charger.in_(select(chargers.c.name).where(chargers.c.node.is_not(None), chargers.c.node.not_in(_LIVING))),
    )
    .values(state=bindparam("new_state"), detail=bindparam("new_detail"), secret=null())
    .returning(messages.c.message_id, messages.c.origin)
)


def holding_of(unit: Unit, charger: str) -> Holding:
    """Where a charger is; its row is locked, and made where there is none."""
    charger_row.locked(unit, charger)
    node, registration = unit.one(_HOLDING, {"the_name": charger})
    return Holding(node, None if registration is None else RegistrationStatus(registration))


def call_created(unit: Unit, call: NewCall, secret: bytes | None, generation: int | None, node: str) -> bool:
    """See `MessageRecords.call_created`. `secret` is the encrypted frame, where it is not `redacted` anyway."""
    waits = generation is not None and _may_wait(unit, call.charger) and _queue_length(unit, call.charger) > 0
    _insert(unit, call, secret, MessageState.QUEUED if waits else MessageState.SENT, node, None if waits else generation)
    return not waits


def _may_wait(unit: Unit, charger: str) -> bool:
    """Whether a call may be queued for this charger. Asked once for a batch: all of it was asked for before that began, so
    that what another node queues meanwhile is neither before it nor after it.
    """
    waiting = unit.fact(_WAITING, {})
    return len(waiting) == MOST_WAITING or (charger,) in waiting


def _queue_length(unit: Unit, charger: str) -> int:
    return int(unit.one(_COUNT_QUEUED, {"the_charger": charger})[0])


def call_accepted(
    unit: Unit, call: NewCall, secret: bytes | None, limit: int, decide: Callable[[Holding], bool], node: str
) -> Acceptance:
    """See `MessageRecords.call_accepted`."""
    holding = holding_of(unit, call.charger)
    if not decide(holding):
        return Acceptance(Verdict.REFUSED, holding)
    if _queue_length(unit, call.charger) >= limit:
        return Acceptance(Verdict.FULL, holding)
    sequence = _insert(unit, call, secret, MessageState.QUEUED, node, None)
    return Acceptance(Verdict.ACCEPTED, holding, sequence)


def _insert(unit: Unit, call: NewCall, secret: bytes | None, state: MessageState, node: str, generation: int | None) -> int:
    """Journal it; its sequence, as `Unit.next_number` gives it for one that nothing follows as yet."""
    sent = state is MessageState.SENT
    row: dict[str, Any] = {
        "message_id": call.message_id,
        "charger": call.charger,
        "direction": "toCharger",
        "action": call.action,
        "state": state.value,
        "frame": call.redacted,
        "late": False,
        "generation": generation,
        "created_ms": call.created_ms,
        "sent_ms": call.created_ms if sent else None,
        "expires_ms": call.expires_ms,
        "secret": secret,
        "origin": node,
        "node": node if sent else None,
        "waits": call.waits,
    }
    sequence: int
    if sent and (unit.alone or (unit.gathers and not _is_followed(call))):
        sequence = unit.next_number()
        row["sequence"] = sequence
        unit.send(_NUMBERED, row)
    else:
        sequence = int(unit.one(_CREATED, row)[0])
    remote_starts.kept(unit, call, sequence)
    consequences.call_accepted(unit, call, sequence)
    return sequence


def _is_followed(call: NewCall) -> bool:
    """Whether anything else is recorded with it, by its number."""
    return call.remote_start is not None or call.action in consequences.ON_CALL


def queued_calls(unit: Unit, charger: str, now_ms: int, decrypt: Decrypt) -> list[QueuedCall]:
    """See `MessageRecords.queued_calls`. One whose secret cannot be decrypted any more is left out."""
    return _queued(unit, charger, now_ms, decrypt)[0]


def taken_over(unit: Unit, charger: str, now_ms: int, decrypt: Decrypt) -> tuple[list[QueuedCall], list[DroppedCall]]:
    """What a new connection finds: the calls that wait for it, and those that end by it.

    Those are the ones that do not outlive a connection, and those whose secret is lost: they can never be sent.
    """
    if unit.alone and not _may_wait(unit, charger):
        return [], []
    ended: list[DroppedCall] = []
    queued, lost = _queued(unit, charger, now_ms, decrypt)
    if not all(call.waits for call in (*queued, *lost)):
        ended = dropped(unit, charger)
        queued, lost = _queued(unit, charger, now_ms, decrypt)
    for call in lost:
        call_ended(unit, CallEnd(call.message_id, MessageState.ERROR, now_ms, detail=KEY_LOST))
    return queued, ended + [DroppedCall(call.message_id, call.origin) for call in lost]


def _queued(unit: Unit, charger: str, now_ms: int, decrypt: Decrypt) -> tuple[list[QueuedCall], list[QueuedCall]]:
    """The calls that wait for this charger and have not expired, oldest first; and those whose secret is lost."""
    readable: list[QueuedCall] = []
    lost: list[QueuedCall] = []
    for row in unit.all(_QUEUED_OF, {"the_charger": charger, "now_ms": now_ms}):
        message_id, action, frame, secret, created_ms, expires_ms, origin, waits, sequence = row
        call = QueuedCall(message_id, charger, action, frame, created_ms, expires_ms, sequence, origin, bool(waits))
        whole = frame if secret is None else decrypt(secret)
        if whole is None:
            lost.append(call)
        else:
            readable.append(call if whole is frame else replace(call, frame=whole))
    return readable, lost


def queued_chargers(unit: Unit) -> dict[str, str]:
    """See `MessageRecords.queued_chargers`."""
    return dict(unit.all(_QUEUED_AT, {}))


def call_sent(unit: Unit, message_id: str, generation: int, now_ms: int, node: str) -> bool:
    """See `MessageRecords.call_sent`."""
    changed = unit.run(
        _SENT,
        {
            "the_id": message_id,
            "new_state": MessageState.SENT.value,
            "the_generation": generation,
            "now_ms": now_ms,
            "the_node": node,
        },
    )
    return changed == 1


def call_requeued(unit: Unit, message_id: str, generation: int) -> Holding:
    """See `MessageRecords.call_requeued`."""
    row = unit.one(_CHARGER_OF, {"the_id": message_id})
    if row is None:
        return Holding(None, None)
    holding = holding_of(unit, row[0])
    unit.send(_REQUEUED, {"the_id": message_id, "new_state": MessageState.QUEUED.value, "the_generation": generation})
    return holding


def call_ended(unit: Unit, end: CallEnd) -> tuple[FollowUp, ...] | None:
    """See `MessageRecords.call_ended`."""
    ended = _end(unit, _ENDED_AT_ONCE, end) or (_end(unit, _ENDED, end) if unit.gathers else None)
    if ended is None and end.answer is not None:
        _end(unit, _ENDED_LATE, msgspec.structs.replace(end, late=True))
    if ended is None or ended.late or ended.action in ON_RECORD_BEFORE:
        return None
    return tuple(ended.follow_ups)


def call_withdrawn(unit: Unit, end: CallEnd) -> bool:
    """See `MessageRecords.call_withdrawn`."""
    return _end(unit, _WITHDRAWN, end) is not None


def _end(unit: Unit, statement: Statement, end: CallEnd) -> EndedCall | None:
    """The call as it has ended; None where it was in no state that this ends."""
    row = unit.one(
        statement,
        {
            "the_id": end.message_id,
            "new_state": end.state.value,
            "new_answered_ms": None if end.answer is None else end.ended_ms,
            "new_outcome": end.outcome,
            "new_answer": end.answer,
            "new_late": end.late,
            "new_detail": end.detail,
        },
    )
    if row is None:
        return None
    sequence, charger, action, frame, sent_ms = row
    ended = EndedCall(
        *(sequence, end.message_id, charger, action, end.state, end.ended_ms, frame, end.answer, end.outcome),
        *(sent_ms, end.late),
    )
    events.this_call_ended(unit, ended)
    consequences.this_call_ended(unit, ended)
    return ended


def call_cancelled(unit: Unit, message_id: str, now_ms: int) -> MessageRecord | None:
    """See `MessageRecords.call_cancelled`."""
    if unit.run(_CANCELLED, {"the_id": message_id, "new_state": MessageState.CANCELLED.value}):
        _has_ended(unit, message_id, now_ms)
    row = unit.one(CALL, {"the_id": message_id})
    return None if row is None else record_of(row)


def calls_expired(unit: Unit, now_ms: int) -> list[MessageRecord]:
    """See `MessageRecords.calls_expired`; oldest first."""
    rows = unit.all(_EXPIRED, {"now_ms": now_ms, "new_state": MessageState.EXPIRED.value})
    expired = sorted(map(record_of, rows), key=lambda record: record.sequence)
    for record in expired:
        _has_ended(unit, record.message_id, now_ms)
    return expired


def let_go(unit: Unit, charger: str) -> list[DroppedCall]:
    """What the end of a connection leaves: the queued calls that end with it."""
    return [] if unit.alone and not _may_wait(unit, charger) else dropped(unit, charger)


def dropped(unit: Unit, charger: str) -> list[DroppedCall]:
    """End the queued calls of a charger that do not outlive a connection."""
    ended = {"the_charger": charger, "new_state": MessageState.ERROR.value, "new_detail": NOT_SENT}
    return _told(unit, unit.all(_DROPPED, ended))


def interrupted(unit: Unit) -> list[DroppedCall]:
    """End what nodes that are not in the list of nodes any more have left behind."""
    sent = unit.all(_INTERRUPTED, {"new_state": MessageState.UNKNOWN.value, "new_detail": NODE_LOST})
    queued = unit.all(_ORPHANED, {"new_state": MessageState.ERROR.value, "new_detail": NOT_SENT})
    return _told(unit, [*sent, *queued])


def _told(unit: Unit, rows: Sequence[Any]) -> list[DroppedCall]:
    """The calls that these rows say have ended."""
    ended = [DroppedCall(*row) for row in rows]
    for call in ended:
        _has_ended(unit, call.message_id)
    return ended


def _has_ended(unit: Unit, message_id: str, at_ms: int | None = None) -> None:
    events.call_ended(unit, message_id, at_ms)
    consequences.call_ended(unit, message_id, at_ms)
