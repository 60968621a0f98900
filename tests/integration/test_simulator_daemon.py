"""The simulated charger against the daemon itself, both in the test's process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from ocppd.simulator import Charger, HandshakeRefused
from ocppd.v16.types import AuthorizationStatus
from support.central import Running, chargers

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"backoff_first_s": 0.02, "reboot_s": 0.01, "unplug_s": 0.01, "job_step_s": 0.01}


@pytest_twisted.async_yield_fixture
async def make() -> AsyncIterator[Callable[..., Charger]]:
    """Makes chargers of a daemon, shut down after the test."""
    made: list[Charger] = []

    def make_one(daemon: Running, name: str = "CP1", **changes: Any) -> Charger:
        url = f"ws://127.0.0.1:{daemon.port}/ocppj/1.6"
        made.append(Charger(name, url, reactor, **{**QUICK, **changes}))
        return made[-1]

    yield make_one
    for charger in made:
        await charger.shutdown()


@pytest_twisted.ensureDeferred
async def test_a_session_with_the_daemon(start: Any, make: Callable[..., Charger]) -> None:
    """Boot, transaction with samples, stop; after the connection was cut it goes on without a boot (R-1)."""
    charger = make(start())
    await charger.connect()
    await charger.boot()
    transaction = await charger.start_transaction(1, "TAG")
    assert transaction.verdict is AuthorizationStatus.ACCEPTED
    await charger.meter_values(transaction)
    charger.drop()
    await charger.dropped
    await charger.stop_transaction(transaction, id_tag="TAG")
    await charger.delivered()
    await charger.heartbeat()
    assert (charger.counts.transactions, charger.counts.errors, charger.counts.connected) == (1, 0, 2)
    assert len(charger.sent("BootNotification")) == 1


@pytest_twisted.ensureDeferred
async def test_the_password_is_checked(start: Any, make: Callable[..., Charger]) -> None:
    """401 without the password, a session with its bytes (Z-1)."""
    daemon = start(chargers("CP1", Authorization="hex:00ff00ff00ff00ff00ff00ff00ff00ff"))
    with pytest.raises(HandshakeRefused) as refused:
        await make(daemon).connect()
    assert refused.value.status == 401
    charger = make(daemon, password=bytes.fromhex("00ff" * 8))
    await charger.connect()
    await charger.boot()


@pytest_twisted.ensureDeferred
async def test_the_command_line_with_the_daemon(start: Any) -> None:
    """`--count 3 --once`: three chargers, their transactions, the summary, status 0; an unknown name ends with status 1."""
    daemon = start(chargers("CP-0001", "CP-0002", "CP-0003"))
    url = f"ws://127.0.0.1:{daemon.port}/ocppj/1.6"
    arguments = ["-m", "ocppd.simulator", url, "--once", "--duration", "0.1"]
    environment = {"PYTHONPATH": str(ROOT)}
    output, errors, status = await getProcessOutputAndValue(
        sys.executable, [*arguments, "--name", "CP", "--count", "3"], env=environment
    )
    lines = output.decode().splitlines()
    assert (status, errors) == (0, b"")
    assert "CP-0002 connected" in lines
    assert lines[-1].startswith("3 chargers: 3 connected, 3 booted, 3 transactions, ")
    output, _, status = await getProcessOutputAndValue(
        sys.executable, [*arguments, "--name", "Nobody", "--quiet"], env=environment
    )
    assert status == 1
    assert output.decode().startswith("1 charger: 0 connected")
