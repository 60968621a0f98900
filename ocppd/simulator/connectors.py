"""The connectors of a charger and the reports of their status. OCPP 1.6 sections 4.9 and 5.2. Knows no transactions' messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec import UNSET
from twisted.internet.defer import Deferred

from ocppd.simulator.samples import Meter
from ocppd.simulator.transactions import Transaction
from ocppd.simulator.waiting import Background
from ocppd.simulator.wallclock import WallClock
from ocppd.v16.core import StatusNotificationRequest
from ocppd.v16.types import AvailabilityType, ChargePointErrorCode, ChargePointStatus, Message


@dataclass(slots=True, eq=False)
class Connector:
    """One connector; 0 stands for the charger as a whole (REQUIREMENTS G-8).

    `wanted` is an availability that waits for a transaction to end; `reported` what the central system last confirmed.
    """

    connector_id: int
    meter: Meter
    status: ChargePointStatus = ChargePointStatus.AVAILABLE
    error_code: ChargePointErrorCode = ChargePointErrorCode.NO_ERROR
    info: str | None = None
    availability: AvailabilityType = AvailabilityType.OPERATIVE
    wanted: AvailabilityType | None = None
    transaction: Transaction | None = None
    reported: tuple[ChargePointStatus, ChargePointErrorCode] | None = None

    @property
    def free(self) -> bool:
        """Whether a transaction may begin here."""
        usable = (ChargePointStatus.AVAILABLE, ChargePointStatus.PREPARING, ChargePointStatus.RESERVED)
        return self.transaction is None and self.connector_id > 0 and self.status in usable


class Statuses:
    """Says what a connector's status is now, at once where `may_report()`, else when it may again (section 4.9)."""

    def __init__(
        self,
        connectors: Iterable[Connector],
        *,
        call: Callable[[Message], Deferred[Message]],
        may_report: Callable[[], bool],
        changed: Callable[[Connector], None],
        wall: WallClock,
        background: Background,
    ) -> None:
        self._connectors = list(connectors)
        self._call = call
        self._may_report = may_report
        self._changed = changed
        self._wall = wall
        self._background = background

    def set(
        self,
        connector: Connector,
        status: ChargePointStatus,
        error_code: ChargePointErrorCode = ChargePointErrorCode.NO_ERROR,
        info: str | None = None,
    ) -> None:
        """The status is this from now on; the same again is not reported."""
        if (connector.status, connector.error_code, connector.info) != (status, error_code, info):
            connector.status, connector.error_code, connector.info = status, error_code, info
            if self._may_report():
                self._background.run(self.report(connector))
            self._changed(connector)

    async def report(self, connector: Connector) -> None:
        """Send the status as it is now. Fails as calls fail."""
        reporting = (connector.status, connector.error_code)
        await self._call(
            StatusNotificationRequest(
                connector_id=connector.connector_id,
                error_code=connector.error_code,
                status=connector.status,
                info=UNSET if connector.info is None else connector.info,
                timestamp=self._wall.timestamp(),
            )
        )
        connector.reported = reporting

    def report_all(self) -> None:
        """Report every connector, 0 first, as after an accepted boot (errata 3.22)."""
        for connector in self._connectors:
            self._background.run(self.report(connector))

    def report_changes(self) -> None:
        """Report what changed while nobody could be told (REQUIREMENTS R-1, N-9)."""
        for connector in self._connectors:
            if connector.reported != (connector.status, connector.error_code):
                self._background.run(self.report(connector))
