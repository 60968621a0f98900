"""What operators read over HTTP of a database that holds much, and what that leaves to chargers."""

from __future__ import annotations

import http.client
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from driver import Generator, progress
from growth import preloaded
from measure import memory
from scenarios import CHARGERS, SETTLE_S, Plan, Result, joined
from servers import DURABLE, Server, beside_the_server

LISTED, TRANSACTIONS, SAMPLES = 10_000, 200_000, 6
#: How often each is asked for in a round.
REQUESTS = 20
OF_CHARGER = "charger=B-7&limit=500"
LISTS = {
    "500 chargers": "/api/v1/chargers?limit=500",
    "500 transactions of a charger": f"/api/v1/transactions?{OF_CHARGER}",
    "500 messages of a charger": f"/api/v1/messages?{OF_CHARGER}",
    "500 meter values of a charger": f"/api/v1/meter-values?{OF_CHARGER}",
    "a series of a charger, by the hour": "/api/v1/meter-values?bucket=1h&charger=B-7&measurand=Power.Active.Import",
}
EXPORT = "/api/v1/meter-values?format=csv"
ALONE, BESIDE = "alone", "beside an export of meter values"
PIECE = 65536
PATIENCE_S = 60


def asked(server: Server, path: str) -> http.client.HTTPResponse:
    """An answer that is 200, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    connection.request("GET", path, headers={"Connection": "close"})
    answer = connection.getresponse()
    assert answer.status == 200, (path, answer.status, answer.read(500))
    return answer


def listed(server: Server, path: str) -> Result:
    """How long an answer takes from its request to its last byte, in the middle, and how long it is."""
    took, size = [], 0
    for _ in range(REQUESTS):
        began = time.perf_counter()
        size = len(asked(server, path).read())
        took.append((time.perf_counter() - began) * 1e3)
    return {"ms": statistics.median(took), "slowest": max(took), "kib": size / 1024}


class Exports(threading.Thread):
    """Reads an export from its begin, again and again, until it is told to stop. `rows` are what has come."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._over = threading.Event()
        self.rows = 0

    def run(self) -> None:
        """On a thread of its own."""
        while not self._over.is_set():
            answer = asked(self._server, EXPORT)
            while not self._over.is_set() and (piece := answer.read1(PIECE)):
                self.rows += piece.count(b"\n")
            answer.close()

    def end(self) -> None:
        """Returns when nothing more comes."""
        self._over.set()
        self.join(PATIENCE_S)


@contextmanager
def exports(server: Server) -> Iterator[Exports]:
    """Read it meanwhile."""
    reading = Exports(server)
    reading.start()
    try:
        yield reading
    finally:
        reading.end()


def exported(server: Server, seconds: float) -> float:
    """Rows in a second, while nothing else is done."""
    with exports(server) as reading:
        time.sleep(seconds)
        return reading.rows / seconds


def resident(server: Server) -> float:
    """What the daemon has in memory, in MiB."""
    return memory(server.pid)["rss"] / 1024


def one_round(plan: Plan, place: Path, chargers: int) -> Result:
    """Everything once: lists, an export, chargers alone and beside an export."""
    told: Result = {"mix": "real", "seconds": plan.seconds, "warm": plan.warm}
    with Server(DURABLE, place, chargers) as server, Generator() as generator, beside_the_server():
        joined(generator, server, CHARGERS)
        time.sleep(SETTLE_S)
        found: Result = {"lists": {name: listed(server, path) for name, path in LISTS.items()}}
        before = resident(server)
        found["export"] = {"rows": exported(server, 2 * plan.seconds), "before": before, "after": resident(server)}
        found[ALONE] = generator.ask("closed", pid=server.pid, **told)
        with exports(server):
            found[BESIDE] = generator.ask("closed", pid=server.pid, **told)
        return found


def lists(plan: Plan) -> Result:
    """Lists and exports of many transactions and samples."""
    chargers, count = LISTED // plan.scale, TRANSACTIONS // plan.scale
    place = preloaded(plan, count)
    rounds = []
    for number in range(plan.rounds):
        progress(f"lists: round {number + 1} of {plan.rounds}, {count} transactions")
        rounds.append(one_round(plan, place, chargers))
    shutil.rmtree(place, ignore_errors=True)
    return {"chargers": chargers, "transactions": count, "samples": SAMPLES * count, "rounds": rounds}
