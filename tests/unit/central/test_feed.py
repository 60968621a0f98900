"""Followers of events, held against a model of the database: whatever the order of commits, reads and reconnects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ocppd.central import feed as feeding
from ocppd.central.feed import Feed, News
from ocppd.errors import StorageUnavailable
from ocppd.storage.api import Storage
from ocppd.storage.records import Event, EventFilter, EventKind, Newest, Tail
from support.numbering import Database

#: What may happen, some of it more often.
STEPS = (
    *("begin", "give", "commit", "commit", "abort", "burst", "burst"),
    *("look", "look", "look", "answer", "answer", "answer", "fail"),
    *("take", "take", "leave", "wait"),
)


def event(number: int) -> Event:
    """What happened under a number; every third one is of another charger."""
    return Event(number, EventKind.CHARGER_CONNECTED, "CP2" if number % 3 == 0 else "CP1", 0)


class Records:
    """The events of the model, as storage gives them: each read is answered when the test says so."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.reads: list[tuple[Deferred[Any], Callable[[], Any]]] = []

    def _read(self, read: Callable[[], Any]) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.reads.append((answer, read))
        return answer

    def answer(self, which: int = 0, *, fail: bool = False) -> None:
        """Answer one of the reads that wait, from what is there now."""
        answer, read = self.reads.pop(which % len(self.reads))
        if not answer.called:
            answer.errback(Failure(StorageUnavailable("away"))) if fail else answer.callback(read())

    def newest_event(self, shortly: int) -> Deferred[Newest]:
        """See `EventRecords`."""
        visible = self.database.visible
        return self._read(lambda: Newest(max(visible, default=0), frozenset(visible)))

    def events_after(self, after: int, missing: Sequence[int], limit: int, *, ask_following: bool = False) -> Deferred[Tail]:
        """See `EventRecords`."""

        def read() -> Tail:
            numbers, oldest, following = self.database.look(after, list(missing), limit)
            return Tail(tuple(map(event, numbers)), oldest, following if ask_following else None)

        return self._read(read)

    def events_between(self, which: EventFilter, after: int, until: int, limit: int) -> Deferred[list[Event]]:
        """See `EventRecords`."""

        def read() -> list[Event]:
            found = map(event, sorted(number for number in self.database.visible if after < number <= until))
            return [each for each in found if feeding.passes(each, which)][:limit]

        return self._read(read)


class Client:
    """Somebody who follows one of the feeds, and comes again with what it was told."""

    def __init__(self, feed: Feed, charger: str | None) -> None:
        self.charger = charger
        self.seen: set[int] = set()
        self.resume = 0
        self.come(feed)

    def come(self, feed: Feed) -> None:
        """Follow this feed, from where the last one ended."""
        self.follower = feed.follow(self.resume, EventFilter(charger=self.charger))
        self._next: Deferred[list[News]] | None = None

    def take(self) -> None:
        """Ask for more, unless that is under way."""
        if self._next is None:
            self._next = Deferred.fromCoroutine(self.follower.next())
            self._next.addCallbacks(self._taken, self._failed)

    def _taken(self, news: list[News]) -> None:
        self._next = None
        for each in news:
            self.seen.add(each.event.sequence)
            self.resume = each.resume

    def _failed(self, failure: Failure) -> None:
        failure.trap(StorageUnavailable, CancelledError)
        self._next = None

    @property
    def safe(self) -> int:
        """The highest number that it may come back with, by an event or by a sign of life."""
        waiting = self._next is not None
        return max(self.resume, (self.follower.resume or 0) if not waiting else 0)

    def wants(self, number: int) -> bool:
        """Whether its filter lets an event pass."""
        return self.charger in (None, event(number).charger)

    def leave(self) -> None:
        """Go, in the middle of whatever it is."""
        if self._next is not None:
            self._next.cancel()
        self.follower.close()


