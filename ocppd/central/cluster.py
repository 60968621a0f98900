"""This node among the others: what the bus tells, and that it lives. Where there is but one node, none of it happens.

Knows neither Redis nor SQL.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.bus.api import Bus, BusMessage, CloseConnection, Ended, Look
from ocppd.central.chargers import Chargers
from ocppd.central.commands import Commands
from ocppd.central.connection import REPLACED_CLOSE
from ocppd.central.ends import Ends
from ocppd.errors import BusUnavailable, NotConnected, StorageUnavailable
from ocppd.storage.api import Storage
from ocppd.storage.records import Census, ChargerRecord

log = Logger()

#: How often a node says in the records that it lives.
BEAT_S: Final = 2.0
#: A node that has not said so for so long is dead, and what it has sent and heard nothing about is `unknown`.
LEASE_S: Final = 10.0
#: After so many beats whoever waits for a call is told its end, if the node that should have told it could not.
BEATS_TO_LOOK: Final = 5
#: RFC 6455 7.4.1: going away.
CLOSED_BY_OPERATOR: Final = 1001


class Cluster:
    """The `Listener` of the bus."""

    def __init__(self, storage: Storage, chargers: Chargers, commands: Commands, ends: Ends, bus: Bus) -> None:
        self._storage = storage
        self._chargers = chargers
        self._commands = commands
        self._ends = ends
        self._bus = bus
        self._others = 0
        self._revived = False
        self._beats = 0

    # What the bus tells

    def received(self, message: BusMessage) -> None:
        """A message of another node."""
        match message:
            case Look(charger):
                self._commands.look(charger)
            case Ended(message_id):
                self._ends.recorded(message_id)
            case CloseConnection(charger):
                connection = self._chargers.connection(charger)
                if connection is not None:
                    connection.link.close(CLOSED_BY_OPERATOR, "closed by an operator")

    def superseded(self, charger: str, generation: int) -> None:
        """The charger has a newer connection on another node (C-1)."""
        connection = self._chargers.connection(charger)
        if connection is not None and connection.generation < generation:
            # What waits here is in the records, where the newer connection has found it.
            connection.close_calls()
            connection.link.close(REPLACED_CLOSE, "replaced by a newer connection")

    def restored(self) -> None:
        """Messages may have been lost: look after everything that they could have been about."""
        self._ends.look_again()
        queued = self._storage.queued_chargers().addCallback(self._look_after)
        queued.addErrback(self._try_again)
        queued.addErrback(_log_bug)

    def _look_after(self, holders: dict[str, str]) -> None:
        """Look for the calls of our own chargers, and have others look: what we had to tell them may be lost, too."""
        for charger, node in holders.items():
            if node == self._bus.node:
                self._commands.look(charger)
            else:
                self._bus.send(node, Look(charger)).addErrback(_untold)

    def _try_again(self, failure: Failure) -> None:
        failure.trap(StorageUnavailable)
        self._ends.keep("restored", lambda: maybeDeferred(self.restored))

    # What this node tells

    def close_connection(self, charger: str) -> Deferred[None]:
        """Close the connection of a charger, wherever it is.

        Raises UnknownCharger. Fails with NotConnected, BusUnavailable or StorageUnavailable.
        """
        self._chargers.settings(charger)
        connection = self._chargers.connection(charger)
        if connection is not None:
            connection.link.close(CLOSED_BY_OPERATOR, "closed by an operator")
            return succeed(None)

        def found(records: dict[str, ChargerRecord]) -> Deferred[bool]:
            record = records.get(charger)
            if record is None or record.node in (None, self._bus.node):
                raise NotConnected(charger)
            return self._bus.send(str(record.node), CloseConnection(charger))

        def sent(taken: bool) -> None:
            if not taken:
                raise NotConnected(charger)

        return self._storage.read_chargers([charger]).addCallback(found).addCallback(sent)

    def start(self) -> Deferred[None]:
        """This node begins to live in the records, before any charger does by it."""
        return self._storage.node_started().addCallback(self._counted)

    def beat(self) -> Deferred[None]:
        """This node still lives. Fails with StorageUnavailable."""
        self._beats += 1
        if self._beats % BEATS_TO_LOOK == 0:
            self._ends.look_again()
        return self._storage.node_alive(LEASE_S).addCallback(self._counted)

    def stop(self) -> Deferred[None]:
        """This node holds nothing more. Fails with StorageUnavailable."""
        return self._storage.node_stopped().addCallback(self._ends.dropped)

    def _counted(self, census: Census) -> None:
        if census.dropped:
            log.warn(
                "{count} calls of a node that ended were sent and not answered, or waited for its connections",
                count=len(census.dropped),
            )
        self._ends.dropped(census.dropped)
        if census.revived or self._revived:  # others took us for dead, and told us nothing; some may still be about to
            self.restored()
        self._revived = census.revived
        # Until then one of them may be the last run of this node, which was killed.
        others = census.others if self._beats > LEASE_S / BEAT_S else 0
        if others and not self._others and self._bus.alone:
            log.warn(
                "{count} other nodes use this database, and without --redis none of them reaches the others' chargers",
                count=others,
            )
        self._others = others


def _untold(failure: Failure) -> None:
    failure.trap(BusUnavailable)


def _log_bug(failure: Failure) -> None:
    log.failure("the calls that wait were not looked through", failure)
