"""How long to wait before the next attempt to reach a server. Pure."""

from __future__ import annotations

from typing import Final

SHORTEST_S: Final = 0.1
#: Short enough that a server that is back is in use within a few seconds.
LONGEST_S: Final = 2.0
#: Beyond this many doublings nothing changes any more.
_MOST_DOUBLINGS: Final = 10


def delay_s(attempt: int, random: float) -> float:
    """Seconds before this attempt: the first, 0, is made at once. `random`, from 0 to 1, keeps nodes out of step."""
    if attempt == 0:
        return 0.0
    return min(LONGEST_S, SHORTEST_S * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)) * (0.5 + random / 2)
