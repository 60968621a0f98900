"""deploy/ocppd.service: what systemd says of it, and its command run as it stands, with the paths of a test.

No systemd runs it here: what of its sandbox a process can put on by itself, it puts on.
"""

from __future__ import annotations

import os
import shlex
import signal
import stat
import sys
from pathlib import Path

import pytest

from support.daemon import ROOT, STARTED, TWISTD, free_port, write_configuration
from support.programs import Program, bare_environment, missing, request, simulator
from support.systemd import EXPOSURE, analyze, settings

UNIT = ROOT / "deploy" / "ocppd.service"
HARDENING = {
    "AmbientCapabilities": "",
    "CapabilityBoundingSet": "",
    "DynamicUser": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "ProtectHome": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectSystem": "strict",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
}
#: Puts on UMask, NoNewPrivileges and, where the kernel has it, MemoryDenyWriteExecute; then becomes the command.
SANDBOX = """
import ctypes, os, sys
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 38, 65, 1
prctl = ctypes.CDLL(None).prctl
os.umask(int(sys.argv[1], 8))
assert prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


def setting(name: str) -> str:
    """The value of a setting that the unit has once."""
    (value,) = settings(UNIT, name)
    return value


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a twistd that there is."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/ocppd/bin/twistd", str(TWISTD)))
    return path


def test_verify(unit: Path) -> None:
    """systemd finds nothing to say about the unit."""
    verified = analyze("verify", "--man=no", unit)
    # It may have something to say of other units of the machine.
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if unit.name in line]) == (0, [])


def test_exposure(unit: Path) -> None:
    """systemd finds the unit well locked up."""
    judged = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", unit)
    if "unrecognized option" in judged.stderr:
        missing("this systemd judges no unit files")
    assert judged.returncode == 0, judged.stdout + judged.stderr


@pytest.mark.parametrize(("name", "value"), HARDENING.items())
def test_hardening(name: str, value: str) -> None:
    """What locks the daemon up stays in the unit."""
    assert setting(name) == value


def test_stop() -> None:
    """systemd gives the daemon the time that an orderly end needs, and starts it again when it has died."""
    assert int(setting("TimeoutStopSec")) >= 30
    assert (setting("Restart"), setting("KillMode"), setting("Type")) == ("on-failure", "mixed", "simple")
    assert int(setting("LimitNOFILE")) >= 65536


def test_command(tmp_path: Path) -> None:
    """ExecStart runs with the unit's environment, reloads at SIGHUP, and ends with status 0.

    A charger has a session with it meanwhile; its files are its user's alone.
    """
    state, etc = tmp_path / "state", tmp_path / "etc"
    (state / "ocppd").mkdir(parents=True)
    (etc / "ocppd").mkdir(parents=True)
    write_configuration(etc / "ocppd")

    def here(text: str) -> str:
        return text.replace("%S", str(state)).replace("%E", str(etc)).replace("/opt/ocppd/bin/twistd", str(TWISTD))

    port = free_port()
    env = dict(here(pair).split("=", 1) for pair in settings(UNIT, "Environment"))
    env = bare_environment({**env, "PYTHONPATH": str(ROOT), "OCPPD_PORT": str(port)})
    command = [sys.executable, "-c", SANDBOX, setting("UMask"), *shlex.split(here(setting("ExecStart")))]
    with Program(command, Path(here(setting("WorkingDirectory"))), env) as daemon:
        daemon.wait_for(STARTED)
        assert request(port, "GET", "/readyz").status == 200
        assert request(port, "GET", "/charger/CP002/status").status == 404
        assert shlex.split(setting("ExecReload"))[1:] == ["-HUP", "$MAINPID"]
        write_configuration(etc / "ocppd", {"Chargers": [{"Name": "CP002"}]})
        os.kill(daemon.process.pid, signal.SIGHUP)
        daemon.wait_for("configuration reloaded")
        assert request(port, "GET", "/charger/CP002/status").status == 200
        url = f"ws://127.0.0.1:{port}/ocppj/1.6"
        with simulator(tmp_path, url, "--name", "CP002", "--once", "--duration", "0.1") as charger:
            assert charger.wait() == 0, charger.tail()
        assert daemon.stop() == 0
        assert daemon.errors == []
    files = list((state / "ocppd").iterdir())
    assert "ocppd.sqlite" in {path.name for path in files}
    assert not [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert not list((state / "ocppd").glob("*.pid"))
