"""Wishes for the availability of connectors: from the call that asks for it to the status that shows it.

REQUIREMENTS 2.4 (ChangeAvailability), OP-13, 4.1 row 22. A wish is a follow-up with a row for each connector that it is for.
Functions over a running transaction, run by `consequences`; what statuses do to them is in `follow_ups`.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Text, and_, bindparam, case, func, literal_column, select, update

from ocppd.storage.follow_ups import ACCEPTED, STATUS, wish_met_by
from ocppd.storage.records import EndedCall, NewCall
from ocppd.storage.records.follow_ups import AVAILABILITY_MS, FollowUpKind, FollowUpState
from ocppd.storage.schema import IS_UNDECIDED, IS_WISH, connectors, follow_ups
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

SCHEDULED: Final = "Scheduled"
CHARGER: Final = 0
REPLACED: Final = "there is a newer one"

_WISHED = Statement.upsert(
    follow_ups,
    lambda insert: values_of(
        insert, "message_id", "place", "sequence", "charger", "kind", "expected", "state", "since_ms", "wish"
    ).on_conflict_do_nothing(),
)
_CONNECTORS = Statement(select(connectors.c.connector_id).where(connectors.c.charger == bindparam("the_charger")))
_OF_CALL = Statement(
    select(follow_ups.c.place, follow_ups.c.wish, connectors.c.status)
    .select_from(
        follow_ups.outerjoin(
            connectors, and_(connectors.c.charger == follow_ups.c.charger, connectors.c.connector_id == follow_ups.c.place)
        )
    )
    .where(follow_ups.c.message_id == bindparam("the_id"), IS_WISH)
)
_ANSWERED = Statement(
    update(follow_ups)
    .where(follow_ups.c.message_id == bindparam("the_id"), follow_ups.c.place == bindparam("the_place"))
    .values(
        state=bindparam("new_state"),
        deadline_ms=bindparam("new_deadline"),
        decided_ms=bindparam("new_decided"),
        reason=bindparam("new_reason", type_=Text()),
    )
)
#: One that the charger has granted since: it carries calls out in their order, however late it answers.
_NEWER = Statement(
    select(func.max(follow_ups.c.sequence)).where(
        follow_ups.c.charger == bindparam("the_charger"),
        follow_ups.c.place == bindparam("the_place"),
        follow_ups.c.sequence > bindparam("the_sequence"),
        IS_WISH,
        follow_ups.c.state.not_in([literal_column("'pending'"), literal_column("'void'")]),
    )
)
#: An older wish for the same connector is none any more.
_REPLACED = Statement(
    update(follow_ups)
    .where(
        follow_ups.c.charger == bindparam("the_charger"),
        IS_UNDECIDED,
        IS_WISH,
        follow_ups.c.place == bindparam("the_place"),
        follow_ups.c.sequence < bindparam("the_sequence"),
        follow_ups.c.state != literal_column("'pending'"),
    )
    .values(
        state=case((follow_ups.c.state == literal_column("'missing'"), follow_ups.c.state), else_=literal_column("'void'")),
        reason=func.coalesce(bindparam("new_reason", type_=Text()), follow_ups.c.reason),
        decided_ms=bindparam("now_ms"),
    )
)


def wished(unit: Unit, call: NewCall, sequence: int) -> None:
    """A ChangeAvailability was accepted here; connector 0 is the charger and every connector that it has told of."""
    request = msgspec.json.decode(call.frame)[3]
    connector_id = int(request["connectorId"])
    places = {connector_id}
    if connector_id == CHARGER:
        places |= {row[0] for row in unit.all(_CONNECTORS, {"the_charger": call.charger})}
    for place in sorted(places):
        row: Parameters = {
            "message_id": call.message_id,
            "place": place,
            "sequence": sequence,
            "charger": call.charger,
            "kind": FollowUpKind.AVAILABILITY.value,
            "expected": STATUS,
            "state": FollowUpState.PENDING.value,
            "since_ms": call.created_ms,
            "wish": str(request["type"]),
        }
        unit.send(_WISHED, row)


def answered(unit: Unit, ended: EndedCall) -> None:
    """The charger has answered, or will not.

    Accepted: each connector is so already, or will tell so. Scheduled: after the transaction, for all connectors where all
    are meant. Else the wish is void, and an earlier one goes on.
    """
    granted = ended.outcome in (ACCEPTED, SCHEDULED)
    for place, wish, status in unit.all(_OF_CALL, {"the_id": ended.message_id}):
        # A charger that has never told of itself as a whole does not do so now.
        met = (status is None and place == CHARGER) or (status is not None and wish_met_by(status) == wish)
        here: dict[str, str | int] = {"the_charger": ended.charger, "the_place": place, "the_sequence": ended.sequence}
        late = granted and unit.one(_NEWER, here)[0] is not None
        state = FollowUpState.VOID if late or not granted else FollowUpState.SEEN if met else FollowUpState.EXPECTED
        open_ = state is FollowUpState.EXPECTED
        reason = REPLACED if late else ended.outcome or ended.state.value
        row: Parameters = {
            "the_id": ended.message_id,
            "the_place": place,
            "new_state": state.value,
            "new_deadline": ended.ended_ms + AVAILABILITY_MS if open_ and ended.outcome == ACCEPTED else None,
            "new_decided": None if open_ else ended.ended_ms,
            "new_reason": None if reason == ACCEPTED else reason,
        }
        unit.send(_ANSWERED, row)
        if granted:
            unit.send(_REPLACED, {**here, "new_reason": REPLACED, "now_ms": ended.ended_ms})
