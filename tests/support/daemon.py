"""`twistd ocppd` as a process of its own, in a directory of its own. Waits on events, never on time alone."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TWISTD = Path(sysconfig.get_path("scripts")) / "twistd"
#: A start takes a second or two; a shared machine may take much longer.
PATIENCE_S = 60
STARTED = "ocppd has started"
#: Where Linux takes no port from for those who ask for any, such as clients.
_PORTS = range(16384, 32768)
#: Those of this process, which its own locks do not keep from it.
_claimed: set[int] = set()
CONFIGURATION: Mapping[str, Any] = {"Chargers": [{"Name": "CP001", "HeartBeatInterval": 10}]}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a daemon: ocppd of this checkout, no options but those of `extra`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OCPPD_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **(extra or {})}


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has, and that no test is given again as long as this process runs."""
    while True:
        port = secrets.choice(_PORTS)
        if port not in _claimed and _claim(port) and _is_free(port):
            return port


def _claim(port: int) -> bool:
    """Make a port ours among the processes that run tests: each locks a byte of the same file, until it ends."""
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _claimed.add(port)
    return True


@cache
def _claims() -> int:
    return os.open(Path(tempfile.gettempdir()) / f"ocppd-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write_configuration(directory: Path, configuration: Any = CONFIGURATION) -> Path:
    """configs.json in the directory."""
    path = directory / "configs.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    return path


def command(
    *, foreground: bool, twistd: Sequence[str] = (), options: Sequence[str] = (), program: Sequence[str] = (str(TWISTD),)
) -> list[str]:
    """What an operator types."""
    return [*program, *(["-n"] if foreground else []), *twistd, "ocppd", *options]


def run(
    directory: Path,
    *,
    foreground: bool,
    twistd: Sequence[str] = (),
    options: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends: a start that fails, or the parent of a daemon that has started."""
    return subprocess.run(
        command(foreground=foreground, twistd=twistd, options=options),
        cwd=directory,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Foreground:
    """`twistd -n ocppd`, started when the constructor returns. A context manager that stops it."""

    def __init__(
        self,
        directory: Path,
        *,
        twistd: Sequence[str] = (),
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = (str(TWISTD),),
    ) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command(foreground=True, twistd=twistd, options=options, program=program),
            cwd=directory,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.wait_for(STARTED)

    def wait_for(self, text: str) -> str:
        """Read the log up to a line with `text`; AssertionError where the log ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        raise AssertionError(f"the log ended without {text!r}:\n{''.join(self.lines)}{stderr}")

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send the signal and wait: exit status, the whole log, stderr."""
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, "".join(self.lines) + stdout, stderr

    def __enter__(self) -> Foreground:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def wait_for_end(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        assert ready, f"process {pid} still runs after {PATIENCE_S} s"
    finally:
        os.close(descriptor)
