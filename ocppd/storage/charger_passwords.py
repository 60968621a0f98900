"""The passwords of chargers, and what calls that set them do to them. Functions over a running transaction.

REQUIREMENTS Z-5 to Z-8. What a call carries is valid from the commit that accepts the call on, since its charger may come back
with it before its answer is here; the end of the call, or a login, says which one holds. A hash is computed on the writer's
thread, because a key must be on record with its call: that holds up a batch by some hundredths of a second, where the key
of a charger changes.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, insert, or_, select, update

from ocppd.pki.passwords import hashed, key_of
from ocppd.storage.records import EndedCall, MessageState, NewCall
from ocppd.storage.records.registry import Password, PasswordState
from ocppd.storage.schema import charger_passwords as table
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

#: The key that sets the password of a charger (OCPP-J 1.6 section 6.2, security whitepaper A01).
AUTHORIZATION_KEY: Final = "authorizationkey"
#: Z-6: for so long both are valid where nobody knows which one the charger has.
UNDECIDED_MS: Final = 7 * 24 * 3600 * 1000
#: Passwords of one charger that are tried: those of so many calls may be on their way at the same time.
TRIED: Final = 10
_RANKS: Final = (PasswordState.CURRENT, PasswordState.GIVEN, PasswordState.UNKNOWN, PasswordState.WAITING)
ACCEPTED: Final = "Accepted"
#: It will have its new key, and comes back with the old one until then, which decides nothing.
REBOOT_REQUIRED: Final = "RebootRequired"
#: What a charger answers that has kept its old key (A01.FR.04).
REFUSED: Final = frozenset({"Rejected", "NotSupported", "NotImplemented"})

_RECORD: Final = tuple(field.name for field in fields(Password))
_OF_CHARGER: Final = table.c.charger == bindparam("the_charger")
_OF_MESSAGE: Final = table.c.message_id == bindparam("the_message")
_IS: Final = table.c.state == bindparam("the_state")
_OTHERS: Final = _OF_CHARGER & (table.c.number != bindparam("the_number"))
_READ = Statement(select(*(table.c[name] for name in _RECORD)).where(_OF_CHARGER).order_by(table.c.number.desc()))
_OF_CALL = Statement(select(table.c.number, table.c.charger, table.c.state).where(_OF_MESSAGE))
_INSERTED = Statement(values_of(insert(table), "charger", *(name for name in _RECORD if name != "number")))
_FORGOTTEN = Statement(delete(table).where(_OF_CHARGER))
_FORGOTTEN_ONE = Statement(delete(table).where(_OF_MESSAGE))
_FORGOTTEN_STATE = Statement(delete(table).where(_OF_CHARGER, _IS))
#: Those of no call: what a call has left is the charger's to take.
_GIVEN_FORGOTTEN = Statement(delete(table).where(_OF_CHARGER, _IS, table.c.message_id.is_(None)))
_OTHERS_FORGOTTEN = Statement(delete(table).where(_OTHERS, table.c.state != bindparam("the_state")))
#: All but what its charger has yet to take: from a call that has not ended, or with its next boot.
_HELD_FORGOTTEN = Statement(
    delete(table).where(
        _OF_CHARGER,
        table.c.state != bindparam("the_state"),
        or_(table.c.state != bindparam("the_given"), table.c.message_id.is_(None)),
    )
)
#: What came after a call, and may be what the charger has by now, is not over with the answer to that call.
_EARLIER_FORGOTTEN = Statement(
    delete(table).where(
        _OTHERS,
        table.c.state != bindparam("the_state"),
        or_(table.c.number < bindparam("the_number"), table.c.state == bindparam("the_current")),
    )
)
_HOLDS = Statement(
    update(table)
    .where(_OF_CHARGER, table.c.number == bindparam("the_number"))
    .values(state=bindparam("new_state"), until_ms=bindparam("no_end"))
)
_UNDECIDED = Statement(update(table).where(_OF_MESSAGE, _IS).values(state=bindparam("new_state"), until_ms=bindparam("end_ms")))


class _Request(msgspec.Struct):
    """The members of a ChangeConfiguration."""

    key: str
    value: str


def read(unit: Unit, charger: str, now_ms: int) -> list[Password]:
    """The passwords of a charger that are valid, newest first; where there are many, those that it may have by now."""
    found = [_password(row) for row in unit.all(_READ, {"the_charger": charger})]
    valid = [each for each in found if each.until_ms is None or each.until_ms > now_ms]
    tried = {each.number for each in sorted(valid, key=_rank)[:TRIED]}
    return [each for each in valid if each.number in tried]


def _rank(password: Password) -> tuple[int, int]:
    """The one that holds comes before all others: without it a charger would be taken for one that has none."""
    is_waiting = password.state is PasswordState.WAITING  # calls go out in their order, the oldest first
    return _RANKS.index(password.state), password.number if is_waiting else -password.number


def is_held(unit: Unit, charger: str) -> bool:
    """Whether a charger has a current password here."""
    return any(_password(row).state is PasswordState.CURRENT for row in unit.all(_READ, {"the_charger": charger}))


def replaced(unit: Unit, charger: str, key: bytes, now_ms: int) -> None:
    """This password holds from now on, and no other but those that are on their way."""
    _forget_held(unit, charger)
    _insert(unit, charger, key, PasswordState.CURRENT, now_ms)


def given(unit: Unit, charger: str, key: bytes, now_ms: int) -> None:
    """This password is valid beside what holds, in place of another that was given so."""
    unit.send(_GIVEN_FORGOTTEN, {"the_charger": charger, "the_state": PasswordState.GIVEN.value})
    _insert(unit, charger, key, PasswordState.GIVEN, now_ms, until_ms=now_ms + UNDECIDED_MS)


def given_up(unit: Unit, charger: str) -> bool:
    """No password holds any more, but those of calls that their charger may take yet. Whether any did."""
    held = unit.one(_READ, {"the_charger": charger}) is not None
    _forget_held(unit, charger)
    return held


def _forget_held(unit: Unit, charger: str) -> None:
    states = {"the_state": PasswordState.WAITING.value, "the_given": PasswordState.GIVEN.value}
    unit.send(_HELD_FORGOTTEN, {"the_charger": charger, **states})


def forgotten(unit: Unit, charger: str) -> None:
    """The charger has no password here any more."""
    unit.send(_FORGOTTEN, {"the_charger": charger})


def proven(unit: Unit, charger: str, number: int | None) -> bool:
    """A charger has logged in with the password of that number, None: with the old one. Whether it decided something (Z-6)."""
    if number is None:
        return unit.run(_FORGOTTEN_STATE, {"the_charger": charger, "the_state": PasswordState.UNKNOWN.value}) > 0
    if not _hold(unit, charger, number):
        return False
    unit.send(_OTHERS_FORGOTTEN, {"the_charger": charger, "the_number": number, "the_state": PasswordState.WAITING.value})
    return True


def _hold(unit: Unit, charger: str, number: int) -> bool:
    """That one holds; False where it is not there. What becomes of the others is the caller's affair."""
    holds: Parameters = {"the_charger": charger, "the_number": number, "new_state": PasswordState.CURRENT.value, "no_end": None}
    return unit.run(_HOLDS, holds) > 0


