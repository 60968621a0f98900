"""What we send: built, verified, encoded; and the reader of JSON beneath it all. REQUIREMENTS G-1, G-7, F-12, F-14."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any

from jsonschema import Draft4Validator
from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import MAX_VIOLATIONS, ErrorCode, InvalidPayload, Violation
from ocppd.v16.codec import action_of, build, decode, encode, read_json, verify
from ocppd.v16.core import (
    AuthorizeConfirmation,
    BootNotificationConfirmation,
    DataTransferConfirmation,
    HeartbeatConfirmation,
    MeterValuesConfirmation,
    RemoteStopTransactionRequest,
    StatusNotificationRequest,
)
from ocppd.v16.smart_charging import SetChargingProfileRequest
from ocppd.v16.types import (
    AuthorizationStatus,
    ChargingProfile,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    ChargingSchedule,
    ChargingSchedulePeriod,
    DataTransferStatus,
    IdTagInfo,
    RegistrationStatus,
)
from ocppd.v16.validation import check
from support import facts
from support.examples import example, for_each, kind_of, payload, with_

PERIODS = ("csChargingProfiles", "chargingSchedule", "chargingSchedulePeriod")


def profile(limit: Any) -> SetChargingProfileRequest:
    """A request of ours with this limit, as a user would construct it."""
    schedule = ChargingSchedule(
        charging_rate_unit=ChargingRateUnitType.A,
        charging_schedule_period=(ChargingSchedulePeriod(start_period=0, limit=limit),),
    )
    default = ChargingProfile(
        charging_profile_id=1,
        stack_level=0,
        charging_profile_purpose=ChargingProfilePurposeType.TX_DEFAULT_PROFILE,
        charging_profile_kind=ChargingProfileKindType.RELATIVE,
        charging_schedule=schedule,
    )
    return SetChargingProfileRequest(connector_id=1, cs_charging_profiles=default)


def official(name: str) -> Draft4Validator:
    """The schema of the Open Charge Alliance for a message, as the `ocpp` package carries it."""
    file = name.removesuffix("Request").replace("Confirmation", "Response") + ".json"
    text = files("ocpp").joinpath("v16", "schemas", file).read_text(encoding="utf-8-sig")
    return Draft4Validator(json.loads(text, parse_float=Decimal))


@for_each(facts.MESSAGES)
class OutboundTests(SynchronousTestCase):
    """Every message as it is sent."""

    def each_message_against_the_official_schema_fr_27(self, name: str) -> None:
        """What we build and encode is valid by the official schema, with all members and with the required ones."""
        for full in (True, False):
            message = build(kind_of(name), example(name, full))
            sent = encode(message)
            self.assertEqual(verify(message), message)
            self.assertEqual(list(official(name).iter_errors(json.loads(sent, parse_float=Decimal))), [])
            self.assertEqual(decode(kind_of(name), sent, strict=True), (message, ()))
            self.assertNotIn(b" ", sent.replace(b'" "', b""))
            self.assertNotIn(b"null", sent)


class NumberTests(SynchronousTestCase):
    """Decimal numbers on the wire (G-7)."""

    def sent(self, limit: Any) -> str:
        """The limit as it stands in the payload."""
        text = encode(verify(profile(limit))).decode()
        return text.partition('"limit":')[2].partition("}")[0]

    def test_limits_sc_06(self) -> None:
        """G-7, SC-06: limits are sent as given, never as a binary fraction, never with an exponent."""
        for limit, text in (
            (Decimal("6"), "6"),
            (Decimal("6.0"), "6.0"),
            (Decimal("6.1"), "6.1"),
            (Decimal("21.4"), "21.4"),
            (Decimal("6.10"), "6.1"),
            (Decimal("1E+2"), "100"),
            (Decimal("600E-1"), "60.0"),
            (6.1, "6.1"),
            (0.1 * 3, None),
            (16, "16"),
            (Decimal("6.15"), None),
            (Decimal("NaN"), None),
            (Decimal("Infinity"), None),
            (float("nan"), None),
            (Decimal("1E+999999"), None),
            ("6.0", None),
            (True, None),
        ):
            if text is None:
                with self.assertRaises(InvalidPayload, msg=limit) as caught:
                    verify(profile(limit))
                self.assertIn("/limit", caught.exception.violations[0].pointer)
            else:
                self.assertEqual(self.sent(limit), text)

    def test_build_reads_json_numbers(self) -> None:
        """Fractions of an operator's JSON arrive as they were written."""
        body = payload(example("SetChargingProfileRequest")).replace(b"6.1", b"21.4")
        built = build(SetChargingProfileRequest, read_json(body))
        self.assertEqual(built.cs_charging_profiles.charging_schedule.min_charging_rate, Decimal("21.4"))
        self.assertEqual(build(SetChargingProfileRequest, json.loads(body)), built)

    def test_encode_unverified_numbers(self) -> None:
        """encode writes numbers without exponent also where nobody verified them, and refuses what is no number."""
        for limit, text in ((Decimal("1E+2"), b":100}"), (Decimal("1E-9"), b":0.0}"), (Decimal("0.25"), b":0.25}")):
            self.assertIn(b'"limit"' + text, encode(profile(limit)))
        for limit in (Decimal("NaN"), float("inf"), Decimal("1E+99"), "6.0", None):
            with self.assertRaises(InvalidPayload):
                encode(profile(limit))


class VerifyTests(SynchronousTestCase):
    """Whatever users construct."""

    def assert_invalid(self, message: Any, *pointers: str) -> None:
        """`message` is refused for what stands at these places."""
        with self.assertRaises(InvalidPayload) as caught:
            verify(message)
        self.assertEqual([violation.pointer for violation in caught.exception.violations], list(pointers))

    def test_good(self) -> None:
        """A good message comes back equal; plain text has become the enumeration's member."""
        plain: Any = "Accepted"
        sent = verify(AuthorizeConfirmation(id_tag_info=IdTagInfo(status=plain)))
        self.assertIs(sent.id_tag_info.status, AuthorizationStatus.ACCEPTED)
        self.assertEqual(verify(sent), sent)
        self.assertEqual(encode(sent), b'{"idTagInfo":{"status":"Accepted"}}')
        empty = MeterValuesConfirmation()
        self.assertEqual((verify(empty), encode(empty)), (empty, b"{}"))

    def test_instants(self) -> None:
        """Instants are sent in UTC and whole seconds, also where a user gave a datetime (G-1)."""
        moment: Any = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
        for given in (moment, "2026-03-04T08:06:07.89+03:00", "2026-03-04 05:06:07"):
            self.assertEqual(encode(verify(HeartbeatConfirmation(current_time=given))), b'{"currentTime":"2026-03-04T05:06:07Z"}')
        self.assert_invalid(HeartbeatConfirmation(current_time="now"), "/currentTime")

    def test_all_violations(self) -> None:
        """Every breach is told, not only the first."""
        odd: Any = None
        message = BootNotificationConfirmation(status=odd, current_time="now", interval=2**31)
        self.assert_invalid(message, "/status", "/currentTime", "/interval")

    def test_lengths(self) -> None:
        """An id tag of 21 characters is refused, in an object too."""
        info = IdTagInfo(status=AuthorizationStatus.ACCEPTED, parent_id_tag="x" * 21)
        self.assert_invalid(AuthorizeConfirmation(id_tag_info=info), "/idTagInfo/parentIdTag")

    def test_what_json_does_not_know(self) -> None:
        """Bytes, sets of objects, halves of characters and the like are refused, not written somehow."""
        for data in (b"x", object(), {1: object()}, "\ud800", 5, float("nan"), 10**400):
            odd: Any = data
            message = DataTransferConfirmation(status=DataTransferStatus.ACCEPTED, data=odd)
            with self.assertRaises(InvalidPayload, msg=repr(data)):
                verify(message)
        for data in (object(), "\ud800"):
            odd = data
            with self.assertRaises(InvalidPayload, msg=repr(data)) as caught:
                encode(DataTransferConfirmation(status=DataTransferStatus.ACCEPTED, data=odd))
            self.assertEqual(caught.exception.action, "DataTransfer")

    def test_text_outside_ascii(self) -> None:
        """Text is sent as UTF-8."""
        message = DataTransferConfirmation(status=DataTransferStatus.ACCEPTED, data="grün ⚡ 😀")
        self.assertEqual(json.loads(encode(verify(message))), {"status": "Accepted", "data": "grün ⚡ 😀"})


class BuildTests(SynchronousTestCase):
    """Operators' values."""

    def test_all_violations_at_once(self) -> None:
        """An operator reads everything that is wrong."""
        with self.assertRaises(InvalidPayload) as caught:
            build(SetChargingProfileRequest, {"connectorId": "1", "foo": 1})
        found = {violation.pointer: violation.code for violation in caught.exception.violations}
        self.assertEqual(
            found,
            {
                "/connectorId": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
                "/foo": ErrorCode.FORMATION_VIOLATION,
                "/csChargingProfiles": ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION,
            },
        )
        self.assertEqual(caught.exception.action, "SetChargingProfile")

    def test_64_bit_ids(self) -> None:
        """What a charger may send, we may not: our integers have 32 bit (G-6)."""
        with self.assertRaises(InvalidPayload):
            build(RemoteStopTransactionRequest, {"transactionId": 2**31})

    def test_value_stays_as_it_was(self) -> None:
        """The operator's value is not changed."""
        value = with_(example("SetChargingProfileRequest"), (*PERIODS, 0, "limit"), Decimal("1E+1"))
        before = repr(value)
        build(SetChargingProfileRequest, value)
        self.assertEqual(repr(value), before)

    def test_not_an_object(self) -> None:
        """A value that is no object is refused; null too, for what we send."""
        for odd in (None, [], "x", 5):
            self.assertEqual([violation.code for violation in check(RemoteStopTransactionRequest, odd)], ["FormationViolation"])

    def test_many_violations(self) -> None:
        """A hostile value yields so many violations and no more."""
        value = {"connectorId": 1, "errorCode": "NoError", "status": "Available"} | {f"x{n}": n for n in range(5000)}
        self.assertEqual(len(check(StatusNotificationRequest, value)), MAX_VIOLATIONS)

    def test_names_of_actions(self) -> None:
        """A message knows its action by its name."""
        self.assertEqual({action_of(kind_of(name)) for name in facts.MESSAGES}, set(facts.ACTIONS))
        self.assertIs(
            build(BootNotificationConfirmation, example("BootNotificationConfirmation")).status, RegistrationStatus.ACCEPTED
        )


class ReaderTests(SynchronousTestCase):
    """JSON as such."""

    def test_the_quick_reader(self) -> None:
        """What is short and plain is read by another reader, to the same value; what that refuses is looked at as ever."""
        texts = (
            b'{"a":1,"a":2}',
            b' [1,-5,"x"] ',
            b'{"a":{"b":[null,true,"\xc3\xa4"]}}',
            b"12345678901234567890",
            b"-0",
            b"1E2",
            b'"\\u00e4"',
        )
        for text in texts:
            long = text + b" " * 2000
            self.assertEqual(repr(read_json(text)), repr(read_json(long)), text)
        for text in (b"", b"{", b"[1,]", b"NaN", b"\xff", b"\xef\xbb\xbf{}", b"[" * 1000, b"01", b"'a'"):
            for given in (text, text + b" " * 2000):
                with self.assertRaises(Violation):
                    read_json(given)

    def test_read_json(self) -> None:
        """Fractions are Decimals and integers are integers of any size."""
        self.assertEqual(repr(read_json(b'{"a":[6.10,7,"x",null,true]}')), "{'a': [Decimal('6.10'), 7, 'x', None, True]}")

    def test_not_json(self) -> None:
        """What is not JSON is a FormationViolation: constants of JavaScript, bad UTF-8, a byte order mark, endless nesting."""
        for text in (b"", b"{", b"NaN", b"[Infinity]", b'"\xff"', b"\xef\xbb\xbf{}", b"{}{}", b'"\n"', b"[" * 100_000):
            with self.assertRaises(Violation, msg=text[:20]) as caught:
                read_json(text)
            self.assertEqual((caught.exception.code, caught.exception.pointer), (ErrorCode.FORMATION_VIOLATION, ""))
