"""How long a charger may be silent: until its handshake is complete, and after a ping. REQUIREMENTS H-4, P-3.

All connections wait in one wheel. A ping goes out each interval; whatever has come within `PONG_TIMEOUT_S` of it is as good as
its pong (P-4). What Autobahn has for that is left off: its timers are several per connection, and all who come back at once it
pings at once.

The parts of Autobahn that are touched here and are not documented: `state`, `onOpenHandshakeTimeout`, `onAutoPingTimeout`,
`autoPingTimeout` of the factory.
"""

from __future__ import annotations

from typing import Any, Final

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.logger import Logger

from ocppd.clock import DelayedCall
from ocppd.net.fast_frames import write
from ocppd.net.wheel import EARLY_S, Bucket

log = Logger()

GOING_AWAY_CLOSE: Final = 1001
#: P-3: silence after a ping that ends the connection.
PONG_TIMEOUT_S: Final = 20
#: A ping of a server, up to its payload, which is the time (ms) that it is sent at.
_PING: Final = b"\x89\x0c"
_PAYLOAD_BYTES: Final = 12
#: The first ping comes up to so much of the interval early, so that those who have come together are not pinged together.
SPREAD: Final = 0.5
#: Multiples of it, without their whole part, lie as evenly as can be (the golden ratio).
_EVENLY: Final = 0.618_033_988_749_895


class Pings:
    """Mixed into a charger's protocol."""

    _connection: Any
    _bucket: Bucket | None = None
    #: When the ping was sent that is out.
    _pinged_ms: int | None = None
    _probe: DelayedCall | None = None

    def await_handshake(self) -> None:
        """The request has come: its answer is not to take longer than Autobahn is told."""
        own: Any = self
        self._wait(own.openHandshakeTimeout)

    def begin_pings(self, interval_s: float) -> None:
        """The connection is open: see every `interval_s` seconds whether the charger is there; never, where that is 0."""
        own: Any = self
        self.wait_no_more()
        if interval_s:
            factory = own.factory
            factory.opened = factory.opened + 1 if len(factory.wheel) else 0  # one that is alone waits the whole interval
            share = factory.opened * _EVENLY % 1
            self._wait(interval_s * (1 - SPREAD * share))

    def wait_no_more(self) -> None:
        """It is open, or gone."""
        own: Any = self
        bucket, self._bucket = self._bucket, None
        if bucket is not None:
            own.factory.wheel.take(self, bucket)

    def _wait(self, seconds: float) -> None:
        own: Any = self
        self._bucket = own.factory.wheel.put(self, seconds)

    def due(self) -> None:
        """What is waited for has not come, or it is time for a ping."""
        own: Any = self
        self._bucket = None
        if own.state == WebSocketProtocol.STATE_CONNECTING:
            own.onOpenHandshakeTimeout()
        elif own.state == WebSocketProtocol.STATE_OPEN and self._connection is not None:
            self._look(self._connection.settings.ping_interval_s, own.factory.autoPingTimeout)

    def _look(self, interval_s: float, timeout_s: float) -> None:
        own: Any = self
        now_s = own.factory.door.clock.seconds()
        sent_ms = self._pinged_ms
        if sent_ms is not None:
            heard = self._connection.last_seen_ms >= sent_ms
            left_s = sent_ms / 1000 + (interval_s if heard else timeout_s) - now_s
            if left_s > EARLY_S:
                self._wait(left_s)
                return
            if not heard:
                own.onAutoPingTimeout()
                return
        self._ping(int(now_s * 1000))
        self._wait(min(interval_s, timeout_s))

    def _ping(self, now_ms: int) -> None:
        own: Any = self
        self._pinged_ms = now_ms
        payload = now_ms.to_bytes(_PAYLOAD_BYTES, "big")
        if own._writes_fast:
            write(own.transport, _PING + payload)
        else:
            own.sendPing(payload)

    def probe(self) -> None:
        """Ping; drop the connection where nothing has come for PONG_TIMEOUT_S seconds (S-5)."""
        own: Any = self
        connection = self._connection
        if connection is None or self._probe is not None or own.state != WebSocketProtocol.STATE_OPEN:
            return
        heard_ms = connection.last_seen_ms
        own.sendPing()

        def silent() -> None:
            self._probe = None
            if connection.last_seen_ms == heard_ms:
                log.warn("{charger}: silent, closing", charger=connection.name)
                own.close(GOING_AWAY_CLOSE, "no answers")

        self._probe = own.factory.door.clock.callLater(PONG_TIMEOUT_S, silent)

    def probe_no_more(self) -> None:
        """It is gone."""
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()
