"""Very many chargers at once, as simulated ones, on the default database."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from support.programs import Daemon, simulator

#: As many as the daemon is promised to carry on two small cores; more by the environment, never fewer.
COUNT = max(1000, int(os.environ.get("OCPPD_TEST_CROWD", "0")))
#: Two minutes for a thousand, with a machine that others use, too.
PATIENCE_S = 180 * COUNT / 1000


def test_crowd(tmp_path: Path) -> None:
    """All chargers boot, make a transaction each and go; nothing fails on either side, and all of it is on disk."""
    configuration = {"Chargers": [{"Name": f"CP-{number:04d}", "HeartBeatInterval": 60} for number in range(1, COUNT + 1)]}
    began = time.monotonic()
    options = ("--name", "CP", "--count", str(COUNT), "--transactions", "1", "--duration", "2", "--meter-interval", "1")
    with Daemon(tmp_path, configuration) as daemon:
        with simulator(tmp_path, daemon.url, *options, "--connect-rate", "100", "--once", "--quiet") as crowd:
            assert crowd.wait(PATIENCE_S) == 0, crowd.tail()
            assert crowd.errors == []
            summary = f"{COUNT} chargers: {COUNT} connected, {COUNT} booted, {COUNT} transactions, "
            assert crowd.lines[-1].startswith(summary), crowd.tail()
        stopped = daemon.http("GET", "/api/v1/transactions?state=stopped&limit=1")
        assert (stopped.status, len(stopped.json["items"])) == (200, 1)
        assert daemon.stop() == 0
        assert daemon.complaints() == []
    assert time.monotonic() - began < PATIENCE_S
    with closing(sqlite3.connect(tmp_path / "ocppd.sqlite")) as records:
        states = records.execute("SELECT state, count(*), count(DISTINCT charger) FROM transactions GROUP BY state").fetchall()
        assert states == [("stopped", COUNT, COUNT)]
        assert records.execute("SELECT count(*) FROM transactions WHERE energy_wh IS NULL").fetchone() == (0,)
