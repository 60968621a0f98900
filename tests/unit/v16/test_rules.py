"""What members owe to each other: the rules that no single member can hold. REQUIREMENTS 4.3."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import ErrorCode, InvalidPayload
from ocppd.v16.codec import build, decode
from ocppd.v16.validation import check
from support.examples import Path, example, kind_of, payload, with_, without

OCCURENCE = ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION
PROPERTY = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
PROFILE: Path = ("csChargingProfiles",)
SCHEDULE: Path = (*PROFILE, "chargingSchedule")


class RuleTests(SynchronousTestCase):
    """Each rule, broken and kept."""

    def assert_broken(self, name: str, value: Any, code: ErrorCode, pointer: str) -> None:
        """`value` breaks one rule by the letter, and is read all the same where we are kind."""
        found = check(kind_of(name), value)
        self.assertEqual([(violation.code, violation.pointer) for violation in found], [(code, pointer)])
        with self.assertRaises(InvalidPayload) as caught:
            build(kind_of(name), value)
        self.assertEqual(caught.exception.violations, found)
        self.assertEqual(caught.exception.action, name.removesuffix("Request"))
        self.assertEqual(decode(kind_of(name), payload(value), strict=False)[1], ())

    def assert_kept(self, name: str, value: Any) -> None:
        """`value` is good by the letter."""
        self.assertEqual(check(kind_of(name), value), ())

    def test_list_version(self) -> None:
        """L-1: a list is never sent as version 0 or -1 (errata 3.52), nor as any below."""
        name = "SendLocalListRequest"
        for version in (0, -1, -7):
            self.assert_broken(name, with_(example(name), ("listVersion",), version), PROPERTY, "/listVersion")
        self.assert_kept(name, with_(example(name), ("listVersion",), 2))

    def test_full_list(self) -> None:
        """In a full list every entry has a verdict; in a differential one an entry without deletes."""
        name = "SendLocalListRequest"
        entry = ("localAuthorizationList", 0, "idTagInfo")
        bare = without(example(name), entry)
        full = with_(bare, ("updateType",), "Full")
        self.assert_broken(name, full, OCCURENCE, "/localAuthorizationList/0/idTagInfo")
        self.assert_kept(name, with_(bare, ("updateType",), "Differential"))
        self.assert_kept(name, without(full, ("localAuthorizationList",)))

    def test_first_period(self) -> None:
        """The first period of a schedule starts at 0; later ones do not."""
        name = "SetChargingProfileRequest"
        period = (*SCHEDULE, "chargingSchedulePeriod", 0, "startPeriod")
        pointer = "/csChargingProfiles/chargingSchedule/chargingSchedulePeriod/0/startPeriod"
        self.assert_broken(name, with_(example(name), period, 1), PROPERTY, pointer)

    def test_profile_of_a_transaction(self) -> None:
        """A transaction is named with purpose TxProfile alone."""
        name = "SetChargingProfileRequest"
        default = with_(example(name), (*PROFILE, "chargingProfilePurpose"), "TxDefaultProfile")
        self.assert_broken(name, default, OCCURENCE, "/csChargingProfiles/transactionId")
        self.assert_kept(name, without(default, (*PROFILE, "transactionId")))

    def test_recurrency(self) -> None:
        """A recurrency is named with kind Recurring alone (errata 3.56)."""
        name = "SetChargingProfileRequest"
        absolute = with_(example(name), (*PROFILE, "chargingProfileKind"), "Absolute")
        self.assert_broken(name, absolute, OCCURENCE, "/csChargingProfiles/recurrencyKind")

    def test_relative(self) -> None:
        """A relative profile names no start."""
        name = "SetChargingProfileRequest"
        relative = without(with_(example(name), (*PROFILE, "chargingProfileKind"), "Relative"), (*PROFILE, "recurrencyKind"))
        self.assert_broken(name, relative, OCCURENCE, "/csChargingProfiles/chargingSchedule/startSchedule")
        self.assert_kept(name, without(relative, (*SCHEDULE, "startSchedule")))

    def test_remote_start_sc_05(self) -> None:
        """A profile in a RemoteStartTransaction cannot name the transaction."""
        name = "RemoteStartTransactionRequest"
        named = with_(example(name), ("chargingProfile", "transactionId"), 7)
        self.assert_broken(name, named, OCCURENCE, "/chargingProfile/transactionId")

    def test_purposes(self) -> None:
        """K-1: a profile goes with its connector; a TxProfile names its transaction, and is the only one in a remote start."""
        name = "SetChargingProfileRequest"
        self.assert_broken(
            name, without(example(name), (*PROFILE, "transactionId")), OCCURENCE, "/csChargingProfiles/transactionId"
        )
        self.assert_broken(name, with_(example(name), ("connectorId",), 0), PROPERTY, "/connectorId")
        default = without(
            with_(example(name), (*PROFILE, "chargingProfilePurpose"), "TxDefaultProfile"), (*PROFILE, "transactionId")
        )
        for connector in (0, 2):
            self.assert_kept(name, with_(default, ("connectorId",), connector))
        most = with_(default, (*PROFILE, "chargingProfilePurpose"), "ChargePointMaxProfile")
        self.assert_broken(name, most, PROPERTY, "/connectorId")
        self.assert_kept(name, with_(most, ("connectorId",), 0))
        name = "RemoteStartTransactionRequest"
        for purpose in ("TxDefaultProfile", "ChargePointMaxProfile"):
            other = with_(example(name), ("chargingProfile", "chargingProfilePurpose"), purpose)
            self.assert_broken(name, other, PROPERTY, "/chargingProfile/chargingProfilePurpose")

    def test_kinds(self) -> None:
        """K-2: a recurring profile has its recurrence and begins again before it is over; any but a relative one has a start."""
        name = "SetChargingProfileRequest"
        pointer = "/csChargingProfiles/recurrencyKind"
        self.assert_broken(name, without(example(name), (*PROFILE, "recurrencyKind")), OCCURENCE, pointer)
        start = "/csChargingProfiles/chargingSchedule/startSchedule"
        bare = without(example(name), (*SCHEDULE, "startSchedule"))
        self.assert_broken(name, bare, OCCURENCE, start)
        absolute = without(with_(bare, (*PROFILE, "chargingProfileKind"), "Absolute"), (*PROFILE, "recurrencyKind"))
        self.assert_broken(name, absolute, OCCURENCE, start)
        duration = (*SCHEDULE, "duration")
        for kind, recurrence_s in (("Daily", 86_400), ("Weekly", 604_800)):
            recurring = with_(example(name), (*PROFILE, "recurrencyKind"), kind)
            self.assert_kept(name, with_(recurring, duration, recurrence_s))
            long = with_(recurring, duration, recurrence_s + 1)
            self.assert_broken(name, long, PROPERTY, "/csChargingProfiles/chargingSchedule/duration")

    def test_schedules(self) -> None:
        """K-3: periods rise within the duration, limits are not negative, a car has up to three phases."""
        name = "SetChargingProfileRequest"
        periods = (*SCHEDULE, "chargingSchedulePeriod")
        pointer = "/csChargingProfiles/chargingSchedule/chargingSchedulePeriod"
        endless = without(example(name), (*SCHEDULE, "duration"))
        first = {"startPeriod": 0, "limit": 0}
        self.assert_kept(name, with_(endless, periods, [first, {"startPeriod": 9, "limit": 6}]))
        self.assert_broken(name, with_(endless, periods, [first, first]), PROPERTY, f"{pointer}/1/startPeriod")
        late = with_(example(name), periods, [first, {"startPeriod": 1, "limit": 6}])
        self.assert_broken(name, late, PROPERTY, f"{pointer}/1/startPeriod")
        self.assert_broken(name, with_(endless, (*periods, 0, "limit"), -1), PROPERTY, f"{pointer}/0/limit")
        for phases in (0, 4):
            self.assert_broken(name, with_(endless, (*periods, 0, "numberPhases"), phases), PROPERTY, f"{pointer}/0/numberPhases")
        rate = with_(endless, (*SCHEDULE, "minChargingRate"), -1)
        self.assert_broken(name, rate, PROPERTY, "/csChargingProfiles/chargingSchedule/minChargingRate")
        for duration in (0, -5):
            none = with_(example(name), (*SCHEDULE, "duration"), duration)
            self.assert_broken(name, none, PROPERTY, "/csChargingProfiles/chargingSchedule/duration")

    def test_validity(self) -> None:
        """K-5: what ends before it begins is never valid."""
        name = "SetChargingProfileRequest"
        never = with_(example(name), (*PROFILE, "validTo"), "2001-01-01T00:00:00Z")
        self.assert_broken(name, never, PROPERTY, "/csChargingProfiles/validTo")

    def test_trigger_connector(self) -> None:
        """Connector 0 may be triggered for StatusNotification and MeterValues, for nothing else."""
        name = "TriggerMessageRequest"
        for message in ("StatusNotification", "MeterValues"):
            self.assert_kept(name, {"requestedMessage": message, "connectorId": 0})
        for message in ("BootNotification", "Heartbeat"):
            self.assert_broken(name, {"requestedMessage": message, "connectorId": 0}, PROPERTY, "/connectorId")
            self.assert_kept(name, {"requestedMessage": message})

    def test_firmware_request_id(self) -> None:
        """A status of signed firmware names its request unless it is Idle."""
        name = "SignedFirmwareStatusNotificationRequest"
        self.assert_broken(name, {"status": "Downloaded"}, OCCURENCE, "/requestId")
        self.assert_kept(name, {"status": "Idle"})
        self.assert_kept(name, {"status": "Downloaded", "requestId": 1})

    def test_broken_otherwise(self) -> None:
        """Rules say nothing of values that are broken otherwise, and do not fail on them."""
        for odd in (None, True, False, 0.0, "x", [], {}, [None], [[]], {"startPeriod": None}):
            for name, path in (
                ("SendLocalListRequest", ("listVersion",)),
                ("SendLocalListRequest", ("localAuthorizationList",)),
                ("SendLocalListRequest", ("updateType",)),
                ("SetChargingProfileRequest", PROFILE),
                ("SetChargingProfileRequest", SCHEDULE),
                ("SetChargingProfileRequest", (*SCHEDULE, "chargingSchedulePeriod")),
                ("SetChargingProfileRequest", (*SCHEDULE, "chargingSchedulePeriod", 0)),
                ("SetChargingProfileRequest", (*PROFILE, "chargingProfileKind")),
                ("RemoteStartTransactionRequest", ("chargingProfile",)),
                ("TriggerMessageRequest", ("connectorId",)),
                ("TriggerMessageRequest", ("requestedMessage",)),
                ("SignedFirmwareStatusNotificationRequest", ("status",)),
            ):
                good = odd == [] and path == ("localAuthorizationList",)
                self.assertEqual(check(kind_of(name), with_(example(name), path, odd)) == (), good, (path, odd))

    def test_false_is_no_zero(self) -> None:
        """false where 0 is forbidden is one fault, of its type."""
        for name, member in (("SendLocalListRequest", "listVersion"), ("TriggerMessageRequest", "connectorId")):
            found = check(kind_of(name), with_(example(name), (member,), False))
            self.assertEqual([violation.code for violation in found], [ErrorCode.TYPE_CONSTRAINT_VIOLATION])
