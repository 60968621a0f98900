"""The composite schedule of a charger, from what the records say of it. Knows no HTTP. REQUIREMENTS K-6, K-7, T-27."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from ocppd.central.charging.composite import Composite, Limits, Placed, Running
from ocppd.central.charging.supply import Supply
from ocppd.storage.api import Storage
from ocppd.storage.records import UNREADABLE_MS, TransactionFilter, TransactionRecord, TransactionState
from ocppd.storage.records.charging import PRESENT, InstalledProfile, Mark
from ocppd.v16.codec import decode
from ocppd.v16.types import ChargingProfile, ChargingRateUnitType

#: Open transactions of one charger that are looked at; it has few connectors.
MOST_TRANSACTIONS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What composite schedule is asked for. `unit`: None for that of the profiles.

    `now`: it starts now, by whatever clock, so that what runs has begun. `assume`: a connector without a transaction is taken
    for one where a transaction begins at `start_s`.
    """

    charger: str
    connector_id: int
    start_s: int
    duration_s: int
    unit: ChargingRateUnitType | None
    supply: Supply
    now: bool
    assume: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of a charger that matters for its limits."""

    profiles: tuple[Placed, ...]
    running: dict[int, Running]
    #: Connectors that it has told of.
    connectors: tuple[int, ...]
    #: Ids of profiles that may be in force or not.
    uncertain: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A composite schedule, and what it was taken from."""

    composite: Composite
    #: By connector, transactions that were taken to run: id, or None for one that was assumed.
    running: dict[int, int | None]
    uncertain: tuple[int, ...]


async def situation(storage: Storage, charger: str) -> Situation:
    """What the records say of a charger. Fails with StorageUnavailable."""
    installed = await storage.charging.installed_profiles(charger)
    which = TransactionFilter(charger=charger, state=TransactionState.OPEN)
    transactions = await storage.list_transactions(which, None, MOST_TRANSACTIONS)
    connectors = (await storage.read_connectors([charger])).get(charger, ())
    return Situation(
        profiles=tuple(placed(row) for row in installed if row.mark in PRESENT),
        running=_running(transactions),
        connectors=tuple(each.connector_id for each in connectors if each.connector_id > 0),
        uncertain=tuple(row.profile_id for row in installed if row.mark in (Mark.UNKNOWN, Mark.PENDING)),
    )


def placed(row: InstalledProfile) -> Placed:
    """A profile of the mirror."""
    profile, _ = decode(ChargingProfile, row.text.encode(), strict=False)
    return Placed(row.connector_id, profile, row.transaction_id)


def _running(transactions: Iterable[TransactionRecord]) -> dict[int, Running]:
    """The newest transaction of each connector; they come newest first."""
    found: dict[int, Running] = {}
    for each in transactions:
        began_ms = each.start_received_ms if each.started_ms == UNREADABLE_MS else each.started_ms
        found.setdefault(each.connector_id, Running(each.transaction_id, began_ms // 1000))
    return found


def preview(known: Situation, question: Question) -> Preview:
    """The composite schedule that is asked for. Raises Conflict where A and W cannot be compared."""
    running = {
        connector: replace(each, began_s=min(each.began_s, question.start_s))
        for connector, each in known.running.items()
        if question.now or each.began_s <= question.start_s
    }
    if question.assume:
        assumed = known.connectors if question.connector_id == 0 else (question.connector_id,)
        running = {**{connector: Running(None, question.start_s) for connector in assumed}, **running}
    if question.connector_id != 0:
        running = {connector: each for connector, each in running.items() if connector == question.connector_id}
    limits = Limits(known.profiles, question.connector_id, running, question.supply, question.start_s)
    composite = limits.composite(question.start_s, question.duration_s, question.unit)
    return Preview(composite, {connector: running[connector].transaction_id for connector in sorted(running)}, known.uncertain)