def _accepted(unit: Unit, charger: str, number: int) -> bool:
    """The charger has taken that one: the ones before it are over, but for those of calls that have not ended."""
    if not _hold(unit, charger, number):
        return False
    others = {"the_state": PasswordState.WAITING.value, "the_current": PasswordState.CURRENT.value}
    unit.send(_EARLIER_FORGOTTEN, {"the_charger": charger, "the_number": number, **others})
    return True


def call_accepted(unit: Unit, call: NewCall) -> bool:
    """A ChangeConfiguration was journaled; whether it carries a password."""
    if AUTHORIZATION_KEY not in call.frame.lower():
        return False
    request = msgspec.json.decode(call.frame, type=tuple[int, str, str, _Request])[3]
    if request.key.lower() != AUTHORIZATION_KEY:
        return False
    key, until_ms = key_of(request.value), call.expires_ms + UNDECIDED_MS
    _insert(unit, call.charger, key, PasswordState.WAITING, call.created_ms, until_ms=until_ms, message_id=call.message_id)
    return True


def call_ended(unit: Unit, ended: EndedCall) -> bool:
    """A ChangeConfiguration has ended; whether that decided something about a password. A late answer still decides."""
    if AUTHORIZATION_KEY not in ended.frame.lower():
        return False
    row = unit.one(_OF_CALL, {"the_message": ended.message_id})
    if row is None:
        return False
    number, charger, state = row
    if ended.state is MessageState.COMPLETED and ended.outcome == ACCEPTED:
        return _accepted(unit, charger, number)
    if state == PasswordState.CURRENT.value:  # a login has proven it meanwhile
        return False
    unwritten = ended.sent_ms is None or (ended.state is MessageState.ERROR and ended.answer is None)
    if unwritten or ended.outcome in REFUSED:
        return unit.run(_FORGOTTEN_ONE, {"the_message": ended.message_id}) > 0
    if ended.outcome == REBOOT_REQUIRED:  # a late answer, too
        undecided = {"the_state": state, "new_state": PasswordState.GIVEN.value}
    else:
        undecided = {"the_state": PasswordState.WAITING.value, "new_state": PasswordState.UNKNOWN.value}
    return unit.run(_UNDECIDED, {"the_message": ended.message_id, "end_ms": ended.ended_ms + UNDECIDED_MS, **undecided}) > 0


def _insert(
    unit: Unit,
    charger: str,
    key: bytes,
    state: PasswordState,
    now_ms: int,
    *,
    until_ms: int | None = None,
    message_id: str | None = None,
) -> None:
    row = {"charger": charger, "kept": hashed(key), "state": state.value, "message_id": message_id}
    unit.send(_INSERTED, {**row, "since_ms": now_ms, "until_ms": until_ms})


def _password(row: Any) -> Password:
    number, kept, state, message_id, since_ms, until_ms = row
    return Password(number, kept, PasswordState(state), message_id, since_ms, until_ms)
