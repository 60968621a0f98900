"""What cannot be right about a start, found within the statement that stores it. REQUIREMENTS T-6."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Text, bindparam, case, select

from ocppd.storage.schema import transactions
from ocppd.storage.spellings import at_most

#: The flag of a start whose meter stands below the connector's last stop: another meter, or one that was reset.
BELOW_LAST_STOP: Final = "meterBelowLastStop"
#: Of so many latest transactions of the charger the connector's last stop is sought; no index has the connector and the order,
#: and one more index would cost every start and stop.
LOOKED_AT: Final = 16

_latest = at_most(
    select(transactions.c.transaction_id, transactions.c.connector_id, transactions.c.meter_stop_wh)
    .where(transactions.c.charger == bindparam("charger"))
    .order_by(transactions.c.transaction_id.desc()),
    LOOKED_AT,
).subquery("latest")
_LAST_STOP = at_most(
    select(_latest.c.meter_stop_wh)
    .where(_latest.c.connector_id == bindparam("connector_id"), _latest.c.meter_stop_wh.is_not(None))
    .order_by(_latest.c.transaction_id.desc()),
    1,
).scalar_subquery()
#: The flags of a start, for an insert: `flags_below` where its meter is below the last stop, else `flags`.
FLAGS_AT_START: Final[ColumnElement[str]] = case(
    (bindparam("meter_start_wh", type_=transactions.c.meter_start_wh.type) < _LAST_STOP, bindparam("flags_below", type_=Text())),
    else_=bindparam("flags", type_=Text()),
)
