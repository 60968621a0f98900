"""Query parameters: every one known, single and readable, or the request is refused. docs/http-api.md. Pure.

A misspelt filter that is ignored shows everything to somebody who asked for little.
"""

from __future__ import annotations

import base64
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from ocppd.net.rest.problems import BadParameters
from ocppd.v16.timestamps import parse_timestamp

E = TypeVar("E", bound=StrEnum)
Parser = Callable[[str], Any]

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 100
#: Integers of OCPP and of the records' keys that clients name (REQUIREMENTS T-2).
GREATEST_INTEGER: Final = 2**31 - 1
#: More is no query.
MAX_PARAMETERS: Final = 50
#: Ids of rows; SQL has no greater ones.
GREATEST_SEQUENCE: Final = 2**63 - 1

_INTEGER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


def read_query(query: bytes, known: Mapping[str, Parser]) -> dict[str, Any]:
    """The parameters that are given, each through its parser. Raises BadParameters with all that is wrong."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise BadParameters([("", "the query cannot be read")]) from None
    values: dict[str, Any] = {}
    errors: list[tuple[str, str]] = []
    for name, text in pairs:
        if name not in known:
            errors.append((name, _unknown(name, known)))
        elif name in values:
            errors.append((name, "given twice"))
        else:
            try:
                values[name] = known[name](text)
            except ValueError as error:
                values[name] = None
                errors.append((name, str(error)))
    if errors:
        raise BadParameters(errors)
    return values


def _unknown(name: str, known: Mapping[str, Parser]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    if close:
        return f"there is no such parameter; did you mean {close[0]}?"
    return f"there is no such parameter; there are {', '.join(known)}" if known else "this path has no parameters"


def text(value: str) -> str:
    """Any text but the empty one, which is a parameter that somebody forgot to fill in."""
    if not value:
        raise ValueError("expected text")
    return value


def integer(lowest: int, highest: int) -> Parser:
    """An integer within bounds."""

    def parse(value: str) -> int:
        if not _INTEGER.fullmatch(value) or not lowest <= int(value) <= highest:
            raise ValueError(f"expected an integer from {lowest} to {highest}")
        return int(value)

    return parse


def seconds(lowest: float, highest: float) -> Parser:
    """A number of seconds within bounds, with or without fraction."""

    def parse(value: str) -> float:
        if not _SECONDS.fullmatch(value) or not lowest <= float(value) <= highest:
            raise ValueError(f"expected a number of seconds from {lowest:g} to {highest:.10g}")
        return float(value)

    return parse


def choice(kind: type[E]) -> Parser:
    """A member of an enumeration, spelt as it is."""

    def parse(value: str) -> E:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"expected one of {', '.join(kind)}") from None

    return parse


def one_of(meanings: Mapping[str, Any]) -> Parser:
    """One of a few words, and what it means."""

    def parse(value: str) -> Any:
        if value not in meanings:
            raise ValueError(f"expected one of {', '.join(meanings)}")
        return meanings[value]

    return parse


boolean: Final = one_of({"true": True, "false": False})


def instant(value: str) -> int:
    """An instant in milliseconds; any ISO 8601 form that chargers may use (G-1)."""
    try:
        return parse_timestamp(value)
    except ValueError:
        raise ValueError("expected a time such as 2026-01-02T03:04:05Z (a plus sign is written %2B)") from None


# Pages


def encode_cursor(position: str) -> str:
    """A position as it is handed out: to be given back, not to be read."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def cursor(parse: Callable[[str], Any]) -> Parser:
    """A position that was handed out before; `parse` reads it, and raises ValueError where it never was one."""

    def decode(value: str) -> Any:
        try:
            position = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
            if encode_cursor(position) == value:
                return parse(position)
        except ValueError:
            pass
        raise ValueError("expected the next of an earlier answer")

    return decode


def sequence(position: str) -> int:
    """A position that is the number of a row."""
    if not _INTEGER.fullmatch(position) or int(position) > GREATEST_SEQUENCE:
        raise ValueError("no row")
    return int(position)


def pair(position: str) -> tuple[int, int]:
    """A position that is the number of a row and a place within it."""
    row, _, place = position.partition(".")
    return sequence(row), sequence(place)


def page(parse: Callable[[str], Any]) -> dict[str, Parser]:
    """The parameters of every list."""
    return {"limit": integer(1, MAX_LIMIT), "after": cursor(parse)}


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most `limit` items, behind the position `after`; the rest are the filters."""

    limit: int
    after: Any
    filters: dict[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Page:
        """The page that read parameters ask for."""
        filters = {name: value for name, value in values.items() if name not in ("limit", "after")}
        return cls(values.get("limit", DEFAULT_LIMIT), values.get("after"), filters)
