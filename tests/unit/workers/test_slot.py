"""One place among the workers, with workers that do as the test says, and a Clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from ocppd.workers.slot import HEALTHY_S, LONGEST_DELAY_S, READY_LIMIT_S, Slot

END_LIMIT_S = 20.0


class Worker:
    """A process that notes what is asked of it."""

    def __init__(self, pid: int, clock: Clock, became_ready: Callable[[Any], None], has_ended: Callable[[Any], None]) -> None:
        self.pid = pid
        self.started_s = clock.seconds()
        self.ready = self.leaving = False
        self.reason: str | None = None
        self.how = "status 0"
        self.asked: list[Any] = []
        self._became_ready = became_ready
        self._has_ended = has_ended

    def retire(self) -> None:
        self.leaving = True
        self.asked.append("retire")

    def terminate(self) -> None:
        self.leaving = True
        self.asked.append("terminate")

    def kill(self) -> None:
        self.leaving = True
        self.asked.append("kill")

    def hurry(self) -> None:
        self.asked.append("hurry")

    def end_within(self, seconds: float) -> None:
        self.asked.append(seconds)

    # What the test does

    def be_ready(self) -> None:
        self.ready = True
        self._became_ready(self)

    def end(self, how: str = "status 0", reason: str | None = None) -> None:
        self.how, self.reason = how, reason
        self._has_ended(self)


class SlotCase(SynchronousTestCase):
    """A place, and every worker that it has ever had."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.workers: list[Worker] = []
        self.refused = False
        self.slot = Slot(2, self.clock, self.spawn, END_LIMIT_S)
        self.errors: list[str] = []
        globalLogPublisher.addObserver(self.observe)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: Any) -> None:
        if event.get("log_level") is LogLevel.error:
            self.errors.append(event["log_format"].format(**event))

    def spawn(self, became_ready: Any, has_ended: Any) -> Any:
        if self.refused:
            raise OSError("no more processes")
        self.workers.append(Worker(100 + len(self.workers), self.clock, became_ready, has_ended))
        return self.workers[-1]

    def running(self) -> Worker:
        """A place with a worker that is ready."""
        self.slot.start()
        self.workers[-1].be_ready()
        return self.workers[-1]

    def told(self) -> list[str]:
        """The errors in the log since the last look."""
        errors, self.errors = self.errors, []
        return errors


class DeathTests(SlotCase):
    """A worker that ends by itself."""

    def test_restart(self) -> None:
        """It is started again after a moment, and the log has one line that says how it ended."""
        self.running().end("killed by SIGKILL")
        self.assertEqual(self.told(), ["worker 2, process 100, has died: killed by SIGKILL; another one starts in 0.1 s"])
        self.assertFalse(self.slot.ready)
        self.clock.advance(0.1)
        self.assertEqual(len(self.workers), 2)
        self.workers[-1].be_ready()
        self.assertTrue(self.slot.ready)

    def test_backoff(self) -> None:
        """A worker that dies again and again is started later each time, up to the longest delay."""
        self.slot.start()
        expected = [min(0.1 * 2**number, LONGEST_DELAY_S) for number in range(12)]
        for delay_s in expected:
            self.workers[-1].end("status 1", "no database")
            pid = self.workers[-1].pid
            line = f"worker 2, process {pid}, has died: status 1 (no database); another one starts in {delay_s:g} s"
            self.assertEqual(self.told(), [line])
            count = len(self.workers)
            self.clock.advance(delay_s - 0.01)
            self.assertEqual(len(self.workers), count)
            self.clock.advance(0.02)
            self.assertEqual(len(self.workers), count + 1)

    def test_backoff_ends(self) -> None:
        """A worker that was well for long enough is started again as soon as the first one."""
        self.slot.start()
        for _ in range(5):
            self.workers[-1].end("status 1")
            self.clock.advance(LONGEST_DELAY_S)
        self.workers[-1].be_ready()
        self.clock.advance(HEALTHY_S)
        self.workers[-1].end("status 1")
        self.assertIn("starts in 0.1 s", self.told()[-1])

    def test_system_refuses(self) -> None:
        """Where no process can be started it is tried again, too."""
        self.refused = True
        self.slot.start()
        self.assertEqual(self.told(), ["worker 2 cannot be started: no more processes"])
        self.assertEqual((self.slot.decided, self.slot.refusal), (True, "no more processes"))
        self.refused = False
        self.clock.advance(0.1)
        self.assertEqual(len(self.workers), 1)

    def test_first_start(self) -> None:
        """The first start of all is tried once: whether it succeeds is the daemon's fate."""
        self.slot.try_to_start()
        self.assertFalse(self.slot.decided)
        self.workers[0].end("status 1", "no database")
        self.assertTrue(self.slot.decided)
        self.assertEqual((self.slot.failed, self.slot.ready), (self.workers[0], False))
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual(len(self.workers), 1)
        self.assertEqual(self.told(), ["worker 2, process 100, has died: status 1 (no database)"])

    def test_first_start_succeeds(self) -> None:
        """From then on the place is kept filled."""
        self.slot.try_to_start()
        self.workers[0].be_ready()
        self.assertTrue(self.slot.decided)
        self.workers[0].end("status 1")
        self.clock.advance(0.1)
        self.assertEqual(len(self.workers), 2)


