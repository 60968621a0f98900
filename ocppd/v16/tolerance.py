"""What real chargers send, read kindly: small named rules that mend a value, each mending told. REQUIREMENTS 2.0, E-1.

Knows no bytes. A rule is asked where the walk of `validation.lenient` found a fault; a later rule is asked when an earlier one
does not apply. What no rule mends is a violation. Values of meaning are never invented: the status of a transaction message is
not guessed (G-9), a missing member is not filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from ocppd.errors import Violation
from ocppd.v16.shapes import BooleanShape, ChoiceShape, IntegerShape, NumberShape, ObjectShape, TextShape
from ocppd.v16.types import (
    ChargePointErrorCode,
    FirmwareStatusEnumType,
    Location,
    Measurand,
    Phase,
    ReadingContext,
    Reason,
    UnitOfMeasure,
    UploadLogStatusEnumType,
    ValueFormat,
)
from ocppd.v16.validation import UNSAFE, Fault, Place, lenient

#: Repairs that are told of one payload; the rest is mended in silence, so that hostile payloads do not fill the memory.
MAX_REPAIRS = 1000
#: A mended member may show a next fault (a number becomes text, the text is too long); no chain of rules is longer.
_MAX_ROUNDS = 4
#: Of a number's text; far beyond every quantity, and short enough for exact arithmetic.
_MAX_DIGITS = 40

_encoder = msgspec.json.Encoder(decimal_format="number")
_NUMERIC = re.compile(r"\s*[+-]?\d{1,40}(\.\d{1,40})?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Repair:
    """One mending: where (a JSON pointer), by which rule, and what it did, without values."""

    pointer: str
    rule: str
    reason: str


#: What a rule answers: the member is dropped.
ABSENT = object()
#: What a rule answers: not my case.
NOT_MINE = object()


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to mend some faults: `mend` answers the new value, ABSENT or NOT_MINE."""

    name: str
    reason: str
    faults: frozenset[Fault]
    mend: Callable[[Place], Any]


def _drop_optional(place: Place) -> Any:
    return ABSENT if place.optional else NOT_MINE


def _drop_blank_choice(place: Place) -> Any:
    return ABSENT if place.optional and place.value == "" else NOT_MINE


def _whole_number(place: Place) -> Any:
    """Round half up (G-6), of a number or of its text."""
    if not isinstance(place.shape, IntegerShape):
        return NOT_MINE
    number = _readable_number(place.value)
    return NOT_MINE if number is None else int(number.to_integral_value(ROUND_HALF_UP))


def _decimal_number(place: Place) -> Any:
    number = _readable_number(place.value) if isinstance(place.shape, NumberShape) else None
    return NOT_MINE if number is None else number


def _readable_number(value: Any) -> Decimal | None:
    """The number that `value` is or spells, if it is of a sane size."""
    if isinstance(value, str):
        return Decimal(value.strip()) if _NUMERIC.fullmatch(value) else None
    if not isinstance(value, Decimal) or not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS:
        return None
    return value


def _number_as_text(place: Place) -> Any:
    value = place.value
    if not isinstance(place.shape, TextShape) or isinstance(value, bool) or not isinstance(value, int | Decimal):
        return NOT_MINE
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) <= _MAX_DIGITS else str(value)
    return str(value)


def _structure_as_text(place: Place) -> Any:
    """JSON text of what should have been text (D-2)."""
    if not isinstance(place.shape, TextShape) or place.shape.format != "free" or isinstance(place.value, str):
        return NOT_MINE
    try:
        return _encoder.encode(place.value).decode()
    except (ValueError, OverflowError):  # half characters, integers beyond 64 bit
        return json.dumps(place.value, ensure_ascii=False, separators=(",", ":"), default=str)


def _boolean(place: Place) -> Any:
    known = {"true": True, "false": False}
    if not isinstance(place.shape, BooleanShape) or not isinstance(place.value, str):
        return NOT_MINE
    return known.get(place.value.strip().lower(), NOT_MINE)


def _truncated(place: Place) -> Any:
    return place.value[: place.shape.max_length] if isinstance(place.shape, TextShape) else NOT_MINE


def _clean(place: Place) -> Any:
    return UNSAFE.sub("\ufffd", place.value)


