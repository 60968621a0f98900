"""What operators ask of firmware and logs, in bodies. docs/http-api.md. Pure, but for what files there are."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ocppd.errors import ErrorCode, InvalidPayload, Violation
from ocppd.v16.timestamps import LAST_SENDABLE_MS, parse_timestamp
from ocppd.v16.types import INT32_MAX, Integer, OptionalDateTime, String800, String5500
from ocppd.v16.validation import Fault, check

T = TypeVar("T", bound=msgspec.Struct)

#: 2.4 GetDiagnostics; chargers tell theirs in SupportedFileTransferProtocols.
SCHEMES: Final = ("ftp", "ftps", "http", "https", "sftp")
#: What GetLog and SignedUpdateFirmware carry.
MAX_LOCATION_LENGTH: Final = 512
MAX_RETRIES: Final = 100
MAX_RETRY_INTERVAL_S: Final = 24 * 3600

Location = Annotated[str, Meta(min_length=1, max_length=MAX_LOCATION_LENGTH)]


class LogKind(StrEnum):
    """What is to be sent: GetDiagnostics, or GetLog of either log."""

    DIAGNOSTICS = "diagnostics"
    DIAGNOSTICS_LOG = "diagnosticsLog"
    SECURITY_LOG = "securityLog"


class SignedBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What proves a firmware (V-1)."""

    signing_certificate: String5500
    signature: String800


class FirmwareBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`location` is somebody else's URL, `file` the id of a firmware here: one of both."""

    location: Location | UnsetType = UNSET
    file: Integer | UnsetType = UNSET
    retrieve_date: OptionalDateTime | UnsetType = UNSET
    install_date: OptionalDateTime | UnsetType = UNSET
    retries: Integer | UnsetType = UNSET
    retry_interval: Integer | UnsetType = UNSET
    request_id: Integer | UnsetType = UNSET
    signed: SignedBody | UnsetType = UNSET


class LogBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Without `location` it is sent here."""

    kind: LogKind
    location: Location | UnsetType = UNSET
    oldest_timestamp: OptionalDateTime | UnsetType = UNSET
    latest_timestamp: OptionalDateTime | UnsetType = UNSET
    retries: Integer | UnsetType = UNSET
    retry_interval: Integer | UnsetType = UNSET
    request_id: Integer | UnsetType = UNSET


def read_firmware(value: dict[str, Any]) -> FirmwareBody:
    """The body of a firmware job. Raises InvalidPayload with all that is wrong by itself."""
    return _read(FirmwareBody, "firmware", value, _beyond_firmware)


def read_log(value: dict[str, Any]) -> LogBody:
    """The body of a log job. Raises InvalidPayload."""
    return _read(LogBody, "log", value, _beyond_log)


def _read(kind: type[T], subject: str, value: dict[str, Any], beyond: Any) -> T:
    violations = list(check(kind, value))
    told = {violation.pointer for violation in violations}
    violations += [each for each in beyond(value) if each.pointer not in told]
    if violations:
        raise InvalidPayload(subject, tuple(violations))
    return msgspec.convert(value, kind)


def wrong(pointer: str, reason: str) -> Violation:
    """A value that cannot be."""
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)


def _beyond_firmware(value: dict[str, Any]) -> Iterator[Violation]:
    yield from _common(value)
    if "location" in value and "file" in value:
        yield wrong("/file", "there is a location, too")
    if "location" not in value and "file" not in value:
        yield Violation(Fault.MISSING.code, "/location", "expected the location of a firmware, or a file that is here")
    if "signed" not in value:
        for member in ("installDate", "requestId"):
            if member in value:
                yield wrong(f"/{member}", "unsigned firmware has none")
    retrieve, install = _instant(value.get("retrieveDate")), _instant(value.get("installDate"))
    if retrieve is not None and install is not None and install < retrieve:
        yield wrong("/installDate", "it is before retrieveDate")
    for member, at in (("retrieveDate", retrieve), ("installDate", install)):
        if at is not None and at > LAST_SENDABLE_MS:
            yield wrong(f"/{member}", "chargers are sent no year after 2037")


def _beyond_log(value: dict[str, Any]) -> Iterator[Violation]:
    yield from _common(value)
    if value.get("kind") == LogKind.DIAGNOSTICS and "requestId" in value:
        yield wrong("/requestId", "diagnostics have none")
    oldest, latest = _instant(value.get("oldestTimestamp")), _instant(value.get("latestTimestamp"))
    if oldest is not None and latest is not None and latest < oldest:
        yield wrong("/latestTimestamp", "it is before oldestTimestamp")


def _common(value: dict[str, Any]) -> Iterator[Violation]:
    location = value.get("location")
    if isinstance(location, str) and not is_location(location):
        yield wrong("/location", f"expected a URL of {', '.join(SCHEMES)}")
    for member, least, most in (
        ("retries", 0, MAX_RETRIES),
        ("retryInterval", 0, MAX_RETRY_INTERVAL_S),
        ("requestId", 0, INT32_MAX),
        ("file", 1, None),
    ):
        number = value.get(member)
        if isinstance(number, int) and not isinstance(number, bool) and (number < least or (most and number > most)):
            yield wrong(f"/{member}", f"expected at least {least}" + (f" and at most {most}" if most else ""))


def is_location(text: str) -> bool:
    """Whether it is a URL that chargers can be sent to."""
    try:
        parts = urlsplit(text)
        right = parts.scheme.lower() in SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return right and text.isascii() and text.isprintable() and " " not in text


def _instant(text: Any) -> int | None:
    try:
        return parse_timestamp(text) if isinstance(text, str) else None
    except ValueError:
        return None


def given(value: Any) -> Any:
    """A member, None where it is left out."""
    return None if value is UNSET else value
