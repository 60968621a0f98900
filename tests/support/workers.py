"""`twistd -n ocppd --workers N` as processes, over a real PostgreSQL and a real Redis. Chargers and operators in threads."""

from __future__ import annotations

import os
import re
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from support import postgresql
from support.blocking import Charger
from support.daemon import PATIENCE_S, STARTED, TWISTD, command, environment, free_port, write_configuration
from support.programs import SUPPORT, Answer, Program, request

#: What an operator types.
PROGRAM: tuple[str, ...] = (str(TWISTD),)
#: Does what systemd does with sockets, then becomes a program: `count port program argument…`.
ACTIVATE = (sys.executable, str(SUPPORT / "activate.py"))
#: Between two knocks, which would else take what the workers need to start.
PACE_S = 0.005
_READY = re.compile(r"worker (\d+) is ready, process (\d+)")


@dataclass(frozen=True)
class Servers:
    """The URLs of what several nodes share."""

    database: str
    redis: str

    @property
    def options(self) -> tuple[str, ...]:
        """What they are called on a command line."""
        return ("--database", self.database, "--redis", self.redis)


class Workers(Program):
    """A supervisor and its workers, all ready when the constructor returns."""

    def __init__(
        self,
        directory: Path,
        servers: Servers,
        chargers: Sequence[str],
        *options: str,
        count: int = 2,
        twistd: Sequence[str] = (),
        activated: int | None = None,
    ) -> None:
        """`activated`: so many sockets are handed over as systemd does it, and no --port is given."""
        self.directory = directory
        self.port = free_port()
        configure(directory, chargers)
        program, ports = PROGRAM, ("--port", str(self.port))
        if activated is not None:
            program, ports = (*ACTIVATE, str(activated), str(self.port), *PROGRAM), ()
        typed = (*ports, "--workers", str(count), *servers.options, *options)
        arguments = command(foreground=True, twistd=twistd, options=typed, program=program)
        super().__init__(arguments, directory, environment(variables()))
        try:
            self.wait_for(STARTED)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    # Its processes

    def pids(self) -> dict[int, int]:
        """The latest process of each worker, by the number of the worker."""
        return _latest(list(self.lines))

    def wait_for_another(self, number: int, pid: int) -> int:
        """Wait until the worker is ready as another process than `pid`."""

        def found(lines: list[str]) -> int | None:
            latest = _latest(lines).get(number, pid)
            return latest if latest != pid else None

        return self.wait_until(found, f"another worker {number}")

    # Its port

    def http(self, method: str, path: str, body: Any = None) -> Answer:
        """Make a request of whatever worker gets it."""
        return request(self.port, method, path, body)

    def nodes(self) -> dict[str, str]:
        """The node of each connected charger."""
        page = self.http("GET", "/api/v1/chargers?connected=true&limit=500").json
        assert page["next"] is None
        return {charger["name"]: charger["node"] for charger in page["items"]}

    def knocking(self) -> Knocking:
        """Somebody who knocks at the port all the time. A context manager that ends it."""
        return Knocking(self.port)


class Background:
    """A thread that does one thing again and again. A context manager that ends it, and fails where the thread has failed."""

    def __init__(self, step: Callable[[], object]) -> None:
        self._step = step
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.wait(PACE_S):
                self._step()
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        """Stop after the step that is being done."""
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Knocking(Background):
    """Opens a connection to the port, again and again; a refusal or a reset ends it with the error."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self._port = port
        super().__init__(self._knock)

    def _knock(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S):
            self.count += 1


class Asking(Background):
    """Asks the port for its health, each time by a new connection; anything but 200 ends it with an error."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self._port = port
        super().__init__(self._ask)

    def _ask(self) -> None:
        assert request(self._port, "GET", "/healthz").status == 200
        self.count += 1


def _latest(lines: list[str]) -> dict[int, int]:
    found = [match for match in map(_READY.search, lines) if match is not None]
    return {int(match[1]): int(match[2]) for match in found}


@contextmanager
def closes(chargers: Sequence[Charger]) -> Iterator[list[Future[int | None]]]:
    """The codes that the chargers are being closed with, each confirmed as soon as it comes."""
    with ThreadPoolExecutor(len(chargers)) as pool:
        yield [pool.submit(charger.close_code) for charger in chargers]


def variables() -> dict[str, str]:
    """What every node of these servers has in its environment."""
    return {"OCPPD_SECRET_KEY": postgresql.SECRET_KEY}


def configure(directory: Path, chargers: Sequence[str]) -> None:
    """configs.json with these chargers."""
    write_configuration(directory, {"MaxQueueSize": 100, "Chargers": [{"Name": name} for name in chargers]})


def has_ended(pid: int, patience_s: float = PATIENCE_S) -> bool:
    """Whether a process that may be anybody's child ends in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], patience_s)[0])
    finally:
        os.close(descriptor)
