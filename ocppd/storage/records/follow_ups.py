"""What follows calls of ours."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

#: How long a message that was triggered may take (REQUIREMENTS Appendix A).
TRIGGER_MS = 30 * 1000
#: How long a reset may take until the charger boots.
BOOT_MS = 5 * 60 * 1000
#: How long a stop may take that was asked for (REQUIREMENTS 2.4).
STOP_MS = 2 * 60 * 1000
#: How long a charger may take to tell of an availability that it has accepted.
AVAILABILITY_MS = 60 * 1000
#: The place of a message that is of no connector, or of any.
ANYWHERE = -1


class FollowUpKind(StrEnum):
    """Of what kind of call."""

    TRIGGER = "trigger"
    BOOT = "boot"
    START = "start"
    STOP = "stop"
    AVAILABILITY = "availability"


class FollowUpState(StrEnum):
    """The life of what is expected. `missing` becomes `seen` when it comes after all.

    A wish for an availability is `pending` until its charger has answered, and `void` where that was no, or where there is a
    newer one.
    """

    PENDING = "pending"
    EXPECTED = "expected"
    SEEN = "seen"
    MISSING = "missing"
    FAILED = "failed"
    VOID = "void"


class FollowUp(msgspec.Struct, frozen=True, gc=False):
    """One message that is to follow a call, or one connector that is to change."""

    message_id: str
    #: None: of any, or of none.
    connector_id: int | None
    charger: str
    kind: FollowUpKind
    #: The action of the charger's message.
    expected: str
    state: FollowUpState
    since_ms: int
    deadline_ms: int | None
    decided_ms: int | None
    reason: str | None
    transaction_id: int | None
    wish: str | None


class Settled(NamedTuple):
    """A portion of what time has run out for."""

    #: Events that were made of it.
    told: int
    #: Whether it was as much as is done at once.
    more: bool
