"""What is wanted, held against what was found. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from rounds import good, middle, ratio, reason

Results = dict[str, Any]
#: What it is, at most or at least so much, what was found (None: not measured; or why not), the unit.
Aim = tuple[str, str, float, float | str | None, str]

#: Names of contenders: servers.py.
PICOWS, MOBILITYHOUSE, OCPP_RPC = "picows echo", "mobilityhouse ocpp", "ocpp-rpc, strict"
DURABLE = "ocppd, SQLite FULL"
#: The first that is there stands for ocppd without storage.
WITHOUT_STORAGE = ("ocppd, no storage", "ocppd, SQLite in memory")


def messages(found: Results) -> Iterator[Aim]:
    """Closed loops."""
    rounds = found["rounds"]
    none = next(name for name in WITHOUT_STORAGE if name in rounds)

    def own(name: str, mix: str) -> list[Results]:
        return [each.get(mix, each) for each in rounds.get(name, [])]

    def against(name: str, other: str, mix: str, key: str) -> float | None:
        return ratio(own(name, mix), own(other, mix), key)

    yield "heartbeats, CPU to picows echo", "≤", 2.2, against(DURABLE, PICOWS, "heartbeat", "cpu"), "×"
    yield f"real mix, {none.removeprefix('ocppd, ')}, CPU to picows echo", "≤", 2.7, against(none, PICOWS, "real", "cpu"), "×"
    yield "real mix, durable, CPU to picows echo", "≤", 4.5, against(DURABLE, PICOWS, "real", "cpu"), "×"
    yield "real mix, durable, messages/s to ocpp-rpc", "≥", 1.3, against(DURABLE, OCPP_RPC, "real", "rate"), "×"
    yield "real mix, durable, messages/s to mobilityhouse", "≥", 12.0, against(DURABLE, MOBILITYHOUSE, "real", "rate"), "×"


def open_loops(found: Results) -> Iterator[Aim]:
    """Open loops. The limit has twice the disk's own p99 in it."""
    for case, limit in zip(found["cases"], (8.0, 25.0), strict=False):
        every = case["rounds"].get(DURABLE, [])
        results = good(every)
        disk = statistics.median(each["fdatasync"] for each in results) if results else 0.0
        # What is not answered at all counts as late.
        whole = all(not each["unanswered"] for each in results)
        title = f"{case['chargers']:,} chargers at {case['rate']:,}/s, durable, p99"
        found_p99 = middle(results, "p99") if whole else float("inf")
        yield title, "≤", limit + 2 * disk, found_p99 if results or not every else reason(every), " ms"


def idle(found: Results) -> Iterator[Aim]:
    """Memory."""
    yield "memory per idle charger", "≤", 8.0, middle(found["rounds"].get(DURABLE, []), "rss"), " KiB"


def soak(found: Results) -> Iterator[Aim]:
    """Growth of memory, from the first quarter to the last."""
    samples = found["samples"]
    quarter = max(1, len(samples) // 4)
    grown = statistics.median(samples[-quarter:]) / statistics.median(samples[:quarter])
    yield f"{found['chargers']:,} idle chargers, growth of memory", "≤", 1.01, grown, "×"


def reconnect(found: Results) -> Iterator[Aim]:
    """All chargers at once."""
    yield f"{found['chargers']:,} chargers reconnect and boot, CPU", "≤", 8.0, middle(found["rounds"][DURABLE], "cpu"), " s"


def triggers(found: Results) -> Iterator[Aim]:
    """Commands."""
    yield "triggers by HTTP, calls/s", "≥", 2500.0, middle(found["rounds"][DURABLE], "rate"), ""


def stored(found: Results) -> Iterator[Aim]:
    """By what is stored: the most to the least."""
    rounds = list(found["rounds"].values())
    yield "CPU per message, most to fewest stored transactions", "≤", 1.2, ratio(rounds[-1], rounds[0], "cpu"), "×"


def connected(found: Results) -> Iterator[Aim]:
    """By connected chargers: the most to the fewest."""
    first, last = found["cases"][0]["rounds"][DURABLE], found["cases"][-1]["rounds"][DURABLE]
    yield "CPU per message, most to fewest connected chargers", "≤", 2.5, ratio(last, first, "cpu"), "×"


AIMS = {
    "messages": messages,
    "open": open_loops,
    "idle": idle,
    "soak": soak,
    "reconnect": reconnect,
    "triggers": triggers,
    "stored": stored,
    "connected": connected,
}


def judged(scenarios: Results, *, quick: bool) -> Iterator[tuple[str, str, str, str]]:
    """Each target of what was measured: its name, what is wanted, what was found, whether it is met.

    A quick run has too few rounds and chargers to tell.
    """
    for name, found in scenarios.items():
        if name not in AIMS:
            continue
        for title, sense, limit, value, unit in AIMS[name](found):
            wanted = f"{sense} {number(limit)}{unit}"
            if value is None or isinstance(value, str):
                yield title, wanted, value or "not measured", ""
                continue
            met = value <= limit if sense == "≤" else value >= limit
            yield title, wanted, f"{number(value)}{unit}", "" if quick else "yes" if met else "no"


def number(value: float) -> str:
    """As many digits as it needs."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
