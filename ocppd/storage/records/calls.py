"""Calls of ours, from accepted to ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from ocppd.storage.records.follow_ups import FollowUp
from ocppd.storage.records.messages import MessageState, element_of
from ocppd.v16.types import RegistrationStatus


@dataclass(frozen=True, slots=True)
class QueuedCall:
    """A call of ours that waits in storage for its charger, in the order of `sequence`. `frame` has its secrets."""

    message_id: str
    charger: str
    action: str
    frame: str
    created_ms: int
    expires_ms: int
    sequence: int
    #: The node that accepted it.
    origin: str | None = None
    #: Whether it outlives the connection (REQUIREMENTS S-6).
    waits: bool = True


@dataclass(frozen=True, slots=True)
class DroppedCall:
    """A call of ours that storage has ended by itself; `origin` is the node that accepted it."""

    message_id: str
    origin: str | None


@dataclass(frozen=True, slots=True)
class Holding:
    """Where a charger is when a call is accepted: the living node that holds it, None while none does."""

    node: str | None
    registration: RegistrationStatus | None


class Verdict(StrEnum):
    """What became of a call that was to be queued: refused by who asked, or for want of room."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What became of a call that was to be queued, and where its charger was in that moment."""

    verdict: Verdict
    holding: Holding
    sequence: int = 0


class RemoteStart(msgspec.Struct, frozen=True, gc=False):
    """What a transaction must have to come of a RemoteStartTransaction (REQUIREMENTS T-9)."""

    #: None: any.
    connector_id: int | None
    id_tag_key: str


class NewCall(msgspec.Struct, frozen=True, gc=False):
    """A call of ours, valid and about to be journaled.

    `frame` is whole; `redacted` is what is kept readable. Where they differ storage keeps `frame` encrypted and
    only until the call has ended.
    """

    message_id: str
    charger: str
    action: str
    frame: str
    redacted: str
    created_ms: int
    expires_ms: int
    waits: bool = True
    remote_start: RemoteStart | None = None


class EndedCall(msgspec.Struct, frozen=True, gc=False):
    """A call of ours in a final state, as the journal has it: without its secrets."""

    sequence: int
    message_id: str
    charger: str
    action: str
    state: MessageState
    ended_ms: int
    frame: str
    answer: str | None
    outcome: str | None
    #: None where it never was.
    sent_ms: int | None = None
    #: A late answer, or an end of which it is not known whether it is the first one.
    late: bool = True
    #: What is to follow it, as its consequences have put it on record.
    follow_ups: list[FollowUp] = msgspec.field(default_factory=list)

    @property
    def request(self) -> bytes:
        """The JSON text of its payload."""
        return element_of(self.frame, 3)

    @property
    def response(self) -> bytes | None:
        """The JSON text of what the charger answered; None for a CALLERROR, or no answer at all."""
        if self.answer is None or self.state is not MessageState.COMPLETED:
            return None
        return element_of(self.answer, 2)


class CallEnd(msgspec.Struct, frozen=True, gc=False):
    """How a call of ours ended. `answer` is the frame of the charger, redacted, where one came."""

    message_id: str
    state: MessageState
    ended_ms: int
    outcome: str | None = None
    answer: str | None = None
    late: bool = False
    detail: str | None = None
