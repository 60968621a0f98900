"""What was answered is on disk: after SIGKILL and SIGTERM under load, and in the order of the system calls.

Decision 5 of docs/architecture.md; REQUIREMENTS T-3, M-9, G-12, C-5.
"""

from __future__ import annotations

import collections
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.daemon import TWISTD
from support.party import Party
from support.programs import SUPPORT, Daemon, Program, missing, needed

CHARGERS = 8
ROUNDS = 3
#: Answers until the end comes, somewhere between.
ANSWERS = (300, 1500)
#: strace makes each system call slow.
TRACED_ANSWERS = 250
LOAD = (sys.executable, str(SUPPORT / "load.py"))
DURABLE = {"BootNotification", "StatusNotification", "StartTransaction", "MeterValues", "StopTransaction"}


@dataclass(frozen=True)
class Exchange:
    """A message of a charger, with its answer where one came."""

    charger: str
    call: list[Any]
    answer: list[Any] | None

    @property
    def identity(self) -> str:
        return str(self.call[1])

    @property
    def action(self) -> str:
        return str(self.call[2])


def exchanges(lines: Sequence[str]) -> list[Exchange]:
    """What the load's lines tell, in the order in which it was sent."""
    events = [json.loads(line) for line in lines]
    answers = {event["answered"][1]: event["answered"] for event in events if "answered" in event}
    return [Exchange(event["charger"], event["sent"], answers.get(event["sent"][1])) for event in events if "sent" in event]


def configuration() -> dict[str, Any]:
    return {"Chargers": [{"Name": f"Load-{number}"} for number in range(CHARGERS)]}


def loaded(daemon: Daemon, answers: int) -> Program:
    """A load that has got so many answers, and goes on."""
    load = Program([*LOAD, daemon.url, str(CHARGERS), "Load"], daemon.directory)

    def enough(lines: list[str]) -> bool | None:
        return len(lines) >= 2 * answers or None

    load.wait_until(enough, f"{answers} answers")
    return load


class Records:
    """A database file, read as it is."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        self._connection.row_factory = sqlite3.Row

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def rows(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query."""
        return self._connection.execute(query, values).fetchall()

    def has(self, exchange: Exchange) -> None:
        """Assert that a message stands there once, with the answer that was given, and with its effect."""
        found = self.rows("SELECT * FROM messages WHERE message_id = ? AND direction = 'fromCharger'", exchange.identity)
        assert len(found) == 1, exchange
        assert (found[0]["charger"], found[0]["action"]) == (exchange.charger, exchange.action)
        assert json.loads(found[0]["frame"]) == exchange.call
        assert json.loads(found[0]["answer"]) == exchange.answer
        assert exchange.answer is not None
        getattr(self, f"_{exchange.action}")(exchange, exchange.call[3], exchange.answer[2], found[0])

    def _BootNotification(self, exchange: Exchange, call: Any, answer: Any, _: Any) -> None:
        boots = self.rows("SELECT registration, model FROM chargers WHERE name = ?", exchange.charger)
        assert [tuple(row) for row in boots] == [(answer["status"], exchange.charger)]

    def _StatusNotification(self, exchange: Exchange, call: Any, answer: Any, message: Any) -> None:
        statuses = self.rows("SELECT charger, status FROM statuses WHERE sequence = ?", message["sequence"])
        assert [tuple(row) for row in statuses] == [(exchange.charger, call["status"])]

    def _StartTransaction(self, exchange: Exchange, call: Any, answer: Any, _: Any) -> None:
        starts = self.rows("SELECT transaction_id, charger FROM transactions WHERE message_id = ?", exchange.identity)
        assert [tuple(row) for row in starts] == [(answer["transactionId"], exchange.charger)]

    def _MeterValues(self, exchange: Exchange, call: Any, answer: Any, _: Any) -> None:
        query = "SELECT samples FROM meter_values WHERE transaction_id = ? AND samples LIKE ?"
        (element,) = call["meterValue"]
        assert len(self.rows(query, call["transactionId"], f'%"{element["sampledValue"][0]["value"]}"%')) == 1

    def _StopTransaction(self, exchange: Exchange, call: Any, answer: Any, _: Any) -> None:
        query = "SELECT state, meter_stop_wh, energy_wh FROM transactions WHERE transaction_id = ?"
        assert [tuple(row) for row in self.rows(query, call["transactionId"])] == [("stopped", 13, 3)]

    def nothing_twice(self) -> None:
        """Assert that there are no two transactions of one start, and no two equal meter values."""
        assert not self.rows("SELECT 1 FROM transactions GROUP BY charger, started_ms HAVING count(*) > 1")
        assert not self.rows("SELECT 1 FROM meter_values GROUP BY charger, timestamp_ms HAVING count(*) > 1")
        assert self.rows("PRAGMA integrity_check")[0][0] == "ok"


