"""The parts of the simulator that know no connection."""

from __future__ import annotations

import base64
import contextlib
import io
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import OcppdError
from ocppd.simulator.arguments import parse
from ocppd.simulator.authorization import Cache, verdict
from ocppd.simulator.backoff import Backoff
from ocppd.simulator.configuration_keys import Configuration, standard_keys
from ocppd.simulator.connection import Address, password_bytes
from ocppd.simulator.crowd import Plan
from ocppd.simulator.failures import LinkLost, NoAnswer
from ocppd.simulator.samples import Meter, Reading, is_measurable, meter_value
from ocppd.simulator.transactions import TransactionQueue
from ocppd.simulator.waiting import Background, Signal, Sleeper, pause
from ocppd.v16.core import HeartbeatRequest
from ocppd.v16.types import AuthorizationStatus, ConfigurationStatus, IdTagInfo, Measurand, ReadingContext
from support.memory import EPOCH_S
from support.tls import self_signed


class BackoffTests(SynchronousTestCase):
    """Waiting before the next attempt."""

    @given(st.integers(), st.integers(1, 100))
    def test_stays_in_its_bounds(self, seed: int, attempts: int) -> None:
        """Every wait is between half of its ceiling and the ceiling, which doubles up to the most."""
        backoff = Backoff(1.0, 60.0, Random(seed))
        for attempt in range(attempts):
            ceiling = min(60.0, 2.0**attempt)
            self.assertTrue(ceiling / 2 <= backoff.next_s() <= ceiling)
        backoff.reset()
        self.assertTrue(backoff.next_s() <= 1.0)


class WaitingTests(SynchronousTestCase):
    """Signals, sleeps and work in the background."""

    def test_a_signal_tells_everybody(self) -> None:
        """Those who waited before and after get the value, each a Deferred of their own; a second firing does nothing."""
        signal: Signal[int] = Signal()
        before = signal.wait()
        signal.fire(1)
        signal.fire(2)
        self.assertEqual((self.successResultOf(before), self.successResultOf(signal.wait())), (1, 1))

    def test_one_who_is_told_may_cancel_another(self) -> None:
        """Cancelling a wait from the callback of another one fails only the cancelled."""
        signal: Signal[int] = Signal()
        first, second = signal.wait(), signal.wait()
        first.addCallback(lambda _: second.cancel())
        second.addErrback(lambda failure: "cancelled")
        signal.fire(1)
        self.assertEqual(self.successResultOf(second), "cancelled")

    def test_a_sleep_is_cut_short(self) -> None:
        """`wake` ends it at once and takes the timer away; so does time, and so does cancelling."""
        clock = Clock()
        sleeper = Sleeper(clock)
        woken = Deferred.fromCoroutine(sleeper.sleep(10))
        sleeper.wake()
        self.successResultOf(woken)
        slept = Deferred.fromCoroutine(sleeper.sleep(10))
        clock.advance(10)
        self.successResultOf(slept)
        waiting = pause(clock, 5)
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_background_work_answers_for_itself(self) -> None:
        """Failures of ours end quietly, others are logged, cancelling ends what runs."""
        background = Background()

        async def fail(error: Exception) -> None:
            raise error

        self.successResultOf(background.run(fail(OcppdError("expected"))))
        self.successResultOf(background.run(fail(RuntimeError("a bug"))))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        clock = Clock()

        async def sleep() -> None:
            await pause(clock, 60)

        running = background.run(sleep())
        background.cancel()
        self.successResultOf(running)
        self.assertEqual(clock.getDelayedCalls(), [])


