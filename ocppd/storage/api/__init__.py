"""The seam to the records: use cases, each atomic as a whole.

Every method returns a Deferred that fires on the reactor's thread: for a write, after its commit is on disk
(decision 5 of docs/architecture.md). All fail with `StorageUnavailable` where the records cannot be reached, and
with nothing else that a caller has to expect. Writes take effect in the order of the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.api.certificates import CertificateRecords, SecurityEventRecords
from ocppd.storage.api.charger_jobs import JobRecords
from ocppd.storage.api.charging import ChargingRecords
from ocppd.storage.api.configuration import ConfigurationRecords
from ocppd.storage.api.express import ExpressRecords
from ocppd.storage.api.files import FileRecords
from ocppd.storage.api.fleet_jobs import FleetJobRecords
from ocppd.storage.api.follow_ups import FollowUpRecords
from ocppd.storage.api.idempotency import IdempotencyRecords
from ocppd.storage.api.local_lists import LocalListRecords
from ocppd.storage.api.quarantine import QuarantineRecords
from ocppd.storage.api.registry import RegistryRecords
from ocppd.storage.api.reservations import ReservationRecords
from ocppd.storage.api.retention import RetentionRecords
from ocppd.storage.records import (
    Acceptance,
    Boot,
    CallEnd,
    Census,
    Changed,
    ChargerRecord,
    Configured,
    ConnectedCharger,
    ConnectorRecord,
    DroppedCall,
    Event,
    EventFilter,
    Holding,
    IdTag,
    IdTagFilter,
    Inbound,
    MessageFilter,
    MessageRecord,
    MeterValueElement,
    MeterValueFilter,
    MeterValueRecord,
    NewCall,
    Newest,
    QueuedCall,
    Standing,
    Start,
    Started,
    Status,
    StatusRecord,
    Stop,
    Stopped,
    Tail,
    TransactionFilter,
    TransactionRecord,
    UnknownIdTag,
)
from ocppd.storage.records.follow_ups import FollowUp
from ocppd.storage.records.views import Views
from ocppd.v16.types import AuthorizationStatus, RegistrationStatus


class ChargerRecords(Protocol):
    """Connections, registration, connectors."""

    def charger_connected(self, name: str, remote_ip: str, now_ms: int) -> Deferred[ConnectedCharger]:
        """Issue the generation of a new connection to this node; give what is known and the calls that wait, oldest first.

        Queued calls that do not outlive a connection end here.
        """

    def charger_disconnected(self, name: str, generation: int, last_seen_ms: int) -> Deferred[list[DroppedCall]]:
        """The connection of that generation is over, and with it the queued calls that do not outlive it.

        An older generation changes nothing.
        """

    def charger_booted(self, message: Inbound, boot: Boot) -> Deferred[int]:
        """Record a BootNotification with its verdict; fires with its sequence."""

    def registration_amended(
        self, sequence: int, answer: str, registration: RegistrationStatus, interval_s: int
    ) -> Deferred[None]:
        """Record the verdict of a user's handler over ours, before the answer leaves."""

    def status_notified(self, message: Inbound, status: Status) -> Deferred[int]:
        """Record a StatusNotification: history and current state; fires with its sequence."""

    def read_chargers(self, names: Sequence[str]) -> Deferred[dict[str, ChargerRecord]]:
        """What is kept of these chargers; one that is not known is left out."""

    def read_views(self, names: Sequence[str]) -> Deferred[Views]:
        """All that operators see of these chargers, of one moment."""

    def read_connectors(self, names: Sequence[str]) -> Deferred[dict[str, tuple[ConnectorRecord, ...]]]:
        """The connectors of these chargers in order of their ids; a charger without any is left out."""

    def list_statuses(self, charger: str, connector_id: int, after: int | None, limit: int) -> Deferred[list[StatusRecord]]:
        """The history of a connector, newest first, below the sequence `after`."""


