"""Chargers that are read from more slowly while the records cannot keep up."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.backpressure import Backpressure
from ocppd.net.overload import AT_ONCE, HELD_S, PAUSE_S, Overload
from ocppd.storage.crowding import CROWDED, ROOM, Crowding


class Charger:
    """A transport, and what stops reading from it."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.backpressure = Backpressure(self.transport)

    @property
    def is_read(self) -> bool:
        """Whether it is read from."""
        return self.transport.producerState == "producing"


class Backpressures(SynchronousTestCase):
    """Tests for the two reasons to stop."""

    def test_either_reason_is_enough(self) -> None:
        """It is read from again once neither holds, whichever ends first."""
        charger = Charger()
        charger.backpressure.pauseProducing()
        charger.backpressure.hold()
        charger.backpressure.release()
        self.assertFalse(charger.is_read)
        charger.backpressure.resumeProducing()
        self.assertTrue(charger.is_read)
        charger.backpressure.hold()
        charger.backpressure.pauseProducing()
        charger.backpressure.resumeProducing()
        self.assertFalse(charger.is_read)
        charger.backpressure.release()
        self.assertTrue(charger.is_read)


class Overloads(SynchronousTestCase):
    """Tests for Overload."""

    def setUp(self) -> None:
        """It is crowded."""
        self.clock = Clock()
        self.overload = Overload(self.clock)
        self.overload.changed(True)

    def sent(self, *chargers: Charger) -> None:
        """Something of these was read."""
        for charger in chargers:
            self.overload.read(charger.backpressure)

    def test_who_sends_is_held(self) -> None:
        """Only who sends is held; after a while it is read once more, and held again when it sends."""
        one, other = Charger(), Charger()
        self.sent(one, one)
        self.assertEqual((one.is_read, other.is_read), (False, True))
        self.clock.advance(1)
        self.sent(other)
        self.clock.advance(HELD_S - 1)
        self.assertEqual((one.is_read, other.is_read), (True, False))
        self.sent(one)
        self.clock.advance(1)
        self.assertEqual((one.is_read, other.is_read), (False, True))
        self.overload.changed(False)
        self.clock.advance(0)
        self.assertTrue(one.is_read)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_are_read_again_some_at_a_time(self) -> None:
        """Once there is room nobody is held, and the reactor is not held up by letting go of many."""
        chargers = [Charger() for _ in range(2 * AT_ONCE + 1)]
        self.sent(*chargers)
        self.overload.changed(False)
        self.clock.advance(0)
        for count in (AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1):
            self.assertEqual(sum(charger.is_read for charger in chargers), count)
            self.clock.advance(PAUSE_S)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_is_held_while_there_is_room(self) -> None:
        """What is read then changes nothing."""
        self.overload.changed(False)
        charger = Charger()
        self.sent(charger)
        self.overload.read(None)
        self.overload.gone(None)
        self.assertTrue(charger.is_read)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_is_gone_is_forgotten(self) -> None:
        """Nothing is kept of a connection that is over, no timer either."""
        one, other = Charger(), Charger()
        self.sent(one, other)
        self.overload.gone(one.backpressure)
        self.overload.gone(one.backpressure)
        self.clock.advance(HELD_S)
        self.assertEqual((one.is_read, other.is_read), (False, True))
        self.sent(other)
        self.overload.gone(other.backpressure)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Crowdings(SynchronousTestCase):
    """Tests for when it is crowded."""

    def test_it_begins_high_and_ends_low(self) -> None:
        """It is told once when too many wait, and once when few do."""
        told: list[bool] = []
        crowding = Crowding()
        crowding.listen(told.append)
        for count in (CROWDED - 1, CROWDED, CROWDED + 1, CROWDED - 1, ROOM + 1):
            crowding.waiting(count)
        self.assertEqual(told, [True])
        for count in (ROOM, ROOM - 1, ROOM + 1, 0):
            crowding.waiting(count)
        self.assertEqual(told, [True, False])
