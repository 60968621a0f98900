"""docs/operations.md as its readers use it: its commands are run, with the places of a test; its links lead somewhere."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from support import postgresql
from support.daemon import ROOT, environment
from support.party import BOOT
from support.programs import Daemon, eventually, needed

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHELL = [block for language, block in FENCED.findall(PAGE) if language == "sh"]
CONFIGURATION = {"Quiet": True, "Chargers": [{"Name": name} for name in ("CP1", "CP2", "AWAY")]}
PATIENCE_S = 30


def block(word: str, language: str = "sh") -> str:
    """The block with this word."""
    (found,) = [text for kind, text in FENCED.findall(PAGE) if kind == language and word in text]
    return str(found)


def run(script: str, directory: Path, env: dict[str, str] | None = None) -> str:
    """Run the lines of a block as they stand; what they print."""
    command = [needed("bash"), "-eu", "-c", script]
    told = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


@contextlib.contextmanager
def charger(daemon: Daemon, name: str) -> Iterator[ClientConnection]:
    """A charger that is connected and registered."""
    protocols: Any = ["ocpp1.6"]
    with connect(f"{daemon.url}/{name}", subprotocols=protocols, open_timeout=PATIENCE_S, proxy=None) as link:
        assert call(link, "BootNotification", BOOT)["status"] == "Accepted"
        yield link


def call(link: ClientConnection, action: str, payload: Any) -> Any:
    """Send a CALL; the payload of its answer, which is the next frame."""
    link.send(json.dumps([2, action, action, payload]))
    kind, identity, answer = json.loads(link.recv(timeout=PATIENCE_S))
    assert (kind, identity) == (3, action)
    return answer


def started(link: ClientConnection, connector: int) -> int:
    """The id of a transaction that begins now."""
    start = {"connectorId": connector, "idTag": "TAG", "meterStart": 0, "timestamp": f"2026-05-04T12:00:{connector:02}Z"}
    return int(call(link, "StartTransaction", start)["transactionId"])


def queued(daemon: Daemon) -> list[str]:
    """The ids of the commands that wait."""
    return [each["messageId"] for each in daemon.http("GET", "/api/v1/messages?state=queued").json["items"]]


class Story:
    """What a backup falls into: a transaction and a queued command of before, and what becomes of both afterwards."""

    def __init__(self, daemon: Daemon) -> None:
        with charger(daemon, "CP1") as link:
            self.before = started(link, 1)
        path = "/api/v1/chargers/AWAY/commands/ChangeAvailability?offline=queue"
        self.command = daemon.http("POST", path, {"connectorId": 0, "type": "Operative"}).json["messageId"]

    def goes_on(self, daemon: Daemon) -> None:
        """After the backup another transaction begins, and the command is delivered."""
        with charger(daemon, "CP1") as link:
            self.after = started(link, 2)
        with charger(daemon, "AWAY") as link:
            identity = json.loads(link.recv(timeout=PATIENCE_S))[1]
            assert identity == self.command
            link.send(json.dumps([3, identity, {"status": "Accepted"}]))
            eventually(lambda: queued(daemon) == [], "the answer")

    def is_told_again(self, daemon: Daemon) -> None:
        """After the restore: what the page says of an older state."""
        transactions = daemon.http("GET", "/api/v1/transactions").json["items"]
        assert [each["transactionId"] for each in transactions] == [self.before]
        assert queued(daemon) == [self.command]
        with charger(daemon, "CP2") as other, charger(daemon, "CP1") as link:
            assert started(other, 1) == self.after  # given out once more
            stop = {"transactionId": self.after, "meterStop": 9, "timestamp": "2026-05-04T13:00:00Z"}
            assert call(link, "StopTransaction", stop) == {}
            assert daemon.http("GET", f"/api/v1/transactions/{self.after}").json["state"] == "open"


def headings(page: str) -> set[str]:
    """The anchors of a page."""
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}


def test_links() -> None:
    """Every link leads to a file of the project, and to a heading where it names one."""
    for link in re.findall(r"\]\((?!https?:)([^)]+)", PAGE):
        path, _, anchor = link.partition("#")
        assert (ROOT / "docs" / path).exists(), link
        page = (ROOT / "docs" / path).read_text(encoding="utf-8") if path and anchor else PAGE
        assert not anchor or anchor in headings(page), link


@pytest.mark.parametrize("script", SHELL)
def test_shell(script: str) -> None:
    """Every block for a shell is one that a shell understands, and names files that are there."""
    subprocess.run([needed("bash"), "-n", "-c", script], check=True, timeout=60)
    names = [word for word in shlex.split(script) if word.startswith("deploy/")]
    made = {"deploy/.env", "deploy/secret.yaml"}
    assert [name for name in names if name not in made and not (ROOT / name).exists()] == []


def test_sqlite(tmp_path: Path) -> None:
    """A backup of a running daemon's records is restored by the page's commands, and means what the page says."""
    needed("sqlite3")
    state, backups = tmp_path / "state", tmp_path / "backups"
    state.mkdir()
    backups.mkdir()

    def here(script: str) -> str:
        return script.replace("/var/lib/ocppd", str(state)).replace("/var/backups/ocppd", str(backups))

    options = ("--database", f"sqlite:///{state}/ocppd.sqlite")
    with Daemon(state, CONFIGURATION, options=options) as daemon:
        story = Story(daemon)
        for _ in range(2):  # the second one takes the place of the first
            run(here(block("VACUUM INTO '/var")), tmp_path)
        story.goes_on(daemon)
        daemon.process.kill()  # so that there is a -wal to be got rid of
        daemon.wait()
    assert [path.name for path in backups.iterdir()] == ["ocppd.sqlite"]
    first, *steps, last = block("chown --reference").splitlines()
    assert (first, last) == ("systemctl stop ocppd", "systemctl start ocppd")
    assert (state / "ocppd.sqlite-wal").stat().st_size > 0
    run(here("\n".join(steps)), tmp_path)
    assert not (state / "ocppd.sqlite-wal").exists()
    assert stat.S_IMODE((state / "ocppd.sqlite").stat().st_mode) == 0o600
    with Daemon(state, options=options) as daemon:
        story.is_told_again(daemon)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.tail()


def test_sqlite_of_the_image(tmp_path: Path) -> None:
    """Where there is no sqlite3, Python makes the backup."""
    _, words = block("docker exec ocpp16-example").split(" python ", 1)
    with Daemon(tmp_path, CONFIGURATION) as daemon:
        story = Story(daemon)
        subprocess.run([sys.executable, *shlex.split(words)], cwd=tmp_path, check=True, timeout=60)
        story.goes_on(daemon)
    with Daemon(tmp_path, options=("--database", f"sqlite:///{tmp_path}/new.sqlite")) as daemon:
        story.is_told_again(daemon)


def test_secret_key() -> None:
    """The command makes a key that the daemon takes."""
    assert len(run(block("openssl rand"), ROOT).strip()) >= 32


@pytest.fixture
def records(pytestconfig: pytest.Config) -> Iterator[str]:
    """The URL of the page, made by its own commands, on the server of the tests."""
    server = postgresql.server(pytestconfig)
    with server.admin() as connection:
        for statement in block("CREATE ROLE", "sql").replace("ocppd", "operations").split(";"):
            connection.execute(statement.encode())
        yield f"postgresql://operations:change-me@127.0.0.1:{server.port}/operations"
        connection.execute("DROP DATABASE operations WITH (FORCE)")
        connection.execute("DROP ROLE operations")


def test_postgresql(records: str, tmp_path: Path) -> None:
    """The role and the database of the page are enough; a dump is restored by its commands, and means what it says."""
    programs = postgresql.programs()
    assert programs is not None
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}

    def here(script: str) -> str:
        moved = script.replace("postgresql://ocppd:change-me@db.example:5432/ocppd", records)
        return moved.replace("/var/backups/ocppd", str(tmp_path))

    options = ("--database", records.replace("postgresql:", "postgresql+psycopg:"))
    key = environment({"OCPPD_SECRET_KEY": postgresql.SECRET_KEY})
    with Daemon(tmp_path, CONFIGURATION, options=options, env=key) as daemon:
        story = Story(daemon)
        run(here(block("pg_dump")), tmp_path, env)
        story.goes_on(daemon)
        assert daemon.stop() == 0
    run(here(block("pg_restore")), tmp_path, env)
    with Daemon(tmp_path, options=options, env=key) as daemon:
        story.is_told_again(daemon)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.tail()
