"""`--workers N`: several processes on one port, watched over. Real processes, a real PostgreSQL, a real Redis."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import postgresql
from support.blocking import Charger, Closed, Refused, connect
from support.daemon import STARTED, free_port, run, wait_for_end
from support.programs import WORSE, eventually
from support.redis import RedisServer
from support.workers import Asking, Background, Servers, Workers, closes, configure, has_ended, variables

NOBODY = 65534
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.fixture
def servers(pytestconfig: pytest.Config, database: str, broker: RedisServer) -> Servers:
    """What the workers of a test share."""
    return Servers(postgresql.server(pytestconfig).url(database), broker.url())


def names(count: int) -> list[str]:
    """Chargers."""
    return [f"W{number}" for number in range(count)]


def own(found: dict[str, str], node: str) -> list[str]:
    """The chargers that this node has, by its number."""
    return [name for name, holder in found.items() if holder.rpartition("/")[2] == node]


def test_chargers_are_spread(tmp_path: Path, servers: Servers) -> None:
    """The kernel spreads chargers over the workers, and each worker has a name of its own within the node's."""
    count, workers = 200, 2
    with Workers(tmp_path, servers, names(count), "--node", "east", count=workers) as daemon:
        chargers = [Charger(daemon.port, name) for name in names(count)]
        spread = Counter(eventually(lambda: len(found := daemon.nodes()) == count and found, "all").values())
        assert set(spread) == {"east/1", "east/2"}
        assert all(abs(share - count / workers) <= 0.35 * count / workers for share in spread.values()), spread
        for charger in chargers:
            charger.close()
        assert daemon.stop() == 0


def test_any_worker_answers(tmp_path: Path, servers: Servers) -> None:
    """Whatever worker an operator's request comes to, it finds the charger."""
    with Workers(tmp_path, servers, names(1)) as daemon, Charger(daemon.port, "W0") as charger:
        charger.boot()
        for _ in range(10):
            answer = daemon.http("POST", "/api/v1/chargers/W0/commands/ClearCache", {})
            assert answer.status == 202, answer.body
            call = charger.receive()
            assert call[2] == "ClearCache"
            charger.send([3, call[1], {"status": "Accepted"}])


def test_a_killed_worker(tmp_path: Path, servers: Servers) -> None:
    """A worker that is killed is started again, its chargers come back, and the port refuses and resets nobody meanwhile."""
    with Workers(tmp_path, servers, names(20)) as daemon:
        chargers = {name: Charger(daemon.port, name) for name in names(20)}
        for charger in chargers.values():
            charger.boot()
        before = eventually(lambda: len(found := daemon.nodes()) == 20 and found, "all chargers")
        lost = own(before, "1")
        pids = daemon.pids()
        with daemon.knocking() as knocking:
            os.kill(pids[1], signal.SIGKILL)
            assert {chargers[name].close_code() for name in lost} <= {None}
            for name in lost:
                chargers[name] = Charger(daemon.port, name)
                chargers[name].boot()
            assert daemon.wait_for_another(1, pids[1]) != pids[1]
            count = knocking.count
            eventually(lambda: knocking.count > count, "another connection")
        assert daemon.pids()[2] == pids[2]
        [line] = [line for line in daemon.lines if "has died" in line]
        assert line.split()[1] == "error"
        assert f"worker 1, process {pids[1]}, has died: killed by SIGKILL; another one starts in 0.1 s" in line
        for name in names(20):
            assert chargers[name].call("Heartbeat", {})[0] == 3
        assert daemon.stop() == 0


