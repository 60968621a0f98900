"""What our calls and the ends of transactions do to the mirror of charging profiles, in the same commit. REQUIREMENTS K-7, K-8.

A charger carries out our calls in the order of the journal. So an answer, however late, concerns only what earlier calls
brought; and of a late one whose profile is no longer in the mirror a later call has disposed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import msgspec
from msgspec import UNSET
from sqlalchemy import bindparam, select

from ocppd.errors import Violation
from ocppd.storage import charging_profiles as mirror
from ocppd.storage import events, transaction_lists
from ocppd.storage.records import EndedCall, EventKind, MessageState, TransactionRecord
from ocppd.storage.records.charging import InstalledProfile, Mark
from ocppd.storage.schema import IS_OUR_CALL, messages
from ocppd.storage.unit import Statement, Unit
from ocppd.v16.codec import decode, encode
from ocppd.v16.core import RemoteStartTransactionRequest
from ocppd.v16.smart_charging import ClearChargingProfileRequest, SetChargingProfileRequest
from ocppd.v16.types import ChargingProfile, ChargingProfileStatus, ClearChargingProfileStatus, Message

START: Final = "RemoteStartTransaction"
#: What a charger says that has, or has not, done it.
_SET: Final = {
    ChargingProfileStatus.ACCEPTED.value: Mark.CONFIRMED,
    ChargingProfileStatus.REJECTED.value: Mark.REFUSED,
    ChargingProfileStatus.NOT_SUPPORTED.value: Mark.REFUSED,
}
#: Unknown: there was nothing to clear, so what the mirror has is not there (section 5.5).
_CLEARED: Final = frozenset(status.value for status in ClearChargingProfileStatus)

_IS_LATE = Statement(select(messages.c.late).where(messages.c.sequence == bindparam("the_sequence")))
_CALL = Statement(select(messages.c.sequence, messages.c.frame).where(messages.c.message_id == bindparam("the_id"), IS_OUR_CALL))


# SetChargingProfile


def set_ended(unit: Unit, ended: EndedCall) -> None:
    """A SetChargingProfile has ended: accepted, refused, or nobody knows."""
    request = _read(SetChargingProfileRequest, ended.request)
    if request is None:
        return
    rows = mirror.current(unit, ended.charger)
    profile = request.cs_charging_profiles
    before = _of_call(rows, ended.sequence) or _ordered(rows, request)
    mark = _mark_of(ended)
    transaction_id = profile.transaction_id if isinstance(profile.transaction_id, int) else None
    stale = transaction_id is not None and not mirror.goes_on(unit, transaction_id)
    if mark is None or stale:
        mirror.gone(unit, [] if before is None else [before])
        return
    if before is None and unit.one(_IS_LATE, {"the_sequence": ended.sequence})[0]:
        return  # a later call has put something in its place, or has cleared it
    now = _now(before, request.connector_id, profile, ended, mark, transaction_id)
    earlier = [row for row in rows if row is not before and _is_earlier(row, ended.sequence)]
    replaced = [row for row in earlier if mirror.is_replaced(row, now)]
    _follow(unit, now, earlier, replaced, ended)
    mirror.kept(unit, before, _doubted_since(before, now))
    if mark is Mark.REFUSED:
        _report(unit, now, ended.ended_ms)


def _follow(
    unit: Unit, now: InstalledProfile, earlier: list[InstalledProfile], replaced: list[InstalledProfile], ended: EndedCall
) -> None:
    """What it means for those that were there before."""
    if now.mark is Mark.CONFIRMED:
        mirror.gone(unit, replaced)
        return
    mirror.gone(unit, [row for row in replaced if row.mark is Mark.REFUSED])
    if now.mark is Mark.UNKNOWN:
        mirror.doubted(unit, replaced, ended.sequence, ended.ended_ms)
    else:
        mirror.reassured(unit, earlier, ended.sequence, ended.ended_ms)


def _doubted_since(before: InstalledProfile | None, now: InstalledProfile) -> InstalledProfile:
    """One that was accepted late stays uncertain, where nobody knows the end of a later call that would end it."""
    doubt = None if before is None or now.mark is not Mark.CONFIRMED else before.doubt
    if doubt is None or now.sequence is None or doubt <= now.sequence:
        return now
    return replace(now, mark=Mark.UNKNOWN, doubt=doubt)


def _mark_of(ended: EndedCall) -> Mark | None:
    """What is known of the profile now; None where it was never sent."""
    if ended.state in (MessageState.TIMEOUT, MessageState.UNKNOWN):
        return Mark.UNKNOWN
    if ended.answer is None:
        return None
    if ended.answer.startswith("[4"):
        return Mark.REFUSED
    return _SET.get(str(ended.outcome), Mark.UNKNOWN)


def _now(
    before: InstalledProfile | None,
    connector_id: int,
    profile: ChargingProfile,
    ended: EndedCall,
    mark: Mark,
    transaction_id: int | None,
) -> InstalledProfile:
    """The row as it is after this end. Only one that was refused while its transaction goes on may be tried otherwise."""
    row = before or _row(ended.charger, connector_id, profile, transaction_id)
    fallback = row.fallback
    if fallback == mirror.WANTED and mark is not Mark.UNKNOWN:
        fallback = mirror.DUE if mark is Mark.REFUSED and transaction_id is not None else None
    return replace(
        row,
        mark=mark,
        changed_ms=ended.ended_ms,
        sequence=ended.sequence,
        message_id=ended.message_id,
        action=ended.action,
        doubt=ended.sequence if mark is Mark.UNKNOWN else None,
        outcome=ended.outcome if mark is Mark.REFUSED else None,
        fallback=fallback,
    )


def _row(charger: str, connector_id: int, profile: ChargingProfile, transaction_id: int | None) -> InstalledProfile:
    return InstalledProfile(
        row_id=0,
        charger=charger,
        connector_id=connector_id,
        profile_id=profile.charging_profile_id,
        purpose=profile.charging_profile_purpose,
        stack_level=profile.stack_level,
        transaction_id=transaction_id,
        text=encode(profile).decode(),
        mark=Mark.PENDING,
        changed_ms=0,
    )


def _of_call(rows: Iterable[InstalledProfile], sequence: int) -> InstalledProfile | None:
    return next((row for row in rows if row.sequence == sequence), None)


def _ordered(rows: Iterable[InstalledProfile], request: SetChargingProfileRequest) -> InstalledProfile | None:
    """The oldest order that this call may be."""
    wanted = request.connector_id, request.cs_charging_profiles.charging_profile_id
    pending = (row for row in rows if row.mark is Mark.PENDING and (row.connector_id, row.profile_id) == wanted)
    text = encode(request.cs_charging_profiles).decode()
    return next((row for row in pending if row.text == text), None)


def _is_earlier(row: InstalledProfile, sequence: int) -> bool:
    """Whether it was there when the call of that sequence reached the charger."""
    return row.sequence is not None and row.sequence < sequence


def _report(unit: Unit, row: InstalledProfile, at_ms: int) -> None:
    members = {
        "chargingProfileId": str(row.profile_id),
        "chargingProfilePurpose": str(row.purpose),
        "connectorId": str(row.connector_id),
        "outcome": row.outcome or "",
        **({} if row.transaction_id is None else {"transactionId": str(row.transaction_id)}),
        **({"fallback": "TxDefaultProfile"} if row.fallback == mirror.DUE else {}),
    }
    events.happened(unit, EventKind.CHARGING_PROFILE_REFUSED, row.charger, at_ms, **members)


# ClearChargingProfile


def clear_ended(unit: Unit, ended: EndedCall) -> None:
    """A ClearChargingProfile has ended: what it names is not there, or is, or nobody knows."""
    request = _read(ClearChargingProfileRequest, ended.request)
    if request is None:
        return
    rows = [row for row in mirror.current(unit, ended.charger) if _is_earlier(row, ended.sequence)]
    named = [row for row in rows if is_named(row, request)]
    if ended.state in (MessageState.TIMEOUT, MessageState.UNKNOWN):
        mirror.doubted(unit, named, ended.sequence, ended.ended_ms)
        mirror.outlive_again(unit, named)
    elif ended.answer is None:
        if ended.state is not MessageState.CANCELLED:
            mirror.outlive_again(unit, named)
    elif ended.outcome in _CLEARED and not ended.answer.startswith("[4"):
        mirror.gone(unit, named)
    elif ended.answer.startswith("[4"):
        mirror.reassured(unit, rows, ended.sequence, ended.ended_ms)
    else:
        mirror.doubted(unit, named, ended.sequence, ended.ended_ms)


def is_named(row: InstalledProfile, request: ClearChargingProfileRequest) -> bool:
    """Whether a request names this profile: by its id, else by all members that are there (errata 3.25, 3.26)."""
    if request.id is not UNSET:
        return row.profile_id == request.id
    pairs: tuple[tuple[object, object], ...] = (
        (request.connector_id, row.connector_id),
        (request.charging_profile_purpose, row.purpose),
        (request.stack_level, row.stack_level),
    )
    return all(wanted is UNSET or wanted == value for wanted, value in pairs)


# Transactions


def remote_start_bound(unit: Unit, message_id: str, transaction_id: int) -> None:
    """A remote start has become this transaction: the profile that it brought, if any, is there now (T-10)."""
    found = unit.one(_CALL, {"the_id": message_id})
    transaction = transaction_lists.read(unit, transaction_id)
    if found is None or transaction is None or '"chargingProfile"' not in found[1]:
        return
    payload = bytes(msgspec.json.decode(found[1], type=tuple[int, str, str, msgspec.Raw])[3])
    request = _read(RemoteStartTransactionRequest, payload)
    if request is None or not isinstance(request.charging_profile, ChargingProfile):
        return
    now = replace(
        _row(transaction.charger, transaction.connector_id, request.charging_profile, transaction_id),
        mark=Mark.CONFIRMED,
        changed_ms=transaction.start_received_ms,
        sequence=int(found[0]),
        message_id=message_id,
        action=START,
    )
    mirror.gone(unit, [row for row in mirror.current(unit, now.charger) if mirror.is_replaced(row, now)])
    mirror.added(unit, now)


def transaction_ended(unit: Unit, transaction: TransactionRecord, _: int) -> None:
    """What was installed for a transaction ends with it (T-27)."""
    mirror.transaction_ended(unit, transaction.transaction_id)


def _read(kind: type[Any], payload: bytes) -> Any:
    """A request of ours that is in the journal; None where this version cannot read it."""
    try:
        message: Message = decode(kind, payload, strict=False)[0]
    except Violation:
        return None
    return message
