"""What is due after connections and boots, with a clock; and quiet mode. REQUIREMENTS B-5, B-7, B-8, R-1 to R-5; CASES.md BO."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from ocppd.central import boots
from ocppd.clock import now_s
from ocppd.config import Configuration, Registration
from ocppd.errors import NotPermitted, StorageUnavailable
from ocppd.v16.core import ClearCacheRequest
from support.dialogue import BOOT, ChargePoint, elapse, now, starting_clock
from support.rest import Served

ensure = pytest_twisted.ensureDeferred


def set_back(clock: Clock) -> None:
    """Set the clock of the machine back by an hour; timers go on."""
    told: Any = clock
    offset_s = now_s(told) - clock.seconds() - 3600
    told.wall = lambda: clock.seconds() + offset_s


def with_clock(**charger: Any) -> Callable[[Callable[[ChargePoint, Clock], Awaitable[None]]], Any]:
    """A test that is given a charger and the central system's clock; nothing is connected yet."""

    def decorate(test: Callable[[ChargePoint, Clock], Awaitable[None]]) -> Any:
        async def run() -> None:
            clock = starting_clock()
            served = Served("CP1", central_clock=clock, **{"queue": 10, "read_configuration": False, **charger})
            try:
                await test(ChargePoint(served), clock)
            finally:
                await served.stop()

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return ensure(run)

    return decorate


@with_clock(quiet=True)
async def test_quiet_mode(charger: ChargePoint, clock: Clock) -> None:
    """BO-14, B-8: in quiet mode a boot, some statuses and any time lead to no call; an operator's call goes out."""
    await charger.connect(boot=False)
    assert (await charger.frame("Heartbeat", {}))[2] == "SecurityError"
    await elapse(charger.served, clock, 70)
    assert await charger.boot() == "Accepted"
    await charger.status("Available", 1)
    await elapse(charger.served, clock, 120)
    assert charger.unasked() == []
    unasked = charger.served.system.unasked
    for send in (unasked.submit, unasked.call):
        try:
            send("CP1", ClearCacheRequest())
            raise AssertionError("it was sent")
        except NotPermitted as refused:
            assert "Quiet" in refused.reason
    await charger.command("ClearCache", {})


@with_clock()
async def test_statuses_that_do_not_come(charger: ChargePoint, clock: Clock) -> None:
    """B-7: a minute after an accepted boot without the statuses of all connectors they are asked for, once."""
    await charger.connect()
    await elapse(charger.served, clock, 55)
    assert charger.unasked() == []
    await elapse(charger.served, clock, 10)
    call = await charger.asked()
    assert call[2:] == ["TriggerMessage", {"requestedMessage": "StatusNotification"}]
    charger.answer(call)
    await charger.statuses("Available", "Available")
    await elapse(charger.served, clock, 120)
    assert charger.unasked() == []


@with_clock()
async def test_statuses_that_do_not_come_while_nothing_can_be_read(charger: ChargePoint, clock: Clock) -> None:
    """B-7: where the records cannot be read when the statuses are due, they are asked for once that can be."""
    await charger.connect()
    await elapse(charger.served, clock, 55)
    records: Any = charger.served.storage
    read, failed = records.read_connectors, []

    def away(names: Sequence[str]) -> Deferred[Any]:
        failed.append(names)
        return fail(StorageUnavailable("away"))

    records.read_connectors = away
    await elapse(charger.served, clock, 10)
    assert failed and charger.unasked() == []
    records.read_connectors = read
    await elapse(charger.served, clock, 5)
    assert (await charger.asked())[2:] == ["TriggerMessage", {"requestedMessage": "StatusNotification"}]
    await elapse(charger.served, clock, 120)
    assert charger.unasked() == []


