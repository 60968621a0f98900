"""Starts, stops and failed starts of `twistd ocppd`, in the foreground (`-n`) and as a daemon."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.daemon import PATIENCE_S, TWISTD, Foreground, environment, free_port, run, wait_for_end, write_configuration

FORMS = pytest.mark.parametrize("foreground", [True, False], ids=["foreground", "daemon"])
#: Stands in options for a port that is taken, and for one that is free.
TAKEN_PORT, FREE_PORT = "<taken>", "<free>"


def nothing(directory: Path) -> None:
    """Leave the directory as it is: with a good configs.json."""


def without_configuration(directory: Path) -> None:
    (directory / "configs.json").unlink()


def configuration(text: str) -> Callable[[Path], None]:
    return lambda directory: (directory / "configs.json").write_text(text, encoding="utf-8") and None


def no_database(directory: Path) -> None:
    (directory / "ocppd.sqlite").write_bytes(b"This file is no SQLite database. " * 100)


def running_pidfile(directory: Path) -> None:
    (directory / "held.pid").write_text(str(os.getpid()), encoding="ascii")


@dataclass(frozen=True)
class FailingStart:
    """A start that cannot succeed, and what its line on stderr has to say."""

    name: str
    says: str
    options: Sequence[str] = ("--port", FREE_PORT)
    twistd: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] = nothing


FAILING_STARTS = (
    FailingStart("misspelt option", "did you mean --port?", ("--prot", "9033")),
    FailingStart("argument", "unexpected argument 'start'", ("start",)),
    FailingStart("port out of range", "--port: expected a port", ("--port", "65536")),
    FailingStart("endpoint", "nonsense", ("--port", "nonsense:9033")),
    FailingStart("variable", "OCPPD_LOG_LEVEL: expected one of debug, info", env={"OCPPD_LOG_LEVEL": "loud"}),
    FailingStart("open to whom", "OCPPD_OPEN_API: expected gateway", env={"OCPPD_OPEN_API": "all"}),
    FailingStart("no configuration", "there is no such file", prepare=without_configuration),
    FailingStart("not JSON", "is not JSON: line 2, column 1", prepare=configuration('{"Chargers": [\n')),
    FailingStart(
        "misspelt key",
        "Chargers[0].HeartbeatIntervall: there is no such key; did you mean HeartBeatInterval?",
        prepare=configuration('{"Chargers": [{"Name": "A", "HeartbeatIntervall": 10}]}'),
    ),
    FailingStart("port taken", TAKEN_PORT, ("--port", TAKEN_PORT)),
    FailingStart("database directory", "no-such-dir", ("--port", FREE_PORT, "--database", "sqlite:///no-such-dir/x.sqlite")),
    FailingStart("database file", "ocppd.sqlite", prepare=no_database),
    FailingStart("database scheme", "cobol", ("--port", FREE_PORT, "--database", "cobol://tape/1")),
    FailingStart("handlers module", "no_such_module", ("--port", FREE_PORT, "--handlers", "no_such_module.Handlers")),
    FailingStart("handlers class", "Ordered", ("--port", FREE_PORT, "--handlers", "collections.Ordered")),
    FailingStart("log file", "no/log", twistd=("--logfile", "no/log")),
    FailingStart("pidfile directory", "no/pid", twistd=("--pidfile", "no/pid")),
    FailingStart("run directory", "--rundir no", twistd=("--rundir", "no")),
    FailingStart("second start", f"{os.getpid()} runs already", twistd=("--pidfile", "held.pid"), prepare=running_pidfile),
)


@contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        yield listener.getsockname()[1]


def left_behind(directory: Path) -> str:
    """All that a failed start has written into logs."""
    return "".join(path.read_text(errors="replace") for path in directory.glob("*.log"))


def is_healthy(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
        return bool(answer.status == 200)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty directory with a good configs.json."""
    write_configuration(tmp_path)
    return tmp_path


@FORMS
@pytest.mark.parametrize("case", FAILING_STARTS, ids=lambda case: case.name)
def test_failed_start(case: FailingStart, foreground: bool, directory: Path) -> None:
    """A start that fails ends with a non-zero status, one line on stderr, no traceback anywhere and no pidfile."""
    case.prepare(directory)
    before = set(directory.glob("*.pid"))
    with taken_port() as taken:
        ports = {TAKEN_PORT: str(taken), FREE_PORT: str(free_port())}
        options = [ports.get(option, option) for option in case.options]
        ended = run(directory, foreground=foreground, twistd=case.twistd, options=options, env=case.env)
    assert ended.returncode not in (0, None)
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("ocppd: ")
    assert ports.get(case.says, case.says) in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout + left_behind(directory)
    assert set(directory.glob("*.pid")) == before


