"""The package as users get it: a wheel in an environment of its own, started from an empty directory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.daemon import ROOT, Foreground, environment, free_port, write_configuration

SOURCES = ("ocppd", "twisted", "setup.cfg", "pyproject.toml", "LICENSE", "README.md")
#: The `twistd` command of an environment that has no such script; -I keeps the working directory off sys.path.
TWISTD = ("-I", "-c", "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        elif source.exists():
            shutil.copy(source, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = (copy / "dist").glob("ocppd-*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel; its dependencies are those of the environment of the tests."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=False)
    site_packages = Path(sysconfig.get_path("purelib", vars={"base": str(directory), "platbase": str(directory)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages)
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    return directory / "bin" / "python"


def twistd(python: Path, directory: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run `twistd` of the fresh environment until it ends."""
    command = [str(python), *TWISTD, *arguments]
    return subprocess.run(command, cwd=directory, env=environment(), capture_output=True, text=True, timeout=60, check=False)


def test_wheel_holds_all_and_nothing_else(wheel: Path) -> None:
    """The wheel has every module and data file of the package and the plugin, and makes no package of `twisted`."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {
        str(path.relative_to(ROOT)) for path in (ROOT / "ocppd").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == package | {"twisted/plugins/ocppd_plugin.py"}


def test_version(python: Path, tmp_path: Path) -> None:
    """`twistd ocppd --version` tells the version of the installed package."""
    told = twistd(python, tmp_path, ["ocppd", "--version"])
    assert (told.stdout, told.stderr) == ("ocppd 0.1.0\n", "")


def test_installed_files_are_used(python: Path, tmp_path: Path) -> None:
    """In the fresh environment ocppd is the installed one, not that of the checkout."""
    command = [str(python), "-I", "-c", "import ocppd; print(ocppd.__file__)"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert Path(found.stdout.strip()).is_relative_to(python.parent.parent)


def test_start_from_an_empty_directory(python: Path, tmp_path: Path) -> None:
    """An empty directory and a configs.json are all that the installed daemon needs."""
    assert "there is no such file" in twistd(python, tmp_path, ["-n", "ocppd"]).stderr
    write_configuration(tmp_path)
    port = free_port()
    with Foreground(tmp_path, program=[str(python), *TWISTD], options=("--port", str(port))) as daemon:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            assert answer.status == 200
        status, log, stderr = daemon.stop(signal.SIGTERM)
    assert (status, stderr) == (0, "")
    assert "Traceback" not in log
    assert "ocppd.sqlite" in os.listdir(tmp_path)
