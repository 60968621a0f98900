"""What an operator can see: configuration, live connections and records, put together. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ocppd.central.chargers import Chargers
from ocppd.central.connection import Exchange
from ocppd.central.redaction import redact_call
from ocppd.clock import Clock, instant_ms
from ocppd.config import ChargerSettings
from ocppd.errors import NotClosable, UnknownMessage, UnknownTransaction
from ocppd.storage.api import Storage
from ocppd.storage.records import (
    Boot,
    ChargerRecord,
    ConnectorRecord,
    Direction,
    MessageRecord,
    MessageState,
    TransactionRecord,
    TransactionState,
)
from ocppd.storage.records.follow_ups import FollowUp
from ocppd.storage.records.views import Views
from ocppd.v16.types import RegistrationStatus


@dataclass(frozen=True, slots=True)
class ChargerView:
    """A charger as it is now."""

    name: str
    connected: bool
    #: Its connection was let in by a password.
    authenticated: bool
    remote_ip: str
    #: The node it is connected to.
    node: str | None
    generation: int | None
    connected_ms: int | None
    last_seen_ms: int | None
    registration: RegistrationStatus | None
    heartbeat_interval_s: int
    #: The calls that wait at its connection; None where that is on another node.
    queued: int | None
    boot: Boot | None
    connectors: tuple[ConnectorRecord, ...]
    #: The newest wish for each connector, 0 for the charger as a whole.
    availability: Mapping[int, FollowUp] = field(default_factory=dict)
    #: What operators find it by.
    tags: tuple[str, ...] = ()

    @property
    def accepted_without_boot(self) -> bool:
        """Whether it was accepted by what it sent (REQUIREMENTS B-5)."""
        return self.registration is RegistrationStatus.ACCEPTED and self.boot is None


class Queries:
    """Reads for operators. All Deferreds may fail with StorageUnavailable."""

    def __init__(self, chargers: Chargers, storage: Storage, clock: Clock, node: str) -> None:
        self._chargers = chargers
        self._storage = storage
        #: Twisted's helpers want all of IReactorTime, and need the part that is there.
        self._clock: Any = clock
        self._node = node

    def chargers(self, names: Sequence[str]) -> Deferred[list[ChargerView]]:
        """These chargers, in this order; a name that is not known is left out."""
        known = [name for name in names if self._chargers.knows(name)]

        def found(views: Views) -> list[ChargerView]:
            return [self._found(name, views) for name in known]

        return self._storage.read_views(known).addCallback(found)

    def charger(self, name: str) -> Deferred[ChargerView]:
        """One charger. Raises UnknownCharger at once."""
        self._chargers.settings(name)
        return self.chargers([name]).addCallback(lambda views: views[0])

    def _found(self, name: str, views: Views) -> ChargerView:
        view = self._view(name, views.chargers.get(name), views.connectors.get(name, ()))
        wishes = views.wishes.get(name)
        return view if wishes is None else replace(view, availability=wishes)

    def _view(self, name: str, record: ChargerRecord | None, connectors: tuple[ConnectorRecord, ...]) -> ChargerView:
        settings = self._chargers.settings(name)
        connection = self._chargers.connection(name)
        if connection is None:
            return self._view_elsewhere(name, settings, record, connectors)
        return ChargerView(
            name=name,
            connected=True,
            authenticated=connection.settings.needs_password,
            tags=settings.tags,
            remote_ip=connection.remote_ip,
            node=node_name(self._node),
            generation=connection.generation,
            connected_ms=connection.connected_ms,
            last_seen_ms=instant_ms(self._clock, connection.last_seen_ms),
            registration=connection.registration,
            heartbeat_interval_s=settings.heartbeat_interval_s,
            queued=connection.queued,
            boot=None if record is None else record.boot,
            connectors=connectors,
        )

    def _view_elsewhere(
        self, name: str, settings: ChargerSettings, record: ChargerRecord | None, connectors: tuple[ConnectorRecord, ...]
    ) -> ChargerView:
        """A charger that is on another node, or on none. What the records say of this node is out of date, then."""
        holder = record if record is not None and record.node not in (None, self._node) else None
        return ChargerView(
            name=name,
            connected=holder is not None,
            authenticated=holder is not None and settings.needs_password,
            tags=settings.tags,
            remote_ip="" if holder is None else holder.remote_ip or "",
            node=None if holder is None else node_name(str(holder.node)),
            generation=None if holder is None else holder.generation,
            connected_ms=None if holder is None else holder.connected_ms,
            last_seen_ms=None if record is None or holder is not None else record.last_seen_ms,
            registration=None if record is None else record.registration,
            heartbeat_interval_s=settings.heartbeat_interval_s,
            queued=None if holder is not None else 0,
            boot=None if record is None else record.boot,
            connectors=connectors,
        )

    def message(self, message_id: str) -> Deferred[MessageRecord]:
        """A message by its id, from the journal or from memory. Fails with UnknownMessage."""

        def found(record: MessageRecord | None) -> MessageRecord | Deferred[MessageRecord]:
            return record or Deferred.fromCoroutine(self._remembered(message_id))

        return self._storage.read_message(message_id).addCallback(found)

    async def _remembered(self, message_id: str) -> MessageRecord:
        for found in self._chargers.find_recent(message_id):
            if found is not None:
                return remembered_record(*found)
            await deferLater(self._clock, 0, lambda: None)
        raise UnknownMessage(message_id)

    def remembered(self, name: str) -> list[MessageRecord]:
        """The messages of a charger that are kept in memory alone, newest first. Raises UnknownCharger."""
        self._chargers.settings(name)
        return [remembered_record(name, exchange) for exchange in self._chargers.recent(name)]

    def transaction(self, transaction_id: int) -> Deferred[TransactionRecord]:
        """A transaction by its id. Fails with UnknownTransaction."""

        def found(record: TransactionRecord | None) -> TransactionRecord:
            if record is None:
                raise UnknownTransaction(str(transaction_id))
            return record

        return self._storage.read_transaction(transaction_id).addCallback(found)

    def close_transaction(self, transaction_id: int, reason: str, now_ms: int) -> Deferred[TransactionRecord]:
        """Close a transaction that has no stop (T-29). Fails with UnknownTransaction or NotClosable."""

        def closed(record: TransactionRecord | None) -> TransactionRecord:
            if record is None:
                raise UnknownTransaction(str(transaction_id))
            if record.state is not TransactionState.CLOSED or record.closed_ms != now_ms:
                raise NotClosable(transaction_id, record.state)
            return record

        return self._storage.transaction_closed(transaction_id, reason, now_ms).addCallback(closed)


def node_name(node: str) -> str:
    """What an operator calls the node of this identity."""
    return node.rpartition("#")[0] or node


def remembered_record(charger: str, exchange: Exchange) -> MessageRecord:
    """A message in memory, in the shape of one in the journal."""
    call = exchange.call
    frame = b"[2,%b,%b,%b]" % (call.wire_id, msgspec.json.encode(call.action), call.payload)
    return MessageRecord(
        sequence=0,
        message_id=call.message_id,
        charger=charger,
        direction=Direction.FROM_CHARGER,
        action=call.action,
        state=MessageState.ERROR if exchange.answer.startswith(b"[4") else MessageState.COMPLETED,
        created_ms=exchange.received_ms,
        frame=redact_call(call.action, frame.decode("utf-8", "replace")),
        answer=exchange.answer.decode("utf-8", "replace"),
        durable=False,
    )
