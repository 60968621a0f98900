"""The seam to the removal of old records; a part of `ocppd.storage.api.Storage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.retention import Cut, Kind, Portion


class RetentionRecords(Protocol):
    """One node at a time does it, by a lease on the database's clock. All methods may fail with StorageUnavailable."""

    def take_turn(self, lease_s: float, *, at_once: bool = False) -> Deferred[bool]:
        """Whether it is this node's turn, from now on for so long. `at_once`: also where it is nobody's turn yet."""

    def cut(self, portion: Portion, lease_s: float) -> Deferred[Cut | None]:
        """Look at some old rows, remove those that may go, renew the turn; None where it is another node's.

        It ends before its rows do where it takes too long.
        """

    def rest(self, pause_s: float) -> Deferred[None]:
        """All has been looked at: it is nobody's turn for so long."""

    def removed(self) -> Deferred[Mapping[Kind, int]]:
        """How many rows were removed, ever."""
