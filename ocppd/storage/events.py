"""What happened: the rows of the journal, and beside them what is in no message. Functions over a running transaction.

A message costs nothing to be an event, because it is one: only what changes later, and what no message tells, has a row of
its own, from the same sequence. It is committed with what it tells.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Text, and_, bindparam, func, insert, select

from ocppd.storage.records import EndedCall, EventKind
from ocppd.storage.schema import IS_OUR_CALL, events, messages
from ocppd.storage.spellings import NextSequence, NowMs
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

_HAPPENED = Statement(values_of(insert(events), "kind", "charger", "at_ms", "members").values(sequence=NextSequence()))
_HAPPENED_NUMBERED = Statement(values_of(insert(events), "sequence", "kind", "charger", "at_ms", "members")).gathering()


def _about_message(at_ms: ColumnElement[int], which: ColumnElement[bool]) -> Statement:
    """One that adds an event about a message, whose charger it is of."""
    row = select(NextSequence(), bindparam("the_kind", type_=Text()), messages.c.charger, at_ms, messages.c.sequence)
    return Statement(insert(events).from_select(("sequence", "kind", "charger", "at_ms", "message"), row.where(which)))


_CALL_ENDED = _about_message(
    func.coalesce(bindparam("the_instant", type_=BigInteger()), NowMs()),
    and_(messages.c.message_id == bindparam("the_id"), IS_OUR_CALL),
)
#: The same, where its number is known.
_NUMBERED = Statement(values_of(insert(events), "sequence", "kind", "charger", "at_ms", "message")).gathering()
_AMENDED = _about_message(NowMs(), messages.c.sequence == bindparam("the_sequence"))
_encode = msgspec.json.Encoder().encode


def happened(unit: Unit, kind: EventKind, charger: str, at_ms: int, **members: str) -> None:
    """Something that no message tells."""
    told = _encode(members).decode() if members else None
    row: Parameters = {"kind": kind.value, "charger": charger, "at_ms": at_ms, "members": told}
    if unit.gathers:
        unit.send(_HAPPENED_NUMBERED, {**row, "sequence": unit.next_number()})
    else:
        unit.send(_HAPPENED, row)


def call_ended(unit: Unit, message_id: str, at_ms: int | None = None) -> None:
    """A call of ours has come to a final state; now, where the caller does not know when."""
    unit.send(_CALL_ENDED, {"the_kind": EventKind.COMMAND_ENDED.value, "the_id": message_id, "the_instant": at_ms})


def this_call_ended(unit: Unit, ended: EndedCall) -> None:
    """The same of a call that is at hand."""
    if not unit.gathers:
        call_ended(unit, ended.message_id, ended.ended_ms)
        return
    row: Parameters = {
        "sequence": unit.next_number(),
        "kind": EventKind.COMMAND_ENDED.value,
        "charger": ended.charger,
        "at_ms": ended.ended_ms,
        "message": ended.sequence,
    }
    unit.send(_NUMBERED, row)


def answer_amended(unit: Unit, sequence: int) -> None:
    """A user's handler gave another answer than the one that the journal had."""
    unit.send(_AMENDED, {"the_kind": EventKind.ANSWER_AMENDED.value, "the_sequence": sequence})
