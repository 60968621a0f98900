"""How a start under twistd goes and fails: the parts that need no process of their own (tests/e2e has those)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Application, IService, Service
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from twisted.scripts._twistd_unix import UnixApplicationRunner
from twisted.trial.unittest import SynchronousTestCase

from ocppd import startup
from ocppd.errors import ConfigurationError, StartFailed
from ocppd.startup import Daemon, Terminal, check_twistd, one_line


class Reactor:
    """The two methods of a reactor that a Daemon uses, kept to be called by hand."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.stopped = 0

    def callWhenRunning(self, *call: Any) -> None:
        self.calls.append(call)

    callFromThread = callWhenRunning

    def stop(self) -> None:
        self.stopped += 1

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for function, *arguments in calls:
            function(*arguments)


class Steps(Service):
    """A service that notes what is done to it, and fails at one step."""

    def __init__(self, fails_at: str | None = None, error: Exception | None = None) -> None:
        self.steps: list[str] = []
        self.stopped: Deferred[None] = Deferred()
        self._fails_at = fails_at
        self._error = error or StartFailed("port 9033 is taken\nby another")

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if name == self._fails_at:
            raise self._error

    def privilegedStartService(self) -> None:
        self._step("privileged")

    def startService(self) -> None:
        self._step("start")

    def stopService(self) -> Deferred[None]:
        self._step("stop")
        return self.stopped

    def hurry(self) -> None:
        self._step("hurry")

    def reload(self) -> None:
        self._step("reload")


