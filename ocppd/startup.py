"""How ocppd starts under twistd, and how a start that fails ends: one line on stderr, exit status 1, no pidfile.

Knows twistd's runner, and of ocppd nothing but the errors. The same holds with `-n` and as a daemon, whose standard
streams are /dev/null long before a port or a database can fail:

- `Terminal` keeps a duplicate of stderr over twistd's fork, until the start has succeeded;
- `Daemon` writes a StartFailed there and to the log, then raises it, so that twistd removes its pidfile;
- twistd's parent process, which waits for its child, is kept from adding its own text to ours, and waits until the
  child has gone, so that nothing of it is left when the command returns. It does not wait for a child that has died.

Any other exception is a bug and keeps what twistd does with it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, cast

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from zope.interface import implementer

from ocppd.errors import StartFailed

#: How a StartFailed begins on the pipe from twistd's child to its parent (twisted.scripts._twistd_unix).
START_FAILED_MARK = f"1 {StartFailed.__module__}.{StartFailed.__qualname__}".encode()
#: twistd's limit for a message on that pipe.
STATUS_BYTES = 100
#: The kernel's own idea of when it booted moves a little.
CLOCK_STEP_S = 2
#: A child that has reported its failure has a pidfile to remove and an interpreter to end.
LAST_STEPS_S = 10
#: A child that has ended without a report.
GONE = "the daemon has ended before it had started; its log may say why"


def one_line(error: Exception | str) -> str:
    """What an operator reads on stderr."""
    return "ocppd: " + " ".join(str(error).split())


def check_twistd(options: Mapping[str, Any]) -> None:
    """Find what twistd itself would fail at with many lines, or with none on stderr. Raises StartFailed."""
    rundir = options.get("rundir") or "."
    if not os.path.isdir(rundir):
        raise StartFailed(f"--rundir {rundir}: there is no such directory")
    another = options.get("uid") not in (None, os.getuid()) or options.get("gid") not in (None, os.getgid())
    if another and os.geteuid() != 0:
        raise StartFailed("--uid and --gid: only root can run a daemon as another user or group")
    pidfile = options.get("pidfile")
    if not pidfile:
        return
    if os.path.isdir(pidfile):
        raise StartFailed(f"the pidfile {pidfile} is a directory; choose another one with --pidfile")
    try:
        with open(pidfile, encoding="ascii", errors="replace") as opened:
            pid = int(opened.read())
        os.kill(pid, 0)
    except (OSError, ValueError, OverflowError):
        # Stale, unreadable or no pidfile: twistd removes the first and names the second in one line.
        if not os.access(os.path.dirname(os.path.abspath(pidfile)), os.W_OK):
            raise StartFailed(f"the pidfile {pidfile} cannot be written; choose another one with --pidfile") from None
    else:
        if not is_another(pid, os.stat(pidfile).st_mtime):
            raise StartFailed(f"process {pid} runs already by {pidfile}; stop it, or choose another file with --pidfile")
        # Left by a crash or a power cut. twistd would refuse to start, because there is a process of that number.
        try:
            os.unlink(pidfile)
        except OSError as error:
            raise StartFailed(f"the pidfile {pidfile} of an earlier run cannot be removed: {error.strerror}") from error


def is_another(pid: int, written: float) -> bool:
    """Whether a process is surely not the one whose number was written to a pidfile at `written` (seconds since 1970).

    It has ended and waits to be collected; or it began after that, and is no twistd. Where the system does not tell, False.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as opened:
            fields = opened.read().rpartition(b")")[2].split()
        with open(f"/proc/{pid}/cmdline", "rb") as opened:
            command = opened.read()
        with open("/proc/stat", "rb") as opened:
            booted = next(int(line.split()[1]) for line in opened if line.startswith(b"btime "))
        began = booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return False
    return fields[0] in (b"Z", b"X") or (began > written + CLOCK_STEP_S and b"twist" not in command)


class Terminal:
    """Where the command was typed, as long as the start may fail. All processes of a fork share it.

    `stderr` is a duplicate of the standard error. The lifeline is a pipe that nothing is written to: its reading end
    sees an end of file when all other processes have closed the writing end or ended.
    """

    def __init__(self, stderr: int) -> None:
        self._stderr = stderr
        self._lifeline, self._alive = os.pipe()
        self._held = {stderr, self._lifeline, self._alive}

    @classmethod
    def duplicate(cls) -> Terminal | None:
        """The terminal of this process; None where standard error is closed."""
        # Descriptor 2 may then be any file that was opened since: Python knows what it was at first.
        return None if sys.__stderr__ is None else cls(os.dup(sys.__stderr__.fileno()))

    def write(self, line: str) -> None:
        """Write one line, unless the terminal has gone meanwhile."""
        with contextlib.suppress(OSError):
            os.write(self._stderr, (line + "\n").encode("utf-8", "backslashreplace"))

    def wait_for(self, pipe: int) -> bool:
        """Wait until something can be read from `pipe`; False where no other process holds the terminal any more."""
        self._close(self._alive)
        return pipe in select.select([pipe, self._lifeline], [], [])[0]

    def wait_for_others(self) -> None:
        """Wait until no other process holds the terminal, at most `LAST_STEPS_S` seconds, and let it go."""
        if self._alive in self._held:
            self._close(self._alive)
        select.select([self._lifeline], [], [], LAST_STEPS_S)
        self.close()

    def close(self) -> None:
        """Let the terminal go."""
        for descriptor in tuple(self._held):
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        self._held.remove(descriptor)
        os.close(descriptor)