class ConfigurationTests(SynchronousTestCase):
    """The key table, REQUIREMENTS 2.6."""

    def setUp(self) -> None:
        self.changed: list[str] = []
        self.configuration = Configuration(standard_keys(2), self.changed.append)

    def test_what_is_accepted(self) -> None:
        """Each key takes what its type allows; a list with one unknown measurand is refused as a whole."""
        table = [
            ("HeartbeatInterval", "60", "Accepted"),
            ("heartbeatinterval", "61", "Accepted"),
            ("HeartbeatInterval", "0", "Rejected"),
            ("HeartbeatInterval", "often", "Rejected"),
            ("HeartbeatInterval", "99999999999", "Rejected"),
            ("WebSocketPingInterval", "-1", "Rejected"),
            ("LocalPreAuthorize", "TRUE", "Accepted"),
            ("LocalPreAuthorize", "yes", "Rejected"),
            ("NumberOfConnectors", "3", "Rejected"),
            ("MeterValuesSampledData", "Voltage.L1, SoC", "Accepted"),
            ("MeterValuesSampledData", "", "Accepted"),
            ("MeterValuesSampledData", "SoC,Happiness", "Rejected"),
            ("ConnectorPhaseRotation", "0.RST,1.NotApplicable", "RebootRequired"),
            ("AuthorizationKey", "00" * 16, "Accepted"),
            ("AuthorizationKey", "secret", "Rejected"),
            ("SecurityProfile", "2", "Accepted"),
            ("SecurityProfile", "1", "Rejected"),
            ("Colour", "blue", "NotSupported"),
        ]
        for key, value, status in table:
            self.assertEqual(self.configuration.change(key, value), ConfigurationStatus(status), (key, value))
        self.assertEqual(self.changed[:2], ["HeartbeatInterval"] * 2)
        self.assertEqual(self.configuration.number("HeartbeatInterval"), 61)
        self.assertTrue(self.configuration.enabled("LocalPreAuthorize"))

    def test_reboot_required(self) -> None:
        """The value is shown at once and in force after the boot."""
        before = self.configuration.text("ConnectorPhaseRotation")
        self.configuration.change("ConnectorPhaseRotation", "1.SRT")
        self.assertEqual(self.configuration.text("ConnectorPhaseRotation"), before)
        self.assertEqual(self.configuration.read(["ConnectorPhaseRotation"])[0][0].value, "1.SRT")
        self.configuration.booted()
        self.assertEqual(self.configuration.text("ConnectorPhaseRotation"), "1.SRT")

    def test_reading(self) -> None:
        """No names: every key; unknown names are listed; the password is never shown."""
        known, unknown = self.configuration.read([])
        names = {each.key for each in known}
        self.assertTrue(names >= REQUIRED_KEYS, REQUIRED_KEYS - names)
        self.assertEqual(unknown, ())
        known, unknown = self.configuration.read(["numberofconnectors", "Colour", "AuthorizationKey"])
        self.assertEqual(next((each.key, each.readonly, each.value) for each in known), ("NumberOfConnectors", True, "2"))
        self.assertEqual((known[1].value, unknown), (UNSET, ("Colour",)))


#: REQUIREMENTS 2.6: what a charger with all profiles must have.
REQUIRED_KEYS = {
    *("AuthorizeRemoteTxRequests", "ClockAlignedDataInterval", "ConnectionTimeOut", "ConnectorPhaseRotation"),
    *("GetConfigurationMaxKeys", "HeartbeatInterval", "LocalAuthorizeOffline", "LocalPreAuthorize", "MeterValuesAlignedData"),
    *("MeterValuesSampledData", "MeterValueSampleInterval", "NumberOfConnectors", "ResetRetries"),
    *("StopTransactionOnInvalidId", "StopTxnAlignedData", "StopTxnSampledData", "SupportedFeatureProfiles"),
    *("TransactionMessageAttempts", "TransactionMessageRetryInterval", "UnlockConnectorOnEVSideDisconnect"),
    *("LocalAuthListEnabled", "LocalAuthListMaxLength", "SendLocalListMaxLength", "ChargeProfileMaxStackLevel"),
    *("ChargingScheduleAllowedChargingRateUnit", "ChargingScheduleMaxPeriods", "MaxChargingProfilesInstalled"),
}


