"""Every message, spoilt in every place, in strict and in tolerant mode. REQUIREMENTS 1.7, CASES VA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ocppd.errors import ErrorCode, Violation
from ocppd.v16 import salvage
from ocppd.v16.codec import decode, encode
from ocppd.v16.tolerance import Repair
from ocppd.v16.validation import check
from support import facts
from support.examples import (
    Fact,
    Path,
    attribute,
    example,
    for_each,
    kind_of,
    objects,
    payload,
    places,
    pointer,
    with_,
    without,
)

FORMATION = ErrorCode.FORMATION_VIOLATION
OCCURENCE = ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION
PROPERTY = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
TYPE = ErrorCode.TYPE_CONSTRAINT_VIOLATION

SALVAGE = {rule.name for rule in salvage.RULES}
SAMPLE_ATTRIBUTES = {"ReadingContext", "ValueFormat", "Measurand", "Phase", "Location", "UnitOfMeasure"}
NEUTRAL = {"ChargePointErrorCode": "OtherError", "Reason": "Other"}
#: A value of a JSON type that a member of this kind never has, and that nothing mends.
ALIEN: dict[str, Any] = {
    "text": True,
    "token": [],
    "date": {},
    "uri": False,
    "int": True,
    "number": True,
    "bool": 0,
    "enum": 7,
    "object": "x",
    "list": {},
}


class PayloadTestCase(SynchronousTestCase):
    """What is asserted of a spoilt payload."""

    def refused(self, name: str, value: Any, code: ErrorCode, path: Path, strict: bool) -> None:
        """Decoding `value` raises one violation, with this code and this place; a transaction's message is salvaged (E-1)."""
        if not strict and kind_of(name) in salvage.KINDS and isinstance(value, dict):
            _, repairs = decode(kind_of(name), payload(value), strict=False)
            self.assertEqual([(repair.code, repair.pointer) for repair in repairs], [(code, pointer(path))])
            self.assertIn(repairs[0].rule, SALVAGE)
            for off in ({repairs[0].rule}, SALVAGE):
                with self.assertRaises(Violation, msg=pointer(path)) as caught:
                    decode(kind_of(name), payload(value), strict=False, off=frozenset(off))
                self.assertEqual((caught.exception.code, caught.exception.pointer), (code, pointer(path)))
            return
        with self.assertRaises(Violation, msg=pointer(path)) as caught:
            decode(kind_of(name), payload(value), strict=strict)
        self.assertEqual((caught.exception.code, caught.exception.pointer), (code, pointer(path)))
        if strict:
            self.assertIn(caught.exception, check(kind_of(name), value))

    def mended(self, name: str, value: Any, path: Path, rule: str | None) -> Any:
        """Tolerant decoding of `value` applies this rule (or none) and nothing else; answers the message."""
        message, repairs = decode(kind_of(name), payload(value), strict=False)
        expected = [] if rule is None else [(pointer(path), rule)]
        self.assertEqual([(repair.pointer, repair.rule) for repair in repairs], expected)
        return message

    def mended_to(self, name: str, value: Any, path: Path, rule: str | None, becomes: Any) -> None:
        """As `mended`, and that `becomes` stands there now."""
        self.assertEqual(attribute(self.mended(name, value, path, rule), path), becomes)

    def dropped(self, name: str, value: Any, path: Path, rule: str) -> None:
        """Tolerant decoding of `value` leaves the member out."""
        message = self.mended(name, value, path, rule)
        self.assertEqual(message, decode(kind_of(name), payload(without(value, path)), strict=False)[0])


#: Members that may be left out, but not with what the other members of an example are.
OWED = {
    ("SignedFirmwareStatusNotificationRequest", "requestId"),
    ("ChargingProfile", "transactionId"),
    ("ChargingProfile", "recurrencyKind"),
    ("ChargingSchedule", "startSchedule"),
}


def spots(name: str, *kinds: str) -> Iterator[tuple[dict[str, Any], Path, Fact]]:
    """A full example of the message, with every place in it where a member of these kinds stands."""
    value = example(name)
    for path, fact in places(name, value):
        if fact.kind in kinds:
            yield value, path, fact


