"""The charger as a whole, on a clock and a connection in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.simulator.commands import TABLE
from ocppd.simulator.failures import NoAnswer
from ocppd.v16.actions import ACTIONS
from ocppd.v16.types import ChargePointStatus
from support.memory import NOTHING, World

CHARGING_5_KW = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 5000.0}]},
}


class LifeTests(SynchronousTestCase):
    """What it does by itself."""

    def setUp(self) -> None:
        self.world = World()

    def test_beats_at_the_interval_it_was_given(self) -> None:
        """BootNotification.conf Accepted gives the heartbeat interval, and ChangeConfiguration another (4.2, 4.6)."""
        self.world.charger()
        self.world.advance(600)
        self.assertEqual(len(self.world.payloads("Heartbeat")), 2)
        self.assertEqual(self.world.status("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "10"}), "Accepted")
        self.world.advance(100)
        self.assertEqual(len(self.world.payloads("Heartbeat")), 12)

    def test_takes_over_the_time(self) -> None:
        """The central system's clock becomes the charger's, but not by less than it is written in (4.6)."""
        self.world.answers["BootNotification"] = lambda _: {
            "status": "Accepted",
            "currentTime": "2031-01-01T00:00:00Z",
            "interval": 60,
        }
        charger = self.world.charger()
        self.assertTrue(charger.wall.timestamp().startswith("2031-01-01T00:00:00"))

    def test_boots_again_after_the_interval(self) -> None:
        """Rejected: silent for the interval, to commands too, then the next BootNotification (4.2)."""
        self.world.answers["BootNotification"] = lambda _: {
            "status": "Rejected",
            "currentTime": self.world.time(),
            "interval": 60,
        }
        self.world.charger()
        self.assertIsNone(self.world.call("GetConfiguration"))
        self.world.advance(59)
        self.assertEqual(self.world.actions, ["BootNotification"])
        self.world.advance(1)
        self.assertEqual(self.world.actions, ["BootNotification"] * 2)

    def test_reconnects_with_growing_pauses(self) -> None:
        """Each failure doubles the pause, between half of it and all of it; then no boot (R-1, C-5)."""
        charger = self.world.charger()
        self.world.reachable = False
        self.world.links[-1].close(1001)
        self.world.advance(60)
        attempts = len(self.world.addresses)
        self.assertTrue(5 <= attempts <= 9, attempts)
        self.world.reachable = True
        self.world.advance(64)
        self.assertTrue(charger.connected)
        self.assertEqual(self.world.actions.count("BootNotification"), 1)

    def test_reports_what_changed_while_offline(self) -> None:
        """After a reconnect only the connectors whose status changed are reported (R-1, N-9)."""
        charger = self.world.charger(connectors=2)
        self.world.links[-1].close(1001)
        self.world.clock.advance(0)
        charger.statuses.set(charger.connectors[2], ChargePointStatus.FAULTED)
        before = len(self.world.statuses())
        self.world.advance(5)
        self.assertEqual(self.world.statuses()[before:], [(2, "Faulted")])

    def test_security_events_when_enabled(self) -> None:
        """StartupOfTheDevice follows an accepted boot, where the charger has the extension (V-11)."""
        self.world.charger(security_events=True)
        self.assertEqual([event["type"] for event in self.world.payloads("SecurityEventNotification")], ["StartupOfTheDevice"])

    def test_ends_without_timers(self) -> None:
        """After `shutdown` nothing is left on the clock, whatever was under way."""
        charger = self.world.charger()
        self.world.start(charger.start_transaction(1, "TAG"))
        self.world.call("ReserveNow", {"connectorId": 0, "expiryDate": "2030-01-02T00:00:00Z", "idTag": "A", "reservationId": 1})
        self.world.start(charger.shutdown())
        self.world.advance()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.assertFalse(charger.connected)

    def test_an_unanswered_call_fails(self) -> None:
        """After MessageTimeout a call is NoAnswer, and the next one goes out (S-1)."""
        charger = self.world.charger(automatic=False)
        self.world.answers["Heartbeat"] = lambda _: NOTHING
        first = self.world.start(charger.heartbeat())
        second = self.world.start(charger.boot())
        self.assertEqual(self.world.actions, ["Heartbeat"])
        self.world.advance(30)
        self.assertEqual(self.world.actions, ["Heartbeat", "BootNotification"])
        self.assertTrue(first[0].check(NoAnswer))
        self.assertEqual(second[0].status, "Accepted")


class MeteringTests(SynchronousTestCase):
    """Meter values and power."""

    def setUp(self) -> None:
        self.world = World()
        self.charger = self.world.charger(power_w=3600.0)

    def configure(self, **values: str) -> None:
        for key, value in values.items():
            self.assertEqual(self.world.status("ChangeConfiguration", {"key": key, "value": value}), "Accepted")

    def values(self) -> list[tuple[str, str, str]]:
        """Time, context and value of the first sample of each MeterValues."""
        elements = [payload["meterValue"][0] for payload in self.world.payloads("MeterValues")]
        firsts = [(element["timestamp"], element["sampledValue"][0]) for element in elements]
        return [(at[11:19], sample["context"], sample["value"]) for at, sample in firsts]

    def test_samples_grow_with_power_and_time(self) -> None:
        """One sample every MeterValueSampleInterval: 1 Wh a second at 3.6 kW (3.16)."""
        self.configure(MeterValueSampleInterval="60")
        self.world.start(self.charger.start_transaction(1, "TAG"))
        self.world.advance(120)
        periodic = "Sample.Periodic"
        self.assertEqual(self.values(), [("00:01:00", periodic, "60"), ("00:02:00", periodic, "120")])

    def test_clock_aligned_samples(self) -> None:
        """Every connector at the multiples of ClockAlignedDataInterval, with a transaction's id only on its connector."""
        self.world.advance(100)
        self.configure(ClockAlignedDataInterval="900", MeterValueSampleInterval="0")
        self.world.start(self.charger.start_transaction(1, "TAG"))
        self.world.advance(900)
        payloads = self.world.payloads("MeterValues")
        told = sorted((payload["connectorId"], payload.get("transactionId")) for payload in payloads)
        self.assertEqual(told, [(0, None), (1, 1)])
        self.assertEqual({value[:2] for value in self.values()}, {("00:15:00", "Sample.Clock")})

    def test_transaction_data(self) -> None:
        """StopTransaction carries the samples that StopTxnSampledData asks for, from begin to end (4.10)."""
        self.configure(StopTxnSampledData="Energy.Active.Import.Register", MeterValueSampleInterval="60")
        started = self.world.start(self.charger.start_transaction(1, "TAG"))
        self.world.advance(90)
        self.world.start(self.charger.stop_transaction(started[0]))
        data = self.world.payloads("StopTransaction")[0]["transactionData"]
        contexts = [(each["sampledValue"][0]["context"], each["sampledValue"][0]["value"]) for each in data]
        self.assertEqual(contexts, [("Transaction.Begin", "0"), ("Sample.Periodic", "60"), ("Transaction.End", "90")])

    def test_a_profile_limits_the_power(self) -> None:
        """A limit of 0 suspends, clearing it lets the power flow again (3.13, 5.16)."""
        self.world.start(self.charger.start_transaction(1, "TAG"))
        profile = json.loads(json.dumps(CHARGING_5_KW))
        profile["chargingSchedule"]["chargingSchedulePeriod"] = [
            {"startPeriod": 0, "limit": 0},
            {"startPeriod": 60, "limit": 1800},
        ]
        self.assertEqual(self.world.status("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile}), "Accepted")
        meter = self.charger.connectors[1].meter
        self.assertEqual((meter.power_w, self.world.statuses()[-1]), (0.0, (1, "SuspendedEVSE")))
        self.world.advance(60)
        self.assertEqual((meter.power_w, self.world.statuses()[-1]), (1800.0, (1, "Charging")))
        self.assertEqual(self.world.status("ClearChargingProfile", {"id": 1}), "Accepted")
        self.assertEqual(meter.power_w, 3600.0)
        self.assertEqual(self.world.status("ClearChargingProfile", {"id": 1}), "Unknown")


class AuthorizationTests(SynchronousTestCase):
    """Who may charge when the central system is not asked."""

    def setUp(self) -> None:
        self.world = World()
        self.charger = self.world.charger()

    def test_the_local_list_comes_first(self) -> None:
        """LocalPreAuthorize: a tag of the local list starts without Authorize (3.5)."""
        self.world.call("ChangeConfiguration", {"key": "LocalPreAuthorize", "value": "true"})
        entries = [{"idTag": "listed", "idTagInfo": {"status": "Accepted"}}]
        update = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries}
        self.assertEqual(self.world.status("SendLocalList", update), "Accepted")
        self.world.start(self.charger.start_transaction(1, "LISTED"))
        self.assertNotIn("Authorize", self.world.actions)
        self.assertIn("StartTransaction", self.world.actions)

    def test_a_known_tag_starts_offline(self) -> None:
        """Offline, the cache decides; an unknown tag is refused (3.5.1)."""
        started = self.world.start(self.charger.start_transaction(1, "TAG"))
        self.world.start(self.charger.stop_transaction(started[0]))
        self.world.reachable = False
        self.world.links[-1].close(1001)
        self.world.clock.advance(0)
        refused = self.world.start(self.charger.start_transaction(1, "OTHER"))
        self.assertIsNone(refused[0].value.status)
        self.assertIsNone(self.world.start(self.charger.start_transaction(1, "TAG"))[0].transaction_id)

    def test_a_refused_start_only_suspends(self) -> None:
        """StopTransactionOnInvalidId false: SuspendedEVSE, no energy, no stop (T-12)."""
        self.world.call("ChangeConfiguration", {"key": "StopTransactionOnInvalidId", "value": "false"})
        self.world.answers["StartTransaction"] = lambda _: {"idTagInfo": {"status": "ConcurrentTx"}, "transactionId": 9}
        self.world.start(self.charger.start_transaction(1, "TAG"))
        self.assertEqual(self.world.statuses()[-1], (1, "SuspendedEVSE"))
        self.assertEqual(self.charger.connectors[1].meter.power_w, 0.0)
        self.assertNotIn("StopTransaction", self.world.actions)

    def test_a_start_that_was_never_answered_is_minus_one(self) -> None:
        """When all attempts failed, MeterValues and StopTransaction carry -1 (errata 3.18)."""
        self.world.call("ChangeConfiguration", {"key": "TransactionMessageRetryInterval", "value": "1"})
        self.world.answers["StartTransaction"] = lambda _: "InternalError"
        started = self.world.start(self.charger.start_transaction(1, "TAG"))
        self.world.advance(10)
        self.world.start(self.charger.stop_transaction(started[0]))
        self.assertEqual(len(self.world.payloads("StartTransaction")), 3)
        self.assertEqual(self.world.payloads("StopTransaction")[0]["transactionId"], -1)


class TableTests(SynchronousTestCase):
    """The table of commands."""

    def test_all_actions_are_answered(self) -> None:
        """There is an answer for each of the actions that a central system may call, and for no other."""
        self.assertEqual(set(TABLE), {name for name, action in ACTIONS.items() if action.to_charger})

    def test_a_manual_charger_only_answers(self) -> None:
        """Without `automatic` every command is answered, and nothing follows."""
        world = World()
        world.charger(automatic=False)
        for action, payload in EXAMPLES.items():
            answer: Any = world.call(action, payload)
            self.assertIsInstance(answer, dict, action)
        world.advance(1000)
        self.assertEqual(world.actions, [])


EXAMPLES: dict[str, Any] = {
    "CancelReservation": {"reservationId": 1},
    "CertificateSigned": {"certificateChain": "none"},
    "ChangeAvailability": {"connectorId": 1, "type": "Operative"},
    "ChangeConfiguration": {"key": "BlinkRepeat", "value": "1"},
    "ClearCache": {},
    "ClearChargingProfile": {},
    "DataTransfer": {"vendorId": "com.example"},
    "DeleteCertificate": {
        "certificateHashData": {"hashAlgorithm": "SHA256", "issuerNameHash": "0", "issuerKeyHash": "0", "serialNumber": "1"}
    },
    "ExtendedTriggerMessage": {"requestedMessage": "Heartbeat"},
    "GetCompositeSchedule": {"connectorId": 0, "duration": 60},
    "GetConfiguration": {},
    "GetDiagnostics": {"location": "ftp://example.org/"},
    "GetInstalledCertificateIds": {"certificateType": "ManufacturerRootCertificate"},
    "GetLocalListVersion": {},
    "GetLog": {"log": {"remoteLocation": "ftp://example.org/"}, "logType": "DiagnosticsLog", "requestId": 1},
    "InstallCertificate": {"certificateType": "ManufacturerRootCertificate", "certificate": "none"},
    "RemoteStartTransaction": {"idTag": "TAG"},
    "RemoteStopTransaction": {"transactionId": 1},
    "ReserveNow": {"connectorId": 1, "expiryDate": "2020-01-01T00:00:00Z", "idTag": "TAG", "reservationId": 1},
    "Reset": {"type": "Hard"},
    "SendLocalList": {"listVersion": 1, "updateType": "Full"},
    "SetChargingProfile": {"connectorId": 1, "csChargingProfiles": CHARGING_5_KW},
    "SignedUpdateFirmware": {
        "requestId": 1,
        "firmware": {
            "location": "ftp://example.org/",
            "retrieveDateTime": "2020-01-01T00:00:00Z",
            "signingCertificate": "none",
            "signature": "none",
        },
    },
    "TriggerMessage": {"requestedMessage": "Heartbeat"},
    "UnlockConnector": {"connectorId": 1},
    "UpdateFirmware": {"location": "ftp://example.org/", "retrieveDate": "2020-01-01T00:00:00Z"},
}
