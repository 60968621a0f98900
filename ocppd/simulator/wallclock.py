"""A charger's own clock, which it sets by its central system. OCPP 1.6 sections 4.2 and 4.6."""

from __future__ import annotations

from ocppd.clock import Clock
from ocppd.v16.timestamps import format_timestamp, parse_timestamp

#: The central system writes whole seconds: a smaller difference is no reason to turn the clock back.
TOLERATED_DIFFERENCE_MS = 2000


class WallClock:
    """Instants in milliseconds since the epoch: the reactor's clock, moved to where the central system is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms = 0

    def now_ms(self) -> int:
        """What time the charger believes it is."""
        return int(self._clock.seconds() * 1000) + self._offset_ms

    def timestamp(self, instant_ms: int | None = None) -> str:
        """An instant, now by default, as chargers write it: with milliseconds, so that no two starts look the same."""
        instant_ms = self.now_ms() if instant_ms is None else instant_ms
        fraction = instant_ms % 1000
        return f"{format_timestamp(instant_ms - fraction).removesuffix('Z')}.{fraction:03d}Z"

    def set(self, text: str) -> None:
        """Take over the central system's time; what cannot be read changes nothing."""
        try:
            difference = parse_timestamp(text) - self.now_ms()
        except ValueError:
            return
        if abs(difference) > TOLERATED_DIFFERENCE_MS:
            self._offset_ms += difference
