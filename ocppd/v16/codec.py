"""Payloads: bytes to messages and back. Knows neither frames nor what is done about a message. REQUIREMENTS 1.7, 2.0.

A charger's payload is read by one typed decode where that is enough. What the decoder refuses, and everything in strict mode,
is read as a JSON value, walked (`validation`), in tolerant mode mended (`tolerance`), and converted. What we send is always
held to the letter (G-0), with instants and numbers in the one form that every charger reads (G-1, G-7).
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from typing import Any, NoReturn, TypeVar

import msgspec

from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.v16 import salvage, tolerance
from ocppd.v16.repairs import REPAIRS
from ocppd.v16.shapes import ListShape, NumberShape, ObjectShape, Shape, TextShape, shape_of
from ocppd.v16.timestamps import sendable
from ocppd.v16.tolerance import NONE_OFF, Repair
from ocppd.v16.types import Message
from ocppd.v16.validation import as_decimal, check, is_sane_number, violations

T = TypeVar("T", bound=Message)

#: Python refuses to read integers of more digits, and nobody means one.
_MAX_INTEGER_DIGITS = 4000
#: What is larger is not mended: the walk takes some 0.4 s per MiB, on the reactor's thread.
MENDABLE_BYTES = 1024 * 1024
_NO_PAYLOAD = Repair("", "no-payload", "null taken as an empty payload")
_DUPLICATE = Repair("", "duplicate-member", "of members with the same name the last was taken")

_ONE, _TENTH = Decimal(1), Decimal("0.1")
#: Finer fractions print with an exponent.
_LEAST_EXPONENT = -6

#: Texts without fractions, long integers and escapes: the same by a quicker reader.
_SHORT = 1024
_UNUSUAL = re.compile(rb"[.\\]|[0-9][eE]|[0-9]{16}|-0")

_encoder = msgspec.json.Encoder(decimal_format="number")


@cache
def _fast_decoder(kind: type[T]) -> msgspec.json.Decoder[T] | None:
    """The typed decoder; none for messages with numbers, where it takes too much: text, even "NaN"."""
    return None if shape_of(kind).has_numbers else msgspec.json.Decoder(kind)


def decode(kind: type[T], payload: bytes, *, strict: bool, off: frozenset[str] = NONE_OFF) -> tuple[T, tuple[Repair, ...]]:
    """The message that `payload` holds, with what had to be mended for it (nothing in strict mode, but F-3).

    `off` are the repairs that are switched off. Raises Violation, whatever the bytes: in strict mode the first one in
    document order, in tolerant mode the first one that no repair mends.
    """
    fast = None if strict or b"\\u0000" in payload else _fast_decoder(kind)
    if fast is not None:
        try:
            return fast.decode(payload), ()
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass  # look closer
    try:
        return _decode_with_care(kind, payload, strict, off)
    except RecursionError:
        raise Violation(ErrorCode.FORMATION_VIOLATION, "", "nested too deeply") from None


def _decode_with_care(kind: type[T], payload: bytes, strict: bool, off: frozenset[str]) -> tuple[T, tuple[Repair, ...]]:
    value, repairs = _read(payload)
    if value is None:  # the text allows it (F-3)
        value = {}
        repairs.append(_NO_PAYLOAD)
    if not strict and len(payload) > MENDABLE_BYTES and kind in salvage.KINDS and salvage.SHED.name not in off:
        shed = salvage.shed(value) if isinstance(value, dict) else None
        repairs += [shed] if shed is not None else []
    shortened = bool(repairs) and repairs[-1].rule == salvage.SHED.name
    if strict or not isinstance(value, dict) or (len(payload) > MENDABLE_BYTES and not shortened):
        for violation in violations(kind, value):
            raise violation
    else:
        repairs += tolerance.mend(shape_of(kind), value, REPAIRS, off)
    try:
        return msgspec.convert(value, kind), tuple(repairs)
    except msgspec.ValidationError:  # the walk and the struct disagree: our fault, but never a crash
        raise Violation(ErrorCode.GENERIC_ERROR, "", "cannot be read") from None


def read_json(text: bytes) -> Any:
    """A JSON value with fractions as Decimal, never as float. Raises Violation (FormationViolation) for anything else."""
    if len(text) <= _SHORT and _UNUSUAL.search(text) is None:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # look closer
    try:
        return _read(text)[0]
    except RecursionError:
        raise Violation(ErrorCode.FORMATION_VIOLATION, "", "nested too deeply") from None


def _read(text: bytes) -> tuple[Any, list[Repair]]:
    repairs: list[Repair] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs) and not repairs:
            repairs.append(_DUPLICATE)
        return value

    try:
        return (
            json.loads(
                text.decode(),
                parse_float=_read_fraction,
                parse_int=_read_integer,
                parse_constant=_refuse_constant,
                object_pairs_hook=members,
            ),
            repairs,
        )
    except ValueError:
        raise Violation(ErrorCode.FORMATION_VIOLATION, "", "not JSON") from None


def _read_integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else Decimal(digits)


def _read_fraction(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except ArithmeticError:  # an exponent beyond what Decimal can hold
        raise ValueError("no such number") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def build(kind: type[T], value: Any) -> T:
    """The message that a JSON value (of an operator) describes, fit to be sent: instants in UTC and whole seconds, at the
    latest in 2037 (G-1), numbers with at most one fraction digit (G-7).

    Raises InvalidPayload with all violations. Fractions should come as Decimal (`read_json`); a float counts as the
    decimal number it is written as.
    """
    found = check(kind, value)
    if found:
        raise InvalidPayload(action_of(kind), found)
    return msgspec.convert(_fit_to_send(shape_of(kind), value), kind)


def verify(message: T) -> T:
    """`message` as it can be sent, held to the letter: constructing a message validates nothing.

    Plain text becomes the enumeration's member, a list a tuple, instants and numbers take the form that `build` gives them.
    Raises InvalidPayload with all violations.
    """
    kind = type(message)
    if not shape_of(kind).members:
        return message
    return build(kind, _as_json(message))


def encode(message: Message) -> bytes:
    """The payload of `message`: compact JSON in UTF-8, absent members left out, numbers without exponent (G-5, F-14).

    For messages that `decode`, `build` or `verify` gave. Others are encoded unchecked; InvalidPayload is raised for what
    JSON does not know.
    """
    value: Any = message
    shape = shape_of(type(message))
    try:
        if shape.has_numbers:
            value = _with_plain_numbers(shape, _as_json(message))
        return _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise _not_json(type(message)) from None


def action_of(kind: type[Message]) -> str:
    """The action that a message belongs to."""
    return kind.__name__.removesuffix("Request").removesuffix("Confirmation")


def _not_json(kind: type[Message]) -> InvalidPayload:
    return InvalidPayload(action_of(kind), (Violation(ErrorCode.TYPE_CONSTRAINT_VIOLATION, "", "holds what JSON does not know"),))


def _as_json(message: Message) -> Any:
    try:
        return msgspec.to_builtins(message, builtin_types=(Decimal, bytes, bytearray, memoryview))
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise _not_json(type(message)) from None


def _fit_to_send(shape: Shape, value: Any) -> Any:
    """A copy of a valid value, with instants and numbers in the form in which they are sent."""
    match shape:
        case ObjectShape():
            return {name: _fit_to_send(shape.members[name].shape, item) for name, item in value.items()}
        case ListShape():
            return [_fit_to_send(shape.item, item) for item in value]
        case TextShape(format="date-time"):
            return sendable(value)
        case NumberShape():
            return _plain(as_decimal(value))
    return value


def _with_plain_numbers(shape: Shape, value: Any) -> Any:
    """A copy of any value, with numbers without exponent. Raises ValueError for what is no number of a sane size."""
    if isinstance(shape, ObjectShape) and isinstance(value, dict):
        return {name: _with_plain_numbers(shape.members[name].shape, item) for name, item in value.items()}
    if isinstance(shape, ListShape) and isinstance(value, list | tuple):
        return [_with_plain_numbers(shape.item, item) for item in value]
    if isinstance(shape, NumberShape):
        if not is_sane_number(value):
            raise ValueError("not a number of a sane size")
        return _plain(as_decimal(value))
    return value


def _plain(number: Decimal) -> Decimal:
    """The number as it prints without exponent; digits that were given are kept (6.0 stays 6.0)."""
    exponent = number.as_tuple().exponent
    if exponent in (0, -1):
        return number
    rounded = number.quantize(_TENTH if int(exponent) < 0 else _ONE)
    return rounded if rounded == number or int(exponent) < _LEAST_EXPONENT else number
