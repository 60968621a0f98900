"""What a message looks like, read once from its struct: a tree of shapes with all limits. Knows no payloads.

The fast decoders of msgspec read the same structs; this is the same definition for those who need to know where and why a
value breaks it (`validation`), mend it (`tolerance`) or make it fit to send (`codec`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any

from msgspec import inspect

from ocppd.v16.types import INT32_MIN


@dataclass(frozen=True, slots=True)
class TextShape:
    """Text. `blank_allowed` is False where empty text means the same as leaving it out (REQUIREMENTS G-5)."""

    max_length: int | None
    blank_allowed: bool
    format: str | None


@dataclass(frozen=True, slots=True)
class IntegerShape:
    """A whole number, at least `minimum`: 32-bit signed by the letter (G-6), 64-bit where we are kind."""

    minimum: int


@dataclass(frozen=True, slots=True)
class NumberShape:
    """A decimal number with one fraction digit (G-7)."""


@dataclass(frozen=True, slots=True)
class BooleanShape:
    """True or false."""


@dataclass(frozen=True, slots=True)
class ChoiceShape:
    """One of the values of `enum`."""

    enum: type[Enum]


@dataclass(frozen=True, slots=True)
class ListShape:
    """A list of at least `min_items` of `item`."""

    item: Shape
    min_items: int


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """An object: its members by their names on the wire, in the order of the definition."""

    kind: type
    members: Mapping[str, Member]
    has_numbers: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object."""

    required: bool
    shape: Shape


Shape = TextShape | IntegerShape | NumberShape | BooleanShape | ChoiceShape | ListShape | ObjectShape


@cache
def shape_of(kind: type) -> ObjectShape:
    """The shape of a message. Raises TypeError for a struct that uses what OCPP 1.6 does not know."""
    info = inspect.type_info(kind)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{kind.__name__} is not a struct")
    return _object(info)


def _object(info: inspect.StructType) -> ObjectShape:
    members = {field.encode_name: Member(field.required, _shape(field.type)) for field in info.fields}
    return ObjectShape(info.cls, MappingProxyType(members), any(_has_numbers(member.shape) for member in members.values()))


def _has_numbers(shape: Shape) -> bool:
    if isinstance(shape, ListShape):
        return _has_numbers(shape.item)
    return isinstance(shape, NumberShape) or (isinstance(shape, ObjectShape) and shape.has_numbers)


def _shape(info: inspect.Type) -> Shape:
    extra: Mapping[str, Any] = {}
    if isinstance(info, inspect.Metadata):
        extra, info = info.extra or {}, info.type
    match info:
        case inspect.StrType():
            return TextShape(info.max_length, not info.min_length, extra.get("format"))
        case inspect.IntType():
            return IntegerShape(extra.get("minimum", INT32_MIN))
        case inspect.DecimalType():
            return NumberShape()
        case inspect.BoolType():
            return BooleanShape()
        case inspect.EnumType():
            return ChoiceShape(info.cls)
        case inspect.VarTupleType():
            return ListShape(_shape(info.item_type), extra.get("min_items", 0))
        case inspect.StructType():
            return _object(info)
    raise TypeError(f"no shape for {info!r}")
