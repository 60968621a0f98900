"""Every breach of a message's definition in a JSON value, with its error code. REQUIREMENTS 1.7, 2.0, 2.1.

Knows no bytes and repairs nothing. It walks a value along a shape in document order: the members an object has come first,
then those it lacks, then what members owe to each other (`rules`). There are two measures. By the letter of the
specification, with every limit of its text, for what we send and for strict reading; and `lenient`, for just what a
struct cannot hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from ocppd.errors import MAX_VIOLATIONS, ErrorCode, Violation
from ocppd.v16 import rules
from ocppd.v16.shapes import (
    BooleanShape,
    ChoiceShape,
    IntegerShape,
    ListShape,
    NumberShape,
    ObjectShape,
    Shape,
    TextShape,
    shape_of,
)
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import INT32_MAX, INT64_MAX, INT64_MIN

#: Of a member's name in a pointer, so that a hostile name cannot fill a log line.
_MAX_NAME_LENGTH = 64
#: Digits before the point and after it, beyond which a number is no electrical quantity and arithmetic would explode.
_MAX_WHOLE_DIGITS, _MAX_FRACTION_DIGITS = 15, 30

#: What databases and UTF-8 encoders choke on (REQUIREMENTS F-12).
UNSAFE = re.compile("[\x00\ud800-\udfff]")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-\[\]_a-z~]+")


class Fault(Enum):
    """A kind of breach, with the CALLERROR code that REQUIREMENTS 1.7 gives it."""

    NOT_AN_OBJECT = "the payload is not an object", ErrorCode.FORMATION_VIOLATION
    UNKNOWN_MEMBER = "not a member of this object", ErrorCode.FORMATION_VIOLATION
    MISSING = "required member is missing", ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION
    TOO_FEW_ITEMS = "too few items", ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION
    NULL = "null is not a value", ErrorCode.TYPE_CONSTRAINT_VIOLATION
    WRONG_TYPE = "wrong JSON type", ErrorCode.TYPE_CONSTRAINT_VIOLATION
    BLANK_DATE = "empty dateTime", ErrorCode.TYPE_CONSTRAINT_VIOLATION
    UNREADABLE_DATE = "not a dateTime", ErrorCode.TYPE_CONSTRAINT_VIOLATION
    UNREADABLE_URI = "not a URI", ErrorCode.TYPE_CONSTRAINT_VIOLATION
    BLANK = "empty text; leave the member out", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    TOO_LONG = "text is too long", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    UNSAFE_TEXT = "text holds NUL or half a character", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    UNKNOWN_VALUE = "not one of the allowed values", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    BEYOND_64_BIT = "integer is beyond 64 bit", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    OUT_OF_RANGE = "number is out of range", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    FRACTION = "more than one fraction digit", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION

    def __init__(self, reason: str, code: ErrorCode) -> None:
        self.reason = reason
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: `holder[key]`, what it should be, and whether it may be left out."""

    holder: Any
    key: str | int
    shape: Shape
    optional: bool
    pointer: str

    @property
    def value(self) -> Any:
        """What stands there now."""
        return self.holder[self.key]


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of a shape, and where it stands."""

    fault: Fault
    place: Place

    @property
    def violation(self) -> Violation:
        """The breach as it is reported."""
        return Violation(self.fault.code, self.place.pointer, self.fault.reason)


def check(kind: type, value: Any) -> tuple[Violation, ...]:
    """All violations of a JSON value against a message, in document order; at most MAX_VIOLATIONS, () when it is good.

    By the letter, with all limits of the text: for strict reading, and for what we send. Numbers may be int, Decimal or
    float; a float counts as the decimal number it is written as.
    """
    return tuple(islice(violations(kind, value), MAX_VIOLATIONS))


def violations(kind: type, value: Any) -> Iterator[Violation]:
    """As `check`, one after the other."""
    shape = shape_of(kind)
    if not isinstance(value, dict):
        yield Violation(Fault.NOT_AN_OBJECT.code, "", Fault.NOT_AN_OBJECT.reason)
        return
    for finding in _object(shape, value, "", by_letter=True):
        yield finding.violation if isinstance(finding, Finding) else finding


def lenient(shape: ObjectShape, value: dict[str, Any]) -> Iterator[Finding]:
    """What keeps `value` out of the struct, and unknown members. The value may be mended on the way."""
    for finding in _object(shape, value, "", by_letter=False):
        assert isinstance(finding, Finding)  # violations of rules come by the letter alone
        yield finding


def _object(shape: ObjectShape, value: dict[str, Any], pointer: str, by_letter: bool) -> Iterator[Finding | Violation]:
    for name, item in tuple(value.items()):
        member = shape.members.get(name)
        if member is None:
            yield Finding(Fault.UNKNOWN_MEMBER, Place(value, name, shape, True, f"{pointer}/{escaped(name)}"))
        else:
            yield from _item(member.shape, item, by_letter, value, name, not member.required, pointer)
    for name, member in shape.members.items():
        if member.required and name not in value:
            yield Finding(Fault.MISSING, Place(value, name, member.shape, False, f"{pointer}/{name}"))
    if by_letter:
        yield from rules.broken(shape.kind, value, pointer)


def escaped(name: object) -> str:
    """A member's name in a JSON pointer (RFC 6901), safe to be logged and sent back."""
    text = UNSAFE.sub("\ufffd", str(name))
    if len(text) > _MAX_NAME_LENGTH:
        text = text[:_MAX_NAME_LENGTH] + "…"
    return text.replace("~", "~0").replace("/", "~1")


