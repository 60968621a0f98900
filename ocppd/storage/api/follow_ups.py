"""What follows calls of ours, as a part of the seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.follow_ups import FollowUp, Settled


class FollowUpRecords(Protocol):
    """What is expected to follow calls. What durable messages decide is decided in their commits."""

    def of_messages(self, message_ids: Sequence[str]) -> Deferred[dict[str, tuple[FollowUp, ...]]]:
        """What is to follow these calls, by connector; a call that nothing follows is left out."""

    def availability(self, chargers: Sequence[str]) -> Deferred[dict[str, Mapping[int, FollowUp]]]:
        """The newest wish for each connector of these chargers that is not void."""

    def seen(self, message_id: str, connector_id: int | None, at_ms: int) -> Deferred[bool]:
        """A message that no commit decides about has come; fires with whether it was expected."""

    def is_due(self, now_ms: int) -> Deferred[bool]:
        """Whether `settle` has something to do."""

    def settle(self, now_ms: int, node: str) -> Deferred[Settled]:
        """Decide what time has run out for, a portion of it, and make events of what was decided."""

    def accepted_implicitly(self, charger: str, now_ms: int) -> Deferred[None]:
        """A charger without a registration counts as accepted, though it has not booted (REQUIREMENTS B-5)."""

    def flag_transaction(self, transaction_id: int, flag: str) -> Deferred[bool]:
        """Put a flag on a transaction; fires with whether it is new there."""
