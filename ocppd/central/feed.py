"""What happens, as it happens, for those who follow it: on whatever node, and from wherever they stopped.

The records are the source: while somebody follows, they are read every quarter of a second, once for all. What was read
last is kept; who has fallen behind that, or comes with the number of an earlier event, reads the records for himself
until he has caught up. Every event comes at least once, and those of a charger in order unless it changed its node.

Knows neither HTTP nor SQL.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.gaps import MISSING_LIMIT, Gaps
from ocppd.clock import Clock
from ocppd.errors import StorageUnavailable, TooManyFollowers
from ocppd.storage.api import Storage
from ocppd.storage.records import Event, EventFilter, Tail

log = Logger()

#: How often the records are asked for what is new.
LOOK_S: Final = 0.25
#: How soon after a bug.
BUG_S: Final = 5.0
#: Events in one answer of the records, and for one follower.
PAGE: Final = 500
PORTION: Final = 50
#: What is kept for those who are a little behind: events, and the characters of their frames.
KEPT: Final = 5_000
KEPT_CHARACTERS: Final = 16 * 1024 * 1024
#: A follower takes a connection, and a share of each event.
FOLLOWERS_LIMIT: Final = 100


@dataclass(slots=True, eq=False)
class News:
    """An event, and the number to come back with if it is the last that was received."""

    event: Event
    resume: int
    #: The event as it is sent, for whoever sends it next.
    text: bytes | None = None


class Feed:
    """The followers of one node, and what they follow."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._followers: set[Follower] = set()
        self._waiting: list[Deferred[None]] = []
        self._stopped = False
        #: Whoever reads for the followers; None while there are none.
        self._reading: object | None = None
        #: The pause between two looks; None where there is none now.
        self._pause: Pause | None = None
        self._gaps: Gaps | None = None
        #: What was read last, and how many were dropped from its beginning.
        self._kept: deque[News] = deque()
        self._characters = 0
        self.dropped = 0

    def follow(self, after: int | None, which: EventFilter) -> Follower:
        """Follow what happens: from now on, or after the event of this number. Raises TooManyFollowers."""
        if len(self._followers) >= FOLLOWERS_LIMIT:
            raise TooManyFollowers(FOLLOWERS_LIMIT)
        follower = Follower(self, self._storage, after, which)
        self._followers.add(follower)
        if self._reading is None and not self._stopped:
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
            pause_s = LOOK_S
            try:
                while self._reading is reading and await self._read(reading):
                    pass
            except StorageUnavailable:
                pass
            except Exception:
                log.failure("what happened could not be read")
                pause_s = BUG_S
            if self._reading is reading:
                self._pause = Pause(self._clock, pause_s)
                await self._pause.over
                self._pause = None

    async def _read(self, reading: object) -> bool:
        """Read a page; whether there may be more at once."""
        gaps = self._gaps
        if gaps is None:
            newest = await self._storage.newest_event(MISSING_LIMIT)
            if self._reading is reading:
                self._gaps = Gaps(newest.number, newest.appeared, monotonic())
                self._wake()
            return True
        top = gaps.top
        ask_following = gaps.wants_following(monotonic())
        tail = await self._storage.events_after(top, gaps.missing(), PAGE, ask_following=ask_following)
        if self._reading is not reading:
            return False
        self._note(gaps, tail)
        if tail.events:
            self._wake()
        return sum(event.sequence > top for event in tail.events) >= PAGE

    def _note(self, gaps: Gaps, tail: Tail) -> None:
        numbers = [event.sequence for event in tail.events]
        lost = gaps.appeared(numbers, tail.oldest, tail.following, monotonic())
        if lost:
            log.warn("{count} numbers of events were skipped; a stream may lack some events", count=lost)
        # Whoever has had an event comes back for the next of this page, and for what is missing.
        behind = [number - 1 for number in numbers[1:]]
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

    def __init__(self, feed: Feed, storage: Storage, after: int | None, which: EventFilter) -> None:
        self._feed = feed
        self._storage = storage
        self._which = which
        #: The number that everything is to come after which has not been given; None: what is new.
        self._after = after
        #: The place in what is kept; None while the records are read for this follower.
        self._place: int | None = None
        #: While they are: what has been read and what is to be read; below which number nothing was missing when that was
        #: decided; and the place to go on at then.
        self._read_to = 0
        self._until: int | None = None
        self._floor = 0
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
        """The number to come back with after all that was given; None while there is none yet."""
        return self._after

    async def next(self) -> list[News]:
        """What has happened, at least one event and at most `PORTION`; none where the feed ends.

        To be cancelled by whoever stops waiting. Fails with StorageUnavailable, and may be called again then.
        """
        while not self._feed.stopped:
            gaps = self._feed.gaps
            if gaps is None or self._after is None:
                await self.begin()
            elif self._place is None or self._place < self._feed.dropped:
                if news := await self._catch_up(gaps, self._after):
                    return news
            elif found := self._feed.kept(self._place, PORTION):
                self._place += len(found)
                self._after = found[-1].resume
                if news := [each for each in found if passes(each.event, self._which)]:
                    return news
            else:
                self._after = max(self._after, gaps.complete)  # all that is known was given
                await self._feed.changed()
        return []

    async def _catch_up(self, gaps: Gaps, after: int) -> list[News]:
        """A page of the records; none where there is nothing more to catch up with."""
        if self._until is None:
            # What appears late from now on is among what is kept from there on.
            self._place, self._read_to, self._until = None, after, max(after, gaps.top)
            self._floor, self._then = gaps.complete, self._feed.end
        until = self._until
        events = await self._storage.events_between(self._which, self._read_to, until, PORTION)
        if self._feed.gaps is not gaps:
            return []
        if len(events) < PORTION:
            self._read_to, self._place, self._until = until, self._then, None
        else:
            self._read_to = events[-1].sequence
        self._after = min(self._read_to, max(self._floor, after))
        return [News(event, min(event.sequence, self._after)) for event in events]


def passes(event: Event, which: EventFilter) -> bool:
    """Whether an event is one of those; of the filter's instants it knows nothing."""
    return (
        which.charger in (None, event.charger)
        and which.kind in (None, event.kind)
        and (which.action is None or (event.message is not None and event.message.action == which.action))
    )


def _size(event: Event) -> int:
    message = event.message
    return 0 if message is None else message.characters


def _log_bug(failure: Failure) -> None:
    log.failure("the events are not followed any more", failure)