class TransactionRecords(Protocol):
    """Transactions and meter values."""

    def transaction_started(self, message: Inbound, start: Start) -> Deferred[Started]:
        """Insert the transaction, or find the one the same start made before (REQUIREMENTS T-3).

        The message is stored with `start.answer(transaction_id)`; `message.answer` is not used.
        """

    def verdict_amended(self, sequence: int, answer: str, verdict: AuthorizationStatus) -> Deferred[None]:
        """Record the verdict of a user's handler for the start that `sequence` names, before the answer leaves."""

    def transaction_stopped(self, message: Inbound, stop: Stop) -> Deferred[Stopped]:
        """Stop the transaction of this charger with that id; anything else is recorded as what it is (T-21, T-23)."""

    def meter_values_received(
        self, message: Inbound, connector_id: int, transaction_id: int | None, elements: tuple[MeterValueElement, ...]
    ) -> Deferred[int]:
        """Store each element once (M-9), linked as REQUIREMENTS M-4 and M-5 say; fires with the message's sequence."""

    def transaction_closed(self, transaction_id: int, reason: str, now_ms: int) -> Deferred[TransactionRecord | None]:
        """Close a transaction that has no stop; fires with it as it is then, closed or not, None where there is none."""

    def stops_missing(self, before_ms: int, now_ms: int) -> Deferred[list[int]]:
        """Mark what is open and was not heard of since as `stopMissing` (REQUIREMENTS T-28); fires with the ids."""

    def read_transaction(self, transaction_id: int) -> Deferred[TransactionRecord | None]: ...

    def list_transactions(self, which: TransactionFilter, after: int | None, limit: int) -> Deferred[list[TransactionRecord]]:
        """Newest first, below the transaction id `after`."""

    def list_meter_values(self, which: MeterValueFilter, after: int | None, limit: int) -> Deferred[list[MeterValueRecord]]:
        """In order of arrival, from the sequence `after` on (that one included).

        The list ends with the one whose samples make up `PAGE_CHARACTERS`; `ends` says whether there may be more.
        """


class IdTagRecords(Protocol):
    """Id tags that operators keep, and those that nobody knows. `configured` come before what is in the records."""

    def id_tag_standing(self, key: str, configured: Configured, charger: str = "", now_ms: int = 0) -> Deferred[Standing]:
        """What a verdict in Authorize at this charger depends on; of transactions it says nothing (A-1)."""

    def unknown_id_tag_seen(self, id_tag: str, key: str, charger: str, now_ms: int) -> Deferred[None]:
        """A tag was refused because nobody knows it (A-5). Of very many the oldest are forgotten."""

    def put_id_tag(self, tag: IdTag, expected: int | None, now_ms: int) -> Deferred[Changed]:
        """Make it or change it, where its version is the one `expected` (0: there is none; None: whatever it is)."""

    def put_id_tags(self, tags: Sequence[IdTag], now_ms: int) -> Deferred[list[Changed]]:
        """Make or change all of these, or none."""

    def delete_id_tag(self, key: str, expected: int | None) -> Deferred[Changed]:
        """Delete it, where its version is the one `expected`."""

    def read_id_tag(self, key: str) -> Deferred[IdTag | None]: ...

    def list_id_tags(self, which: IdTagFilter, after: str, limit: int) -> Deferred[list[IdTag]]:
        """In order of their keys as the database compares them, behind the key `after`."""

    def list_unknown_id_tags(self, after: str, limit: int) -> Deferred[list[UnknownIdTag]]:
        """In order of their keys, behind the key `after`."""

    def forget_unknown_id_tag(self, key: str) -> Deferred[bool]:
        """Fires with whether it was remembered."""


class MessageRecords(Protocol):
    """The journal of messages, both ways; calls of ours with their life."""

    def message_received(self, message: Inbound, *, failed: bool = False) -> Deferred[int]:
        """Journal a message that has no further effect, or whose payload was refused (`failed`)."""

    def answer_amended(self, sequence: int, answer: str, *, failed: bool = False) -> Deferred[None]:
        """Record the answer of a user's handler over ours, before it leaves."""

    def call_created(self, call: NewCall, generation: int | None) -> Deferred[bool]:
        """Journal a call as `sent` by the connection of this generation, where it goes out at once.

        Where others wait, which another node may have accepted, it is journaled as `queued`, and False is fired.
        """

    def call_accepted(self, call: NewCall, limit: int, decide: Callable[[Holding], bool]) -> Deferred[Acceptance]:
        """Journal a call as `queued`, unless `decide` says no, or the charger has `limit` queued calls already.

        From then on it is in `ConnectedCharger.queued` of each new connection; the node that holds the charger now, if
        any, is in the answer and must be told. `decide` is pure, and run inside the commit.
        """

    def queued_calls(self, charger: str, now_ms: int) -> Deferred[list[QueuedCall]]:
        """The calls that wait for this charger, oldest first."""

    def queued_chargers(self) -> Deferred[dict[str, str]]:
        """The chargers that calls wait for and that a living node holds, each with that node."""

    def call_sent(self, message_id: str, generation: int, now_ms: int) -> Deferred[bool]:
        """Turn `queued` into `sent`, before the first byte is written; False where it is no longer queued.

        True also where this generation has it as `sent` already: the answer of an earlier attempt was lost.
        """

    def call_requeued(self, message_id: str, generation: int) -> Deferred[Holding]:
        """Turn `sent` by that generation back into `queued`: its connection was lost before a byte of it was written.

        Fires with who holds the charger now, and must be told where that is another node.
        """

    def call_ended(self, end: CallEnd) -> Deferred[tuple[FollowUp, ...] | None]:
        """Record how a call ended, and forget its secret; fires with what is to follow, None where that is to be looked for.

        Over `timeout` and `unknown` an answer is recorded, as a late one. Other final states stay.
        """

    def call_withdrawn(self, end: CallEnd) -> Deferred[bool]:
        """Record the end of a call only if it is still queued; fires with whether it was."""

    def call_cancelled(self, message_id: str, now_ms: int) -> Deferred[MessageRecord | None]:
        """Turn `queued` into `cancelled`; fires with the message as it is then, None where there is none."""

    def calls_expired(self, now_ms: int) -> Deferred[list[MessageRecord]]:
        """Turn each `queued` call whose time has ended into `expired`; fires with those."""

    def read_message(self, message_id: str) -> Deferred[MessageRecord | None]:
        """Our call of that id, else the newest message of a charger with that id."""

    def list_messages(self, which: MessageFilter, after: int | None, limit: int) -> Deferred[list[MessageRecord]]:
        """Newest first, below the sequence `after`; the list ends with the one whose frames make up `PAGE_CHARACTERS`."""