@with_clock()
async def test_a_clock_that_is_set_back(charger: ChargePoint, clock: Clock) -> None:
    """R-4, B-7: a boot and statuses that do not come are asked for, and a silence ends, as soon as ever where it is set back."""
    await charger.connect(boot=False)
    set_back(clock)
    await elapse(charger.served, clock, 65)
    call = await charger.asked()
    assert call[2:] == ["TriggerMessage", {"requestedMessage": "BootNotification"}]
    charger.answer(call)
    await charger.boot()
    set_back(clock)
    await elapse(charger.served, clock, 65)
    call = await charger.asked()
    assert call[2:] == ["TriggerMessage", {"requestedMessage": "StatusNotification"}]
    charger.answer(call)
    await charger.command("Reset", {"type": "Soft"})
    set_back(clock)
    await elapse(charger.served, clock, 6 * 60)
    assert charger.served.system.unasked.allowed("CP1")


@ensure
async def test_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """B-7, R-4: where many are due in the same second, a few are asked by each sweep, and in the end every one, once."""
    monkeypatch.setattr(boots, "AT_ONCE", 2)
    clock = starting_clock()
    booted, silent = [[f"{kind}{number}" for number in range(5)] for kind in ("CP", "NEW")]
    served = Served(*booted, *silent, queue=10, central_clock=clock, read_configuration=False)
    try:
        chargers = [await ChargePoint(served, name).connect(boot=name in booted) for name in (*booted, *silent)]
        await elapse(served, clock, 58)
        counts = []
        for _ in range(5):
            await elapse(served, clock, 5)
            counts.append(sum(len(charger.unasked()) for charger in chargers))
        assert counts == [4, 8, 10, 10, 10]
        asked = [[(await charger.asked())[3]["requestedMessage"]] for charger in chargers]
        assert asked == [["StatusNotification"]] * 5 + [["BootNotification"]] * 5
    finally:
        await served.stop()


@with_clock()
async def test_statuses_that_come(charger: ChargePoint, clock: Clock) -> None:
    """B-7: where all come nothing is asked for; after the next boot one that is missing is noticed."""
    await charger.connect()
    await charger.statuses("Available", "Available")
    await elapse(charger.served, clock, 90)
    assert charger.unasked() == []
    await charger.boot()
    await charger.statuses("Available")
    await elapse(charger.served, clock, 90)
    assert charger.unasked() == ["TriggerMessage"]


@with_clock(registration=Registration.PENDING)
async def test_no_statuses_while_pending(charger: ChargePoint, clock: Clock) -> None:
    """B-7, 2.2: a charger that is Pending is not asked for statuses, and nor is one that has gone."""
    await charger.connect(boot=False)
    assert await charger.boot() == "Pending"
    await elapse(charger.served, clock, 90)
    assert charger.unasked() == []


@with_clock()
async def test_a_charger_that_speaks_before_its_boot(charger: ChargePoint, clock: Clock) -> None:
    """B-5, R-4: what comes before the boot is SecurityError, and ten seconds later the boot is asked for, once."""
    await charger.connect(boot=False)
    assert (await charger.frame("Heartbeat", {}))[2] == "SecurityError"
    await elapse(charger.served, clock, 5)
    assert charger.unasked() == []
    await elapse(charger.served, clock, 10)
    call = await charger.asked()
    assert call[2:] == ["TriggerMessage", {"requestedMessage": "BootNotification"}]
    charger.answer(call, "Rejected")
    assert (await charger.frame("Heartbeat", {}))[2] == "SecurityError"
    await elapse(charger.served, clock, 120)
    assert charger.unasked() == []
    assert await charger.boot() == "Accepted"
    assert "currentTime" in await charger.call("Heartbeat")


@with_clock()
async def test_the_trigger_of_a_boot_waits_for_nothing_that_waits_for_the_boot(charger: ChargePoint, clock: Clock) -> None:
    """R-4, B-5: calls that wait for a charger's registration do not hold up the trigger of its boot, and follow it in order."""
    waiting = [await charger.served.command(action, {}, "?offline=queue") for action in ("ClearCache", "GetLocalListVersion")]
    assert [each.status for each in waiting] == [202, 202]
    await charger.connect(boot=False)
    assert (await charger.frame("Heartbeat", {}))[2] == "SecurityError"
    await elapse(charger.served, clock, 15)
    assert charger.unasked() == ["TriggerMessage"]
    charger.answer(await charger.asked())
    assert charger.unasked() == []
    assert await charger.boot() == "Accepted"
    for each in waiting:
        call = await charger.asked()
        assert call[1] == each.json["messageId"]
        charger.answer(call, "Rejected")


