"""Who a charger says it is: the last segment of the raw request path. REQUIREMENTS 1.1, OCPP-J 1.6 section 3.1.1. Pure."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

#: U-3: 1.6 sets no limit; this is what a path segment can carry everywhere.
MAX_NAME_LENGTH: Final = 255

_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: A Host that may become part of a URL.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


class NoEndpoint(Exception):
    """The path is below no charger path, or names what no route can carry: 404."""


class BadIdentity(Exception):
    """The identity is empty, too long, or cannot be decoded: 400."""


def path_of(target: str) -> str:
    """The raw path of a request target (origin or absolute form), without query and fragment."""
    return re.split(r"[?#]", _ORIGIN.sub("", target, count=1), maxsplit=1)[0]


def is_charger_path(target: str, charger_paths: Sequence[str]) -> bool:
    """Whether the target is a charger path or below one."""
    path = path_of(target)
    return any(path == base or path.startswith(f"{base}/") for base in charger_paths)


def identity_of(target: str, charger_paths: Sequence[str]) -> str:
    """The identity in a request target, decoded once. Raises NoEndpoint or BadIdentity.

    `target` is the request line's, its bytes read as Latin-1. Split first, decode then (U-2); empty segments after
    the charger path are dropped (U-5).
    """
    path = path_of(target)
    for base in charger_paths:
        if path == base or path.startswith(f"{base}/"):
            segments = [segment for segment in path[len(base) :].split("/") if segment]
            if len(segments) > 1:
                raise NoEndpoint("more than one segment after the charger path")
            return _decode(segments[0] if segments else "")
    raise NoEndpoint("not below a charger path")


def _decode(segment: str) -> str:
    if _BROKEN_ESCAPE.search(segment):
        raise BadIdentity("a percent sign without two hexadecimal digits")
    try:
        name = unquote_to_bytes(segment.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise BadIdentity("not UTF-8") from None
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise BadIdentity(f"must have 1 to {MAX_NAME_LENGTH} characters")
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise BadIdentity("control characters")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise NoEndpoint("a name that no route can carry")
    return name


def base_url_of(host: str, *, secure: bool) -> str | None:
    """The URL without path of where somebody has found us, by the Host that it names; None where that is none."""
    return f"{'https' if secure else 'http'}://{host}" if _HOST.fullmatch(host) else None


#: An IPv4-mapped address, as the network writes it.
_MAPPED: Final = re.compile(r"::ffff:([0-9]{1,3}(?:\.[0-9]{1,3}){3})", re.ASCII)


def plain_address(host: str) -> str:
    """An address without an IPv6 scope; IPv4-mapped ones as IPv4."""
    if ":" not in host:  # an IPv4 address, as the network writes it
        return host
    mapped = _MAPPED.fullmatch(host)
    if mapped is not None:
        return mapped[1]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    within = getattr(address, "ipv4_mapped", None)
    return str(within or address)
