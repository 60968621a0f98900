"""What follows a call, and the state that a connector and its charger are in beyond their last status, as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from ocppd.central.statuses import clock_of, is_defined, warnings_of
from ocppd.storage.records import ConnectorRecord, StatusRecord
from ocppd.storage.records.follow_ups import FollowUp, FollowUpKind, FollowUpState

Shape = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: The state of several that are expected together is the first of these that one of them has.
ORDER: Final = (
    FollowUpState.FAILED,
    FollowUpState.MISSING,
    FollowUpState.EXPECTED,
    FollowUpState.PENDING,
    FollowUpState.SEEN,
    FollowUpState.VOID,
)
#: What a wish for an availability is called in each state.
WISHES: Final = {
    FollowUpState.PENDING: "pending",
    FollowUpState.EXPECTED: "accepted",
    FollowUpState.SEEN: "done",
    FollowUpState.MISSING: "missing",
}
#: What the charger as a whole is while none of its connectors can be used.
OUT_OF_ORDER: Final = frozenset({"Unavailable", "Faulted"})
SCHEDULED: Final = "Scheduled"


def instant(ms: int) -> str:
    """Milliseconds since the epoch as `2026-01-02T03:04:05.678Z`."""
    return f"{_second(ms // 1000)}.{ms % 1000:03}Z"


@lru_cache(maxsize=1024)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat().removesuffix("+00:00")


def _instant(ms: int | None) -> str | None:
    return None if ms is None else instant(ms)


def _told(members: Shape) -> Shape:
    return {name: value for name, value in members.items() if value is not None}


def follow_up(records: Sequence[FollowUp]) -> Shape | None:
    """What is to follow a call; with several connectors, each of them too. None where nothing does."""
    if not records:
        return None
    shown = [record for record in records if record.state not in (FollowUpState.PENDING, FollowUpState.VOID)]
    if not shown:
        return None
    states = {record.state for record in shown}
    state = next(state for state in ORDER if state in states)
    whole = next(record for record in shown if record.state is state)
    deadlines = [record.deadline_ms for record in shown if record.deadline_ms is not None]
    seen = [record.decided_ms for record in shown if record.decided_ms is not None]
    return _told(
        {
            "expected": whole.expected,
            "state": state,
            "connectorId": shown[0].connector_id if len(shown) == 1 else None,
            "transactionId": whole.transaction_id,
            "deadline": _instant(max(deadlines, default=None)),
            "seenAt": _instant(max(seen)) if state is FollowUpState.SEEN else None,
            "reason": whole.reason,
            "connectors": [_one(record) for record in shown] if len(shown) > 1 else None,
        }
    )


def _one(record: FollowUp) -> Shape:
    seen = record.state is FollowUpState.SEEN
    return _told(
        {
            "connectorId": record.connector_id,
            "state": record.state,
            "deadline": _instant(record.deadline_ms),
            "seenAt": _instant(record.decided_ms) if seen else None,
            "reason": record.reason,
        }
    )


def availability(wish: FollowUp | None) -> Shape | None:
    """The newest wish for a connector, or for the charger as a whole; None where there is none."""
    if wish is None or wish.kind is not FollowUpKind.AVAILABILITY:
        return None
    state = WISHES.get(wish.state, str(wish.state))
    if wish.state is FollowUpState.EXPECTED and wish.reason == SCHEDULED:
        state = "scheduled"
    return _told(
        {
            "type": wish.wish,
            "state": state,
            "since": _instant(wish.since_ms),
            "doneAt": _instant(wish.decided_ms) if wish.state is FollowUpState.SEEN else None,
            "messageId": wish.message_id,
        }
    )


def connector_state(record: ConnectorRecord, wish: FollowUp | None, whole: ConnectorRecord | None) -> Shape:
    """What there is to tell of a connector beside its status; `whole` is the charger's own state, that of connector 0.

    Nothing else is inferred from that one: a connector's status stays as it was told (N-2).
    """
    outer = whole.status if whole is not None and whole is not record and whole.status in OUT_OF_ORDER else None
    return _told(
        {
            "chargerStatus": outer,
            "warnings": list(warnings_of(record)) or None,
            "previousStatus": record.previous,
            "undefinedTransition": None if is_defined(record.previous, record.status) else True,
            "availability": availability(wish),
        }
    )


def clock(connectors: Iterable[ConnectorRecord]) -> Shape | None:
    """What the charger's last status told of its clock (G-2); None where it told nothing."""
    found = clock_of(connectors)
    if found is None:
        return None
    return {
        "state": "good" if found.good else "ahead" if found.ahead_ms > 0 else "behind",
        "aheadSeconds": round(found.ahead_ms / 1000),
        "at": _instant(found.at_ms),
    }


def transition(record: StatusRecord, before: StatusRecord | None) -> Shape:
    """What there is to tell of a status in the history of its connector, given the one before."""
    return {} if before is None or is_defined(before.status.status, record.status.status) else {"undefinedTransition": True}
