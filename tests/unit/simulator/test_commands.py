"""What the charger does with commands, on a clock and a connection in memory."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from ocppd.v16.types import ChargePointStatus
from support.memory import World

ROOT_USE = {"certificateType": "CentralSystemRootCertificate"}


class CommandTests(SynchronousTestCase):
    """A world with one charger of two connectors."""

    def setUp(self) -> None:
        self.world = World()
        self.charger = self.world.charger(connectors=2)

    def start(self, connector_id: int = 1, id_tag: str = "TAG") -> Any:
        """Start a transaction; the transaction, or the failure."""
        return self.world.start(self.charger.start_transaction(connector_id, id_tag))[0]

    def told(self, connector_id: int) -> list[str]:
        """The statuses of a connector."""
        return [status for number, status in self.world.statuses() if number == connector_id]


class CoreTests(CommandTests):
    """The Core profile."""

    def test_availability_waits_for_the_transaction(self) -> None:
        """Inoperative while somebody charges is Scheduled, and happens when the transaction has ended (5.2)."""
        transaction = self.start()
        change = {"connectorId": 0, "type": "Inoperative"}
        self.assertEqual(self.world.status("ChangeAvailability", change), "Scheduled")
        self.assertEqual(self.told(2)[-1], "Unavailable")
        self.world.start(self.charger.stop_transaction(transaction))
        self.assertEqual((self.told(0)[-1], self.told(1)[-1]), ("Unavailable", "Unavailable"))

    def test_availability_survives_a_reset(self) -> None:
        """What is Inoperative is Unavailable after the next boot too; Operative brings it back (5.2)."""
        self.assertEqual(self.world.status("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"}), "Accepted")
        self.world.call("Reset", {"type": "Hard"})
        self.world.advance(10)
        self.assertEqual(self.told(2), ["Available", "Unavailable", "Unavailable"])
        self.world.call("ChangeAvailability", {"connectorId": 2, "type": "Operative"})
        self.assertEqual(self.told(2)[-1], "Available")

    def test_unknown_connectors(self) -> None:
        """Commands for a connector that does not exist are refused, each in its own words."""
        self.assertEqual(self.world.status("ChangeAvailability", {"connectorId": 9, "type": "Operative"}), "Rejected")
        self.assertEqual(self.world.status("UnlockConnector", {"connectorId": 9}), "NotSupported")
        self.assertEqual(self.world.status("RemoteStartTransaction", {"connectorId": 9, "idTag": "TAG"}), "Rejected")
        self.assertEqual(self.world.status("GetCompositeSchedule", {"connectorId": 9, "duration": 60}), "Rejected")
        self.assertEqual(self.world.status("TriggerMessage", {"requestedMessage": "Heartbeat", "connectorId": 9}), "Rejected")

    def test_unlocking_ends_the_transaction(self) -> None:
        """Unlocked, and the transaction ends with reason UnlockCommand (5.18)."""
        self.start()
        self.assertEqual(self.world.status("UnlockConnector", {"connectorId": 1}), "Unlocked")
        self.assertEqual(self.world.payloads("StopTransaction")[0]["reason"], "UnlockCommand")

    def test_nobody_comes_for_a_remote_start(self) -> None:
        """Preparing, and Available again after ConnectionTimeOut (N-6)."""
        world = World()
        world.charger(driver_comes=False)
        self.assertEqual(world.status("RemoteStartTransaction", {"idTag": "TAG"}), "Accepted")
        self.assertEqual(world.statuses()[-1], (1, "Preparing"))
        world.advance(60)
        self.assertEqual(world.statuses()[-1], (1, "Available"))
        self.assertNotIn("StartTransaction", world.actions)

    def test_a_remote_start_may_be_authorized(self) -> None:
        """AuthorizeRemoteTxRequests: Authorize comes first, and may refuse (5.11)."""
        self.world.call("ChangeConfiguration", {"key": "AuthorizeRemoteTxRequests", "value": "true"})
        self.world.answers["Authorize"] = lambda _: {"idTagInfo": {"status": "Expired"}}
        self.assertEqual(self.world.status("RemoteStartTransaction", {"idTag": "TAG"}), "Accepted")
        self.assertIn("Authorize", self.world.actions)
        self.assertNotIn("StartTransaction", self.world.actions)
        self.assertEqual(self.told(1)[-1], "Available")

    def test_the_cache_can_be_cleared_where_there_is_one(self) -> None:
        """Accepted with a cache, Rejected without (errata 3.23)."""
        self.assertEqual(self.world.status("ClearCache"), "Accepted")
        self.world.call("ChangeConfiguration", {"key": "AuthorizationCacheEnabled", "value": "false"})
        self.assertEqual(self.world.status("ClearCache"), "Rejected")

    def test_triggers(self) -> None:
        """Each message that may be asked for follows its answer; without a job the state is Idle (5.17)."""
        before = len(self.world.actions)
        for message in ("Heartbeat", "MeterValues", "DiagnosticsStatusNotification", "FirmwareStatusNotification"):
            self.assertEqual(self.world.status("TriggerMessage", {"requestedMessage": message}), "Accepted")
        asked = {"requestedMessage": "StatusNotification", "connectorId": 2}
        self.assertEqual(self.world.status("TriggerMessage", asked), "Accepted")
        expected = ["Heartbeat", *["MeterValues"] * 3, "DiagnosticsStatusNotification", "FirmwareStatusNotification"]
        self.assertEqual(self.world.actions[before:], [*expected, "StatusNotification"])
        self.assertEqual(self.world.payloads("FirmwareStatusNotification"), [{"status": "Idle"}])
        contexts = {each["meterValue"][0]["sampledValue"][0]["context"] for each in self.world.payloads("MeterValues")}
        self.assertEqual(contexts, {"Trigger"})


class ReservationTests(CommandTests):
    """Reservations, OCPP 1.6 section 5.13."""

    def reserve(self, connector_id: int = 1, reservation_id: int = 1, **more: Any) -> Any:
        """The status of a ReserveNow for `MINE`, for a minute."""
        request = {"connectorId": connector_id, "expiryDate": "2030-01-01T00:01:00Z", "idTag": "MINE"}
        return self.world.status("ReserveNow", {**request, "reservationId": reservation_id, **more})

    def test_is_used_by_its_tag(self) -> None:
        """Reserved for one tag: refused to another, consumed by the StartTransaction of its own with the id."""
        self.assertEqual(self.reserve(reservation_id=7), "Accepted")
        self.assertEqual(self.told(1)[-1], "Reserved")
        self.assertEqual(self.reserve(reservation_id=8), "Occupied")
        self.assertEqual(self.start(1, "OTHER").value.status, "Reserved")
        self.start(1, "mine")
        self.assertEqual(self.world.payloads("StartTransaction")[0]["reservationId"], 7)

    def test_expires(self) -> None:
        """At its expiry date the connector is Available again."""
        self.reserve()
        self.world.advance(60)
        self.assertEqual(self.told(1), ["Available", "Reserved", "Available"])

    def test_is_cancelled(self) -> None:
        """CancelReservation: Accepted once, then Rejected (5.1)."""
        self.reserve()
        self.assertEqual(self.world.status("CancelReservation", {"reservationId": 1}), "Accepted")
        self.assertEqual(self.told(1)[-1], "Available")
        self.assertEqual(self.world.status("CancelReservation", {"reservationId": 1}), "Rejected")

    def test_the_group_may_use_it(self) -> None:
        """A tag with the parent of the reservation starts (2.5)."""
        self.world.answers["Authorize"] = lambda _: {"idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}}
        self.reserve(parentIdTag="Family")
        self.assertIsNone(getattr(self.start(1, "SISTER"), "value", None))
        self.assertEqual(self.world.payloads("StartTransaction")[0]["reservationId"], 1)

    def test_any_connector(self) -> None:
        """Connector 0 keeps one of the connectors free, whichever it is (G-11)."""
        self.assertEqual(self.reserve(connector_id=0), "Accepted")
        self.start(1, "OTHER")
        self.assertEqual(self.start(2, "ANOTHER").value.status, "Reserved")
        self.start(2, "MINE")
        self.assertEqual(self.world.payloads("StartTransaction")[-1]["reservationId"], 1)

    def test_ends_with_a_fault(self) -> None:
        """Faulted or Unavailable ends the reservation: afterwards there is none to cancel (N-4)."""
        self.reserve(reservation_id=1)
        self.reserve(2, reservation_id=2)
        self.charger.statuses.set(self.charger.connectors[1], ChargePointStatus.FAULTED)
        self.world.call("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"})
        for reservation_id in (1, 2):
            self.assertEqual(self.world.status("CancelReservation", {"reservationId": reservation_id}), "Rejected")
        self.assertEqual((self.told(1)[-1], self.told(2)[-1]), ("Faulted", "Unavailable"))

    def test_not_on_what_is_not_free(self) -> None:
        """Occupied where somebody charges, Unavailable where nobody may, Rejected where there is no connector."""
        self.start()
        self.world.call("ChangeAvailability", {"connectorId": 2, "type": "Inoperative"})
        statuses = [self.reserve(connector) for connector in (1, 2, 9)]
        self.assertEqual(statuses, ["Occupied", "Unavailable", "Rejected"])


class LocalListTests(CommandTests):
    """The local list, OCPP 1.6 section 5.15."""

    def test_versions(self) -> None:
        """A Full list sets the version, a Differential one must be newer; switched off it is -1 and NotSupported."""
        entry = {"idTag": "A", "idTagInfo": {"status": "Accepted"}}
        full = {"listVersion": 5, "updateType": "Full", "localAuthorizationList": [entry]}
        self.assertEqual(self.world.status("SendLocalList", full), "Accepted")
        older = {"listVersion": 5, "updateType": "Differential", "localAuthorizationList": [{"idTag": "A"}]}
        self.assertEqual(self.world.status("SendLocalList", older), "VersionMismatch")
        self.assertEqual(self.world.status("SendLocalList", {**older, "listVersion": 6}), "Accepted")
        self.assertEqual(self.world.call("GetLocalListVersion"), {"listVersion": 6})
        self.assertEqual(len(self.charger.local_list), 0)
        self.world.call("ChangeConfiguration", {"key": "LocalAuthListEnabled", "value": "false"})
        self.assertEqual(self.world.call("GetLocalListVersion"), {"listVersion": -1})
        self.assertEqual(self.world.status("SendLocalList", full), "NotSupported")

    def test_duplicates_fail(self) -> None:
        """The same tag twice, ignoring case, fails and changes nothing (L-3)."""
        entries = [{"idTag": tag, "idTagInfo": {"status": "Accepted"}} for tag in ("a", "A")]
        update = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries}
        self.assertEqual(self.world.status("SendLocalList", update), "Failed")
        self.assertEqual(self.world.call("GetLocalListVersion"), {"listVersion": 0})


class SecurityTests(CommandTests):
    """The security extension."""

    def test_certificates(self) -> None:
        """A root is installed, listed by its hashes, deleted by them, and then not found (Q-5 to Q-7)."""
        _, root = certificate()
        self.assertEqual(self.world.status("InstallCertificate", {**ROOT_USE, "certificate": root}), "Accepted")
        self.assertEqual(self.world.status("InstallCertificate", {**ROOT_USE, "certificate": "nonsense"}), "Rejected")
        listed = self.world.call("GetInstalledCertificateIds", ROOT_USE)
        self.assertEqual((listed["status"], len(listed["certificateHashData"])), ("Accepted", 1))
        named = {"certificateHashData": listed["certificateHashData"][0]}
        self.assertEqual(self.world.status("DeleteCertificate", named), "Accepted")
        self.assertEqual(self.world.status("DeleteCertificate", named), "NotFound")
        self.assertEqual(self.world.status("GetInstalledCertificateIds", ROOT_USE), "NotFound")

    def test_a_certificate_of_its_own(self) -> None:
        """Asked for a request, it sends one with its serial number; it takes the certificate for that key alone (Q-1, Q-4)."""
        self.assertEqual(
            self.world.status("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}), "Accepted"
        )
        request = x509.load_pem_x509_csr(self.world.payloads("SignCertificate")[0]["csr"].encode())
        self.assertTrue(request.is_signature_valid)
        self.assertEqual(request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, "CP1")
        _, foreign = certificate()
        self.assertEqual(self.world.status("CertificateSigned", {"certificateChain": foreign}), "Rejected")
        _, own = certificate(request.public_key())
        self.assertEqual(self.world.status("CertificateSigned", {"certificateChain": own}), "Accepted")
        self.assertIn(b"PRIVATE KEY", self.charger.certificate_pem or b"")

    def test_signed_firmware(self) -> None:
        """The whole chain with the request's id, the boot inside, then Idle on request (V-3, V-4)."""
        _, signer = certificate()
        firmware = {
            "location": "ftps://example.org/fw",
            "retrieveDateTime": "2030-01-01T00:01:00Z",
            "signingCertificate": signer,
            "signature": "c2lnbmF0dXJl",
        }
        request = {"requestId": 3, "firmware": firmware}
        self.assertEqual(self.world.status("SignedUpdateFirmware", request), "Accepted")
        self.world.advance(120)
        told = self.world.payloads("SignedFirmwareStatusNotification")
        self.assertEqual(
            [each["status"] for each in told],
            [
                *("DownloadScheduled", "Downloading", "Downloaded", "SignatureVerified"),
                *("Installing", "InstallRebooting", "Installed"),
            ],
        )
        self.assertEqual({each["requestId"] for each in told}, {3})
        self.assertEqual(self.world.payloads("BootNotification")[-1]["firmwareVersion"], "1.0.1")
        self.world.call("ExtendedTriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        self.assertEqual(self.world.payloads("SignedFirmwareStatusNotification")[-1]["status"], "Idle")
        broken = {"requestId": 4, "firmware": {**firmware, "signingCertificate": "nonsense"}}
        self.assertEqual(self.world.status("SignedUpdateFirmware", broken), "InvalidCertificate")

    def test_a_second_log_cancels_the_first(self) -> None:
        """AcceptedCanceled; only the second is Uploaded (V-10)."""
        log = {"log": {"remoteLocation": "ftp://example.org/"}, "logType": "SecurityLog"}
        self.assertEqual(self.world.status("GetLog", {**log, "requestId": 1}), "Accepted")
        self.assertEqual(self.world.status("GetLog", {**log, "requestId": 2}), "AcceptedCanceled")
        self.world.advance(10)
        told = [(each["status"], each["requestId"]) for each in self.world.payloads("LogStatusNotification")]
        self.assertEqual(told, [("Uploading", 1), ("Uploading", 2), ("Uploaded", 2)])


def certificate(public_key: Any = None) -> tuple[ec.EllipticCurvePrivateKey, str]:
    """A key and a certificate signed by it, for its own public key or another one; PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, public_key or key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    return key, signed.public_bytes(Encoding.PEM).decode()
