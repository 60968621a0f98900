"""What a registration permits, both ways. REQUIREMENTS 2.2."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.registration import CROWD, asked_message, asks_for_boot, may_receive, may_send, may_wait, told_interval_s
from ocppd.v16.actions import ACTIONS
from ocppd.v16.codec import build
from ocppd.v16.core import ResetRequest
from ocppd.v16.remote_trigger import TriggerMessageRequest
from ocppd.v16.security import ExtendedTriggerMessageRequest
from ocppd.v16.types import MessageTrigger, MessageTriggerEnumType, RegistrationStatus, ResetType
from support.examples import example, kind_of

ACCEPTED, PENDING, REJECTED = RegistrationStatus.ACCEPTED, RegistrationStatus.PENDING, RegistrationStatus.REJECTED
REMOTE = {"RemoteStartTransaction", "RemoteStopTransaction"}
RESET = ResetRequest(type=ResetType.SOFT)


class RegistrationTests(SynchronousTestCase):
    """The table of 2.2."""

    def test_what_is_received(self) -> None:
        """Accepted: everything; else boots and security events, and while Pending what was asked for."""
        for name, action in ACTIONS.items():
            if not action.from_charger:
                continue
            always = name in ("BootNotification", "SecurityEventNotification")
            self.assertTrue(may_receive(ACCEPTED, name, set()))
            for registration in (None, PENDING, REJECTED):
                self.assertEqual(may_receive(registration, name, set()), always, (registration, name))
                asked = always or registration is PENDING
                self.assertEqual(may_receive(registration, name, {name}), asked, (registration, name))

    def test_what_is_sent(self) -> None:
        """Accepted: everything; Pending: everything but remote start and stop; else nothing (4.2)."""
        for name, action in ACTIONS.items():
            if not action.to_charger:
                continue
            value = example(f"{name}Request")
            if name.endswith("TriggerMessage"):
                value["requestedMessage"] = "Heartbeat"
            request = build(kind_of(f"{name}Request"), value)
            verdicts = [may_send(registration, request, name) for registration in (ACCEPTED, PENDING, REJECTED, None)]
            self.assertEqual(verdicts, [True, name not in REMOTE, False, False], name)
            waits = [may_wait(registration, request, name) for registration in (ACCEPTED, PENDING, REJECTED, None)]
            self.assertEqual(waits, [False, name not in REMOTE, True, True], name)

    def test_triggers_of_boots(self) -> None:
        """A trigger of BootNotification goes to a pending charger and never to an accepted one (errata 3.40)."""
        for request, action in (
            (TriggerMessageRequest(requested_message=MessageTrigger.BOOT_NOTIFICATION), "TriggerMessage"),
            (
                ExtendedTriggerMessageRequest(requested_message=MessageTriggerEnumType.BOOT_NOTIFICATION),
                "ExtendedTriggerMessage",
            ),
        ):
            self.assertTrue(asks_for_boot(request))
            self.assertEqual([may_send(each, request, action) for each in (ACCEPTED, PENDING)], [False, True])
        self.assertFalse(asks_for_boot(RESET))

    def test_what_is_asked_for(self) -> None:
        """Triggers ask for their message, uploads and updates for their status, the rest for nothing (V-12)."""
        for trigger in MessageTrigger:
            self.assertEqual(asked_message(TriggerMessageRequest(requested_message=trigger), "TriggerMessage"), trigger)
        renamed = {
            "SignChargePointCertificate": "SignCertificate",
            "FirmwareStatusNotification": "SignedFirmwareStatusNotification",
        }
        for extended in MessageTriggerEnumType:
            asked = asked_message(ExtendedTriggerMessageRequest(requested_message=extended), "ExtendedTriggerMessage")
            self.assertEqual(asked, renamed.get(extended, extended))
        self.assertEqual(asked_message(RESET, "GetLog"), "LogStatusNotification")
        self.assertEqual(asked_message(RESET, "GetDiagnostics"), "DiagnosticsStatusNotification")
        self.assertEqual(asked_message(RESET, "UpdateFirmware"), "FirmwareStatusNotification")
        self.assertEqual(asked_message(RESET, "SignedUpdateFirmware"), "SignedFirmwareStatusNotification")
        self.assertIsNone(asked_message(RESET, "Reset"))


class ToldIntervalTests(SynchronousTestCase):
    """`told_interval_s`."""

    def test_few(self) -> None:
        """Few chargers are told what is configured."""
        self.assertEqual({told_interval_s(f"CP{number}", 300, CROWD - 1) for number in range(99)}, {300})

    def test_many(self) -> None:
        """C-5: many are told up to a tenth less, evenly, and each by its name always the same."""
        told = [told_interval_s(f"CP{number}", 300, CROWD) for number in range(1000)]
        self.assertEqual((min(told), max(told)), (271, 300))
        self.assertTrue(all(20 < told.count(interval) < 50 for interval in range(271, 300)))
        self.assertEqual(told, [told_interval_s(f"CP{number}", 300, 20_000) for number in range(1000)])

    def test_least(self) -> None:
        """B-1: no charger is told to beat more often than every ten seconds, unless that is configured."""
        self.assertEqual({told_interval_s(f"CP{number}", 10, CROWD) for number in range(99)}, {10})
        self.assertEqual(min(told_interval_s(f"CP{number}", 100, CROWD) for number in range(999)), 91)
