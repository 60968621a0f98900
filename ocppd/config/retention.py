"""`Retention` of configs.json: how long records are kept. Knows no record and no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn, Protocol

from ocppd.config.values import RetentionSettings

#: Keys of requests are kept for a day, and what they stand for has to be there as long. A hundred years are for ever.
DAYS_BOUNDS: Final = (2, 36500)
#: From what a plot shows to a day.
INTERVAL_BOUNDS_S: Final = (60, 86400)
#: The settings, and the kinds of records that each is about.
DAYS: Final[Mapping[str, str]] = {
    "Messages": "messages_days",
    "Statuses": "statuses_days",
    "Quarantine": "quarantine_days",
    "MeterValues": "meter_values_days",
}
INTERVAL: Final = "MeterValueInterval"
KEYS: Final = (*DAYS, INTERVAL)
#: Where it says what goes and what stays.
DOCUMENTED: Final = "docs/operations.md, How long records are kept"


class Node(Protocol):
    """A JSON value of the file and its path."""

    @property
    def value(self) -> Any:
        """The value."""

    def members(self, known: tuple[str, ...]) -> Mapping[str, Any]:
        """The members of an object."""

    def fail(self, expected: str) -> NoReturn:
        """Raise ConfigurationError."""


def retention_of(node: Node) -> RetentionSettings:
    """The settings under `Retention`. Raises ConfigurationError."""
    found = node.members(KEYS)
    given = {member: _number(found[key], "days", *DAYS_BOUNDS) for key, member in DAYS.items() if key in found}
    if INTERVAL in found:
        if "MeterValues" not in found:
            found[INTERVAL].fail(f"expected MeterValues beside it: without it no meter values are thinned out ({DOCUMENTED})")
        given["meter_value_interval_s"] = _number(found[INTERVAL], "seconds", *INTERVAL_BOUNDS_S)
    return RetentionSettings(**given)


def _number(node: Node, unit: str, lowest: int, highest: int) -> int:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        node.fail(f"expected a whole number of {unit} from {lowest} to {highest} ({DOCUMENTED})")
    return value
