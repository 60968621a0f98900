"""Profiles that stand in for others: sent after a refusal, cleared after the transaction, whatever fails meanwhile. K-7, 4.4."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.task import Clock

from ocppd.central.charging.following import ChargingFollower
from ocppd.clock import now_ms
from ocppd.config import ChargerSettings, Configuration
from ocppd.errors import StorageUnavailable
from ocppd.storage.records.charging import Order
from ocppd.v16.codec import decode
from ocppd.v16.timestamps import format_timestamp
from ocppd.v16.types import ChargingProfile
from support.buses import logged
from support.holding import until
from support.rest import ScriptedLink, Served

ensure = pytest_twisted.ensureDeferred
_numbers = count(1)
OWN = {
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8}]},
}


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Two chargers, whose queue takes one call, and a clock that is ours."""
    clock = Clock()
    clock.advance(now_ms(reactor) / 1000)
    running = Served("CP1", "CP2", queue=1, central_clock=clock)
    yield running
    await running.stop()


def refusing(call: list[Any]) -> str:
    """A charger that refuses TxProfiles, and accepts anything else."""
    own = call[3].get("csChargingProfiles", {}).get("chargingProfilePurpose") == "TxProfile"
    return json.dumps([3, call[1], {"status": "Rejected" if own else "Accepted"}])


def sent(link: ScriptedLink, action: str) -> list[Any]:
    """The payloads of all calls of an action."""
    return [call[3] for call in link.calls if call[2] == action]


async def installed(served: Served, name: str = "CP1") -> dict[str, Any]:
    """What is known to be installed in a charger, by its purpose."""
    items = (await served.get(f"/api/v1/chargers/{name}/charging-profiles")).json["items"]
    return {each["profile"]["chargingProfilePurpose"]: each for each in items}


async def asked(link: ScriptedLink, action: str, **members: Any) -> Any:
    """What a message of a transaction is answered."""
    frame = [2, f"m{next(_numbers)}", action, {"timestamp": format_timestamp(now_ms(reactor)), **members}]
    return (await link.ask(json.dumps(frame)))[2]


async def refused(served: Served, link: ScriptedLink, name: str = "CP1") -> int:
    """The id of a transaction whose profile is refused."""
    begun = await asked(link, "StartTransaction", connectorId=1, idTag="Card", meterStart=5)
    transaction = int(begun["transactionId"])
    body = {"profile": OWN, "transactionId": transaction, "fallBack": True}
    answer = await served.post(f"/api/v1/chargers/{name}/charging-profiles?wait=10", body)
    assert answer.json["outcome"] == "Rejected"
    return transaction


async def stands_in(served: Served, link: ScriptedLink, name: str = "CP1") -> tuple[int, int]:
    """A transaction, and the id of the profile that has taken the place of its refused one."""
    transaction = await refused(served, link, name)

    async def stands() -> bool:
        return (await installed(served, name)).get("TxDefaultProfile", {}).get("mark") == "confirmed"

    await until(stands)
    return transaction, int((await installed(served, name))["TxDefaultProfile"]["chargingProfileId"])


async def stop(link: ScriptedLink, transaction: int) -> None:
    """It is over."""
    await asked(link, "StopTransaction", transactionId=transaction, meterStop=9)


async def look(served: Served, after_s: float = 5) -> None:
    """See what is due, so many seconds later."""
    served.system._clock.advance(after_s)  # type: ignore[attr-defined]
    (follower,) = [each for each in served.system._watchers._all if isinstance(each, ChargingFollower)]
    await follower.sweep(now_ms(served.system._clock))


async def cleared(link: ScriptedLink) -> list[Any]:
    """The ids that the charger was asked to clear, once it has answered a message of its own."""
    await asked(link, "Heartbeat")
    return [each["id"] for each in sent(link, "ClearChargingProfile")]


@ensure
async def test_a_profile_that_cannot_be_cleared_yet(served: Served) -> None:
    """K-7: where there is no room in the queue of a charger that is away, clearing is tried less and less often, and told of
    once; it is cleared within ten minutes from when there is."""
    link = await served.connect("CP1", refusing)
    transaction, identity = await stands_in(served, link)
    await stop(link, transaction)
    served.disconnect(link)
    waiting = (await served.command("ClearCache")).json["messageId"]
    attempts = set()
    with logged("is not cleared yet") as lines:
        for _ in range(120):
            await look(served)
            attempts.add((await installed(served))["TxDefaultProfile"]["changedAt"])
    assert len(lines) == 1 and 4 <= len(attempts) <= 10, (lines, attempts)
    await served.request("DELETE", f"/api/v1/messages/{waiting}")
    await look(served, after_s=600)
    link = await served.connect("CP1", refusing)
    await until(lambda: ensureDeferred(is_empty(served)))
    assert await cleared(link) == [identity]


