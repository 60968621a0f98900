"""What statuses mean. REQUIREMENTS N-3, N-5, G-2."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.statuses import DEFINED, clock_of, is_defined, warnings_of
from ocppd.storage.records import ConnectorRecord
from ocppd.v16.types import ChargePointStatus
from support.storing import MINUTE_MS, NOON_MS

#: The table of N-5: from each status, in its order, to each other.
ROWS = {
    "Available": "Preparing Charging SuspendedEV SuspendedEVSE Reserved Unavailable Faulted",
    "Preparing": "Available Charging SuspendedEV SuspendedEVSE Finishing Faulted",
    "Charging": "Available SuspendedEV SuspendedEVSE Finishing Unavailable Faulted",
    "SuspendedEV": "Available Charging SuspendedEVSE Finishing Unavailable Faulted",
    "SuspendedEVSE": "Available Charging SuspendedEV Finishing Unavailable Faulted",
    "Finishing": "Available Preparing Unavailable Faulted",
    "Reserved": "Available Preparing Unavailable Faulted",
    "Unavailable": "Available Preparing Charging SuspendedEV SuspendedEVSE Faulted",
    "Faulted": "Available Preparing Charging SuspendedEV SuspendedEVSE Finishing Reserved Unavailable",
}


def connector(**members: Any) -> ConnectorRecord:
    """A connector that is available."""
    defaults: dict[str, Any] = {
        "charger": "CP1",
        "connector_id": 1,
        "status": "Available",
        "error_code": "NoError",
        "info": None,
        "vendor_id": None,
        "vendor_error_code": None,
        "transaction_id": None,
        "timestamp_ms": NOON_MS,
        "received_ms": NOON_MS + 250,
    }
    return ConnectorRecord(**defaults | members)


class StatusTests(SynchronousTestCase):
    """Transitions, warnings, clocks."""

    def test_the_table_of_transitions(self) -> None:
        """N-5: exactly the transitions of the table are defined; the first status, and the same again, are none."""
        self.assertEqual(set(DEFINED), set(ChargePointStatus))
        for before, after in ROWS.items():
            for status in ChargePointStatus:
                defined = status == before or status in after.split()
                self.assertEqual(is_defined(before, status), defined, (before, status))
        for status in ChargePointStatus:
            self.assertTrue(is_defined(None, status))
        self.assertFalse(is_defined("Bogus", "Available"))

    def test_warnings(self) -> None:
        """N-3: each error code once, in order."""
        self.assertEqual(warnings_of(connector()), ())
        self.assertEqual(warnings_of(connector(warnings=" WeakSignal  OverVoltage  WeakSignal ")), ("WeakSignal", "OverVoltage"))

    def test_the_clock(self) -> None:
        """G-2: the last status tells, unless it had no time of its own; five minutes are near enough, in both directions."""
        self.assertIsNone(clock_of([]))
        self.assertIsNone(clock_of([connector(received_ms=NOON_MS)]))
        for minutes, good in ((-6, False), (-5, True), (5, True), (6, False)):
            told = connector(timestamp_ms=NOON_MS + minutes * MINUTE_MS, received_ms=NOON_MS)
            earlier = connector(connector_id=2, received_ms=NOON_MS - 1)
            reading = clock_of([earlier, told])
            assert reading is not None
            self.assertEqual((reading.good, reading.ahead_ms), (good, minutes * MINUTE_MS))
