"""What the HTTP API is given to work with. Knows no Klein."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.central.chargers import Chargers
from ocppd.central.cluster import Cluster
from ocppd.central.commands import Commands
from ocppd.central.feed import Feed
from ocppd.central.queries import Queries
from ocppd.clock import Clock
from ocppd.net.rest.access import AccessRules
from ocppd.storage.records import (
    Event,
    EventFilter,
    MessageFilter,
    MessageRecord,
    MeterValueFilter,
    MeterValueRecord,
    StatusRecord,
    TransactionFilter,
    TransactionRecord,
)


class Lists(Protocol):
    """The part of the records' seam that lists and health need; see `ocppd.storage.api.Storage` for each."""

    def check(self) -> Deferred[None]:
        """Fires when a write could be committed now."""

    def list_statuses(self, charger: str, connector_id: int, after: int | None, limit: int) -> Deferred[list[StatusRecord]]:
        """The history of a connector, newest first, below the sequence `after`."""

    def list_transactions(self, which: TransactionFilter, after: int | None, limit: int) -> Deferred[list[TransactionRecord]]:
        """Newest first, below the transaction id `after`."""

    def list_meter_values(self, which: MeterValueFilter, after: int | None, limit: int) -> Deferred[list[MeterValueRecord]]:
        """In order of arrival, from the sequence `after` on (that one included)."""

    def list_messages(self, which: MessageFilter, after: int | None, limit: int) -> Deferred[list[MessageRecord]]:
        """Newest first, below the sequence `after`."""

    def list_events(self, which: EventFilter, after: int | None, limit: int) -> Deferred[list[Event]]:
        """Newest first, below the number `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The central system as the HTTP API sees it.

    `ready` says whether the daemon has started and is not stopping, `takes_commands` whether what it accepts is carried out.
    """

    chargers: Chargers
    cluster: Cluster
    commands: Commands
    queries: Queries
    feed: Feed
    storage: Lists
    clock: Clock
    access: AccessRules
    #: Where chargers knock with WebSockets; each starts with a slash and ends without one.
    charger_paths: tuple[str, ...]
    version: str
    ready: Callable[[], bool]
    takes_commands: Callable[[], bool]