class Reporter(Background):
    """A charger that reports its status again and again, each time with a text of its own, and comes back when it is closed."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self.answered: list[str] = []
        self.closes: list[int | None] = []
        self._port = port
        self._charger: Charger | None = None
        self._count = 0
        super().__init__(self._report)

    def _report(self) -> None:
        try:
            if self._charger is None:
                self._charger = Charger(self._port, self.name)
                self._charger.boot()
            self._count += 1
            text = f"{self.name} {self._count}"
            answer = self._charger.call("StatusNotification", {**STATUS, "info": text})
            assert answer[0] == 3, answer
            self.answered.append(text)
        except Closed as closed:
            self.closes.append(closed.code)
            self._charger = None

    def end(self) -> None:
        """Stop, and leave."""
        super().end()
        if self._charger is not None:
            self._charger.close()


def journaled(daemon: Workers, name: str) -> set[str]:
    """The texts of all statuses that the records have of a charger."""
    texts, after = set(), ""
    while True:
        path = f"/api/v1/messages?charger={name}&action=StatusNotification&limit=500{after}"
        page = daemon.http("GET", path).json
        texts |= {item["request"]["info"] for item in page["items"]}
        if page["next"] is None:
            return texts
        after = f"&after={page['next']}"


@pytest.mark.parametrize("drain", ["0", "1"], ids=["at once", "with a drain"])
def test_rolling_restart(tmp_path: Path, servers: Servers, drain: str) -> None:
    """SIGUSR2 replaces one worker after another: nobody is refused, chargers are told to come back, no answer is lost."""
    with Workers(tmp_path, servers, names(6), "--drain", drain) as daemon:
        pids = daemon.pids()
        with Asking(daemon.port) as asking, daemon.knocking():
            reporters = [Reporter(daemon.port, name) for name in names(6)]
            eventually(lambda: all(reporter.answered for reporter in reporters), "a report of each")
            daemon.send_signal(signal.SIGUSR2)
            daemon.wait_for("all workers have been restarted")
            counts = [len(reporter.answered) for reporter in reporters], asking.count
            eventually(
                lambda: all(len(reporter.answered) > count for reporter, count in zip(reporters, counts[0], strict=True)),
                "a report of each",
            )
            for reporter in reporters:
                reporter.end()
            eventually(lambda: asking.count > counts[1], "another answer")
        assert set(daemon.pids()) == {1, 2}
        assert not set(daemon.pids().values()) & set(pids.values())
        assert all(has_ended(pid) for pid in pids.values())
        assert {code for reporter in reporters for code in reporter.closes} == {1012}
        for reporter in reporters:
            assert set(reporter.answered) <= journaled(daemon, reporter.name)
        assert [line for line in daemon.lines if set(line.split()[1:2]) & WORSE] == []
        assert daemon.stop() == 0


def test_a_retiring_worker_completes_handshakes(tmp_path: Path, servers: Servers) -> None:
    """A charger whose connection a worker has accepted before it was replaced is let in by it, and told to come back."""
    with Workers(tmp_path, servers, names(20)) as daemon:
        waiting = [connect(daemon.port) for _ in range(20)]
        with daemon.knocking() as knocking:  # by the time that these are through, those before them are accepted
            eventually(lambda: knocking.count > 100, "a hundred connections")
        daemon.send_signal(signal.SIGUSR2)
        daemon.wait_for("[1] a successor takes over")
        chargers = [Charger(daemon.port, name, connection) for name, connection in zip(names(20), waiting, strict=True)]
        with closes(chargers) as codes:
            daemon.wait_for("all workers have been restarted")
            assert {code.result() for code in codes} == {1012}
        assert daemon.stop() == 0


def test_rolling_restart_asked_for_twice(tmp_path: Path, servers: Servers) -> None:
    """SIGUSR2 during a rolling restart is remembered, once."""
    with Workers(tmp_path, servers, []) as daemon:
        daemon.send_signal(signal.SIGUSR2)
        daemon.wait_for("restarting the workers one after another")
        for _ in range(3):
            start = len(daemon.lines)
            daemon.send_signal(signal.SIGUSR2)
            daemon.wait_for("they will be once more", start=start)
        first = daemon.lines.index(daemon.wait_for("all workers have been restarted"))
        daemon.wait_for("all workers have been restarted", start=first + 1)
        assert daemon.stop() == 0
        assert len([line for line in daemon.lines if "restarting the workers one after another" in line]) == 2


def test_a_successor_that_cannot_start(tmp_path: Path, servers: Servers) -> None:
    """A rolling restart ends where a successor cannot start: nobody is disconnected, and the next one may succeed."""
    with Workers(tmp_path, servers, names(4)) as daemon:
        pids = daemon.pids()
        chargers = [Charger(daemon.port, name) for name in names(4)]
        (tmp_path / "configs.json").write_text("{")
        daemon.send_signal(signal.SIGUSR2)
        line = daemon.wait_for("has no successor that works")
        assert line.split()[1] == "error"
        assert "configs.json: is not JSON" in daemon.wait_for("has died: status 1")
        assert daemon.pids() == pids
        assert [charger.call("Heartbeat", {})[0] for charger in chargers] == [4] * 4  # they have not booted
        configure(tmp_path, names(4))
        start = len(daemon.lines)
        with closes(chargers) as codes:
            daemon.send_signal(signal.SIGUSR2)
            daemon.wait_for("all workers have been restarted", start=start)
            assert {code.result() for code in codes} == {1012}
        assert daemon.stop() == 0


def test_reload(tmp_path: Path, servers: Servers) -> None:
    """SIGHUP reaches every worker."""
    with Workers(tmp_path, servers, names(1)) as daemon:
        with pytest.raises(Refused):
            Charger(daemon.port, "W1")
        configure(tmp_path, names(2))
        daemon.send_signal(signal.SIGHUP)
        for worker in ("[1]", "[2]"):
            daemon.wait_for(f"{worker} configuration reloaded, chargers: 2")
        for _ in range(20):
            Charger(daemon.port, "W1").close()
        assert daemon.stop() == 0


def test_the_supervisor_is_killed(tmp_path: Path, servers: Servers) -> None:
    """Workers that nobody watches over any more close their chargers' connections and end."""
    with Workers(tmp_path, servers, names(4)) as daemon:
        chargers = [Charger(daemon.port, name) for name in names(4)]
        pids = daemon.pids()
        daemon.process.kill()
        assert {charger.close_code() for charger in chargers} == {1001}
        assert all(has_ended(pid) for pid in pids.values())
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", daemon.port)):
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(tmp_path: Path, servers: Servers, number: int) -> None:
    """SIGTERM and SIGINT end all workers together, with status 0, and nothing is left."""
    with Workers(tmp_path, servers, names(4)) as daemon:
        chargers = [Charger(daemon.port, name) for name in names(4)]
        pids = daemon.pids()
        daemon.send_signal(number)
        assert {charger.close_code() for charger in chargers} == {1001}
        assert daemon.wait() == 0
        assert all(has_ended(pid) for pid in pids.values())
        assert daemon.errors == []
        assert not (tmp_path / "twistd.pid").exists()
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", daemon.port)):
            pass


