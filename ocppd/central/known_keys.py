"""What is known of a charger's configuration keys, for those who decide by them. Knows no way to ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from twisted.internet.defer import Deferred, succeed

#: Gives the last known value of a key of a charger, None where it is not known.
KnownKeys: TypeAlias = Callable[[str, str], Deferred[str | None]]

RESERVE_CONNECTOR_ZERO: Final = "ReserveConnectorZeroSupported"
SEND_LIST_MAX_LENGTH: Final = "SendLocalListMaxLength"
LIST_MAX_LENGTH: Final = "LocalAuthListMaxLength"


def nothing_known(charger: str, key: str) -> Deferred[str | None]:
    """Of no key of any charger."""
    return succeed(None)


def as_boolean(value: str | None) -> bool | None:
    """A boolean key, in any case of letters; None where it is not known, or no boolean."""
    return {"true": True, "false": False}.get((value or "").strip().lower())


def as_count(value: str | None) -> int | None:
    """A key that limits how many there may be; None where it is not known, or limits nothing."""
    digits = (value or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and 0 < int(digits) < 2**31 else None
