"""The tables of docs/performance.md, from the rounds that run.py has kept. Pure.

python benchmarks/tables.py [benchmarks/results.json]
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import targets
from rounds import good, ratios, reason, spread

RESULTS = Path(__file__).with_name("results.json")
PICOWS = "picows echo"
MIX_TITLES = {
    "heartbeat": "Heartbeats",
    "real": "Real mix (60 % MeterValues of six samples, 20 % StatusNotification, 20 % Heartbeat)",
}

Results = dict[str, Any]
Column = tuple[str, str, Callable[[float], str]]


def whole(value: float) -> str:
    """Of a number that is great."""
    return f"{value:,.0f}"


def tenths(value: float) -> str:
    """Of one that is not."""
    return f"{value:.1f}"


def hundredths(value: float) -> str:
    """Of a small one."""
    return f"{value:.2f}"


RATE: Column = ("messages/s", "rate", whole)
CPU: Column = ("CPU µs per message", "cpu", tenths)
LATENCIES: tuple[Column, ...] = (("p50 ms", "p50", tenths), ("p99 ms", "p99", tenths), ("p99.9 ms", "p999", tenths))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown: names on the left, numbers on the right."""
    yield f"| {' | '.join(heads)} |"
    yield "|---|" + "---:|" * (len(heads) - 1)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def rows(found: dict[str, list[Results]], columns: Sequence[Column], against: str | None = None) -> Iterator[list[str]]:
    """A row for each contender: medians with their spread, then the CPU against that of `against`."""
    for name, results in found.items():
        if not good(results):
            yield [name, reason(results), *[""] * (len(columns) - 1 + (against is not None))]
            continue
        cells = [spread(results, key, form) for _, key, form in columns]
        if against is not None:
            shares = ratios(results, found[against], "cpu") if against in found else []
            cells.append(hundredths(statistics.median(shares)) if shares else "")
        yield [name, *cells]


def heads(columns: Sequence[Column], *more: str) -> list[str]:
    """The heads of such a table."""
    return ["", *(head for head, _, _ in columns), *more]


def messages(found: Results) -> Iterator[str]:
    """Closed loops."""
    columns = (RATE, CPU, *LATENCIES)
    for mix, title in MIX_TITLES.items():
        own = {name: [each.get(mix, each) for each in results] for name, results in found["rounds"].items()}
        yield from (f"**{title}**: {found['chargers']} chargers, one message outstanding each.", "")
        yield from table(heads(columns, "CPU to picows"), list(rows(own, columns, PICOWS)))
        yield ""


def open_loops(found: Results) -> Iterator[str]:
    """Open loops."""
    columns = (*LATENCIES, ("lag p99 ms", "lag", hundredths), ("fdatasync p99 ms", "fdatasync", tenths), CPU)
    for case in found["cases"]:
        yield from (f"**Open loop**: {case['chargers']:,} chargers at {case['rate']:,} messages/s, real mix.", "")
        kept = {name: [each for each in results if not each.get("void")] for name, results in case["rounds"].items()}
        void = sum(len(results) for results in case["rounds"].values()) - sum(map(len, kept.values()))
        yield from table(heads(columns), list(rows(kept, columns)))
        late = sum(each["unanswered"] for results in kept.values() for each in good(results))
        yield from ("", f"Void, because the load generator was late: {void}. Messages without an answer: {late}.", "")


def idle(found: Results) -> Iterator[str]:
    """Memory."""
    columns = (("KiB, resident", "rss", hundredths), ("KiB, its own", "private", hundredths))
    yield from (f"**Memory per idle, booted charger**, of {found['chargers']:,}.", "")
    yield from (*table(heads(columns), list(rows(found["rounds"], columns))), "")


