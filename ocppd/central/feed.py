"""What happens, as it happens, for those who follow it: on whatever node, and from wherever they stopped.

The records are the source: while somebody follows, they are read every quarter of a second, once for all. What was read
last is kept; who has fallen behind that, or comes with the number of an earlier event, reads the records for himself
until he has caught up. Every event comes at least once, and those of a charger in order unless it changed its node.

Knows neither HTTP nor SQL.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.gaps import Gaps
from ocppd.clock import Clock
from ocppd.errors import StorageUnavailable, TooManyFollowers
from ocppd.storage.api import Storage
from ocppd.storage.feed import Event, Tail

log = Logger()

#: How often the records are asked for what is new.
LOOK_S: Final = 0.25
#: Events in one answer of the records.
PAGE: Final = 500
#: What is kept for those who are a little behind: events, and the characters of their frames.
KEPT: Final = 5_000
KEPT_CHARACTERS: Final = 16 * 1024 * 1024
#: A follower takes a connection, and a share of each event.
FOLLOWERS_LIMIT: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class News:
    """An event, and the number to come back with if it is the last that was received."""

    event: Event
    resume: int


class Feed:
    """The followers of one node, and what they follow."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        #: Ends the pause between two looks; None while nobody reads, or somebody is reading.
        self._pause: Pause | None = None
        #: Whoever reads for the followers; None while there are none.
        self._reading: object | None = None
        self._gaps: Gaps | None = None
        self._followers: set[Follower] = set()
        self._waiting: list[Deferred[None]] = []
        self._stopped = False
        #: What was read last, and how many were dropped from its beginning.
        self._kept: deque[News] = deque()
        self._characters = 0
        self.dropped = 0

    def follow(self, after: int | None) -> Follower:
        """Follow what happens: from now on, or after the event of this number. Raises TooManyFollowers."""
        if len(self._followers) >= FOLLOWERS_LIMIT:
            raise TooManyFollowers(FOLLOWERS_LIMIT)
        follower = Follower(self, self._storage, after)
        self._followers.add(follower)
        if len(self._followers) == 1 and not self._stopped:
            self._reading = object()
            Deferred.fromCoroutine(self._read_on(self._reading)).addErrback(_log_bug)
        return follower

    def leave(self, follower: Follower) -> None:
        """Somebody follows no more; with the last one nothing is read."""
        self._followers.discard(follower)
        if not self._followers:
            self._rest()

    def stop(self) -> None:
        """Let all followers go."""
        self._stopped = True
        self._rest()
        self._wake()

    def _rest(self) -> None:
        self._reading = None
        self._gaps = None
        if self._pause is not None:
            self._pause.end()
        self.dropped += len(self._kept)
        self._kept.clear()
        self._characters = 0

    # For followers

    @property
    def stopped(self) -> bool:
        """Whether nothing more will come."""
        return self._stopped

    @property
    def gaps(self) -> Gaps | None:
        """What is known of the numbers; None until the records have been read."""
        return self._gaps

    @property
    def end(self) -> int:
        """The place behind the newest that is kept."""
        return self.dropped + len(self._kept)

    def kept(self, place: int, limit: int) -> list[News]:
        """What is kept from a place on, which is not below `dropped`."""
        first = place - self.dropped
        return [self._kept[index] for index in range(first, min(len(self._kept), first + limit))]

    def changed(self) -> Deferred[None]:
        """Fires when something has been read, or everything ends. Cancelling it stops the waiting."""
        changed: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(changed)
        return changed

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for changed in waiting:
            changed.callback(None)

    # Reading

    async def _read_on(self, reading: object) -> None:
        """Read what is new as long as this is who reads. Where the records are away, the next look is soon."""
        while self._reading is reading:
            try:
                while self._reading is reading and await self._read(reading):
                    pass
            except StorageUnavailable:
                pass
            except Exception:
                log.failure("what happened could not be read")
            if self._reading is reading:
                self._pause = Pause(self._clock, LOOK_S)
                await self._pause.over
                self._pause = None

    async def _read(self, reading: object) -> bool:
        """Read a page; whether there may be more at once."""
        gaps = self._gaps
        if gaps is None:
            newest = await self._storage.newest_event()
            if self._reading is reading:
                self._gaps = Gaps(newest, self._clock.seconds())
                self._wake()
            return True
        tail = await self._storage.events_after(gaps.top, gaps.missing(), PAGE)
        if self._reading is not reading:
            return False
        settled, top = gaps.settled, gaps.top
        self._note(gaps, tail)
        if tail.events or gaps.settled is not settled:
            self._wake()
        return sum(event.sequence > top for event in tail.events) >= PAGE

    def _note(self, gaps: Gaps, tail: Tail) -> None:
        lost = gaps.appeared((event.sequence for event in tail.events), tail.oldest, tail.following, self._clock.seconds())
        if lost:
            log.warn("{count} events may be missing in streams: too many transactions of other nodes run", count=lost)
        # Whoever has had an event comes back for the next of this page, and for what is missing.
        behind = [event.sequence - 1 for event in tail.events[1:]]
        for event, resume in zip(tail.events, [*behind, gaps.complete], strict=False):
            self._kept.append(News(event, min(resume, gaps.complete)))
            self._characters += _size(event)
        while len(self._kept) > KEPT or self._characters > KEPT_CHARACTERS:
            self._characters -= _size(self._kept.popleft().event)
            self.dropped += 1