def _item(
    shape: Shape, value: Any, by_letter: bool, holder: Any, key: str | int, optional: bool, pointer: str
) -> Iterator[Finding | Violation]:
    """What is wrong with `value`, which is `holder[key]`, and with what is in it."""
    for fault in _FAULTS[type(shape)](shape, value, by_letter):
        yield Finding(fault, Place(holder, key, shape, optional, f"{pointer}/{key}"))
    if isinstance(shape, ObjectShape) and isinstance(value, dict):
        yield from _object(shape, value, f"{pointer}/{key}", by_letter)
    elif isinstance(shape, ListShape) and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _item(shape.item, item, by_letter, value, index, False, f"{pointer}/{key}")


_Faults = Sequence[Fault]
_NONE: _Faults = ()
_NULL: _Faults = (Fault.NULL,)
_WRONG_TYPE: _Faults = (Fault.WRONG_TYPE,)


def _not(value: Any) -> _Faults:
    """What is said of a value of another JSON type."""
    return _NULL if value is None else _WRONG_TYPE


def _text(shape: TextShape, value: Any, by_letter: bool) -> _Faults:
    if not isinstance(value, str):
        return _not(value)
    faults = []
    if UNSAFE.search(value):
        faults.append(Fault.UNSAFE_TEXT)
    if shape.max_length is not None and len(value) > shape.max_length:
        faults.append(Fault.TOO_LONG)
    if not value and not shape.blank_allowed:
        faults.append(Fault.BLANK_DATE if shape.format == "date-time" else Fault.BLANK)
    elif by_letter and shape.format == "date-time" and not _is_date(value):
        faults.append(Fault.UNREADABLE_DATE)
    elif by_letter and shape.format == "uri" and not _is_uri(value):
        faults.append(Fault.UNREADABLE_URI)
    return faults


def _is_date(text: str) -> bool:
    try:
        parse_timestamp(text)
    except ValueError:
        return False
    return True


def _is_uri(text: str) -> bool:
    try:
        return _URI.fullmatch(text) is not None and bool(urlsplit(text).scheme)
    except ValueError:  # unbalanced brackets around an address
        return False


def _integer(shape: IntegerShape, value: Any, by_letter: bool) -> _Faults:
    if not isinstance(value, int) or isinstance(value, bool):
        return _not(value)
    if by_letter:
        return _NONE if shape.minimum <= value <= INT32_MAX else (Fault.OUT_OF_RANGE,)
    return _NONE if INT64_MIN <= value <= INT64_MAX else (Fault.BEYOND_64_BIT,)


def _number(shape: NumberShape, value: Any, by_letter: bool) -> _Faults:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return _not(value)
    if not is_sane_number(value):
        return (Fault.OUT_OF_RANGE,)
    if by_letter and (number := as_decimal(value)) != number.quantize(Decimal("0.1")):
        return (Fault.FRACTION,)
    return _NONE


def _boolean(shape: BooleanShape, value: Any, by_letter: bool) -> _Faults:
    return _NONE if isinstance(value, bool) else _not(value)


def _choice(shape: ChoiceShape, value: Any, by_letter: bool) -> _Faults:
    if not isinstance(value, str):
        return _not(value)
    try:
        shape.enum(value)
    except ValueError:
        return (Fault.UNKNOWN_VALUE,)
    return _NONE


def _items(shape: ListShape, value: Any, by_letter: bool) -> _Faults:
    if not isinstance(value, list | tuple):
        return _not(value)
    return (Fault.TOO_FEW_ITEMS,) if by_letter and len(value) < shape.min_items else _NONE


def _members(shape: ObjectShape, value: Any, by_letter: bool) -> _Faults:
    return _NONE if isinstance(value, dict) else _not(value)


#: What is wrong with a value itself, by its shape.
_FAULTS: dict[type, Callable[[Any, Any, bool], _Faults]] = {
    TextShape: _text,
    IntegerShape: _integer,
    NumberShape: _number,
    BooleanShape: _boolean,
    ChoiceShape: _choice,
    ListShape: _items,
    ObjectShape: _members,
}


def is_sane_number(value: Any) -> bool:
    """Whether it is a finite number of a size that arithmetic can bear."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    number = as_decimal(value)
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_MAX_FRACTION_DIGITS and number.adjusted() < _MAX_WHOLE_DIGITS


def as_decimal(value: float | Decimal) -> Decimal:
    """A JSON number as the decimal number it is written as: 6.1 is 6.1, whatever a binary float makes of it."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
