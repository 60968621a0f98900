"""When so many use cases wait for the writer that nobody should ask for more. Knows no use case and no charger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: A second of work or two. Each holds a message of a charger: some KiB, but 4 MiB are allowed.
CROWDED: Final = 5_000
#: From here on there is room again: a batch, so that the writer does not wait for those who were held back.
ROOM: Final = 1_000


class Crowding:
    """Tells those who listen when it begins and when it is over, on the reactor's thread."""

    def __init__(self) -> None:
        self.crowded = False
        self._listeners: list[Callable[[bool], None]] = []

    def listen(self, tell: Callable[[bool], None]) -> None:
        """Have `tell` called with whether it is crowded, when that changes."""
        self._listeners.append(tell)

    def waiting(self, count: int) -> None:
        """So many use cases wait now."""
        if count <= ROOM if self.crowded else count >= CROWDED:
            self.crowded = not self.crowded
            for tell in self._listeners:
                tell(self.crowded)
