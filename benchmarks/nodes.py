"""What a message, a connection and a command cost with several nodes: in ocppd, in PostgreSQL and in Redis.

    python benchmarks/nodes.py [--rounds 5] [--seconds 4] [--chargers 100] [--write benchmarks/costs.json]

Needs the test dependencies of ocppd (they bring both servers). Everything runs on 127.0.0.1, on private ports, in one
interleaved run; the load generator is a process of its own on the same machine. Prints medians with the least and the
greatest round, in microseconds of CPU, and the ratios. `--write` keeps the medians, for scaling.py to compute from.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import postgresql  # noqa: E402
from support.daemon import environment  # noqa: E402
from support.programs import Daemon, Program  # noqa: E402
from support.redis import RedisServer  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")
#: Chargers that connect at once, to see what a connection costs.
CONNECTIONS = 400
COMMANDS = 200


def processes() -> dict[int, tuple[int, float, int]]:
    """Every process: its parent, the seconds of CPU of it and of its children that have ended, its resident bytes."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(status.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / TICKS, int(fields[21]) * PAGE
    return found


Costs = dict[str, Any]


@dataclass
class Tree:
    """A process with all its descendants."""

    pid: int

    def _members(self) -> Iterator[tuple[float, int]]:
        found = processes()
        known = {self.pid}
        while more := {pid for pid, (parent, _, _) in found.items() if parent in known} - known:
            known |= more
        return ((found[pid][1], found[pid][2]) for pid in known if pid in found)

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        return sum(seconds for seconds, _ in self._members())

    def resident(self) -> int:
        """Bytes of memory."""
        return sum(size for _, size in self._members())


class Bench:
    """The servers, and the daemons that are compared."""

    def __init__(self, stack: ExitStack, directory: Path, chargers: int) -> None:
        programs = postgresql.programs()
        if programs is None:
            raise SystemExit("there is no PostgreSQL: install ocppd's test dependencies")
        self.server = postgresql.Server(programs)
        stack.callback(self.server.close)
        self.broker = RedisServer().start()
        stack.callback(self.broker.close)
        self._stack = stack
        self._directory = directory
        self._names = [f"B-{number}" for number in range(max(chargers, CONNECTIONS))]

    def daemon(self, name: str, *options: str, plain: bool = False) -> Daemon:
        """A daemon that runs until the end; `plain` where the port must be a number."""
        directory = self._directory / name
        directory.mkdir()
        configuration = {"Quiet": True, "Chargers": [{"Name": each} for each in self._names]}
        port = "{}" if plain else "tcp:{}:interface=127.0.0.1"
        env = environment({"OCPPD_SECRET_KEY": postgresql.SECRET_KEY, "OCPPD_NODE": name})
        return self._stack.enter_context(Daemon(directory, configuration, options=options, env=env, port=port))

    def shared(self, *options: str, database: str | None = None) -> tuple[str, ...]:
        """Options for a database on the server."""
        return ("--database", self.server.url(database or self.server.create(migrated=False)), *options)

    def size(self) -> int:
        """Bytes of all databases on the server."""
        with self.server.admin() as connection:
            row = connection.execute("SELECT sum(pg_database_size(datname)) FROM pg_database").fetchone()
        return int(row[0]) if row is not None else 0

    def parts(self, *daemons: Daemon) -> dict[str, Tree | list[Tree]]:
        """Whose CPU is counted."""
        return {
            "ocppd": [Tree(daemon.process.pid) for daemon in daemons],
            "postgresql": [Tree(self.server.pid)],
            "redis": [Tree(self.broker.pid)],
        }


