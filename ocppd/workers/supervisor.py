"""The process that watches over workers. It holds no charger and opens no database.

It binds a listening socket for each worker and keeps them for its whole life, so that no restart of a worker resets a
connection. Start: the first worker alone, which may migrate the records, and whose failure is the daemon's; then the
others. It is started before the reactor runs, and turns it by hand until the workers are ready: so a start that fails
ends as that of any other daemon, in both forms of twistd.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from ocppd.config import Settings, load_configuration
from ocppd.errors import StartFailed
from ocppd.net.listening import adopted, bind_shared
from ocppd.observe.logs import Relay
from ocppd.workers.given import Given, Place
from ocppd.workers.launch import CHANNEL, TWISTD, launch, node_name, port_of
from ocppd.workers.slot import READY_LIMIT_S, Slot
from ocppd.workers.worker import Worker

log = Logger()

#: What a worker needs for its end, apart from the drain: chargers confirm their close, requests are answered, the last
#: batch is committed. TimeoutStopSec of deploy/*.service has to be longer.
END_GRACE_S: Final = 20.0
#: A turn of the reactor while the workers start.
TURN_S: Final = 0.05


class Supervisor(Service):
    """`twistd ocppd --workers N`."""

    name = "ocppd"

    def __init__(self, settings: Settings, reactor: Any, directory: Path, given: Given, program: Sequence[str] = TWISTD) -> None:
        self._settings = settings
        self._reactor = reactor
        self._given = given
        self._directory = directory
        self._program = program
        self._relay = Relay(settings.log_format)
        self._node = ""
        self._sockets: list[socket.socket] = []
        self._slots: list[Slot] = []
        self._rolling = False
        self._roll_again = False
        self._stopping = False
        load_configuration(settings.config)  # to fail before anything is started

    # Start

    def privilegedStartService(self) -> None:
        """Bind the sockets, which may need privileges that are dropped afterwards. Raises StartFailed."""
        if self._given.listening:
            self._sockets = [adopted(descriptor) for descriptor in self._given.listening]
        else:
            self._sockets = bind_shared(int(self._settings.port), self._settings.workers)

    def startService(self) -> None:
        """Start the workers; returns when all are ready, or the first one is and others have failed. Raises StartFailed."""
        self._node = node_name(self._settings, self._sockets[0])
        limit_s = self._settings.drain_s + END_GRACE_S
        self._slots = [
            Slot(number, self._reactor, partial(self._spawn, number), limit_s) for number in range(1, self._settings.workers + 1)
        ]
        self._take_signals()
        try:
            self._start_first(self._slots[0])
        except BaseException:
            self._undo()
            raise
        self._start_others(self._slots[1:])
        Service.startService(self)
        log.info(
            "listening on port {port} with {count} workers; this is node {node}",
            port=port_of(self._sockets[0]), count=len(self._slots), node=self._node,
        )  # fmt: skip

    def _start_first(self, first: Slot) -> None:
        first.try_to_start()
        self._turn_until(lambda: first.decided)
        if first.failed is not None:
            raise StartFailed(first.failed.reason or f"the first worker has ended before it was ready: {first.failed.how}")
        if not first.ready:
            raise StartFailed(f"no worker can be started: {first.refusal}")

    def _start_others(self, others: list[Slot]) -> None:
        for slot in others:
            slot.start()
        deadline_s = self._reactor.seconds() + READY_LIMIT_S
        self._turn_until(lambda: all(slot.decided for slot in others) or self._reactor.seconds() > deadline_s)

    def _turn_until(self, decided: Callable[[], bool]) -> None:
        """Run the reactor by hand. It takes no SIGCHLD yet, so the workers are looked at."""
        while not decided():
            self._reactor.iterate(TURN_S)
            for worker in self._workers():
                worker.look()

    def _spawn(self, number: int, became_ready: Callable[[Worker], None], has_ended: Callable[[Worker], None]) -> Worker:
        worker = Worker(number, self._reactor, self._relay, became_ready, has_ended)
        place = Place(number, CHANNEL, self._directory)
        worker.start(launch(self._settings, self._node, place, os.environ, self._program), self._sockets[number - 1])
        return worker

    def _undo(self) -> None:
        for worker in self._workers():
            worker.kill()
        for slot in self._slots:
            slot.stop()
        self._turn_until(lambda: not self._workers())
        self._close_sockets()

    def _workers(self) -> list[Worker]:
        return [worker for slot in self._slots for worker in slot.workers]

    def _take_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, function in ((signal.SIGHUP, self.reload), (signal.SIGUSR2, self.roll)):
                signal.signal(number, lambda *_, function=function: self._reactor.callFromThread(function))

    # Run

    def reload(self) -> None:
        """Every worker reads its configuration again (SIGHUP)."""
        for worker in self._workers():
            worker.reload()

    def roll(self) -> None:
        """Replace the workers one after another (SIGUSR2); asked for once more meanwhile, it begins again afterwards."""
        if not self.running:
            return
        if self._rolling:
            self._roll_again = True
            log.info("the workers are being restarted already; they will be once more")
            return
        self._rolling = True
        Deferred.fromCoroutine(self._roll()).addErrback(_log_failure)

    async def _roll(self) -> None:
        try:
            while True:
                self._roll_again = False
                await self._replace_all()
                if not self._roll_again or self._stopping:
                    return
        finally:
            self._rolling = False

    async def _replace_all(self) -> None:
        log.info("restarting the workers one after another")
        for slot in self._slots:
            if not await slot.replace():
                if not self._stopping:
                    log.error(
                        "worker {number} has no successor that works: the workers from there on stay as they are",
                        number=slot.number,
                    )
                return
            if self._stopping:
                return
        log.info("all workers have been restarted")

    # Stop

    def stopService(self) -> Deferred[None]:
        """Stop all workers together; fires when they have ended."""
        Service.stopService(self)
        self._stopping = True
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await gatherResults([slot.stop() for slot in self._slots])
        self._close_sockets()
        log.info("stopped")

    def hurry(self) -> None:
        """End the drain of all workers at once."""
        for slot in self._slots:
            slot.hurry(END_GRACE_S)

    def _close_sockets(self) -> None:
        sockets, self._sockets = self._sockets, []
        for listening in sockets:
            listening.close()


def _log_failure(failure: Any) -> None:
    log.failure("the workers could not be restarted", failure)
