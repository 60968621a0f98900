"""Starts of several workers that fail, and sockets that systemd hands over."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support import postgresql
from support.blocking import Charger
from support.daemon import PATIENCE_S, STARTED, command, environment, free_port, run
from support.programs import Program, request
from support.redis import RedisServer
from support.workers import ACTIVATE, PROGRAM, Servers, Workers, closes, configure, variables

FORMS = pytest.mark.parametrize("foreground", [True, False], ids=["foreground", "daemon"])
#: Nobody listens there: TCP port 9 is the discard service.
NOWHERE = "postgresql+psycopg://ocppd:hush-hush@127.0.0.1:9/ocppd?connect_timeout=5"
REDIS = "redis://127.0.0.1:9/0"


@pytest.fixture
def servers(pytestconfig: pytest.Config, database: str, broker: RedisServer) -> Servers:
    """What the workers of a test share."""
    return Servers(postgresql.server(pytestconfig).url(database), broker.url())


def failed(directory: Path, *options: str, foreground: bool) -> tuple[str, str]:
    """A start that fails: its line on stderr, and its log."""
    configure(directory, ["W0"])
    done = run(directory, foreground=foreground, options=options, env=variables())
    log = done.stdout + "".join(path.read_text() for path in directory.glob("*.log"))
    assert done.returncode == 1, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("ocppd: ")
    assert "Traceback" not in done.stderr + log
    assert "hush-hush" not in done.stderr + log
    assert list(directory.glob("*.pid")) == []
    return done.stderr, log


@FORMS
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--workers", "2"), "--workers 2 is for several nodes, and an SQLite database is for one"),
        (("--redis", REDIS), "--redis is for several nodes, and an SQLite database is for one"),
        (("--workers", "2", "--database", NOWHERE), "--workers 2 needs --redis"),
        (("--workers", "2", "--database", NOWHERE, "--redis", REDIS, "--port", "tcp:9033"), "plain number for --port"),
        (("--workers", "2", "--database", NOWHERE, "--redis", REDIS, "--node", "n" * 64), "--node: at most 60"),
    ],
    ids=["sqlite", "redis and sqlite", "no redis", "endpoint", "node"],
)
def test_options_that_do_not_go_together(tmp_path: Path, foreground: bool, options: tuple[str, ...], says: str) -> None:
    """Several nodes with options for one: one line."""
    line, _ = failed(tmp_path, *options, foreground=foreground)
    assert says in line


@FORMS
def test_workers_that_cannot_start(tmp_path: Path, foreground: bool) -> None:
    """What keeps the first worker from starting is the one line on stderr, and nothing of the start is left."""
    port = str(free_port())
    line, log = failed(tmp_path, "--port", port, "--workers", "3", "--database", NOWHERE, "--redis", REDIS, foreground=foreground)
    assert "127.0.0.1" in line
    assert f"cannot start: {line.removeprefix('ocppd: ').strip()}" in log
    assert " [1] " in log
    assert " [2] " not in log


@FORMS
def test_handlers_that_fail(tmp_path: Path, servers: Servers, foreground: bool) -> None:
    """A class of handlers that is not there is told as without workers."""
    options = ("--port", str(free_port()), "--workers", "2", *servers.options, "--handlers", "nowhere:Handlers")
    line, _ = failed(tmp_path, *options, foreground=foreground)
    assert "no module named nowhere" in line


def test_a_port_that_is_shared_already(tmp_path: Path, servers: Servers) -> None:
    """A second daemon does not take half of the first one's chargers."""
    with Workers(tmp_path, servers, ["W0"]) as daemon:
        second = tmp_path / "second"
        second.mkdir()
        line, _ = failed(second, "--port", str(daemon.port), "--workers", "2", *servers.options, foreground=True)
        assert f"port {daemon.port} is taken" in line
        assert daemon.stop() == 0