@for_each(facts.MESSAGES)
class PayloadTests(PayloadTestCase):
    """Every message with every kind of breach."""

    def each_good_payload(self, name: str) -> None:
        """With all members, or the required ones alone, it is read alike in both modes and written as it came."""
        for full in (True, False):
            value = example(name, full)
            self.assertEqual(check(kind_of(name), value), ())
            strict, nothing = decode(kind_of(name), payload(value), strict=True)
            tolerant, repairs = decode(kind_of(name), payload(value), strict=False)
            self.assertEqual((strict, nothing, repairs), (tolerant, (), ()))
            self.assertIs(type(strict), kind_of(name))
            self.assertEqual(decode(kind_of(name), encode(strict), strict=True), (strict, ()))

    def each_required_member_missing_va_01(self, name: str) -> None:
        """Without a required member it is an OccurenceConstraintViolation, also where we are kind."""
        value = example(name)
        for path, fact in places(name, value):
            if fact.required:
                for strict in (True, False):
                    self.refused(name, without(value, path), OCCURENCE, path, strict)
            elif (fact.owner, fact.name) not in OWED:
                self.assertEqual(check(kind_of(name), without(value, path)), ())

    def each_text_length_va_02(self, name: str) -> None:
        """Text of the greatest length is good; one character more is a PropertyConstraintViolation, or cut."""
        for value, path, fact in spots(name, "text", "token"):
            if fact.limit is None:
                continue
            good, long = with_(value, path, "é" * fact.limit), with_(value, path, "é" * (fact.limit + 1))
            self.assertEqual(decode(kind_of(name), payload(good), strict=True)[1], ())
            self.refused(name, long, PROPERTY, path, strict=True)
            self.mended_to(name, long, path, "truncate", "é" * fact.limit)

    def each_unknown_value(self, name: str) -> None:
        """A value outside the enumeration is a PropertyConstraintViolation, or the neutral one, or dropped (G-9)."""
        for value, path, fact in spots(name, "enum"):
            wrong = with_(value, path, "Nonsense")
            self.refused(name, wrong, PROPERTY, path, strict=True)
            if fact.type in SAMPLE_ATTRIBUTES:
                self.dropped(name, wrong, path, "sample-attribute")
            elif fact.type in NEUTRAL:
                self.mended_to(name, wrong, path, "neutral", NEUTRAL[fact.type])
            else:
                self.refused(name, wrong, PROPERTY, path, strict=False)

    def each_known_value(self, name: str) -> None:
        """Every value of an enumeration is read, in the other spellings too."""
        for value, path, fact in spots(name, "enum"):
            also = facts.ALSO_READ.get(fact.type, {})
            for text in (*facts.ENUMS[fact.type].split(), *also):
                message, repairs = decode(kind_of(name), payload(with_(value, path, text)), strict=False)
                self.assertEqual((attribute(message, path), repairs), (also.get(text, text), ()))

    def each_null(self, name: str) -> None:
        """null is a TypeConstraintViolation; where we are kind, an optional member that is null is absent (G-5)."""
        for path, fact in places(name, value := example(name)):
            wrong = with_(value, path, None)
            self.refused(name, wrong, TYPE, path, strict=True)
            if fact.required:
                self.refused(name, wrong, TYPE, path, strict=False)
            else:
                self.dropped(name, wrong, path, "null")

    def each_wrong_type(self, name: str) -> None:
        """A value of another JSON type is a TypeConstraintViolation; an attribute of a sample is dropped for it."""
        for path, fact in places(name, value := example(name)):
            wrong = with_(value, path, ALIEN.get(fact.kind, 5))
            self.refused(name, wrong, TYPE, path, strict=True)
            if fact.type in SAMPLE_ATTRIBUTES:
                self.dropped(name, wrong, path, "sample-attribute")
            elif fact.kind == "free":
                self.mended_to(name, wrong, path, "number-as-text", "5")
            else:
                self.refused(name, wrong, TYPE, path, strict=False)
            if fact.kind == "list":
                for strict in (True, False):
                    self.refused(name, with_(value, (*path, 0), None), TYPE, (*path, 0), strict)

    def each_integer_as_text_va_04(self, name: str) -> None:
        """An integer as text or fraction is a TypeConstraintViolation, or rounded half up (G-6)."""
        for value, path, _ in spots(name, "int"):
            for odd, meant in (("17", 17), (" 17.5 ", 18), (17.0, 17), (16.5, 17)):
                self.refused(name, with_(value, path, odd), TYPE, path, strict=True)
                self.mended_to(name, with_(value, path, odd), path, "whole-number", meant)
            self.refused(name, with_(value, path, "seventeen"), TYPE, path, strict=False)

    def each_integer_range(self, name: str) -> None:
        """Integers are 32-bit with a minimum in strict mode; 64-bit where we are kind; beyond, absent or refused (M-4)."""
        for value, path, fact in spots(name, "int"):
            least = -(2**31) if fact.limit is None else fact.limit
            for odd in (least - 1, 2**31, 2**63 - 1):
                self.refused(name, with_(value, path, odd), PROPERTY, path, strict=True)
                self.mended_to(name, with_(value, path, odd), path, None, odd)
            for huge in (2**63, -(10**400)):
                if fact.required:
                    self.refused(name, with_(value, path, huge), PROPERTY, path, strict=False)
                else:
                    self.dropped(name, with_(value, path, huge), path, "beyond-64-bit")

    def each_number(self, name: str) -> None:
        """A decimal number has one fraction digit and is no text (G-7)."""
        for value, path, _ in spots(name, "number"):
            self.refused(name, with_(value, path, 6.15), PROPERTY, path, strict=True)
            self.refused(name, with_(value, path, "6.0"), TYPE, path, strict=True)
            self.mended_to(name, with_(value, path, "6.0"), path, "decimal-text", 6)
            for text in ("NaN", "Infinity", "1e5"):
                self.refused(name, with_(value, path, text), TYPE, path, strict=False)
            for strict in (True, False):
                self.refused(name, with_(value, path, 10**400), PROPERTY, path, strict)
                self.refused(name, with_(value, path, 1e-300), PROPERTY, path, strict)

    def each_date(self, name: str) -> None:
        """Text that is no instant is a TypeConstraintViolation; where we are kind it stays text, empty and optional is absent."""
        for value, path, fact in spots(name, "date"):
            self.refused(name, with_(value, path, "yesterday"), TYPE, path, strict=True)
            self.mended_to(name, with_(value, path, "yesterday"), path, None, "yesterday")
            blank = with_(value, path, "")
            self.refused(name, blank, TYPE, path, strict=True)
            if fact.required:
                self.mended_to(name, blank, path, None, "")
            else:
                self.dropped(name, blank, path, "blank")

    def each_uri(self, name: str) -> None:
        """Text that is no URI is a TypeConstraintViolation; where we are kind it stays text."""
        for value, path, _ in spots(name, "uri"):
            for text in ("", "no uri", "dir/file", "http://[", "http://h/ä"):
                self.refused(name, with_(value, path, text), TYPE, path, strict=True)
                self.mended_to(name, with_(value, path, text), path, None, text)

    def each_blank(self, name: str) -> None:
        """Empty text for an optional id tag or value is absent (G-5); an empty required id tag stays."""
        for value, path, fact in spots(name, "token", "enum"):
            blank = with_(value, path, "")
            if not fact.required:
                self.refused(name, blank, PROPERTY, path, strict=True)
                self.dropped(name, blank, path, "blank")
            elif fact.kind == "token":
                self.assertEqual(check(kind_of(name), blank), ())

    def each_short_list(self, name: str) -> None:
        """A list with too few items is an OccurenceConstraintViolation; where we are kind it is an empty list."""
        for value, path, fact in spots(name, "list"):
            if fact.limit:
                self.refused(name, with_(value, path, []), OCCURENCE, path, strict=True)
            self.mended_to(name, with_(value, path, []), path, None, ())

    def each_unknown_member_va_05(self, name: str) -> None:
        """A member of no definition is a FormationViolation, or ignored."""
        value = example(name)
        for path in objects(name, value):
            odd = with_(value, (*path, "foo"), {"bar": [1]})
            self.refused(name, odd, FORMATION, (*path, "foo"), strict=True)
            message, repairs = decode(kind_of(name), payload(odd), strict=False)
            self.assertEqual(message, decode(kind_of(name), payload(value), strict=False)[0])
            told = [(repair.pointer, repair.rule) for repair in repairs]
            self.assertEqual(told, [(pointer((*path, "foo")), "unknown-member")])

    def each_unsafe_text(self, name: str) -> None:
        """NUL and half characters are a PropertyConstraintViolation, or replaced (F-12)."""
        for value, path, _ in spots(name, "text", "token", "date", "uri", "free"):
            for unsafe, clean in (("a\x00b", "a\ufffdb"), ("a\ud800", "a\ufffd"), ("\udfff\ud800", "\ufffd\ufffd")):
                self.refused(name, with_(value, path, unsafe), PROPERTY, path, strict=True)
                self.mended_to(name, with_(value, path, unsafe), path, "clean", clean)

    def each_payload_that_is_no_object(self, name: str) -> None:
        """A payload that is no object is a FormationViolation; null is taken as an empty one (F-3)."""
        for strict in (True, False):
            for odd in ([], [{}], "x", 5, True):
                self.refused(name, odd, FORMATION, (), strict)
            if example(name, full=False) and (strict or kind_of(name) not in salvage.KINDS):
                with self.assertRaises(Violation) as caught:
                    decode(kind_of(name), b"null", strict=strict)
                self.assertEqual(caught.exception.code, OCCURENCE)
            elif example(name, full=False):
                self.assertEqual(decode(kind_of(name), b"null", strict=False)[1][0].rule, "no-payload")
            else:
                message, repairs = decode(kind_of(name), b"null", strict=strict)
                self.assertEqual(message, kind_of(name)())
                self.assertEqual(repairs, (Repair("", "no-payload", "null taken as an empty payload"),))
