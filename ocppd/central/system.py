"""The central system as the doors see it: who may connect, who is connected, what commands there are.

Built once by `ocppd.service`; nothing here knows how bytes travel or where records are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.bus.api import Bus
from ocppd.central.authorization import Rules, id_tag_key
from ocppd.central.boots import Boots
from ocppd.central.calls import Ended
from ocppd.central.capabilities import Capabilities
from ocppd.central.certificate_desk import CertificateDesk, Workshop
from ocppd.central.charger_jobs import JobWatcher
from ocppd.central.chargers import Chargers
from ocppd.central.charging.following import ChargingFollower
from ocppd.central.charging.sending import Sending
from ocppd.central.cluster import Cluster
from ocppd.central.commands import Commands
from ocppd.central.configuration import Mirror
from ocppd.central.configuration_watcher import ConfigurationWatcher
from ocppd.central.conformance import FIRST_LOOKS, Conformance
from ocppd.central.connection import Connection, Exchange, Link, Wiring
from ocppd.central.dispatch import Dispatch, as_deferred
from ocppd.central.ends import Ends, Hooks
from ocppd.central.express import Express
from ocppd.central.feed import Feed
from ocppd.central.fleet_jobs import FleetJobs
from ocppd.central.follow_ups import FollowUps
from ocppd.central.foreign_tags import External, ForeignTags, Purpose, Question
from ocppd.central.forgetting import Forgetting
from ocppd.central.handler_names import ERROR_HANDLER, REQUEST_SUFFIX, RESPONSE_SUFFIX, is_overridden
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.central.local_lists import LocalLists
from ocppd.central.queries import Queries
from ocppd.central.recorder import Recorder
from ocppd.central.registers import Registers
from ocppd.central.registry import Registry
from ocppd.central.reservations import Reservations
from ocppd.central.retention import Retention
from ocppd.central.unasked import Unasked
from ocppd.central.waiters import Waiters
from ocppd.central.watching import Awaited, Watchers
from ocppd.clock import Clock, instant_ms, now_ms, wall_of
from ocppd.config import ChargerSettings, Configuration, Registration, UnknownIdTags
from ocppd.errors import CallErrorReceived, StorageUnavailable
from ocppd.ocppj.frames import Call
from ocppd.storage.api import Storage
from ocppd.storage.records import ConnectedCharger, Standing
from ocppd.v16.enums import MessageTrigger
from ocppd.v16.remote_trigger import TriggerMessageRequest
from ocppd.v16.types import AuthorizationStatus, IdTagInfo, Message, RegistrationStatus

log = Logger()

#: T-28: a transaction of which nothing was heard for so long; its stop is still welcome.
STOP_MISSING_MS: Final = 24 * 3600 * 1000


class CentralSystem:
    """Chargers, their messages, and the calls to them."""

    def __init__(
        self,
        configuration: Configuration,
        storage: Storage,
        clock: Clock,
        handlers: CentralSystemHandlers,
        bus: Bus,
        unknown_id_tags: UnknownIdTags | None = None,
        external: External | None = None,
        workshop: Workshop | None = None,
    ) -> None:
        """`external` is asked about id tags that are not known here; `workshop` is where certificates are signed."""
        self._storage = storage
        self._clock = clock
        self._handlers = handlers
        self.chargers = Chargers(configuration, clock)
        self.registry = Registry(storage.registry, self.chargers, clock, self._take_configuration)
        self.rules = Rules(lambda: self.chargers.configuration, unknown_id_tags)
        waiters = Waiters(clock)
        self._bus = bus
        self._ends = Ends(storage, clock, Hooks(self._call_ended, self._answered, self._refused), waiters, bus)
        self.capabilities = Capabilities(storage.configuration, clock)
        self.commands = Commands(storage, self.chargers, clock, self._ends, waiters, bus, objection=self.capabilities.objection)
        self.mirror = Mirror(storage.configuration, self.commands, self.capabilities, clock)
        self.cluster = Cluster(storage, self.chargers, self.commands, self._ends, bus)
        self.feed = Feed(storage, clock)
        self.queries = Queries(self.chargers, storage, clock, bus.node)
        self.unasked = Unasked(self.chargers, self.commands, clock)
        self.conformance = Conformance(storage.quarantine, clock, lambda: self.chargers.configuration, self.chargers.connection)
        self.reservations = Reservations(storage, self.rules, self.chargers, self.commands, self.capabilities.value)
        self.local_lists = LocalLists(
            storage, self.rules, self.chargers, self.commands, clock, self.capabilities.value, may_act=self.unasked.allowed
        )
        self.charging = Sending(storage, self.commands, clock, self.capabilities.charging_limits)
        self.certificates = CertificateDesk(
            storage, self.chargers, clock, workshop or Workshop(), self._submit, self.capabilities.chain_size
        )
        self.fleet_jobs = FleetJobs(storage.fleet_jobs, self.commands, clock)
        self.retention = Retention(storage.retention, clock, lambda: self.chargers.configuration)
        self._watchers = self._make_watchers()
        self._foreign = ForeignTags(storage, self.rules, external)
        self._wiring = self._make_wiring()

    def _make_watchers(self) -> Watchers:
        """Those who follow chargers; the first ones before the others."""
        storage, clock, allowed = self._storage, self._clock, self.unasked.allowed
        awaited = Awaited()
        watchers = (
            self.registry,
            self.unasked,
            self.conformance,
            Boots(self.chargers, storage, self.unasked, clock),
            FollowUps(self.chargers, storage.follow_ups, awaited, clock, self._bus.node),
            Registers(storage),
            ChargingFollower(storage, self.charging, clock, allowed),
            self.certificates,
            self.reservations,
            self.local_lists,
            JobWatcher(storage.charger_jobs),
            self.fleet_jobs,
            ConfigurationWatcher(storage.configuration, self.mirror, self.chargers, clock, allowed),
            Forgetting(storage.idempotency),
        )
        return Watchers(watchers, allowed, awaited)

    def _make_wiring(self) -> Wiring:
        """What connections call."""
        handlers, clock = self._handlers, self._clock
        boots_settle = not is_overridden(handlers, f"BootNotification{REQUEST_SUFFIX}")
        recorder = Recorder(
            self._storage,
            self.rules,
            self._foreign,
            self.chargers.settings,
            boots_settle=boots_settle,
            judge_csr=self.certificates.judge,
            note=self.conformance.note,
            connected=self.chargers.count,
        )
        dispatch = Dispatch(
            recorder, handlers, self._authorize, clock, self._observe, self._registered, self._watchers, self.conformance
        )
        express = Express(
            self._storage.express, self._watchers, self._observe, dispatch.not_recorded, wall_of(clock), dispatch.handled
        )
        return Wiring(
            clock=clock,
            storage=self._storage,
            memory=self.chargers.memory,
            dispatch=dispatch,
            express=express.take,
            ended=self._ends.ended,
            requeue=self.commands.requeue,
            stalled=self.commands.stalled,
            answered_late=self._ends.answered_late,
            submit=self._submit,
            odd=self.conformance.frame,
        )

    def keep(self, key: str, write: Callable[[], Deferred[Any]]) -> None:
        """Storage has refused this: it is written with the next `retry` that finds it back. One write for each `key`."""
        self._ends.keep(key, write)

    def retry(self) -> None:
        """Try again what storage has refused. To be called every second or so."""
        self._ends.record_again()

    def sweep(self) -> None:
        """See what is due. To be called every few seconds."""
        self._watchers.sweep(now_ms(self._clock))

    def look_for_missing_stops(self) -> Deferred[None]:
        """Mark transactions of which nothing was heard for a day (T-28). Fails with StorageUnavailable."""
        now = now_ms(self._clock)

        def marked(ids: list[int]) -> None:
            if ids:
                log.warn(
                    "{count} transactions have not been heard of for a day: their stops are missing", count=len(ids), ids=ids
                )

        return self._storage.stops_missing(now - STOP_MISSING_MS, now).addCallback(marked)

    def reconfigure(self, configuration: Configuration) -> None:
        """configs.json is another one; what was entered over HTTP stays beside it."""
        self.registry.reconfigure(configuration)

    def _take_configuration(self, configuration: Configuration) -> None:
        """Take a new configuration. A charger that was Pending and may be Accepted now is asked to boot (B-4)."""
        self.chargers.reconfigure(configuration)
        for connection in self.chargers.connections():
            settings = configuration.chargers.get(connection.name)
            accepted = settings is not None and settings.registration is Registration.ACCEPTED
            pending = connection.registration is RegistrationStatus.PENDING
            if accepted and pending and self.unasked.allowed(connection.name):
                request = TriggerMessageRequest(requested_message=MessageTrigger.BOOT_NOTIFICATION)
                self._submit(connection.name, request).addErrback(_log_not_sent, connection.name)

    # Connections

    def connecting(self, name: str, remote_ip: str) -> Deferred[ConnectedCharger]:
        """A charger has passed the checks of its handshake: issue its generation. Fails with StorageUnavailable.

        Where it does not fail, `connected` or `abandoned` follows.
        """
        self.chargers.connecting(name)

        def failed(failure: Failure) -> Failure:
            self.chargers.connected(name)
            return failure

        def issued(known: ConnectedCharger) -> ConnectedCharger:
            self._ends.dropped(known.dropped)
            return known

        return self._storage.charger_connected(name, remote_ip, now_ms(self._clock)).addCallbacks(issued, failed)

    def abandoned(self, name: str, known: ConnectedCharger) -> None:
        """The handshake came to nothing after all."""
        self.chargers.connected(name)
        older = self.chargers.connection(name)
        if older is not None:  # the records say that it holds the charger by the generation that came to nothing
            older.granted = max(older.granted, known.generation)
        else:
            self._gone(name, known.generation, now_ms(self._clock))

    def _gone(self, name: str, generation: int, last_seen_ms: int) -> None:
        def write() -> Deferred[None]:
            return self._storage.charger_disconnected(name, generation, last_seen_ms).addCallback(self._ends.dropped)

        self._ends.record(f"gone {name} {generation}", write).addErrback(_log_bug, name)

    def _registered(self, name: str, sequence: int, verdict: RegistrationStatus) -> None:
        """A boot was decided: it holds for the charger, on whatever connection it is now.

        A connection that is still being looked up reads it from storage, or is there before this verdict is.
        """
        connection = self.chargers.connection(name)
        if connection is not None:
            connection.registered(sequence, verdict)

    def connected(self, settings: ChargerSettings, link: Link, known: ConnectedCharger) -> Connection:
        """The handshake is complete: this is the charger's connection now, and what waits for it goes out."""
        connection = Connection(settings, link, known, self._wiring)
        connection.looks = FIRST_LOOKS
        self.conformance.introduce(connection, known.product)
        for queued in known.queued:
            self.commands.hold_queued(connection, queued)
        calls_came = self.chargers.connected(settings.name)
        if self.chargers.attach(connection):
            log.info("{charger}: connected from {ip}", charger=settings.name, ip=link.remote_ip, generation=known.generation)
            self._bus.hold(settings.name, known.generation)
            if calls_came:
                self.commands.look(settings.name)
            self._watchers.connected(connection)
        else:
            connection.close_calls()
            link.close(1001, "a newer connection is there")
        return connection

    def disconnected(self, connection: Connection, code: int | None, reason: str) -> None:
        """The connection is over."""
        connection.close_calls()
        log.info("{charger}: disconnected ({code})", charger=connection.name, code=code, reason=reason)
        self._gone(connection.name, connection.granted, instant_ms(self._clock, connection.last_seen_ms))
        self._bus.release(connection.name, connection.generation)
        self.chargers.detach(connection)

    # Users' handlers

    def _call_ended(self, charger: str, action: str, request: Message, ended: Ended) -> None:
        self._watchers.ended(charger, action, request, ended)

    def _answered(self, charger: str, action: str, request: Message, confirmation: Message) -> Deferred[Any] | None:
        name = f"{action}{RESPONSE_SUFFIX}"
        if not is_overridden(self._handlers, name):
            return None
        return as_deferred(getattr(self._handlers, name), self._at_hand(charger), request, confirmation)

    def _refused(self, charger: str, request: Message, error: CallErrorReceived) -> Deferred[Any]:
        return as_deferred(getattr(self._handlers, ERROR_HANDLER), self._at_hand(charger), request, error)

    def _at_hand(self, charger: str) -> Connection | Absent:
        return self.chargers.connection(charger) or Absent(charger, self._submit)

    def _submit(self, charger: str, request: Message) -> Deferred[Any]:
        return maybeDeferred(self.commands.submit, charger, request)

    # What the wiring asks

    def _authorize(self, charger: str, id_tag: str, received_ms: int) -> Deferred[IdTagInfo]:
        key = id_tag_key(id_tag)

        def found(standing: Standing) -> Deferred[IdTagInfo]:
            asked = self._foreign.verdict_on(standing, Question(charger, id_tag, Purpose.AUTHORIZE))
            return asked.addCallback(judge, standing)

        def judge(foreign: IdTagInfo | None, standing: Standing) -> IdTagInfo:
            verdict = foreign or self.rules.verdict(standing, received_ms)
            if standing.tag is None and verdict.status is AuthorizationStatus.INVALID:
                seen = self._storage.unknown_id_tag_seen(id_tag, key, charger, received_ms)
                seen.addErrback(lambda failure: failure.trap(StorageUnavailable))
                seen.addErrback(_log_bug, charger)
            return verdict

        configured = self.rules.configured
        if key in configured:  # nothing is to be looked up
            return found(Standing(tag=configured[key], any_known=True))
        return self._storage.id_tag_standing(key, configured, charger, received_ms).addCallback(found)

    def _observe(self, charger: str, received_ms: int, call: Call, answer: bytes) -> None:
        self.chargers.remember(charger, Exchange(received_ms, call, answer))


class Absent:
    """The `Charger` that a response handler is given where the connection is gone meanwhile."""

    remote_ip = ""

    def __init__(self, name: str, submit: Any) -> None:
        self.name = name
        self._submit = submit

    def follow_up(self, request: Message) -> None:
        """Queue `request`, or log that it does not wait for an offline charger."""
        self._submit(self.name, request).addErrback(_log_not_sent, self.name)

    def close_after_answer(self, code: int = 1001, reason: str = "") -> None:
        """There is nothing to close."""


def _log_bug(failure: Failure, charger: str) -> None:
    log.failure("{charger}: something of it was not recorded", failure, charger=charger)


def _log_not_sent(failure: Failure, charger: str) -> None:
    log.warn("{charger}: a follow-up was not sent: {reason}", charger=charger, reason=failure.getErrorMessage())
