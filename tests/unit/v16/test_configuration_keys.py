"""The configuration keys of the specification, against what it says of them, and what their values may be. REQUIREMENTS 2.6."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ocppd.simulator import configuration_keys as simulated
from ocppd.v16.actions import Profile
from ocppd.v16.configuration_keys import (
    STANDARD_KEYS,
    boolean_of,
    integer_of,
    is_same,
    is_secret,
    items_of,
    required_keys,
    standard_key,
)

#: Name (`!`: required), profile, type, who may do what, unit.
FACTS = """
AllowOfflineTxForUnknownId Core boolean RW -
AuthorizationCacheEnabled Core boolean RW -
AuthorizeRemoteTxRequests! Core boolean R/RW -
BlinkRepeat Core integer RW times
ClockAlignedDataInterval! Core integer RW seconds
ConnectionTimeOut! Core integer RW seconds
ConnectorPhaseRotation! Core list RW -
ConnectorPhaseRotationMaxLength Core integer R -
GetConfigurationMaxKeys! Core integer R -
HeartbeatInterval! Core integer RW seconds
LightIntensity Core integer RW %
LocalAuthorizeOffline! Core boolean RW -
LocalPreAuthorize! Core boolean RW -
MaxEnergyOnInvalidId Core integer RW Wh
MeterValuesAlignedData! Core list RW -
MeterValuesAlignedDataMaxLength Core integer R -
MeterValuesSampledData! Core list RW -
MeterValuesSampledDataMaxLength Core integer R -
MeterValueSampleInterval! Core integer RW seconds
MinimumStatusDuration Core integer RW seconds
NumberOfConnectors! Core integer R -
ResetRetries! Core integer RW times
StopTransactionOnEVSideDisconnect Core boolean R/RW -
StopTransactionOnInvalidId! Core boolean RW -
StopTxnAlignedData! Core list RW -
StopTxnAlignedDataMaxLength Core integer R -
StopTxnSampledData! Core list RW -
StopTxnSampledDataMaxLength Core integer R -
SupportedFeatureProfiles! Core list R -
SupportedFeatureProfilesMaxLength Core integer R -
TransactionMessageAttempts! Core integer RW times
TransactionMessageRetryInterval! Core integer RW seconds
UnlockConnectorOnEVSideDisconnect! Core boolean R/RW -
WebSocketPingInterval Core integer RW seconds
LocalAuthListEnabled! List boolean RW -
LocalAuthListMaxLength! List integer R -
SendLocalListMaxLength! List integer R -
ReserveConnectorZeroSupported Reservation boolean R -
ChargeProfileMaxStackLevel! Smart integer R -
ChargingScheduleAllowedChargingRateUnit! Smart list R -
ChargingScheduleMaxPeriods! Smart integer R -
ConnectorSwitch3to1PhaseSupported Smart boolean R -
MaxChargingProfilesInstalled! Smart integer R -
MessageTimeout Core integer RW seconds
StopTransactionMaxMeterValues Core integer R -
SupportedFileTransferProtocols Firmware list R -
AuthorizationKey Security text W -
AdditionalRootCertificateCheck Security boolean R -
CertificateSignedMaxChainSize Security integer R characters
CertificateStoreMaxLength Security integer R -
CpoName Security text RW -
SecurityProfile Security integer RW -
"""
PROFILES = {
    "Core": Profile.CORE,
    "List": Profile.LOCAL_AUTH_LIST_MANAGEMENT,
    "Reservation": Profile.RESERVATION,
    "Smart": Profile.SMART_CHARGING,
    "Firmware": Profile.FIRMWARE_MANAGEMENT,
    "Security": Profile.SECURITY_EXTENSION,
}


class TableTests(SynchronousTestCase):
    """The table of keys."""

    def test_the_keys_of_the_specification(self) -> None:
        """Each key is there as the specification has it, found in whatever case, and there is no other."""
        facts = [line.split() for line in FACTS.split("\n") if line]
        self.assertEqual(len(facts), len(STANDARD_KEYS))
        for name, profile, kind, access, unit in facts:
            found = standard_key(name.rstrip("!").upper())
            assert found is not None, name
            told = (found.name, found.profile, found.type, found.access.replace(" or ", "/"), found.unit or "-", found.required)
            self.assertEqual(told, (name.rstrip("!"), PROFILES[profile], kind, access, unit, name.endswith("!")))

    def test_the_keys_of_the_simulator(self) -> None:
        """The simulated charger has keys of the specification, and what it starts with are values that they may have."""
        for key in (*simulated._CORE, *simulated._OTHERS):
            found = standard_key(key.name)
            assert found is not None, key.name
            self.assertEqual(key.name, found.name)
            self.assertIsNone(found.fault(key.default) if key.default else None, key.name)

    def test_required_keys(self) -> None:
        """A key is required by its profile."""
        self.assertIn("NumberOfConnectors", required_keys([Profile.CORE]))
        self.assertEqual(required_keys([Profile.RESERVATION]), [])
        self.assertIn("ChargeProfileMaxStackLevel", required_keys([Profile.CORE, Profile.SMART_CHARGING]))
        self.assertNotIn("BlinkRepeat", required_keys(Profile))


class ValueTests(SynchronousTestCase):
    """What values may be, and mean."""

    def test_faults(self) -> None:
        """P-2: types, ranges, lists without holes; a list may be empty."""
        for name, good, bad in (
            (
                "HeartbeatInterval",
                ("0", "300", "2147483647"),
                ("", "1.5", "-1", " 1", "+1", "x", "2147483648", "9" * 40, "\u0661"),
            ),
            ("WebSocketPingInterval", ("0", "60"), ("-1", "-0x1")),
            ("LightIntensity", ("0", "100"), ("101",)),
            ("LocalPreAuthorize", ("true", "FALSE", "True"), ("", "1", "yes", "true ")),
            ("StopTxnSampledData", ("", " ", "SoC", "Voltage.L1, SoC"), (",", "SoC,", "SoC,,Voltage")),
            ("CpoName", ("", "Anybody, Ltd."), ()),
            ("SecurityProfile", ("0", "3"), ("4", "-1")),
        ):
            found = standard_key(name)
            assert found is not None
            self.assertEqual([value for value in good if found.fault(value) is not None], [], name)
            self.assertEqual([value for value in bad if found.fault(value) is None], [], name)

    def test_the_same_value(self) -> None:
        """Values are compared by what they mean, those of vendors' keys by the letter."""
        for name, one, other, same in (
            ("LocalPreAuthorize", "True", "true", True),
            ("heartbeatinterval", "060", " 60", True),
            ("HeartbeatInterval", "60", "61", False),
            ("HeartbeatInterval", "sixty", "60", False),
            ("MeterValuesSampledData", "SoC,Voltage", "SoC, Voltage ", True),
            ("MeterValuesSampledData", "Voltage,SoC", "SoC,Voltage", False),
            ("Vendor", "True", "true", False),
            ("CpoName", "A", "a", False),
        ):
            self.assertIs(is_same(name, one, other), same, (name, one, other))

    def test_readings(self) -> None:
        """Blanks around values are of no meaning; what is no value of its type is none."""
        self.assertEqual([integer_of(text) for text in (" 5 ", "-5", "5.0", "", "9" * 11)], [5, -5, None, None, None])
        self.assertEqual([boolean_of(text) for text in (" TRUE", "false", "0")], [True, False, None])
        self.assertEqual(items_of(" a, b,,c d "), ("a", "b", "c d"))

    def test_secrets(self) -> None:
        """Z-8: a password is known by its name, however a vendor spells it; nothing that the specification shows is one."""
        for name in (
            *(
                "AuthorizationKey",
                " authorizationKEY ",
                "Wifi-Password",
                "WIFI_PSK",
                "ftpPwd",
                "Sim.Pin",
                "X_API_KEY",
                "ClientSecret",
            ),
            *("LocalAdmin_PassWord1", "Modem2Credentials"),
        ):
            self.assertTrue(is_secret(name), name)
        self.assertEqual([key.name for key in STANDARD_KEYS.values() if is_secret(key.name)], ["AuthorizationKey"])
        for name in ("FreevendIdTag", "ShippingMode", "KeyLock", "Passive", "Tokens"):
            self.assertFalse(is_secret(name), name)
