"""A closer look at a message that could be read: what the decoder takes, and the specification does not. Pure.

REQUIREMENTS G-1, G-2, G-5, M-3, M-4, M-6, 4.3, 4.4. It costs as much as everything else that is done for a message, so it is
for the first messages of a connection (`conformance`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from ocppd.errors import ErrorCode, Violation
from ocppd.storage.records import UNREADABLE_MS
from ocppd.v16.types import INT32_MAX
from ocppd.v16.validation import check

#: 2010-01-01T00:00:00Z: an earlier timestamp comes of a clock that was never set (T-4).
CLOCK_WAS_SET_MS: Final = 1_262_304_000_000
#: G-2.
CLOCK_TOLERANCE_MS: Final = 5 * 60 * 1000
#: What the letter forbids beyond this is not worth more rows.
_MOST: Final = 20

_ZONE = re.compile(r"([Zz]|[+-]\d\d(:?\d\d)?)\s*$")
_MISSPELT: Final = frozenset({"Celcius", "Hz"})
#: Members with a text of the charger's own.
_TEXTS: Final = ("info", "vendorErrorCode", "vendorId")
#: Sent as things are, and not out of a queue: their timestamps show the charger's clock.
_LIVE: Final = frozenset({"StatusNotification", "SecurityEventNotification"})


@dataclass(frozen=True, slots=True)
class Oddity:
    """One finding; `breach` where it breaks the schema."""

    kind: str
    pointer: str
    detail: str = ""
    breach: Violation | None = None


def oddities(action: str, request: type, value: Any, received_ms: int, instant: Any) -> Iterator[Oddity]:
    """What is odd about the JSON value of a message; `instant` reads a timestamp, as UNREADABLE_MS where it names none."""
    if not isinstance(value, dict):
        return
    for violation in check(request, value)[:_MOST]:
        kind = _by_the_letter(violation)
        if kind is not None:
            yield Oddity(kind, violation.pointer, violation.reason, violation)
    for pointer, text in _timestamps(value):
        yield from _of_timestamp(action, pointer, text, received_ms, instant)
    for name in _TEXTS:
        if str(value.get(name, "")).lower() == "null":
            yield Oddity("text-null", f"/{name}")
    yield from _of_members(action, value)
    for pointer, sample in _samples(value):
        yield from _of_sample(pointer, sample)


def _by_the_letter(violation: Violation) -> str | None:
    """The kind of a breach that no repair has told of."""
    if violation.reason == "too few items":
        return "list-empty"
    if violation.reason in ("not a dateTime", "empty dateTime", "empty text; leave the member out"):
        return None  # told otherwise, or mended and told so
    if violation.reason == "number is out of range":
        return None if violation.pointer == "/transactionId" else "beyond-the-letter"
    return None


def _timestamps(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(value.get("timestamp"), str):
        yield "/timestamp", value["timestamp"]
    for name, index, element in _elements(value):
        if isinstance(element.get("timestamp"), str):
            yield f"/{name}/{index}/timestamp", element["timestamp"]


def _of_timestamp(action: str, pointer: str, text: str, received_ms: int, instant: Any) -> Iterator[Oddity]:
    told_ms = instant(text)
    if told_ms == UNREADABLE_MS:
        code = ErrorCode.TYPE_CONSTRAINT_VIOLATION
        yield Oddity("timestamp-unreadable", pointer, breach=Violation(code, pointer, "not a dateTime"))
        return
    if told_ms < CLOCK_WAS_SET_MS:
        yield Oddity("clock-never-set", pointer)
    elif told_ms > received_ms + CLOCK_TOLERANCE_MS or (action in _LIVE and told_ms < received_ms - CLOCK_TOLERANCE_MS):
        yield Oddity("clock-off", pointer, f"{(told_ms - received_ms) / 60_000:+.0f} min")
    zone = _ZONE.search(text)
    if zone is None:
        yield Oddity("timestamp-without-zone", pointer)
    elif zone[1] not in ("Z", "z"):
        yield Oddity("timestamp-with-offset", pointer)


def _of_members(action: str, value: dict[str, Any]) -> Iterator[Oddity]:
    if action == "BootNotification":
        for name in ("chargePointVendor", "chargePointModel"):
            if isinstance(value.get(name), str) and not value[name].strip():
                yield Oddity("vendor-blank", f"/{name}")
    named = value.get("transactionId")
    if type(named) is int and action in ("MeterValues", "StopTransaction"):
        if named == -1 and action == "StopTransaction":
            yield Oddity("stop-nameless", "/transactionId")
        elif not 0 < named <= INT32_MAX:
            yield Oddity("transaction-id-impossible", "/transactionId", str(named))
    if isinstance(value.get("idTag"), str) and not value["idTag"].strip():
        yield Oddity("id-tag-blank", "/idTag")


def _elements(value: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for name in ("meterValue", "transactionData"):
        items = value.get(name)
        for index, element in enumerate(items if isinstance(items, list) else ()):
            if isinstance(element, dict):
                yield name, index, element


def _samples(value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, index, element in _elements(value):
        samples = element.get("sampledValue")
        for place, sample in enumerate(samples if isinstance(samples, list) else ()):
            if isinstance(sample, dict):
                yield f"/{name}/{index}/sampledValue/{place}", sample


def _of_sample(pointer: str, sample: dict[str, Any]) -> Iterator[Oddity]:
    text = sample.get("value")
    if isinstance(text, str) and sample.get("format") != "SignedData":
        if not text.strip():
            yield Oddity("value-blank", f"{pointer}/value")
        elif not _is_number(text):
            yield Oddity("value-not-a-number", f"{pointer}/value", text[:20])
    unit, measurand, phase = sample.get("unit"), str(sample.get("measurand", "")), str(sample.get("phase", ""))
    if isinstance(unit, str) and unit in _MISSPELT:
        yield Oddity("unit-misspelt", f"{pointer}/unit", unit)
    between = "-" in phase
    if phase and ((between and measurand.startswith("Current.")) or (not between and measurand == "Voltage")):
        yield Oddity("phase-odd", f"{pointer}/phase", f"{measurand} {phase}")


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False
