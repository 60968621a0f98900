"""How what is to follow a call of ours is put on record. Functions over a running transaction."""

from __future__ import annotations

from ocppd.storage.awaited import more_is_awaited
from ocppd.storage.records import EndedCall
from ocppd.storage.records.follow_ups import ANYWHERE, FollowUp, FollowUpKind, FollowUpState
from ocppd.storage.schema import follow_ups
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

_EXPECTED = Statement.upsert(
    follow_ups,
    lambda insert: values_of(
        insert,
        *("message_id", "place", "sequence", "charger", "kind", "expected", "state", "since_ms"),
        *("deadline_ms", "decided_ms", "reason", "transaction_id", "wish"),
    ).on_conflict_do_nothing(),
).gathering()


def expect(
    unit: Unit,
    ended: EndedCall,
    kind: FollowUpKind,
    expected: str,
    within_ms: int,
    *,
    place: int = ANYWHERE,
    transaction_id: int | None = None,
    decided_ms: int | None = None,
    reason: str | None = None,
) -> None:
    """Something is to follow, or has followed already where it says when."""
    follow_up = FollowUp(
        message_id=ended.message_id,
        connector_id=None if place == ANYWHERE else place,
        charger=ended.charger,
        kind=kind,
        expected=expected,
        state=FollowUpState.EXPECTED if decided_ms is None else FollowUpState.SEEN,
        since_ms=since(ended),
        deadline_ms=ended.ended_ms + within_ms,
        decided_ms=decided_ms,
        reason=reason,
        transaction_id=transaction_id,
        wish=None,
    )
    row: Parameters = {
        "message_id": ended.message_id,
        "place": place,
        "sequence": ended.sequence,
        "charger": ended.charger,
        "kind": kind.value,
        "expected": expected,
        "state": follow_up.state.value,
        "since_ms": follow_up.since_ms,
        "deadline_ms": follow_up.deadline_ms,
        "decided_ms": decided_ms,
        "reason": reason,
        "transaction_id": transaction_id,
        "wish": None,
    }
    unit.send(_EXPECTED, row)
    more_is_awaited(unit)
    ended.follow_ups.append(follow_up)


def since(ended: EndedCall) -> int:
    """From when on what follows a call may have come (ms)."""
    return ended.ended_ms if ended.sent_ms is None else ended.sent_ms
