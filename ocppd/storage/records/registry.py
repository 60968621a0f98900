"""Chargers as operators enter them, their passwords, and identities that nobody has entered. REQUIREMENTS H-5, 3.2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ocppd.storage.records.id_tags import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the records have of a charger's configuration.

    `settings` is a JSON object, None where the charger was not entered by the HTTP API, or is not there any more.
    `protected`: it has a password in the records. `change` numbers all changes of an installation, in the order of commits.
    """

    name: str
    settings: str | None
    protected: bool
    version: int
    change: int


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a wish to change an entry, and the entry as it is now."""

    change: Change
    entry: Entry | None


class PasswordState(StrEnum):
    """How a password is with its charger (Z-6)."""

    #: The one that holds.
    CURRENT = "current"
    #: A call that is to set it has not ended.
    WAITING = "waiting"
    #: The call has ended, and nobody knows whether the charger has it: the first login decides.
    UNKNOWN = "unknown"
    #: Somebody is to set it at the charger, or the charger sets it when it boots: the first login with it decides.
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Password:
    """A password of a charger. `kept` is its hash; `until_ms`: what is not current then is forgotten."""

    number: int
    kept: str
    state: PasswordState
    message_id: str | None
    since_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Checked:
    """Who a charger is by the password that it presents.

    `held`: there is a current one in the records, which comes before that of the configuration. `matched` is the password
    that it presented, `by_digits` as the digits of its bytes. `undecided`: a login with the old one decides.
    """

    held: bool
    matched: Password | None
    by_digits: bool
    undecided: bool


@dataclass(frozen=True, slots=True)
class UnknownIdentity:
    """A name that tried to connect and is not configured (H-5)."""

    name: str
    remote_ip: str
    first_ms: int
    last_ms: int
    attempts: int = 1