@implementer(IService)
class Daemon(Service):
    """ocppd as twistd sees it.

    `make` composes the service, which has the methods `hurry` and `reload` besides; `observe` opens the log; both may raise
    StartFailed. `reactor` is an IReactorCore and an IReactorFromThreads, `what` is what the log calls this process.
    """

    _log = Logger()

    def __init__(
        self, make: Callable[[], IService], observe: Callable[[], ILogObserver], reactor: Any, what: str = "ocppd"
    ) -> None:
        self._what = what
        self._observe = observe
        self._reactor = reactor
        self._terminal: Terminal | None = None
        # Any, because mypy does not know that methods of a zope interface have no `self`.
        self._service: Any = None
        self._error: StartFailed | None = None
        self._told_to_stop = False
        self._privileged = False
        self._take_reloads()
        try:
            self._service = make()
        except StartFailed as error:
            # Raised again at the start: by then there is a log, and twistd cleans up behind it.
            self._error = error

    def setServiceParent(self, parent: Any) -> None:
        """Join twistd's application: give it the log's observer and prepare for a failing start."""
        if isinstance(parent, Componentized):
            try:
                parent.setComponent(ILogObserver, self._observe())
            except StartFailed as error:
                raise SystemExit(one_line(error)) from None
            self._terminal = Terminal.duplicate()
            if self._terminal is not None:
                _silence_parent(self._terminal)
        Service.setServiceParent(self, parent)

    def privilegedStartService(self) -> None:
        """Raises StartFailed, reported."""
        self._privileged = True
        self._step(lambda: self._composed().privilegedStartService())
        Service.privilegedStartService(self)

    def startService(self) -> None:
        """Raises StartFailed, reported. `twist`, and whoever else starts services, has no step before this one."""
        if not self._privileged:
            self.privilegedStartService()
        self._step(lambda: self._composed().startService())
        Service.startService(self)
        if self._terminal is not None:
            # Not before twistd's parent has been told: a terminal that was let go without a word is a child that has died.
            self._reactor.callWhenRunning(self._terminal.close)
        self._log.info("{what} has started", what=self._what)
        self._reactor.callWhenRunning(self._take_signals)

    def stopService(self) -> Deferred[None] | None:
        """Stop what was composed; fires when all of it has stopped."""
        Service.stopService(self)
        return cast("Deferred[None] | None", self._composed().stopService())

    def _composed(self) -> Any:
        if self._service is None:
            raise self._error or StartFailed("there is nothing to start")
        return self._service

    def _step(self, step: Callable[[], object]) -> None:
        try:
            step()
        except StartFailed as error:
            self._report(error)
            # Without a subclass and without its context, so that `START_FAILED_MARK` fits.
            raise StartFailed(str(error)) from None

    def _report(self, error: StartFailed) -> None:
        self._log.critical("cannot start: {reason}", reason=str(error))
        if self._terminal is not None:
            self._terminal.write(one_line(error))
            sys.excepthook = _quiet_for_start_failed(sys.excepthook)

    def _take_reloads(self) -> None:
        """SIGHUP would end a process that is not ready for it: it is made up for when the reactor runs.

        What is composed takes the signal itself from then on.
        """
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(lambda: self._composed().reload()))

    def _take_signals(self) -> None:
        """End with status 0 on SIGTERM and SIGINT; twistd would end by the signal, which supervisors read as a failure."""
        for number in (signal.SIGTERM, signal.SIGINT):
            if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _frame: self._reactor.callFromThread(self._signalled, number))

    def _signalled(self, number: int) -> None:
        """Stop at the first signal; at a further one, end what the stop takes its time for."""
        name = signal.Signals(number).name
        if self.running and not self._told_to_stop:
            self._told_to_stop = True
            self._log.info("{signal}: shutting down", signal=name)
            with contextlib.suppress(ReactorNotRunning):
                self._reactor.stop()
        else:
            self._log.info("{signal}: shutting down at once", signal=name)
            self._composed().hurry()


ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def _quiet_for_start_failed(hook: ExceptHook) -> ExceptHook:
    """`hook` for all but the failure that was reported already; the interpreter's exit status stays 1."""

    def quiet(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, StartFailed):
            hook(kind, error, traceback)

    return quiet


def _silence_parent(terminal: Terminal) -> None:
    """Keep twistd's waiting parent process silent about a StartFailed, whose line is on the terminal already.

    It holds the writing end of its child's pipe itself, and would wait for ever for one that ends without a word: killed, or by
    `sys.exit`. The one private part of Twisted in this module is `UnixApplicationRunner._waitForStart`. Where it is missing, a
    daemon that fails to start prints twistd's own text below our line.
    """
    try:
        from twisted.scripts._twistd_unix import UnixApplicationRunner
    except ImportError:
        return
    runner: Any = UnixApplicationRunner
    wait = getattr(runner, "_waitForStart", None)
    if not callable(wait):
        return

    def wait_silently(self: Any, read_pipe: int) -> Any:
        if not terminal.wait_for(read_pipe):
            terminal.write(one_line(GONE))
            terminal.close()
            return 1
        status = os.read(read_pipe, STATUS_BYTES)
        if not status.startswith(START_FAILED_MARK):
            return wait(self, _pipe_with(status))
        terminal.wait_for_others()
        return 1

    runner._waitForStart = wait_silently


def _pipe_with(data: bytes) -> int:
    """The reading end of a pipe that holds `data`."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading
