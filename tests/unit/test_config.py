"""configs.json: what is accepted, and the one line that says what is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ocppd.config import ChargerSettings, Configuration, IdTagSettings, Mode, Registration, Settings, file, load_configuration
from ocppd.config.values import REPAIR_NAMES
from ocppd.errors import ConfigurationError, StartFailed
from ocppd.v16.repairs import NAMES
from ocppd.v16.types import AuthorizationStatus

ROOT = Path(__file__).resolve().parents[2]
SECRET = "correct horse battery"


class ConfigurationCase(SynchronousTestCase):
    """Writes configs.json into a directory of the test."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def load(self, text: str | bytes) -> Configuration:
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_configuration(self.path)

    def load_value(self, value: Any) -> Configuration:
        return self.load(json.dumps(value))

    def load_charger(self, **members: Any) -> ChargerSettings:
        return self.load_value({"Chargers": [{"Name": "A", **members}]}).chargers["A"]

    def refused(self, text: str | bytes) -> ConfigurationError:
        error = self.assertRaises(ConfigurationError, self.load, text)
        self.assertEqual(error.file, str(self.path))
        self.assertNotIn("\n", str(error))
        self.assertIsInstance(error, StartFailed)
        return error

    def assertRefused(self, value: Any, path: str, expected: str) -> None:
        error = self.refused(json.dumps(value))
        self.assertEqual(error.path, path)
        self.assertIn(expected, error.expected)


class AcceptedTests(ConfigurationCase):
    """What an operator may write."""

    def test_what_holds_for_all(self) -> None:
        """B-8: Quiet and ReadConfiguration hold for all chargers, but for those that say otherwise."""
        self.assertEqual((self.load_charger().quiet, self.load_charger().read_configuration), (False, True))
        own = [{"Name": "A"}, {"Name": "B", "Quiet": False, "ReadConfiguration": True}]
        found = self.load_value({"Quiet": True, "ReadConfiguration": False, "Chargers": own}).chargers
        self.assertEqual([(each.quiet, each.read_configuration) for each in found.values()], [(True, False), (False, True)])
        self.assertRefused({"Chargers": [], "Quiet": 1}, "Quiet", "expected true or false")
        self.assertRefused({"Chargers": [{"Name": "A", "Quiet": "no"}]}, "Chargers[0].Quiet", "expected true or false")

    def test_keys_of_the_seed(self) -> None:
        """The keys that the seed project knows work as they are there, its heartbeat interval of 10 s included."""
        found = self.load_value(
            {"MaxQueueSize": 100, "Chargers": [{"Name": "CP1", "Authorization": "key", "HeartBeatInterval": 10}]}
        )
        self.assertEqual(found.max_queue_size, 100)
        self.assertEqual(list(found.chargers), ["CP1"])
        charger = found.chargers["CP1"]
        self.assertEqual((charger.name, charger.authorization, charger.heartbeat_interval_s), ("CP1", b"key", 10))

    def test_defaults(self) -> None:
        """A charger needs a name alone."""
        found = self.load_value({"Chargers": [{"Name": "CP1"}]})
        self.assertEqual((found.max_queue_size, dict(found.id_tags)), (50, {}))
        self.assertEqual(found.chargers["CP1"], ChargerSettings(name="CP1"))
        self.assertEqual(found.chargers["CP1"].heartbeat_interval_s, 300)
        self.assertEqual(found.chargers["CP1"].call_timeout_s, 30)
        self.assertIs(found.chargers["CP1"].mode, Mode.TOLERANT)

    def test_optional_keys(self) -> None:
        """Each charger can have its own mode, subprotocol tolerance, call timeout and ping interval."""
        charger = self.load_charger(Mode="strict", AssumeSubprotocol=True, CallTimeout=90.5, PingInterval=0, SupplyVoltage=230)
        self.assertEqual((charger.supply_voltage_v, charger.supply_phases), (230, 3))
        self.assertIs(charger.mode, Mode.STRICT)
        self.assertTrue(charger.assume_subprotocol)
        self.assertEqual((charger.call_timeout_s, charger.ping_interval_s), (90.5, 0))

    def test_flags_for_all_and_for_one(self) -> None:
        """B-5, B-8: what holds for all chargers holds where one does not say otherwise."""
        chargers = [{"Name": "A"}, {"Name": "B", "Quiet": False}, {"Name": "C", "AcceptWithoutBoot": True}]
        found = self.load_value({"Quiet": True, "Chargers": chargers}).chargers
        self.assertEqual([each.quiet for each in found.values()], [True, False, True])
        self.assertEqual([each.accept_without_boot for each in found.values()], [False, False, True])

    def test_certificates(self) -> None:
        """Q-1: policy and comparison hold for all chargers, and for each that has its own; CpoName and days for all."""
        common = {"CertificatePolicy": "manual", "CertificateName": "any", "CpoName": " Acme ", "CertificateDays": 30}
        found = self.load_value({"Chargers": [{"Name": "A"}, {"Name": "B", "CertificatePolicy": "automatic"}], **common})
        self.assertEqual((found.cpo_name, found.certificate_days), ("Acme", 30))
        self.assertEqual([each.certificate_policy for each in found.chargers.values()], ["manual", "automatic"])
        self.assertEqual([each.certificate_name for each in found.chargers.values()], ["any", "any"])
        self.assertEqual(self.load_charger(SerialNumber="SN-1").serial_number, "SN-1")
        self.assertRefused({"Chargers": [{"Name": "A", "SerialNumber": "x" * 26}]}, "Chargers[0].SerialNumber", "25")
        self.assertEqual(self.load_charger(Tags=["north", "7"]).tags, ("north", "7"))
        self.assertRefused({"Chargers": [{"Name": "A", "Tags": ["a", "a"]}]}, "Chargers[0].Tags", "each once")
        self.assertRefused({"Chargers": [{"Name": "A", "Tags": ["a", ""]}]}, "Chargers[0].Tags[1]", "1 to 50")
        plain = self.load_value({"Chargers": [{"Name": "A"}]})
        self.assertEqual((plain.cpo_name, plain.certificate_days), (None, 365))
        self.assertEqual(plain.chargers["A"].certificate_policy, "automatic")
        self.assertRefused({"Chargers": [{"Name": "A", "CertificatePolicy": "x"}]}, "Chargers[0].CertificatePolicy", "automatic")
        self.assertRefused({"Chargers": [{"Name": "A"}], "CertificateName": 1}, "CertificateName", "serialNumber")
        self.assertRefused({"Chargers": [], "CertificateDays": 0}, "CertificateDays", "1")
        self.assertRefused({"Chargers": [], "CpoName": "x" * 65}, "CpoName", "64")

    def test_no_chargers(self) -> None:
        """An empty list of chargers is a configuration."""
        self.assertEqual(dict(self.load_value({"Chargers": []}).chargers), {})

    def test_id_tags(self) -> None:
        """Tags are found ignoring case (G-3) and keep their spelling."""
        tag = {"IdTag": "Ab12", "Status": "Blocked", "ParentIdTag": "Family", "ExpiryDate": "2027-01-31T12:00:00Z"}
        found = self.load_value({"Chargers": [], "IdTags": [tag, {"IdTag": "plain"}]}).id_tags
        self.assertEqual(
            found["ab12"],
            IdTagSettings(id_tag="Ab12", status="Blocked", parent_id_tag="Family", expiry_date="2027-01-31T12:00:00Z"),
        )
        self.assertEqual(found["plain"].status, "Accepted")

    def test_statuses_are_the_specification_s(self) -> None:
        """The statuses of a tag are those of AuthorizationStatus but ConcurrentTx (L-4)."""
        self.assertEqual(set(file.ID_TAG_STATUSES), set(AuthorizationStatus) - {AuthorizationStatus.CONCURRENT_TX})

    def test_password_in_hex(self) -> None:
        """Z-1: a password is bytes; one that no text can hold is written in hexadecimal digits."""
        self.assertEqual(self.load_charger(Authorization="hex:0001fFFF").authorization, b"\x00\x01\xff\xff")
        self.assertEqual(self.load_charger(Authorization="pässword").authorization, "pässword".encode())

    def test_no_password(self) -> None:
        """An empty password is none, as in the seed."""
        self.assertIsNone(self.load_charger(Authorization="").authorization)
        self.assertIsNone(self.load_charger().authorization)

    def test_names(self) -> None:
        """U-3: spaces, colons and every script are fine, up to 255 characters."""
        for name in ("RDAM 123", "a:b", "충전기", "x" * 255, "...", "%2F", "a+b"):
            self.assertEqual(list(self.load_value({"Chargers": [{"Name": name}]}).chargers), [name])

    def test_byte_order_mark(self) -> None:
        """Editors of some systems put a byte order mark before the text."""
        self.assertEqual(dict(self.load(b'\xef\xbb\xbf{"Chargers": []}').chargers), {})

    def test_frozen(self) -> None:
        """A configuration cannot be changed behind the back of those who hold it."""
        found = self.load_value({"Chargers": [{"Name": "CP1"}]})
        self.assertFalse(hasattr(found.chargers, "__setitem__"))
        self.assertRaises(AttributeError, setattr, found.chargers["CP1"], "name", "other")

    def test_example_file(self) -> None:
        """The configs.json of the project is one that runs."""
        self.assertTrue(load_configuration(ROOT / "configs.json").chargers)


class RepairTests(ConfigurationCase):
    """Repairs that are switched."""

    def test_names(self) -> None:
        """The repairs that can be named are those that there are."""
        self.assertEqual(set(REPAIR_NAMES), set(NAMES))

    def test_switches(self) -> None:
        """For all, for models and for a charger."""
        found = self.load_value(
            {
                "Chargers": [{"Name": "A", "Repairs": {"null": True}}, {"Name": "B"}],
                "Repairs": {"null": False, "truncate": False},
                "Models": [{"Vendor": "Acme*", "Repairs": {"blank": False}}, {"Model": "M", "Repairs": {}}],
            }
        )
        self.assertEqual((found.repairs, found.chargers["A"].repairs), ({"null": False, "truncate": False}, {"null": True}))
        self.assertEqual(found.chargers["B"].repairs, {})
        self.assertEqual([(each.vendor, each.model, dict(each.repairs)) for each in found.models], [
            ("Acme*", "*", {"blank": False}), ("*", "M", {}),
        ])  # fmt: skip

    def test_mistakes(self) -> None:
        """A repair that there is none, a switch that is none, a model without a name."""
        for value, path, expected in (
            ({"Chargers": [], "Repairs": {"nul": False}}, "Repairs.nul", "did you mean null?"),
            ({"Chargers": [], "Repairs": {"null": "off"}}, "Repairs.null", "expected true or false"),
            ({"Chargers": [], "Repairs": []}, "Repairs", "found a list"),
            ({"Chargers": [{"Name": "A", "Repairs": {"x": True}}]}, "Chargers[0].Repairs.x", "there is no such key"),
            ({"Chargers": [], "Models": {}}, "Models", "expected a list"),
            ({"Chargers": [], "Models": [{"Repairs": {}}]}, "Models[0]", "expected Vendor or Model"),
            ({"Chargers": [], "Models": [{"Vendor": "A"}]}, "Models[0].Repairs", "missing"),
            ({"Chargers": [], "Models": [{"Vendor": "", "Repairs": {}}]}, "Models[0].Vendor", "1 to 100"),
        ):
            self.assertRefused(value, path, expected)


class RefusedTests(ConfigurationCase):
    """Every mistake is named by the path of its key."""

    def test_misspelt_keys(self) -> None:
        """A key that does not exist is an error with a suggestion, at every level."""
        self.assertRefused({"Charger": []}, "Charger", "there is no such key; did you mean Chargers?")
        self.assertRefused(
            {"Chargers": [{"Name": "A"}, {"Name": "B", "heartbeatinterval": 1}]},
            "Chargers[1].heartbeatinterval",
            "did you mean HeartBeatInterval?",
        )
        self.assertRefused({"Chargers": [], "IdTags": [{"IdTag": "A", "Colour": 1}]}, "IdTags[0].Colour", "known: IdTag")

    def test_strange_keys_stay_on_one_line(self) -> None:
        """A key with a line break, or a very long one, does not spoil the message."""
        self.assertRefused({"a\nb": 1}, '"a\\nb"', "there is no such key")
        self.assertLess(len(self.refused(json.dumps({"k" * 10000: 1})).path), 60)

    def test_repeated_keys(self) -> None:
        """A key that stands twice is an error: one of the two would be lost without a word."""
        error = self.refused('{"Chargers": [{"Name": "A", "Name": "B"}]}')
        self.assertEqual((error.path, error.expected), ("Chargers[0].Name", "this key stands here twice"))

    def test_missing_keys(self) -> None:
        """The list of chargers, a charger's name and a tag have to be there."""
        self.assertRefused({}, "Chargers", "missing")
        self.assertRefused({"Chargers": [{}]}, "Chargers[0].Name", "missing")
        self.assertRefused({"Chargers": [], "IdTags": [{}]}, "IdTags[0].IdTag", "missing")

    def test_kinds(self) -> None:
        """A value of the wrong kind is named with the kind that was found."""
        for value, path, expected in (
            ([], "", "expected an object with MaxQueueSize, Chargers, IdTags, CpoName, "),
            ({"Chargers": {}}, "Chargers", "expected a list, found an object"),
            ({"Chargers": ["A"]}, "Chargers[0]", "found text"),
            ({"Chargers": [{"Name": 5}]}, "Chargers[0].Name", "expected text, found a number"),
            ({"Chargers": [{"Name": "A", "Authorization": None}]}, "Chargers[0].Authorization", "found null"),
            ({"Chargers": [{"Name": "A", "AssumeSubprotocol": "yes"}]}, "Chargers[0].AssumeSubprotocol", "true or false"),
            ({"Chargers": [{"Name": "A", "Quiet": 1}]}, "Chargers[0].Quiet", "true or false"),
            ({"Chargers": [], "AcceptWithoutBoot": None}, "AcceptWithoutBoot", "true or false"),
            ({"Chargers": [], "IdTags": "all"}, "IdTags", "expected a list, found text"),
        ):
            self.assertRefused(value, path, expected)

    def test_numbers(self) -> None:
        """Integers have bounds; true is no number, and neither is text."""
        for key, bad, expected in (
            ("HeartBeatInterval", 9, "from 10 to 86400"),
            ("HeartBeatInterval", 86401, "from 10 to 86400"),
            ("HeartBeatInterval", True, "found true"),
            ("HeartBeatInterval", 10.5, "expected an integer"),
            ("HeartBeatInterval", "10", "found text"),
            ("CallTimeout", 0, "from 0.1 to 3600"),
            ("SupplyVoltage", 49, "from 50 to 1000"),
            ("SupplyPhases", 4, "from 1 to 3"),
            ("CallTimeout", False, "found false"),
            ("PingInterval", -1, "or 0 for off"),
            ("PingInterval", 1e400, "is not JSON"),
        ):
            error = self.refused(json.dumps({"Chargers": [{"Name": "A", key: bad}]}))
            self.assertIn(expected, str(error), (key, bad))
        self.assertRefused({"MaxQueueSize": 0, "Chargers": []}, "MaxQueueSize", "from 1 to")
        self.assertRefused({"MaxQueueSize": 10**400, "Chargers": []}, "MaxQueueSize", "from 1 to")

    def test_names(self) -> None:
        """U-3: what a URL path cannot carry as one segment is no name."""
        for name in ("", "x" * 256, "a/b", "a\\b", ".", "..", "a\x00", "a\nb", "\x7f", "\x85", "\ud800"):
            self.assertEqual(self.refused(json.dumps({"Chargers": [{"Name": name}]})).path, "Chargers[0].Name", repr(name))

    def test_unique(self) -> None:
        """A name stands once; a tag stands once, ignoring case (G-3)."""
        self.assertRefused({"Chargers": [{"Name": "A"}, {"Name": "A"}]}, "Chargers[1].Name", "already")
        self.assertRefused({"Chargers": [], "IdTags": [{"IdTag": "a"}, {"IdTag": "A"}]}, "IdTags[1].IdTag", "twice")
        self.assertEqual(len(self.load_value({"Chargers": [{"Name": "a"}, {"Name": "A"}]}).chargers), 2)  # U-4

    def test_id_tags(self) -> None:
        """A tag has 1 to 20 characters, a status of its own and a date that can be read."""
        for member, bad, expected in (
            ("IdTag", "x" * 21, "1 to 20 characters"),
            ("IdTag", "", "1 to 20 characters"),
            ("ParentIdTag", "x" * 21, "1 to 20 characters"),
            ("Status", "ConcurrentTx", "one of Accepted, Blocked"),
            ("Status", "accepted", "did you mean Accepted?"),
            ("ExpiryDate", "soon", "such as 2027-01-31T12:00:00Z"),
            ("ExpiryDate", "0001-01-01T00:00:00+01:00", "of the years 1 to 9999 in UTC"),
            ("ExpiryDate", "9999-12-31T23:59:59-01:00", "of the years 1 to 9999 in UTC"),
        ):
            tag = {"IdTag": "A", member: bad}
            self.assertRefused({"Chargers": [], "IdTags": [tag]}, f"IdTags[0].{member}", expected)

    def test_mode(self) -> None:
        """A mode is one of two words."""
        self.assertRefused({"Chargers": [{"Name": "A", "Mode": "lax"}]}, "Chargers[0].Mode", "one of tolerant, strict")
        self.assertRefused({"Chargers": [{"Name": "A", "Mode": []}]}, "Chargers[0].Mode", "found a list")


class FileTests(ConfigurationCase):
    """What is wrong with the file as a whole is one clear line, too."""

    def test_no_file(self) -> None:
        """A missing file is answered with what one looks like."""
        error = self.assertRaises(ConfigurationError, load_configuration, self.path)
        self.assertIn("there is no such file", str(error))
        self.assertIn(file.EXAMPLE, str(error))
        self.assertTrue(self.load(file.EXAMPLE).chargers)

    def test_not_json(self) -> None:
        """The line and the column of the mistake are named."""
        self.assertIn("line 2, column 5", str(self.refused('{"Chargers": [\n    nonsense]}')))
        self.assertIn("is not JSON", str(self.refused("")))
        self.assertIn("NaN", str(self.refused('{"MaxQueueSize": NaN}')))

    def test_not_utf_8(self) -> None:
        """The place of the byte that is not UTF-8 is named."""
        self.assertIn("is not UTF-8: byte 3", str(self.refused(b'{"\xff')))

    def test_hostile(self) -> None:
        """Deep nesting and a number of thousands of digits end as one line."""
        self.assertIn("nested too deeply", str(self.refused("[" * 200_000)))
        self.refused('{"MaxQueueSize": ' + "9" * 5000 + "}")

    def test_not_a_file(self) -> None:
        """A directory is no file, and a FIFO is not waited for."""
        self.path.mkdir()
        self.assertIn("not a file", str(self.assertRaises(ConfigurationError, load_configuration, self.path)))
        fifo = self.path / "fifo"
        os.mkfifo(fifo)
        self.assertIn("not a file", str(self.assertRaises(ConfigurationError, load_configuration, fifo)))
        self.assertIn("not a file", str(self.assertRaises(ConfigurationError, load_configuration, Path("/dev/zero"))))
        self.assertIn("cannot be read", str(self.assertRaises(ConfigurationError, load_configuration, fifo / "below")))

    def test_too_large(self) -> None:
        """A file beyond 64 MiB is not read into memory."""
        with self.path.open("wb") as opened:
            opened.truncate(file.MAX_FILE_BYTES + 1)
        self.assertIn("larger than 64 MiB", str(self.assertRaises(ConfigurationError, load_configuration, self.path)))


class SecretTests(ConfigurationCase):
    """Passwords are in no message and no repr."""

    def test_repr(self) -> None:
        """The repr of settings leaves out passwords, the key and the URL of the database."""
        settings = Settings(config=Path("/c"), database=f"postgresql://ocppd:{SECRET}@db/ocppd", secret_key=SECRET)
        loaded = self.load_value({"Chargers": [{"Name": "A", "Authorization": SECRET}]})
        self.assertNotIn(SECRET, f"{settings!r} {loaded!r} {loaded.chargers['A']!r} {settings} {loaded}")

    def test_limits_of_tags(self) -> None:
        """A-4: one transaction for a tag and any number for its group, unless it says otherwise."""
        for members, expected in (({}, (1, 0)), ({"MaxActiveTransactions": 0, "GroupMaxActiveTransactions": 7}, (0, 7))):
            tag = self.load(json.dumps({"Chargers": [], "IdTags": [{"IdTag": "T", **members}]})).id_tags["t"]
            self.assertEqual((tag.max_active_transactions, tag.group_max_active_transactions), expected)

    def test_registration(self) -> None:
        """B-1: an accepted charger unless it says otherwise; one that is rejected waits longer."""
        for members, expected in (
            ({}, (Registration.ACCEPTED, 60)),
            ({"Registration": "Pending"}, (Registration.PENDING, 60)),
            ({"Registration": "Rejected"}, (Registration.REJECTED, 3600)),
            ({"Registration": "Rejected", "RetryInterval": 5}, (Registration.REJECTED, 5)),
        ):
            found = self.load_charger(**members)
            self.assertEqual((found.registration, found.retry_interval_s), expected)
        for members in ({"Registration": "accepted"}, {"RetryInterval": 0}, {"RetryInterval": 86401}):
            with self.assertRaises(ConfigurationError):
                self.load_charger(**members)

    def test_errors(self) -> None:
        """An error of a password, or beside one, does not repeat it."""
        for password in (f"hex:{SECRET}", [SECRET], {SECRET: 1}, f"{SECRET}\ud800"):
            error = self.refused(json.dumps({"Chargers": [{"Name": "A", "Authorization": password}]}))
            self.assertEqual(error.path, "Chargers[0].Authorization")
            self.assertNotIn(SECRET, str(error))
        self.assertNotIn(SECRET, str(self.refused('{"Chargers": [{"Name": "A", "Authorization": "' + SECRET + '"')))


known_keys = st.sampled_from([*file.CONFIGURATION_KEYS, *file.CHARGER_KEYS, *file.ID_TAG_KEYS])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known_keys | st.text(), inner),
    max_leaves=12,
)


class FuzzTests(ConfigurationCase):
    """Whatever the file holds, the outcome is a configuration or a ConfigurationError."""

    @given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
    def test_any_file(self, data: bytes) -> None:
        """No file makes anything else happen."""
        try:
            found = self.load(data)
        except ConfigurationError as error:
            self.assertNotIn("\n", str(error))
        else:
            self.assertIsInstance(found, Configuration)
