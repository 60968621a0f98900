"""The use cases that nearly all traffic is made of. See `ocppd.storage.api.ExpressRecords`."""

from __future__ import annotations

from typing import Protocol

from twisted.python.failure import Failure

from ocppd.errors import StorageUnavailable
from ocppd.storage import chargers, meter_values
from ocppd.storage.api.express import Waiter
from ocppd.storage.records import Inbound, MeterValueElement, Status
from ocppd.storage.writer import Writer


class Owner(Protocol):
    """The storage that they are a part of."""

    def writer(self) -> Writer | None:
        """The writer that takes one use case more; None where storage does not run."""


class SqlExpress:
    """Straight to the writer: nothing is cleaned, and nobody makes a Deferred."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def status_notified(self, message: Inbound, status: Status, waiter: Waiter) -> None:
        writer = self._owner.writer()
        if writer is None:
            waiter.errback(_stopped())
        else:
            writer.submit_for(waiter, chargers.status_notified, (message, status))

    def meter_values_received(
        self,
        message: Inbound,
        connector_id: int,
        transaction_id: int | None,
        elements: tuple[MeterValueElement, ...],
        waiter: Waiter,
    ) -> None:
        writer = self._owner.writer()
        if writer is None:
            waiter.errback(_stopped())
        else:
            writer.submit_for(waiter, meter_values.received, (message, connector_id, transaction_id, elements))


def _stopped() -> Failure:
    return Failure(StorageUnavailable("storage is not running"))
