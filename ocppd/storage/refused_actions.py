"""Actions that a charger answered NotImplemented or NotSupported to. Functions over a running transaction.

REQUIREMENTS E-3: remembered until it boots with another firmware, or takes the action after all.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Text, bindparam, delete, func, select

from ocppd.errors import ErrorCode
from ocppd.storage.records import Boot, Inbound, MessageState
from ocppd.storage.records.calls import EndedCall
from ocppd.storage.records.configuration import RefusedAction
from ocppd.storage.schema import chargers, refused_actions
from ocppd.storage.spellings import at_most
from ocppd.storage.unit import Statement, Unit

#: What a charger says of an action that it does not know, or has switched off.
REFUSALS: Final = frozenset({ErrorCode.NOT_IMPLEMENTED, ErrorCode.NOT_SUPPORTED})

_OF_CHARGER: Final = refused_actions.c.charger == bindparam("the_charger")
_FIRMWARE = select(chargers.c.firmware_version).where(chargers.c.name == bindparam("charger")).scalar_subquery()
_REFUSED = Statement.upsert(
    refused_actions,
    lambda insert: insert.values(
        charger=bindparam("charger"),
        action=bindparam("action"),
        code=bindparam("code"),
        at_ms=bindparam("at_ms"),
        firmware=func.coalesce(_FIRMWARE, bindparam("no_firmware", type_=Text())),
    ).on_conflict_do_update(
        index_elements=[refused_actions.c.charger, refused_actions.c.action],
        set_={name: insert.excluded[name] for name in ("code", "at_ms", "firmware")},
    ),
)
#: Rows that are looked at together; where there are more, each end looks for its own.
MOST: Final = 100
_ANY = Statement(at_most(select(refused_actions.c.charger, refused_actions.c.action), MOST))
_TAKEN = Statement(delete(refused_actions).where(_OF_CHARGER, refused_actions.c.action == bindparam("the_action")))
_RENEWED = Statement(delete(refused_actions).where(_OF_CHARGER, refused_actions.c.firmware != bindparam("the_firmware")))
_ALL = Statement(
    select(refused_actions.c.action, refused_actions.c.code, refused_actions.c.at_ms)
    .where(_OF_CHARGER)
    .order_by(refused_actions.c.action)
)


def call_ended(unit: Unit, ended: EndedCall) -> None:
    """A call of ours has ended: the charger took its action, or says that it does not know it, or neither."""
    if ended.state is MessageState.COMPLETED:
        if _may_have_refused(unit, ended.charger, ended.action):
            unit.send(_TAKEN, {"the_charger": ended.charger, "the_action": ended.action})
    elif ended.outcome in REFUSALS and ended.answer is not None and ended.answer.startswith("[4"):
        unit.send(
            _REFUSED,
            {
                "charger": ended.charger,
                "action": ended.action,
                "code": ended.outcome,
                "at_ms": ended.ended_ms,
                "no_firmware": "",
            },
        )


def booted(unit: Unit, message: Inbound, boot: Boot) -> None:
    """Another firmware may know other actions."""
    if _may_have_refused(unit, message.charger):
        unit.send(_RENEWED, {"the_charger": message.charger, "the_firmware": boot.firmware_version or ""})


def _may_have_refused(unit: Unit, charger: str, action: str | None = None) -> bool:
    """Whether this charger may be known to refuse an action, or any: nearly always it is not. Asked once for a batch."""
    refused = unit.fact(_ANY, {})
    return len(refused) == MOST or any(row[0] == charger and action in (None, row[1]) for row in refused)


def of_charger(unit: Unit, charger: str) -> tuple[RefusedAction, ...]:
    """The actions that this charger does not know, in order of their names."""
    return tuple(RefusedAction(*row) for row in unit.all(_ALL, {"the_charger": charger}))
