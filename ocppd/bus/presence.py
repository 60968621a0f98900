"""What a node holds, and what of it the others have yet to be told. Knows no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Change(NamedTuple):
    """The node holds a charger by the connection of this generation, or no more."""

    charger: str
    generation: int
    holds: bool


class Presence:
    """Changes in their order. They gather only after `restart`: before that, what is held says it all."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        #: What was given up, and the others may not know. One entry a charger, so that an outage costs no more than that.
        self._released: dict[str, int] = {}
        self._changes: deque[Change] = deque()
        self._telling = False

    def __bool__(self) -> bool:
        """Whether changes wait."""
        return bool(self._changes)

    def hold(self, charger: str, generation: int) -> None:
        """Hold it, unless a newer connection does already."""
        if self._held.get(charger, generation) <= generation:
            self._held[charger] = generation
            self._released.pop(charger, None)
            self._change(Change(charger, generation, True))

    def release(self, charger: str, generation: int) -> None:
        """Hold it no more, unless by another generation."""
        if self._held.get(charger) == generation:
            del self._held[charger]
            self._released[charger] = generation
            self._change(Change(charger, generation, False))

    def restart(self) -> None:
        """Everything is to be told, once more."""
        self._telling = True
        self._changes = deque(Change(charger, generation, False) for charger, generation in self._released.items())
        self._changes.extend(Change(charger, generation, True) for charger, generation in self._held.items())

    def interrupt(self) -> None:
        """Nobody can be told until the next `restart`."""
        self._telling = False
        self._changes.clear()

    def take(self, most: int) -> list[Change]:
        """Take the first changes out."""
        return [self._changes.popleft() for _ in range(min(most, len(self._changes)))]

    def told(self, changes: Sequence[Change]) -> None:
        """The others know these changes."""
        for change in changes:
            if not change.holds and self._released.get(change.charger) == change.generation:
                del self._released[change.charger]

    def superseded(self, newer: Mapping[str, int]) -> dict[str, int]:
        """Those of `newer`, other nodes' generations, that are newer than what is held here."""
        return {charger: newest for charger, newest in newer.items() if self._held.get(charger, newest) < newest}

    def everything(self) -> list[Change]:
        """What takes all of it back."""
        return [Change(charger, generation, False) for charger, generation in (self._released | self._held).items()]

    def _change(self, change: Change) -> None:
        if self._telling:
            self._changes.append(change)
