"""What real chargers send and what we make of it. REQUIREMENTS G-5, G-6, G-9, M-3, D-2, F-3, F-12."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import ErrorCode, Violation
from ocppd.v16 import tolerance
from ocppd.v16.codec import decode
from ocppd.v16.shapes import shape_of
from ocppd.v16.types import Message, UnitOfMeasure
from support.examples import example, kind_of, payload, with_

VALUE = ("meterValue", 0, "sampledValue", 0, "value")


def read(name: str, value: Any) -> tuple[Any, list[str]]:
    """The message of `value`, read kindly, and the names of the rules that it took."""
    message, repairs = decode(kind_of(name), value if isinstance(value, bytes) else payload(value), strict=False)
    return message, [repair.rule for repair in repairs]


class ToleranceTests(SynchronousTestCase):
    """Quirks seen in the field."""

    def test_sample_values_mv_08(self) -> None:
        """Numbers become the text they were written as; text stays as it is, blank and comma too."""
        body = payload(with_(example("MeterValuesRequest"), VALUE, "@"))
        for written, text in (("12.5", "12.5"), ("12.50", "12.50"), ("-3", "-3"), ("1.5e3", "1500"), ("2E-3", "0.002")):
            message, rules = read("MeterValuesRequest", body.replace(b'"@"', written.encode()))
            self.assertEqual((message.meter_value[0].sampled_value[0].value, rules), (text, ["number-as-text"]))
        for text in ("12.5", " 12 ", "", "12,5"):
            message, rules = read("MeterValuesRequest", body.replace(b"@", text.encode()))
            self.assertEqual((message.meter_value[0].sampled_value[0].value, rules), (text, []))

    def test_absurd_sample_value(self) -> None:
        """A number with an absurd exponent becomes text without being written out."""
        body = payload(with_(example("MeterValuesRequest"), VALUE, "@")).replace(b'"@"', b"1e999999999")
        self.assertEqual(read("MeterValuesRequest", body)[0].meter_value[0].sampled_value[0].value, "1E+999999999")

    def test_units_mv_07(self) -> None:
        """Celcius is Celsius and Hz is Hertz, on the fast way, in both modes."""
        body = example("MeterValuesRequest")
        for text, unit in (("Celcius", UnitOfMeasure.CELSIUS), ("Hz", UnitOfMeasure.HERTZ), ("Hertz", UnitOfMeasure.HERTZ)):
            for strict in (True, False):
                value = with_(body, (*VALUE[:-1], "unit"), text)
                message, repairs = decode(kind_of("MeterValuesRequest"), payload(value), strict=strict)
                self.assertEqual((message.meter_value[0].sampled_value[0].unit, repairs), (unit, ()))

    def test_transaction_ids_mv_04(self) -> None:
        """Transaction ids of 64 bit, 0 and -1 take the fast way."""
        for number in (2**63 - 1, 0, -1):
            message, rules = read("MeterValuesRequest", with_(example("MeterValuesRequest"), ("transactionId",), number))
            self.assertEqual((message.transaction_id, rules), (number, []))

    def test_rounding(self) -> None:
        """Fractions are rounded half up, away from zero, and only where they are of a sane size."""
        name = "StopTransactionRequest"
        body = payload(with_(example(name), ("meterStop",), "@"))
        for written, whole in (("123.4", 123), ("123.5", 124), ("-2.5", -3), ("1e3", 1000), ('"0012"', 12), ('"+7.5"', 8)):
            self.assertEqual(read(name, body.replace(b'"@"', written.encode()))[0].meter_stop, whole)
        for written in ("1e999999999", "1e400", '""', '"1e3"', '"0x10"', '"١٢"', '"' + "9" * 41 + '"'):
            self.assertEqual(read(name, body.replace(b'"@"', written.encode()))[1], ["fill-meter-stop"], written)

    def test_data_transfer_d_2(self) -> None:
        """A structure in DataTransfer.data becomes its JSON text."""
        name = "DataTransferRequest"
        body = payload(with_(example(name), ("data",), "@"))
        for written, text in (
            ('{"a":[1, 2.50,null]}', '{"a":[1,2.50,null]}'),
            ("[true]", "[true]"),
            ("false", "false"),
            ("5", "5"),
            ('["\\ud800"]', '["\ufffd"]'),
            ("[" + "9" * 30 + "]", "[" + "9" * 30 + "]"),
        ):
            self.assertEqual(read(name, body.replace(b'"@"', written.encode()))[0].data, text)

    def test_other_spellings(self) -> None:
        """Values that stand in other places of the papers are understood (DIS-45, DIS-47)."""
        for name, text, meant in (
            ("LogStatusNotificationRequest", "UploadFailed", "UploadFailure"),
            ("SignedFirmwareStatusNotificationRequest", "RevokedCertificate", "InvalidSignature"),
            ("SignedFirmwareStatusNotificationRequest", "CertificateVerified", "DownloadScheduled"),
        ):
            message, rules = read(name, with_(example(name), ("status",), text))
            self.assertEqual((message.status, rules), (meant, ["spelling"]))

    def test_boolean_text(self) -> None:
        """The text of a boolean is one."""
        value = with_(example("GetConfigurationConfirmation"), ("configurationKey", 0, "readonly"), "True")
        message, rules = read("GetConfigurationConfirmation", value)
        self.assertEqual((message.configuration_key[0].readonly, rules), (True, ["boolean-text"]))

    def test_several_rules_for_one_member(self) -> None:
        """A number that becomes text that is too long is mended twice."""
        value = with_(example("BootNotificationRequest"), ("iccid",), int("9" * 25))
        message, rules = read("BootNotificationRequest", value)
        self.assertEqual((message.iccid, rules), ("9" * 20, ["number-as-text", "truncate"]))

    def test_duplicate_members(self) -> None:
        """Of members with the same name the last one counts; a closer look tells of it."""
        self.assertEqual(read("AuthorizeRequest", b'{"idTag":"a","idTag":"b"}')[0].id_tag, "b")
        message, rules = read("AuthorizeRequest", b'{"idTag":"a","idTag":7}')
        self.assertEqual((message.id_tag, rules), ("7", ["duplicate-member", "number-as-text"]))

    def test_status_is_not_guessed(self) -> None:
        """The status of a connector and a registration are never invented (G-9)."""
        for name in ("StatusNotificationRequest", "BootNotificationConfirmation"):
            with self.assertRaises(Violation) as caught:
                read(name, with_(example(name), ("status",), "available"))
            self.assertEqual(caught.exception.code, ErrorCode.PROPERTY_CONSTRAINT_VIOLATION)

    def test_first_violation(self) -> None:
        """What no rule mends is told in document order, whatever was mended before it."""
        body = b'{"connectorId":"1","errorCode":5,"status":"much"}'
        for strict, pointer in ((True, "/connectorId"), (False, "/errorCode")):
            with self.assertRaises(Violation) as caught:
                decode(kind_of("StatusNotificationRequest"), body, strict=strict)
            self.assertEqual(caught.exception.pointer, pointer)

    def test_repairs_tell_no_values(self) -> None:
        """A repair names the place and the rule, never the value."""
        body = payload(with_(example("AuthorizeRequest"), ("idTag",), "SECRET" * 10))
        (repair,) = decode(kind_of("AuthorizeRequest"), body, strict=False)[1]
        self.assertEqual((repair.pointer, repair.rule), ("/idTag", "truncate"))
        self.assertNotIn("SECRET", str(repair))

    def test_many_repairs(self) -> None:
        """Everything is mended, but only so much is told."""
        value = example("MeterValuesRequest")
        sample = value["meterValue"][0]["sampledValue"][0]
        value["meterValue"][0]["sampledValue"] = [{**sample, "value": 1.5} for _ in range(3000)]
        message, rules = read("MeterValuesRequest", value)
        self.assertEqual(len(rules), tolerance.MAX_REPAIRS)
        self.assertEqual({item.value for item in message.meter_value[0].sampled_value}, {"1.5"})

    def test_rules_can_be_left_out(self) -> None:
        """The rules are data: without its rule, a fault is a violation."""
        value = json.loads(payload(example("AuthorizeRequest"))) | {"foo": 1}
        rules = [rule for rule in tolerance.RULES if rule.name != "unknown-member"]
        with self.assertRaises(Violation) as caught:
            tolerance.mend(shape_of(kind_of("AuthorizeRequest")), value, rules)
        self.assertEqual(caught.exception.pointer, "/foo")

    def test_hostile_names_of_members(self) -> None:
        """The name of an unknown member is cut, cleaned and escaped in the pointer."""
        body = json.dumps({"idTag": "x", "~/\ud800" + "y" * 100: 1}).encode()
        with self.assertRaises(Violation) as caught:
            decode(kind_of("AuthorizeRequest"), body, strict=True)
        self.assertEqual(caught.exception.pointer, "/~0~1\ufffd" + "y" * 61 + "…")

    def test_rules_that_chase_each_other(self) -> None:
        """Rules that never come to an end are stopped, with the violation."""
        flip = tolerance.Rule("flip", "", "", tolerance.RULES[-1].faults | {tolerance.Fault.WRONG_TYPE}, lambda _: [])
        kind: type[Message] = kind_of("AuthorizeRequest")
        with self.assertRaises(Violation) as caught:
            tolerance.mend(shape_of(kind), {"idTag": 1}, [flip])
        self.assertEqual(caught.exception.code, ErrorCode.TYPE_CONSTRAINT_VIOLATION)
