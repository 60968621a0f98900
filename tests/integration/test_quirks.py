"""The simulator that misbehaves, quirk by quirk, against the daemon. REQUIREMENTS 4.4, issue text "Tolerance"."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from ocppd.errors import OcppdError
from ocppd.simulator import CallRefused, Charger, HandshakeRefused
from ocppd.simulator.quirks import QUIRKS
from ocppd.storage.records import TransactionRecord, TransactionState
from ocppd.storage.records.quarantine import QuarantineFilter, Treatment
from ocppd.v16 import core
from ocppd.v16.codec import build
from ocppd.v16.enums import MessageTrigger
from ocppd.v16.remote_trigger import TriggerMessageRequest
from ocppd.v16.smart_charging import SetChargingProfileRequest
from support.central import Running, chargers
from support.peer import Response, raw, upgrade, within
from support.wire import OFFER, offline, storage_of, transactions

ensure = pytest_twisted.ensureDeferred
#: Much power, so that a moment is worth some Wh; registers begin somewhere (T-11).
QUICK = {
    "backoff_first_s": 0.001,
    "backoff_most_s": 0.002,
    "boot_retry_s": 0.01,
    "unplug_s": 0.01,
    "power_w": 3.6e9,
    "most_w": 3.6e9,
    "meter_start_wh": 1_000_000,
}


@dataclass(frozen=True)
class Expected:
    """What the daemon makes of a quirk: the deviations that are reported, and what is done with frames that show them.

    `drops`: the connection is lost during the transaction. `flag`: what the transaction is marked with.
    """

    kinds: frozenset[str]
    treatment: Treatment | None = None
    drops: bool = False
    flag: str | None = None


def mended(*kinds: str, flag: str | None = None) -> Expected:
    """Frames that broke the schema and were read kindly."""
    return Expected(frozenset(kinds), Treatment.MENDED, flag=flag)


def taken(*kinds: str, drops: bool = False, flag: str | None = None) -> Expected:
    """Frames that were odd, and good by the schema."""
    return Expected(frozenset(kinds), Treatment.TAKEN, drops, flag)


def counted(*kinds: str, drops: bool = False) -> Expected:
    """What shows in no single frame."""
    return Expected(frozenset(kinds), None, drops)


#: What is played as a whole transaction; the other quirks have tests of their own below.
SESSIONS = {
    "blank-vendor": taken("vendor-blank"),
    "null-info": mended("null"),
    "null-as-text": taken("text-null"),
    "long-stop-tag": mended("truncate", flag="stoppedByOtherTag"),
    "corrupt-stop-tag": mended("clean", flag="stoppedByOtherTag"),
    "blank-stop-tag": mended("blank"),
    "transaction-0": taken("transaction-id-impossible"),
    "transaction-minus-1": taken("transaction-id-impossible", "stop-nameless", flag="reconciled"),
    "transaction-huge": taken("transaction-id-impossible"),
    "local-time-as-utc": taken("clock-off", flag="timeInFuture"),
    "no-zone": taken("timestamp-without-zone"),
    "short-offset": taken("timestamp-with-offset"),
    "clock-1970": taken("clock-never-set"),
    "unit-hz": taken("unit-misspelt"),
    "unit-hertz": counted(),
    "unit-celcius": taken("unit-misspelt"),
    "unit-unknown": mended("sample-attribute"),
    "value-number": mended("number-as-text"),
    "value-blank": taken("value-blank"),
    "value-comma": taken("value-not-a-number"),
    "odd-phases": taken("phase-odd"),
    "extra-member": mended("unknown-member"),
    "status-while-plugged": counted(),
    "start-without-connector": mended("fill-connector", flag="connectorAssumed"),
    "start-without-timestamp": mended("fill-timestamp", flag="timestampUnreadable"),
    "stop-without-meter": mended("fill-meter-stop", flag="meterStopAssumed"),
    "stop-without-transaction": mended("fill-transaction", flag="transactionIdMissing"),
    "values-without-connector": mended("fill-connector"),
    "unknown-reason": mended("neutral"),
    "boots-on-connect": counted("boot-while-accepted", drops=True),
    "values-after-stop": taken("values-after-stop"),
    "start-repeated": counted("start-repeated", drops=True),
    "same-message-id": counted("message-id-reused"),
    "ids-from-one": counted(drops=True),
    "overlapping-calls": counted("calls-overlap"),
    "broken-frames": Expected(frozenset({"frame-unreadable"}), Treatment.IGNORED),
    "slow-reconnect": counted(drops=True),
    "ocpp-2-payloads": Expected(frozenset({"missing-member", "unknown-action"}), Treatment.REFUSED),
    "rate-units-as-letters": counted("rate-unit-misspelt"),
    "blanks-in-profiles": counted("profiles-with-blanks"),
    "falls-over-probes": counted("probe-failed", drops=True),
    "falls-over-availability": counted(drops=True),
    "demands-connector": counted("connector-demanded"),
}
#: Played in ways of their own.
OTHERS = {
    *("no-subprotocol", "never-boots", "password-as-hex-text", "default-profiles-alone"),
    *("start-without-meter", "start-without-tag"),
}


@pytest_twisted.async_yield_fixture
async def make() -> AsyncIterator[Callable[..., Charger]]:
    """Makes chargers of a daemon, shut down after the test."""
    made: list[Charger] = []

    def make_one(daemon: Running, quirk: str, **changes: Any) -> Charger:
        url = f"ws://127.0.0.1:{daemon.port}/ocppj/1.6"
        made.append(Charger("CP1", url, reactor, quirks=(quirk,), **{**QUICK, **changes}))
        made[-1].configuration.put("StopTxnSampledData", "Energy.Active.Import.Register")
        made[-1].configuration.put("AllowOfflineTxForUnknownId", "true")
        return made[-1]

    yield make_one
    for charger in made:
        await charger.shutdown()


async def reported(daemon: Running) -> dict[str, int]:
    """How often each deviation of CP1 was counted."""
    await daemon.central.conformance.flush()
    return {tally.kind: tally.count for tally in await storage_of(daemon).quarantine.tallies("CP1")}


async def kept(daemon: Running, kind: str) -> list[Any]:
    """The frames in quarantine that show a deviation."""
    which = QuarantineFilter(charger="CP1", kind=kind)
    return [record.quarantined for record in await storage_of(daemon).quarantine.list_frames(which, None, 500)]


def patiently(coroutine: Any) -> Deferred[Any]:
    """What a coroutine gives, within a time that is too long for anything."""
    return within(Deferred.fromCoroutine(coroutine))


async def charge(charger: Charger, expected: Expected) -> Any:
    """A whole transaction, with what operators and networks do meanwhile."""
    transaction = await charger.start_transaction(1, "TAG")
    await charger.meter_values(transaction)
    if expected.drops and charger.connected:
        charger.drop()
        await charger.dropped
    await charger.meter_values(transaction)
    charger.connectors[1].meter.power_w = 0.0
    await charger.stop_transaction(transaction, id_tag="TAG")
    await within(charger.delivered())
    return transaction


async def ask(daemon: Running, quirk: str) -> None:
    """What an operator asks of a charger whose quirk is in its answers."""
    central = daemon.central
    requests: dict[str, Any] = {
        "rate-units-as-letters": core.GetConfigurationRequest(),
        "blanks-in-profiles": core.GetConfigurationRequest(),
        "falls-over-probes": core.ChangeConfigurationRequest(key="MeterValuesSampledData", value="SoC"),
        "demands-connector": core.RemoteStartTransactionRequest(id_tag="TAG"),
    }
    if quirk in requests:
        try:
            await within(central.commands.call("CP1", requests[quirk]))
        except OcppdError:
            assert quirk == "falls-over-probes"


@ensure
@pytest.mark.parametrize("quirk", SESSIONS)
async def test_a_session_with(start: Any, make: Callable[..., Charger], quirk: str) -> None:
    """4.4, E-1, T-3, T-21, M-3 to M-6: the energy is right, the quarantine has the frame, the report names the deviation."""
    expected = SESSIONS[quirk]
    daemon = start(chargers("CP1"))
    charger = make(daemon, quirk)
    await charger.connect()
    await patiently(charger.boot())
    await ask(daemon, quirk)
    await patiently(charger.boot())
    transaction = await charge(charger, expected)
    [record] = await transactions(daemon)
    assert record.state is TransactionState.STOPPED
    assert record.energy_wh == transaction.meter_stop_wh - transaction.meter_start_wh > 0
    assert expected.flag is None or expected.flag in record.flags, record.flags
    assert expected.kinds <= (await reported(daemon)).keys()
    if expected.treatment is not None:
        for kind in expected.kinds:
            frames = await kept(daemon, kind)
            assert frames and {frame.treatment for frame in frames} == {expected.treatment}, kind
    assert charger.queue.given_up == 0


@ensure
async def test_good_chargers_are_not_reported(start: Any, make: Callable[..., Charger]) -> None:
    """A charger without quirks has nothing in its report and in quarantine, whatever is looked at."""
    daemon = start(chargers("CP1"))
    charger = make(daemon, "slow-reconnect")
    await charger.connect()
    await charger.boot()
    await charge(charger, counted())
    assert await reported(daemon) == {}
    assert await storage_of(daemon).quarantine.list_frames(QuarantineFilter(), None, 10) == []


def test_every_quirk_is_played() -> None:
    """4.4: no quirk that the simulator offers is left out here."""
    assert SESSIONS.keys() | OTHERS == QUIRKS.keys()


@ensure
async def test_no_subprotocol(start: Any, make: Callable[..., Charger]) -> None:
    """4.4, W-3: without a subprotocol it is refused, or served and reported where its settings say so."""
    with pytest.raises(HandshakeRefused):
        await make(start(chargers("CP1")), "no-subprotocol").connect()
    daemon = start(chargers("CP1", AssumeSubprotocol=True))
    charger = make(daemon, "no-subprotocol")
    await charger.connect()
    await charger.boot()
    await charge(charger, counted())
    assert "subprotocol-missing" in await reported(daemon)
    assert (await transactions(daemon))[0].energy_wh


@ensure
async def test_never_boots(start: Any, make: Callable[..., Charger]) -> None:
    """4.4, R-4: a charger that never boots is refused everything until it is asked to boot; then it works."""
    daemon = start(chargers("CP1"))
    charger = make(daemon, "never-boots")
    await charger.connect()
    await charger.boot()
    with pytest.raises(OcppdError):
        await charger.heartbeat()
    request = TriggerMessageRequest(requested_message=MessageTrigger.BOOT_NOTIFICATION)
    await within(daemon.central.commands.call("CP1", request))
    while True:
        try:
            await charger.heartbeat()
            break
        except CallRefused:
            pass  # the boot is on its way
    transaction = await charge(charger, counted())
    [record] = await transactions(daemon)
    assert record.energy_wh == transaction.meter_stop_wh - transaction.meter_start_wh > 0
    assert "not-accepted" in await reported(daemon)


@ensure
async def test_password_as_hex_text(start: Any, make: Callable[..., Charger]) -> None:
    """4.4, Z-4: the hex text in place of the bytes is let in, and reported."""
    key = bytes(range(16, 36))
    daemon = start(chargers("CP1", Authorization=f"hex:{key.hex()}"))
    charger = make(daemon, "password-as-hex-text", password=key)
    await charger.connect()
    await charger.boot()
    assert await reported(daemon) == {"password-as-hex": 1}


@ensure
async def test_default_profiles_alone(start: Any, make: Callable[..., Charger]) -> None:
    """4.4, K-7: a rejected TxProfile is an outcome, and the report says for which purpose."""
    daemon = start(chargers("CP1"))
    charger = make(daemon, "default-profiles-alone")
    await charger.connect()
    await charger.boot()
    transaction = await charger.start_transaction(1, "TAG")
    profile = {
        "chargingProfileId": 1,
        "transactionId": transaction.transaction_id,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}]},
    }
    request = build(SetChargingProfileRequest, {"connectorId": 1, "csChargingProfiles": profile})
    answer = await within(daemon.central.commands.call("CP1", request))
    assert answer.status == "Rejected"
    await charger.stop_transaction(transaction)
    assert "profile-rejected" in await reported(daemon)


@ensure
async def test_starts_without_meter(start: Any, make: Callable[..., Charger]) -> None:
    """E-1: of a first start without a register there is no energy; the second begins where the first has stopped."""
    daemon = start(chargers("CP1"))
    charger = make(daemon, "start-without-meter")
    await charger.connect()
    await charger.boot()
    await charge(charger, counted())
    charger.charging.rest(charger.connectors[1])
    second = await charge(charger, counted())
    first_record, record = await transactions(daemon)
    assert (first_record.energy_wh, first_record.flags) == (None, ("meterStartMissing",))
    assert record.energy_wh == second.meter_stop_wh - second.meter_start_wh > 0
    assert record.flags == ("meterStartAssumed",)
    assert len(await kept(daemon, "fill-meter-start")) == 2


@ensure
async def test_starts_without_tag(start: Any, make: Callable[..., Charger]) -> None:
    """E-1, T-1: a start that names nobody is Invalid with a usable id, and its stop is taken."""
    daemon = start(chargers("CP1"))
    charger = make(daemon, "start-without-tag")
    await charger.connect()
    await charger.boot()
    transaction = await charger.start_transaction(1, "TAG")
    assert transaction.verdict == "Invalid"
    await within(charger.delivered())
    record: TransactionRecord = (await transactions(daemon))[0]
    assert (record.state, record.verdict, record.id_tag) == (TransactionState.STOPPED, "Invalid", "")
    assert "idTagMissing" in record.flags
    assert await storage_of(daemon).list_unknown_id_tags("", 10) == []


@ensure
async def test_availability_is_never_set_unasked(start: Any, make: Callable[..., Charger]) -> None:
    """4.4: chargers that fall over ChangeAvailability and measurands are sent nothing that nobody asked for."""
    daemon = start(chargers("CP1"))
    for quirk in ("falls-over-availability", "falls-over-probes"):
        charger = make(daemon, quirk)
        await charger.connect()
        await charger.boot()
        await charge(charger, counted())
        assert charger.counts.connected == 1
        await charger.shutdown()
        await offline(daemon)


@ensure
async def test_what_cannot_be_served(start: Any) -> None:
    """4.4: a handshake without `Connection: Upgrade` is refused, in words that its proxy's operator understands."""
    daemon = start(chargers("CP1"))
    client = await raw(daemon.port)
    client.write(upgrade("/ocppj/1.6/CP1", OFFER).replace(b"Connection: Upgrade\r\n", b""))
    response = Response(await client.until(b"\r\n\r\n"))
    assert 400 <= response.status < 500
    client.close()
    await within(client.lost)
