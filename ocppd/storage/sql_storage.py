"""`Storage` over SQL: a writer, readers, and the use cases behind them. See decision 5 of docs/architecture.md.

Everything that comes in is cleaned here, so that no value can fail its use case for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from ocppd.errors import StorageUnavailable
from ocppd.storage import (
    calls,
    chargers,
    event_lists,
    filing,
    id_tags,
    messages,
    meter_values,
    nodes,
    notices,
    probe,
    registry,
    transaction_lists,
    transactions,
    views,
)
from ocppd.storage.certificate_records import SqlCertificates, SqlSecurityEvents
from ocppd.storage.charger_job_records import SqlJobs
from ocppd.storage.charging_records import SqlCharging
from ocppd.storage.clean import cleaned
from ocppd.storage.configuration_records import SqlConfiguration
from ocppd.storage.crowding import Crowding
from ocppd.storage.database import Database
from ocppd.storage.engine import open_database
from ocppd.storage.express_records import SqlExpress
from ocppd.storage.file_records import SqlFiles
from ocppd.storage.fleet_job_records import SqlFleetJobs
from ocppd.storage.follow_up_records import SqlFollowUps
from ocppd.storage.idempotency_records import SqlIdempotency
from ocppd.storage.local_list_records import SqlLocalLists
from ocppd.storage.quarantine_records import SqlQuarantine
from ocppd.storage.readers import Readers, Runs
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
from ocppd.storage.registry_records import SqlRegistry
from ocppd.storage.reservation_records import SqlReservations
from ocppd.storage.retention_records import SqlRetention
from ocppd.storage.secrets import Secrets
from ocppd.storage.unit import Unit
from ocppd.storage.writer import Writer
from ocppd.v16.types import AuthorizationStatus, RegistrationStatus

T = TypeVar("T")
P = ParamSpec("P")


class SqlStorage:
    """All records of an installation in one SQL database. See `ocppd.storage.api.Storage` for what each method does.

    `url` is an SQLAlchemy database URL. `secret_key` encrypts the secrets of calls that wait; without it, that is the
    key in a file beside the database. `node` is the identity of this process among those that share the records.
    `unsafe`: use a server, too, that may lose what it has committed. `file_every`: see `filing`.
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        reactor: IReactorFromThreads,
        secret_key: str | None = None,
        *,
        node: str = "this",
        unsafe: bool = False,
        file_every: int = filing.OFTEN,
    ) -> None:
        self._url = url
        self._file_every = self._unfiled = file_every
        self._node = node
        self._unsafe = unsafe
        self._reactor = reactor
        self._secret_key = secret_key
        self._database: Database | None = None
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._secrets = Secrets.random()
        self._crowding = Crowding()
        self.express = SqlExpress(self)
        self.follow_ups = SqlFollowUps(self)
        self.charging = SqlCharging(self)
        self.certificates = SqlCertificates(self)
        self.security_events = SqlSecurityEvents(self)
        self.configuration = SqlConfiguration(self, node)
        self.reservations = SqlReservations(self)
        self.local_lists = SqlLocalLists(self, node)
        self.charger_jobs = SqlJobs(self)
        self.files = SqlFiles(self)
        self.quarantine = SqlQuarantine(self)
        self.idempotency = SqlIdempotency(self, node, lambda: self._secrets)
        self.registry = SqlRegistry(self)
        self.retention = SqlRetention(self, node)
        self.fleet_jobs = SqlFleetJobs(self, node, lambda: self._secrets)

    def start(self) -> None:
        """Open and migrate, blocking. Raises StartFailed."""
        database = open_database(self._url, unsafe=self._unsafe)
        try:
            self._secrets = database.prepare(self._secret_key, probe.row_of(self._node))
            self.registry.at_start = database.first_read(registry.all_entries)
        except BaseException:
            database.close()
            raise
        if not database.durable:
            self._log.warn("the database is in memory: all records end with this process; --database names a file")
        self._database = database
        self._writer = Writer(database, self._reactor, self._crowding)
        self._writer.start()
        self._file()
        if database.reading is not None:
            self._readers = Readers(database, self._writer, self._reactor)
            self._readers.start()

    @property
    def shared(self) -> bool:
        """Whether other nodes may use these records, too; known from the start on."""
        return self._database is not None and self._database.shared

    def stop(self) -> Deferred[None]:
        """Commit what was accepted, then close. May be called without `start`, and more than once."""
        if self._writer is None:
            return succeed(None)
        return self._writer.stop().addCallback(self._close)

    def _close(self, _: None) -> None:
        readers, self._readers = self._readers, None
        database, self._database = self._database, None
        if readers is not None:
            readers.stop()
        if database is not None:
            database.close()

    def check(self) -> Deferred[None]:
        """Fires when a write could be committed now, for /readyz."""
        return self.write(probe.written, probe.row_of(self._node))

    def when_crowded(self, tell: Callable[[bool], None]) -> None:
        self._crowding.listen(tell)

    def write(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return self._run(self.writer(), work, args, kwargs)

    def _write_clean(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """The same where nothing is to be cleaned."""
        writer = self.writer()
        return fail(StorageUnavailable("storage is not running")) if writer is None else writer.submit(work, *args, **kwargs)

    def writer(self) -> Writer | None:
        """The writer, for one use case more: now and then what was written is filed. None where storage does not run."""
        self._unfiled -= 1
        if not self._unfiled:
            self._unfiled = self._file_every
            self._file()
        return self._writer

    def _file(self) -> None:
        if self._writer is not None and self._database is not None and not self._database.shared:
            filed = self._writer.submit(filing.file).addCallback(self._filed)
            # Where storage has failed the writer tells of it, and it is done the next time.
            filed.addErrback(lambda failure: failure.trap(StorageUnavailable) and None)

    def _filed(self, more: bool) -> Deferred[None] | None:
        """Go on, or write back what the log has: beside the writer, who would otherwise do it all in some commit."""
        if more:
            self._file()
            return None
        return None if self._readers is None else self._readers.submit(filing.written_back)

    def read(self, work: Callable[Concatenate[Unit, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return self._run(self._readers or self._writer, work, args, kwargs)

    @staticmethod
    def _run(runs: Runs | None, work: Callable[..., T], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Deferred[T]:
        """Have `work` run with its arguments cleaned."""
        if runs is None:
            return fail(StorageUnavailable("storage is not running"))
        return runs.submit(work, *map(cleaned, arguments), **{name: cleaned(value) for name, value in keywords.items()})

    # ChargerRecords

    def charger_connected(self, name: str, remote_ip: str, now_ms: int) -> Deferred[ConnectedCharger]:
        return self.write(chargers.connected, name, remote_ip, now_ms, self._secrets.decrypt, self._node)

    def charger_disconnected(self, name: str, generation: int, last_seen_ms: int) -> Deferred[list[DroppedCall]]:
        return self.write(chargers.disconnected, name, generation, last_seen_ms, self._node)

    def charger_booted(self, message: Inbound, boot: Boot) -> Deferred[int]:
        return self.write(chargers.booted, message, boot)

    def registration_amended(
        self, sequence: int, answer: str, registration: RegistrationStatus, interval_s: int
    ) -> Deferred[None]:
        return self.write(chargers.registration_amended, sequence, answer, registration, interval_s)

    def status_notified(self, message: Inbound, status: Status) -> Deferred[int]:
        return self.write(chargers.status_notified, message, status)

    def read_chargers(self, names: Sequence[str]) -> Deferred[dict[str, ChargerRecord]]:
        return self.read(chargers.read_chargers, tuple(names))

    def read_views(self, names: Sequence[str]) -> Deferred[Views]:
        return self.read(views.read_views, tuple(names))

    def read_connectors(self, names: Sequence[str]) -> Deferred[dict[str, tuple[ConnectorRecord, ...]]]:
        return self.read(chargers.read_connectors, tuple(names))

    def list_statuses(self, charger: str, connector_id: int, after: int | None, limit: int) -> Deferred[list[StatusRecord]]:
        return self.read(chargers.list_statuses, charger, connector_id, after, limit)

    # TransactionRecords

    def transaction_started(self, message: Inbound, start: Start) -> Deferred[Started]:
        return self.write(transactions.started, message, start)

    def verdict_amended(self, sequence: int, answer: str, verdict: AuthorizationStatus) -> Deferred[None]:
        return self.write(transactions.verdict_amended, sequence, answer, verdict)

    def transaction_stopped(self, message: Inbound, stop: Stop) -> Deferred[Stopped]:
        return self.write(transactions.stopped, message, stop)

    def meter_values_received(
        self, message: Inbound, connector_id: int, transaction_id: int | None, elements: tuple[MeterValueElement, ...]
    ) -> Deferred[int]:
        return self.write(meter_values.received, message, connector_id, transaction_id, elements)

    def transaction_closed(self, transaction_id: int, reason: str, now_ms: int) -> Deferred[TransactionRecord | None]:
        return self.write(transactions.closed, transaction_id, reason, now_ms)

    def stops_missing(self, before_ms: int, now_ms: int) -> Deferred[list[int]]:
        return self.write(transactions.stops_missing, before_ms, now_ms)

    def read_transaction(self, transaction_id: int) -> Deferred[TransactionRecord | None]:
        return self.read(transaction_lists.read, transaction_id)

    def list_transactions(self, which: TransactionFilter, after: int | None, limit: int) -> Deferred[list[TransactionRecord]]:
        return self.read(transaction_lists.list_transactions, which, after, limit)

    def list_meter_values(self, which: MeterValueFilter, after: int | None, limit: int) -> Deferred[list[MeterValueRecord]]:
        return self.read(meter_values.list_meter_values, which, after, limit)

    # IdTagRecords

    def id_tag_standing(self, key: str, configured: Configured, charger: str = "", now_ms: int = 0) -> Deferred[Standing]:
        return self.read(id_tags.standing, key, configured, charger, now_ms)

    def unknown_id_tag_seen(self, id_tag: str, key: str, charger: str, now_ms: int) -> Deferred[None]:
        return self.write(id_tags.unknown_seen, id_tag, key, charger, now_ms)

    def put_id_tag(self, tag: IdTag, expected: int | None, now_ms: int) -> Deferred[Changed]:
        return self.write(id_tags.put, tag, expected, now_ms)

    def put_id_tags(self, tags: Sequence[IdTag], now_ms: int) -> Deferred[list[Changed]]:
        return self.write(id_tags.put_all, tuple(tags), now_ms)

    def delete_id_tag(self, key: str, expected: int | None) -> Deferred[Changed]:
        return self.write(id_tags.deleted, key, expected)

    def read_id_tag(self, key: str) -> Deferred[IdTag | None]:
        return self.read(id_tags.read, key)

    def list_id_tags(self, which: IdTagFilter, after: str, limit: int) -> Deferred[list[IdTag]]:
        return self.read(id_tags.list_id_tags, which, after, limit)

    def list_unknown_id_tags(self, after: str, limit: int) -> Deferred[list[UnknownIdTag]]:
        return self.read(id_tags.list_unknown, after, limit)

    def forget_unknown_id_tag(self, key: str) -> Deferred[bool]:
        return self.write(id_tags.forget_unknown, key)

    # MessageRecords

    def message_received(self, message: Inbound, *, failed: bool = False) -> Deferred[int]:
        return self.write(notices.received, message, failed)

    def answer_amended(self, sequence: int, answer: str, *, failed: bool = False) -> Deferred[None]:
        return self.write(messages.answer_amended, sequence, answer, failed)

    def call_created(self, call: NewCall, generation: int | None) -> Deferred[bool]:
        call, secret = self._with_secret(call)
        return self._write_clean(calls.call_created, call, secret, generation, self._node)

    def call_accepted(self, call: NewCall, limit: int, decide: Callable[[Holding], bool]) -> Deferred[Acceptance]:
        call, secret = self._with_secret(call)
        return self.write(calls.call_accepted, call, secret, limit, decide, self._node)

    def _with_secret(self, call: NewCall) -> tuple[NewCall, bytes | None]:
        call = cleaned(call)
        return call, None if call.frame == call.redacted else self._secrets.encrypt(call.frame)

    def queued_calls(self, charger: str, now_ms: int) -> Deferred[list[QueuedCall]]:
        return self.read(calls.queued_calls, charger, now_ms, self._secrets.decrypt)

    def queued_chargers(self) -> Deferred[dict[str, str]]:
        return self.read(calls.queued_chargers)

    def call_sent(self, message_id: str, generation: int, now_ms: int) -> Deferred[bool]:
        return self.write(calls.call_sent, message_id, generation, now_ms, self._node)

    def call_requeued(self, message_id: str, generation: int) -> Deferred[Holding]:
        return self.write(calls.call_requeued, message_id, generation)

    def call_ended(self, end: CallEnd) -> Deferred[tuple[FollowUp, ...] | None]:
        return self._write_clean(calls.call_ended, cleaned(end))

    def call_withdrawn(self, end: CallEnd) -> Deferred[bool]:
        return self.write(calls.call_withdrawn, end)

    def call_cancelled(self, message_id: str, now_ms: int) -> Deferred[MessageRecord | None]:
        return self.write(calls.call_cancelled, message_id, now_ms)

    def calls_expired(self, now_ms: int) -> Deferred[list[MessageRecord]]:
        return self.write(calls.calls_expired, now_ms)

    def read_message(self, message_id: str) -> Deferred[MessageRecord | None]:
        return self.read(messages.read_message, message_id)

    def list_messages(self, which: MessageFilter, after: int | None, limit: int) -> Deferred[list[MessageRecord]]:
        return self.read(messages.list_messages, which, after, limit)

    # EventRecords

    def newest_event(self, shortly: int) -> Deferred[Newest]:
        return self.read(event_lists.newest_event, shortly)

    def events_after(self, after: int, missing: Sequence[int], limit: int, *, ask_following: bool = False) -> Deferred[Tail]:
        return self.read(event_lists.events_after, after, tuple(missing), limit, ask_following)

    def events_between(self, which: EventFilter, after: int, until: int, limit: int) -> Deferred[list[Event]]:
        return self.read(event_lists.events_between, which, after, until, limit)

    def list_events(self, which: EventFilter, after: int | None, limit: int) -> Deferred[list[Event]]:
        return self.read(event_lists.list_events, which, after, limit)

    # NodeRecords

    def node_started(self) -> Deferred[Census]:
        return self.write(nodes.started, self._node, not self.shared)

    def node_alive(self, lease_s: float) -> Deferred[Census]:
        return self.write(nodes.alive, self._node, int(lease_s * 1000))

    def node_stopped(self) -> Deferred[list[DroppedCall]]:
        return self.write(nodes.stopped, self._node)