class World:
    """Two nodes and their clients over one database."""

    def __init__(self) -> None:
        self.database = Database()
        self.records = Records(self.database)
        self.clock = Clock()
        self.feeds = [Feed(cast(Storage, self.records), self.clock) for _ in range(2)]
        self.clients = [Client(self.feeds[number % 2], charger) for number, charger in enumerate((None, "CP2", None))]

    def step(self, step: str, which: int) -> None:
        """Something happens."""
        database, client = self.database, self.clients[which % 3]
        match step:
            case "begin":
                database.begin()
            case "burst":
                for _ in range(which + 1):
                    database.begin()
                    database.end(len(database.running) - 1, commit=True)
            case "give" if database.running:
                database.give(which)
            case "commit" | "abort" if database.running:
                database.end(which, commit=step == "commit")
            case "answer" | "fail" if self.records.reads:
                self.records.answer(which, fail=step == "fail")
            case "look":
                self.look(which + 1)
            case "take":
                client.take()
            case "leave":
                client.leave()
                client.come(self.feeds[which // 3 % 2])
            case "wait":
                self.clock.advance(which / 5)

    def look(self, times: int) -> None:
        """Let time pass, and answer every read at once."""
        for _ in range(times):
            for _ in range(40):
                if self.records.reads:
                    self.records.answer()
            self.clock.advance(feeding.LOOK_S)

    def lost(self) -> list[tuple[set[int], int]]:
        """What clients would never be told if they came again now."""
        running = {number for transaction in self.database.running for number in transaction.numbers}
        found = []
        for client in self.clients:
            unseen = {number for number in (self.database.visible | running) - client.seen if client.wants(number)}
            found.append(({number for number in unseen if number <= client.safe}, client.safe))
        return [each for each in found if each[0]]

    def finish(self) -> None:
        """Everything is committed, and everybody takes what there is."""
        while self.database.running:
            self.database.end(0, commit=True)
        # With pages of one event each look is one event further, and there are a hundred of them.
        for _ in range(150 + 4 * len(self.database.visible)):
            for client in self.clients:
                client.take()
            self.look(1)


class FeedTests(SynchronousTestCase):
    """Tests for `Feed` and `Follower`."""

    def catching_up(self, kept: int) -> tuple[World, Client]:
        """A client in the middle of what it has missed, while the first number is not committed yet."""
        for limit, value in {"KEPT": kept, "PAGE": 10, "PORTION": 1}.items():
            self.patch(feeding, limit, value)
        world = World()
        world.step("begin", 0)
        world.step("burst", 5)
        world.look(2)
        client = world.clients[0]
        client.take()
        world.records.answer(-1)
        self.assertEqual(client.seen, {2})
        return world, client

    def test_a_number_that_appears_behind_a_client(self) -> None:
        """What appears below the place that a client has come to is given later, and until then it comes back for it."""
        world, client = self.catching_up(100)
        world.step("commit", 0)
        world.look(2)
        client.take()
        world.records.answer(-1)
        self.assertEqual((client.seen, client.resume, world.lost()), ({2, 3}, 0, []))
        world.finish()
        self.assertEqual(client.seen, set(range(1, 8)))
        self.assertEqual(client.resume, 7)

    def test_what_was_kept_for_a_client_is_dropped(self) -> None:
        """Where more has happened meanwhile than is kept, a client begins again at what it may lack."""
        world, client = self.catching_up(2)
        world.step("commit", 0)
        world.look(2)
        world.step("burst", 7)
        world.look(2)
        world.finish()
        self.assertEqual(client.seen, set(range(1, 16)))
        self.assertEqual(world.lost(), [])

    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 7)), min_size=40, max_size=120),
        st.integers(1, 9),
        st.integers(1, 6),
        st.integers(1, 3),
    )
    def test_nobody_misses_an_event(self, steps: list[tuple[str, int]], kept: int, page: int, portion: int) -> None:
        """Nothing is lost to a client, wherever it stops and comes again; nothing is left behind when all have gone."""
        world = World()
        limits = patch.multiple(feeding, KEPT=kept, PAGE=page, PORTION=portion)
        with limits, patch.object(feeding, "monotonic", world.clock.seconds):
            for step, which in steps:
                world.step(step, which)
                self.assertEqual(world.lost(), [], (step, which))
            world.finish()
            for client in world.clients:
                wanted = set(filter(client.wants, world.database.visible))
                self.assertEqual(client.seen & wanted, wanted)
                client.leave()
            world.look(2)
        self.assertEqual([feed._followers for feed in world.feeds], [set(), set()])
        self.assertEqual([feed._waiting for feed in world.feeds], [[], []])
        self.assertEqual((world.clock.getDelayedCalls(), world.records.reads), ([], []))
