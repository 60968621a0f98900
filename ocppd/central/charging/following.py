"""What is done about charging profiles without being asked: profiles for transactions that begin, and what follows a refusal.

REQUIREMENTS T-10, K-7, 4.4. A charger that refuses a TxProfile is sent it as a TxDefaultProfile where its operator wants that;
that one is cleared when the transaction has ended. The records say what is due, and who does it: each node looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.calls import Ended
from ocppd.central.charging.limits import beyond
from ocppd.central.charging.sending import GOES_ON, PROFILE, Sending, Wish, as_default
from ocppd.central.handlers import Charger
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, now_ms, steady_ms
from ocppd.errors import CallFailed, OcppdError, StorageUnavailable
from ocppd.storage.api import Storage
from ocppd.storage.records.charging import InstalledProfile, Order, Template
from ocppd.v16.codec import decode
from ocppd.v16.core import StartTransactionConfirmation, StartTransactionRequest
from ocppd.v16.smart_charging import ClearChargingProfileRequest, SetChargingProfileConfirmation, SetChargingProfileRequest
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import AuthorizationStatus, ChargingProfile, ChargingProfileStatus, Message

log = Logger()

#: A start that is older was kept while the charger was offline: its transaction may be over (section 5.16.1). One that is ahead
#: is of a clock that is wrong.
RECENT_MS: Final = 5 * 60 * 1000
#: What could not be cleared is left alone for so long, and for twice as long after each attempt, up to the longest.
CLEAR_RETRY_MS: Final = 10 * 1000
LONGEST_RETRY_MS: Final = 10 * 60 * 1000
#: Orders whose node died are looked for so long after the start, when all that goes on is on record, and then so often.
LOST_FIRST_MS: Final = 2 * 60 * 1000
LOST_AGAIN_MS: Final = 60 * 60 * 1000


class ChargingFollower(Watcher):
    """Sends what is due."""

    messages = frozenset({"StartTransaction"})
    calls = frozenset({"SetChargingProfile"})

    def __init__(
        self, storage: Storage, sending: Sending, clock: Clock, allowed: Callable[[str], bool] = lambda charger: True
    ) -> None:
        """`allowed` says whether a charger may be sent something that no operator has just asked for (B-8)."""
        self._storage = storage
        self._sending = sending
        self._clock = clock
        self._allowed = allowed
        #: Rows that could not be cleared from here: for how long they are left alone, and until when (ms).
        self._uncleared: dict[int, tuple[int, int]] = {}
        #: When lost orders are looked for the next time (`steady_ms`).
        self._lost_ms = steady_ms(clock) + LOST_FIRST_MS

    # Transactions that begin

    def received(self, charger: Charger, request: Message, answer: Message) -> None:
        """A transaction has begun: what is kept for it is sent after the answer, where it is accepted and recent (T-10)."""
        assert isinstance(request, StartTransactionRequest) and isinstance(answer, StartTransactionConfirmation)
        if self._sending.at_start == () or answer.id_tag_info.status is not AuthorizationStatus.ACCEPTED:
            return
        if self._is_recent(request.timestamp) and self._allowed(charger.name):
            began = self._began(charger.name, request.connector_id, answer.transaction_id)
            Deferred.fromCoroutine(began).addErrback(_log_failure, charger.name)

    def _is_recent(self, timestamp: str) -> bool:
        try:
            return now_ms(self._clock) - parse_timestamp(timestamp) <= RECENT_MS
        except ValueError:
            return False

    async def _began(self, charger: str, connector_id: int, transaction_id: int) -> None:
        templates = self._sending.at_start
        if templates is None:
            templates = self._sending.at_start = await self._storage.charging.templates_at_start()
        limits = await self._sending.limits(charger)
        orders = []
        for template in chosen(templates, charger):
            refused = [str(each) for each in beyond(template.profile, limits, PROFILE)]
            if refused:
                log.warn("{charger}: template {id} is not sent: {why}", charger=charger, id=template.template_id, why=refused)
                continue
            profile = msgspec.structs.replace(template.profile, transaction_id=transaction_id)
            orders.append(
                Order(
                    charger=charger,
                    connector_id=connector_id,
                    profile=profile,
                    template_id=template.template_id,
                    fallback=template.fallback,
                    most=limits.max_installed,
                )
            )
        made = await self._storage.charging.order_at_start(tuple(orders), transaction_id, now_ms(self._clock))
        for ordered in made:
            if ordered.profile is None:
                log.warn("{charger}: has no room for the profile of a template", charger=charger)
                continue
            try:
                await self._sending.submit(charger, ordered, offline=False)
            except CallFailed as error:
                log.warn("{charger}: the profile of a template was not sent: {why}", charger=charger, why=str(error))

    # What follows a refusal

    def ended(self, charger: str, request: Message, ended: Ended) -> Deferred[Any] | None:
        """A profile was not accepted: something else may be due."""
        result = ended.result
        if isinstance(result, SetChargingProfileConfirmation) and result.status is ChargingProfileStatus.ACCEPTED:
            return None
        return Deferred.fromCoroutine(self._look())

    def sweep(self, now_ms: int) -> Deferred[Any] | None:
        """See what is due, and which templates there are."""
        return Deferred.fromCoroutine(self._look())

    async def _look(self) -> None:
        now = now_ms(self._clock)
        due = await self._storage.charging.due_profiles(now)
        self._sending.at_start = due.at_start
        for row in due.refused:
            if self._allowed(row.charger) and await self._storage.charging.claim_fallback(row.row_id, now):
                await self._fall_back(row)
                await self._storage.charging.fallback_settled(row.row_id)
        self._uncleared = {key: each for key, each in self._uncleared.items() if abs(now - each[1]) <= LONGEST_RETRY_MS}
        for row in due.outlived:
            _, until_ms = self._uncleared.get(row.row_id, (0, now))
            if until_ms <= now and self._allowed(row.charger) and await self._storage.charging.claim_outlived(row.row_id, now):
                await self._clear(row, now)
        if steady_ms(self._clock) >= self._lost_ms:
            self._lost_ms = steady_ms(self._clock) + LOST_AGAIN_MS
            for row_id in await self._storage.charging.lost_orders(now):
                await self._storage.charging.withdraw_order(row_id)

    async def _fall_back(self, row: InstalledProfile) -> None:
        """Send a refused TxProfile as a TxDefaultProfile, where its transaction goes on.

        With StorageUnavailable it is due again, as where the node dies meanwhile; one that is sent twice so takes its own place
        (K-4).
        """
        assert row.transaction_id is not None
        transaction = await self._storage.read_transaction(row.transaction_id)
        if transaction is None or transaction.state not in GOES_ON:
            return
        try:
            profile, _ = decode(ChargingProfile, row.text.encode(), strict=False)
            request = SetChargingProfileRequest(connector_id=row.connector_id, cs_charging_profiles=profile)
            wish = Wish(charger=row.charger, request=request, template_id=row.template_id)
            wish = as_default(wish, await self._storage.charging.installed_profiles(row.charger))
            await self._sending.send(wish)
            log.info(
                "{charger}: refused a TxProfile ({outcome}), and is sent a TxDefaultProfile",
                charger=row.charger,
                outcome=row.outcome,
            )
        except StorageUnavailable:
            raise
        except OcppdError as error:
            log.warn("{charger}: no TxDefaultProfile was sent in its place: {why}", charger=row.charger, why=str(error))

    async def _clear(self, row: InstalledProfile, at_ms: int) -> None:
        """The transaction that it stood in for has ended: others are not to be limited by it."""
        try:
            await self._sending.command(row.charger, ClearChargingProfileRequest(id=row.profile_id))
        except StorageUnavailable:
            raise
        except OcppdError as error:
            if row.row_id not in self._uncleared:  # of further attempts nobody needs to hear
                who, why = row.charger, str(error)
                log.warn("{charger}: profile {id} is not cleared yet: {why}", charger=who, id=row.profile_id, why=why)
            delay_ms, _ = self._uncleared.get(row.row_id, (CLEAR_RETRY_MS // 2, at_ms))
            delay_ms = min(2 * delay_ms, LONGEST_RETRY_MS)
            self._uncleared[row.row_id] = delay_ms, at_ms + delay_ms
            await self._storage.charging.restore_outlived(row.row_id)


def chosen(templates: Iterable[Template], charger: str) -> list[Template]:
    """Those for a transaction at this charger: one per stack level, where one that names the charger comes first."""
    here = [each for each in templates if each.chargers is None or charger in each.chargers]
    levels: dict[int, Template] = {}
    for each in sorted(here, key=lambda template: (template.chargers is None, template.template_id)):
        levels.setdefault(each.profile.stack_level, each)
    return [levels[level] for level in sorted(levels)]


def _log_failure(failure: Failure, charger: str) -> None:
    if failure.check(StorageUnavailable, OcppdError):
        log.warn("{charger}: no profile was sent for a transaction: {why}", charger=charger, why=failure.getErrorMessage())
    else:
        log.failure("{charger}: sending profiles for a transaction failed", failure, charger=charger)
