"""Jobs over many chargers: one command for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class FleetJobState(StrEnum):
    """The life of a job (docs/http-api.md). While it is `stopping`, what its chargers have is still on its way."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DONE = "done"


#: In these there is something to do for it.
ACTIVE_STATES: Final = frozenset({FleetJobState.RUNNING, FleetJobState.STOPPING})


class FleetRowState(StrEnum):
    """What has become of a job at one charger. `claimed`: a node is about to have its call accepted."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    ASKED = "asked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


#: Why a job pauses or stops by itself.
CANARY_FAILED: Final = "canaryFailed"
SECRET_LOST: Final = "secretLost"
UNREADABLE: Final = "unreadable"
#: Statuses by which a charger says that it does what it was asked.
GOOD_OUTCOMES: Final = frozenset({"Accepted", "AcceptedCanceled", "RebootRequired", "Scheduled", "Unlocked"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFleetJob:
    """A job as an operator asks for it, with the message ids that the calls to its chargers will have."""

    action: str
    #: JSON texts: the payload, the same without its secrets, and how the chargers were chosen, names aside.
    payload: str
    redacted: str
    selected: str
    #: Calls in ten seconds.
    rate_tenths: int
    #: So many chargers have to succeed before the others are asked.
    canary: int
    #: Whether calls wait for chargers that are away; None: as the action says.
    offline: bool | None
    ttl_s: int | None
    created_ms: int
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetJob:
    """A job. `payload` is without its secrets."""

    job_id: int
    action: str
    payload: str
    selected: str
    rate_tenths: int
    canary: int
    offline: bool | None
    ttl_s: int | None
    state: FleetJobState
    created_ms: int
    #: Why it is paused or was stopped, where no operator did that.
    reason: str | None = None
    canary_passed: bool = False
    ended_ms: int | None = None
    counts: Mapping[FleetRowState, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A job at one charger. `message_state` is that of its call, where that was accepted."""

    place: int
    charger: str
    state: FleetRowState
    message_id: str
    message_state: str | None
    #: The charger's status or error code, or what its call was not accepted for.
    outcome: str | None
    detail: str | None
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A charger that whoever has claimed it is to ask now."""

    charger: str
    message_id: str


@dataclass(frozen=True, slots=True)
class FleetStep:
    """What is to be done for a job now; `payload` has its secrets. `again_ms`: when it is to be looked at next."""

    job: FleetJob
    payload: str
    claims: tuple[Claim, ...] = ()
    again_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that was not accepted, and why."""

    message_id: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of claims: ids of calls that were accepted, those that were not, and those to be asked again by new ids."""

    accepted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    back: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FleetJobFilter:
    """Which jobs; None is any."""

    state: FleetJobState | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class ProductFilter:
    """Which chargers, by what their last boot told, ignoring case; None is any."""

    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
