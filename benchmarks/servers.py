"""The contenders: how each is started, pinned on a core of its own."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from measure import cores

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import postgresql as test_postgresql  # noqa: E402
from support.daemon import STARTED, TWISTD, environment, free_port  # noqa: E402

PEERS = Path(__file__).with_name("peers")
LISTENING = "listening"
#: A daemon that finds a large database, on a machine that is busy.
PATIENCE_S = 120.0
DATABASE_FILE = "ocppd.sqlite"


class BenchmarkError(Exception):
    """What makes a figure impossible."""


@dataclass(frozen=True)
class Contender:
    """Somebody who is measured. `command` gives what is typed for a port in a directory; None where it cannot run here."""

    name: str
    command: Callable[[int, Path], Sequence[str]] | None
    echo: bool = False
    ocppd: bool = False
    ready: str = LISTENING
    missing: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    #: What it needs besides, while it runs.
    beside: Callable[[], AbstractContextManager[None]] = nullcontext


class Server:
    """A contender that runs. A context manager that ends it."""

    def __init__(self, contender: Contender, directory: Path, chargers: int) -> None:
        if contender.command is None:
            raise BenchmarkError(f"{contender.name}: {contender.missing}")
        directory.mkdir(parents=True, exist_ok=True)
        if contender.ocppd:
            names = [{"Name": f"B-{index}"} for index in range(chargers)]
            (directory / "configs.json").write_text(json.dumps({"Chargers": names}), encoding="utf-8")
        self.contender = contender
        self._beside = contender.beside()
        self._beside.__enter__()
        self.port = free_port()
        self._log = directory / "log"
        core = cores()[0]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                contender.command(self.port, directory),
                cwd=directory,
                env=environment(contender.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, core),  # noqa: PLW1509
            )
        try:
            self._wait(contender.ready)
        except BaseException:
            self.close()
            raise

    def _wait(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.log():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"{self.contender.name} did not start:\n{self.log()[-2000:]}")
            time.sleep(0.05)

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def url(self) -> str:
        """Where chargers connect, without their name."""
        return f"ws://127.0.0.1:{self.port}/ocppj/1.6"

    @property
    def http(self) -> str:
        """Where operators do."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._beside.__exit__(None, None, None)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ocppd(name: str, *options: str, twistd: Path = TWISTD) -> Contender:
    """A daemon of this checkout with these options."""

    def command(port: int, directory: Path) -> Sequence[str]:
        return [sys.executable, str(twistd), "-n", "ocppd", "--port", f"tcp:{port}:interface=127.0.0.1:backlog=1000", *options]

    return Contender(name, command, ocppd=True, ready=STARTED)


def peer(name: str, script: str, *, echo: bool = False) -> Contender:
    """A Python program in peers/."""
    return Contender(name, lambda port, directory: [sys.executable, str(PEERS / script), str(port)], echo=echo)


@cache
def ocpp_rpc(directory: Path) -> Contender:
    """The peer on Node, installed into the directory; one that cannot run where that fails."""
    name = "ocpp-rpc, strict"
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return Contender(name, None, missing="not measured: there is no Node here")
    shutil.copytree(PEERS / "ocpp_rpc", directory)
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(install, cwd=directory, capture_output=True, timeout=180, check=True)
    except (OSError, subprocess.SubprocessError):
        return Contender(name, None, missing="not measured: it could not be installed")
    return Contender(name, lambda port, _: [node, str(directory / "server.mjs"), str(port)])


@contextmanager
def beside_the_server() -> Iterator[None]:
    """What is started meanwhile runs where the load generator does."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores()[1] or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@cache
def postgresql() -> Contender:
    """A daemon on a PostgreSQL server of its own, with a fresh database each time; one that cannot run where there is none."""
    name = "ocppd, PostgreSQL"
    programs = test_postgresql.programs()
    if programs is None:
        return Contender(name, None, missing="not measured: there is no PostgreSQL here")
    with beside_the_server():
        server = test_postgresql.Server(programs)
    atexit.register(server.close)
    server.pause()
    daemon = ocppd(name)

    @contextmanager
    def running() -> Iterator[None]:
        """It does nothing while others have their turn: not even what a server does by itself."""
        server.resume()
        try:
            yield
        finally:
            server.pause()

    def command(port: int, directory: Path) -> Sequence[str]:
        assert daemon.command is not None
        return [*daemon.command(port, directory), "--database", server.url(server.create(migrated=False))]

    return replace(daemon, command=command, env={"OCPPD_SECRET_KEY": test_postgresql.SECRET_KEY}, beside=running)


PICOWS = peer("picows echo", "picows_echo.py", echo=True)
AUTOBAHN = peer("Autobahn echo", "autobahn_echo.py", echo=True)
MOBILITYHOUSE = peer("mobilityhouse ocpp", "mobilityhouse.py")
#: Each answer after its commit, and SQLite's synchronous=FULL: how ocppd comes.
DURABLE = ocppd("ocppd, SQLite FULL")
#: Nothing reaches a disk. A level of durability more is a line more.
MEMORY = ocppd("ocppd, SQLite in memory", "--database", "sqlite://")
#: What all but the records takes: statuses and meter values are not recorded.
UNRECORDED = ocppd("ocppd, no storage", "--database", "sqlite://", twistd=Path(__file__).with_name("unrecorded.py"))
VARIANTS = (UNRECORDED, MEMORY, DURABLE)
