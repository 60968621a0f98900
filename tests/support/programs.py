"""Processes that tests drive: their output is read as it comes, and a test waits for a line of it. HTTP without a library."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self, TypeVar

import pytest

from support.daemon import PATIENCE_S, ROOT, STARTED, TWISTD, command, environment, free_port, write_configuration

SIMULATOR = (sys.executable, "-m", "ocppd.simulator")
#: Scripts in this directory that run as processes of their own, for what must not meet the reactor.
SUPPORT = ROOT / "tests" / "support"
#: The levels of a line of the log that tell of trouble.
WORSE = frozenset({"warn", "error", "critical"})
#: Between two looks.
LOOK_S = 0.02
_T = TypeVar("_T")


class Program:
    """A process in a directory. Both its outputs are read by threads, so that it never waits for its reader.

    `env` is its whole environment, by default one in which ocppd is that of this checkout. `user` needs root.
    """

    def __init__(
        self, arguments: Sequence[str], directory: Path, env: Mapping[str, str] | None = None, user: int | None = None
    ) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._news = threading.Condition()
        self._open = 2
        self.process = subprocess.Popen(
            arguments,
            cwd=directory,
            env=environment() if env is None else dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            bufsize=1,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str] | None, lines: list[str]) -> None:
        assert stream is not None
        for line in stream:
            with self._news:
                lines.append(line)
                self._news.notify_all()
        with self._news:
            self._open -= 1
            self._news.notify_all()

    def wait_for(self, text: str, *, start: int = 0, patience_s: float = PATIENCE_S) -> str:
        """The first line of stdout from `start` on that has `text`. AssertionError where it never comes."""
        return self.wait_until(lambda lines: next((line for line in lines[start:] if text in line), None), text, patience_s)

    def wait_until(self, found: Callable[[list[str]], _T | None], what: str, patience_s: float = PATIENCE_S) -> _T:
        """What `found` makes of the lines of stdout, once it is not None."""
        deadline = time.monotonic() + patience_s
        with self._news:
            while (result := found(self.lines)) is None:
                if not self._open or not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no {what!r} came; the end of it:\n{self.tail()}")
            return result

    def tail(self) -> str:
        """The last of its output, for a failing test."""
        return "".join([*self.lines[-30:], *self.errors[-30:]])

    def tell(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Its exit status, when it has ended and all its output is read."""
        status = self.process.wait(patience_s)
        for reader in self._readers:
            reader.join(patience_s)
        return status

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal; its exit status."""
        self.send_signal(number)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


class Daemon(Program):
    """`twistd -n ocppd` on a free port, listening when the constructor returns.

    `port` is what `--port` gets, with {} for the number; a plain number would listen to other machines as well. `number`
    is one that nobody has; by default one is looked for.
    """

    def __init__(
        self,
        directory: Path,
        configuration: Any = None,
        *,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = (str(TWISTD),),
        port: str = "tcp:{}:interface=127.0.0.1",
        number: int | None = None,
    ) -> None:
        if configuration is not None:
            write_configuration(directory, configuration)
        self.directory = directory
        self.port = free_port() if number is None else number
        typed = command(foreground=True, options=("--port", port.format(self.port), *options), program=program)
        super().__init__(typed, directory, env)
        try:
            self.wait_for(STARTED)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    @property
    def url(self) -> str:
        """Where chargers connect, without their name."""
        return f"ws://127.0.0.1:{self.port}/ocppj/1.6"

    def http(self, method: str, path: str, body: Any = None, *, patience_s: float = PATIENCE_S) -> Answer:
        """Make a request; `body` is bytes, or what JSON is made of."""
        return request(self.port, method, path, body, patience_s=patience_s)

    def complaints(self) -> list[str]:
        """The lines of its log that are warnings or worse, and all of stderr."""
        return [line for line in self.lines if set(line.split()[1:2]) & WORSE or "Traceback" in line] + self.errors


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def type(self) -> str:
        """Its media type."""
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def json(self) -> Any:
        """Its body read as JSON."""
        return json.loads(self.body)


def request(port: int, method: str, path: str, body: Any = None, *, patience_s: float = PATIENCE_S) -> Answer:
    """Make an HTTP request of 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience_s)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, {} if body is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def eventually(look: Callable[[], _T | None], what: str, patience_s: float = PATIENCE_S) -> _T:
    """Look, by a request or a read, until there is something; not so often that the looking is in its way."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        threading.Event().wait(LOOK_S)
    raise AssertionError(f"{what} did not come within {patience_s} s")


def bare_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without what would lead a program to this checkout or to the environment of the tests."""
    foreign = ("OCPPD_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | dict(extra or {})


def missing(reason: str) -> NoReturn:
    """Skip for want of something of this machine; in CI, where everything is there, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"in CI this must not be missing: {reason}")
    pytest.skip(reason)


def needed(name: str) -> str:
    """The path of a command that a test cannot do without."""
    return shutil.which(name) or missing(f"there is no {name} here")


def simulator(directory: Path, url: str, *options: str) -> Program:
    """`python -m ocppd.simulator`."""
    return Program([*SIMULATOR, url, *options], directory)
