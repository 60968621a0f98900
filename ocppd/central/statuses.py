"""What statuses mean: transitions, warnings, the charger's clock. REQUIREMENTS N-3, N-5, G-2. Pure.

Nothing here refuses a status; it says what an operator may want to know of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ocppd.storage.records import ConnectorRecord
from ocppd.v16.types import ChargePointStatus as S

#: Beyond this a clock is wrong (G-2).
CLOCK_TOLERANCE_MS: Final = 5 * 60 * 1000

#: OCPP 1.6 section 4.9, with Preparing to Finishing (errata 3.20): what a connector in each status may become.
DEFINED: Final[dict[str, frozenset[str]]] = {
    S.AVAILABLE: frozenset({S.PREPARING, S.CHARGING, S.SUSPENDED_EV, S.SUSPENDED_EVSE, S.RESERVED, S.UNAVAILABLE, S.FAULTED}),
    S.PREPARING: frozenset({S.AVAILABLE, S.CHARGING, S.SUSPENDED_EV, S.SUSPENDED_EVSE, S.FINISHING, S.FAULTED}),
    S.CHARGING: frozenset({S.AVAILABLE, S.SUSPENDED_EV, S.SUSPENDED_EVSE, S.FINISHING, S.UNAVAILABLE, S.FAULTED}),
    S.SUSPENDED_EV: frozenset({S.AVAILABLE, S.CHARGING, S.SUSPENDED_EVSE, S.FINISHING, S.UNAVAILABLE, S.FAULTED}),
    S.SUSPENDED_EVSE: frozenset({S.AVAILABLE, S.CHARGING, S.SUSPENDED_EV, S.FINISHING, S.UNAVAILABLE, S.FAULTED}),
    S.FINISHING: frozenset({S.AVAILABLE, S.PREPARING, S.UNAVAILABLE, S.FAULTED}),
    S.RESERVED: frozenset({S.AVAILABLE, S.PREPARING, S.UNAVAILABLE, S.FAULTED}),
    S.UNAVAILABLE: frozenset({S.AVAILABLE, S.PREPARING, S.CHARGING, S.SUSPENDED_EV, S.SUSPENDED_EVSE, S.FAULTED}),
    S.FAULTED: frozenset(set(S) - {S.FAULTED}),
}


def is_defined(before: str | None, after: str) -> bool:
    """Whether a connector may go from one status to the other by definition; staying as it is is no transition."""
    return before is None or before == after or after in DEFINED.get(before, frozenset())


def warnings_of(record: ConnectorRecord) -> tuple[str, ...]:
    """The error codes that a connector has told of without being faulted, since the last NoError (N-3)."""
    return tuple(dict.fromkeys(record.warnings.split()))


@dataclass(frozen=True, slots=True)
class ClockReading:
    """How far a charger's clock was ahead of ours, and when."""

    ahead_ms: int
    at_ms: int

    @property
    def good(self) -> bool:
        """Whether that is near enough."""
        return abs(self.ahead_ms) <= CLOCK_TOLERANCE_MS


def clock_of(connectors: Iterable[ConnectorRecord]) -> ClockReading | None:
    """The clock of a charger by the status that it told last; one without a time of its own tells nothing."""
    told = [each for each in connectors if each.timestamp_ms != each.received_ms]
    last = max(told, key=lambda each: each.received_ms, default=None)
    return None if last is None else ClockReading(last.timestamp_ms - last.received_ms, last.received_ms)
