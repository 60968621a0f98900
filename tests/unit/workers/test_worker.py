"""One worker as its supervisor sees it. The reactor is a Clock that starts no process; the channel is real."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ocppd.workers.launch import Launch
from ocppd.workers.worker import OUTPUT_GRACE_S, Worker

LAUNCH = Launch(("python", "-n", "ocppd"), {"PATH": "/bin"})


class Process:
    """The transport of a process; notes its signals."""

    pid = 77

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.exited = False

    def signalProcess(self, number: int) -> None:
        if self.exited:
            raise ProcessExitedAlready
        self.signals.append(number)


class Reactor(Clock):
    """What a worker uses of a reactor."""

    def __init__(self) -> None:
        super().__init__()
        self.process = Process()
        self.spawned: list[Any] = []
        self.channel = StringTransport()
        self.refuses = False

    def spawnProcess(self, protocol: Any, executable: str, args: Any, env: Any, childFDs: Any) -> Process:
        if self.refuses:
            raise PermissionError("no")
        # Whatever is handed over must be open at this moment.
        kinds = {
            number: os.fstat(target) is not None if isinstance(target, int) else target for number, target in childFDs.items()
        }
        self.spawned.append((executable, args, env, kinds))
        protocol.makeConnection(self.process)
        return self.process

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        os.fstat(descriptor)
        factory.buildProtocol(None).makeConnection(self.channel)


class Relay:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.strays: list[tuple[int, str]] = []

    def line(self, worker: int, line: str) -> None:
        self.lines.append((worker, line))

    def stray(self, worker: int, line: str) -> None:
        self.strays.append((worker, line))


class WorkerCase(SynchronousTestCase):
    """Worker 2."""

    def setUp(self) -> None:
        self.reactor, self.relay = Reactor(), Relay()
        self.told: list[str] = []
        relay: Any = self.relay
        self.worker = Worker(2, self.reactor, relay, lambda _: self.told.append("ready"), lambda _: self.told.append("ended"))

    def start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.worker.start(LAUNCH, listening)

    def say(self, data: bytes) -> None:
        """The worker says something on the channel."""
        channel: Any = self.worker._channel
        channel.dataReceived(data)

    @property
    def signals(self) -> list[int]:
        return self.reactor.process.signals


class StartTests(WorkerCase):
    """Its start."""

    def test_descriptors(self) -> None:
        """It gets a stdin that is empty, pipes for its output, its socket as 3 and the channel as 4, and nothing else."""
        before = len(os.listdir("/dev/fd"))
        self.start()
        [(executable, args, env, kinds)] = self.reactor.spawned
        self.assertEqual((executable, args, env), ("python", LAUNCH.arguments, {"PATH": "/bin"}))
        self.assertEqual(kinds, {0: True, 1: "r", 2: "r", 3: True, 4: True})
        self.assertEqual(self.worker.pid, 77)
        self.assertEqual(len(os.listdir("/dev/fd")), before, "nothing of it is left open here")

    def test_refused(self) -> None:
        """A system that refuses leaves nothing open."""
        before = len(os.listdir("/dev/fd"))
        self.reactor.refuses = True
        self.assertRaises(PermissionError, self.start)
        self.assertEqual(len(os.listdir("/dev/fd")), before)

    def test_ready(self) -> None:
        """It is ready when it says so, once."""
        self.start()
        self.assertFalse(self.worker.ready)
        self.say(b"ready\nready\n")
        self.assertEqual((self.worker.ready, self.told), (True, ["ready"]))


class OutputTests(WorkerCase):
    """What it writes."""

    def test_output(self) -> None:
        """Lines of stdout are of its log; what it writes to stderr is not, but for the reason of a start that fails."""
        self.start()
        self.worker.childDataReceived(1, b"one\ntwo")
        self.worker.childDataReceived(2, b"Fatal Python error\nocppd: no database\n")
        self.worker.childDataReceived(1, b"\n")
        self.assertEqual(self.relay.lines, [(2, "one"), (2, "two")])
        self.assertEqual(self.relay.strays, [(2, "Fatal Python error")])
        self.assertEqual(self.worker.reason, "no database")

    def test_last_words(self) -> None:
        """A last line without an end is passed on before anybody hears of the end."""
        self.start()
        self.worker.childDataReceived(1, b"last")
        self.worker.processExited(Failure(ProcessDone(0)))
        self.assertEqual(self.told, [])
        self.worker.processEnded(Failure(ProcessDone(0)))
        self.assertEqual((self.relay.lines, self.told), ([(2, "last")], ["ended"]))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_somebody_else_holds_its_output(self) -> None:
        """A program of a worker that outlives it does not keep it from being taken for ended."""
        self.start()
        self.worker.processExited(Failure(ProcessDone(0)))
        self.reactor.advance(OUTPUT_GRACE_S)
        self.assertEqual(self.told, ["ended"])
        self.worker.childDataReceived(1, b"late\n")
        self.worker.processEnded(Failure(ProcessDone(0)))
        self.assertEqual((self.relay.lines, self.told), ([(2, "late")], ["ended"]))

    def test_how(self) -> None:
        """How it ended, in words."""
        for error, how in (
            (ProcessDone(0), "status 0"),
            (ProcessTerminated(exitCode=3), "status 3"),
            (ProcessTerminated(signal=signal.SIGKILL), "killed by SIGKILL"),
        ):
            self.worker.processExited(Failure(error))
            self.assertEqual(self.worker.how, how)
        self.reactor.advance(OUTPUT_GRACE_S)


class EndTests(WorkerCase):
    """How it is told to end."""

    def test_retire(self) -> None:
        """One that is ready is told by the channel that it has a successor; one that is not has nobody to close."""
        self.start()
        self.worker.retire()
        self.assertEqual((self.signals, self.worker.leaving), ([signal.SIGTERM], True))
        self.say(b"ready\n")
        self.worker.retire()
        self.assertEqual((self.signals, self.reactor.channel.value()), ([signal.SIGTERM], b"restart\n"))

    def test_hurry(self) -> None:
        """A drain is ended by the channel."""
        self.start()
        self.worker.hurry()
        self.assertEqual(self.reactor.channel.value(), b"hurry\n")

    def test_reload(self) -> None:
        """SIGHUP would end a process that does not take it yet: it is made up for when the process is ready."""
        self.start()
        self.worker.reload()
        self.assertEqual(self.signals, [])
        self.say(b"ready\n")
        self.assertEqual(self.signals, [signal.SIGHUP])
        self.worker.reload()
        self.assertEqual(self.signals, [signal.SIGHUP, signal.SIGHUP])

    def test_overdue(self) -> None:
        """One that does not end in time is killed, with a line in the log; the latest limit counts."""
        errors: list[str] = []

        def observe(event: Any) -> None:
            if event.get("log_level") is LogLevel.error:
                errors.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.start()
        self.worker.terminate()
        self.worker.end_within(20)
        self.worker.end_within(2.5)
        self.reactor.advance(2.5)
        self.assertEqual(self.signals, [signal.SIGTERM, signal.SIGKILL])
        self.assertEqual(errors, ["worker 2 has not ended within 2.5 s and is killed"])

    def test_in_time(self) -> None:
        """One that ends is not killed, and a limit that comes late does nothing."""
        self.start()
        self.worker.terminate()
        self.worker.end_within(20)
        self.worker.processExited(Failure(ProcessDone(0)))
        self.worker.processEnded(Failure(ProcessDone(0)))
        self.worker.end_within(20)
        self.assertEqual((self.reactor.getDelayedCalls(), self.signals), ([], [signal.SIGTERM]))
        self.assertTrue(self.reactor.channel.disconnecting)

    def test_gone_already(self) -> None:
        """A signal to a process whose end is about to be told is no error."""
        self.start()
        self.reactor.process.exited = True
        self.worker.terminate()
        self.worker.kill()
        self.assertEqual(self.signals, [])
