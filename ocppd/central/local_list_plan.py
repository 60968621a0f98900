"""What is to be done next about a local list. REQUIREMENTS 2.5, L-1 to L-6. Pure.

A differential with just what has changed, by default; a full one where it is not certain what the charger holds, or where it
has refused a differential. What does not fit into one message follows in differentials.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeAlias

from msgspec import UNSET

from ocppd.storage.records.local_lists import WORKED_ON, Entries, ListState, LocalList
from ocppd.v16.local_auth_list import SendLocalListRequest
from ocppd.v16.types import INT32_MAX, AuthorizationData, UpdateType

#: Entries in one message where neither operator nor charger has said how many it takes.
DEFAULT_SEND_LIMIT: Final = 100
#: A charger that was asked so often without any progress is left alone until somebody looks.
MAX_ATTEMPTS: Final = 8
#: After an attempt that came to nothing, twice as long after each further one.
RETRY_MS: Final = 30_000
LONGEST_RETRY_MS: Final = 15 * 60_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How many entries go into a message, and into the list; None where that is not known."""

    send: int = DEFAULT_SEND_LIMIT
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the charger which version it holds (L-6)."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this."""

    request: SendLocalListRequest


@dataclass(frozen=True, slots=True)
class Settle:
    """There is nothing more to send."""

    state: ListState
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody else has settled it."""


Step: TypeAlias = Ask | Send | Settle | Stop


def next_step(found: LocalList, wanted: Entries, limits: Limits, *, asked: bool) -> Step:
    """What to do. `asked`: the charger has told its version in the course of this work."""
    if found.state not in WORKED_ON:
        return Stop()
    if limits.total is not None and len(wanted) > limits.total:
        return Settle(ListState.FAILED, f"the list has {len(wanted)} entries, and the charger takes {limits.total}")
    if found.attempts >= MAX_ATTEMPTS:
        return Settle(ListState.FAILED, f"{found.attempts} attempts came to nothing; the last one: {found.detail}")
    if not asked:
        return Ask()
    held = found.confirmed
    if found.whole or held is None or not found.is_as_told:
        return _full(found, wanted, limits)
    differences = changes(held, wanted)
    if not differences:
        return Settle(ListState.IN_SYNC)
    version = next_version(found)
    if not wanted or version is None:
        return _full(found, wanted, limits)
    return _send(version, UpdateType.DIFFERENTIAL, differences[: limits.send])


def _full(found: LocalList, wanted: Entries, limits: Limits) -> Send:
    """The first portion; an empty list is none at all (L-2)."""
    return _send(next_version(found) or 1, UpdateType.FULL, tuple(islice(wanted.values(), limits.send)))


def _send(version: int, kind: UpdateType, entries: tuple[AuthorizationData, ...]) -> Send:
    return Send(SendLocalListRequest(list_version=version, update_type=kind, local_authorization_list=entries or UNSET))


def changes(held: Entries, wanted: Entries) -> tuple[AuthorizationData, ...]:
    """What makes one list of the other: what is gone without its info, then what is new or another."""
    gone = tuple(AuthorizationData(id_tag=entry.id_tag) for key, entry in held.items() if key not in wanted)
    return gone + tuple(entry for key, entry in wanted.items() if not _is_same(held.get(key), entry))


def _is_same(held: AuthorizationData | None, wanted: AuthorizationData) -> bool:
    """Whether a charger that compares tags without case would notice nothing."""
    return held is not None and held.id_tag_info == wanted.id_tag_info


def next_version(found: LocalList) -> int | None:
    """Above all that was sent, confirmed or told (L-1); None where numbers have run out, and only a full list can begin anew."""
    highest = max(found.sent_version, found.confirmed_version or 0, found.told_version or 0, found.pending_version or 0, 0)
    return highest + 1 if highest < INT32_MAX else None


def retry_ms(attempts: int) -> int:
    """How long to leave a charger alone after so many attempts that came to nothing."""
    return min(RETRY_MS << min(attempts, 20), LONGEST_RETRY_MS)