@with_clock(queue=2)
async def test_the_trigger_of_a_boot_where_the_queue_is_full(charger: ChargePoint, clock: Clock) -> None:
    """R-4, B-5: where as many calls wait for a charger's boot as may, what asks for the boot has room all the same."""
    for action in ("ClearCache", "GetLocalListVersion"):
        assert (await charger.served.command(action, {}, "?offline=queue")).status == 202
    await charger.connect(boot=False)
    await elapse(charger.served, clock, 65)
    assert charger.unasked() == ["TriggerMessage"]
    charger.answer(await charger.asked())
    assert (await charger.served.command("GetLocalListVersion", {}, "?offline=queue")).status == 429
    assert await charger.boot() == "Accepted"
    assert (await charger.asked())[2] == "ClearCache"


@with_clock()
async def test_a_charger_that_says_nothing(charger: ChargePoint, clock: Clock) -> None:
    """R-4: a charger that never boots is asked for it a minute after it has connected; one that is accepted never."""
    await charger.connect(boot=False)
    await elapse(charger.served, clock, 55)
    assert charger.unasked() == []
    await elapse(charger.served, clock, 10)
    assert (await charger.asked())[3] == {"requestedMessage": "BootNotification"}
    await charger.connect()
    await charger.statuses("Available")
    await charger.connect(boot=False)
    await charger.call("Heartbeat")
    await elapse(charger.served, clock, 120)
    assert charger.unasked() == []


@with_clock(accept_without_boot=True)
async def test_accepted_without_a_boot(charger: ChargePoint, clock: Clock) -> None:
    """B-5: where the installation accepts without a boot, the message is processed, and the registration is on record."""
    await charger.connect(boot=False)
    await charger.status("Charging")
    shown = await charger.get("")
    assert (shown["registration"], shown["acceptedWithoutBoot"]) == ("Accepted", True)
    assert [each["status"] for each in shown["connectors"]] == ["Charging"]
    await charger.command("ClearCache", {})
    settings = replace(charger.served.system.chargers.settings("CP1"), accept_without_boot=False)
    charger.served.system.reconfigure(Configuration(chargers={"CP1": settings}))
    await charger.connect(boot=False)
    await charger.call("Heartbeat")
    await charger.boot()
    assert "acceptedWithoutBoot" not in await charger.get("")


@with_clock()
async def test_a_power_cycle_with_a_transaction(charger: ChargePoint, clock: Clock) -> None:
    """BO-15, TC_032_1, B-7, T-28: power cut: what was pending is void, the transaction stays open; boot, statuses, PowerLoss."""
    await charger.connect()
    await charger.statuses("Charging")
    transaction, _ = await charger.start()
    pending = await charger.command("GetConfiguration", {}, None)
    await charger.connect(boot=False)
    assert (await charger.message(pending))["state"] == "unknown"
    assert await charger.boot() == "Accepted"
    await charger.statuses("Finishing")
    assert (await charger.transaction(transaction))["state"] == "open"
    await charger.stop(transaction, "PowerLoss")
    stopped = await charger.transaction(transaction)
    assert (stopped["state"], stopped["reason"], stopped["energyWh"]) == ("stopped", "PowerLoss", 500)
    assert charger.unasked() == []


@with_clock()
async def test_a_cold_boot(charger: ChargePoint, clock: Clock) -> None:
    """TC_001, B-3: boot with few members, statuses, Heartbeat: all answered, and nothing else is sent."""
    await charger.connect(boot=False)
    answer = await charger.call("BootNotification", {**BOOT, "chargePointVendor": ""})
    assert answer["status"] == "Accepted" and answer["interval"] > 0
    await charger.statuses("Available", "Available")
    assert "currentTime" in await charger.call("Heartbeat")
    await elapse(charger.served, clock, 70)
    assert charger.unasked() == []