async def defaults(served: Served) -> list[tuple[int, str]]:
    """The stack levels and marks of what is installed in CP1 as TxDefaultProfile."""
    items = (await served.get("/api/v1/chargers/CP1/charging-profiles?purpose=TxDefaultProfile")).json["items"]
    return [(each["profile"]["stackLevel"], each["mark"]) for each in items]


@ensure
async def test_a_default_that_was_there_stays(served: Served) -> None:
    """K-4: what stands in for a refused profile takes the level above those of the connector's own defaults, which stay."""
    link = await served.connect("CP1", refusing)
    for level in (0, 1):
        profile = {**OWN, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": level}
        await served.post("/api/v1/chargers/CP1/charging-profiles?wait=10", {"connectorId": 1, "profile": profile})
    own = [(0, "confirmed"), (1, "confirmed")]
    assert await defaults(served) == own
    transaction = await refused(served, link)

    async def shows(found: list[tuple[int, str]]) -> bool:
        return await defaults(served) == found

    await until(lambda: ensureDeferred(shows([*own, (2, "confirmed")])))
    await stop(link, transaction)
    await look(served)
    await until(lambda: ensureDeferred(shows(own)))


async def is_empty(served: Served) -> bool:
    """Whether nothing is known to be installed in CP1."""
    return await installed(served) == {}


@ensure
async def test_a_charger_that_is_gone_holds_up_no_other(served: Served) -> None:
    """K-7: what stood in at a charger that is no longer configured cannot be cleared; what did at others is."""
    gone, other = [await served.connect(name, refusing) for name in ("CP1", "CP2")]
    transactions = [await stands_in(served, link, name) for link, name in ((gone, "CP1"), (other, "CP2"))]
    for link, (transaction, _) in zip((gone, other), transactions, strict=True):
        await stop(link, transaction)
    served.disconnect(gone)
    served.system.reconfigure(Configuration(chargers={"CP2": ChargerSettings(name="CP2")}))
    await look(served)
    assert await cleared(other) == [transactions[1][1]]


@pytest.mark.parametrize("after", [Deferred, lambda: fail(StorageUnavailable("away"))])
@ensure
async def test_a_profile_that_was_about_to_be_sent(served: Served, after: Callable[[], Deferred[Any]]) -> None:
    """K-7, 4.4: what was to take the place of a refused profile, when the node died or the records went away before it was sent,
    is sent a minute later by whoever looks, and once."""
    charging: Any = served.storage.charging
    claim, claimed = charging.claim_fallback, []

    def claim_and_die(*args: Any) -> Deferred[Any]:
        claimed.append(args)
        return claim(*args).addCallback(lambda _: after())

    charging.claim_fallback = claim_and_die
    link = await served.connect("CP1", refusing)
    await refused(served, link)
    await until(lambda: succeed(bool(claimed)))
    charging.claim_fallback = claim
    for after_s, count_of in ((55, 1), (5, 2), (600, 2)):
        await look(served, after_s)
        await asked(link, "Heartbeat")
        assert len(sent(link, "SetChargingProfile")) == count_of, after_s
    assert sent(link, "SetChargingProfile")[-1]["csChargingProfiles"]["chargingProfilePurpose"] == "TxDefaultProfile"


@ensure
async def test_an_order_that_was_lost(served: Served) -> None:
    """K-4: a profile whose node died before its call was made is soon forgotten; one whose call waits is not."""
    default = {**OWN, "chargingProfilePurpose": "TxDefaultProfile"}
    text = json.dumps({**default, "chargingProfileId": 0, "stackLevel": 3})
    profile, _ = decode(ChargingProfile, text.encode(), strict=False)
    for name in ("CP1", "CP2"):
        await served.storage.charging.order_profile(
            Order(charger=name, connector_id=1, profile=profile), now_ms(served.system._clock)
        )
    body = {"profile": default, "connectorId": 1}
    waiting = (await served.post("/api/v1/chargers/CP2/charging-profiles", body)).json["messageId"]
    (known,) = await profiles(served, "CP1")
    await look(served, after_s=90)
    assert [len(await profiles(served, name)) for name in ("CP1", "CP2")] == [1, 2]
    await look(served, after_s=30)
    assert await profiles(served, "CP1") == {}
    ((waits, told),) = (await profiles(served, "CP2")).items()
    assert (waits != known, told["mark"]) == (True, "pending")
    await look(served, after_s=3600)
    assert list(await profiles(served, "CP2")) == [waits]
    await served.request("DELETE", f"/api/v1/messages/{waiting}")
    assert await profiles(served, "CP2") == {}


async def profiles(served: Served, name: str) -> dict[int, Any]:
    """What is known of a charger's profiles, by their ids."""
    items = (await served.get(f"/api/v1/chargers/{name}/charging-profiles")).json["items"]
    return {each["profile"]["chargingProfileId"]: each for each in items}