def test_daemon_that_dies_at_its_start(directory: Path) -> None:
    """A daemon that ends before it can say anything, as one that is killed does: the command ends too, with one line."""
    (directory / "dying.py").write_text("import os\nos._exit(3)\n", encoding="utf-8")
    ended = run(directory, foreground=False, options=("--port", str(free_port()), "--handlers", "dying:Handlers"))
    assert ended.returncode == 1
    assert ended.stderr == "ocppd: the daemon has ended before it had started; its log may say why\n"


@FORMS
def test_failed_start_is_in_the_log(foreground: bool, directory: Path) -> None:
    """What stderr says about a failed start is one critical line of the log as well."""
    with taken_port() as taken:
        ended = run(directory, foreground=foreground, options=("--port", str(taken), "--log-format", "json"))
    log = ended.stdout if foreground else left_behind(directory)
    critical = [line for line in map(json.loads, log.splitlines()) if line["level"] == "critical"]
    assert [f"ocppd: {line['reason']}\n" for line in critical] == [ended.stderr]


def test_start_and_stop_in_the_foreground(directory: Path) -> None:
    """A daemon in the foreground answers /healthz, and SIGTERM ends it with status 0, without a pidfile."""
    port = free_port()
    with Foreground(directory, options=("--port", str(port))) as daemon:
        assert is_healthy(port)
        assert (directory / "twistd.pid").exists()
        status, log, stderr = daemon.stop()
    assert (status, stderr) == (0, "")
    assert "Traceback" not in log
    assert not (directory / "twistd.pid").exists()


def test_start_and_stop_by_twist(directory: Path) -> None:
    """Twisted's other command, which has no privileged step and logs by itself, starts and stops it too."""
    port = free_port()
    command = [str(TWISTD.with_name("twist")), "ocppd", "--port", str(port)]
    with subprocess.Popen(command, cwd=directory, env=environment(), stdout=subprocess.PIPE, text=True) as twist:
        assert twist.stdout is not None
        log = next((line for line in twist.stdout if "Starting reactor" in line), "")
        assert log, "twist has ended"
        assert is_healthy(port)
        twist.send_signal(signal.SIGTERM)
        twist.communicate(timeout=PATIENCE_S)
    assert twist.returncode == 0


def test_start_and_stop_as_a_daemon(directory: Path) -> None:
    """A daemon answers /healthz as soon as twistd has returned; SIGTERM ends it and its pidfile goes."""
    port = free_port()
    ended = run(directory, foreground=False, options=("--port", str(port)))
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")
    pid = int((directory / "twistd.pid").read_text())
    try:
        assert is_healthy(port)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    assert not (directory / "twistd.pid").exists()
    assert "Traceback" not in left_behind(directory)


def test_second_start_leaves_the_first_alone(directory: Path) -> None:
    """A second start with the same pidfile fails with one line, and the first daemon goes on."""
    port = free_port()
    with Foreground(directory, options=("--port", str(port))) as daemon:
        second = run(directory, foreground=True, options=("--port", str(free_port())))
        assert second.returncode == 1
        assert second.stderr.startswith(f"ocppd: process {daemon.process.pid} runs already")
        assert second.stderr.count("\n") == 1
        assert is_healthy(port)
        assert (directory / "twistd.pid").exists()
        assert daemon.stop()[0] == 0


def test_rundir_does_not_move_files(directory: Path) -> None:
    """The configuration and the database are found from where twistd was typed, whatever --rundir says."""
    (directory / "elsewhere").mkdir()
    port = free_port()
    with Foreground(directory, twistd=("--rundir", "elsewhere"), options=("--port", str(port))) as daemon:
        assert is_healthy(port)
        assert daemon.stop()[0] == 0
    assert (directory / "ocppd.sqlite").exists()
    assert not list((directory / "elsewhere").glob("*.sqlite"))


def test_environment_variables_are_enough(directory: Path) -> None:
    """A daemon can be configured by its environment alone, as in a container; an option wins over it."""
    port = free_port()
    env: dict[str, Any] = {
        "OCPPD_PORT": "1",
        "OCPPD_CONFIG": str(directory / "configs.json"),
        "OCPPD_DATABASE": f"sqlite:///{directory / 'records.sqlite'}",
        "OCPPD_LOG_FORMAT": "json",
    }
    with Foreground(directory, twistd=("--pidfile=",), options=("--port", str(port)), env=env) as daemon:
        assert is_healthy(port)
        status, log, _ = daemon.stop()
    assert status == 0
    assert all(json.loads(line)["level"] for line in log.splitlines())
    assert (directory / "records.sqlite").exists()
    assert not (directory / "twistd.pid").exists()


def test_log_file_rotates_on_sigusr1(directory: Path) -> None:
    """SIGUSR1 makes twistd's log file a new one, as with any twistd service."""
    port = free_port()
    assert run(directory, foreground=False, options=("--port", str(port))).returncode == 0
    pid = int((directory / "twistd.pid").read_text())
    try:
        os.kill(pid, signal.SIGUSR1)
        assert is_healthy(port)
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    assert (directory / "twistd.log.1").exists()
