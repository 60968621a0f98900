"""What is due after a connection or a boot: a boot that does not come, statuses that do not. REQUIREMENTS B-5, B-7, R-4.

In memory alone: what is due is due on the node that has the connection, and a new connection begins again.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.chargers import Chargers
from ocppd.central.handlers import Charger
from ocppd.central.unasked import Unasked
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, now_ms, steady_ms
from ocppd.storage.api import ChargerRecords
from ocppd.storage.records import ConnectorRecord
from ocppd.v16.core import BootNotificationConfirmation
from ocppd.v16.enums import MessageTrigger
from ocppd.v16.remote_trigger import TriggerMessageRequest
from ocppd.v16.types import Message, RegistrationStatus

log = Logger()

#: R-4: a charger that has sent something else before its boot is asked for it soon, a silent one later.
SPOKEN_MS: Final = 10 * 1000
SILENT_MS: Final = 60 * 1000
#: B-7: how long an accepted charger may take to tell the statuses of all its connectors (errata 3.22).
STATUSES_MS: Final = 60 * 1000
#: Chargers that are asked, or looked after, by one sweep: after a storm thousands are due in the same second.
AT_ONCE: Final = 250


class Boots(Watcher):
    """Asks once for what should have come by itself."""

    messages: ClassVar[frozenset[str]] = frozenset({"BootNotification"})

    def __init__(self, chargers: Chargers, records: ChargerRecords, unasked: Unasked, clock: Clock) -> None:
        self._chargers = chargers
        self._records = records
        self._unasked = unasked
        self._clock = clock
        #: When chargers without a registration are asked to boot, with the generation of the connection; 0: they were.
        self._unbooted: dict[str, tuple[int, int]] = {}
        #: When chargers have booted whose statuses are expected, oldest first: as `steady_ms` and as `now_ms` had it.
        self._booted: dict[str, tuple[int, int]] = {}

    def connected(self, charger: Charger) -> None:
        """Whether it has a registration is known from its connection."""
        connection = self._chargers.connection(charger.name)
        if connection is not None and connection.registration is None:
            self._unbooted[charger.name] = (steady_ms(self._clock) + SILENT_MS, connection.generation)
        else:
            self._unbooted.pop(charger.name, None)

    def refused(self, charger: Charger, action: str) -> None:
        """It does not wait for its registration (B-5)."""
        due_ms, generation = self._unbooted.get(charger.name, (0, 0))
        if due_ms:
            self._unbooted[charger.name] = (min(due_ms, steady_ms(self._clock) + SPOKEN_MS), generation)

    def received(self, charger: Charger, request: Message, answer: Message) -> None:
        """It has booted."""
        self._unbooted.pop(charger.name, None)
        self._booted.pop(charger.name, None)
        if isinstance(answer, BootNotificationConfirmation) and answer.status is RegistrationStatus.ACCEPTED:
            self._booted[charger.name] = steady_ms(self._clock), now_ms(self._clock)

    def sweep(self, now_ms: int) -> Deferred[Any] | None:
        """Ask for what is due."""
        passed_ms, asked = steady_ms(self._clock), 0
        for name, (due_ms, generation) in list(self._unbooted.items()):
            connection = self._chargers.connection(name)
            if connection is None or connection.generation != generation or connection.registration is not None:
                del self._unbooted[name]
            elif 0 < due_ms <= passed_ms and asked < AT_ONCE:
                asked += 1
                self._unbooted[name] = (0, generation)
                self._ask(name, MessageTrigger.BOOT_NOTIFICATION)
        due: dict[str, tuple[int, int]] = {}
        for name, booted in self._booted.items():
            if booted[0] + STATUSES_MS > passed_ms or len(due) == AT_ONCE:
                break
            due[name] = booted
        for name in due:
            del self._booted[name]
        wanted = {name: booted for name, booted in due.items() if self._chargers.connection(name) and self._unasked.allowed(name)}
        if not wanted:
            return None
        return self._records.read_connectors(tuple(wanted)).addCallbacks(
            self._found, self._not_read, callbackArgs=(wanted,), errbackArgs=(wanted,)
        )

    def _not_read(self, failure: Failure, booted: dict[str, tuple[int, int]]) -> Failure:
        """They are looked after by the next sweep, those that have booted anew meanwhile in their turn."""
        again = {name: each for name, each in booted.items() if name not in self._booted}
        self._booted = again | self._booted
        return failure

    def _found(self, connectors: dict[str, tuple[ConnectorRecord, ...]], booted: dict[str, tuple[int, int]]) -> None:
        for name, (_, at_ms) in booted.items():
            of_charger = connectors.get(name, ())
            if not of_charger or any(each.received_ms < at_ms for each in of_charger):
                self._ask(name, MessageTrigger.STATUS_NOTIFICATION)

    def _ask(self, name: str, message: MessageTrigger) -> None:
        sent = maybeDeferred(self._unasked.submit, name, TriggerMessageRequest(requested_message=message))
        sent.addErrback(_log_not_sent, name, str(message))


def _log_not_sent(failure: Failure, charger: str, message: str) -> None:
    log.info(
        "{charger}: was not asked for {message}: {reason}", charger=charger, message=message, reason=failure.getErrorMessage()
    )