def test_crash_before_it_is_ready(tmp_path: Path, servers: Servers) -> None:
    """A worker that dies without a word before it is ready is told by how it ended."""
    (tmp_path / "deadly.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    options = ("--port", str(free_port()), "--workers", "2", *servers.options, "--handlers", "deadly:Handlers")
    line, _ = failed(tmp_path, *options, foreground=True)
    assert line == "ocppd: the first worker has ended before it was ready: killed by SIGKILL\n"


# Sockets of systemd


def test_activated(tmp_path: Path) -> None:
    """A daemon that systemd has given a socket, and nobody a port, serves on it; its own programs see nothing of it."""
    (tmp_path / "curious.py").write_text(
        "import os\n"
        "from ocppd.central.handlers import CentralSystemHandlers\n"
        "class Handlers(CentralSystemHandlers):\n"
        "    def BootNotificationRequestHandler(self, charger, request, answer):\n"
        "        print('sees', [name for name in os.environ if name.startswith('LISTEN_')])\n"
        "        return answer\n"
    )
    configure(tmp_path, ["W0"])
    port = free_port()
    program = (*ACTIVATE, "1", str(port), *PROGRAM)
    arguments = command(foreground=True, options=("--handlers", "curious:Handlers"), program=program)
    with Program(arguments, tmp_path, environment()) as daemon:
        daemon.wait_for(STARTED)
        with Charger(port, "W0") as charger:
            charger.boot()
        daemon.wait_for("sees []")
        assert daemon.stop() == 0
        assert daemon.errors == []


def test_activated_by_an_endpoint(tmp_path: Path) -> None:
    """Twisted's own `systemd:` endpoint is there, too."""
    configure(tmp_path, ["W0"])
    port = free_port()
    program = (*ACTIVATE, "1", str(port), *PROGRAM)
    arguments = command(foreground=True, options=("--port", "systemd:domain=INET:index=0"), program=program)
    with Program(arguments, tmp_path, environment()) as daemon:
        daemon.wait_for(STARTED)
        assert request(port, "GET", "/readyz").status == 200
        assert daemon.stop() == 0


def test_activated_with_a_port(tmp_path: Path) -> None:
    """A port that is named explicitly is the one."""
    configure(tmp_path, ["W0"])
    port = free_port()
    program = (*ACTIVATE, "1", str(free_port()), *PROGRAM)
    arguments = command(foreground=True, options=("--port", str(port)), program=program)
    with Program(arguments, tmp_path, environment()) as daemon:
        daemon.wait_for(STARTED)
        assert request(port, "GET", "/readyz").status == 200
        assert daemon.stop() == 0


def test_activated_daemon(tmp_path: Path) -> None:
    """A socket survives that twistd becomes a daemon."""
    configure(tmp_path, ["W0"])
    port = free_port()
    program = (*ACTIVATE, "1", str(port), *PROGRAM)
    done = subprocess.run(
        command(foreground=False, program=program), cwd=tmp_path, env=environment(), timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0
    pid = int((tmp_path / "twistd.pid").read_text())
    try:
        assert request(port, "GET", "/readyz").status == 200
    finally:
        with Program([sys.executable, "-c", f"import os; os.kill({pid}, {signal.SIGTERM})"], tmp_path) as killer:
            killer.wait()


def test_activated_workers(tmp_path: Path, servers: Servers) -> None:
    """With as many sockets as workers each worker serves on one of them."""
    with Workers(tmp_path, servers, [f"W{number}" for number in range(20)], activated=2) as daemon:
        chargers = [Charger(daemon.port, f"W{number}") for number in range(20)]
        assert {node.rpartition("/")[2] for node in daemon.nodes().values()} == {"1", "2"}
        with closes(chargers) as codes:
            daemon.send_signal(signal.SIGUSR2)
            daemon.wait_for("all workers have been restarted")
            assert {code.result() for code in codes} == {1012}
        assert daemon.stop() == 0


@pytest.mark.parametrize(("sockets", "workers"), [(1, 2), (3, 2), (2, 1)])
def test_another_number_of_sockets(tmp_path: Path, sockets: int, workers: int) -> None:
    """Sockets and workers that do not come out even are refused, with one line that says how they would."""
    configure(tmp_path, ["W0"])
    program = (*ACTIVATE, str(sockets), str(free_port()), *PROGRAM)
    nodes = ("--workers", str(workers), "--database", NOWHERE, "--redis", REDIS)
    arguments = command(foreground=True, options=nodes, program=program)
    done = subprocess.run(
        arguments, cwd=tmp_path, env=environment(variables()), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "ReusePort=yes" in done.stderr


# One daemon by itself


def test_one_daemon_and_sigusr2(tmp_path: Path) -> None:
    """Without --workers SIGUSR2 changes nothing, and the log says so."""
    configure(tmp_path, ["W0"])
    arguments = command(foreground=True, options=("--port", str(free_port()), "--log-format", "json"))
    with Program(arguments, tmp_path, environment()) as daemon:
        daemon.wait_for(STARTED)
        daemon.send_signal(signal.SIGUSR2)
        assert json.loads(daemon.wait_for("SIGUSR2"))["level"] == "info"
        assert daemon.stop() == 0


def test_one_daemon_that_drains(tmp_path: Path) -> None:
    """SIGTERM drains, a second one ends that at once, and the status is 0."""
    configure(tmp_path, ["W0", "W1", "W2"])
    port = free_port()
    arguments = command(foreground=True, options=("--port", str(port), "--drain", "3600"))
    with Program(arguments, tmp_path, environment()) as daemon:
        daemon.wait_for(STARTED)
        chargers = [Charger(port, f"W{number}") for number in range(3)]
        daemon.send_signal(signal.SIGTERM)
        assert chargers[0].close_code() == 1012
        assert request(port, "GET", "/readyz").status == 503
        daemon.send_signal(signal.SIGTERM)
        assert {charger.close_code() for charger in chargers[1:]} == {1012}
        assert daemon.wait() == 0