@with_clock()
async def test_a_boot_while_a_call_is_outstanding(charger: ChargePoint, clock: Clock) -> None:
    """R-3, B-7: a boot on the same connection is answered, and no proof that our call is lost: its answer still counts."""
    await charger.connect()
    pending = await charger.command("ClearCache", {}, None)
    await charger.boot()
    assert (await charger.message(pending))["state"] == "sent"
    charger.answer([2, pending])
    assert (await charger.message(pending))["state"] == "completed"


@with_clock(registration=Registration.PENDING, quiet=True)
async def test_a_pending_charger_in_quiet_mode(charger: ChargePoint, clock: Clock) -> None:
    """B-8, B-4: one that may be accepted now is not asked to boot where nothing is sent unasked, and is where it may be."""
    await charger.connect(boot=False)
    assert await charger.boot() == "Pending"
    settings = replace(charger.served.system.chargers.settings("CP1"), registration=Registration.ACCEPTED)
    charger.served.system.reconfigure(Configuration(chargers={"CP1": settings}))
    await charger.barrier()
    assert charger.unasked() == []
    charger.served.system.reconfigure(Configuration(chargers={"CP1": replace(settings, quiet=False)}))
    assert (await charger.asked())[3] == {"requestedMessage": "BootNotification"}


@with_clock()
async def test_silence_between_reset_and_boot(charger: ChargePoint, clock: Clock) -> None:
    """OP-11, TC_014: after an accepted Reset nothing goes out unasked until the boot, or until it should have come."""
    await charger.connect()
    await elapse(charger.served, clock, 50)
    await charger.command("Reset", {"type": "Soft"})
    await elapse(charger.served, clock, 60)
    assert charger.unasked() == []
    await elapse(charger.served, clock, 5 * 60)
    assert charger.served.system.unasked.allowed("CP1")
    await charger.command("Reset", {"type": "Soft"}, "Rejected")
    assert charger.served.system.unasked.allowed("CP1")


LIST = {"allTags": True}
TEMPLATE = {
    "name": "Night",
    "applyAtStart": True,
    "fallBack": True,
    "profile": {
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]},
    },
}


async def begun(charger: ChargePoint, clock: Clock) -> None:
    """A list is put, and a template kept; both would be due once more: a conflict is told, and a transaction begins."""
    clock.advance(5)  # an operator's clock is the real one here
    assert (await charger.served.post("/api/v1/charging-profiles", TEMPLATE)).status == 201
    assert (await charger.put("/local-list", LIST)).status == 201
    charger.answer(await charger.asked(), {"listVersion": 0})
    charger.answer(await charger.asked())
    await charger.served.system.local_lists.wait("CP1", 20)


async def due_again(charger: ChargePoint, clock: Clock) -> None:
    """Both are due once more: a conflict is told, and a transaction begins."""
    await charger.start(timestamp=now(clock=clock))
    await charger.status("Available", 0, "LocalListConflict")
    await elapse(charger.served, clock, 30)


@with_clock(quiet=True)
async def test_no_lists_and_profiles_in_quiet_mode(charger: ChargePoint, clock: Clock) -> None:
    """B-8, T-10, N-8: a list is sent because an operator has put it, and not by itself; nor is a template at a start."""
    await charger.connect()
    await begun(charger, clock)
    await due_again(charger, clock)
    assert charger.unasked() == []


@with_clock()
async def test_no_lists_and_profiles_between_reset_and_boot(charger: ChargePoint, clock: Clock) -> None:
    """TC_013, TC_014: a charger that has accepted a Reset is sent no template and no list until it has booted."""
    await charger.connect()
    await charger.statuses("Available")
    await begun(charger, clock)
    await charger.command("Reset", {"type": "Soft"})
    await due_again(charger, clock)
    assert charger.unasked() == []
    await charger.boot()
    await charger.statuses("Available")
    clock.advance(5)
    charger.served.system.sweep()
    assert (await charger.asked())[2] == "GetLocalListVersion"
