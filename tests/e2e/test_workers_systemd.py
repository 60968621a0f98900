"""deploy/ocppd@.service and deploy/ocppd@.socket: what systemd says of them, and their command run with a socket as they say."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from ocppd.workers.supervisor import END_GRACE_S
from support import postgresql
from support.blocking import Charger
from support.daemon import ROOT, STARTED, TWISTD, free_port
from support.programs import Program, bare_environment, missing, request
from support.redis import RedisServer
from support.systemd import EXPOSURE, analyze, settings
from support.workers import ACTIVATE, configure, variables

DEPLOY = ROOT / "deploy"
NODE, SOCKET, SINGLE = DEPLOY / "ocppd@.service", DEPLOY / "ocppd@.socket", DEPLOY / "ocppd.service"
#: What the unit of one node of several has that the unit of a single one has not, and the other way round.
OWN = ("Description", "Requires", "After", "User", "Environment", "EnvironmentFile")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Both units in a directory, with a twistd that there is."""
    (tmp_path / NODE.name).write_text(NODE.read_text().replace("/opt/ocppd/bin/twistd", str(TWISTD)))
    shutil.copy(SOCKET, tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [NODE.name, SOCKET.name])
def test_verify(units: Path, name: str) -> None:
    """systemd finds nothing to say about the units."""
    verified = analyze("verify", "--man=no", units / name)
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if "ocppd" in line]) == (0, [])


def test_exposure(units: Path) -> None:
    """systemd finds the unit well locked up."""
    judged = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", units / NODE.name)
    if "unrecognized option" in judged.stderr:
        missing("this systemd judges no unit files")
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_like_the_single_one() -> None:
    """What locks a node up, and how it is started and stopped, is what it is for a single one."""

    def lines(unit: Path) -> list[str]:
        return [line for line in unit.read_text().splitlines() if line and not line.startswith(("#", *OWN))]

    assert lines(NODE) == lines(SINGLE)


def test_stop() -> None:
    """systemd gives a node the time of its drain and of its end."""
    environment = dict(pair.split("=", 1) for pair in settings(NODE, "Environment"))
    [limit] = settings(NODE, "TimeoutStopSec")
    assert int(limit) >= float(environment["OCPPD_DRAIN"]) + END_GRACE_S + 10
    [single] = settings(SINGLE, "TimeoutStopSec")
    assert int(single) >= END_GRACE_S + 10


def test_socket() -> None:
    """All nodes listen on one port, IPv6 and IPv4."""
    assert settings(SOCKET, "ListenStream") == ["9033"]
    assert settings(SOCKET, "ReusePort") == ["yes"]
    assert settings(SOCKET, "BindIPv6Only") == ["both"]
    assert settings(NODE, "Requires") == ["ocppd@%i.socket"]


def test_command(tmp_path: Path, pytestconfig: pytest.Config, database: str, broker: RedisServer) -> None:
    """Two nodes with a socket each share a port, and the chargers between them."""
    state, etc = tmp_path / "state", tmp_path / "etc"
    (state / "ocppd").mkdir(parents=True)
    (etc / "ocppd").mkdir(parents=True)
    configure(etc / "ocppd", [f"W{number}" for number in range(20)])
    port = free_port()
    servers = {"OCPPD_DATABASE": postgresql.server(pytestconfig).url(database), "OCPPD_REDIS": broker.url()}

    def node(number: int) -> Program:
        def here(text: str) -> str:
            for specifier, value in (("%S", str(state)), ("%E", str(etc)), ("%H", "host"), ("%i", str(number))):
                text = text.replace(specifier, value)
            return text.replace("/opt/ocppd/bin/twistd", str(TWISTD))

        environment = dict(here(pair).split("=", 1) for pair in settings(NODE, "Environment"))
        environment |= {"PYTHONPATH": str(ROOT), "OCPPD_DRAIN": "0", **servers, **variables()}
        [started] = settings(NODE, "ExecStart")
        command = [*ACTIVATE, "1", str(port), *shlex.split(here(started))]
        return Program(command, state / "ocppd", bare_environment(environment))

    with node(1) as first:
        first.wait_for(STARTED)
        with node(2) as second:
            second.wait_for(STARTED)
            chargers = [Charger(port, f"W{number}") for number in range(20)]
            found = request(port, "GET", "/api/v1/chargers?connected=true").json["items"]
            assert {charger["node"] for charger in found} == {"host:1", "host:2"}
            for charger in chargers:
                charger.close()
            assert (first.stop(), second.stop()) == (0, 0)
            assert first.errors == second.errors == []