class SampleTests(SynchronousTestCase):
    """The meter and what is made of it."""

    @given(st.lists(st.tuples(st.integers(0, 22000), st.integers(0, 7200)), max_size=8))
    def test_the_register_never_falls(self, steps: list[tuple[int, int]]) -> None:
        """Energy is the integral of power, and only grows."""
        clock = Clock()
        meter = Meter(clock, 1000.0)
        last, exact = meter.energy_wh, 1000.0
        for power_w, seconds in steps:
            meter.power_w = float(power_w)
            clock.advance(seconds)
            exact += power_w * seconds / 3600
            self.assertTrue(last <= meter.energy_wh)
            self.assertTrue(abs(meter.energy_wh - exact) <= 1)
            last = meter.energy_wh

    def test_measurands_with_phases(self) -> None:
        """Without a suffix all phases, with one that phase; what is not measured is not offered."""
        reading = Reading(5000, 6900.0, 11040.0, 3000)
        value = meter_value("t", ["Current.Import", "Voltage.L2", "SoC"], ReadingContext.TRIGGER, reading)
        assert value is not None
        told = [(each.measurand, each.phase, each.value, each.unit) for each in value.sampled_value]
        self.assertEqual(told[0], (Measurand.CURRENT_IMPORT, "L1", "10.00", "A"))
        self.assertEqual([each[:3] for each in told[3:]], [("Voltage", "L2-N", "230.0"), ("SoC", UNSET, "25")])
        self.assertIsNone(meter_value("t", [], ReadingContext.TRIGGER, reading))
        offered = {item: is_measurable(item) for item in ("RPM", "Voltage.N", "Frequency", "Voltage.L9", "")}
        self.assertEqual([item for item, is_offered in offered.items() if is_offered], ["Frequency"])


class VerdictTests(SynchronousTestCase):
    """What a charger knows about tags."""

    def test_an_accepted_tag_expires(self) -> None:
        """An expiry date that has passed makes Accepted Expired, and nothing else; the cache ignores case."""
        cache = Cache()
        info = IdTagInfo(status=AuthorizationStatus.ACCEPTED, expiry_date="2030-01-01T00:00:00Z")
        cache.store("Tag", info)
        self.assertEqual(cache.find("TAG"), info)
        self.assertEqual(verdict(info, EPOCH_S * 1000 - 1), AuthorizationStatus.ACCEPTED)
        self.assertEqual(verdict(info, EPOCH_S * 1000), AuthorizationStatus.EXPIRED)
        cache.clear()
        self.assertIsNone(cache.find("TAG"))