class DaemonCase(SynchronousTestCase):
    """Keeps the process's signal handlers, hook and twistd's runner as they were."""

    def setUp(self) -> None:
        self.addCleanup(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, signal.SIG_IGN))
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        self.addCleanup(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.patch(sys, "excepthook", sys.excepthook)
        self.patch(UnixApplicationRunner, "_waitForStart", UnixApplicationRunner._waitForStart)
        self.reactor = Reactor()
        self.events: list[Any] = []

    def daemon(self, make: Callable[[], Any]) -> Daemon:
        return Daemon(make, lambda: self.events.append, self.reactor)  # type: ignore[arg-type, return-value]

    def under_twistd(self, daemon: Daemon) -> int:
        """Give the daemon its application and a terminal that the test can read; its reading end."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self.addCleanup(os.close, reading)
        self.patch(Terminal, "duplicate", classmethod(lambda cls: cls(writing)))
        self.join(daemon)
        return reading

    def join(self, daemon: Daemon) -> Any:
        """Make the daemon part of twistd's application."""
        application = Application("ocppd")
        daemon.setServiceParent(application)
        assert daemon._terminal is not None
        self.addCleanup(daemon._terminal.close)
        return application

    def logged(self, level: Any) -> list[Any]:
        """The events of a level from here on."""
        found: list[Any] = []

        def observe(event: Any) -> None:
            if event.get("log_level") is level:
                found.append(event)

        globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return found


class StartTests(DaemonCase):
    """A start that succeeds."""

    def test_steps(self) -> None:
        """twistd's steps reach the composed service, and the stop waits for it."""
        inner = Steps()
        daemon = self.daemon(lambda: inner)
        daemon.privilegedStartService()
        daemon.startService()
        self.assertTrue(daemon.running)
        stopping = daemon.stopService()
        assert stopping is not None
        self.assertNoResult(stopping)
        inner.stopped.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(inner.steps, ["privileged", "start", "stop"])

    def test_log(self) -> None:
        """twistd finds the observer of the log at its application."""
        application = self.join(self.daemon(Steps))
        self.assertEqual(application.getComponent(ILogObserver), self.events.append)
        self.assertEqual(len(list(IService(application))), 1)

    def test_terminal_is_let_go(self) -> None:
        """After the start nothing holds the terminal any more, but not before twistd has told its parent of it."""
        daemon = self.daemon(Steps)
        reading = self.under_twistd(daemon)
        daemon.privilegedStartService()
        daemon.startService()
        self.assertRaises(BlockingIOError, os.read, reading, 10)
        self.reactor.turn()
        self.assertEqual(os.read(reading, 10), b"")

    def test_signals(self) -> None:
        """SIGTERM and SIGINT stop the reactor once, in its thread, so that twistd ends with status 0; a further one hurries."""
        for first in (signal.SIGTERM, signal.SIGINT):
            self.reactor.stopped = 0
            inner = Steps()
            daemon = self.daemon(lambda inner=inner: inner)
            daemon.startService()
            self.reactor.turn()
            signal.raise_signal(first)
            self.assertEqual(self.reactor.stopped, 0)
            self.reactor.turn()
            self.assertEqual((self.reactor.stopped, inner.steps), (1, ["privileged", "start"]))
            signal.raise_signal(signal.SIGTERM)
            self.reactor.turn()
            self.assertEqual((self.reactor.stopped, inner.steps), (1, ["privileged", "start", "hurry"]))

    def test_reload_while_it_starts(self) -> None:
        """A SIGHUP that comes before the start is over ends nothing; it is seen to when the reactor runs."""
        inner = Steps()
        daemon = self.daemon(lambda: (signal.raise_signal(signal.SIGHUP), inner)[1])
        daemon.startService()
        self.assertEqual(inner.steps, ["privileged", "start"])
        self.reactor.turn()
        self.assertEqual(inner.steps, ["privileged", "start", "reload"])

    def test_signal_while_it_stops_by_itself(self) -> None:
        """A signal that comes when the service is stopping already hurries it."""
        inner = Steps()
        daemon = self.daemon(lambda: inner)
        daemon.startService()
        self.reactor.turn()
        daemon.stopService()
        signal.raise_signal(signal.SIGTERM)
        self.reactor.turn()
        self.assertEqual((self.reactor.stopped, inner.steps), (0, ["privileged", "start", "stop", "hurry"]))

    def test_ignored_sigint(self) -> None:
        """Where SIGINT is ignored, as in a worker, it stays so."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        daemon = self.daemon(Steps)
        daemon.startService()
        self.reactor.turn()
        self.assertIs(signal.getsignal(signal.SIGINT), signal.SIG_IGN)


class FailedStartTests(DaemonCase):
    """A start that fails."""

    def fail_at(self, daemon: Daemon) -> tuple[bytes, StartFailed]:
        """What is on the terminal, and the error that twistd gets."""
        reading = self.under_twistd(daemon)

        def start() -> None:
            daemon.privilegedStartService()
            daemon.startService()

        error = self.assertRaises(StartFailed, start)
        return os.read(reading, 1000), error

    def test_steps(self) -> None:
        """Whichever step fails: one line on the terminal, one critical line in the log, and the error goes on to twistd."""
        for step in ("privileged", "start"):
            critical = self.logged(LogLevel.critical)
            line, error = self.fail_at(self.daemon(lambda at=step: Steps(at)))
            self.assertEqual(line, b"ocppd: port 9033 is taken by another\n")
            self.assertIs(type(error), StartFailed)
            self.assertEqual([event["reason"] for event in critical], ["port 9033 is taken\nby another"])

    def test_composing(self) -> None:
        """What fails while the service is composed fails at the start, where there is a log."""

        def make() -> IService:
            raise ConfigurationError("Chargers[0].Name", "this key is missing")

        line, _ = self.fail_at(self.daemon(make))
        self.assertEqual(line, b"ocppd: configs.json: Chargers[0].Name: this key is missing\n")

    def test_interpreter_stays_silent(self) -> None:
        """The interpreter prints no traceback of a reported failure, but one of any other error."""
        shown: list[type[BaseException]] = []
        sys.excepthook = lambda kind, error, traceback: shown.append(kind)
        _, error = self.fail_at(self.daemon(lambda: Steps("start")))
        for found in (error, ValueError("a bug")):
            sys.excepthook(type(found), found, None)
        self.assertEqual(shown, [ValueError])

    def test_log_file(self) -> None:
        """A log that cannot be opened is one line and status 1 before anything has started."""

        def observe() -> ILogObserver:
            raise StartFailed("the log file cannot be opened")

        daemon = Daemon(Steps, observe, self.reactor)  # type: ignore[arg-type]
        error = self.assertRaises(SystemExit, daemon.setServiceParent, Application("ocppd"))
        self.assertEqual(error.code, "ocppd: the log file cannot be opened")

    def test_other_errors(self) -> None:
        """Any other exception is a bug: it is not reported as a failed start, and twistd gets it as it is."""
        daemon = self.daemon(lambda: Steps("start", ZeroDivisionError()))
        critical = self.logged(LogLevel.critical)
        self.assertRaises(ZeroDivisionError, daemon.startService)
        self.assertEqual(critical, [])


class ParentTests(DaemonCase):
    """twistd's parent process, which waits for the daemon to have started."""

    def wait(self, status: bytes) -> tuple[int, str]:
        """The parent's exit status for what its child reports, and what it prints."""
        printed: list[str] = []

        class Stderr:
            """Takes what twistd's parent writes."""

            write = staticmethod(printed.append)

        self.patch(sys, "__stderr__", Stderr)
        terminal = self.terminal = Terminal(os.dup(2))
        self.addCleanup(terminal.close)
        startup._silence_parent(terminal)
        reading = startup._pipe_with(status)
        try:
            runner: Any = UnixApplicationRunner.__new__(UnixApplicationRunner)
            return runner._waitForStart(reading), "".join(printed)
        finally:
            os.close(reading)

    def test_failed_start(self) -> None:
        """A reported failure is status 1, when the child has gone, and not a word more: its line is there already."""
        runner: Any = UnixApplicationRunner.__new__(UnixApplicationRunner)
        status = runner._formatChildException(StartFailed("x" * 200))
        self.assertEqual(self.wait(status), (1, ""))
        self.assertEqual(self.terminal._held, set())

    def test_child_is_waited_for(self) -> None:
        """The terminal is let go when the last other process that holds it has ended."""
        terminal = Terminal(os.dup(2))
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[terminal._alive]) as child:
            self.patch(startup.select, "select", self.closing(child, select.select))
            terminal.wait_for_others()
        self.assertEqual(self.ready, [[], [terminal._lifeline]])

    def closing(self, child: Any, real: Callable[..., Any]) -> Callable[..., Any]:
        """A `select` that looks once while the child runs, then ends it and waits."""
        self.ready: list[list[int]] = []

        def wait(read: list[int], write: list[int], errors: list[int], timeout: float) -> Any:
            self.ready.append(real(read, write, errors, 0)[0])
            child.stdin.close()
            self.ready.append(real(read, write, errors, timeout)[0])

        return wait

    def test_child_that_has_died(self) -> None:
        """A child that has ended without a word is status 1 and one line, though the pipe from it is still open here."""
        printed, stderr = os.pipe()
        silent, never_written = os.pipe()
        os.set_blocking(silent, False)
        startup._silence_parent(Terminal(stderr))
        try:
            runner: Any = UnixApplicationRunner.__new__(UnixApplicationRunner)
            self.assertEqual(runner._waitForStart(silent), 1)
            self.assertEqual(os.read(printed, 1000), f"ocppd: {startup.GONE}\n".encode())
        finally:
            for descriptor in (printed, silent, never_written):
                os.close(descriptor)

    def test_started(self) -> None:
        """A daemon that has started is status 0."""
        self.assertEqual(self.wait(b"0"), (0, ""))

    def test_bug(self) -> None:
        """Any other error is told as twistd tells it."""
        status, printed = self.wait(b"1 ZeroDivisionError: division by zero")
        self.assertEqual(status, 1)
        self.assertIn("ZeroDivisionError: division by zero", printed)

    def test_missing_private_part(self) -> None:
        """Where Twisted has no such method any more, nothing is changed and nothing fails."""
        self.patch(UnixApplicationRunner, "_waitForStart", None)
        terminal = Terminal(os.dup(2))
        self.addCleanup(terminal.close)
        startup._silence_parent(terminal)
        self.assertIsNone(UnixApplicationRunner._waitForStart)


