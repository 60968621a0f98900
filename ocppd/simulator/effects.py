"""What follows when a configuration key gets a new value. OCPP 1.6 section 5.3. Knows no table of keys."""

from __future__ import annotations

from collections.abc import Callable

from ocppd.simulator.machine import Machine


def _new_heartbeat_interval(charger: Machine) -> None:
    """Heartbeats count from now; a charger that is not accepted has none."""
    if charger.serving:
        charger.life.beat()


def _new_aligned_interval(charger: Machine) -> None:
    """Clock-aligned samples begin with the next multiple; a charger that is not accepted sends none."""
    if charger.serving:
        charger.metering.align()


def _new_password(charger: Machine) -> None:
    """The AuthorizationKey is the password in hex; it counts from the next connection on (REQUIREMENTS Z-5 to Z-7)."""
    charger.password = bytes.fromhex(charger.configuration.text("AuthorizationKey"))
    charger.close_link(1000, "new AuthorizationKey")


#: By the name of the key; run once the answer to ChangeConfiguration is written.
EFFECTS: dict[str, Callable[[Machine], None]] = {
    "HeartbeatInterval": _new_heartbeat_interval,
    "MeterValueSampleInterval": lambda charger: charger.metering.restart(),
    "ClockAlignedDataInterval": _new_aligned_interval,
    "AuthorizationKey": _new_password,
}
