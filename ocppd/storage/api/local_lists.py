"""The seam to the records of local authorization lists."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records import Configured
from ocppd.storage.records.local_lists import ListChanged, ListState, LocalList, Wanted, Work


class LocalListRecords(Protocol):
    """Local lists. What a SendLocalList or a GetLocalListVersion has told is in them from the commit of its end on.

    `configured` and `digest` are the id tags of the configuration, and something that changes with them.
    """

    def put(self, charger: str, wanted: Wanted, expected: int | None, now_ms: int) -> Deferred[ListChanged]:
        """Have the list hold this, where `wanted_version` is the one `expected` (0: nothing is wanted; None: whatever)."""

    def delete(self, charger: str, expected: int | None) -> Deferred[ListChanged]:
        """Want nothing of it any more. The charger keeps what it has."""

    def ask_again(self, charger: str, now_ms: int, *, whole: bool) -> Deferred[LocalList | None]:
        """See to it now, by a full list if `whole`, also where it has failed. None where nobody wants anything of it."""

    def read(self, charger: str, digest: str) -> Deferred[LocalList | None]:
        """As it is now; `behind` also where it follows tags that have changed since."""

    def compare(self, charger: str, configured: Configured) -> Deferred[Work | None]:
        """It, and what it is to hold."""

    def follow(self, digest: str, now_ms: int) -> Deferred[int]:
        """Those that follow id tags which have changed are behind from now on; fires with how many there were."""

    def due(self, now_ms: int, limit: int) -> Deferred[list[str]]:
        """Chargers that this node holds, and whose lists are to be seen to."""

    def work(self, charger: str, configured: Configured, digest: str, now_ms: int) -> Deferred[Work | None]:
        """Take it on, or go on with it; None where there is nothing to do, or another living node is at it."""

    def sending(self, charger: str, version: int) -> Deferred[None]:
        """A SendLocalList with this version is about to go out."""

    def settled(self, work: Work, state: ListState, detail: str | None, now_ms: int) -> Deferred[bool]:
        """The work is over, with this result; False where something else has come up meanwhile."""

    def postponed(self, charger: str, detail: str, due_ms: int, *, attempt: bool) -> Deferred[None]:
        """It could not be gone on with; it is to be looked at again then. `attempt`: the charger was asked."""
