"""Id tags as operators write them: one in a body, many as JSON or CSV. docs/http-api.md. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ocppd.central.authorization import id_tag_key
from ocppd.config import MAX_ACTIVE_LIMIT, MAX_ID_TAG_LENGTH
from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.net.rest.body import json_value
from ocppd.net.rest.problems import BadRequest
from ocppd.storage.records import IdTag
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import AuthorizationStatus, NonNegative, OptionalDateTime, OptionalIdToken
from ocppd.v16.validation import Fault, check

#: What a refusal is told in the name of.
SUBJECT: Final = "id tag"
#: More are several imports: each is told of what is wrong in it, and that is kept in memory.
MAX_IMPORTED: Final = 50_000
#: Of a tag that was refused, whatever it is, that is told.
MAX_SHOWN: Final = 40

TAG: Final = "/idTag"
NUMBERS: Final = ("maxActiveTransactions", "groupMaxActiveTransactions")

_DIGITS: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class TagStatus(StrEnum):
    """What a tag may be: AuthorizationStatus without ConcurrentTx, which is a verdict on a start (REQUIREMENTS L-4)."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"


class TagBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The members of a tag. One that is left out has its default, also where the tag had something else before."""

    id_tag: OptionalIdToken | UnsetType = UNSET
    status: TagStatus = TagStatus.ACCEPTED
    parent_id_tag: OptionalIdToken | UnsetType = UNSET
    expiry_date: OptionalDateTime | UnsetType = UNSET
    #: 0 is any number.
    max_active_transactions: NonNegative = 1
    #: Of it and of the tags whose parent it is, together; 0 is any number.
    group_max_active_transactions: NonNegative = 0
    note: Annotated[str, Meta(max_length=500)] | UnsetType = UNSET


COLUMNS: Final = tuple(field.encode_name for field in msgspec.structs.fields(TagBody))


@dataclass(frozen=True, slots=True)
class Row:
    """One of many: where it stands, what it is, and what is wrong beside what `read_tag` finds."""

    line: int
    value: Any
    faults: tuple[Violation, ...] = ()

    @property
    def shown(self) -> str | None:
        """The tag that it is about, fit to be told."""
        name = self.value.get("idTag") if isinstance(self.value, dict) else None
        return name[:MAX_SHOWN].encode("utf-8", "replace").decode() if isinstance(name, str) else None


def refused(*violations: Violation) -> InvalidPayload:
    """What is wrong with a body."""
    return InvalidPayload(SUBJECT, violations)


def wrong(pointer: str, reason: str) -> Violation:
    """A value that cannot be."""
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)


def of_fault(fault: Fault, pointer: str) -> Violation:
    """A fault that messages can have, too."""
    return Violation(fault.code, pointer, fault.reason)


# One tag


def read_tag(value: Any, name: str | None = None) -> IdTag:
    """The tag that a JSON value describes; `name` is that of its path, else it must have one.

    Raises InvalidPayload with all that is wrong.
    """
    violations = list(check(TagBody, value))
    if isinstance(value, dict):
        told = {violation.pointer for violation in violations}
        violations += [each for each in _beyond(value, name) if each.pointer not in told]
    if violations:
        raise refused(*violations)
    return _tag(msgspec.convert(value, TagBody), name)


def _beyond(value: dict[str, Any], name: str | None) -> Iterator[Violation]:
    """What is wrong with members that are right by themselves."""
    if name is None:
        name = value.get("idTag")
        if "idTag" not in value:
            yield of_fault(Fault.MISSING, TAG)
    else:
        if not 1 <= len(name) <= MAX_ID_TAG_LENGTH:
            yield wrong(TAG, f"the tag of the path does not have 1 to {MAX_ID_TAG_LENGTH} characters")
        if "idTag" in value and (not isinstance(value["idTag"], str) or id_tag_key(value["idTag"]) != id_tag_key(name)):
            yield wrong(TAG, "not the tag of the path")
    if isinstance(name, str) and not name.isprintable():
        yield wrong(TAG, "the tag has characters that cannot be printed")
    parent = value.get("parentIdTag")
    if isinstance(parent, str):
        if not parent.isprintable():
            yield wrong("/parentIdTag", "the tag has characters that cannot be printed")
        elif isinstance(name, str) and id_tag_key(parent) == id_tag_key(name):
            yield wrong("/parentIdTag", "a tag cannot be its own parent")
    for number in NUMBERS:
        limit = value.get(number)
        if isinstance(limit, int) and limit > MAX_ACTIVE_LIMIT:
            yield of_fault(Fault.OUT_OF_RANGE, f"/{number}")


def _tag(body: TagBody, name: str | None) -> IdTag:
    id_tag = name or body.id_tag or ""
    parent = body.parent_id_tag or None
    return IdTag(
        key=id_tag_key(id_tag),
        id_tag=id_tag,
        status=AuthorizationStatus(body.status),
        parent=parent,
        parent_key=None if parent is None else id_tag_key(parent),
        expiry_ms=None if body.expiry_date is UNSET else parse_timestamp(body.expiry_date),
        max_active=body.max_active_transactions or None,
        group_limit=body.group_max_active_transactions or None,
        note=body.note or None,
    )


# Many


def rows_of_json(body: bytes) -> list[Row]:
    """Each element with its place, from 1 on. Raises NotJson, and InvalidPayload for what is no array of a fair size."""
    value = json_value(body)
    if not isinstance(value, list):
        raise refused(wrong("", "expected an array of id tags"))
    return _fair(Row(place, item) for place, item in enumerate(value, 1))


def rows_of_csv(body: bytes) -> list[Row]:
    """Each row with the line that it begins in. Empty cells are left out, and so are empty lines.

    Raises BadRequest for what is no UTF-8, InvalidPayload for what is no CSV, wrong columns, or too many rows.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next((cells for cells in reader if cells), [])
        _check_columns(header)
        return _fair(_rows(reader, header))
    except csv.Error as error:
        raise refused(wrong("", f"line {reader.line_num} is no CSV: {error}")) from None


def _check_columns(header: Sequence[str]) -> None:
    """Nothing is read from columns that may mean something else."""
    unknown = [of_fault(Fault.UNKNOWN_MEMBER, _pointer(name)) for name in islice(_unknown(header), MAX_SHOWN)]
    twice = [wrong(f"/{name}", "the column stands there twice") for name in COLUMNS if header.count(name) > 1]
    missing = [] if "idTag" in header else [of_fault(Fault.MISSING, TAG)]
    if unknown or twice or missing:
        raise refused(*unknown, *twice, *missing)


def _unknown(header: Sequence[str]) -> Iterator[str]:
    return (name for name in header if name not in COLUMNS)


def _pointer(name: str) -> str:
    return "/" + name[:MAX_SHOWN].replace("~", "~0").replace("/", "~1")


def _rows(reader: Any, header: Sequence[str]) -> Iterator[Row]:
    before = reader.line_num
    for cells in reader:
        line, before = before + 1, reader.line_num
        if cells:
            value = {name: _cell(name, text) for name, text in zip(header, cells, strict=False) if text}
            yield Row(line, value, () if len(cells) <= len(header) else (wrong("", "more cells than columns"),))


def _cell(name: str, text: str) -> str | int:
    return int(text) if name in NUMBERS and _DIGITS.fullmatch(text) else text


def _fair(rows: Iterator[Row]) -> list[Row]:
    found: list[Row] = []
    for row in rows:
        if len(found) == MAX_IMPORTED:
            raise refused(wrong("", f"more than {MAX_IMPORTED} id tags in one import"))
        found.append(row)
    return found