class EventRecords(Protocol):
    """What happened, numbered: the messages of the journal, and what is in no message."""

    def newest_event(self, shortly: int) -> Deferred[Newest]:
        """The highest number so far; 0 where nothing has happened. Where several nodes write, which of so many appeared."""

    def events_after(self, after: int, missing: Sequence[int], limit: int, *, ask_following: bool = False) -> Deferred[Tail]:
        """The first `limit` events above the number `after`, and those of `missing` that have appeared; in order."""

    def events_between(self, which: EventFilter, after: int, until: int, limit: int) -> Deferred[list[Event]]:
        """The first events above `after` and not above `until`, in order."""

    def list_events(self, which: EventFilter, after: int | None, limit: int) -> Deferred[list[Event]]:
        """Newest first, below the number `after`."""


class NodeRecords(Protocol):
    """The processes that share the records. Leases are by the clock of the database, where it has one."""

    def node_started(self) -> Deferred[Census]:
        """This node lives. Where the records cannot be shared, whoever else is in them is dead.

        Calls that dead nodes have sent become `unknown`; calls that waited for one of their connections end.
        """

    def node_alive(self, lease_s: float) -> Deferred[Census]:
        """This node still lives; one that has not said so for `lease_s` seconds is dead.

        Nobody is declared dead by a node that could not say so itself for half of that time.
        """

    def node_stopped(self) -> Deferred[list[DroppedCall]]:
        """This node holds nothing more; what it has sent and heard nothing about is `unknown`."""


class Storage(ChargerRecords, TransactionRecords, IdTagRecords, MessageRecords, EventRecords, NodeRecords, Protocol):
    """All records of an installation."""

    @property
    def express(self) -> ExpressRecords:
        """Those of the messages that nearly all traffic is made of."""

    @property
    def follow_ups(self) -> FollowUpRecords:
        """What follows calls of ours."""

    @property
    def certificates(self) -> CertificateRecords:
        """Requests for certificates, certificates of chargers, and the roots in them."""

    @property
    def security_events(self) -> SecurityEventRecords:
        """What chargers tell of their security."""

    @property
    def configuration(self) -> ConfigurationRecords:
        """The configuration keys of chargers."""

    @property
    def reservations(self) -> ReservationRecords:
        """Reservations."""

    @property
    def local_lists(self) -> LocalListRecords:
        """Local authorization lists."""

    @property
    def idempotency(self) -> IdempotencyRecords:
        """Requests of operators that are carried out once."""

    @property
    def shared(self) -> bool:
        """Whether other nodes may use these records, too."""

    @property
    def charging(self) -> ChargingRecords:
        """Charging profiles."""

    @property
    def charger_jobs(self) -> JobRecords:
        """Firmware, diagnostics and logs."""

    @property
    def fleet_jobs(self) -> FleetJobRecords:
        """Jobs over many chargers."""

    @property
    def files(self) -> FileRecords:
        """The files of the file room."""

    @property
    def registry(self) -> RegistryRecords:
        """Chargers that operators have entered, passwords, and unknown identities."""

    @property
    def quarantine(self) -> QuarantineRecords:
        """Frames that broke the specification."""

    @property
    def retention(self) -> RetentionRecords:
        """The removal of old records."""

    def when_crowded(self, tell: Callable[[bool], None]) -> None:
        """Have `tell` called with whether so many writes wait that nobody should ask for more, when that changes."""

    def start(self) -> None:
        """Open and migrate, blocking, before the reactor runs. Raises StartFailed with one line."""

    def stop(self) -> Deferred[None]:
        """Commit what was accepted, then close."""

    def check(self) -> Deferred[None]:
        """Fires when a write could be committed now, for /readyz."""
