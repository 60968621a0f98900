"""Requests of operators that are carried out once, however often they are sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

#: How long a key is remembered.
KEY_LIFE_MS: Final = 24 * 3600 * 1000
#: Keys that are remembered at the same time, of all callers.
KEYS_LIMIT: Final = 100_000
#: Characters of an answer that are kept; of a longer one only that there was one.
ANSWER_LIMIT: Final = 1024 * 1024


class Claim(StrEnum):
    """What is to be done with a request that has a key."""

    #: Nobody has sent it yet.
    NEW = "new"
    #: It was begun, and nobody works at it any more: it may have had its effect.
    ABANDONED = "abandoned"
    #: A living node works at it.
    BUSY = "busy"
    #: The key was used for another request.
    OTHER = "other"
    #: It was answered.
    DONE = "done"
    #: There are too many keys.
    FULL = "full"


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request was answered. `body` is None where it was too long to be kept, or cannot be decrypted any more."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What became of a claim; `reference` is the id of what the request makes."""

    claim: Claim
    reference: str
    answer: KeptAnswer | None = None