class CheckTests(SynchronousTestCase):
    """What twistd would fail at with many lines is found before."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.pidfile = self.directory / "twistd.pid"

    def check(self, **options: str | int) -> None:
        check_twistd({"pidfile": str(self.pidfile), "rundir": ".", **options})

    def test_nothing_wrong(self) -> None:
        """No pidfile, none wanted, a stale one, and one that twistd itself complains of in a line."""
        self.check()
        self.check(pidfile="")
        self.pidfile.write_text("2147483647")
        self.check()
        self.pidfile.write_text("not a number")
        self.check()

    def test_running(self) -> None:
        """A process that runs by this pidfile."""
        self.pidfile.write_text(str(os.getpid()))
        error = self.assertRaises(StartFailed, self.check)
        self.assertIn(f"process {os.getpid()} runs already", str(error))

    def test_pidfile_of_a_process_that_ended(self) -> None:
        """A killed daemon that nobody has collected yet does not stop the next start (its pidfile goes)."""
        child = subprocess.Popen([sys.executable, "-c", ""])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still there
        self.addCleanup(child.wait)
        self.pidfile.write_text(str(child.pid))
        self.check()
        self.assertFalse(self.pidfile.exists())

    def test_pidfile_from_before_a_power_cut(self) -> None:
        """A process that began after the pidfile was written, and is no twistd, only has the same number by now."""
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.addCleanup(child.communicate)
        self.pidfile.write_text(str(child.pid))
        self.assertRaises(StartFailed, self.check)
        os.utime(self.pidfile, (0, 0))
        self.check()
        self.assertFalse(self.pidfile.exists())

    def test_an_older_pidfile_of_a_twistd(self) -> None:
        """A living twistd is never taken for another process, whatever the clock did since."""
        command = [sys.executable, "-c", "print(flush=True); input()", "twistd"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(child.communicate, b"\n")
        assert child.stdout is not None
        child.stdout.readline()  # before it runs the kernel has no command line of it
        self.pidfile.write_text(str(child.pid))
        os.utime(self.pidfile, (0, 0))
        self.assertRaises(StartFailed, self.check)
        self.assertTrue(self.pidfile.exists())

    def test_directories(self) -> None:
        """A directory that is not there."""
        self.assertIn("--pidfile", str(self.assertRaises(StartFailed, self.check, pidfile=str(self.directory / "no/x.pid"))))
        self.assertIn("--rundir", str(self.assertRaises(StartFailed, self.check, rundir=str(self.directory / "no"))))
        self.assertIn("is a directory", str(self.assertRaises(StartFailed, self.check, pidfile=str(self.directory))))

    def test_another_user(self) -> None:
        """Only root becomes another user or group; to name oneself is no change."""
        self.patch(os, "geteuid", lambda: 1000)
        self.check(uid=os.getuid(), gid=os.getgid())
        for options in ({"uid": os.getuid() + 1}, {"gid": os.getgid() + 1}):
            self.assertIn("only root", str(self.assertRaises(StartFailed, self.check, **options)))

    def test_one_line(self) -> None:
        """Whatever an error says, it is one line."""
        self.assertEqual(one_line(StartFailed("a\n  b\r\nc")), "ocppd: a b c")