class QueueTests(SynchronousTestCase):
    """The queue of transaction messages."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[Deferred[Any]] = []
        self.settled: list[Any] = []
        self.queue = TransactionQueue(
            self.clock, self.call, attempts=lambda: 3, retry_interval_s=lambda: 10, background=Background()
        )

    def call(self, _: Any) -> Deferred[Any]:
        self.calls.append(Deferred())
        return self.calls[-1]

    def put(self) -> None:
        self.queue.put(HeartbeatRequest, self.settled.append)

    def test_one_after_the_other(self) -> None:
        """Paused at first; then in order, the next when the one before is answered (3.7)."""
        self.put()
        self.put()
        drained = self.queue.drained()
        self.assertEqual(self.calls, [])
        self.queue.resume()
        self.assertEqual(len(self.calls), 1)
        self.calls[0].callback("first")
        self.assertNoResult(drained)
        self.calls[1].callback("second")
        self.successResultOf(drained)
        self.assertEqual(self.settled, ["first", "second"])

    def test_pauses_grow(self) -> None:
        """The interval times the number of failures passes before each attempt; then the message is given up (3.7.1)."""
        self.put()
        self.queue.resume()
        for failures, wait_s in ((1, 10), (2, 20)):
            self.calls[-1].errback(NoAnswer("Heartbeat", 30))
            self.clock.advance(wait_s - 1)
            self.assertEqual(len(self.calls), failures)
            self.clock.advance(1)
            self.assertEqual(len(self.calls), failures + 1)
        self.calls[-1].errback(NoAnswer("Heartbeat", 30))
        self.assertIsInstance(self.settled[0], NoAnswer)
        self.assertEqual((self.queue.given_up, len(self.queue)), (1, 0))

    def test_a_lost_connection_is_no_attempt(self) -> None:
        """However often the connection is lost, the message waits for the next one."""
        self.put()
        for _ in range(5):
            self.queue.resume()
            self.calls[-1].errback(LinkLost("Heartbeat"))
        self.assertEqual((len(self.calls), len(self.queue), self.settled), (5, 1, []))
        self.queue.resume()
        self.calls[-1].callback("answered")
        self.assertEqual(self.settled, ["answered"])


class CommandLineTests(SynchronousTestCase):
    """Arguments, names and addresses."""

    def test_arguments(self) -> None:
        """What is said becomes a plan; passwords may be bytes."""
        said = ["ws://h:1/p", "--name", "X", "--count", "2", "--password", "hex:00ff", "--power", "11000", "--once"]
        given = parse(said)
        self.assertEqual(given.plan.names(), ["X-0001", "X-0002"])
        self.assertEqual((given.plan.password, given.plan.once, given.options.power_w), (b"\x00\xff", True, 11000.0))
        self.assertEqual(Plan(url="ws://h", name="X").names(), ["X"])

    def test_nonsense_is_refused(self) -> None:
        """A wrong argument ends with status 2."""
        table = [
            ["http://h"],
            ["ws://h:99999/"],
            ["ws:///p"],
            ["ws://h", "--count", "0"],
            ["ws://h", "--password", "hex:0"],
            ["ws://h", "--ca", "/no"],
        ]
        for wrong in table:
            failure = self.assertRaises(SystemExit, parse, wrong)
            self.assertEqual(failure.code, 2)

    def test_certificates_are_looked_at(self) -> None:
        """A file that is no PEM, holds no key, or another's, is refused before anybody connects with it."""
        directory = Path(self.mktemp())
        directory.mkdir()
        (key, certificate), (other_key, _) = self_signed(), self_signed()
        for name, data in (("root", certificate), ("own", certificate + key), ("other", certificate + other_key), ("no", b"no")):
            (directory / name).write_bytes(data)
        given = parse(["wss://h", "--ca", str(directory / "root"), "--certificate", str(directory / "own")])
        self.assertEqual((given.options.authority_pem, given.options.certificate_pem), (certificate, certificate + key))
        for option, name, said in (
            ("--ca", "no", "this is no certificate in PEM"),
            ("--certificate", "root", "expected a certificate and its key in PEM"),
            ("--certificate", "other", "expected a certificate and its key in PEM"),
        ):
            with contextlib.redirect_stderr(io.StringIO()) as stderr:
                self.assertRaises(SystemExit, parse, ["wss://h", option, str(directory / name)])
            self.assertIn(f"argument {option}: {directory / name}: {said}", stderr.getvalue())

    def test_address(self) -> None:
        """Name and password as OCPP-J 6.2 shows them; no secret in the repr (Z-1)."""
        key = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
        address = Address(url="ws://h/ocpp/", name="AL1000", password=key)
        self.assertEqual(address.headers, {"Authorization": "Basic QUwxMDAwOgABAgMEBQYH////////////////"})
        self.assertEqual(address.full_url, "ws://h/ocpp/AL1000")
        self.assertNotIn("\\xff", repr(address))
        self.assertEqual(password_bytes("plain"), b"plain")
        self.assertEqual(base64.b64decode(Address(url="", name="a", password=b"").headers["Authorization"][6:]), b"a:")