def holds(file: Path, told: Sequence[Exchange]) -> None:
    """Assert that the database holds all that was answered, and no more transactions than were begun."""
    with closing(Records(file)) as records:
        for exchange in told:
            if exchange.answer is not None:
                records.has(exchange)
        records.nothing_twice()
        begun = sum(exchange.action == "StartTransaction" for exchange in told)
        started = sum(exchange.action == "StartTransaction" and exchange.answer is not None for exchange in told)
        assert started <= records.rows("SELECT count(*) FROM transactions")[0][0] <= begun


def copied(directory: Path, to: Path) -> Path:
    """The files of the database as they lie on disk, in a directory of their own."""
    to.mkdir()
    for name in ("ocppd.sqlite", "ocppd.sqlite-wal"):
        if (directory / name).exists():
            shutil.copy(directory / name, to / name)
    return to / "ocppd.sqlite"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_sigkill(number: int, tmp_path: Path) -> None:
    """SIGKILL at any moment under load: each answered message is on disk with its effect, and nothing is there twice.

    This holds for the files as the kill leaves them and after a restart. What got no answer is sent again, and so is some
    that did, as if its answer had been lost: then all is there, and still nothing twice (T-3, M-9, T-23).
    """
    with Daemon(tmp_path, configuration()) as daemon, loaded(daemon, random.randint(*ANSWERS)) as load:
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        assert load.wait() == 0, load.tail()
    told = exchanges(_lines(load, "sent", "answered"))
    assert {exchange.action for exchange in told if exchange.answer} == DURABLE
    assert all(exchange.answer is None or exchange.answer[0] == 3 for exchange in told)
    holds(copied(tmp_path, tmp_path / "copy"), told)
    (tmp_path / "load").write_text("".join(_lines(load, "sent", "answered")))
    with Daemon(tmp_path) as daemon:
        holds(tmp_path / "ocppd.sqlite", told)
        with Program([*LOAD, daemon.url, "--repeat", str(tmp_path / "load")], tmp_path) as again:
            assert again.wait() == 0, again.tail()
        assert daemon.stop() == 0
    with closing(Records(tmp_path / "ocppd.sqlite")) as records:
        records.nothing_twice()
        starts = sum(exchange.action == "StartTransaction" for exchange in told)
        assert records.rows("SELECT count(*) FROM transactions")[0][0] == starts


def _lines(load: Program, *kinds: str) -> list[str]:
    return [line for line in load.lines if line.startswith(tuple(f'{{"{kind}"' for kind in kinds))]


def test_sigterm(tmp_path: Path) -> None:
    """SIGTERM under load: status 0, every charger gets close code 1001 (C-5), and what was answered is there."""
    with Daemon(tmp_path, configuration()) as daemon, loaded(daemon, ANSWERS[0]) as load:
        assert daemon.stop() == 0
        assert load.wait() == 0, load.tail()
        assert daemon.errors == []
        assert not [line for line in daemon.lines if "Traceback" in line]
    closed = [json.loads(line) for line in _lines(load, "closed")]
    assert sorted((event["charger"], event["closed"]) for event in closed) == [
        (f"Load-{number}", 1001) for number in range(CHARGERS)
    ]
    holds(tmp_path / "ocppd.sqlite", exchanges(_lines(load, "sent", "answered")))


def test_sigkill_keeps_commands(tmp_path: Path) -> None:
    """What operators were told of their commands holds after SIGKILL.

    One that was sent and not answered is `unknown` (S-6, S-7) and is not sent again; one that was queued is delivered when the
    charger is back.
    """
    commands = "/api/v1/chargers/Load-0/commands"
    with Daemon(tmp_path, configuration()) as daemon, Party(daemon, "Load-0", tmp_path) as party:
        party.boot()
        party.answer("Reset", None)
        answer = daemon.http("POST", f"{commands}/Reset", {"type": "Soft"})
        sent = answer.json["messageId"]
        assert (answer.status, party.received(sent)[2]) == (202, "Reset")
        answer = daemon.http("POST", f"{commands}/ClearCache", {})
        queued = answer.json["messageId"]
        assert (answer.status, answer.json["state"]) == (202, "queued")
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    with Daemon(tmp_path) as daemon, Party(daemon, "Load-0", tmp_path) as party:
        assert daemon.http("GET", f"/api/v1/messages/{sent}").json["state"] == "unknown"
        assert daemon.http("GET", f"/api/v1/messages/{queued}").json["state"] == "queued"
        party.boot()
        assert party.received(queued)[2] == "ClearCache"
        assert daemon.http("POST", f"{commands}/GetLocalListVersion?wait=60", {}).status == 200
        assert daemon.http("GET", f"/api/v1/messages/{queued}").json["state"] == "completed"
        assert not any(sent in line for line in party.program.lines)


