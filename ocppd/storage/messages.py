"""The journal: messages both ways, and the life of our own calls. Functions over a running transaction.

A message of a charger is written once, with its answer. A call of ours goes from `queued` or `sent` to a final state;
its secret is forgotten when it gets there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    ColumnElement,
    TextClause,
    and_,
    bindparam,
    func,
    insert,
    null,
    or_,
    select,
    text,
    update,
)

from ocppd.storage.records import (
    CallEnd,
    Direction,
    Inbound,
    MessageFilter,
    MessageRecord,
    MessageState,
    NewCall,
    QueuedCall,
)
from ocppd.storage.schema import IS_FROM_CHARGER, IS_OUR_CALL, IS_QUEUED, IS_SENT, messages
from ocppd.storage.unit import Statement, Unit, values_of

#: The `detail` of a call that was queued under another key.
KEY_LOST = "its secret was encrypted with a key that is gone"

_RECORD = (
    messages.c.sequence,
    messages.c.message_id,
    messages.c.charger,
    messages.c.direction,
    messages.c.action,
    messages.c.state,
    messages.c.created_ms,
    messages.c.frame,
    messages.c.answer,
    messages.c.outcome,
    messages.c.late,
    messages.c.sent_ms,
    messages.c.answered_ms,
    messages.c.expires_ms,
    messages.c.detail,
)

_RECEIVED = Statement(
    values_of(
        insert(messages),
        "message_id",
        "charger",
        "direction",
        "action",
        "state",
        "frame",
        "answer",
        "outcome",
        "late",
        "generation",
        "created_ms",
        "transaction_id",
    ).returning(messages.c.sequence)
)
_ANSWERED = Statement(
    update(messages)
    .where(messages.c.sequence == bindparam("the_sequence"))
    .values(answer=bindparam("new_answer"), state=bindparam("new_state"))
)

_CREATED = Statement(
    values_of(
        insert(messages),
        "message_id",
        "charger",
        "direction",
        "action",
        "state",
        "frame",
        "late",
        "created_ms",
        "sent_ms",
        "expires_ms",
        "secret",
    )
)
_COUNT_QUEUED = Statement(select(func.count()).where(messages.c.charger == bindparam("the_charger"), IS_QUEUED))
_QUEUED_OF = Statement(
    select(
        messages.c.message_id,
        messages.c.action,
        messages.c.frame,
        messages.c.secret,
        messages.c.created_ms,
        messages.c.expires_ms,
    )
    .where(messages.c.charger == bindparam("the_charger"), IS_QUEUED, messages.c.expires_ms > bindparam("now_ms"))
    .order_by(messages.c.sequence)
)

_THIS_CALL = and_(messages.c.message_id == bindparam("the_id"), IS_OUR_CALL)
_SENT = Statement(
    update(messages)
    .where(_THIS_CALL, IS_QUEUED)
    .values(state=bindparam("new_state"), generation=bindparam("the_generation"), sent_ms=bindparam("now_ms"))
)

_REQUEUED = Statement(
    update(messages).where(_THIS_CALL, IS_SENT).values(state=bindparam("new_state"), generation=null(), sent_ms=null())
)


def _ended_from(*states: TextClause) -> Statement:
    return Statement(
        update(messages)
        .where(_THIS_CALL, or_(*states))
        .values(
            state=bindparam("new_state"),
            answered_ms=bindparam("new_answered_ms"),
            outcome=bindparam("new_outcome"),
            answer=bindparam("new_answer"),
            late=bindparam("new_late"),
            detail=bindparam("new_detail"),
            secret=null(),
        )
    )


_ENDED = _ended_from(IS_QUEUED, IS_SENT)
_ENDED_LATE = _ended_from(IS_QUEUED, IS_SENT, text("state = 'timeout'"), text("state = 'unknown'"))
_CANCELLED = Statement(update(messages).where(_THIS_CALL, IS_QUEUED).values(state=bindparam("new_state"), secret=null()))
_EXPIRED = Statement(
    update(messages)
    .where(IS_QUEUED, messages.c.expires_ms <= bindparam("now_ms"))
    .values(state=bindparam("new_state"), secret=null())
    .returning(*_RECORD)
)
_INTERRUPTED = Statement(update(messages).where(IS_SENT).values(state=bindparam("new_state"), secret=null()))

_CALL = Statement(select(*_RECORD).where(_THIS_CALL))


def received(
    unit: Unit,
    message: Inbound,
    answer: str,
    *,
    failed: bool = False,
    outcome: str | None = None,
    transaction_id: int | None = None,
) -> int:
    """Journal a message of a charger together with `answer`; its sequence."""
    row = unit.one(
        _RECEIVED,
        {
            "message_id": message.message_id,
            "charger": message.charger,
            "direction": "fromCharger",
            "action": message.action,
            "state": "error" if failed else "completed",
            "frame": message.frame,
            "answer": answer,
            "outcome": outcome,
            "late": False,
            "generation": message.generation,
            "created_ms": message.received_ms,
            "transaction_id": transaction_id,
        },
    )
    return int(row[0])


def message_received(unit: Unit, message: Inbound, failed: bool) -> int:
    """See `MessageRecords.message_received`."""
    return received(unit, message, message.answer, failed=failed)


def answer_amended(unit: Unit, sequence: int, answer: str, failed: bool) -> None:
    """See `MessageRecords.answer_amended`."""
    state = MessageState.ERROR if failed else MessageState.COMPLETED
    unit.run(_ANSWERED, {"the_sequence": sequence, "new_answer": answer, "new_state": state.value})


def call_created(unit: Unit, call: NewCall, secret: bytes | None, state: MessageState, limit: int) -> bool:
    """See `MessageRecords.call_created`. `secret` is the encrypted frame, where it is not `redacted` anyway."""
    if state is MessageState.QUEUED and unit.one(_COUNT_QUEUED, {"the_charger": call.charger})[0] >= limit:
        return False
    unit.run(
        _CREATED,
        {
            "message_id": call.message_id,
            "charger": call.charger,
            "direction": Direction.TO_CHARGER.value,
            "action": call.action,
            "state": state.value,
            "frame": call.redacted,
            "late": False,
            "created_ms": call.created_ms,
            "sent_ms": call.created_ms if state is MessageState.SENT else None,
            "expires_ms": call.expires_ms,
            "secret": secret,
        },
    )
    return True


def queued_of(unit: Unit, charger: str, now_ms: int, decrypt: Callable[[bytes], str | None]) -> Iterator[QueuedCall]:
    """The calls that wait for this charger and have not expired, oldest first.

    One whose secret cannot be decrypted any more can never be sent: it ends here.
    """
    for row in unit.all(_QUEUED_OF, {"the_charger": charger, "now_ms": now_ms}):
        message_id, action, frame, secret, created_ms, expires_ms = row
        whole = frame if secret is None else decrypt(secret)
        if whole is None:
            call_ended(unit, CallEnd(message_id, MessageState.ERROR, now_ms, detail=KEY_LOST))
        else:
            yield QueuedCall(message_id, charger, action, whole, created_ms, expires_ms)


def call_sent(unit: Unit, message_id: str, generation: int, now_ms: int) -> bool:
    """See `MessageRecords.call_sent`."""
    changed = unit.run(
        _SENT,
        {"the_id": message_id, "new_state": MessageState.SENT.value, "the_generation": generation, "now_ms": now_ms},
    )
    return changed == 1


def call_requeued(unit: Unit, message_id: str) -> None:
    """See `MessageRecords.call_requeued`."""
    unit.run(_REQUEUED, {"the_id": message_id, "new_state": MessageState.QUEUED.value})


def call_ended(unit: Unit, end: CallEnd) -> None:
    """See `MessageRecords.call_ended`."""
    unit.run(
        _ENDED_LATE if end.late else _ENDED,
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


def call_cancelled(unit: Unit, message_id: str) -> MessageRecord | None:
    """See `MessageRecords.call_cancelled`."""
    unit.run(_CANCELLED, {"the_id": message_id, "new_state": MessageState.CANCELLED.value})
    row = unit.one(_CALL, {"the_id": message_id})
    return None if row is None else _record(row)


def calls_expired(unit: Unit, now_ms: int) -> list[MessageRecord]:
    """See `MessageRecords.calls_expired`; oldest first."""
    rows = unit.all(_EXPIRED, {"now_ms": now_ms, "new_state": MessageState.EXPIRED.value})
    return sorted(map(_record, rows), key=lambda record: record.sequence)


def calls_interrupted(unit: Unit) -> int:
    """See `MessageRecords.calls_interrupted`."""
    return unit.run(_INTERRUPTED, {"new_state": MessageState.UNKNOWN.value})


def read_message(unit: Unit, message_id: str) -> MessageRecord | None:
    """See `MessageRecords.read_message`."""
    row = unit.one(_CALL, {"the_id": message_id})
    if row is None:
        newest = messages.c.sequence.desc()
        query = select(*_RECORD).where(messages.c.message_id == message_id, IS_FROM_CHARGER).order_by(newest).limit(1)
        row = unit.connection.execute(query).first()
    return None if row is None else _record(row)


def list_messages(unit: Unit, which: MessageFilter, after: int | None, limit: int) -> list[MessageRecord]:
    """See `MessageRecords.list_messages`. `since_ms` is included, `until_ms` is not."""
    query = select(*_RECORD).where(*_conditions(which)).order_by(messages.c.sequence.desc()).limit(limit)
    if after is not None:
        query = query.where(messages.c.sequence < after)
    return [_record(row) for row in unit.connection.execute(query)]


def _conditions(which: MessageFilter) -> Iterator[ColumnElement[bool]]:
    if which.charger is not None:
        yield messages.c.charger == which.charger
    if which.action is not None:
        yield messages.c.action == which.action
    if which.direction is not None:
        yield messages.c.direction == which.direction.value
    if which.state is not None:
        yield messages.c.state == which.state.value
    if which.since_ms is not None:
        yield messages.c.created_ms >= which.since_ms
    if which.until_ms is not None:
        yield messages.c.created_ms < which.until_ms


def _record(row: Any) -> MessageRecord:
    (sequence, message_id, charger, direction, action, state, created_ms, frame) = row[:8]
    (answer, outcome, late, sent_ms, answered_ms, expires_ms, detail) = row[8:]
    return MessageRecord(
        sequence=sequence,
        message_id=message_id,
        charger=charger,
        direction=Direction(direction),
        action=action,
        state=MessageState(state),
        created_ms=created_ms,
        frame=frame,
        answer=answer,
        outcome=outcome,
        late=bool(late),
        sent_ms=sent_ms,
        answered_ms=answered_ms,
        expires_ms=expires_ms,
        detail=detail,
    )
