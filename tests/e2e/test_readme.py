"""README.md and docs/ as their readers use them: every example is run, every option and link is looked up."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocppd.config import load_configuration
from support.daemon import ROOT, TWISTD, environment
from support.programs import Daemon, Program, needed, simulator

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: Whom the examples are run against.
NAME = "CP0001_V1"
CONFIGURATION = {"Chargers": [{"Name": NAME, "HeartBeatInterval": 60}]}


def blocks(*languages: str) -> list[str]:
    """The fenced blocks of README.md and docs/ in one of these languages."""
    return [block for language, block in FENCED.findall(DOCS) if language in languages]


def commands(word: str) -> list[str]:
    """The commands in blocks for a shell that begin with this word."""
    lines = "\n".join(blocks("sh", "console", "bash")).replace("\\\n", " ").splitlines()
    told = [line.removeprefix("$ ") for line in lines]
    return [line for line in told if line.split()[:1] == [word]]


CURL = commands("curl")
#: How curl ends an answer that goes on.
CURL_TIMED_OUT = 28
HANDLERS = [block for block in blocks("python") if "(CentralSystemHandlers)" in block]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with the charger of the examples."""
    directory = tmp_path_factory.mktemp("readme")
    with (
        Daemon(directory, CONFIGURATION) as running,
        simulator(directory, running.url, "--name", NAME, "--transactions", "0") as charger,
    ):
        charger.wait_for("booted: Accepted")
        yield running


def test_there_are_examples() -> None:
    """README has a configuration, handlers, the three calls of the seed and calls of /api/v1."""
    assert blocks("json")
    assert HANDLERS
    paths = "/charger/{chargerName}/status", "/message/{messageUniqueID}/status", "/triggeraction/{action}", "/api/v1/"
    assert [path for path in paths if not any(path in command for command in CURL)] == []


@pytest.mark.parametrize("block", blocks("json"))
def test_configuration(block: str, tmp_path: Path) -> None:
    """Every configuration is one that can be loaded."""
    (tmp_path / "configs.json").write_text(block)
    assert load_configuration(tmp_path / "configs.json").chargers


@pytest.mark.parametrize("command", CURL)
def test_curl(command: str, daemon: Daemon) -> None:
    """Every curl command works against the charger of the examples."""
    identity = daemon.http("POST", f"/command/{NAME}/triggeraction/Heartbeat").json["uniqueid"]
    assert uuid.UUID(identity)
    names = {"chargerName": NAME, "action": "Heartbeat", "messageUniqueID": identity}
    command = re.sub(r"\{(\w+)\}", lambda match: names[match[1]], command).replace("localhost:9033", f"localhost:{daemon.port}")
    words = [needed("curl"), *shlex.split(command)[1:], "--silent", "--noproxy", "*", "--write-out", "\n%{http_code}"]
    endless = "/stream" in command
    words += ["--max-time", "2"] if endless else []
    told = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == (CURL_TIMED_OUT if endless else 0), told.stderr
    body, _, status = told.stdout.rpartition("\n")
    assert 200 <= int(status) < 400, body
    if "/message/" in command:
        assert identity in body


@pytest.mark.parametrize("block", HANDLERS)
def test_handlers(block: str, tmp_path: Path) -> None:
    """Every example of handlers is loaded as README says, and answers a charger; its prints are in the log."""
    (command,) = [line for line in commands("twistd") if "--handlers" in line]
    words = shlex.split(command)
    where = words[words.index("--handlers") + 1]
    module, _, name = where.partition(":")
    assert f"class {name}(" in block
    (tmp_path / f"{module}.py").write_text(block)
    with Daemon(tmp_path, CONFIGURATION, options=("--handlers", where)) as daemon:
        with simulator(tmp_path, daemon.url, "--name", NAME, "--once", "--duration", "1") as charger:
            if "GetConfigurationResponseHandler" in block:
                daemon.wait_for(f"{NAME} has ")
            assert charger.wait() == 0, charger.tail()
        assert daemon.stop() == 0
        assert daemon.complaints() == []


@pytest.mark.parametrize("command", [line for line in commands(".venv/bin/python") if "ocppd.simulator" in line])
def test_simulator(command: str, daemon: Daemon, tmp_path: Path) -> None:
    """Every command line of the simulator works; only its time is made short here."""
    words = shlex.split(command.replace("127.0.0.1:9033", f"127.0.0.1:{daemon.port}"))[1:]
    with Program([sys.executable, *words, "--duration", "0.1", "--once"], tmp_path) as charger:
        assert charger.wait() == 0, charger.tail()


def test_options() -> None:
    """README's table has the options of `twistd ocppd --help`, no more and no fewer, each with its variable."""
    command = [str(TWISTD), "ocppd", "--help"]
    told = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=True).stdout
    rows = re.findall(r"^\| (?:`--([a-z-]+)`|–) \| `(OCPPD_\w+)`", README, re.MULTILINE)
    options = set(re.findall(r"^ +(?:-\w, +)?--([a-z-]+)", told, re.MULTILINE)) - {"help", "version"}
    assert {option for option, _ in rows if option} == options
    assert {variable for _, variable in rows} == set(re.findall(r"OCPPD_[A-Z_]+", told))
    assert all(variable == f"OCPPD_{option.upper().replace('-', '_')}" for option, variable in rows if option)


def test_links() -> None:
    """Every link to a file of the project leads to one."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
