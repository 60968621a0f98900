"""What is made of a transaction's message that says too little: the rules that fill in and leave out. REQUIREMENTS E-1.

A charger repeats such a message for a while when it is refused, and throws it away then, with what was charged. So everything
is taken that can be read; what is filled in is flagged, and no energy comes of it. Knows no bytes and no records: what is
filled in here as nothing (register 0, blank timestamp) is completed by those who know more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ocppd.errors import ErrorCode
from ocppd.v16.core import MeterValuesRequest, StartTransactionRequest, StopTransactionRequest
from ocppd.v16.shapes import ListShape
from ocppd.v16.tolerance import ABSENT, NOT_MINE, REMOVED, Repair, Rule
from ocppd.v16.validation import Fault, Place

#: The messages that E-1 speaks of.
KINDS: Final[frozenset[type]] = frozenset({StartTransactionRequest, StopTransactionRequest, MeterValuesRequest})
#: Errata 3.18: the id of a transaction that its charger cannot name.
NAMELESS: Final = -1
#: The flags of a transaction that was salvaged.
CONNECTOR_ASSUMED = "connectorAssumed"
ID_TAG_MISSING = "idTagMissing"
METER_START_MISSING = "meterStartMissing"
METER_STOP_MISSING = "meterStopMissing"
TRANSACTION_ID_MISSING = "transactionIdMissing"
VALUES_DROPPED = "valuesDropped"

_NOT_THERE = (Fault.MISSING, Fault.NULL)
_UNREADABLE = (Fault.WRONG_TYPE, Fault.UNKNOWN_VALUE, Fault.BEYOND_64_BIT)
#: Members with lists, which are as good as all of a message that is too large to be looked at.
_LISTS: Final = ("meterValue", "transactionData")


def _filled(name: str, value: Any) -> Callable[[Place], Any]:
    """Fills in the required member `name` of the message itself."""

    def fill(place: Place) -> Any:
        return value if place.pointer == f"/{name}" and not place.optional else NOT_MINE

    return fill


def _blank_timestamp(place: Place) -> Any:
    """Blank names no instant: the time of receipt stands for it, and a repeat is still recognised (G-2)."""
    return "" if place.key == "timestamp" and not place.optional else NOT_MINE


def _blank_value(place: Place) -> Any:
    """A blank sample is skipped where values are read (M-3)."""
    return "" if place.key == "value" and not place.optional else NOT_MINE


def _empty_list(place: Place) -> Any:
    return [] if isinstance(place.shape, ListShape) and not place.optional and isinstance(place.key, str) else NOT_MINE


def _removed(place: Place) -> Any:
    return REMOVED if isinstance(place.holder, list) else NOT_MINE


def _left_out(place: Place) -> Any:
    return ABSENT if place.optional else NOT_MINE


def _rule(name: str, requirement: str, reason: str, mend: Callable[[Place], Any], flag: str | None = None) -> Rule:
    return Rule(name, reason, requirement, frozenset((*_NOT_THERE, *_UNREADABLE)), mend, KINDS, flag)


SHED: Final = Rule(
    "shed-values",
    "values of a broken message beyond 1 MiB left out",
    "F-13",
    frozenset(),
    lambda _: NOT_MINE,
    KINDS,
    VALUES_DROPPED,
)
#: Asked after those of `tolerance`, of the messages of transactions alone.
RULES: Final[tuple[Rule, ...]] = (
    _rule("fill-connector", "E-1", "missing connectorId taken as 1", _filled("connectorId", 1), CONNECTOR_ASSUMED),
    _rule("fill-id-tag", "E-1", "missing idTag taken as the blank one, which is Invalid", _filled("idTag", ""), ID_TAG_MISSING),
    _rule(
        "fill-meter-start", "E-1", "missing meterStart: the last stop's, if any", _filled("meterStart", 0), METER_START_MISSING
    ),
    _rule("fill-meter-stop", "E-1", "missing meterStop: the last register, if any", _filled("meterStop", 0), METER_STOP_MISSING),
    _rule("fill-transaction", "T-22", "missing transactionId: -1", _filled("transactionId", NAMELESS), TRANSACTION_ID_MISSING),
    _rule("fill-timestamp", "G-2", "missing timestamp: the time of receipt", _blank_timestamp),
    _rule("fill-value", "M-3", "missing value of a sample: skipped", _blank_value),
    _rule("fill-list", "M-1", "missing list taken as an empty one", _empty_list),
    _rule("drop-item", "M-1", "item of a list that cannot be read left out", _removed),
    _rule("drop-member", "E-1", "optional member that cannot be read left out", _left_out),
    SHED,
)


def shed(value: dict[str, Any]) -> Repair | None:
    """Take the lists out of a message that is too large for a closer look; None where it has none."""
    shed = [name for name in _LISTS if isinstance(value.get(name), list)]
    for name in shed:
        if name == "meterValue":
            value[name] = []
        else:
            del value[name]
    if not shed:
        return None
    return Repair(f"/{shed[0]}", SHED.name, SHED.reason, ErrorCode.GENERIC_ERROR, "too large to be mended", SHED.flag)
