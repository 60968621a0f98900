"""CPU, memory and disk, as Linux tells them; percentiles."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

#: Bits of a clock id that mean the CPU of a whole process, by its id (clock_getcpuclockid(3)).
_PROCESS_CLOCK = 2
APPEND = 4096
SYNCS = 400


def cpu_ns(pid: int) -> int:
    """Nanoseconds of CPU of a process, all its threads, also those that have ended."""
    return time.clock_gettime_ns((~pid << 3) | _PROCESS_CLOCK)


def waited_ns() -> int:
    """Nanoseconds for which this process was ready to run, and another one had the core."""
    return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1])


def memory(pid: int) -> dict[str, int]:
    """KiB of a process: resident, its share of what it shares, and what is its own."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, _, size = line.partition(":")
        found[name] = int(size.split()[0])
    return {"rss": found["Rss"], "pss": found["Pss"], "private": found["Private_Clean"] + found["Private_Dirty"]}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least value that `share` of the ordered values do not exceed."""
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * share // 1) - 1))]


def latencies(took: list[float]) -> dict[str, float]:
    """Milliseconds: p50, p99, p99.9 and the worst. Nothing where nothing was answered."""
    if not took:
        return {}
    took.sort()
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "worst": 1.0}
    return {name: percentile(took, share) * 1e3 for name, share in shares.items()}


def fdatasync(directory: Path, count: int = SYNCS) -> dict[str, float]:
    """How long a small append takes until it is on the disk of this directory, in ms."""
    path = directory / "fdatasync"
    took = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            os.write(descriptor, bytes(APPEND))
            began = time.perf_counter()
            os.fdatasync(descriptor)
            took.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return latencies(took)


def open_files() -> int:
    """Raise the limit of open files as far as it goes; what it is."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cores() -> tuple[set[int] | None, set[int] | None]:
    """Where the server runs, and where all else: None where there is one core alone."""
    available = sorted(os.sched_getaffinity(0))
    return ({available[0]}, set(available[1:])) if len(available) > 1 else (None, None)
