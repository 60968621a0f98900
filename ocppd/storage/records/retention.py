"""The removal of old records: a portion that is asked for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is removed, or thinned out, by its age."""

    #: The journal of messages.
    MESSAGES = "messages"
    #: What is in no message.
    EVENTS = "events"
    #: The history of connectors.
    STATUSES = "statuses"
    QUARANTINE = "quarantine"
    METER_VALUES = "meterValues"


@dataclass(frozen=True, slots=True)
class Portion:
    """Some work, small enough for one use case among others.

    What came before `before_ms` is old; where there is a `kept_ms`, only if that was longer ago by the database's clock, too.
    `postponed_after`: look again at rows that could not go, above that number; None: go on where the last portion of this kind
    ended, on whatever node. `interval_ms` is that of meter values alone.
    """

    kind: Kind
    before_ms: int
    rows: int
    postponed_after: int | None = None
    interval_ms: int = 0
    kept_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """What became of a portion. `last` is the highest number that was looked at; `done`: there is no more of its kind.

    It began at `begun_s` of the writer's clock. Its own work took `work_s`, and until it was on disk, with what else was in
    that commit, it took `held_s`.
    """

    looked_at: int
    removed: int
    last: int
    done: bool
    begun_s: float
    work_s: float
    held_s: float = 0.0
