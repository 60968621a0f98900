"""What follows a call of ours that was accepted: expected when its answer is recorded, seen in the commit of what it is.

REQUIREMENTS 2.4: an `Accepted` means "will try". Functions over a running transaction, run by `consequences`. The message may
have crossed the answer, so what came since the call was sent is looked at when the answer is recorded. Wishes for an
availability begin in `wishes`, and end here; what time decides is in `follow_up_records`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)

from ocppd.storage import filing
from ocppd.storage.awaited import is_awaited
from ocppd.storage.connector_states import IS_SHOWN
from ocppd.storage.expecting import expect, since
from ocppd.storage.records import Boot, EndedCall, Inbound, Status, TransactionRecord
from ocppd.storage.records.follow_ups import (
    ANYWHERE,
    AVAILABILITY_MS,
    BOOT_MS,
    STOP_MS,
    TRIGGER_MS,
    FollowUpKind,
)
from ocppd.storage.remote_starts import WINDOW_MS
from ocppd.storage.schema import (
    IS_FROM_CHARGER,
    IS_OPEN,
    IS_UNDECIDED,
    connectors,
    follow_ups,
    messages,
    remote_starts,
    transactions,
)
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Parameters, Statement, Unit
from ocppd.v16.enums import MessageTrigger
from ocppd.v16.remote_trigger import EXTENDED_TRIGGERS

#: An answer that says yes; Scheduled is only known to ChangeAvailability.
ACCEPTED: Final = "Accepted"
STATUS: Final = str(MessageTrigger.STATUS_NOTIFICATION)
METER_VALUES: Final = str(MessageTrigger.METER_VALUES)
START: Final = "StartTransaction"
STOP: Final = "StopTransaction"
BOOT: Final = str(MessageTrigger.BOOT_NOTIFICATION)
HEARTBEAT: Final = str(MessageTrigger.HEARTBEAT)
#: The connector of a remote start was unplugged, or its cable never plugged in (REQUIREMENTS N-6).
GIVEN_UP: Final = "the connector went from Preparing to Available"
#: Statuses of which an availability is told.
INOPERATIVE: Final = "Unavailable"

_seen: ColumnElement[Any] = literal_column("'seen'")
_failed: ColumnElement[Any] = literal_column("'failed'")
_missing: ColumnElement[Any] = literal_column("'missing'")
_one: ColumnElement[Any] = literal_column("1")
_KIND = follow_ups.c.kind
_PLACE = follow_ups.c.place
_connector: ColumnElement[Any] = bindparam("the_connector")
_HERE = and_(follow_ups.c.charger == bindparam("the_charger"), IS_UNDECIDED)
_ANYWHERE_OR_THERE = or_(literal_column("-1") == _PLACE, _connector == _PLACE)
_AFTER_ALL = case((follow_ups.c.state == _missing, _one), else_=follow_ups.c.untold)
_STARTING = literal_column("'start'") == _KIND

_UNPLUGGED = exists().where(
    connectors.c.charger == bindparam("the_charger"),
    connectors.c.connector_id == _connector,
    connectors.c.previous == bindparam("the_previous"),
)
_STATUS = Statement(
    update(follow_ups)
    .where(
        _HERE,
        IS_SHOWN,
        or_(
            and_(literal_column("'trigger'") == _KIND, follow_ups.c.expected == bindparam("the_action"), _ANYWHERE_OR_THERE),
            and_(
                literal_column("'availability'") == _KIND,
                follow_ups.c.wish == bindparam("the_wish"),
                follow_ups.c.state != literal_column("'pending'"),
                _connector == _PLACE,
            ),
            and_(_STARTING, _ANYWHERE_OR_THERE, _UNPLUGGED),
        ),
    )
    .values(
        state=case((_STARTING, _failed), else_=_seen),
        reason=case((_STARTING, bindparam("the_reason", type_=Text())), else_=follow_ups.c.reason),
        untold=case((_STARTING, _one), else_=_AFTER_ALL),
        decided_ms=bindparam("now_ms"),
    )
)
_CAME = Statement(
    update(follow_ups)
    .where(_HERE, follow_ups.c.expected == bindparam("the_action"))
    .values(state=_seen, untold=_AFTER_ALL, decided_ms=bindparam("now_ms"))
)
_BOUND = Statement(
    update(follow_ups)
    .where(follow_ups.c.message_id == bindparam("the_id"))
    .values(
        state=_seen,
        # An alarm that nobody has been told of needs no end.
        untold=case((and_(follow_ups.c.untold.is_(None), follow_ups.c.state.in_((_missing, _failed))), _one), else_=null()),
        reason=bindparam("the_reason", type_=Text()),
        decided_ms=bindparam("now_ms"),
        transaction_id=bindparam("the_transaction", type_=Integer()),
    )
)
_THE_TRANSACTION = transactions.c.transaction_id == bindparam("the_transaction", type_=Integer())
_STOP_IS_THERE = exists().where(_THE_TRANSACTION, transactions.c.state == literal_column("'stopped'"))
_STOPPED = Statement(
    update(follow_ups)
    .where(
        _HERE,
        follow_ups.c.expected == bindparam("the_action"),
        follow_ups.c.transaction_id == bindparam("the_transaction", type_=Integer()),
    )
    .values(
        state=case((_STOP_IS_THERE, _seen), else_=_failed),
        untold=case((_STOP_IS_THERE, _AFTER_ALL), else_=_one),
        reason=case(
            (_STOP_IS_THERE, select(transactions.c.reason).where(_THE_TRANSACTION).scalar_subquery()),
            else_=literal_column("'the transaction was closed by an operator'"),
        ),
        decided_ms=bindparam("now_ms"),
    )
)
#: What was to happen after the transaction may happen now.
_UNSCHEDULED = Statement(
    update(follow_ups)
    .where(
        _HERE, literal_column("'availability'") == _KIND, _connector == _PLACE, follow_ups.c.state == literal_column("'expected'")
    )
    .values(deadline_ms=bindparam("new_deadline"))
)
_TOLD_CONNECTORS = Statement(
    select(connectors.c.connector_id, connectors.c.received_ms)
    .where(connectors.c.charger == bindparam("the_charger"))
    .order_by(connectors.c.connector_id)
)


def _since(dialect: str) -> Select[Any] | CompoundSelect[Any]:
    """The newest messages of an action since a call; more than these are not looked at."""
    columns = (messages.c.created_ms, messages.c.frame, messages.c.sequence)
    conditions = (
        messages.c.action == bindparam("the_action"),
        messages.c.created_ms >= bindparam("since_ms"),
        and_(messages.c.state == literal_column("'completed'"), IS_FROM_CHARGER),
    )
    keys: Mapping[str, Any] = {"charger": bindparam("the_charger")}
    found = filing.of_charger(dialect, messages, columns, keys, conditions, above=bindparam("the_sequence"))
    return at_most(found.order_by(filing.SEQUENCE.desc()), 200)


_SINCE = Statement.by_dialect(_since)
_BEGUN = Statement(
    select(remote_starts.c.transaction_id, remote_starts.c.window_ms).where(remote_starts.c.sequence == bindparam("the_sequence"))
)
_ENDED = Statement(
    select(transactions.c.transaction_id, transactions.c.stop_received_ms, transactions.c.reason).where(
        _THE_TRANSACTION, transactions.c.charger == bindparam("the_charger"), transactions.c.state == literal_column("'stopped'")
    )
)
_RUNNING = Statement(
    select(transactions.c.transaction_id).where(
        transactions.c.charger == bindparam("the_charger"), transactions.c.connector_id == _connector, IS_OPEN
    )
)
#: Of the newest ones: no index has the connector and the order.
_latest = at_most(
    select(transactions.c.transaction_id, transactions.c.connector_id, transactions.c.stop_received_ms)
    .where(transactions.c.charger == bindparam("the_charger"))
    .order_by(transactions.c.transaction_id.desc()),
    50,
).subquery("latest")
_STOPPED_SINCE = Statement(
    select(func.max(_latest.c.transaction_id)).where(
        _latest.c.connector_id == _connector, _latest.c.stop_received_ms >= bindparam("since_ms")
    )
)


# What chargers tell


def status_notified(unit: Unit, message: Inbound, status: Status) -> None:
    """A status that was asked for, one that an availability shows in, or the end of a remote start (N-6).

    One that comes late, and is not the connector's now, is none of these (N-1).
    """
    if not is_awaited(unit, message.charger):
        return
    unit.send(
        _STATUS,
        {
            "the_charger": message.charger,
            "the_action": STATUS,
            "the_connector": status.connector_id,
            "the_timestamp": status.timestamp_ms,
            "the_wish": wish_met_by(status.status),
            "the_previous": "Preparing" if status.status == "Available" else "",
            "the_reason": GIVEN_UP,
            "now_ms": message.received_ms,
        },
    )


def wish_met_by(status: str) -> str:
    """The availability that a connector in this status has."""
    return "Inoperative" if status == INOPERATIVE else "Operative"


def booted(unit: Unit, message: Inbound, boot: Boot) -> None:
    """A boot that was asked for, or that a reset led to."""
    _came(unit, message, BOOT)


def told(unit: Unit, message: Inbound, sequence: int) -> None:
    """A message that is only journaled."""
    _came(unit, message, message.action)


def _came(unit: Unit, message: Inbound, action: str) -> None:
    if is_awaited(unit, message.charger):
        unit.send(_CAME, {"the_charger": message.charger, "the_action": action, "now_ms": message.received_ms})


def begun(unit: Unit, message_id: str, transaction_id: int, at_ms: int) -> None:
    """The transaction of a remote start has begun; called by who binds the two (REQUIREMENTS T-9)."""
    row: Parameters = {"the_id": message_id, "the_transaction": transaction_id, "the_reason": None, "now_ms": at_ms}
    unit.send(_BOUND, row)


def transaction_ended(unit: Unit, transaction: TransactionRecord, at_ms: int) -> None:
    """A stop that was asked for; and what was scheduled for after the transaction is due now (REQUIREMENTS T-27)."""
    here: dict[str, str | int] = {"the_charger": transaction.charger}
    unit.send(_STOPPED, {**here, "the_action": STOP, "the_transaction": transaction.transaction_id, "now_ms": at_ms})
    unit.send(_UNSCHEDULED, {**here, "the_connector": transaction.connector_id, "new_deadline": at_ms + AVAILABILITY_MS})


# What our calls lead to


def triggered(unit: Unit, ended: EndedCall) -> None:
    """TriggerMessage or ExtendedTriggerMessage: the message within 30 s, of each connector where all are meant (OP-16)."""
    if ended.outcome != ACCEPTED:
        return
    request = msgspec.json.decode(ended.request)
    asked = str(request["requestedMessage"])
    expected = EXTENDED_TRIGGERS.get(asked, asked) if ended.action == "ExtendedTriggerMessage" else asked
    places = [int(request.get("connectorId", ANYWHERE))]
    if expected == STATUS and places == [ANYWHERE]:
        places = [row[0] for row in unit.all(_TOLD_CONNECTORS, {"the_charger": ended.charger})] or places
    for place in places:
        came_ms = came_since(unit, ended.charger, expected, place, ended.sequence, since(ended))
        expect(unit, ended, FollowUpKind.TRIGGER, expected, TRIGGER_MS, place=place, decided_ms=came_ms)


def came_since(unit: Unit, charger: str, expected: str, place: int, sequence: int, since_ms: int) -> int | None:
    """When the newest such message of this charger came, if it did since."""
    if expected == HEARTBEAT:  # never on record
        return None
    if expected == STATUS:
        found = [row[1] for row in unit.all(_TOLD_CONNECTORS, {"the_charger": charger}) if place in (ANYWHERE, row[0])]
        return max((received_ms for received_ms in found if received_ms >= since_ms), default=None)
    row: Parameters = {"the_charger": charger, "the_sequence": sequence, "the_action": expected, "since_ms": since_ms}
    return next((created_ms for created_ms, frame, _ in unit.all(_SINCE, row) if place in (ANYWHERE, _connector_of(frame))), None)


def _connector_of(frame: str) -> int | None:
    try:
        connector_id = msgspec.json.decode(frame)[3].get("connectorId")
    except (msgspec.DecodeError, UnicodeError, RecursionError, AttributeError, LookupError):
        return None  # a frame that was mended when it was read
    return connector_id if isinstance(connector_id, int) else None


def reset(unit: Unit, ended: EndedCall) -> None:
    """Reset: a boot within five minutes (OP-11)."""
    if ended.outcome == ACCEPTED:
        came_ms = came_since(unit, ended.charger, BOOT, ANYWHERE, ended.sequence, since(ended))
        expect(unit, ended, FollowUpKind.BOOT, BOOT, BOOT_MS, decided_ms=came_ms)


def remotely_started(unit: Unit, ended: EndedCall) -> None:
    """RemoteStartTransaction: the transaction that it is bound to, for as long as one would be (OP-06)."""
    if ended.outcome != ACCEPTED:
        return
    transaction_id, window_ms = unit.one(_BEGUN, {"the_sequence": ended.sequence}) or (None, None)
    expect(
        unit,
        ended,
        FollowUpKind.START,
        START,
        (window_ms or WINDOW_MS) - (ended.ended_ms - since(ended)),
        place=int(msgspec.json.decode(ended.request).get("connectorId", ANYWHERE)),
        transaction_id=transaction_id,
        decided_ms=None if transaction_id is None else ended.ended_ms,
    )


def remotely_stopped(unit: Unit, ended: EndedCall) -> None:
    """RemoteStopTransaction: the stop of that transaction within two minutes, whether we know of it or not (OP-09, OP-10)."""
    if ended.outcome == ACCEPTED:
        _expect_stop(unit, ended, int(msgspec.json.decode(ended.request)["transactionId"]))


def unlocked(unit: Unit, ended: EndedCall) -> None:
    """UnlockConnector: a running transaction is stopped first, with UnlockCommand (OP-12)."""
    if ended.outcome not in ("Unlocked", "UnlockFailed"):
        return
    connector_id = int(msgspec.json.decode(ended.request)["connectorId"])
    here: Parameters = {"the_charger": ended.charger, "the_connector": connector_id}
    stopped = unit.one(_STOPPED_SINCE, {**here, "since_ms": since(ended)})[0]
    found = unit.one(_RUNNING, here) if stopped is None else (stopped,)
    if found is not None:
        _expect_stop(unit, ended, found[0])


def _expect_stop(unit: Unit, ended: EndedCall, transaction_id: int) -> None:
    known = 0 < transaction_id < 2**31
    row = unit.one(_ENDED, {"the_transaction": transaction_id, "the_charger": ended.charger}) if known else None
    expect(
        unit,
        ended,
        FollowUpKind.STOP,
        STOP,
        STOP_MS,
        transaction_id=transaction_id if known else None,
        decided_ms=None if row is None else row[1],
        reason=None if row is None else row[2],
    )


#: Actions of ours that something follows, but for wishes.
AFTER_CALLS: Final[Mapping[str, tuple[Callable[[Unit, EndedCall], None], ...]]] = {
    "ExtendedTriggerMessage": (triggered,),
    "RemoteStartTransaction": (remotely_started,),
    "RemoteStopTransaction": (remotely_stopped,),
    "Reset": (reset,),
    "TriggerMessage": (triggered,),
    "UnlockConnector": (unlocked,),
}
#: Messages of chargers that are only journaled, and may have been triggered.
AFTER_MESSAGES: Final[Mapping[str, tuple[Callable[[Unit, Inbound, int], None], ...]]] = dict.fromkeys(
    (
        *("DiagnosticsStatusNotification", "FirmwareStatusNotification", "LogStatusNotification"),
        "SignedFirmwareStatusNotification",
    ),
    (told,),
)
