"""The composition root: what the daemon is made of, and the order in which it starts and stops.

Start: bind the port, import the handlers, open and migrate the records, then listen. Stop: no new connections, close
the chargers' with 1001, settle their calls, write what was accepted, close the records. Everything that can go wrong at
the start raises StartFailed before the reactor runs.
"""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, cast

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.bus.api import Bus
from ocppd.bus.local import LocalBus
from ocppd.central.cluster import BEAT_S
from ocppd.central.handlers import CentralSystemHandlers
from ocppd.central.system import CentralSystem
from ocppd.config import Configuration, Settings, load_configuration
from ocppd.errors import ConfigurationError, StartFailed, StorageUnavailable
from ocppd.storage.api import Storage
from ocppd.storage.sql_storage import SqlStorage
from ocppd.user_handlers import load_handlers

log = Logger()

#: A reconnect storm must fit into the kernel's queue (C-5); the kernel may cap it lower.
BACKLOG: Final = 4096
#: How often queued calls are looked through for expired ones.
EXPIRY_INTERVAL_S: Final = 5.0
#: How long requests that are in progress get to be answered after that.
ANSWER_GRACE_S: Final = 2.0
#: How long chargers get to confirm the close when the daemon stops.
CLOSE_GRACE_S: Final = 5.0
GOING_AWAY: Final = 1001


