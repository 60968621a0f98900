"""The composition root: what the daemon is made of, and the order in which it starts and stops.

Start: bind the port, import the handlers, open and migrate the records, then listen; what can go wrong raises StartFailed. Stop:
no new connections, close the chargers' once they are answered, settle their calls, write what was accepted, close the records.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, cast

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.bus.api import Bus
from ocppd.bus.local import LocalBus
from ocppd.central.certificate_desk import Workshop
from ocppd.central.cluster import BEAT_S
from ocppd.central.drain import Drain, answered, close_all
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.central.system import CentralSystem
from ocppd.config import Configuration, Settings, load_configuration
from ocppd.errors import ConfigurationError, StartFailed, StorageUnavailable
from ocppd.memory import settle_memory
from ocppd.net.certificates import Certificates
from ocppd.net.ending import Ending
from ocppd.net.listening import adopted, bind, describe, listen_on, listen_on_socket, parse_endpoint
from ocppd.net.turns import shorten_turns
from ocppd.storage.api import Storage
from ocppd.storage.sql_storage import SqlStorage
from ocppd.user_handlers import load_handlers
from ocppd.workers.channel import HURRY, READY, RESTART, Channel, open_channel
from ocppd.workers.checks import check_together
from ocppd.workers.given import NOTHING_GIVEN, Given, Place
from ocppd.workers.launch import node_name
from ocppd.workers.supervisor import Supervisor

log = Logger()

#: How often queued calls are looked through for expired ones.
EXPIRY_INTERVAL_S: Final = 5.0
#: How often transactions are looked through for those that nothing is heard of any more.
STOPS_INTERVAL_S: Final = 60.0
#: How often those who follow chargers see what is due.
SWEEP_INTERVAL_S: Final = 5.0
#: How often jobs over many chargers go on, where there are some.
PUMP_INTERVAL_S: Final = 0.2
#: How often some old records are removed, where they are not kept for ever: 12 ms of the writer's time in fifteen times that.
RETENTION_INTERVAL_S: Final = 0.2
#: How often the file room is looked through for what is too old or too much.
TIDY_INTERVAL_S: Final = 900.0
#: How often what storage has refused is tried again: soon enough for everything to be well five seconds after its return.
RETRY_INTERVAL_S: Final = 1.0
#: How long requests that are in progress get to be answered after that.
ANSWER_GRACE_S: Final = 2.0
#: How long a worker that makes room completes handshakes that it has accepted: a charger's records are looked up by then.
HANDSHAKE_GRACE_S: Final = 5.0
#: RFC 6455 7.4.1, and RFC 6455's registry: the charger is to come back, and finds somebody.
GOING_AWAY: Final = (1001, "the central system stops")
SERVICE_RESTART: Final = (1012, "the central system restarts")


class OcppdService(Service):
    """One daemon. `port` is the listening port while it runs."""

    name = "ocppd"

    def __init__(self, settings: Settings, reactor: Any, directory: Path, given: Given = NOTHING_GIVEN) -> None:
        self._settings = settings
        self._reactor = reactor
        self._directory = directory
        self._given = given
        self._configuration = load_configuration(settings.config)
        self._socket: socket.socket | None = None
        self._storage: Storage | None = None
        self._bus: Bus | None = None
        self._loops: list[LoopingCall] = []
        self._ending = Ending()
        self._drain: Drain | None = None
        self._certificates: Certificates | None = None
        #: An `HttpAuthorizer`, where one is configured.
        self._authorizer: Any = None
        self._channel: Channel | None = None
        self._restarting = False
        self._hurried = False
        #: What `listen` of a Twisted endpoint gives (IListeningPort).
        self.port: Any = None
        self._factory: Any = None
        self.central: CentralSystem | None = None

    # Start

    def privilegedStartService(self) -> None:
        """Bind the port, which may need privileges that are dropped afterwards."""
        if self._given.listening:
            self._socket = adopted(self._given.listening[0])
        elif self._settings.port.isdigit():
            self._socket = bind(int(self._settings.port))
        else:
            parse_endpoint(self._settings.port, self._reactor)

    def startService(self) -> None:
        """Everything else, in order. Raises StartFailed; what was opened by then is closed again."""
        try:
            self._start()
        except BaseException:
            self._undo()
            raise
        super().startService()

    def _start(self) -> None:
        handlers = self._load_handlers()
        node = f"{node_name(self._settings, self._socket)}#{token_hex(4)}"
        bus = self._bus = make_bus(self._settings.redis, node, self._reactor)
        storage = SqlStorage(
            self._settings.database,
            self._reactor,
            self._settings.secret_key,
            node=node,
            unsafe=self._settings.unsafe_database,
        )
        storage.start()
        self._storage = storage
        unknown_id_tags = self._settings.unknown_id_tags
        external = self._authorizer = self._make_authorizer()
        workshop = Workshop.open(self._settings.ca, self._reactor)
        self.central = CentralSystem(
            self._configuration, storage, self._reactor, handlers, bus, unknown_id_tags, external, workshop
        )
        self.central.registry.start()
        self.central.cluster.start().addErrback(_log_failure, "calls of the last run could not be settled")
        bus.start(self.central.cluster)
        self._tell_passwords(self.central.chargers.configuration)
        self._listen(self.central, storage)
        self._repeat(self._expire, EXPIRY_INTERVAL_S)
        self._repeat(self.central.retry, RETRY_INTERVAL_S)
        self._repeat(self.central.sweep, SWEEP_INTERVAL_S)
        self._repeat(self.central.fleet_jobs.pump, PUMP_INTERVAL_S)
        self._repeat(self.central.retention.pump, RETENTION_INTERVAL_S)
        self._repeat(self._look_for_missing_stops, STOPS_INTERVAL_S)
        self._repeat(self._tidy_files, TIDY_INTERVAL_S)
        shorten_turns(self._reactor)
        self._reactor.callWhenRunning(settle_memory)
        if storage.shared:
            self._repeat(self._beat, BEAT_S)
        self._take_signals()
        if self._given.place is not None:
            self._join(self._given.place)

    def _make_authorizer(self) -> Any:
        if self._settings.authorizer is None:
            return None
        # Twisted's HTTP client takes the global reactor when it is used, so not before the start.
        from ocppd.net.authorizer import HttpAuthorizer

        settings = self._settings
        timeout_s, failing = settings.authorizer_timeout_s, settings.authorizer_failure
        return HttpAuthorizer(str(settings.authorizer), timeout_s, failing, self._reactor)

    def _repeat(self, call: Callable[[], object], interval_s: float) -> None:
        loop = LoopingCall(call)
        loop.clock = self._reactor
        loop.start(interval_s, now=False)
        self._loops.append(loop)

    def _load_handlers(self) -> CentralSystemHandlers:
        if self._settings.handlers is None:
            return CentralSystemHandlers()
        places = dict.fromkeys([self._settings.config.parent, self._directory])
        handlers, warnings = load_handlers(self._settings.handlers, list(places))
        for warning in warnings:
            log.warn("{warning}", warning=warning)
        return handlers

    def _listen(self, central: CentralSystem, storage: Storage) -> None:
        # Klein installs the global reactor when it is imported, so not before the start.
        from ocppd.net.port import make_factory

        factory = self._factory = make_factory(self._settings, central, storage, self._reactor, self._ending)
        if self._socket is not None:
            bound, self._socket = self._socket, None
            self.port = listen_on_socket(bound, factory, self._reactor)
        else:
            self.port, self._certificates = listen_on(self._settings.port, factory, self._reactor)
        log.info(
            "listening on {address}; chargers connect to {paths}",
            address=describe(self.port), paths=", ".join(f"{path}/{{name}}" for path in self._settings.charger_paths),
        )  # fmt: skip

    def _join(self, place: Place) -> None:
        """Take this place among the workers of a supervisor, and tell it once the port is served."""
        heard = {RESTART: self._make_room, HURRY: self.hurry}
        self._channel = open_channel(place.channel, Channel(heard, self._abandoned), self._reactor)
        self._reactor.callWhenRunning(self._channel.say, READY)

    def _take_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload))
        signal.signal(signal.SIGUSR2, lambda *_: self._reactor.callFromThread(_tell_no_workers))
        if self._given.place is not None:  # Ctrl-C goes to all processes of a terminal; the supervisor tells its workers
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _undo(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._bus is not None:
            self._bus.stop()
        if self._storage is not None:
            self._storage.stop().addErrback(lambda _: None)

    # Run

    def reload(self) -> None:
        """Read configs.json and certificates again; wrong ones change nothing. Nobody is disconnected."""
        if self.central is None:
            return
        try:
            configuration = load_configuration(self._settings.config)
        except ConfigurationError as error:
            log.error("the configuration stays as it was: {reason}", reason=str(error))
        else:
            self.central.reconfigure(configuration)
            self._tell_passwords(self.central.chargers.configuration)
            log.info("configuration reloaded, chargers: {count}", count=len(configuration.chargers))
        if self._certificates is not None:
            self._reload_certificates(self._certificates)

    def _reload_certificates(self, certificates: Certificates) -> None:
        try:
            certificates.reload()
        except StartFailed as error:
            log.error("the certificate stays as it was: {reason}", reason=str(error))
        else:
            log.info("certificate reloaded")

    def _tell_passwords(self, configuration: Configuration) -> None:
        without = sum(not charger.needs_password for charger in configuration.chargers.values())
        if without:
            total = len(configuration.chargers)
            log.info("chargers that connect without a password: {without} of {total}", without=without, total=total)

    def _expire(self) -> None:
        if self.central is not None:
            expired = self.central.commands.expire()
            expired.addErrback(lambda failure: failure.trap(StorageUnavailable))  # the writer tells of it; the next round is soon
            expired.addErrback(_log_failure, "queued calls could not be looked through")

    def _look_for_missing_stops(self) -> None:
        if self.central is not None:
            marked = self.central.look_for_missing_stops()
            marked.addErrback(lambda failure: failure.trap(StorageUnavailable))  # the writer tells of it; the next round is soon
            marked.addErrback(_log_failure, "transactions could not be looked through")

    def _tidy_files(self) -> None:
        if self._factory is not None and self._factory.files is not None:
            tidied = self._factory.files.tidy()
            tidied.addErrback(lambda failure: failure.trap(StorageUnavailable))  # the writer tells of it; the next round is soon
            tidied.addErrback(_log_failure, "the file room could not be tidied")

    def _beat(self) -> None:
        if self.central is not None:
            beaten = self.central.cluster.beat()
            beaten.addErrback(lambda failure: failure.trap(StorageUnavailable))  # the writer tells of it; the next one is soon
            beaten.addErrback(_log_failure, "this node could not say that it lives")

    # Stop

    def _make_room(self) -> None:
        """A successor listens on the same socket."""
        self._restarting = True
        self._stop_daemon("a successor takes over: shutting down")

    def _abandoned(self) -> None:
        """Nobody watches over this worker any more."""
        if not self._ending.begun:
            self._stop_daemon("the supervisor has gone: shutting down")

    def _stop_daemon(self, why: str) -> None:
        log.info("{why}", why=why)
        with contextlib.suppress(ReactorNotRunning):  # it is stopping already
            self._reactor.stop()

    def hurry(self) -> None:
        """End the drain now: close all chargers that are still connected."""
        self._hurried = True
        if self._drain is not None:
            self._drain.hurry()

    def stopService(self) -> Deferred[None]:
        """Stop in order; fires when everything that was accepted is on disk."""
        super().stopService()
        self._ending.begun = True
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._empty()
        for loop in [each for each in self._loops if each.running]:
            loop.stop()
        if self.central is not None:
            await self._close_chargers(self.central)
            self.central.retry()
            await self.central.conformance.flush().addErrback(_log_failure, "what chargers did could not be counted")
            if self._storage is not None:
                await self._storage.check().addErrback(_trap_unanswered)
            self.central.commands.stop_waiting()
            self.central.feed.stop()
        if self._factory is not None:
            await self._factory.site.answered().addTimeout(ANSWER_GRACE_S, self._reactor).addErrback(_trap_unanswered)
        if self.central is not None:
            await self.central.cluster.stop().addErrback(_trap_unanswered)
        if self._bus is not None:
            await self._bus.stop()
        if self._authorizer is not None:
            await self._authorizer.stop()
        if self._storage is not None:
            await self._storage.stop()
        log.info("stopped")

    async def _empty(self) -> None:
        """Close the connections of chargers over the seconds of the drain, where there are some, then the port.

        A worker accepts nothing from the beginning: its successor, or a later one, takes what comes on the same socket.
        A daemon of its own goes on to answer, refuses chargers with 503, and lets load balancers see /readyz.
        """
        restarting = self._restarting
        draining = self._settings.drain_s > 0
        farewell = SERVICE_RESTART if restarting or draining else GOING_AWAY
        if self._given.place is not None:
            await self._stop_listening()
        else:
            self._ending.refusing = True
        if draining and self.central is not None and not self._hurried:
            self._drain = Drain(self.central.chargers, self._reactor, self._settings.drain_s, *farewell)
            await self._drain.run()
        if restarting and not self._hurried:
            await self._ending.settled().addTimeout(HANDSHAKE_GRACE_S, self._reactor).addErrback(_trap_unanswered)
        self._ending.refusing, self._ending.closing = True, farewell
        await self._stop_listening()

    async def _stop_listening(self) -> None:
        port, self.port = self.port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    async def _close_chargers(self, central: CentralSystem) -> None:
        """Answer what is being recorded for chargers, and what waits behind that, then close their connections."""
        if self._factory is None or self._storage is None:
            return
        code, reason = self._ending.closing or GOING_AWAY
        overload = self._factory.chargers.overload
        overload.hold(cast(Any, connection.link).backpressure for connection in central.chargers.connections())
        await answered(central.chargers, self._storage.check, self._reactor)
        closed = close_all(central.chargers, self._reactor, code, reason)
        overload.changed(False)  # what confirms the close is read
        for connection in await closed:
            central.disconnected(connection, None, reason)


def make_service(settings: Settings, reactor: Any, given: Given = NOTHING_GIVEN) -> IService:
    """The daemon that these settings describe, or the supervisor of several, not started. Raises StartFailed."""
    check_together(settings, given)
    directory = Path.cwd() if given.place is None else given.place.directory
    kind = Supervisor if settings.workers > 1 else OcppdService
    return cast(IService, kind(settings, reactor, directory, given))


def make_bus(url: str | None, node: str, reactor: Any) -> Bus:
    """The bus of this URL, not started; that of a single node without one. Raises StartFailed."""
    if url is None:
        return LocalBus(node, reactor)
    # txredisapi takes the global reactor when it is imported, so not before the start.
    from ocppd.bus.redis import RedisBus

    return RedisBus(url, node, reactor)


def _tell_no_workers() -> None:
    log.info("SIGUSR2 restarts the workers of --workers one after another; there are none here, and nothing has changed")


def _trap_unanswered(failure: Failure) -> None:
    failure.trap(TimeoutError, StorageUnavailable)


def _log_failure(failure: Failure, what: str) -> None:
    log.failure("{what}", failure, what=what)
