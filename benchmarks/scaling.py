"""What so many chargers need, computed from what nodes.py has measured.

    python benchmarks/scaling.py [benchmarks/costs.json]

Prints the tables of docs/scaling.md. The assumptions are the constants below; change them to see what they do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COSTS = Path(__file__).with_name("costs.json")
CHARGERS = (10_000, 100_000, 1_000_000)

DAY_S = 86_400
#: Of one charger and day.
HEARTBEATS = DAY_S / 300
TRANSACTIONS = 2.0
METER_VALUES = TRANSACTIONS * 60  # of an hour each, a message of six samples a minute
STATUSES = TRANSACTIONS * 5
CONNECTS = 2.0
COMMANDS = 4.0
#: The busiest minutes of a day against its mean.
PEAK = 3.0
#: How much of a core may be used at the peak: the rest is for reconnects, and for the queues to stay short.
LOAD = 0.5
#: How soon all chargers are to be back after everything has failed.
STORM_S = 300.0
#: A process that serves this many has memory, file descriptors and a garbage collector that are well tried.
CHARGERS_PER_WORKER = 10_000

MESSAGES = HEARTBEATS + 2 * TRANSACTIONS + METER_VALUES + STATUSES + 2 * CONNECTS


def needs(count: int, costs: dict[str, Any]) -> dict[str, float]:
    """What `count` chargers need."""
    messages_s = count * MESSAGES / DAY_S * PEAK
    connects_s = count * CONNECTS / DAY_S * PEAK
    commands_s = count * COMMANDS / DAY_S * PEAK
    found = {"messages": messages_s, "connects": connects_s, "commands": commands_s}
    for part in ("ocppd", "postgresql", "redis"):
        micros = (
            messages_s * costs["message"][part]
            + connects_s * costs["connection"][part]
            + commands_s * costs["command through another node"][part]
        )
        found[part] = micros / 1e6 / LOAD
        found[f"{part} storm"] = count * costs["connection"][part] / 1e6 / STORM_S / LOAD
    found["workers"] = max(1, -(-count // CHARGERS_PER_WORKER), -(-found["ocppd"] // 1), -(-found["ocppd storm"] // 1))
    found["GiB"] = count * costs["KiB"] / 1024**2
    found["GiB a day"] = count * MESSAGES * costs["bytes"] / 1024**3
    return found


def main() -> None:
    """Print the tables."""
    costs = json.loads(Path(sys.argv[1] if len(sys.argv) > 1 else COSTS).read_text(encoding="utf-8"))
    columns = [needs(count, costs) for count in CHARGERS]
    print(f"| | {' | '.join(f'{count:,} chargers' for count in CHARGERS)} |")
    print("|---|" + "---:|" * len(CHARGERS))
    for title, key, form in (
        ("messages/s at the peak", "messages", ",.0f"),
        ("connects/s at the peak", "connects", ",.1f"),
        ("commands/s at the peak, all through another node", "commands", ",.1f"),
        ("cores of ocppd", "ocppd", ",.1f"),
        ("cores of PostgreSQL", "postgresql", ",.1f"),
        ("cores of Redis", "redis", ",.2f"),
        (f"cores of ocppd, all back within {STORM_S:.0f} s", "ocppd storm", ",.1f"),
        (f"cores of PostgreSQL, all back within {STORM_S:.0f} s", "postgresql storm", ",.1f"),
        (f"cores of Redis, all back within {STORM_S:.0f} s", "redis storm", ",.2f"),
        ("workers", "workers", ",.0f"),
        ("GiB of memory for connections", "GiB", ",.1f"),
        ("GiB of records a day", "GiB a day", ",.1f"),
    ):
        print(f"| {title} | {' | '.join(format(column[key], form) for column in columns)} |")


if __name__ == "__main__":
    main()
