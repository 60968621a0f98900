"""One worker as its supervisor sees it: a process, its output, its end of the channel.

The parts of Twisted that are touched here and are meant for itself: `reapProcess` of a process's transport, because the
first workers are started before the reactor runs, and with it the handler of SIGCHLD.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.clock import DelayedCall
from ocppd.observe.logs import Relay
from ocppd.workers.channel import HURRY, READY, RESTART, Channel, open_channel
from ocppd.workers.launch import CHANNEL, LISTENING, Launch
from ocppd.workers.lines import Lines

log = Logger()

#: How a line on stderr begins that tells why a start has failed (`ocppd.startup.one_line`).
REASON: Final = "ocppd: "
STDIN, STDOUT, STDERR = 0, 1, 2
#: How long the output of a worker that has ended is waited for: a program of its own may hold the pipe.
OUTPUT_GRACE_S: Final = 1.0


class Worker(ProcessProtocol):
    """A process from its start to its end. `became_ready` and `has_ended` are called once at most, the latter always."""

    def __init__(
        self, number: int, reactor: Any, relay: Relay, became_ready: Callable[[Worker], None], has_ended: Callable[[Worker], None]
    ) -> None:
        self.number = number
        self.ready = False
        self.ended = False
        #: Whether it was told to end.
        self.leaving = False
        #: Why its start has failed, as it says itself.
        self.reason: str | None = None
        self.started_s = reactor.seconds()
        self.pid = 0
        self._reactor = reactor
        self._relay = relay
        self._became_ready = became_ready
        self._has_ended = has_ended
        self._output = {STDOUT: Lines(), STDERR: Lines()}
        self._how = ""
        self._to_reload = False
        self._timer: DelayedCall | None = None
        self._channel: Channel | None = None

    # Life

    def start(self, launch: Launch, listening: socket.socket) -> None:
        """Start the process. Raises OSError where the system refuses."""
        ours, theirs = socket.socketpair()
        with theirs, open(os.devnull, "rb") as nothing:
            descriptors: Mapping[int, int | str] = {
                STDIN: nothing.fileno(),
                STDOUT: "r",
                STDERR: "r",
                LISTENING: listening.fileno(),
                CHANNEL: theirs.fileno(),
            }
            try:
                process = self._reactor.spawnProcess(
                    self, launch.arguments[0], launch.arguments, dict(launch.environment), childFDs=descriptors
                )
            except BaseException:
                ours.close()
                raise
        self.pid = process.pid or 0
        self._channel = open_channel(ours.detach(), Channel({READY: self._is_ready}, lambda: None), self._reactor)

    def look(self) -> None:
        """See whether it has ended, where the reactor does not run yet."""
        transport: Any = self.transport
        if transport is not None and transport.pid:
            transport.reapProcess()

    def retire(self) -> None:
        """Make room for the successor, which listens already."""
        if self.ready and self._channel is not None:
            self.leaving = True
            self._channel.say(RESTART)
        else:
            self.terminate()

    def terminate(self) -> None:
        """Stop for good, in order."""
        self.leaving = True
        self._signal(signal.SIGTERM)

    def hurry(self) -> None:
        """End a drain."""
        if self._channel is not None:
            self._channel.say(HURRY)

    def reload(self) -> None:
        """Read the configuration again."""
        if self.ready:
            self._signal(signal.SIGHUP)
        else:  # the signal would end it, and it may have read the old one
            self._to_reload = True

    def end_within(self, seconds: float) -> None:
        """Kill it where it has not ended by then."""
        self._stop_timer()
        if not self.ended:
            self._timer = self._reactor.callLater(seconds, self._overdue, seconds)

    def kill(self) -> None:
        """End it at once."""
        self.leaving = True
        self._signal(signal.SIGKILL)

    def _overdue(self, seconds: float) -> None:
        self._timer = None
        log.error("worker {number} has not ended within {seconds} s and is killed", number=self.number, seconds=f"{seconds:g}")
        self.kill()

    def _signal(self, number: int) -> None:
        transport: Any = self.transport
        try:
            if transport is not None:
                transport.signalProcess(number)
        except ProcessExitedAlready:
            pass  # its end is about to be told

    def _is_ready(self) -> None:
        if not self.ready and not self.ended:
            self.ready = True
            self._became_ready(self)
            if self._to_reload:
                self.reload()

    # What the reactor tells

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Output."""
        self._pass_on(childFD, self._output[childFD].feed(data))

    def processExited(self, reason: Failure) -> None:
        """It has ended; the rest of its output is about to come."""
        self._how = _how(reason)
        self._stop_timer()
        self._timer = self._reactor.callLater(OUTPUT_GRACE_S, self._end)

    def processEnded(self, reason: Failure) -> None:
        """It has ended, and all its output is here."""
        self._end()

    @property
    def how(self) -> str:
        """How it ended: a status or a signal."""
        return self._how

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        self._stop_timer()
        for source, lines in self._output.items():
            self._pass_on(source, lines.end())
        if self._channel is not None:
            self._channel.close()
        self._has_ended(self)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _pass_on(self, source: int, lines: list[str]) -> None:
        for line in lines:
            if source == STDERR and line.startswith(REASON):
                self.reason = line.removeprefix(REASON)  # its log has it, too
            elif source == STDERR:
                self._relay.stray(self.number, line)
            else:
                self._relay.line(self.number, line)


def _how(reason: Failure) -> str:
    error: Any = reason.value
    if getattr(error, "signal", None):
        return f"killed by {signal.Signals(error.signal).name}"
    return f"status {getattr(error, 'exitCode', None) or 0}"
