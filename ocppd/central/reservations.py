"""Reservations: asked for by operators, expired by our clock. REQUIREMENTS 2.4 (ReserveNow), 2.5.

What chargers make of them happens in the records, with what it follows from (`storage.consequences`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec import UNSET
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ocppd.central.authorization import Rules, id_tag_key
from ocppd.central.chargers import Chargers
from ocppd.central.commands import Commands
from ocppd.central.known_keys import RESERVE_CONNECTOR_ZERO, KnownKeys, as_boolean
from ocppd.central.watching import Watcher
from ocppd.errors import Conflict
from ocppd.storage.api import Storage
from ocppd.storage.records import MessageRecord
from ocppd.storage.records.reservations import LIVE_STATES, Reservation
from ocppd.v16.reservation import CancelReservationRequest, ReserveNowRequest

log = Logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an operator asks for. Connector 0 is any; without a number we choose one."""

    charger: str
    connector_id: int
    id_tag: str
    expiry: str
    parent: str | None = None
    reservation_id: int | None = None


class Reservations(Watcher):
    """Makes and cancels them, and ends those whose time is over."""

    def __init__(self, storage: Storage, rules: Rules, chargers: Chargers, commands: Commands, known_keys: KnownKeys) -> None:
        self._storage = storage
        self._records = storage.reservations
        self._rules = rules
        self._chargers = chargers
        self._commands = commands
        self._known_keys = known_keys

    async def reserve(self, wish: Wish, *, force: bool = False) -> MessageRecord:
        """Send a ReserveNow; gives its message, whose id is that of the reservation.

        Connector 0 is asked for only where the charger is known to support it, or with `force`; else Conflict. Fails as
        `Commands.submit` does.
        """
        self._chargers.settings(wish.charger)
        if wish.connector_id == 0 and not force:
            await self._check_connector_zero(wish.charger)
        number = wish.reservation_id
        if number is None:
            number = await self._records.next_number(wish.charger)
        parent = wish.parent or await self._parent_of(wish.id_tag)
        request = ReserveNowRequest(
            connector_id=wish.connector_id,
            expiry_date=wish.expiry,
            id_tag=wish.id_tag,
            reservation_id=number,
            parent_id_tag=parent or UNSET,
        )
        return await self._commands.submit(wish.charger, request)

    async def _check_connector_zero(self, charger: str) -> None:
        supported = as_boolean(await self._known_keys(charger, RESERVE_CONNECTOR_ZERO))
        if not supported:
            known = "says that it cannot" if supported is False else "is not known to be able to"
            raise Conflict(f"charger {charger!r} {known} reserve connector 0; add force=true to ask it all the same")

    async def _parent_of(self, id_tag: str) -> str | None:
        """The group of a tag, which others of it may then use the reservation with (OCTT TC_053)."""
        key = id_tag_key(id_tag)
        tag = self._rules.configured.get(key) or await self._storage.read_id_tag(key)
        return None if tag is None else tag.parent

    async def cancel(self, found: Reservation) -> MessageRecord:
        """Send a CancelReservation; gives its message. Raises Conflict where the charger holds it no more."""
        if found.state not in LIVE_STATES:
            raise Conflict(f"the reservation is {found.state}, so there is nothing to cancel")
        return await self._commands.submit(found.charger, CancelReservationRequest(reservation_id=found.reservation_id))

    def sweep(self, now_ms: int) -> Deferred[Any]:
        """End those whose expiry has passed; the charger does so by itself."""

        def found(are_over: bool) -> Deferred[int] | None:
            return self._records.expire(now_ms) if are_over else None

        return self._records.are_over(now_ms).addCallback(found)