def test_ctrl_c(tmp_path: Path, servers: Servers) -> None:
    """SIGINT to all processes of a terminal at once is the supervisor's business: the drain is not cut short."""
    with Workers(tmp_path, servers, names(4), "--drain", "1") as daemon:
        chargers = [Charger(daemon.port, name) for name in names(4)]
        for pid in (*daemon.pids().values(), daemon.process.pid):
            os.kill(pid, signal.SIGINT)
        assert {charger.close_code() for charger in chargers} == {1012}
        assert daemon.wait() == 0
        assert not [line for line in daemon.lines if "at once" in line]


def test_drain_together(tmp_path: Path, servers: Servers) -> None:
    """With a drain all workers close their chargers at the same time; a second SIGTERM closes the rest at once."""
    with Workers(tmp_path, servers, names(30), "--drain", "3600") as daemon:
        chargers = {name: Charger(daemon.port, name) for name in names(30)}
        found = eventually(lambda: len(found := daemon.nodes()) == 30 and found, "all chargers")
        daemon.send_signal(signal.SIGTERM)
        told = eventually(lambda: len(told := readable(chargers.values())) == 2 and told, "a close of each worker")
        assert {found[charger.name].rpartition("/")[2] for charger in told} == {"1", "2"}
        assert {charger.close_code() for charger in told} == {1012}
        assert readable(charger for charger in chargers.values() if charger not in told) == []
        daemon.send_signal(signal.SIGTERM)
        assert {charger.close_code() for charger in chargers.values() if charger not in told} == {1012}
        assert daemon.wait() == 0
        assert not [line for line in daemon.lines if set(line.split()[1:2]) & WORSE]


