"""ocppd, the bare limits and its peers side by side, in one interleaved run. Prints tables in Markdown.

    python benchmarks/run.py [--rounds 5] [--seconds 4] [--only messages,open] [--quick] [--soak] [--write results.json]

Needs `pip install '.[test,bench]'`; with Node and npm, ocpp-rpc is measured, too. Each server is a process of its own on
one core; the load generator has the others. Everything is on 127.0.0.1. Progress is on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import growth
import lists
import scenarios
import tables
from driver import progress
from measure import cores, open_files
from scenarios import Plan

SCENARIOS: dict[str, Callable[[Plan], dict[str, Any]]] = {
    "messages": scenarios.messages,
    "open": scenarios.open_loops,
    "idle": scenarios.idle,
    "reconnect": scenarios.reconnect,
    "triggers": scenarios.triggers,
    "stored": growth.stored,
    "connected": growth.connected,
    "lists": lists.lists,
    "soak": scenarios.soak,
}
#: Ten minutes, so only when asked for.
ON_DEMAND = ("soak",)
QUICK_ROUNDS, QUICK_SECONDS, QUICK_SCALE = 2, 1.0, 10

EPILOG = """
scenarios:
  messages   closed loops of 200 chargers: CPU per message, messages/s, latencies
  open       open loops at 4,000 and 5,000 messages/s: latencies from the intended time
  idle       memory per idle charger, of 10,000
  reconnect  10,000 chargers come back and boot
  triggers   TriggerMessage by HTTP with the charger's answer
  stored     cost of a message with 1,000 to 1,000,000 transactions in the database
  connected  cost of a message with 100 to 10,000 chargers
  lists      lists and exports over HTTP of 200,000 transactions, and messages beside an export
  soak       20,000 idle chargers for ten minutes: with --soak, or where named
"""


def machine() -> dict[str, Any]:
    """Where this was measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"Linux {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
    }


def rounded(value: Any) -> Any:
    """The same with five digits, so that what is kept and what is printed come of the same numbers."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def chosen(text: str | None, soak: bool) -> list[str]:
    """The scenarios to run. Raises SystemExit where there is none of that name."""
    names = [name for name in SCENARIOS if name not in ON_DEMAND] if text is None else text.split(",")
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise SystemExit(f"there is no scenario {unknown[0]!r}: {', '.join(SCENARIOS)}")
    return [*names, *(name for name in ON_DEMAND if soak and name not in names)]


def kept(path: Path | None) -> dict[str, Any]:
    """The scenarios that a file has of an earlier run."""
    found: dict[str, Any] = (
        json.loads(path.read_text(encoding="utf-8"))["scenarios"] if path is not None and path.exists() else {}
    )
    return found


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender takes its turn (default: 5)")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="measured in each turn, after a second of warm-up (default: 4)"
    )
    parser.add_argument("--only", metavar="SCENARIO,…", help="these scenarios alone")
    parser.add_argument("--quick", action="store_true", help="two rounds of a second, a tenth of the chargers: does it all run?")
    parser.add_argument("--soak", action="store_true", help="the soak, too")
    parser.add_argument(
        "--directory", type=Path, help="where databases are made, to measure that disk (default: as for tempfile)"
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="keep all rounds as JSON, for tables.py; others in it stay",
    )
    return parser.parse_args()


def main() -> None:
    """Everything, in one run."""
    typed = arguments()
    names = chosen(typed.only, typed.soak)
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if typed.quick else (typed.rounds, typed.seconds)
    progress(f"{open_files()} open files; server and load generator on {cores()[0] or 'any core'} and {cores()[1] or 'any core'}")
    results: dict[str, Any] = {
        "machine": machine(),
        "plan": {"rounds": rounds, "seconds": seconds, "quick": typed.quick, "date": time.strftime("%Y-%m-%d")},
        "scenarios": kept(typed.write),
    }
    with tempfile.TemporaryDirectory(dir=typed.directory) as directory:
        plan = Plan(Path(directory), rounds, seconds, min(1.0, seconds), QUICK_SCALE if typed.quick else 1)
        for name in names:
            results["scenarios"][name] = rounded(SCENARIOS[name](plan))
            if typed.write is not None:  # after each, so that a run that is broken off leaves what it has
                typed.write.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(tables.document(results))


if __name__ == "__main__":
    main()
