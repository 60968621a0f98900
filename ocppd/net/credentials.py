"""HTTP Basic authentication of chargers: passwords are bytes. REQUIREMENTS 3.2, OCPP-J 1.6 section 6.2. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from ipaddress import IPv6Address
from typing import Final

#: Z-4: an AuthorizationKey as the text that ChangeConfiguration carries.
_HEX_KEY: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}){16,20}")

#: Of an IPv6 address, what a network is given as a whole (RFC 6177): its hosts take the rest as they like.
_NETWORK_BITS: Final = 64


def password_of(header: str | None, name: str) -> bytes | None:
    """The password bytes of an `Authorization` header for the identity `name`; None where there is none (Z-2).

    The identity is taken off as a prefix, because it may hold colons itself; it must be the one of the URL.
    """
    scheme, _, encoded = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip().encode("latin-1"), validate=True)
    except (ValueError, binascii.Error):
        return None
    prefix = f"{name}:".encode()
    return decoded[len(prefix) :] if hmac.compare_digest(decoded[: len(prefix)], prefix) else None


def origin_of(address: str) -> str:
    """What tries of passwords count together by: a plain address, or with IPv6 the network of 64 bits that it is in."""
    try:
        found = IPv6Address(address)
    except ValueError:
        return address
    return str(IPv6Address(int(found) >> _NETWORK_BITS << _NETWORK_BITS))


def matches(password: bytes | None, expected: bytes, *, tolerant: bool) -> bool:
    """Whether this is the password, compared in constant time.

    A tolerant comparison also takes the hexadecimal text of the bytes for the bytes, either way round (Z-4).
    """
    given = password or b""
    candidates = [given]
    wanted = [expected]
    if tolerant and _HEX_KEY.fullmatch(given):
        candidates.append(binascii.unhexlify(given))
    if tolerant and _HEX_KEY.fullmatch(expected):
        wanted.append(binascii.unhexlify(expected))
    same = [hmac.compare_digest(candidate, want) for candidate in candidates for want in wanted]
    return password is not None and any(same)