class Pause:
    """Some seconds, or less."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.over: Deferred[None] = Deferred()
        self._call = clock.callLater(seconds, self.over.callback, None)

    def end(self) -> None:
        """It is over now."""
        if not self.over.called:
            self._call.cancel()
            self.over.callback(None)


class Follower:
    """Somebody who follows. Close it."""

    def __init__(self, feed: Feed, storage: Storage, after: int | None) -> None:
        self._feed = feed
        self._storage = storage
        #: The number that everything is to come after which has not been given; None: what is new.
        self._after = after
        #: The place in what is kept; None while the records are read for this follower.
        self._place: int | None = None
        #: While they are: what has been read, what is to be read, and the place to go on at then.
        self._read_to = 0
        self._until: int | None = None
        self._then = 0

    def close(self) -> None:
        """Follow no more."""
        self._feed.leave(self)

    async def begin(self) -> None:
        """Come to where new events are known: what happens from then on is given. To be cancelled, or closed, like `next`."""
        while self._feed.gaps is None and not self._feed.stopped:
            await self._feed.changed()
        if self._after is None and self._feed.gaps is not None:
            self._place, self._after = self._feed.end, self._feed.gaps.complete

    @property
    def resume(self) -> int | None:
        """The number to come back with; None while there is none yet."""
        return self._after

    async def next(self, limit: int) -> list[News]:
        """What has happened, at least one event and at most `limit`; none where the feed ends.

        To be cancelled by whoever stops waiting. Fails with StorageUnavailable, and may be called again then.
        """
        while not self._feed.stopped:
            gaps = self._feed.gaps
            if gaps is None or self._after is None:
                await self.begin()
            elif self._place is not None and self._place >= self._feed.dropped:
                if news := self._feed.kept(self._place, limit):
                    self._place += len(news)
                    self._after = news[-1].resume
                    return news
                await self._feed.changed()
            elif news := await self._catch_up(gaps, self._after, limit):
                return news
        return []

    async def _catch_up(self, gaps: Gaps, after: int, limit: int) -> list[News]:
        """A page of the records; none where there is nothing more to catch up with, or it is too early."""
        if self._until is None or self._then < self._feed.dropped:
            if not gaps.settled:  # what is still being committed would be left out
                await self._feed.changed()
                return []
            self._place, self._read_to, self._until, self._then = None, after, gaps.top, self._feed.end
        until = self._until
        tail = await self._storage.events_after(self._read_to, (), limit)
        if self._feed.gaps is not gaps:
            return []
        events = [event for event in tail.events if event.sequence <= until]
        if len(events) < limit:
            self._place, self._until = self._then, None
        news = [News(event, min(event.sequence, gaps.complete)) for event in events]
        if news:
            self._read_to, self._after = events[-1].sequence, news[-1].resume
        return news


def _size(event: Event) -> int:
    message = event.message
    return 0 if message is None else len(message.frame) + len(message.answer or "")


def _log_bug(failure: Failure) -> None:
    log.failure("the events are not followed any more", failure)
