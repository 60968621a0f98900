"""Remote starts that wait for the transaction that they are to become. Functions over a running transaction.

REQUIREMENTS T-9, A-4: a StartTransaction belongs to the remote start that was sent to its charger for its tag and connector
shortly before; and a tag that nobody knows is accepted while it is expected.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Select, Text, and_, bindparam, exists, func, insert, or_, select, update

from ocppd.storage.records import MessageState, NewCall
from ocppd.storage.schema import IS_OUR_CALL, configuration, messages, remote_starts
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Parameters, Statement, Unit, values_of
from ocppd.v16.configuration_keys import key_of

#: After sending, for so long, where the charger's ConnectionTimeOut is not known: often that is a minute or two.
WINDOW_MS: Final = 5 * 60 * 1000
#: Where it is known, for so much longer (T-9), and never for longer than that together: it may be nonsense.
BEYOND_TIMEOUT_MS: Final = 60 * 1000
LONGEST_WINDOW_MS: Final = 24 * 3600 * 1000
#: A start that its charger says was earlier than that before the operator's request is another one (G-2).
TOLERANCE_MS: Final = 5 * 60 * 1000
#: Without an answer nobody knows whether the charger has it (S-6): what it begins shows that it has.
_MAY_BE_BEGUN: Final = (MessageState.SENT, MessageState.COMPLETED, MessageState.TIMEOUT, MessageState.UNKNOWN)
_TIMEOUT_KEY: Final = key_of("ConnectionTimeOut")

_KEPT = Statement(values_of(insert(remote_starts), "sequence", "charger", "connector_id", "id_tag_key", "window_ms"))
_TIMEOUT = Statement(
    select(configuration.c.number).where(
        configuration.c.charger == bindparam("the_charger"), configuration.c.key == bindparam("the_key")
    )
)
_connector = bindparam("the_connector", type_=BigInteger())


def _waiting(what: Any) -> Select[Any]:
    """`what` of the remote starts that this charger may begin now, with this tag, on this connector or (None) on any."""
    return (
        select(what)
        .select_from(remote_starts.join(messages, messages.c.sequence == remote_starts.c.sequence))
        .where(
            remote_starts.c.charger == bindparam("the_charger"),
            remote_starts.c.id_tag_key == bindparam("the_key"),
            remote_starts.c.transaction_id.is_(None),
            or_(remote_starts.c.connector_id.is_(None), _connector.is_(None), remote_starts.c.connector_id == _connector),
            messages.c.state.in_([bindparam(state.value, type_=Text()) for state in _MAY_BE_BEGUN]),
            or_(messages.c.outcome.is_(None), messages.c.outcome == bindparam("accepted", type_=Text())),
            messages.c.sent_ms
            >= bindparam("now_ms", type_=BigInteger())
            - func.coalesce(remote_starts.c.window_ms, bindparam("window_ms", type_=BigInteger())),
            messages.c.created_ms <= bindparam("created_by_ms", type_=BigInteger()),
        )
    )


#: Whether there is one.
EXPECTED: Final = exists(_waiting(remote_starts.c.sequence))
#: The id of its message, for an insert. Where a charger has accepted several it is about to begin the last one: those before
#: have come to nothing there. One that it has not answered yet comes after those.
MESSAGE_ID: Final = at_most(
    _waiting(messages.c.message_id).order_by(messages.c.outcome.is_(None), remote_starts.c.sequence.desc()), 1
).scalar_subquery()

_OF_CALL = select(messages.c.sequence).where(messages.c.message_id == bindparam("the_id"), IS_OUR_CALL).scalar_subquery()
_BOUND = Statement(
    update(remote_starts).where(remote_starts.c.sequence == _OF_CALL).values(transaction_id=bindparam("new_transaction"))
)
_TOLD = Statement(
    update(messages)
    .where(and_(messages.c.message_id == bindparam("the_id"), IS_OUR_CALL))
    .values(transaction_id=bindparam("new_transaction"))
)


def kept(unit: Unit, call: NewCall, sequence: int) -> None:
    """A call of ours was journaled: where it is a remote start it waits for its transaction from when it is sent."""
    if call.remote_start is not None:
        wanted = call.remote_start
        row: Parameters = {
            "sequence": sequence,
            "charger": call.charger,
            "connector_id": wanted.connector_id,
            "id_tag_key": wanted.id_tag_key,
            "window_ms": _window(unit, call.charger),
        }
        unit.send(_KEPT, row)


def _window(unit: Unit, charger: str) -> int | None:
    """How long a remote start is expected at this charger; None where it never told its ConnectionTimeOut."""
    row = unit.one(_TIMEOUT, {"the_charger": charger, "the_key": _TIMEOUT_KEY})
    if row is None or row[0] is None or row[0] < 0:
        return None
    return min(int(row[0]) * 1000 + BEYOND_TIMEOUT_MS, LONGEST_WINDOW_MS)


def sought(charger: str, key: str, now_ms: int, connector_id: int | None = None, started_ms: int | None = None) -> Parameters:
    """What `EXPECTED` and `MESSAGE_ID` are given."""
    return {
        "the_charger": charger,
        "the_key": key,
        "the_connector": connector_id,
        **{state.value: state.value for state in _MAY_BE_BEGUN},
        "accepted": "Accepted",
        "now_ms": now_ms,
        "window_ms": WINDOW_MS,
        "created_by_ms": (now_ms if started_ms is None else started_ms) + TOLERANCE_MS,
    }


def bound(unit: Unit, message_id: str, transaction_id: int) -> None:
    """The transaction of a remote start has begun."""
    row: Parameters = {"the_id": message_id, "new_transaction": transaction_id}
    unit.send(_BOUND, row)
    unit.send(_TOLD, row)