class ReplaceTests(SlotCase):
    """A worker that makes room for another one."""

    def test_replace(self) -> None:
        """The successor is ready before the predecessor is asked to leave, and it is over when that one has gone."""
        old = self.running()
        replaced = self.slot.replace()
        new = self.workers[-1]
        self.assertEqual(old.asked, [])
        new.be_ready()
        self.assertEqual(old.asked, ["retire", END_LIMIT_S])
        self.assertNoResult(replaced)
        old.end()
        self.assertIs(self.successResultOf(replaced), True)
        self.assertEqual((self.slot.workers, self.told()), ([new], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_successor_dies(self) -> None:
        """A successor that cannot start changes nothing but the log."""
        old = self.running()
        replaced = self.slot.replace()
        self.workers[-1].end("status 1", "no database")
        self.assertIs(self.successResultOf(replaced), False)
        self.assertEqual((old.asked, self.slot.workers, self.slot.ready), ([], [old], True))
        self.assertEqual(self.told(), ["worker 2, process 101, has died: status 1 (no database)"])
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual(len(self.workers), 2)

    def test_successor_hangs(self) -> None:
        """A successor that is not ready in time is killed."""
        old = self.running()
        replaced = self.slot.replace()
        self.clock.advance(READY_LIMIT_S)
        self.assertEqual(self.workers[-1].asked, ["kill"])
        self.workers[-1].end("killed by SIGKILL")
        self.assertIs(self.successResultOf(replaced), False)
        self.assertEqual((old.asked, self.told()), ([], ["worker 2: its successor is not ready after 60 s"]))

    def test_no_process(self) -> None:
        """Where no process can be started, the worker stays."""
        old = self.running()
        self.refused = True
        self.assertIs(self.successResultOf(self.slot.replace()), False)
        self.assertEqual((old.asked, self.slot.ready), ([], True))

    def test_predecessor_dies_first(self) -> None:
        """A worker that dies while its successor starts is not started a second time."""
        old = self.running()
        replaced = self.slot.replace()
        old.end("killed by SIGKILL")
        self.assertEqual(self.told(), ["worker 2, process 100, has died: killed by SIGKILL"])
        self.workers[-1].be_ready()
        self.assertIs(self.successResultOf(replaced), True)
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual((len(self.workers), self.slot.ready), (2, True))

    def test_both_die(self) -> None:
        """When both have died, another one is started."""
        self.running()
        replaced = self.slot.replace()
        self.workers[0].end("killed by SIGKILL")
        self.workers[1].end("killed by SIGKILL")
        self.assertIs(self.successResultOf(replaced), False)
        self.clock.advance(0.1)
        self.assertEqual(len(self.workers), 3)

    def test_successor_dies_after_it_took_over(self) -> None:
        """It is started again while its predecessor still drains."""
        old = self.running()
        replaced = self.slot.replace()
        self.workers[-1].be_ready()
        self.workers[-1].end("killed by SIGKILL")
        self.clock.advance(0.1)
        self.assertEqual(len(self.workers), 3)
        self.workers[-1].be_ready()
        old.end()
        self.assertIs(self.successResultOf(replaced), True)
        self.assertEqual(self.slot.workers, [self.workers[-1]])

    def test_empty_place(self) -> None:
        """A place that waits to be filled again is filled at once, and not a second time."""
        self.running().end("status 1")
        replaced = self.slot.replace()
        self.workers[-1].be_ready()
        self.assertIs(self.successResultOf(replaced), True)
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual(len(self.workers), 2)

    def test_twice(self) -> None:
        """While one replacement goes on there is no second one."""
        self.running()
        self.slot.replace()
        self.assertIs(self.successResultOf(self.slot.replace()), False)
        self.assertEqual(len(self.workers), 2)


class StopTests(SlotCase):
    """The end."""

    def test_stop(self) -> None:
        """The worker is told to end, and has a limit for it; nobody comes after it."""
        worker = self.running()
        stopped = self.slot.stop()
        self.assertEqual(worker.asked, ["terminate", END_LIMIT_S])
        self.assertNoResult(stopped)
        worker.end()
        self.successResultOf(stopped)
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual((len(self.workers), self.told()), (1, []))

    def test_stop_while_replacing(self) -> None:
        """A successor that starts is told to end, too."""
        old = self.running()
        replaced = self.slot.replace()
        new = self.workers[-1]
        stopped = self.slot.stop()
        self.assertEqual((old.asked, new.asked), (["terminate", END_LIMIT_S],) * 2)
        new.end("killed by SIGTERM")
        self.assertIs(self.successResultOf(replaced), False)
        self.assertNoResult(stopped)
        old.end()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_while_a_predecessor_drains(self) -> None:
        """One that is leaving already is left to it: a further signal would end its drain."""
        old = self.running()
        self.slot.replace()
        self.workers[-1].be_ready()
        asked = list(old.asked)
        self.slot.stop()
        self.assertEqual(old.asked, asked)

    def test_stop_between(self) -> None:
        """A place that waits to be filled again is empty at once."""
        self.running().end("status 1")
        self.successResultOf(self.slot.stop())
        self.clock.advance(LONGEST_DELAY_S)
        self.assertEqual(len(self.workers), 1)

    def test_hurry(self) -> None:
        """Only those that are leaving hurry, and get a new limit."""
        worker = self.running()
        self.slot.hurry(5)
        self.assertEqual(worker.asked, [])
        self.slot.stop()
        self.slot.hurry(5)
        self.assertEqual(worker.asked, ["terminate", END_LIMIT_S, "hurry", 5])
