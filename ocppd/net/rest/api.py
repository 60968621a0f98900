"""What the HTTP API is given to work with. Knows no Klein."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from ocppd.central.authorization import Rules
from ocppd.central.certificate_desk import CertificateDesk
from ocppd.central.chargers import Chargers
from ocppd.central.charging.sending import Sending
from ocppd.central.cluster import Cluster
from ocppd.central.commands import Commands
from ocppd.central.configuration import Mirror
from ocppd.central.conformance import Conformance
from ocppd.central.feed import Feed
from ocppd.central.fleet_jobs import FleetJobs
from ocppd.central.local_lists import LocalLists
from ocppd.central.queries import Queries
from ocppd.central.registry import Registry
from ocppd.central.reservations import Reservations
from ocppd.clock import Clock
from ocppd.net.files.room import FileRoom
from ocppd.net.rest.access import AccessRules
from ocppd.storage.api.certificates import CertificateRecords, SecurityEventRecords
from ocppd.storage.api.charger_jobs import JobRecords
from ocppd.storage.api.charging import ChargingRecords
from ocppd.storage.api.fleet_jobs import FleetJobRecords
from ocppd.storage.api.follow_ups import FollowUpRecords
from ocppd.storage.api.idempotency import IdempotencyRecords
from ocppd.storage.api.local_lists import LocalListRecords
from ocppd.storage.api.quarantine import QuarantineRecords
from ocppd.storage.api.reservations import ReservationRecords
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
    def follow_ups(self) -> FollowUpRecords:
        """What follows calls of ours."""

    @property
    def charging(self) -> ChargingRecords:
        """Charging profiles."""

    @property
    def certificates(self) -> CertificateRecords:
        """Requests for certificates, certificates of chargers, and the roots in them."""

    @property
    def security_events(self) -> SecurityEventRecords:
        """What chargers tell of their security."""

    @property
    def reservations(self) -> ReservationRecords:
        """Reservations."""

    @property
    def local_lists(self) -> LocalListRecords:
        """Local authorization lists."""

    @property
    def charger_jobs(self) -> JobRecords:
        """Firmware, diagnostics and logs."""

    @property
    def fleet_jobs(self) -> FleetJobRecords:
        """Jobs over many chargers."""

    @property
    def quarantine(self) -> QuarantineRecords:
        """Frames that broke the specification."""

    @property
    def idempotency(self) -> IdempotencyRecords:
        """Requests of operators that are carried out once."""

    def check(self) -> Deferred[None]:
        """Fires when a write could be committed now."""

    def list_statuses(self, charger: str, connector_id: int, after: int | None, limit: int) -> Deferred[list[StatusRecord]]:
        """The history of a connector, newest first, below the sequence `after`."""

    def list_transactions(self, which: TransactionFilter, after: int | None, limit: int) -> Deferred[list[TransactionRecord]]:
        """Newest first, below the transaction id `after`."""

    def list_meter_values(self, which: MeterValueFilter, after: int | None, limit: int) -> Deferred[list[MeterValueRecord]]:
        """In order of arrival, from the sequence `after` on (that one included).

        The list ends with the one whose samples make up `PAGE_CHARACTERS`; `ends` says whether there may be more.
        """

    def list_messages(self, which: MessageFilter, after: int | None, limit: int) -> Deferred[list[MessageRecord]]:
        """Newest first, below the sequence `after`; the list ends with the one whose frames make up `PAGE_CHARACTERS`."""

    def list_events(self, which: EventFilter, after: int | None, limit: int) -> Deferred[list[Event]]:
        """Newest first, below the number `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The central system as the HTTP API sees it.

    `ready` says whether the daemon has started and is not stopping, `takes_commands` whether what it accepts is carried out.
    `keep` is given a write that the records have refused, by a name: it is done as soon as they take it.
    """

    chargers: Chargers
    cluster: Cluster
    commands: Commands
    mirror: Mirror
    queries: Queries
    feed: Feed
    rules: Rules
    charging: Sending
    certificates: CertificateDesk
    reservations: Reservations
    local_lists: LocalLists
    conformance: Conformance
    registry: Registry
    fleet_jobs: FleetJobs
    storage: Lists
    clock: Clock
    access: AccessRules
    #: Where chargers knock with WebSockets; each starts with a slash and ends without one.
    charger_paths: tuple[str, ...]
    version: str
    ready: Callable[[], bool]
    takes_commands: Callable[[], bool]
    keep: Callable[[str, Callable[[], Deferred[Any]]], None]
    #: None: this daemon has none.
    files: FileRoom | None = None