def soak(found: Results) -> Iterator[str]:
    """Memory over time."""
    samples = [sample / 1024 for sample in found["samples"]]
    quarter = max(1, len(samples) // 4)
    first, last = statistics.median(samples[:quarter]), statistics.median(samples[-quarter:])
    yield from (f"**Soak**: {found['chargers']:,} idle chargers for {found['seconds']:,.0f} s.", "")
    names = ("MiB, first quarter", "last quarter", "least", "most", "cores used", "connections lost")
    cells = (*map(tenths, (first, last, min(samples), max(samples))), f"{found['busy']:.1%}", str(found["lost"]))
    yield from (*table(["", *names], [["ocppd", *cells]]), "")


def reconnect(found: Results) -> Iterator[str]:
    """All chargers at once."""
    columns = (
        ("server CPU s", "cpu", hundredths),
        ("µs per charger", "each", whole),
        ("until all have booted, s", "seconds", tenths),
    )
    yield from (f"**{found['chargers']:,} chargers reconnect and boot.**", "")
    yield from (*table(heads(columns), list(rows(found["rounds"], columns))), "")


def triggers(found: Results) -> Iterator[str]:
    """Commands."""
    columns = (("calls/s", "rate", whole), ("CPU µs per call", "cpu", whole), *LATENCIES)
    yield from (f"**TriggerMessage by HTTP with the charger's answer**, {found['clients']} clients.", "")
    yield from (*table(heads(columns), list(rows(found["rounds"], columns))), "")


def stored(found: Results) -> Iterator[str]:
    """By what is stored."""
    least = next(iter(found["rounds"]))
    columns = (RATE, CPU, LATENCIES[1])
    lines = list(rows(found["rounds"], columns, least))
    yield from ("**Cost of a message by stored transactions**, real mix, ocppd with SQLite FULL.", "")
    named = [[f"{int(row[0]):,} ({found['bytes'][row[0]] / 1024**2:,.0f} MiB)", *row[1:]] for row in lines]
    yield from (*table(["transactions", *heads(columns, "CPU to the first")[1:]], named), "")


def connected(found: Results) -> Iterator[str]:
    """By connected chargers."""
    cases, columns = found["cases"], (RATE, CPU, LATENCIES[1])
    lines = []
    for name in cases[0]["rounds"]:
        own = {f"{name}, {case['chargers']:,}": case["rounds"][name] for case in cases}
        lines += rows(own, columns, next(iter(own)))
    yield from ("**Cost of a message by connected chargers**, real mix, one message outstanding each.", "")
    yield from (*table(heads(columns, "CPU to the first"), lines), "")


def lists(found: Results) -> Iterator[str]:
    """What operators read."""
    held = f"{found['chargers']:,} chargers, {found['transactions']:,} transactions and {found['samples']:,} samples"
    columns = (("ms", "ms", tenths), ("slowest, ms", "slowest", tenths), ("KiB", "kib", whole))
    own = {name: [each["lists"][name] for each in found["rounds"]] for name in found["rounds"][0]["lists"]}
    yield from (f"**Lists over HTTP**: {held}, ocppd with SQLite FULL.", "")
    yield from (*table(heads(columns), list(rows(own, columns))), "")
    columns = (("rows/s", "rows", whole), ("MiB before", "before", tenths), ("MiB after", "after", tenths))
    own = {"CSV of meter values": [each["export"] for each in found["rounds"]]}
    yield from ("**An export of the same**, of which some seconds are read; and what the daemon has in memory.", "")
    yield from (*table(heads(columns), list(rows(own, columns))), "")
    columns = (RATE, CPU, LATENCIES[0], LATENCIES[1])
    own = {name: [each[name] for each in found["rounds"]] for name in ("alone", "beside an export of meter values")}
    yield from ("**Messages beside an export**, real mix, 200 chargers; CPU is that of both.", "")
    yield from (*table(heads(columns), list(rows(own, columns))), "")


def aims(results: Results) -> Iterator[str]:
    """What is wanted, and what was found."""
    lines = [list(each) for each in targets.judged(results["scenarios"], quick=results["plan"]["quick"])]
    yield from ("**Targets** (medians; ratios are those within a round).", "")
    yield from (*table(["target", "wanted", "found", "met"], lines), "")


TABLES: dict[str, Callable[[Results], Iterator[str]]] = {
    "messages": messages,
    "open": open_loops,
    "idle": idle,
    "soak": soak,
    "reconnect": reconnect,
    "triggers": triggers,
    "stored": stored,
    "connected": connected,
    "lists": lists,
}


def document(results: Results) -> str:
    """All tables of these results."""
    machine, plan = results["machine"], results["plan"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    how = f"{plan['rounds']} rounds of {plan['seconds']:g} s, median (least–most)"
    quick = " This was a quick run, which shows that all runs, and no figures to rely on." if plan["quick"] else ""
    lines = [f"{where}; {how}.{quick}", "", *aims(results)]
    for name, found in results["scenarios"].items():
        lines += TABLES[name](found)
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> None:
    """Print them."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    sys.stdout.write(document(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