class OcppdService(Service):
    """One daemon. `port` is the listening port while it runs."""

    name = "ocppd"

    def __init__(self, settings: Settings, reactor: Any, directory: Path) -> None:
        self._settings = settings
        self._reactor = reactor
        self._directory = directory
        self._configuration = load_configuration(settings.config)
        self._socket: socket.socket | None = None
        self._storage: Storage | None = None
        self._bus: Bus | None = None
        self._loops: list[LoopingCall] = []
        self._stopping = False
        #: What `listen` of a Twisted endpoint gives (IListeningPort).
        self.port: Any = None
        self._factory: Any = None
        self.central: CentralSystem | None = None

    # Start

    def privilegedStartService(self) -> None:
        """Bind the port, which may need privileges that are dropped afterwards."""
        if self._settings.port.isdigit():
            self._socket = bind(int(self._settings.port))
        else:
            parse_endpoint(self._settings.port, self._reactor)

    def startService(self) -> None:
        """Everything else, in order. Raises StartFailed; what was opened by then is closed again."""
        if self._socket is None and self._settings.port.isdigit():
            self._socket = bind(int(self._settings.port))
        try:
            self._start()
        except BaseException:
            self._undo()
            raise
        super().startService()

    def _start(self) -> None:
        handlers = self._load_handlers()
        node = f"{self._settings.node or default_node(self._settings.port)}#{token_hex(4)}"
        bus = self._bus = make_bus(self._settings.redis, node, self._reactor)
        storage = SqlStorage(self._settings.database, self._reactor, self._settings.secret_key, node=node)
        storage.start()
        self._storage = storage
        unknown_id_tags = self._settings.unknown_id_tags
        self.central = CentralSystem(self._configuration, storage, self._reactor, handlers, bus, unknown_id_tags)
        self.central.cluster.start().addErrback(_log_failure, "calls of the last run could not be settled")
        bus.start(self.central.cluster)
        self._tell_passwords(self._configuration)
        self._listen(self.central, storage)
        self._repeat(self._expire, EXPIRY_INTERVAL_S)
        if storage.shared:
            self._repeat(self._beat, BEAT_S)
        self._take_signals()

    def _repeat(self, call: Callable[[], object], interval_s: float) -> None:
        loop = LoopingCall(call)
        loop.clock = self._reactor
        loop.start(interval_s, now=False)
        self._loops.append(loop)

    def _load_handlers(self) -> CentralSystemHandlers:
        if self._settings.handlers is None:
            return CentralSystemHandlers()
        handlers, warnings = load_handlers(
            self._settings.handlers, list(dict.fromkeys([self._settings.config.parent, self._directory]))
        )
        for warning in warnings:
            log.warn("{warning}", warning=warning)
        return handlers

    def _listen(self, central: CentralSystem, storage: Storage) -> None:
        # Klein installs the global reactor when it is imported, so not before the start.
        from ocppd.net.port import make_factory

        factory = self._factory = make_factory(self._settings, central, storage, self._reactor, lambda: self._stopping)
        if self._socket is not None:
            bound, self._socket = self._socket, None
            bound.setblocking(False)
            self.port = self._reactor.adoptStreamPort(bound.fileno(), bound.family, factory)
            bound.close()
        else:
            self.port = listen_on(self._settings.port, factory, self._reactor)
        log.info(
            "listening on {address}; chargers connect to {paths}",
            address=describe(self.port), paths=", ".join(f"{path}/{{name}}" for path in self._settings.charger_paths),
        )  # fmt: skip

    def _take_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload))

    def _undo(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._storage is not None:
            self._storage.stop().addErrback(lambda _: None)

    # Run

    def reload(self) -> None:
        """Read configs.json again; a wrong one changes nothing. Nobody is disconnected."""
        if self.central is None:
            return
        try:
            configuration = load_configuration(self._settings.config)
        except ConfigurationError as error:
            log.error("the configuration stays as it was: {reason}", reason=str(error))
            return
        self.central.chargers.reconfigure(configuration)
        self._tell_passwords(configuration)
        log.info("configuration reloaded, chargers: {count}", count=len(configuration.chargers))

    def _tell_passwords(self, configuration: Configuration) -> None:
        without = sum(charger.authorization is None for charger in configuration.chargers.values())
        if without:
            total = len(configuration.chargers)
            log.info("chargers that connect without a password: {without} of {total}", without=without, total=total)

    def _expire(self) -> None:
        if self.central is not None:
            expired = self.central.commands.expire()
            expired.addErrback(lambda failure: failure.trap(StorageUnavailable))  # the writer tells of it; the next round is soon
            expired.addErrback(_log_failure, "queued calls could not be looked through")

    def _beat(self) -> None:
        if self.central is not None:
            beaten = self.central.cluster.beat()
            beaten.addErrback(lambda failure: failure.trap(StorageUnavailable))  # the writer tells of it; the next one is soon
            beaten.addErrback(_log_failure, "this node could not say that it lives")

    # Stop

    def stopService(self) -> Deferred[None]:
        """Stop in order; fires when everything that was accepted is on disk."""
        super().stopService()
        self._stopping = True
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for loop in self._loops:
            if loop.running:
                loop.stop()
        if self.port is not None:
            await maybeDeferred(self.port.stopListening)
        if self.central is not None:
            await self._close_chargers(self.central)
            if self._storage is not None:
                await self._storage.check().addErrback(lambda failure: failure.trap(StorageUnavailable))
            self.central.commands.stop_waiting()
        if self._factory is not None:
            await self._factory.site.answered().addTimeout(ANSWER_GRACE_S, self._reactor).addErrback(_trap_timeout)
        if self.central is not None:
            await self.central.cluster.stop().addErrback(lambda failure: failure.trap(StorageUnavailable))
        if self._bus is not None:
            await self._bus.stop()
        if self._storage is not None:
            await self._storage.stop()
        log.info("stopped")

    async def _close_chargers(self, central: CentralSystem) -> None:
        """Close with 1001 and wait until the chargers have confirmed, or the grace is over."""
        for connection in central.chargers.connections():
            connection.link.close(GOING_AWAY, "the central system stops")
        emptied = central.chargers.emptied().addTimeout(CLOSE_GRACE_S, self._reactor)
        await emptied.addErrback(_trap_timeout)
        for connection in central.chargers.connections():
            central.disconnected(connection, None, "the central system stops")


def make_service(settings: Settings, reactor: Any) -> IService:
    """The daemon that these settings describe, not started. Raises ConfigurationError."""
    return cast(IService, OcppdService(settings, reactor, Path.cwd()))


def default_node(port: str) -> str:
    """What this node is called where nobody says: its host, and its port where that is a number."""
    host = socket.gethostname()
    return f"{host}:{port}" if port.isdigit() else host


def make_bus(url: str | None, node: str, reactor: Any) -> Bus:
    """The bus of this URL, not started; that of a single node without one. Raises StartFailed."""
    if url is None:
        return LocalBus(node, reactor)
    # txredisapi takes the global reactor when it is imported, so not before the start.
    from ocppd.bus.redis import RedisBus

    return RedisBus(url, node, reactor)


def bind(port: int) -> socket.socket:
    """A listening socket for IPv6 and IPv4, or for IPv4 where there is no IPv6. Raises StartFailed."""
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        return socket.create_server(("", port), backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise StartFailed(_bind_failure(str(port), error)) from error


def parse_endpoint(endpoint: str, reactor: Any) -> Any:
    """A server endpoint of Twisted. Raises StartFailed."""
    try:
        return serverFromString(reactor, endpoint)
    except Exception as error:  # whatever the parser of this kind of endpoint makes of a wrong one
        raise StartFailed(f"--port {endpoint}: this is no endpoint that Twisted understands ({error})") from error


def listen_on(endpoint: str, factory: Any, reactor: Any) -> Any:
    """Listen on a Twisted endpoint string. Raises StartFailed."""
    listening = parse_endpoint(endpoint, reactor).listen(factory)
    results: list[Any] = []
    listening.addBoth(results.append)
    if not results:
        raise StartFailed(f"--port {endpoint}: this kind of endpoint is not listening at once and is not supported")
    if isinstance(results[0], Failure):
        cause: Any = results[0].value
        raise StartFailed(_bind_failure(endpoint, getattr(cause, "socketError", None) or cause)) from cause
    return results[0]


def describe(port: Any) -> str:
    """The address that a port listens on, for the log."""
    address = port.getHost()
    number = getattr(address, "port", None)
    return str(getattr(address, "name", address)) if number is None else f"port {number}"


def _bind_failure(port: str, error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} is taken by another program; choose another with --port"
    if number == errno.EACCES:
        return f"port {port} needs privileges that this user does not have; choose one from 1024 on with --port"
    return f"cannot listen on port {port}: {error}"


def _trap_timeout(failure: Failure) -> None:
    failure.trap(TimeoutError)


def _log_failure(failure: Failure, what: str) -> None:
    log.failure("{what}", failure, what=what)
