"""Registers that fall within a transaction: looked for once it has stopped, not when its values come. REQUIREMENTS M-7."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from operator import itemgetter
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred

from ocppd.central.handlers import Charger
from ocppd.central.meter_values import registers_of
from ocppd.central.watching import Watcher
from ocppd.storage.api import Storage
from ocppd.storage.records import (
    MeterValueFilter,
    MeterValueRecord,
    TransactionFilter,
    TransactionRecord,
    TransactionState,
    ends,
)
from ocppd.v16.core import StopTransactionRequest
from ocppd.v16.types import Message

#: The flag of a transaction whose register fell: another meter, or one that went over its end.
FLAG: Final = "registerFell"
#: Values that are looked at, so many at a time; a transaction with more has been looked at enough.
AT_ONCE: Final = 500
MOST: Final = 20_000
#: Of the charger's latest transactions the one that a stop without an id has found.
LATEST: Final = 10

#: What is measured, on which phase, where.
Series = tuple[str, str | None, str | None]
#: When it was measured, the place of its row, what, and how much.
Reading = tuple[int, int, Series, Decimal]


class Registers(Watcher):
    """Looks at the values of each transaction that its charger has stopped."""

    messages: ClassVar[frozenset[str]] = frozenset({"StopTransaction"})

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def received(self, charger: Charger, request: Message, answer: Message) -> Any:
        """A stop: later than its answer, and on the reading side of the records."""
        assert isinstance(request, StopTransactionRequest)
        return Deferred.fromCoroutine(self._look(charger.name, request.transaction_id))

    async def _look(self, charger: str, transaction_id: int) -> None:
        found = await self._stopped(charger, transaction_id)
        if found is None or found.charger != charger or FLAG in found.flags:
            return
        if falls(await self._readings(found.transaction_id)):
            await self._storage.follow_ups.flag_transaction(found.transaction_id, FLAG)

    async def _stopped(self, charger: str, transaction_id: int) -> TransactionRecord | None:
        if transaction_id > 0:
            return await self._storage.read_transaction(transaction_id)
        which = TransactionFilter(charger=charger, state=TransactionState.STOPPED)
        latest = await self._storage.list_transactions(which, None, LATEST)
        reconciled = [each for each in latest if "reconciled" in each.flags]
        return max(reconciled, key=lambda each: each.stop_received_ms or 0, default=None)

    async def _readings(self, transaction_id: int) -> list[Reading]:
        """Its registers. Each portion of rows is read when it comes: all at once would hold up every charger of this node."""
        which = MeterValueFilter(transaction_id=transaction_id)
        found: list[Reading] = []
        count, after = 0, None
        while count < MOST:
            some = await self._storage.list_meter_values(which, after, AT_ONCE)
            found += readings(some)
            if ends(some, AT_ONCE):
                break
            count, after = count + len(some), some[-1].sequence + 1
        return found


def readings(values: Iterable[MeterValueRecord]) -> Iterator[Reading]:
    """The registers of these values that are numbers. Pure."""
    for value in values:
        for sample in registers_of(value.samples):
            if isinstance(sample.value, Decimal):
                series = (sample.measurand, sample.phase, sample.location)
                yield value.timestamp_ms, value.sequence, series, sample.value


def falls(found: Iterable[Reading]) -> bool:
    """Whether a register of one transaction is lower at a later instant. Pure."""
    highest: dict[Series, Decimal] = {}
    for _, _, series, number in sorted(found, key=itemgetter(0, 1)):
        if number < highest.setdefault(series, number):
            return True
        highest[series] = number
    return False
