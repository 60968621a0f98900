"""What broke the specification: raw frames, and how often which deviation was seen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Treatment(StrEnum):
    """What became of a frame in quarantine."""

    #: It was read kindly and answered.
    MENDED = "mended"
    #: It was answered CALLERROR.
    REFUSED = "refused"
    #: It could not be answered.
    IGNORED = "ignored"
    #: It is as the schema wants it, and odd otherwise.
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A raw frame to be kept.

    `kinds` are the deviations it shows; `faults` is a JSON list of objects (code, pointer, reason, repair); `cut`: it was
    larger than what is kept of it.
    """

    charger: str
    kinds: tuple[str, ...]
    action: str
    treatment: Treatment
    received_ms: int
    frame: str
    faults: str
    firmware: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """A frame that is kept. `message` is the sequence of its journal entry, where it has one."""

    number: int
    message: int | None
    quarantined: Quarantined


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Which frames; None is any."""

    charger: str | None = None
    kind: str | None = None
    action: str | None = None
    treatment: Treatment | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a charger was seen to deviate in one way, with one firmware. `detail` is of the last time."""

    charger: str
    kind: str
    firmware: str
    count: int
    first_ms: int
    last_ms: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineState:
    """How much of a charger is in quarantine, and how much was there once and had to make room."""

    frames: int
    size: int
    forgotten: int
