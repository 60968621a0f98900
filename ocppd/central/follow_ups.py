"""What follows calls, beyond the commits of durable messages: messages that no commit looks at, and time. REQUIREMENTS 2.4.

A Heartbeat is in no record, and a MeterValues is too frequent to be looked at in its commit. Both are listened for only while
one is expected; what a node forgets is found in the journal where there is one, when the time is over.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from msgspec import UnsetType
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.calls import Ended, action_of
from ocppd.central.chargers import Chargers
from ocppd.central.registration import asked_message
from ocppd.central.watching import Awaited, Watcher
from ocppd.clock import Clock, now_ms
from ocppd.errors import StorageUnavailable
from ocppd.storage.api.follow_ups import FollowUpRecords
from ocppd.storage.records.follow_ups import TRIGGER_MS
from ocppd.v16.core import MeterValuesRequest
from ocppd.v16.enums import MessageTrigger
from ocppd.v16.types import Message

log = Logger()

#: Of what is due, with one sweep; a portion holds the writer for some 15 ms, and others' writes go between two of them.
MOST_PORTIONS: Final = 200
LISTENED_FOR: Final = frozenset({str(MessageTrigger.HEARTBEAT), str(MessageTrigger.METER_VALUES)})


class FollowUps(Watcher):
    """Listens for what is expected, and has decided what does not come."""

    calls: ClassVar[frozenset[str]] = frozenset({"TriggerMessage", "ExtendedTriggerMessage"})

    def __init__(self, chargers: Chargers, records: FollowUpRecords, awaited: Awaited, clock: Clock, node: str) -> None:
        self._chargers = chargers
        self._records = records
        self._awaited = awaited
        self._clock = clock
        self._node = node
        self._settling = False

    def ended(self, charger: str, request: Message, ended: Ended) -> Deferred[Any] | None:
        """A trigger was accepted: its message is expected, unless it has crossed the answer (OP-16)."""
        expected = asked_message(request, action_of(request).name)
        if expected not in LISTENED_FOR or getattr(ended.result, "status", None) != "Accepted":
            return None
        connector_id = getattr(request, "connector_id", None)
        wanted = None if isinstance(connector_id, UnsetType) else connector_id
        message_id, since_ms = ended.end.message_id, ended.sent_ms or ended.end.ended_ms
        for exchange in self._chargers.recent(charger):
            if exchange.call.action == expected and exchange.received_ms >= since_ms:
                return self._records.seen(message_id, wanted, exchange.received_ms)

        def heard(message: Message) -> bool:
            if wanted is not None and isinstance(message, MeterValuesRequest) and message.connector_id != wanted:
                return False
            self._records.seen(message_id, wanted, now_ms(self._clock)).addErrback(_log_failure, charger)
            return True

        self._awaited.expect(charger, expected, heard, now_ms(self._clock) + TRIGGER_MS)
        return None

    def sweep(self, now_ms: int) -> Deferred[Any] | None:
        """See what time has run out for, all of it. Every node does, and each of the rows is one node's."""
        self._awaited.forget(now_ms)
        if self._settling:
            return None
        self._settling = True
        return Deferred.fromCoroutine(self._settle(now_ms)).addBoth(self._settled)

    async def _settle(self, now_ms: int) -> None:
        """Portion after portion: where thousands are due in a second, none is to be told much later than the first."""
        if await self._records.is_due(now_ms):
            for _ in range(MOST_PORTIONS):
                if not (await self._records.settle(now_ms, self._node)).more:
                    break

    def _settled(self, result: Any) -> Any:
        self._settling = False
        return result


def _log_failure(failure: Failure, charger: str) -> None:
    if not failure.check(StorageUnavailable):
        log.failure("{charger}: a message that was asked for could not be recorded as seen", failure, charger=charger)
