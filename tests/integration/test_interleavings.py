"""Starts, stops, repeats, lost connections and operators in any order: nothing is doubled, nothing that was answered is lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest_twisted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

from ocppd.clock import now_ms
from ocppd.storage.records import MessageFilter, StopOutcome, TransactionFilter, TransactionRecord, TransactionState
from ocppd.v16.timestamps import format_timestamp, parse_timestamp
from support.rest import ScriptedLink, Served
from support.storing import NOON_MS

#: Each example has two chargers of its own.
EXAMPLES = 150
TAGS = ("Card", "CARD", "Other")
CONNECTORS = st.integers(1, 2)
WHICH = st.integers(0, 5)
METERS = st.integers(0, 2)

Key = tuple[str, int, str, int, int]


@dataclass(frozen=True)
class Start:
    """A StartTransaction; `lost`: the connection is gone before the answer can be read."""

    charger: int
    connector_id: int
    tag: str
    minute: int
    meter: int
    lost: bool


@dataclass(frozen=True)
class Again:
    """One of the starts so far, as the charger repeats it."""

    which: int


@dataclass(frozen=True)
class Stop:
    """A StopTransaction of one of the transactions so far (None: without an id), by its own charger or the other."""

    which: int
    named: bool
    own: bool
    meter: int
    minute: int
    lost: bool


@dataclass(frozen=True)
class StopAgain:
    """One of the stops so far, as the charger repeats it."""

    which: int


@dataclass(frozen=True)
class Reconnect:
    """A charger comes back, with a boot or without."""

    charger: int
    boot: bool


@dataclass(frozen=True)
class Close:
    """An operator closes one of the transactions so far."""

    which: int


@dataclass(frozen=True)
class Silence:
    """Nothing was heard of anything for a day."""


CHARGERS = st.integers(0, 1)
STARTS = st.builds(Start, CHARGERS, CONNECTORS, st.sampled_from(TAGS), st.integers(0, 2), METERS, st.booleans())
STOPS = st.builds(
    Stop, WHICH, st.sampled_from((True, True, True, False)), st.booleans(), METERS, st.integers(0, 3), st.booleans()
)
STEPS = st.lists(
    st.one_of(
        STARTS,
        STOPS,
        STOPS,
        st.builds(Again, WHICH),
        st.builds(StopAgain, WHICH),
        st.builds(Reconnect, CHARGERS, st.booleans()),
        st.builds(Close, WHICH),
        st.just(Silence()),
    ),
    min_size=15,
    max_size=50,
)


@dataclass
class World:
    """What the chargers of one example have been told."""

    served: Served
    names: tuple[str, str]
    links: dict[str, ScriptedLink] = field(default_factory=dict)
    #: Each start that was sent, and the id that its answer had.
    starts: dict[Key, int | None] = field(default_factory=dict)
    #: Stops that were answered: charger, id, meter, instant; in order.
    stops: list[tuple[str, int, int, int]] = field(default_factory=list)
    sent_stops: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ids: Any = field(default_factory=lambda: count(1))

    async def connect(self, name: str, *, boot: bool = True) -> None:
        """A new connection; the older one is gone."""
        if name in self.links:
            self.served.disconnect(self.links[name])
        self.links[name] = await self.served.connect(name, boot=boot)

    async def send(self, name: str, action: str, payload: dict[str, Any], *, lost: bool = False) -> Any:
        """The payload of the answer; None where the connection was lost before it could come."""
        frame = json.dumps([2, f"{action}{next(self.ids)}", action, payload])
        if lost:
            self.links[name].tell(frame)
            await self.connect(name, boot=False)
            return None
        answer = await self.links[name].ask(frame)
        assert answer[0] == 3, (payload, answer)
        return answer[2]

    async def start(self, key: Key, *, lost: bool = False) -> None:
        """Send it, and hold the answer to those before."""
        name, connector_id, tag, minute, meter = key
        instant = format_timestamp(NOON_MS + minute * 60_000)
        payload = {"connectorId": connector_id, "idTag": tag, "meterStart": meter, "timestamp": instant}
        answer = await self.send(name, "StartTransaction", payload, lost=lost)
        known = next((held for sent, held in self.starts.items() if same(sent, key) and held is not None), None)
        if answer is None:
            self.starts.setdefault(key, known)
            return
        assert known in (None, answer["transactionId"]), "T-3: the same start has the same id"
        self.starts[key] = answer["transactionId"]

    async def stop(self, name: str, payload: dict[str, Any], *, lost: bool = False) -> None:
        """Send it, and remember it where it was answered."""
        self.sent_stops.append((name, payload))
        if await self.send(name, "StopTransaction", payload, lost=lost) is not None:
            self.stops.append((name, payload["transactionId"], payload["meterStop"], payload["timestamp"]))


def same(one: Key, other: Key) -> bool:
    """Whether two starts are one: ids are compared ignoring case (T-3, G-3)."""
    return (*one[:2], one[2].lower(), *one[3:]) == (*other[:2], other[2].lower(), *other[3:])


async def step(world: World, what: Any) -> None:
    """Do it, where it can be done."""
    known = [(key, number) for key, number in world.starts.items() if number is not None]
    match what:
        case Start(charger, connector_id, tag, minute, meter, lost):
            await world.start((world.names[charger], connector_id, tag, minute, meter), lost=lost)
        case Again(which) if world.starts:
            await world.start(list(world.starts)[which % len(world.starts)])
        case Stop(which, named, own, meter, minute, lost) if known:
            (name, *_), number = known[which % len(known)]
            sender = name if own else next(each for each in world.names if each != name)
            instant = format_timestamp(NOON_MS + minute * 60_000)
            number = number if named else -1
            await world.stop(sender, {"transactionId": number, "meterStop": meter, "timestamp": instant}, lost=lost)
        case StopAgain(which) if world.sent_stops:
            await world.stop(*world.sent_stops[which % len(world.sent_stops)])
        case Reconnect(charger, boot):
            await world.connect(world.names[charger], boot=boot)
        case Close(which) if known:
            await world.served.post(f"/api/v1/transactions/{known[which % len(known)][1]}/close", {"reason": "the test says so"})
        case Silence():
            now = now_ms(world.served.api.clock)
            await world.served.storage.stops_missing(now + 1, now)


async def run(served: Served, names: tuple[str, str], steps: list[Any]) -> None:
    """One example: all steps, every lost start repeated as a charger would, then what must hold."""
    world = World(served, names)
    for name in names:
        await world.connect(name)
    for what in steps:
        await step(world, what)
    for key in list(world.starts):
        await world.start(key)
    await hold(world)
    for link in world.links.values():
        served.disconnect(link)


async def hold(world: World) -> None:
    """What must hold of the records."""
    storage = world.served.storage
    found = [row for name in world.names for row in await storage.list_transactions(TransactionFilter(charger=name), None, 500)]
    distinct = {(*key[:2], key[2].lower(), *key[3:]) for key in world.starts}
    assert {row.transaction_id for row in found} == set(world.starts.values()), "every answered start is there"
    assert len(found) == len(distinct), "no start made two transactions"
    open_at = [(row.charger, row.connector_id) for row in found if row.state is TransactionState.OPEN]
    assert len(open_at) == len(set(open_at)), "T-7: one open transaction at a connector"
    for row in found:
        check_energy(row)
        check_stop(row, world.stops)
    await check_journal(world, {row.transaction_id: row for row in found})


def check_energy(row: TransactionRecord) -> None:
    """T-25: energy that cannot be is flagged, and none."""
    if row.state is TransactionState.STOPPED:
        assert row.meter_stop_wh is not None and row.stopped_ms is not None
        assert ("meterFell" in row.flags) == (row.meter_stop_wh < row.meter_start_wh)
        assert ("stopBeforeStart" in row.flags) == (row.stopped_ms < row.started_ms)
        doubtful = "meterFell" in row.flags or "stopBeforeStart" in row.flags
        assert row.energy_wh == (None if doubtful else row.meter_stop_wh - row.meter_start_wh)
    else:
        assert row.energy_wh is None


def check_stop(row: TransactionRecord, stops: list[tuple[str, int, int, int]]) -> None:
    """T-23, T-28, T-29: the transaction of an answered stop has stopped, whoever closed it or took it for lost."""
    named = [stop for stop in stops if stop[:2] == (row.charger, row.transaction_id)]
    if named:
        assert row.state is TransactionState.STOPPED, (row, named)


async def check_journal(world: World, rows: dict[int | None, TransactionRecord]) -> None:
    """G-12, T-21, T-23: each answered stop is in the journal, as what it was."""
    records = [
        record
        for name in world.names
        for record in await world.served.storage.list_messages(MessageFilter(charger=name, action="StopTransaction"), None, 500)
    ]
    assert len(records) >= len(world.stops)
    for record in records:
        assert record.outcome in (None, *(str(outcome) for outcome in StopOutcome))
        assert (record.transaction_id is None) == (record.outcome == StopOutcome.ORPHAN)
        if record.outcome in (StopOutcome.REPEATED, StopOutcome.SUSPECT):
            told, row = json.loads(record.frame)[3], rows[record.transaction_id]
            same_stop = (told["meterStop"], parse_timestamp(told["timestamp"])) == (row.meter_stop_wh, row.stopped_ms)
            assert same_stop == (record.outcome == StopOutcome.REPEATED)
    stopping = [record.transaction_id for record in records if record.outcome is None]
    assert len(stopping) == len(set(stopping)), "one stop at most has stopped a transaction"


@pytest_twisted.async_yield_fixture
async def served() -> AsyncIterator[Served]:
    """Enough chargers for all examples, and those that shrinking takes."""
    running = Served(*(f"CP{number}" for number in range(20 * EXAMPLES)))
    yield running
    await running.stop()


@pytest_twisted.ensureDeferred
async def test_any_order(served: Served) -> None:
    """T-2 to T-7, T-21 to T-29, R-1: no order of messages makes two transactions of one start, or loses an answered stop."""
    numbers = count()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(STEPS)
    def in_this_order(steps: list[Any]) -> None:
        number = next(numbers) % (10 * EXAMPLES)
        names = (f"CP{2 * number}", f"CP{2 * number + 1}")
        blockingCallFromThread(reactor, lambda: Deferred.fromCoroutine(run(served, names, steps)))

    await deferToThread(in_this_order)
