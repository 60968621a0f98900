"""What the HTTP API is given to work with. Knows no Klein."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.central.authorization import Rules
from ocppd.central.chargers import Chargers
from ocppd.central.cluster import Cluster
from ocppd.central.commands import Commands
from ocppd.central.conformance import Conformance
from ocppd.central.feed import Feed
from ocppd.central.queries import Queries
from ocppd.clock import Clock
from ocppd.net.rest.access import AccessRules
from ocppd.storage.api.quarantine import QuarantineRecords
from ocppd.storage.records import (
    Changed,
    Configured,
    Event,
    EventFilter,
    IdTag,
    IdTagFilter,
    MessageFilter,
    MessageRecord,
    MeterValueFilter,
    MeterValueRecord,
    Standing,
    StatusRecord,
    TransactionFilter,
    TransactionRecord,
    UnknownIdTag,
)


class IdTags(Protocol):
    """The part of the records' seam that is about id tags; see `ocppd.storage.api.IdTagRecords` for each."""

    def id_tag_standing(self, key: str, configured: Configured, charger: str, now_ms: int) -> Deferred[Standing]:
        """What a verdict in Authorize at this charger depends on."""

    def put_id_tag(self, tag: IdTag, expected: int | None, now_ms: int) -> Deferred[Changed]:
        """Make it or change it, where its version is the one `expected` (0: there is none; None: whatever it is)."""

    def put_id_tags(self, tags: Sequence[IdTag], now_ms: int) -> Deferred[list[Changed]]:
        """Make or change all of these, or none."""

    def delete_id_tag(self, key: str, expected: int | None) -> Deferred[Changed]:
        """Delete it, where its version is the one `expected`."""

    def read_id_tag(self, key: str) -> Deferred[IdTag | None]:
        """The tag of that key."""

    def list_id_tags(self, which: IdTagFilter, after: str, limit: int) -> Deferred[list[IdTag]]:
        """In order of their keys, behind the key `after`."""

    def list_unknown_id_tags(self, after: str, limit: int) -> Deferred[list[UnknownIdTag]]:
        """In order of their keys, behind the key `after`."""

    def forget_unknown_id_tag(self, key: str) -> Deferred[bool]:
        """Fires with whether it was remembered."""


class Lists(IdTags, Protocol):
    """The part of the records' seam that the HTTP API needs; see `ocppd.storage.api.Storage` for each."""

    @property
    def quarantine(self) -> QuarantineRecords:
        """Frames that broke the specification."""

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
    rules: Rules
    conformance: Conformance
    storage: Lists
    clock: Clock
    access: AccessRules
    #: Where chargers knock with WebSockets; each starts with a slash and ends without one.
    charger_paths: tuple[str, ...]
    version: str
    ready: Callable[[], bool]
    takes_commands: Callable[[], bool]
