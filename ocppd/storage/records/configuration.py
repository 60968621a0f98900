"""What is known of the configuration keys of chargers, and what they are to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DesiredState(StrEnum):
    """What has become of a desired value."""

    #: It is to be sent, or was sent and is not answered yet.
    PENDING = "pending"
    ACCEPTED = "accepted"
    #: Taken, and in force from the next boot on.
    REBOOT_REQUIRED = "rebootRequired"
    #: The charger refuses the value, or the key.
    REJECTED = "rejected"
    #: The charger does not know the key.
    NOT_SUPPORTED = "notSupported"
    #: It was accepted, and the charger tells another value.
    DRIFT = "drift"
    #: Sent, and nobody knows what the charger made of it (REQUIREMENTS R-5): it is read back.
    UNKNOWN = "unknown"
    #: It did not get there, or was answered CALLERROR; `reason` says which.
    FAILED = "failed"


class Source(StrEnum):
    """What a value was learnt from."""

    GET = "GetConfiguration"
    CHANGE = "ChangeConfiguration"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key of a charger. `key` is its name for comparison (G-3), `name` as it is spelt.

    `value` is None where the charger has none, told none, or it is a secret; `readonly` is None where that was never told.
    """

    charger: str
    key: str
    name: str
    value: str | None = None
    #: `value`, where it is the integer of a key that the specification knows.
    number: int | None = None
    readonly: bool | None = None
    #: The charger says that it has no such key.
    unknown: bool = False
    #: When and how this was learnt; None where it never was.
    told_ms: int | None = None
    source: Source | None = None
    #: Since when `value` waits for a boot to be in force.
    reboot_ms: int | None = None
    #: None for a secret, too.
    desired: str | None = None
    desired_state: DesiredState | None = None
    #: When it was last desired.
    desired_ms: int | None = None
    #: The message that carries it.
    desired_message: str | None = None
    reason: str | None = None
    #: Grows with each change of anything but the time.
    version: int = 0

    @property
    def is_desired(self) -> bool:
        """Whether somebody wants a value here."""
        return self.desired_state is not None

    @property
    def is_told(self) -> bool:
        """Whether the charger has told anything of it."""
        return self.told_ms is not None


@dataclass(frozen=True, slots=True)
class RefusedAction:
    """An action that a charger answered NotImplemented or NotSupported to (REQUIREMENTS E-3)."""

    action: str
    code: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Mirrored:
    """All that is known of a charger's configuration. `read_ms`: when it last told all of it, None: never."""

    keys: tuple[KeyRecord, ...]
    read_ms: int | None
    refused: tuple[RefusedAction, ...] = ()


class Wished(StrEnum):
    """What became of a wish about a key."""

    DONE = "done"
    #: The same value is on its way already.
    PENDING = "pending"
    #: It is not as whoever wished it thought.
    CONFLICT = "conflict"
    #: The charger has as many keys on record as are kept.
    FULL = "full"
    #: Nothing is desired there.
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Wish:
    """What became of a wish; the key as it was, and as it is now."""

    wished: Wished
    before: KeyRecord | None = None
    now: KeyRecord | None = None
