"""Charging profiles on their way to chargers: every check that can be made before, and a note of what was asked for.

REQUIREMENTS K-1 to K-4, K-7. Knows no HTTP; what follows by itself is in `following`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec
from msgspec import UNSET
from twisted.internet.defer import Deferred, maybeDeferred

from ocppd.central.charging.limits import LimitsOf, beyond, unknown_limits
from ocppd.central.charging.previews import Situation, situation
from ocppd.central.commands import Commands
from ocppd.clock import Clock, now_ms
from ocppd.errors import Conflict, ErrorCode, InvalidPayload, Violation
from ocppd.storage.api import Storage
from ocppd.storage.records import MessageRecord, TransactionRecord, TransactionState
from ocppd.storage.records.charging import InstalledProfile, Mark, Order, Ordered, Template
from ocppd.v16.codec import decode
from ocppd.v16.smart_charging import SetChargingProfileRequest
from ocppd.v16.types import ChargingProfile, ChargingProfilePurposeType, Message

ACTION = "SetChargingProfile"
#: Where the profile stands in the request.
PROFILE = "/csChargingProfiles"
#: What a transaction is while a profile can be given to it.
GOES_ON = (TransactionState.OPEN, TransactionState.STOP_MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A profile for a charger, by the letter; its id is 0 where one is to be given to it.

    `fallback`: a TxDefaultProfile is sent where the charger refuses the TxProfile. `standing_in`: the transaction that this
    TxDefaultProfile is one of.
    """

    charger: str
    request: SetChargingProfileRequest
    template_id: int | None = None
    fallback: bool = False
    standing_in: int | None = None


class Sending:
    """Sends profiles. `limits` says what a charger can take; by default nobody knows."""

    def __init__(self, storage: Storage, commands: Commands, clock: Clock, limits: LimitsOf = unknown_limits) -> None:
        self._storage = storage
        self._commands = commands
        self._clock = clock
        self.limits = limits
        #: The templates for transactions that begin, as of the last look; None: look before the next one begins.
        self.at_start: tuple[Template, ...] | None = None

    async def send(self, wish: Wish, *, offline: bool | None = None, ttl_s: float | None = None) -> MessageRecord:
        """Check, note and send it; gives the message as it was accepted.

        Fails with InvalidPayload (pointers into the request), Conflict, or what `Commands.submit` fails with; then nothing is
        queued.
        """
        await self._check_transaction(wish)
        ordered = await self.order(wish)
        return await self.submit(wish.charger, ordered, offline=offline, ttl_s=ttl_s)

    async def _check_transaction(self, wish: Wish) -> None:
        profile = wish.request.cs_charging_profiles
        if profile.charging_profile_purpose is not ChargingProfilePurposeType.TX_PROFILE:
            return
        found = await self._transaction(wish, profile.transaction_id)
        if found.connector_id != wish.request.connector_id:
            raise _invalid("/connectorId", f"transaction {found.transaction_id} is on connector {found.connector_id}")
        if found.state not in GOES_ON:
            raise Conflict(f"transaction {found.transaction_id} is {found.state}, and its profiles have ended with it")

    async def _transaction(self, wish: Wish, transaction_id: object) -> TransactionRecord:
        found = await self._storage.read_transaction(transaction_id) if isinstance(transaction_id, int) else None
        if found is None or found.charger != wish.charger:
            raise _invalid(f"{PROFILE}/transactionId", "the charger has no such transaction")
        return found

    async def order(self, wish: Wish) -> Ordered:
        """Note a profile that the charger can take as far as is known. Fails with InvalidPayload or Conflict."""
        limits = await self.limits(wish.charger)
        profile = wish.request.cs_charging_profiles
        violations = tuple(beyond(profile, limits, PROFILE))
        if violations:
            raise InvalidPayload(ACTION, violations)
        order = Order(
            charger=wish.charger,
            connector_id=wish.request.connector_id,
            profile=profile,
            template_id=wish.template_id,
            fallback=wish.fallback,
            standing_in=wish.standing_in,
            most=limits.max_installed,
        )
        ordered = await self._storage.charging.order_profile(order, now_ms(self._clock))
        if ordered.profile is None:
            raise Conflict(f"charger {wish.charger!r} holds {limits.max_installed} profiles, and cannot take another one")
        return ordered

    async def submit(
        self, charger: str, ordered: Ordered, *, offline: bool | None = None, ttl_s: float | None = None
    ) -> MessageRecord:
        """Send what is on order; where that fails it is no longer on order. `offline` and `ttl_s` are those of a command."""
        assert ordered.profile is not None
        request = SetChargingProfileRequest(connector_id=ordered.connector_id, cs_charging_profiles=ordered.profile)
        try:
            return await maybeDeferred(self._commands.submit, charger, request, offline=offline, ttl_s=ttl_s)
        except Exception:
            await self._storage.charging.withdraw_order(ordered.row_id)
            raise

    def situation(self, charger: str) -> Deferred[Situation]:
        """What is known of a charger that matters for its limits. Fails with StorageUnavailable."""
        return Deferred.fromCoroutine(situation(self._storage, charger))

    async def command(self, charger: str, request: Message) -> MessageRecord:
        """Send anything else, as any command."""
        return await maybeDeferred(self._commands.submit, charger, request)


def as_default(wish: Wish, installed: Iterable[InstalledProfile]) -> Wish:
    """A TxProfile as the TxDefaultProfile that takes its place, for as long as its transaction goes on.

    Its stack level is the first from its own on where nothing of what is installed is lost by it (K-4).
    """
    profile = wish.request.cs_charging_profiles
    assert isinstance(profile.transaction_id, int)
    taken = {each.stack_level for each in installed if _would_be_lost(each, wish)}
    level = profile.stack_level
    while level in taken:
        level += 1
    other = msgspec.structs.replace(
        profile,
        charging_profile_id=0,
        stack_level=level,
        charging_profile_purpose=ChargingProfilePurposeType.TX_DEFAULT_PROFILE,
        transaction_id=UNSET,
    )
    request = msgspec.structs.replace(wish.request, cs_charging_profiles=other)
    return replace(wish, request=request, fallback=False, standing_in=profile.transaction_id)


def _would_be_lost(row: InstalledProfile, wish: Wish) -> bool:
    """Whether it is a TxDefaultProfile there that is to stay: one that stands in for nobody, or for another profile."""
    if row.connector_id != wish.request.connector_id or row.mark is Mark.REFUSED:
        return False
    if row.purpose is not ChargingProfilePurposeType.TX_DEFAULT_PROFILE:
        return False
    profile = wish.request.cs_charging_profiles
    if row.standing_in is None:
        return True
    there, _ = decode(ChargingProfile, row.text.encode(), strict=False)
    return row.standing_in == profile.transaction_id and there.charging_schedule != profile.charging_schedule


def _invalid(pointer: str, reason: str) -> InvalidPayload:
    return InvalidPayload(ACTION, (Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason),))
