"""Where the time of a message goes: ocppd's CPU by thread and room, and its most expensive lines.

    python benchmarks/where.py [--mix real|heartbeat] [--seconds 8] [--chargers 200] [--lines 30] [-- OPTIONS OF OCPPD]

py-spy looks from outside at the line that holds Python's lock (the GIL). What a thread has used of CPU beyond that, as the
kernel counts it, was without the lock: in system calls for sockets and the disk, and in SQLite. Looking costs some per cent;
compare shares. C that keeps the lock, such as msgspec's, counts for the line that called it.
"""

from __future__ import annotations

import argparse
import linecache
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from driver import Generator, progress
from measure import cores
from scenarios import SETTLE_S
from servers import ROOT, Server, ocppd

#: Looks per second.
RATE = 400
PATIENCE_S = 30.0
WITHOUT = "without the lock"
#: A frame as py-spy tells it, and a thread.
_FRAME = re.compile(r"(.+) \((.+):(\d+)\)")
_THREAD = re.compile(r"thread \((\d+)\)(?:: (.*))?")
#: Lines that are a call of SQLite, whoever makes it.
_SQL = re.compile(r"\b(execute|executemany|do_execute|commit|fetchone|fetchall)\(")
_PACKAGE = re.compile(r".*/site-packages/([^/.]+)")

#: Thread, file, function, line, nanoseconds.
Sample = tuple[str, str, str, int, float]


def room(path: str, text: str) -> str:
    """Whose line this is."""
    if not path:
        return "without the lock: sockets, disk, SQLite"
    if "/ocppd/" in path:
        parts = path.rpartition("/ocppd/")[2].split("/")
        name = f"ocppd/{parts[0]}"
        return "sqlite" if name == "ocppd/storage" and _SQL.search(text) else name
    package = _PACKAGE.match(path)
    if package is None:
        return "the standard library"
    return "sqlite" if package[1] == "sqlalchemy" and "cursor." in text and _SQL.search(text) else package[1]


def second(item: tuple[Any, float]) -> float:
    """To sort by."""
    return item[1]


def report(samples: Sequence[Sample], messages: int, lines: int) -> Iterator[str]:
    """Tables of Markdown: by thread and room, and line by line."""
    rooms: dict[tuple[str, str], float] = defaultdict(float)
    places: dict[tuple[str, str, str, str], float] = defaultdict(float)
    for thread, path, function, line, weight in samples:
        text = linecache.getline(path, line).strip()
        rooms[thread, room(path, text)] += weight
        if path:
            places[thread, f"{short(path)}:{line}", function, text[:70].replace("|", "\\|")] += weight
    total = sum(rooms.values()) or 1
    yield from ("| thread | room | µs per message | share |", "|---|---|---:|---:|")
    for key, weight in sorted(rooms.items(), key=second, reverse=True):
        yield f"| {' | '.join(key)} | {weight / messages / 1e3:.1f} | {weight / total:.1%} |"
    yield f"| all | | {total / messages / 1e3:.1f} | |"
    yield from ("", "| thread | line | function | text | µs per message |", "|---|---|---|---|---:|")
    for place, weight in sorted(places.items(), key=second, reverse=True)[:lines]:
        thread, where, function, text = place
        yield f"| {thread} | {where} | {function} | `{text}` | {weight / messages / 1e3:.2f} |"


def short(path: str) -> str:
    """A path without what is the same for all."""
    for head in (f"{ROOT}/", "/site-packages/"):
        if head in path:
            return path.partition(head)[2]
    return "/".join(path.rsplit("/", 2)[1:])


def threads(pid: int) -> dict[int, tuple[str, int]]:
    """The threads of a process: their names, and nanoseconds of CPU so far."""
    found = {}
    for path in Path(f"/proc/{pid}/task").iterdir():
        name = (path / "comm").read_text(encoding="utf-8").strip()
        found[int(path.name)] = name, int((path / "schedstat").read_text(encoding="ascii").split()[0])
    return found


def weighed(raw: str, used: dict[int, int], names: dict[int, str], look_ns: float) -> list[Sample]:
    """What py-spy has seen, as nanoseconds; and for each thread what it has used beyond that."""
    found: list[Sample] = []
    left = {ident: float(cpu) for ident, cpu in used.items()}
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        thread = _THREAD.match(stack.split(";", 1)[0])
        frame = _FRAME.fullmatch(stack.rpartition(";")[2])
        if thread is None or frame is None:
            continue
        ident, weight = int(thread[1]), int(count) * look_ns
        names[ident] = thread[2] or names.get(ident, "thread")
        left[ident] = left.get(ident, 0.0) - weight
        found.append((names[ident], frame[2], frame[1], int(frame[3]), weight))
    return found + [(names[ident], "", WITHOUT, 0, rest) for ident, rest in left.items() if rest > 0]


def look(pid: int, seconds: float, path: Path) -> subprocess.Popen[bytes]:
    """Begin to look at a process, on the load generator's core."""
    program = shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise SystemExit("there is no py-spy: pip install '.[bench]'")
    options = (
        "--gil",
        "--nonblocking",
        "--format",
        "raw",
        "--threads",
        "--full-filenames",
        "--rate",
        str(RATE),
        "--pid",
        str(pid),
    )
    core = cores()[1]
    return subprocess.Popen(
        [program, "record", *options, "--duration", str(max(1, round(seconds))), "--output", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, core),  # noqa: PLW1509
    )


def sampled(options: Sequence[str], mix: str, chargers: int, seconds: float) -> tuple[list[Sample], dict[str, Any]]:
    """Run the daemon under load; what was seen, and what the load generator saw."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "ocppd"
        raw = Path(directory) / "raw"
        with Server(ocppd("ocppd", *options), place, chargers) as server, Generator() as generator:
            generator.ask("connect", url=server.url, count=chargers, begin="start")
            time.sleep(SETTLE_S)
            before = threads(server.pid)
            looking = look(server.pid, seconds, raw)
            result = generator.ask("closed", pid=server.pid, mix=mix, seconds=seconds, warm=0)
            after = threads(server.pid)
            if looking.wait(PATIENCE_S) != 0:
                raise SystemExit("py-spy may not look at the daemon: that needs the right to trace processes")
        used = {ident: cpu - before.get(ident, ("", 0))[1] for ident, (_, cpu) in after.items()}
        names = {ident: name for ident, (name, _) in after.items()}
        return weighed(raw.read_text(encoding="utf-8"), used, names, 1e9 / RATE), result


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mix", choices=("real", "heartbeat"), default="real")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--chargers", type=int, default=200)
    parser.add_argument("--lines", type=int, default=30, help="how many of the most expensive lines (default: 30)")
    parser.add_argument("options", nargs="*", help="options of ocppd, after --")
    typed = parser.parse_args()
    progress(f"{typed.mix} mix for {typed.seconds:g} s")
    samples, result = sampled(typed.options, typed.mix, typed.chargers, typed.seconds)
    print(
        f"{typed.mix} mix, ocppd {' '.join(typed.options) or 'as it comes'}: {result['messages']} messages, "
        f"{result['cpu']:.1f} µs of CPU each\n"
    )
    print("\n".join(report(samples, result["messages"], typed.lines)))


if __name__ == "__main__":
    main()