#: Spellings that are seen or printed somewhere, and what they mean (errata J-2.1, DIS-45, DIS-47).
_SPELLINGS: dict[type, dict[str, str]] = {
    UploadLogStatusEnumType: {"UploadFailed": UploadLogStatusEnumType.UPLOAD_FAILURE.value},
    FirmwareStatusEnumType: {
        "InvalidCertificate": FirmwareStatusEnumType.INVALID_SIGNATURE.value,
        "RevokedCertificate": FirmwareStatusEnumType.INVALID_SIGNATURE.value,
        "CertificateVerified": FirmwareStatusEnumType.DOWNLOAD_SCHEDULED.value,
    },
}
#: Values that stand for everything unknown (G-9).
_NEUTRAL: dict[type, str] = {ChargePointErrorCode: ChargePointErrorCode.OTHER_ERROR.value, Reason: Reason.OTHER.value}
#: Attributes of a sample: the sample is worth more than its attribute, and stored raw besides.
_SAMPLE_ATTRIBUTES = frozenset({ReadingContext, ValueFormat, Measurand, Phase, Location, UnitOfMeasure})


def _other_spelling(place: Place) -> Any:
    return _SPELLINGS.get(place.shape.enum, {}).get(place.value, NOT_MINE) if isinstance(place.shape, ChoiceShape) else NOT_MINE


def _neutral(place: Place) -> Any:
    return _NEUTRAL.get(place.shape.enum, NOT_MINE) if isinstance(place.shape, ChoiceShape) else NOT_MINE


def _sample_attribute(place: Place) -> Any:
    return ABSENT if isinstance(place.shape, ChoiceShape) and place.shape.enum in _SAMPLE_ATTRIBUTES else NOT_MINE


def _rule(name: str, reason: str, mend: Callable[[Place], Any], *faults: Fault) -> Rule:
    return Rule(name, reason, frozenset(faults), mend)


#: All rules, in the order in which they are asked.
RULES: tuple[Rule, ...] = (
    _rule("unknown-member", "unknown member dropped", _drop_optional, Fault.UNKNOWN_MEMBER),
    _rule("null", "null for an optional member taken as absent", _drop_optional, Fault.NULL),
    _rule("blank", "empty text for an optional member taken as absent", _drop_optional, Fault.BLANK, Fault.BLANK_DATE),
    _rule("blank", "empty text for an optional member taken as absent", _drop_blank_choice, Fault.UNKNOWN_VALUE),
    _rule("whole-number", "fraction or numeric text taken as an integer", _whole_number, Fault.WRONG_TYPE),
    _rule("decimal-text", "numeric text taken as a number", _decimal_number, Fault.WRONG_TYPE),
    _rule("number-as-text", "number taken as text", _number_as_text, Fault.WRONG_TYPE),
    _rule("structure-as-text", "structure taken as its JSON text", _structure_as_text, Fault.WRONG_TYPE),
    _rule("boolean-text", "text taken as a boolean", _boolean, Fault.WRONG_TYPE),
    _rule("truncate", "text cut to the allowed length", _truncated, Fault.TOO_LONG),
    _rule("clean", "NUL or half a character replaced", _clean, Fault.UNSAFE_TEXT),
    _rule("spelling", "other spelling of a known value", _other_spelling, Fault.UNKNOWN_VALUE),
    _rule("neutral", "unknown value replaced by the neutral one", _neutral, Fault.UNKNOWN_VALUE),
    _rule("sample-attribute", "unknown attribute of a sample dropped", _sample_attribute, Fault.UNKNOWN_VALUE, Fault.WRONG_TYPE),
    _rule("beyond-64-bit", "integer beyond 64 bit taken as absent", _drop_optional, Fault.BEYOND_64_BIT),
)


def mend(shape: ObjectShape, value: dict[str, Any], rules: Sequence[Rule] = RULES) -> list[Repair]:
    """Mend `value` in place until it fits the struct of `shape`; what was done, at most MAX_REPAIRS of it.

    Raises the first Violation, in document order, that no rule mends.
    """
    repairs: list[Repair] = []
    for _ in range(_MAX_ROUNDS):
        mended = False
        for finding in lenient(shape, value):
            repair = _mend_one(finding.place, finding.fault, rules)
            if repair is None:
                raise finding.violation
            mended = True
            if len(repairs) < MAX_REPAIRS:
                repairs.append(repair)
        if not mended:
            return repairs
    raise _first(shape, value)


def _first(shape: ObjectShape, value: dict[str, Any]) -> Violation:
    return next(lenient(shape, value)).violation


def _mend_one(place: Place, fault: Fault, rules: Sequence[Rule]) -> Repair | None:
    for rule in rules:
        if fault not in rule.faults:
            continue
        new = rule.mend(place)
        if new is NOT_MINE:
            continue
        if new is ABSENT:
            del place.holder[place.key]
        else:
            place.holder[place.key] = new
        return Repair(place.pointer, rule.name, rule.reason)
    return None
