"""What a message costs once much is stored, and once many are connected."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import servers
from driver import Generator, progress
from scenarios import CHARGERS, SETTLE_S, Plan, Result, in_turn, joined
from servers import DATABASE_FILE, DURABLE, Server

STORED = (1_000, 10_000, 100_000, 1_000_000)
CONNECTED = (100, 1_000, 10_000)
#: What makes a row of a transaction, of its two messages, of its meter value another one; the rest is as it came.
OWN: dict[str, dict[str, str]] = {
    "transactions": {
        "transaction_id": "t.transaction_id + n",
        "charger": f"'B-' || (n % {CHARGERS})",
        "started_ms": "t.started_ms - n * 1000",
        "message_id": "t.message_id || '-' || n",
    },
    "messages": {
        "sequence": "(SELECT max(sequence) FROM messages) + (n - 1) * 64 + t.sequence",
        "charger": f"'B-' || (n % {CHARGERS})",
        "message_id": "t.message_id || '-' || n",
        "transaction_id": "t.transaction_id + n",
    },
    "meter_values": {
        "sequence": "(SELECT max(sequence) FROM meter_values) + (n - 1) * 64 + t.sequence",
        "charger": f"'B-' || (n % {CHARGERS})",
        "transaction_id": "t.transaction_id + n",
        "timestamp_ms": "t.timestamp_ms - n * 1000",
    },
}


def multiply(path: Path, count: int) -> None:
    """Make so many transactions of the one that there is, with its messages and meter values."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("PRAGMA synchronous=OFF")
        for table, own in OWN.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(own.get(column, f"t.{column}") for column in columns)
            connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) "
                f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "
                f"SELECT {values} FROM (SELECT * FROM {table} WHERE transaction_id > 0) AS t, numbers",
                (count,),
            )
        file(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def file(connection: sqlite3.Connection) -> None:
    """Have it found by charger, as the daemon does in time."""
    for name, kind in (("messages", "journal"), ("statuses", "journal"), ("meter_values", "meter_values")):
        columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA table_info(filed_{name})"))
        through = f"(SELECT through FROM filing WHERE kind = '{kind}')"
        connection.execute(f"INSERT INTO filed_{name} SELECT {columns} FROM {name} WHERE sequence > {through} ORDER BY {columns}")
    for kind, table in (("journal", "messages"), ("meter_values", "meter_values")):
        connection.execute(f"UPDATE filing SET through = (SELECT max(sequence) FROM {table}) WHERE kind = '{kind}'")


def preloaded(plan: Plan, count: int) -> Path:
    """A directory with a database of so many transactions."""
    place = plan.place("stored", count)
    with Server(DURABLE, place, CHARGERS) as server, Generator() as generator:
        generator.ask("connect", url=server.url, count=1, begin="whole")
    progress(f"growth: {count} transactions are stored")
    multiply(place / DATABASE_FILE, count)
    return place


def one_round(plan: Plan, place: Path, chargers: int) -> Result:
    """The real mix against the daemon in this directory."""
    with Server(DURABLE, place, chargers) as server, Generator() as generator:
        joined(generator, server, chargers)
        time.sleep(SETTLE_S)
        return generator.ask("closed", pid=server.pid, mix="real", seconds=plan.seconds, warm=plan.warm)


def stored(plan: Plan) -> Result:
    """The real mix on databases with more and more transactions, in turn."""
    places = {count: preloaded(plan, count) for count in (each // plan.scale for each in STORED)}
    rounds: dict[str, list[Result]] = {str(count): [] for count in places}
    for number in range(plan.rounds):
        for count, place in places.items():
            progress(f"growth: round {number + 1} of {plan.rounds}, {count} transactions")
            rounds[str(count)].append(one_round(plan, place, CHARGERS))
    sizes = {str(count): (place / DATABASE_FILE).stat().st_size for count, place in places.items()}
    for place in places.values():
        shutil.rmtree(place, ignore_errors=True)
    return {"chargers": CHARGERS, "rounds": rounds, "bytes": sizes}


def connected(plan: Plan) -> Result:
    """The real mix of more and more chargers, each with one message outstanding; the bare limit beside it."""
    counts = [max(each // plan.scale, 100) for each in CONNECTED]

    def measure(server: Server, generator: Generator, count: int) -> Result:
        joined(generator, server, count)
        time.sleep(SETTLE_S)
        return generator.ask("closed", pid=server.pid, mix="real", seconds=plan.seconds, warm=plan.warm)

    rounds = in_turn(plan, "growth", (servers.PICOWS, DURABLE), counts, measure)
    return {"cases": [{"chargers": count, "rounds": rounds[count]} for count in rounds]}
