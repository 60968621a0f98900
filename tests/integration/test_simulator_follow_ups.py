"""Operators' calls to the simulated charger, and what follows them. REQUIREMENTS 2.4."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ocppd.simulator import Charger
from ocppd.storage.records.follow_ups import FollowUp, FollowUpState
from ocppd.v16.actions import ACTIONS
from ocppd.v16.codec import build
from support.central import Running
from support.peer import within
from support.wire import storage_of

ensure = pytest_twisted.ensureDeferred
QUICK = {"backoff_first_s": 0.02, "reboot_s": 0.01, "unplug_s": 0.01, "job_step_s": 0.01}


@pytest_twisted.async_yield_fixture
async def charger(start: Any) -> AsyncIterator[tuple[Running, Charger]]:
    """A daemon and a charger that lives by itself."""
    daemon = start()
    simulated = Charger("CP1", f"ws://127.0.0.1:{daemon.port}/ocppj/1.6", reactor, **QUICK)
    await simulated.connect()
    await simulated.boot()
    yield daemon, simulated
    await simulated.shutdown()


async def ask(daemon: Running, action: str, payload: dict[str, Any]) -> tuple[FollowUp, ...]:
    """Send a call, and give what is to follow it once all of that is decided."""
    request = build(ACTIONS[action].request, payload)
    record = await daemon.central.commands.submit("CP1", request)
    await within(daemon.central.commands.wait(record, 9))

    async def decided() -> tuple[FollowUp, ...]:
        while True:
            await storage_of(daemon).check()
            found = (await storage_of(daemon).follow_ups.of_messages([record.message_id])).get(record.message_id, ())
            if all(each.decided_ms is not None for each in found):
                return found
            await deferLater(reactor, 0, lambda: None)

    found: tuple[FollowUp, ...] = await within(Deferred.fromCoroutine(decided()))
    return found


@ensure
@pytest.mark.parametrize("message", ["Heartbeat", "MeterValues", "StatusNotification", "FirmwareStatusNotification"])
async def test_triggers(charger: tuple[Running, Charger], message: str) -> None:
    """OP-16: what the simulated charger is asked for comes, and is seen."""
    found = await ask(charger[0], "TriggerMessage", {"requestedMessage": message})
    assert found and {each.state for each in found} == {FollowUpState.SEEN}


@ensure
async def test_a_life_of_calls(charger: tuple[Running, Charger]) -> None:
    """OP-06, OP-09, OP-11, OP-13: remote start and stop, availability and reset follow each other, and all of it is seen."""
    daemon, simulated = charger
    [started] = await ask(daemon, "RemoteStartTransaction", {"idTag": "APP", "connectorId": 1})
    assert started.state is FollowUpState.SEEN and started.transaction_id is not None
    [stopped] = await ask(daemon, "RemoteStopTransaction", {"transactionId": started.transaction_id})
    assert (stopped.state, stopped.reason) == (FollowUpState.SEEN, "Remote")
    for kind in ("Inoperative", "Operative"):
        found = await ask(daemon, "ChangeAvailability", {"connectorId": 0, "type": kind})
        assert found and {each.state for each in found} == {FollowUpState.SEEN}, found
    [booted] = await ask(daemon, "Reset", {"type": "Soft"})
    assert booted.state is FollowUpState.SEEN and len(simulated.sent("BootNotification")) == 2
