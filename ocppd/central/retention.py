"""Old records go, a little at a time, where configs.json says how long they are kept. Knows no SQL.

A run looks at each kind in turn: first again at what could not go before, then on from where the last run ended. Each
portion is one use case of the writer's among others, and the next one waits for the next `pump`, so that messages go
first. Which node's turn it is, and where to go on, is in the records: a run may end at any moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.clock import Clock, now_ms
from ocppd.config import Configuration, RetentionSettings
from ocppd.errors import StorageUnavailable
from ocppd.storage.api.retention import RetentionRecords
from ocppd.storage.records.retention import Cut, Kind, Portion

log = Logger()

#: From its begin until it is on disk a portion is to take so long: the writer is never to be held for more than 50 ms.
AIM_S: Final = 0.012
#: So much work it has at least where the commit takes longer, since others have their part in that.
LEAST_S: Final = 0.003
FIRST_ROWS: Final = 50
MOST_ROWS: Final = 1000
#: From one portion to the next their number grows to the double at most: the rows ahead may be larger.
GROWTH: Final = 2.0
#: A node that says nothing for so long has lost its turn.
LEASE_S: Final = 60.0
#: Between two runs, whichever node does them; a node that has no turn looks so often for one.
PAUSE_S: Final = 3600.0
LOOK_S: Final = 60.0
DAY_MS: Final = 24 * 3600 * 1000


class Pace:
    """How many rows a portion has, by how long the last one took."""

    def __init__(self) -> None:
        self.rows = FIRST_ROWS

    def took(self, looked_at: int, work_s: float, held_s: float) -> None:
        """The last portion looked at so many rows, which was so much work, and was on disk after `held_s`."""
        if looked_at == 0:
            return
        aim = looked_at * AIM_S / max(held_s, work_s, AIM_S / MOST_ROWS)
        least = looked_at * LEAST_S / max(work_s, LEAST_S / MOST_ROWS)
        self.rows = max(1, min(int(max(aim, least)), int(self.rows * GROWTH), MOST_ROWS))


class _Run:
    """One look at everything that is old. What is next is known when the last portion has been cut."""

    def __init__(self, settings: RetentionSettings, begun_ms: int) -> None:
        self.removed: Counter[Kind] = Counter()
        self.begun_ms = begun_ms
        self._interval_ms = settings.meter_value_interval_s * 1000
        self._left = [(kind, days, after) for kind, days in kept_days(settings) for after in (0, None)]
        self._paces: dict[Kind, Pace] = {}

    def portion(self) -> Portion | None:
        """What is next; None where all has been looked at."""
        if not self._left:
            return None
        kind, days, after = self._left[0]
        pace = self._paces.setdefault(kind, Pace())
        return Portion(kind, self.begun_ms - days * DAY_MS, pace.rows, after, self._interval_ms, days * DAY_MS)

    def cut(self, portion: Portion, cut: Cut) -> None:
        """That portion was cut."""
        self.removed[portion.kind] += cut.removed
        self._paces[portion.kind].took(cut.looked_at, cut.work_s, cut.held_s)
        kind, days, after = self._left[0]
        if cut.done:
            del self._left[0]
        elif after is not None:
            self._left[0] = (kind, days, cut.last)


def kept_days(settings: RetentionSettings) -> Iterator[tuple[Kind, int]]:
    """The kinds that are not kept for ever, and for how many days they are. Events go with the messages."""
    days = {
        Kind.MESSAGES: settings.messages_days,
        Kind.EVENTS: settings.messages_days,
        Kind.STATUSES: settings.statuses_days,
        Kind.QUARANTINE: settings.quarantine_days,
        Kind.METER_VALUES: settings.meter_values_days,
    }
    return ((kind, kept) for kind, kept in days.items() if kept is not None)


class Retention:
    """Removes what is old. `pump` is to be called some times a second."""

    def __init__(self, records: RetentionRecords, clock: Clock, configuration: Callable[[], Configuration]) -> None:
        self._records = records
        self._clock = clock
        self._configuration = configuration
        self._run: _Run | None = None
        self._settings: RetentionSettings | None = None
        self._again_s = float("-inf")
        #: The first run of this node, and of each configuration, waits for no pause.
        self._at_once = True
        self._pumping = False

    def pump(self) -> Deferred[None] | None:
        """Do one portion of what is to be done, if anything. Costs nothing otherwise; never fails."""
        settings = self._configuration().retention
        if settings != self._settings:  # a new configuration holds at once
            self._settings, self._run, self._again_s, self._at_once = settings, None, float("-inf"), True
        if self._pumping or self._clock.seconds() < self._again_s or not any(kept_days(settings)):
            return None
        self._pumping = True
        pumped = Deferred.fromCoroutine(self._pump(settings))
        pumped.addErrback(self._failed)
        return pumped.addCallback(self._pumped)

    def _pumped(self, _: None) -> None:
        self._pumping = False

    async def _pump(self, settings: RetentionSettings) -> None:
        if self._run is None:
            if not await self._records.take_turn(LEASE_S, at_once=self._at_once):
                self._again_s = self._clock.seconds() + LOOK_S
                return
            self._run, self._at_once = _Run(settings, now_ms(self._clock)), False
        run = self._run
        portion = run.portion()
        if portion is None:
            await self._records.rest(PAUSE_S)
            self._ended(run)
            return
        cut = await self._records.cut(portion, LEASE_S)
        if cut is None:  # this node was away for longer than its lease
            self._ended(run)
        else:
            run.cut(portion, cut)

    def _ended(self, run: _Run) -> None:
        if self._run is run:
            self._run, self._again_s = None, self._clock.seconds() + LOOK_S
        if run.removed.total():
            told = ", ".join(f"{kind}: {count}" for kind, count in run.removed.items() if count)
            seconds = (now_ms(self._clock) - run.begun_ms) // 1000
            log.info("old records removed in {seconds} s: {removed}", seconds=seconds, removed=told)

    def _failed(self, failure: Failure) -> None:
        self._again_s = self._clock.seconds() + LOOK_S
        if not failure.check(StorageUnavailable):  # the writer tells of that
            self._run = None
            log.failure("old records could not be removed", failure)
