"""The small parts of the bus: delivery, back-off, what the log is told."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogEvent, eventAsText, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ocppd.bus.api import Look
from ocppd.bus.backoff import LONGEST_S, delay_s
from ocppd.bus.delivery import Delivery
from ocppd.bus.local import LocalBus
from ocppd.bus.outage import Outage
from ocppd.bus.scripts import SCRIPTS
from support.buses import Heard


class DeliveryTests(SynchronousTestCase):
    """Tests for `Delivery`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.delivery = Delivery(self.clock)
        self.made: list[int] = []

    def test_order(self) -> None:
        """Calls are made on the next turn in their order; those that are asked for meanwhile come after all of them."""
        self.delivery.later(self.made.append, 1)
        self.delivery.later(self.delivery.later, self.made.append, 3)
        self.delivery.later(self.made.append, 2)
        self.assertEqual(self.made, [])
        self.clock.advance(0)
        self.assertEqual(self.made, [1, 2, 3])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """After a stop nothing is called, not even what waits on the same turn, and no timer is left."""
        self.delivery.later(self.delivery.stop)
        self.delivery.later(self.made.append, 1)
        self.clock.advance(0)
        self.delivery.later(self.made.append, 2)
        self.delivery.now(self.made.append, 3)
        self.assertEqual((self.made, self.clock.getDelayedCalls()), ([], []))
        waiting = Delivery(self.clock)
        waiting.later(self.made.append, 4)
        waiting.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_raised(self) -> None:
        """What a call raises is logged; the next one is made."""
        self.delivery.later(lambda: 1 / 0)
        self.delivery.later(self.made.append, 1)
        self.clock.advance(0)
        self.assertEqual(self.made, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class LocalBusTests(SynchronousTestCase):
    """Tests for a `LocalBus` that is alone."""

    def test_alone(self) -> None:
        """A node that is alone is available from the beginning, and knows itself."""
        clock, heard = Clock(), Heard()
        bus = LocalBus("here", clock)
        self.assertEqual((bus.alone, bus.available, bus.node), (True, True, "here"))
        bus.hold("CP1", 1)
        self.assertEqual(list(self.successResultOf(bus.holders(["CP1", "CP2"]))), ["CP1"])
        self.assertFalse(self.successResultOf(bus.send("here", Look("too early"))))
        bus.start(heard)
        self.assertTrue(self.successResultOf(bus.send("here", Look("CP1"))))
        self.assertFalse(self.successResultOf(bus.send("there", Look("CP1"))))
        clock.advance(0)
        self.assertEqual((heard.restorations, heard.received_messages), (1, [Look("CP1")]))
        self.successResultOf(bus.stop())
        self.successResultOf(bus.stop())
        self.assertEqual(clock.getDelayedCalls(), [])


class BackoffTests(SynchronousTestCase):
    """Tests for `delay_s`."""

    def test_delays(self) -> None:
        """The first attempt is made at once, the next ones after longer and longer, up to two seconds."""
        self.assertEqual(delay_s(0, 1), 0)
        self.assertEqual([delay_s(attempt, 1) for attempt in range(1, 8)], [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
        self.assertEqual(delay_s(10**9, 1), LONGEST_S)

    def test_jitter(self) -> None:
        """Nodes that lost the same server come back at different times."""
        self.assertEqual([delay_s(5, random) for random in (0, 0.5, 1)], [0.8, 1.2000000000000002, 1.6])


class OutageTests(SynchronousTestCase):
    """Tests for `Outage`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: LogEvent) -> None:
        """Take a line of the log."""
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if text.startswith("Redis at"):
            self.lines.append(text.partition(";")[0])

    def test_each_outage_is_told_once(self) -> None:
        """However many attempts fail, an outage is one line when it begins and one when it ends."""
        outage = Outage(self.clock)
        outage.is_over("a:1")
        for _ in range(2):
            for reason in ("gone {x}", "still gone"):
                outage.goes_on("b:1", reason)
                self.clock.advance(1.5)
            outage.is_over("c:1")
        begun, ended = "Redis at b:1 cannot be used: gone {x}", "Redis at c:1 is back after 3.0 s"
        self.assertEqual(self.lines, ["Redis at a:1 connects this node to others", begun, ended, begun, ended])
        self.assertEqual(outage.reason, "still gone")

    def test_an_outage_from_the_beginning(self) -> None:
        """Where the server was never reached the outage is as long as the node lives."""
        outage = Outage(self.clock)
        self.clock.advance(1)
        outage.goes_on("a:1", "refused")
        self.clock.advance(1)
        outage.is_over("a:1")
        self.assertEqual(self.lines, ["Redis at a:1 cannot be used: refused", "Redis at a:1 is back after 2.0 s"])


class ScriptTests(SynchronousTestCase):
    """Tests for the scripts, as far as they can be without a server."""

    def test_digests(self) -> None:
        """Each script has a name of its own, of the kind that Redis makes."""
        self.assertEqual(len({script.digest for script in SCRIPTS}), len(SCRIPTS))
        self.assertEqual({len(script.digest) for script in SCRIPTS}, {40})
