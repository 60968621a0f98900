"""Registers that fall within a transaction: looked for once it has stopped, not when its values come. REQUIREMENTS M-7."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred

from ocppd.central.handlers import Charger
from ocppd.central.meter_values import samples_of
from ocppd.central.watching import Watcher
from ocppd.storage.api import Storage
from ocppd.storage.records import MeterValueFilter, MeterValueRecord, TransactionFilter, TransactionRecord, TransactionState
from ocppd.v16.core import StopTransactionRequest
from ocppd.v16.types import Message

#: The flag of a transaction whose register fell: another meter, or one that went over its end.
FLAG: Final = "registerFell"
#: Values that are looked at, so many at a time; a transaction with more has been looked at enough.
AT_ONCE: Final = 500
MOST: Final = 20_000
#: Of the charger's latest transactions the one that a stop without an id has found.
LATEST: Final = 10
REGISTER: Final = ".Register"

#: What is measured, on which phase, where.
Series = tuple[str, str | None, str | None]


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
        values = await self._values(found.transaction_id)
        if falls(values):
            await self._storage.follow_ups.flag_transaction(found.transaction_id, FLAG)

    async def _stopped(self, charger: str, transaction_id: int) -> TransactionRecord | None:
        if transaction_id > 0:
            return await self._storage.read_transaction(transaction_id)
        which = TransactionFilter(charger=charger, state=TransactionState.STOPPED)
        latest = await self._storage.list_transactions(which, None, LATEST)
        reconciled = [each for each in latest if "reconciled" in each.flags]
        return max(reconciled, key=lambda each: each.stop_received_ms or 0, default=None)

    async def _values(self, transaction_id: int) -> list[MeterValueRecord]:
        which = MeterValueFilter(transaction_id=transaction_id)
        found: list[MeterValueRecord] = []
        after: int | None = None
        while len(found) < MOST:
            some = await self._storage.list_meter_values(which, after, AT_ONCE)
            found += some
            if len(some) < AT_ONCE:
                break
            after = some[-1].sequence + 1
        return found


def falls(values: Iterable[MeterValueRecord]) -> bool:
    """Whether a register of these values of one transaction is lower at a later instant. Pure."""
    highest: dict[Series, Decimal] = {}
    for value in sorted(values, key=lambda each: (each.timestamp_ms, each.sequence)):
        for sample in samples_of(value.samples):
            number = sample.value
            if not sample.measurand.endswith(REGISTER) or not isinstance(number, Decimal):
                continue
            series = (sample.measurand, sample.phase, sample.location)
            if number < highest.setdefault(series, number):
                return True
            highest[series] = number
    return False
