"""What real chargers send, read kindly: small named rules that mend a value, each mending told. REQUIREMENTS 2.0, E-1.

Knows no bytes. A rule is asked where the walk of `validation.lenient` found a fault; a later rule is asked when an earlier one
does not apply. What no rule mends, and what a rule mends that is switched off, is a violation. Values of meaning are never
invented here: a status is not guessed (G-9), a missing member is not filled in. What is filled in for the messages of a
transaction alone is in `salvage`; the table of all is `repairs.REPAIRS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import msgspec

from ocppd.errors import ErrorCode, Violation
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
from ocppd.v16.validation import UNSAFE, Fault, Finding, Place, lenient

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
    """One mending: where (a JSON pointer), by which rule, and what it did, without values.

    `code` and `fault` are those of the violation that it would have been; `flag` marks the transaction that it is about.
    """

    pointer: str
    rule: str
    reason: str
    code: ErrorCode = ErrorCode.FORMATION_VIOLATION
    fault: str = ""
    flag: str | None = None


#: What a rule answers: the member is dropped.
ABSENT = object()
#: What a rule answers: the item of a list is taken out of it.
REMOVED = object()
#: What a rule answers: not my case.
NOT_MINE = object()


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to mend some faults: `mend` answers the new value, ABSENT, REMOVED or NOT_MINE.

    `requirement` is the rule of REQUIREMENTS.md behind it; `kinds` are the messages it is for, None for all; `flag` is put on
    the transaction of such a message. Several entries of one name are one repair to operators.
    """

    name: str
    reason: str
    requirement: str
    faults: frozenset[Fault]
    mend: Callable[[Place], Any]
    kinds: frozenset[type] | None = None
    flag: str | None = None


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


def _rule(name: str, requirement: str, reason: str, mend: Callable[[Place], Any], *faults: Fault) -> Rule:
    return Rule(name, reason, requirement, frozenset(faults), mend)


_NULL = "null for an optional member taken as absent"
_BLANK = "empty text for an optional member taken as absent"
_ATTRIBUTE = "unknown attribute of a sample dropped"
#: The rules for every message, in the order in which they are asked.
RULES: tuple[Rule, ...] = (
    _rule("unknown-member", "1.7", "unknown member dropped", _drop_optional, Fault.UNKNOWN_MEMBER),
    _rule("null", "G-5", _NULL, _drop_optional, Fault.NULL),
    _rule("blank", "G-5", _BLANK, _drop_optional, Fault.BLANK, Fault.BLANK_DATE),
    _rule("blank", "G-5", _BLANK, _drop_blank_choice, Fault.UNKNOWN_VALUE),
    _rule("whole-number", "G-6", "fraction or numeric text taken as an integer", _whole_number, Fault.WRONG_TYPE),
    _rule("decimal-text", "G-7", "numeric text taken as a number", _decimal_number, Fault.WRONG_TYPE),
    _rule("number-as-text", "M-3", "number taken as text", _number_as_text, Fault.WRONG_TYPE),
    _rule("structure-as-text", "D-2", "structure taken as its JSON text", _structure_as_text, Fault.WRONG_TYPE),
    _rule("boolean-text", "1.7", "text taken as a boolean", _boolean, Fault.WRONG_TYPE),
    _rule("truncate", "G-3", "text cut to the allowed length", _truncated, Fault.TOO_LONG),
    _rule("clean", "F-12", "NUL or half a character replaced", _clean, Fault.UNSAFE_TEXT),
    _rule("spelling", "4.3", "other spelling of a known value", _other_spelling, Fault.UNKNOWN_VALUE),
    _rule("neutral", "G-9", "unknown value replaced by the neutral one", _neutral, Fault.UNKNOWN_VALUE),
    _rule("sample-attribute", "M-1", _ATTRIBUTE, _sample_attribute, Fault.UNKNOWN_VALUE, Fault.WRONG_TYPE),
    _rule("beyond-64-bit", "M-4", "integer beyond 64 bit taken as absent", _drop_optional, Fault.BEYOND_64_BIT),
)
#: No repair is switched off.
NONE_OFF: frozenset[str] = frozenset()


def mend(
    shape: ObjectShape, value: dict[str, Any], rules: Sequence[Rule] = RULES, off: frozenset[str] = NONE_OFF
) -> list[Repair]:
    """Mend `value` in place until it fits the struct of `shape`; what was done, at most MAX_REPAIRS of it.

    `off` are the names of the rules that are switched off. Raises the first Violation, in document order, that is not mended.
    """
    mine = [rule for rule in rules if rule.kinds is None or shape.kind in rule.kinds]
    repairs: list[Repair] = []
    for _ in range(_MAX_ROUNDS):
        mended = False
        shortened: list[list[Any]] = []
        for finding in lenient(shape, value):
            repair = _mend_one(finding, mine, off, shortened)
            if repair is None:
                raise finding.violation
            mended = True
            if len(repairs) < MAX_REPAIRS:
                repairs.append(repair)
        for items in shortened:
            items[:] = [item for item in items if item is not REMOVED]
        if not mended:
            return repairs
    raise _first(shape, value)


def _first(shape: ObjectShape, value: dict[str, Any]) -> Violation:
    return next(lenient(shape, value)).violation


def _mend_one(finding: Finding, rules: Sequence[Rule], off: frozenset[str], shortened: list[list[Any]]) -> Repair | None:
    place, fault = finding.place, finding.fault
    for rule in rules:
        if fault not in rule.faults:
            continue
        new = rule.mend(place)
        if new is NOT_MINE:
            continue
        if rule.name in off:
            return None
        if new is ABSENT:
            del place.holder[place.key]
        else:
            place.holder[place.key] = new
        if new is REMOVED and not any(items is place.holder for items in shortened):
            shortened.append(place.holder)
        return Repair(place.pointer, rule.name, rule.reason, fault.code, fault.reason, rule.flag)
    return None
