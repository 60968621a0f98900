"""What a charger has told, as those see it who ask often; advice about it. REQUIREMENTS 2.6, G-10, P-4 to P-6."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central.capabilities import KEPT_CHARGERS, KEPT_MS, Capabilities, Known
from ocppd.central.configuration import in_portions, spelling
from ocppd.central.configuration_advice import advice
from ocppd.errors import Conflict
from ocppd.storage.records.configuration import KeyRecord, Mirrored, RefusedAction
from ocppd.v16.actions import Profile
from ocppd.v16.core import ChangeConfigurationRequest, ClearCacheRequest


def mirrored(read_ms: int | None = None, **values: str | None) -> Mirrored:
    """A charger that has told these values."""
    keys = tuple(KeyRecord(charger="CP1", key=name.lower(), name=name, value=value, told_ms=1) for name, value in values.items())
    return Mirrored(keys, read_ms)


def known(read_ms: int | None = None, **values: str | None) -> Known:
    """The same, as it is known."""
    return Known.of(mirrored(read_ms, **values))


class Records:
    """Records that answer when they are told to."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Mirrored]] = []

    def read(self, charger: str) -> Deferred[Mirrored]:
        """Waits."""
        self.asked.append(Deferred())
        return self.asked[-1]


class KnownTests(SynchronousTestCase):
    """`Known`."""

    def test_values(self) -> None:
        """Each type is read as charitably as it can be; what is missing, or no such value, is not known."""
        found = known(HeartbeatInterval=" 60", LocalPreAuthorize="TRUE", StopTxnSampledData="a, b", Odd="x", Unset=None)
        self.assertEqual((found.integer("heartbeatinterval"), found.integer("Odd"), found.integer("No")), (60, None, None))
        self.assertEqual((found.flag("LOCALPREAUTHORIZE"), found.flag("Odd"), found.flag("Unset")), (True, None, None))
        self.assertEqual((found.items("StopTxnSampledData"), found.items("Unset")), (("a", "b"), None))
        self.assertEqual(known(AMaxLength="3").most_items("A"), 3)

    def test_profiles_are_a_hint(self) -> None:
        """4.4: SupportedFeatureProfiles may have blanks anywhere; where it was not told nobody knows."""
        self.assertIsNone(known().supports(Profile.RESERVATION))
        found = known(SupportedFeatureProfiles="Core , Smart Charging,remotetrigger")
        supported = [profile for profile in Profile if found.supports(profile)]
        self.assertEqual(supported, [Profile.CORE, Profile.SMART_CHARGING, Profile.REMOTE_TRIGGER, Profile.SECURITY_EXTENSION])

    def test_warnings(self) -> None:
        """E-3: what was refused before, and what the profiles lack."""
        refused = RefusedAction("GetLog", "NotImplemented", 1)
        found = Known.of(Mirrored(mirrored(SupportedFeatureProfiles="Core").keys, None, (refused,)))
        self.assertIn("NotImplemented", found.warnings("GetLog")[0])
        self.assertEqual(len(found.warnings("ReserveNow")), 1)
        self.assertEqual(found.warnings("Reset"), [])

    def test_questions(self) -> None:
        """2.4: portions of the size that the charger takes; the specification's spelling, else the charger's."""
        self.assertEqual(list(in_portions("abcde", 2)), [("a", "b"), ("c", "d"), ("e",)])
        self.assertEqual(list(in_portions("ab", 0)), [("a",), ("b",)])
        key = KeyRecord(charger="CP1", key="colour", name="Colour")
        self.assertEqual([spelling("heartbeatINTERVAL", None), spelling("COLOUR", key), spelling("x", None)],
                         ["HeartbeatInterval", "Colour", "x"])  # fmt: skip


