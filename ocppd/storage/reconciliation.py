"""Stops whose charger never heard which transaction it had begun. Functions over a running transaction.

OCPP 1.6 errata 3.18; REQUIREMENTS T-22: a charger that got no answer to its StartTransaction stops transaction -1.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Text, bindparam, exists, or_, select

from ocppd.storage.records import Inbound, Stop
from ocppd.storage.schema import IS_OPEN, messages, messages_of, transactions
from ocppd.storage.unit import Parameters, Statement, Unit
from ocppd.v16.salvage import TRANSACTION_ID_MISSING

#: The id that such a charger gives.
NAMELESS: Final = -1
#: The flag of a transaction that was found for such a stop.
RECONCILED: Final = "reconciled"

_TAG = or_(bindparam("the_tag", type_=Text()).is_(None), transactions.c.id_tag_key == bindparam("the_tag", type_=Text()))
#: The charger has named it since: it knows its id, and would not stop it nameless.
_NAMED = exists().where(
    messages_of.c.charger == transactions.c.charger,
    messages.c.sequence == messages_of.c.sequence,
    messages.c.transaction_id == transactions.c.transaction_id,
    messages.c.action == bindparam("the_action", type_=Text()),
)
_OPEN = Statement(
    select(transactions.c.transaction_id).where(
        transactions.c.charger == bindparam("the_charger"),
        IS_OPEN,
        transactions.c.started_ms <= bindparam("stopped_ms"),
        _TAG,
        ~_NAMED,
    )
)
_STOPPED_SO = Statement(
    select(transactions.c.transaction_id).where(
        transactions.c.charger == bindparam("the_charger"),
        transactions.c.stopped_ms == bindparam("stopped_ms"),
        transactions.c.meter_stop_wh == bindparam("meter_stop"),
        transactions.c.flags.like(bindparam("the_flag", type_=Text())),
    )
)


def transaction_of(unit: Unit, message: Inbound, stop: Stop) -> int | None:
    """The one transaction that a nameless stop can be of; None where there are none or several.

    That is the only open one of its charger that was begun by then, by the same tag if it says one, and that the charger
    has not named since, unless it left the id out altogether. A repeat of such a stop finds the one that it stopped before.
    """
    row: Parameters = {
        "the_charger": message.charger,
        "stopped_ms": stop.timestamp_ms,
        "the_tag": stop.id_tag_key,
        # A stop that lacks the id says nothing about whether its charger knows it (E-1).
        "the_action": "" if TRANSACTION_ID_MISSING in stop.flags else "MeterValues",
    }
    how: Parameters = {
        "the_charger": message.charger,
        "stopped_ms": stop.timestamp_ms,
        "meter_stop": stop.meter_stop_wh,
        "the_flag": f'%"{RECONCILED}"%',
    }
    found = unit.all(_STOPPED_SO, how) or unit.all(_OPEN, row)
    return int(found[0][0]) if len(found) == 1 else None
