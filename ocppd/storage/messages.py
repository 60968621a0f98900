"""The journal: messages both ways, read by operators. Functions over a running transaction.

A message of a charger is written once, with its answer. The life of a call of ours is in `calls`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Row, and_, bindparam, case, false, func, insert, literal_column, null, select, update

from ocppd.storage import events, filing, quarantine
from ocppd.storage.records import FRAME_LIMIT, PAGE_CHARACTERS, Direction, Inbound, MessageFilter, MessageRecord, MessageState
from ocppd.storage.schema import IS_FROM_CHARGER, IS_OUR_CALL, IS_PENDING, messages
from ocppd.storage.unit import Statement, Unit, values_of

#: What `record_of` makes a record of.
RECORD = (
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
    messages.c.origin,
    messages.c.transaction_id,
)
_FITS: Final = func.length(messages.c.frame) + func.coalesce(func.length(messages.c.answer), 0) <= FRAME_LIMIT


def _cut(column: Any) -> Any:
    """A column as `record_of` takes it, without a frame that is too large."""
    if column.name not in ("frame", "answer"):
        return column
    return case((_FITS, column), else_="" if column.name == "frame" else null())


#: Whether the frames are there, and what `record_of` makes a record of.
CUT: Final = (_FITS, *map(_cut, RECORD))
_FRAMES = Statement(select(messages.c.frame, messages.c.answer).where(messages.c.sequence == bindparam("the_sequence")))

#: The newest of the journal, among which a message is found by the id that its charger gave it: no index has those, which
#: are as random as they are many, and not one charger's alone.
RECENT: Final = 50_000
#: Above every sequence.
FAR: Final = 2**63 - 1

_MEMBERS = (
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
)
_NUMBERED_MEMBERS = ("sequence", *_MEMBERS)
_RECEIVED = Statement(values_of(insert(messages), *_MEMBERS).returning(messages.c.sequence)).setting_apart()
_NUMBERED = Statement(values_of(insert(messages), *_NUMBERED_MEMBERS)).gathering()
#: What all messages of chargers have that nothing went wrong with. Drivers hand over a text of the statement for nothing,
#: and a None or a False for twice what a number takes.
_SOUND: dict[str, ColumnElement[Any]] = {
    "direction": literal_column("'fromCharger'"),
    "state": literal_column("'completed'"),
    "outcome": null(),
    "late": false(),
}
_SOUND_MEMBERS = tuple(name for name in _NUMBERED_MEMBERS if name not in _SOUND)
_NUMBERED_SOUND = Statement(values_of(insert(messages), *_SOUND_MEMBERS).values(_SOUND)).gathering()
_UNNAMED_MEMBERS = tuple(name for name in _SOUND_MEMBERS if name != "transaction_id")
_NUMBERED_UNNAMED = Statement(values_of(insert(messages), *_UNNAMED_MEMBERS).values(_SOUND)).gathering()
_ANSWERED = Statement(
    update(messages)
    .where(messages.c.sequence == bindparam("the_sequence"))
    .values(answer=bindparam("new_answer"), state=bindparam("new_state"))
)

#: One call of ours by its id.
THIS_CALL = and_(messages.c.message_id == bindparam("the_id"), IS_OUR_CALL)
CALL = Statement(select(*RECORD).where(THIS_CALL))


def received(
    unit: Unit,
    message: Inbound,
    answer: str,
    *,
    failed: bool = False,
    outcome: str | None = None,
    transaction_id: int | None = None,
    later: bool = False,
) -> int:
    """Journal a message of a charger together with `answer`; its sequence, where `later` as `Unit.next_number` gives it."""
    if unit.alone or (later and unit.gathers and message.quarantine is None):
        sequence: int = unit.next_number()
        if failed or outcome is not None:
            row = _row(message, answer, failed, outcome, transaction_id)
            unit.send_row(_NUMBERED, _NUMBERED_MEMBERS, (sequence, *row))
        else:
            sound = (
                *(sequence, message.message_id, message.charger, message.action, message.frame, answer, message.generation),
                message.received_ms,
            )
            if transaction_id is None:
                unit.send_row(_NUMBERED_UNNAMED, _UNNAMED_MEMBERS, sound)
            else:
                unit.send_row(_NUMBERED_SOUND, _SOUND_MEMBERS, (*sound, transaction_id))
        if message.quarantine is not None:
            quarantine.keep(unit, message.quarantine, sequence)
        return sequence
    row = _row(message, answer, failed, outcome, transaction_id)
    number: int = unit.one(_RECEIVED, dict(zip(_MEMBERS, row, strict=True)))[0]
    if message.quarantine is not None:
        quarantine.keep(unit, message.quarantine, number)
    return number


def _row(message: Inbound, answer: str, failed: bool, outcome: str | None, transaction_id: int | None) -> tuple[Any, ...]:
    return (
        *(message.message_id, message.charger, "fromCharger", message.action, "error" if failed else "completed"),
        *(message.frame, answer, outcome, False, message.generation, message.received_ms, transaction_id),
    )


def answer_amended(unit: Unit, sequence: int, answer: str, failed: bool) -> None:
    """See `MessageRecords.answer_amended`."""
    state = MessageState.ERROR if failed else MessageState.COMPLETED
    unit.send(_ANSWERED, {"the_sequence": sequence, "new_answer": answer, "new_state": state.value})
    events.answer_amended(unit, sequence)


def read_message(unit: Unit, message_id: str) -> MessageRecord | None:
    """See `MessageRecords.read_message`."""
    row = unit.one(CALL, {"the_id": message_id})
    if row is None:
        newest = messages.c.sequence.desc()
        recent = messages.c.sequence > select(func.max(messages.c.sequence)).scalar_subquery() - RECENT
        named = (messages.c.message_id == message_id, IS_FROM_CHARGER)
        query = select(*RECORD).where(recent, *named).order_by(newest).limit(1)
        row = unit.connection.execute(query).first()
    return None if row is None else record_of(row)


def list_messages(unit: Unit, which: MessageFilter, after: int | None, limit: int) -> list[MessageRecord]:
    """See `MessageRecords.list_messages`. `since_ms` is included, `until_ms` is not."""
    conditions = list(_conditions(which))
    below = FAR if after is None else after
    query: Any
    if which.charger is None:
        query = select(*CUT).where(messages.c.sequence < below, *conditions)
    else:
        keys = {"charger": which.charger}
        query = filing.of_charger(unit.dialect, messages, CUT, keys, conditions, lambda number: number < below)
    query = query.order_by(filing.SEQUENCE.desc()).limit(limit)
    return _page(unit, unit.connection.execute(query).all())


def _page(unit: Unit, rows: Iterable[Row[Any]]) -> list[MessageRecord]:
    """As many of these as a page holds; large frames, which are not in them, are read one by one."""
    found: list[MessageRecord] = []
    characters = 0
    for row in rows:
        record = record_of(row[1:])
        if not row[0]:
            frame, answer = unit.one(_FRAMES, {"the_sequence": record.sequence})
            record = msgspec.structs.replace(record, frame=frame, answer=answer)
        found.append(record)
        characters += record.characters
        if characters >= PAGE_CHARACTERS:
            break
    return found


def _conditions(which: MessageFilter) -> Iterator[ColumnElement[bool]]:
    if which.action is not None:
        yield messages.c.action == which.action
    if which.direction is not None:
        yield messages.c.direction == which.direction.value
    if which.state is not None:
        yield messages.c.state == which.state.value
        if which.state in (MessageState.QUEUED, MessageState.SENT):  # by the partial index of those, which are few
            yield messages.c.sequence.in_(select(messages.c.sequence).where(IS_PENDING))
    if which.since_ms is not None:
        yield messages.c.created_ms >= which.since_ms
    if which.until_ms is not None:
        yield messages.c.created_ms < which.until_ms


def record_of(row: Any) -> MessageRecord:
    """The record in a row of `RECORD`."""
    (sequence, message_id, charger, direction, action, state, created_ms, frame) = row[:8]
    (answer, outcome, late, sent_ms, answered_ms, expires_ms, detail, origin, transaction_id) = row[8:]
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
        origin=origin,
        transaction_id=transaction_id,
    )