def readable(chargers: Iterable[Charger]) -> list[Charger]:
    """Those that something has come for."""
    return select.select(list(chargers), [], [], 0.1)[0]


def test_as_a_daemon(tmp_path: Path, servers: Servers) -> None:
    """Without -n: twistd returns when all workers are ready; there is one pidfile, and one log that rotates."""
    configure(tmp_path, names(1))
    port = free_port()
    options = ("--port", str(port), "--workers", "2", *servers.options)
    ended = run(tmp_path, foreground=False, options=options, env=variables())
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")
    pid = int((tmp_path / "twistd.pid").read_text())
    try:
        Charger(port, "W0").close()
        log = tmp_path / "twistd.log"
        assert "[1] listening on port" in log.read_text()
        assert "[2] listening on port" in log.read_text()
        os.kill(pid, signal.SIGUSR1)
        eventually((tmp_path / "twistd.log.1").exists, "the old log")
        Charger(port, "W0").close()
        eventually(lambda: "W0: connected" in log.read_text(), "a line of a worker in the new log")
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for_end(pid)
    assert not (tmp_path / "twistd.pid").exists()
    assert list(tmp_path.glob("*.pid")) == []


HANDLERS = """
from ocppd.central.handlers import CentralSystemHandlers
from twisted.logger import Logger

log = Logger()


class Loud(CentralSystemHandlers):
    def HeartbeatRequestHandler(self, charger, request, answer):
        log.info("{text}", text=charger.name + " " + "\\n".join(str(number) * 9 for number in range(3000)))
        print("printed by", charger.name)
        return answer
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_log(tmp_path: Path, servers: Servers, log_format: str) -> None:
    """The lines of all workers are whole, each names its worker, and long events are not torn apart."""
    (tmp_path / "loud.py").write_text(HANDLERS)
    options = ("--handlers", "loud:Loud", "--log-format", log_format)
    with Workers(tmp_path, servers, names(8), *options) as daemon:
        chargers = [Charger(daemon.port, name) for name in names(8)]
        for charger in chargers:
            charger.boot()
        for turn in range(5):
            for charger in chargers:
                charger.send([2, f"beat-{turn}", "Heartbeat", {}])
            for charger in chargers:
                charger.receive()
        assert daemon.stop() == 0
        assert daemon.errors == []
        text = "".join(daemon.lines)
        body = [str(number) * 9 for number in range(3000)]
        if log_format == "json":
            lines: list[dict[str, Any]] = [json.loads(line) for line in daemon.lines]
            assert {line.get("worker") for line in lines} == {None, 1, 2}
            loud = [line for line in lines if line["namespace"] == "loud"]
            assert sorted(line["message"] for line in loud) == sorted(f"{name} " + "\n".join(body) for name in names(8) * 5)
        else:
            for name in names(8):
                whole = f"loud: [{{}}] {name} " + "\n\t".join(body) + "\n"
                assert sum(text.count(whole.format(worker)) for worker in (1, 2)) == 5
        assert text.count("printed by") == 40
        assert STARTED in text


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter and read; tmp_path is its owner's alone."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its privileges away")
def test_privileges(open_directory: Path, servers: Servers) -> None:
    """With -u the supervisor binds first and then gives its privileges away; its workers never had them."""
    attempt = ["/bin/sh", "-c", f"exec '{sys.executable}' -c ''"]
    if subprocess.run(attempt, user=NOBODY, capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("this Python is in a directory that is closed to other users")
    options = ("-u", str(NOBODY), "-g", str(NOBODY), "--pidfile=")
    with Workers(open_directory, servers, [], twistd=options) as daemon:
        for pid in (daemon.process.pid, *daemon.pids().values()):
            assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in Path(f"/proc/{pid}/status").read_text()
        assert daemon.stop() == 0
