"""What databases cannot take, taken out before the writer. Knows no SQL (REQUIREMENTS F-12).

PostgreSQL refuses NUL in text, UTF-8 has no lone surrogates, and an integer beyond 64 bit fits into no column. One such
value would fail its use case for ever, and the charger would repeat it for ever.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_LEAST = -(2**63)
_MOST = 2**63 - 1


def clean_text(text: str) -> str:
    """`text` with U+FFFD in place of NUL and of lone surrogates; the same object where there are none."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text


def clean_integer(number: int) -> int:
    """`number`, or the nearest that 64 bit can hold."""
    return number if _LEAST <= number <= _MOST else max(_LEAST, min(number, _MOST))


def cleaned(value: T) -> T:
    """A text, integer, record, or tuple or list of them that every database can take; the same object where it was."""
    return _cleaned(value)  # type: ignore[no-any-return]


def _cleaned(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if kind is int:
        return clean_integer(value)
    if kind is tuple or kind is list:
        return kind(map(_cleaned, value))
    members = _members(kind)  # type: ignore[arg-type]  # typeshed calls no type[Any] hashable
    if members is None:
        return value
    names, get = members
    changes = {}
    for name, before in zip(names, get(value), strict=True):
        # Most members are plain; a call for each would take longer than looking at it.
        inner = type(before)
        if inner is str:
            if before.isascii() and "\0" not in before:
                continue
        elif inner is int:
            if _LEAST <= before <= _MOST:
                continue
        elif before is None:
            continue
        after = _cleaned(before)
        if after is not before and after != before:
            changes[name] = after
    if not changes:
        return value
    return msgspec.structs.replace(value, **changes) if isinstance(value, msgspec.Struct) else replace(value, **changes)


@cache
def _members(kind: Hashable) -> tuple[tuple[str, ...], Any] | None:
    """The names of a record's members and how to get their values; None where `kind` is no record."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        names = kind.__struct_fields__
    elif isinstance(kind, type) and is_dataclass(kind):
        names = tuple(field.name for field in fields(kind))
    else:
        return None
    if len(names) == 1:
        only = attrgetter(names[0])
        return names, lambda record: (only(record),)
    return names, attrgetter(*names)