# In the order of the system calls

TRACED = "write,writev,sendto,sendmsg,pwrite64,pwritev,fdatasync,fsync"
_CALL = re.compile(r"^(?P<pid>\d+) +[\d:.]+ (?:(?P<name>\w+)\((?P<fd>\d+)<(?P<path>[^>]*)>|<\.\.\. (?P<resumed>\w+) resumed>)")
_LEFT = re.compile(r'\[[23],\\"([^"\\]+)\\"')
#: The ids of the load's messages, and ours.
_IDENTITY = re.compile(r"Load-\d+-\d+-id|[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
#: The plain twistd, and one whose database does not wait for the disk.
PLAIN = (str(TWISTD),)
CARELESS = """
import sys
from ocppd.storage import sqlite
from twisted.scripts.twistd import run
prepare = sqlite._prepare
def careless(engine, pragmas, *rest, **named):
    prepare(engine, tuple(pragma.replace("synchronous=FULL", "synchronous=OFF") for pragma in pragmas), *rest, **named)
sqlite._prepare = careless
sys.argv[0] = "twistd"
run()
"""


@dataclass(frozen=True)
class Syscall:
    """One call of the trace: it began and ended in these lines."""

    name: str
    path: str
    begun: int
    ended: int
    text: str


def syscalls(trace: Path) -> Iterator[Syscall]:
    """The calls of a trace of `strace -f -tt -yy`, in the order of their ends."""
    unfinished: dict[str, tuple[Any, int, str]] = {}
    with trace.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines):
            match = _CALL.match(line)
            if match is None:
                continue
            if match["resumed"]:
                first, begun, text = unfinished.pop(match["pid"])
                yield Syscall(first["name"], first["path"], begun, number, text)
            elif line.rstrip().endswith("<unfinished ...>"):
                unfinished[match["pid"]] = (match, number, line)
            else:
                yield Syscall(match["name"], match["path"], number, number, line)


def too_early(trace: Path) -> tuple[int, list[str]]:
    """How many answers to durable messages and calls of ours a trace has; which of them left before the disk had them."""
    written: dict[str, int] = {}
    synced: list[tuple[int, int]] = []
    left: dict[str, int] = {}
    for call in syscalls(trace):
        of_database = call.path.endswith(("ocppd.sqlite-wal", "ocppd.sqlite"))
        if call.name in ("fsync", "fdatasync") and of_database:
            synced.append((call.begun, call.ended))
        elif of_database:
            for identity in _IDENTITY.findall(call.text):
                written.setdefault(identity, call.ended)
        elif "TCP" in call.path:
            for identity in _LEFT.findall(call.text):
                left.setdefault(identity, call.begun)

    def in_time(identity: str, leaves: int) -> bool:
        return any(written.get(identity, leaves) < begun and ended < leaves for begun, ended in synced)

    return len(left), [identity for identity, leaves in left.items() if not in_time(identity, leaves)]


def traced(directory: Path, program: Sequence[str]) -> tuple[int, list[str]]:
    """Run a daemon under strace and a load; what its trace shows."""
    strace, trace = needed("strace"), directory / "trace"
    may = subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, text=True, timeout=30, check=False)
    if may.returncode:
        missing(f"strace may not trace here: {may.stderr.strip()}")
    watching = (strace, "-f", "-tt", "-yy", "-s", "8192", "-e", f"trace={TRACED}", "-o", str(trace))
    with Daemon(directory, configuration(), program=(*watching, *program)) as daemon:
        pid = int((directory / "twistd.pid").read_text())
        try:
            with loaded(daemon, TRACED_ANSWERS) as load:
                for number in range(CHARGERS):
                    command = daemon.http("POST", f"/api/v1/chargers/Load-{number}/commands/ClearCache?wait=60", {})
                    assert command.status == 200, command.body
                os.kill(pid, signal.SIGTERM)
                assert daemon.wait() == 0
                assert load.wait() == 0, load.tail()
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
    actions = collections.Counter(exchange.action for exchange in exchanges(_lines(load, "sent", "answered")))
    assert set(actions) == DURABLE
    return too_early(trace)


def test_answers_leave_after_the_disk_has_it(tmp_path: Path) -> None:
    """The answer to each durable message is sent after an fdatasync that followed the write with that message.

    So is each call of ours: it is on disk as sent before its first byte is written.
    """
    frames, early = traced(tmp_path, PLAIN)
    assert frames >= TRACED_ANSWERS
    assert early == []


def test_the_order_is_not_by_chance(tmp_path: Path) -> None:
    """With a database that does not wait for the disk the same check finds frames that left too early."""
    frames, early = traced(tmp_path, (sys.executable, "-c", CARELESS))
    assert frames >= TRACED_ANSWERS
    assert len(early) > frames / 2
