"""The registry of chargers: name → settings, live connection, recent messages. REQUIREMENTS 1.4.

The newest connection of a name wins by its generation (C-1); what an older one does late changes nothing (C-2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from weakref import WeakSet

from twisted.internet.defer import Deferred, succeed

from ocppd.central.connection import REPLACED_CLOSE, Connection, Exchange
from ocppd.central.recent import Recent
from ocppd.clock import Clock, now_ms
from ocppd.config import ChargerSettings, Configuration
from ocppd.errors import UnknownCharger
from ocppd.ocppj.session import Memory
from ocppd.storage.records.registry import UnknownIdentity

#: H-5: identities that tried to connect and are not known, of which the records are not told yet. A flood of names is cut off.
UNKNOWN_KEPT: Final = 200


class Chargers:
    """Who is configured, and who is connected."""

    def __init__(self, configuration: Configuration, clock: Clock) -> None:
        self._configuration = configuration
        self._names = sorted(configuration.chargers)
        self._clock = clock
        self._connections: dict[str, Connection] = {}
        #: Those that are over: what came on them may still be being recorded, which is for how long they live.
        self._leaving: WeakSet[Connection] = WeakSet()
        self._recent = Recent()
        #: What sessions keep to be repeated.
        self.memory = Memory()
        self._unknown: dict[str, UnknownIdentity] = {}
        self._emptied: Deferred[None] | None = None
        #: Handshakes that the records have been asked about, by name.
        self._connecting: Counter[str] = Counter()
        #: Those of them that calls came for meanwhile.
        self._to_look: set[str] = set()

    # Configuration

    @property
    def configuration(self) -> Configuration:
        """What is configured now."""
        return self._configuration

    @property
    def queue_limit(self) -> int:
        """Calls that may wait for one charger (`MaxQueueSize`)."""
        return self._configuration.max_queue_size

    def reconfigure(self, configuration: Configuration) -> None:
        """Take a new configuration; nobody is disconnected, connections keep the settings they were accepted with."""
        self._configuration = configuration
        self._names = sorted(configuration.chargers.keys() | self._connections.keys())
        for name in self._unknown.keys() & configuration.chargers.keys():
            del self._unknown[name]

    def configured(self, name: str) -> ChargerSettings:
        """The settings of a charger that may connect now. Raises UnknownCharger."""
        try:
            return self._configuration.chargers[name]
        except KeyError:
            raise UnknownCharger(name) from None

    def settings(self, name: str) -> ChargerSettings:
        """The settings of a charger: as configured, or of one that was removed and is still connected.

        Raises UnknownCharger.
        """
        connection = self._connections.get(name)
        if connection is not None and name not in self._configuration.chargers:
            return connection.settings
        return self.configured(name)

    def names(self) -> list[str]:
        """The chargers in order of their names: those that are configured, and those that were and are still connected."""
        return [name for name in self._names if self.knows(name)]

    def knows(self, name: str) -> bool:
        """Whether there are settings for this name."""
        return name in self._configuration.chargers or name in self._connections

    # Connections

    def connection(self, name: str) -> Connection | None:
        """The live connection of a charger."""
        connection = self._connections.get(name)
        return None if connection is None or connection.closed else connection

    def count(self) -> int:
        """How many are connected."""
        return len(self._connections)

    def connections(self) -> Iterator[Connection]:
        """All live connections, as they are now."""
        return iter(list(self._connections.values()))

    def answering(self) -> bool:
        """Whether a call of a charger is in progress, or waits behind one; of one that has hung up, too."""
        return any(each.session.current is not None for each in (*self._connections.values(), *self._leaving))

    def connecting(self, name: str) -> None:
        """A handshake has passed its checks; `connected` follows in any case."""
        self._connecting[name] += 1

    def connected(self, name: str) -> bool:
        """That handshake is over, for good or not; whether calls came for the charger meanwhile."""
        came = name in self._to_look
        self._connecting[name] -= 1
        if self._connecting[name] <= 0:
            del self._connecting[name]
            self._to_look.discard(name)
        return came

    def is_connecting(self, name: str) -> bool:
        """Whether the charger may be about to have a connection here."""
        return name in self._connecting

    def look_when_connected(self, name: str) -> None:
        """Calls came for a charger that is not connected here, or not yet."""
        if name in self._connecting:
            self._to_look.add(name)

    def attach(self, connection: Connection) -> bool:
        """Make this the connection of its charger and close an older one; False where a newer one is there already."""
        older = self._connections.get(connection.name)
        if older is not None and older.generation > connection.generation:
            return False
        self._connections[connection.name] = connection
        self.memory.share(len(self._connections))
        if older is not None:
            self._leaving.add(older)
            kept = older.close_calls()
            if kept:
                connection.outbox.take_over(kept)
            older.link.close(REPLACED_CLOSE, "replaced by a newer connection")
        connection.pump()
        return True

    def detach(self, connection: Connection) -> None:
        """The connection is gone; only its own generation is touched."""
        self._leaving.add(connection)
        if self._connections.get(connection.name) is connection:
            del self._connections[connection.name]
            self.memory.share(len(self._connections))
        if not self._connections and self._emptied is not None:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    def emptied(self) -> Deferred[None]:
        """Fires once nobody is connected; for one caller, who has closed all connections."""
        if not self._connections:
            return succeed(None)
        self._emptied = Deferred(lambda _: setattr(self, "_emptied", None))
        return self._emptied

    # What is remembered

    def remember(self, name: str, exchange: Exchange) -> None:
        """Keep a message that is not journaled, in memory, with the newest ones of its charger."""
        self._recent.remember(name, exchange)

    def recent(self, name: str) -> list[Exchange]:
        """The messages of a charger that are not journaled, newest first."""
        return self._recent.of(name)

    def find_recent(self, message_id: str) -> Iterator[tuple[str, Exchange] | None]:
        """See `Recent.find`: of the chargers that are known, None between two pieces of the work."""
        return (found for found in self._recent.find(message_id) if found is None or self.knows(found[0]))

    def refused(self, name: str, remote_ip: str) -> None:
        """An identity that is not known tried to connect (H-5)."""
        at_ms = now_ms(self._clock)
        unknown = self._unknown.get(name)
        if unknown is None:
            if len(self._unknown) < UNKNOWN_KEPT:
                self._unknown[name] = UnknownIdentity(name, remote_ip, at_ms, at_ms)
        else:
            attempts = unknown.attempts + 1
            self._unknown[name] = replace(unknown, remote_ip=remote_ip, last_ms=at_ms, attempts=attempts)

    def take_unknown(self) -> list[UnknownIdentity]:
        """The identities that were refused since this was asked for last, for the records."""
        unknown, self._unknown = list(self._unknown.values()), {}
        return unknown

    def give_back(self, unknown: list[UnknownIdentity]) -> None:
        """The records could not be told of these."""
        for each in unknown:
            later = self._unknown.get(each.name)
            if later is not None:
                each = replace(later, first_ms=each.first_ms, attempts=each.attempts + later.attempts)
            if later is not None or len(self._unknown) < UNKNOWN_KEPT:
                self._unknown[each.name] = each
