"""How long a charger may be silent. REQUIREMENTS H-4, P-3, P-4."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.pings import PONG_TIMEOUT_S, Pings
from ocppd.net.wheel import Wheel

START_S = 1_800_000_000


class Peer(Pings):
    """A charger's protocol, as far as silence goes."""

    openHandshakeTimeout = 15
    state = WebSocketProtocol.STATE_OPEN
    _writes_fast = False

    def __init__(self, factory: Any, interval_s: float) -> None:
        self.factory = factory
        self._connection = SimpleNamespace(settings=SimpleNamespace(ping_interval_s=interval_s), last_seen_ms=0)
        self.pings: list[float] = []
        self.dropped: list[str] = []

    def sendPing(self, payload: bytes) -> None:
        assert len(payload) == 12
        self.pings.append(self.factory.door.clock.seconds() - START_S)

    def onAutoPingTimeout(self) -> None:
        self.dropped.append("no pong")

    def onOpenHandshakeTimeout(self) -> None:
        self.dropped.append("no handshake")

    def speak(self) -> None:
        """Something comes from it."""
        self._connection.last_seen_ms = int(self.factory.door.clock.seconds() * 1000)


class PingsTests(SynchronousTestCase):
    """`Pings`."""

    def setUp(self) -> None:
        """Nobody is connected."""
        self.clock = Clock()
        self.clock.advance(START_S)
        self.wheel = Wheel(self.clock)
        door = SimpleNamespace(clock=self.clock)
        self.factory = SimpleNamespace(wheel=self.wheel, opened=0, autoPingTimeout=PONG_TIMEOUT_S, door=door)

    def peer(self, interval_s: float) -> Peer:
        """One whose handshake has just been completed."""
        peer = Peer(self.factory, interval_s)
        peer.await_handshake()
        peer.begin_pings(interval_s)
        return peer

    def seconds(self, number: int) -> None:
        """Let seconds pass, one after another."""
        for _ in range(number):
            self.clock.advance(1)

    def test_each_interval(self) -> None:
        """One that answers is pinged each interval, whatever else it says, and stays."""
        peer = self.peer(60)
        for second in range(1, 301):
            self.clock.advance(1)
            if second % 60 == 3 or second % 7 == 0:
                peer.speak()
        self.assertEqual((peer.pings, peer.dropped), ([60, 120, 180, 240, 300], []))

    def test_short_intervals(self) -> None:
        """Where the interval is below the time that a pong may take, no ping follows one that is not answered."""
        peer = self.peer(5)
        self.seconds(19)
        self.assertEqual(peer.pings, [5])
        peer.speak()
        self.seconds(7)
        self.assertEqual((peer.pings, peer.dropped), ([5, 25], []))

    def test_silence(self) -> None:
        """One that says nothing for twenty seconds after a ping is dropped, whenever it has spoken before that."""
        peer = self.peer(30)
        self.seconds(29)
        peer.speak()
        self.seconds(20)
        self.assertEqual(peer.dropped, [])
        self.seconds(1)
        self.assertEqual((peer.pings, peer.dropped, len(self.wheel)), ([30], ["no pong"], 0))

    def test_off(self) -> None:
        """Without an interval nobody is pinged, and nothing waits."""
        peer = self.peer(0)
        self.assertEqual((len(self.wheel), self.clock.getDelayedCalls()), (0, []))
        peer.wait_no_more()

    def test_handshake(self) -> None:
        """H-4: a handshake that is not complete in time ends the connection."""
        peer = Peer(self.factory, 60)
        peer.state = WebSocketProtocol.STATE_CONNECTING
        peer.await_handshake()
        self.seconds(15)
        self.assertEqual(peer.dropped, ["no handshake"])

    def test_gone(self) -> None:
        """One that goes leaves nothing behind."""
        peer = self.peer(60)
        self.seconds(60)
        peer.wait_no_more()
        self.assertEqual((len(self.wheel), self.clock.getDelayedCalls()), (0, []))

    def test_many_at_once(self) -> None:
        """Those who come together are not pinged together: each second about as many as any other."""
        peers = [Peer(self.factory, 60) for _ in range(3000)]
        for peer in peers:
            peer.await_handshake()
        for peer in peers:
            peer.begin_pings(60)
        self.seconds(60)
        for peer in peers:
            peer.speak()
        counts = Counter(peer.pings[0] for peer in peers)
        self.assertEqual((min(counts), max(counts)), (30, 60))
        self.assertLessEqual(max(counts.values()), 110)
