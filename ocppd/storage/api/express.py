"""Records of the messages that nearly all traffic is made of."""

from __future__ import annotations

from typing import Protocol

from twisted.python.failure import Failure

from ocppd.storage.records import Inbound, MeterValueElement, Status


class Waiter(Protocol):
    """Who waits for a commit: what of a Deferred the writer needs."""

    def callback(self, result: int) -> None:
        """It is on disk. May not raise."""

    def errback(self, failure: Failure) -> None:
        """It is not, because of this StorageUnavailable. May not raise."""


class ExpressRecords(Protocol):
    """As `StatusRecords` and `TransactionRecords` have them, for messages of which nothing is to be cleaned.

    All texts are ASCII without NUL, all integers have 64 bits. `waiter` is told what the Deferred would be fired with, on the
    reactor's thread, perhaps at once.
    """

    def status_notified(self, message: Inbound, status: Status, waiter: Waiter) -> None:
        """See `ChargerRecords.status_notified`."""

    def meter_values_received(
        self,
        message: Inbound,
        connector_id: int,
        transaction_id: int | None,
        elements: tuple[MeterValueElement, ...],
        waiter: Waiter,
    ) -> None:
        """See `TransactionRecords.meter_values_received`."""