def used(parts: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of CPU so far, by part."""
    return {name: sum(tree.cpu() for tree in trees) for name, trees in parts.items()}


@contextmanager
def load(directory: Path, count: int, seconds: float, mix: str, *urls: str) -> Iterator[Program]:
    """The load generator, its chargers connected."""
    arguments = [sys.executable, str(ROOT / "benchmarks" / "load.py"), str(count), "B", str(seconds), mix, *urls]
    with Program(arguments, directory) as program:
        program.wait_for('"ready"')
        yield program


def messages(bench: Bench, directory: Path, sides: Mapping[str, Daemon], arguments: argparse.Namespace) -> Costs:
    """The real mix, durable: CPU per message, and the bytes of it that PostgreSQL keeps."""
    size, sent = bench.size(), 0
    results: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for number in range(arguments.rounds):
        for name, daemon in sides.items():
            progress(f"messages: round {number + 1} of {arguments.rounds}, {name}")
            with load(directory, arguments.chargers, arguments.seconds, "real", daemon.url) as program:
                parts = bench.parts(daemon)
                before = used(parts)
                program.tell("go")
                result = json.loads(program.wait_for('"messages"'))
                after = used(parts)
            cost = {part: (after[part] - before[part]) / result["messages"] * 1e6 for part in after}
            sent += 0 if name == "SQLite" else result["messages"]
            results[name].append({**cost, "rate": result["messages"] / result["seconds"], "p99": result["p99"] * 1e3})
    print("\nReal mix (60 % MeterValues of six samples, 20 % StatusNotification, 20 % Heartbeat), each answer after its commit")
    print(f"{'':22}{'messages/s':>22}{'µs ocppd':>22}{'µs postgresql':>22}{'µs redis':>18}{'p99 ms':>20}")
    for name, rounds in results.items():
        columns = [spread([each[key] for each in rounds]) for key in ("rate", "ocppd", "postgresql", "redis", "p99")]
        print(f"{name:22}{columns[0]:>22}{columns[1]:>22}{columns[2]:>22}{columns[3]:>18}{columns[4]:>20}")
    one, two = (statistics.median(each["ocppd"] for each in results[name]) for name in ("one worker", "two workers"))
    print(f"CPU of ocppd per message, two workers to one: {two / one:.2f}")
    if (os.cpu_count() or 1) < 5:
        print("messages per second, two workers to one: not measured (four free cores are needed)")
    else:
        rates = [statistics.median(each["rate"] for each in results[name]) for name in ("one worker", "two workers")]
        print(f"messages per second, two workers to one: {rates[1] / rates[0]:.2f}")
    kept = (bench.size() - size) / sent
    print(f"PostgreSQL keeps {kept:.0f} bytes per message of the mix, indexes included")
    return {"message": medians(results["one worker"]), "message of two workers": medians(results["two workers"]), "bytes": kept}


def connections(bench: Bench, directory: Path, sides: Mapping[str, Daemon], arguments: argparse.Namespace) -> Costs:
    """A connection with its boot and a start: CPU, and memory while nothing happens."""
    shares: list[float] = []
    results: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for number in range(arguments.rounds):
        for name, daemon in sides.items():
            progress(f"connections: round {number + 1} of {arguments.rounds}, {name}")
            parts = bench.parts(daemon)
            before, resident = used(parts), Tree(daemon.process.pid).resident()
            with load(directory, CONNECTIONS, 0, "idle", daemon.url):
                after = used(parts)
                size = (Tree(daemon.process.pid).resident() - resident) / CONNECTIONS / 1024
                if name == "two workers":
                    shares += [max(holders(daemon).values()) / CONNECTIONS * 2 - 1]
            results[name].append({part: (after[part] - before[part]) / CONNECTIONS * 1e6 for part in after} | {"size": size})
    print(f"\nConnect, BootNotification and StartTransaction of {CONNECTIONS} chargers at once")
    print(f"{'':22}{'µs ocppd':>22}{'µs postgresql':>22}{'µs redis':>18}{'KiB (first round)':>20}")
    for name, rounds in results.items():
        columns = [spread([each[key] for each in rounds]) for key in ("ocppd", "postgresql", "redis")]
        print(f"{name:22}{columns[0]:>22}{columns[1]:>22}{columns[2]:>18}{rounds[0]['size']:>20.1f}")
    print(f"the fuller of two workers has at most {max(shares):.1%} more than its half of the connections")
    return {"connection": medians(results["one worker"]), "KiB": results["one worker"][0]["size"]}


def holders(daemon: Daemon) -> Counter[str]:
    """How many chargers are connected to each worker."""
    listed = daemon.http("GET", "/api/v1/chargers?connected=true&limit=500").json["items"]
    return Counter(charger["node"] for charger in listed)


def commands(bench: Bench, directory: Path, arguments: argparse.Namespace) -> Costs:
    """A command through the charger's node and through another one, one after the other."""
    database = bench.server.create(migrated=False)
    options = bench.shared("--redis", bench.broker.url(), database=database)
    nodes = [bench.daemon(f"n{number}", *options) for number in range(2)]
    results: dict[str, list[dict[str, float]]] = {"own node": [], "another node": []}
    took: dict[str, list[float]] = {"own node": [], "another node": []}
    with load(directory, 20, 0, "idle", nodes[0].url):
        for number in range(arguments.rounds):
            for name, node in zip(results, nodes, strict=True):
                progress(f"commands: round {number + 1} of {arguments.rounds}, {name}")
                parts = bench.parts(*nodes)
                before = used(parts)
                for turn in range(COMMANDS):
                    began = time.perf_counter()
                    answer = node.http("POST", f"/api/v1/chargers/B-{turn % 20}/commands/ClearCache?wait=30", {})
                    took[name].append(time.perf_counter() - began)
                    if answer.status != 200:
                        raise SystemExit(f"a command failed: {answer.status} {answer.body!r}")
                after = used(parts)
                results[name].append({part: (after[part] - before[part]) / COMMANDS * 1e6 for part in after})
    print("\nCommand by HTTP, with the charger's answer; all nodes together")
    print(f"{'through':22}{'µs ocppd':>22}{'µs postgresql':>22}{'µs redis':>18}{'p50 ms':>12}{'p99 ms':>12}")
    for name, rounds in results.items():
        columns = [spread([each[key] for each in rounds]) for key in ("ocppd", "postgresql", "redis")]
        middle, high = percentiles(took[name])
        print(f"{name:22}{columns[0]:>22}{columns[1]:>22}{columns[2]:>18}{middle:>12.1f}{high:>12.1f}")
    own, other = (percentiles(took[name])[0] for name in took)
    print(f"p50 through another node to p50 through its own: {other / own:.2f}")
    return {"command": medians(results["own node"]), "command through another node": medians(results["another node"])}


def idle(bench: Bench, sides: Mapping[str, Daemon], seconds: float) -> Costs:
    """Nodes that have nothing to do."""
    progress("idle nodes")
    servers = {"PostgreSQL's server": [Tree(bench.server.pid)], "Redis' server": [Tree(bench.broker.pid)]}
    parts = {name: [Tree(daemon.process.pid)] for name, daemon in sides.items()} | servers
    before = used(parts)
    time.sleep(seconds)
    after = used(parts)
    shares = ", ".join(f"{name} {(after[name] - before[name]) / seconds:.2%}" for name in parts)
    print(f"\nIdle for {seconds:g} s, in cores: {shares}")
    return {}


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each part's microseconds."""
    return {part: statistics.median(each[part] for each in rounds) for part in ("ocppd", "postgresql", "redis")}


def spread(values: list[float]) -> str:
    """Median, with the least and the greatest."""
    return f"{statistics.median(values):.0f} ({min(values):.0f}–{max(values):.0f})"


def percentiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2] * 1e3, ordered[len(ordered) * 99 // 100] * 1e3


def progress(text: str) -> None:
    """What is going on, for whoever watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    else:
        sys.stderr.write(f"{text}\n")


def main() -> None:
    """Everything, in one run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round of messages")
    parser.add_argument("--chargers", type=int, default=100, help="that send messages at once")
    parser.add_argument("--write", type=Path, help="a file for the medians")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(stack, directory, arguments.chargers)
        redis = ("--redis", bench.broker.url())
        sides = {
            "SQLite": bench.daemon("sqlite"),
            "PostgreSQL": bench.daemon("postgresql", *bench.shared()),
            "one worker": bench.daemon("one", *bench.shared(*redis)),
            "two workers": bench.daemon("two", *bench.shared(*redis), "--workers", "2", plain=True),
        }
        steps: list[Callable[[], Costs]] = [
            lambda: connections(bench, directory, sides, arguments),
            lambda: messages(bench, directory, sides, arguments),
            lambda: commands(bench, directory, arguments),
            lambda: idle(bench, sides, 10.0),
        ]
        print(
            f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {arguments.chargers} chargers, {arguments.rounds} rounds"
        )
        costs: Costs = {}
        for step in steps:
            costs |= step()
        if arguments.write is not None:
            arguments.write.write_text(json.dumps(costs, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
