"""Chargers and their passwords as operators write them. docs/http-api.md. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from ocppd.config import CertificateName, CertificatePolicy, Mode, Registration
from ocppd.config import file as limits
from ocppd.config.values import REPAIR_NAMES
from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.pki.passwords import KEY_BYTES, key_of
from ocppd.v16.validation import Fault, escaped

#: What a refusal is told in the name of.
SUBJECT: Final = "charger"
CREDENTIALS: Final = "credentials"
#: Longer than any charger takes.
MAX_PASSWORD: Final = 200
#: A password that is given as bytes, as in configs.json.
_HEX: Final = re.compile(r"hex:(?:[0-9A-Fa-f]{2})+")

#: What is wrong with a value: where within it, and what.
Faults = Iterator[tuple[str, Fault | str]]
Check = Callable[[Any], Faults]


def _kind(value: Any, *kinds: type) -> Fault | None:
    if value is None:
        return Fault.NULL
    # bool is a kind of int to Python, and none to JSON.
    right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    return None if right else Fault.WRONG_TYPE


def _flag(value: Any) -> Faults:
    fault = _kind(value, bool)
    if fault:
        yield "", fault


def _whole(lowest: int, highest: int) -> Check:
    def check(value: Any) -> Faults:
        fault = _kind(value, int)
        if fault:
            yield "", fault
        elif not lowest <= value <= highest:
            yield "", f"expected a whole number from {lowest} to {highest}"

    return check


def _seconds(lowest: float, highest: float, *, zero: bool = False) -> Check:
    def check(value: Any) -> Faults:
        fault = _kind(value, int, float, Decimal)
        if fault:
            yield "", fault
        elif not (lowest <= value <= highest or (zero and value == 0)):
            yield "", f"expected a number from {lowest:g} to {highest:g}" + (", or 0" if zero else "")

    return check


def _choice(kind: type[StrEnum]) -> Check:
    def check(value: Any) -> Faults:
        fault = _kind(value, str)
        if fault:
            yield "", fault
        elif value not in tuple(kind):
            yield "", f"expected one of {', '.join(kind)}"

    return check


def _text(longest: int) -> Check:
    def check(value: Any) -> Faults:
        fault = _kind(value, str)
        if fault:
            yield "", fault
        elif not 1 <= len(value) <= longest:
            yield "", f"expected 1 to {longest} characters"
        elif any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
            yield "", "expected text without control characters"

    return check


def _tags(value: Any) -> Faults:
    fault = _kind(value, list)
    if fault:
        yield "", fault
        return
    if len(value) > limits.MAX_TAGS:
        yield "", f"expected at most {limits.MAX_TAGS} tags"
    check = _text(limits.MAX_TAG_LENGTH)
    for place, tag in enumerate(value[: limits.MAX_TAGS]):
        yield from ((f"/{place}{where}", fault) for where, fault in check(tag))
        if tag in value[:place]:
            yield f"/{place}", "the tag stands there twice"


def _repairs(value: Any) -> Faults:
    fault = _kind(value, dict)
    if fault:
        yield "", fault
        return
    for name, switch in value.items():
        if name not in REPAIR_NAMES:
            yield f"/{escaped(name)}", "there is no such repair"
        else:
            yield from ((f"/{name}{where}", fault) for where, fault in _flag(switch))


MEMBERS: Final[Mapping[str, Check]] = {
    "tags": _tags,
    "registration": _choice(Registration),
    "heartbeatInterval": _whole(*limits.HEARTBEAT_INTERVAL_BOUNDS_S),
    "retryInterval": _whole(*limits.RETRY_INTERVAL_BOUNDS_S),
    "mode": _choice(Mode),
    "assumeSubprotocol": _flag,
    "callTimeout": _seconds(*limits.CALL_TIMEOUT_BOUNDS_S),
    "pingInterval": _seconds(*limits.PING_INTERVAL_BOUNDS_S, zero=True),
    "quiet": _flag,
    "acceptWithoutBoot": _flag,
    "readConfiguration": _flag,
    "spreadHeartbeats": _flag,
    "supplyVoltage": _whole(*limits.SUPPLY_VOLTAGE_BOUNDS_V),
    "supplyPhases": _whole(*limits.SUPPLY_PHASES_BOUNDS),
    "serialNumber": _text(limits.MAX_SERIAL_NUMBER_LENGTH),
    "certificatePolicy": _choice(CertificatePolicy),
    "certificateName": _choice(CertificateName),
    "repairs": _repairs,
}


@dataclass(frozen=True, slots=True)
class ChargerBody:
    """The settings of a charger as JSON text, its members in order, and the password that it gets with them."""

    settings: str
    password: bytes | None = None


def wrong(pointer: str, reason: str) -> Violation:
    """A value that cannot be."""
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)


def name_of(value: Mapping[str, Any]) -> str:
    """The name of a body that has one. Raises InvalidPayload."""
    if "name" not in value:
        raise InvalidPayload(SUBJECT, (Violation(Fault.MISSING.code, "/name", Fault.MISSING.reason),))
    found = list(_of("/name", value["name"], _text(limits.MAX_NAME_LENGTH)))
    if found:
        raise InvalidPayload(SUBJECT, tuple(found))
    return str(value["name"])


def read_charger(value: Mapping[str, Any], name: str, *, with_password: bool = False) -> ChargerBody:
    """The charger `name` as a JSON object describes it. A member that is left out has its default.

    Raises InvalidPayload with all that is wrong, the name's faults included (U-3).
    """
    found = list(_of("/name", name, _text(limits.MAX_NAME_LENGTH)))
    if not limits.is_routable(name):
        found.append(wrong("/name", "the name becomes a part of URLs: no / and no \\, and not . or .."))
    for member, given in value.items():
        if member in MEMBERS:
            found += _of(f"/{member}", given, MEMBERS[member])
        elif member == "password" and with_password:
            found += _of("/password", given, _password)
        elif member != "name":
            found.append(Violation(Fault.UNKNOWN_MEMBER.code, f"/{escaped(member)}", Fault.UNKNOWN_MEMBER.reason))
        elif given != name:
            found.append(wrong("/name", "not the name of the path"))
    if found:
        raise InvalidPayload(SUBJECT, tuple(found))
    settings = {member: value[member] for member in MEMBERS if member in value}
    text = msgspec.json.Encoder(decimal_format="number").encode(settings).decode()
    return ChargerBody(text, _key(value["password"]) if "password" in value else None)


@dataclass(frozen=True, slots=True)
class CredentialsBody:
    """A wish for another password; None: one that is made here. `send`: to the charger, by a call."""

    password: bytes | None
    send: bool


def read_credentials(value: Mapping[str, Any]) -> CredentialsBody:
    """The wish that a JSON object describes. Raises InvalidPayload with all that is wrong."""
    checks: dict[str, Check] = {"password": _password, "send": _flag}
    found: list[Violation] = []
    for member, given in value.items():
        if member in checks:
            found += _of(f"/{member}", given, checks[member])
        else:
            found.append(Violation(Fault.UNKNOWN_MEMBER.code, f"/{escaped(member)}", Fault.UNKNOWN_MEMBER.reason))
    if not found and value.get("send") and "password" in value:
        least, most = KEY_BYTES
        if not least <= len(_key(value["password"])) <= most:  # Z-5
            found.append(wrong("/password", f"what is sent to a charger has {least} to {most} bytes"))
    if found:
        raise InvalidPayload(CREDENTIALS, tuple(found))
    return CredentialsBody(_key(value["password"]) if "password" in value else None, value.get("send", False))


def _password(value: Any) -> Faults:
    """No fault shows any of it."""
    faults = list(_text(MAX_PASSWORD)(value))
    yield from faults
    if not faults and value.startswith("hex:") and not _HEX.fullmatch(value):
        yield "", "expected pairs of hexadecimal digits after hex:"


def _key(password: str) -> bytes:
    return bytes.fromhex(password.removeprefix("hex:")) if password.startswith("hex:") else key_of(password)


def _of(pointer: str, value: Any, check: Check) -> Iterator[Violation]:
    for where, fault in check(value):
        place = f"{pointer}{where}"
        yield wrong(place, fault) if isinstance(fault, str) else Violation(fault.code, place, fault.reason)