class AdviceTests(SynchronousTestCase):
    """`advice`."""

    def assert_about(self, found: Known, our_ping_s: float, *keys: str) -> None:
        """The advice is about these keys, first of all."""
        self.assertEqual([each.keys[0] for each in advice(found, our_ping_s)], list(keys))

    def test_pings_against_patience(self) -> None:
        """P-5: WebSocketPingInterval is to be below attempts times interval; 0 pings never, which is another matter."""
        patience = {"TransactionMessageAttempts": "3", "TransactionMessageRetryInterval": "60"}
        for ping, keys in (("180", ["WebSocketPingInterval"]), ("179", []), ("0", [])):
            self.assert_about(known(WebSocketPingInterval=ping, **patience), 60, *keys)
        self.assert_about(known(WebSocketPingInterval="999"), 60)

    def test_silence(self) -> None:
        """P-6: some sign of life within four minutes, whoever gives it."""
        for heartbeat, ping, ours, keys in (
            ("300", "0", 0, ["HeartbeatInterval"]),
            ("300", "300", 240, ["HeartbeatInterval"]),
            ("300", "0", 60, []),
            ("300", "100", 0, []),
            ("100", "0", 0, []),
        ):
            self.assert_about(known(HeartbeatInterval=heartbeat, WebSocketPingInterval=ping), ours, *keys)

    def test_heartbeats(self) -> None:
        """P-4: a heartbeat a day at least; off is none, with nothing else never a sign of life."""
        self.assert_about(known(HeartbeatInterval="86400"), 60)
        self.assert_about(known(HeartbeatInterval="86401"), 60, "HeartbeatInterval")
        self.assert_about(known(HeartbeatInterval="0"), 0, "HeartbeatInterval", "HeartbeatInterval")

    def test_missing_keys(self) -> None:
        """2.6: after a whole reading, keys that the charger's profiles require; before it, nothing."""
        self.assert_about(known(), 60)
        (found,) = advice(known(read_ms=1, SupportedFeatureProfiles="Core,LocalAuthListManagement"), 60)
        self.assertIn("LocalAuthListMaxLength", found.keys)
        self.assertNotIn("ChargeProfileMaxStackLevel", found.keys)


class CapabilitiesTests(SynchronousTestCase):
    """`Capabilities`."""

    def setUp(self) -> None:
        self.clock, self.records = Clock(), Records()
        storage: Any = self.records
        self.capabilities = Capabilities(storage, self.clock)

    def known_now(self, charger: str = "CP1", **values: str | None) -> Known:
        """What is known when it is asked for now; the records are asked where they have to be."""
        asked = len(self.records.asked)
        found = self.capabilities.of(charger)
        if len(self.records.asked) > asked:
            self.records.asked[-1].callback(mirrored(**values))
        return self.successResultOf(found)

    def test_it_is_kept_for_a_while(self) -> None:
        """The records are asked again when the seconds are over, or when something new was learnt here."""
        self.assertEqual(self.known_now(A="1").value("a"), "1")
        self.assertEqual(self.known_now(A="2").value("a"), "1")
        self.clock.advance(KEPT_MS / 1000)
        self.assertEqual(self.known_now(A="3").value("a"), "3")
        self.capabilities.forget("CP1")
        self.assertEqual(self.known_now(A="4").value("a"), "4")
        self.assertEqual(self.successResultOf(self.capabilities.value("CP1", "A")), "4")
        self.assertIsNone(self.successResultOf(self.capabilities.supports("CP1", Profile.CORE)))

    def test_it_is_kept_no_longer_where_the_clock_is_set_back(self) -> None:
        """The seconds are those that pass, whatever the clock of the machine says."""
        told: Any = self.clock
        told.wall = lambda: 7200.0
        self.assertEqual(self.known_now(A="1").value("a"), "1")
        told.wall = lambda: 3600.0
        self.clock.advance(KEPT_MS / 1000)
        self.assertEqual(self.known_now(A="2").value("a"), "2")

    def test_what_was_read_before_is_not_kept_after(self) -> None:
        """An answer of the records that something new has overtaken is given, and forgotten."""
        asked = self.capabilities.of("CP1")
        self.capabilities.forget("CP1")
        self.records.asked[-1].callback(mirrored(A="old"))
        self.assertEqual(self.successResultOf(asked).value("A"), "old")
        self.assertEqual(self.known_now(A="new").value("A"), "new")

    def test_the_memory_is_bounded(self) -> None:
        """Of very many chargers the last ones are kept."""
        for number in range(KEPT_CHARGERS + 5):
            self.known_now(f"CP{number}")
        self.assertEqual(len(self.capabilities._kept), KEPT_CHARGERS)

    def test_a_security_profile_is_never_lowered(self) -> None:
        """Y-2: a value that is not above the present one is refused; everything else is not looked at."""

        def objection(key: str, value: str, told: str | None) -> Deferred[None]:
            found = self.capabilities.objection("CP1", ChangeConfigurationRequest(key=key, value=value))
            assert found is not None
            self.records.asked[-1].callback(mirrored() if told is None else mirrored(SecurityProfile=told))
            return found

        for value, told in (("0", None), ("1", "1"), (" 1", "2"), ("-1", "0"), ("2", "3")):
            self.failureResultOf(objection("SECURITYPROFILE ", value, told), Conflict)
        for value, told in (("1", None), ("2", "1"), ("3", "0"), ("high", "1")):
            self.successResultOf(objection("SecurityProfile", value, told))
        self.assertIsNone(self.capabilities.objection("CP1", ChangeConfigurationRequest(key="A", value="0")))
        self.assertIsNone(self.capabilities.objection("CP1", ClearCacheRequest()))
