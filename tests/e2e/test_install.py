"""ocppd as pip installs it, with all its dependencies, in an environment of its own. The slowest of all tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from support.daemon import CONFIGURATION, PATIENCE_S, ROOT, free_port, wait_for_end, write_configuration
from support.installing import copied_tree, pip
from support.programs import Daemon, Program, bare_environment, request

#: Imports every module but the two that only run inside of something.
WALK = """
import importlib, pkgutil, ocppd
names = [module.name for module in pkgutil.walk_packages(ocppd.__path__, "ocppd.")]
apart = ("ocppd.simulator.__main__", "ocppd.storage.migrations.env", "ocppd.storage.postgresql")
names = [name for name in names if name not in apart]
print(len([importlib.import_module(name) for name in names]), ocppd.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the whole tree."""
    tree = copied_tree(tmp_path_factory.mktemp("tree") / "tree")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    built = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = (tree / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment, into which pip has installed the wheel."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    pip([str(directory / "bin" / "pip"), "install", "--quiet", str(wheel)], directory)
    return directory / "bin"


def run(directory: Path, *command: str | Path) -> str:
    """Run a command of the environment to its end, which is a good one; what it says."""
    told = [str(word) for word in command]
    ended = subprocess.run(
        told, cwd=directory, env=bare_environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_wheel(wheel: Path) -> None:
    """The wheel has every module and data file of the package, the plugin, the license, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = {name for name in names if name.startswith(wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info/")}
    files = {path for path in (ROOT / "ocppd").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert names - about == {str(path.relative_to(ROOT)) for path in files} | {"twisted/plugins/ocppd_plugin.py"}
    assert any(name.endswith("/LICENSE") for name in about)


def test_version(binaries: Path, tmp_path: Path) -> None:
    """`twistd ocppd --version` tells the version of the installed package."""
    assert run(tmp_path, binaries / "twistd", "ocppd", "--version") == "ocppd 0.1.0\n"


def test_requirements(binaries: Path, tmp_path: Path) -> None:
    """What pip has chosen fits together, and every module of ocppd can be imported with it, but that of an extra.

    Who asks for PostgreSQL is told of the extra.
    """
    assert "No broken requirements" in run(tmp_path, binaries / "pip", "check")
    count, file = run(tmp_path, binaries / "python", "-c", WALK).split()
    assert int(count) > 50
    assert Path(file).is_relative_to(binaries.parent)
    write_configuration(tmp_path, CONFIGURATION)
    typed = [str(binaries / "twistd"), "-n", "ocppd", "--port", str(free_port()), "--database", "postgresql://127.0.0.1/none"]
    refused = subprocess.run(typed, cwd=tmp_path, env=bare_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("ocppd: ") and "ocppd[postgres]" in refused.stderr and refused.stderr.count("\n") == 1


def test_twistd_lists_it(binaries: Path, tmp_path: Path) -> None:
    """`twistd --help` has ocppd among its commands, and `twistd ocppd --help` its options."""
    assert any(line.split()[:1] == ["ocppd"] for line in run(tmp_path, binaries / "twistd", "--help").splitlines())
    options = run(tmp_path, binaries / "twistd", "ocppd", "--help")
    assert all(f"--{name}=" in options for name in ("port", "config", "database", "handlers"))


def test_foreground(binaries: Path, tmp_path: Path) -> None:
    """`twistd -n ocppd` in an empty directory with a configs.json: a simulated charger has a session with it."""
    with Daemon(tmp_path, CONFIGURATION, env=bare_environment(), program=[str(binaries / "twistd")]) as daemon:
        assert daemon.http("GET", "/healthz").status == 200
        options = ("--name", "CP001", "--once", "--duration", "0.1")
        simulated = [str(binaries / "python"), "-m", "ocppd.simulator", daemon.url, *options]
        with Program(simulated, tmp_path, bare_environment()) as charger:
            assert charger.wait() == 0, charger.tail()
        assert daemon.stop() == 0
        assert daemon.complaints() == []


def test_simulator_help(binaries: Path, tmp_path: Path) -> None:
    """`python -m ocppd.simulator --help` shows how to use it."""
    assert run(tmp_path, binaries / "python", "-m", "ocppd.simulator", "--help").startswith("usage: python -m ocppd.simulator")


def test_daemon(binaries: Path, tmp_path: Path) -> None:
    """`twistd ocppd` in the background answers when the command returns, and SIGTERM ends it with nothing left behind."""
    write_configuration(tmp_path)
    port = free_port()
    assert run(tmp_path, binaries / "twistd", "ocppd", "--port", f"tcp:{port}:interface=127.0.0.1") == ""
    pid = int((tmp_path / "twistd.pid").read_text())
    try:
        assert request(port, "GET", "/healthz").status == 200
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    assert not (tmp_path / "twistd.pid").exists()
    assert "Traceback" not in (tmp_path / "twistd.log").read_text()
