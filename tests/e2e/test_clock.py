"""A machine whose clock is set while the daemon runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from support.blocking import Charger
from support.daemon import CONFIGURATION, ROOT, environment
from support.programs import Daemon

HOUR_S = 3600
WAIT_S = 3
#: The clock of the machine for one process, by a file that is read whenever it is asked for. Python imports it by its name.
SITE = """
import time
from pathlib import Path
true, offset = time.time, Path({!r})
time.time = lambda: true() + float(offset.read_text())
"""


@pytest.mark.parametrize("offset_s", [-HOUR_S, HOUR_S])
def test_a_clock_that_is_set(tmp_path: Path, offset_s: int) -> None:
    """Who waits does so no longer than before and no less, and chargers are told the time as it is by then."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(SITE.format(str(offset)))
    env = environment({"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    with (
        Daemon(tmp_path, CONFIGURATION, env=env) as daemon,
        ThreadPoolExecutor(1) as pool,
        Charger(daemon.port, "CP001") as charger,
    ):
        charger.boot()
        begun_s = monotonic()
        command = f"/api/v1/chargers/CP001/commands/ClearCache?wait={WAIT_S}"
        waiting = pool.submit(daemon.http, "POST", command, {}, patience_s=10.0 * WAIT_S)
        call = charger.receive()
        before = datetime.fromisoformat(charger.call("Heartbeat", {})[2]["currentTime"])
        (tmp_path / "next").write_text(str(offset_s))
        (tmp_path / "next").rename(offset)
        after = datetime.fromisoformat(charger.call("Heartbeat", {})[2]["currentTime"])
        answer = waiting.result()
        assert monotonic() - begun_s >= WAIT_S
        assert (answer.status, answer.json["messageId"], answer.json["state"]) == (202, call[1], "sent")
        assert abs(after - before - timedelta(seconds=offset_s)) < timedelta(minutes=5)
