"""Local authorization lists, brought in sync with what is wanted of them. REQUIREMENTS 2.5, L-1 to L-6.

What is to be done next is decided by `local_list_plan` from the records, and what came of it is in the records before anybody
goes on: so another node, or this one after a restart, goes on where it was. The node that holds a charger sees to its list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec
from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central import local_list_plan as plan
from ocppd.central.authorization import Rules
from ocppd.central.chargers import Chargers
from ocppd.central.commands import Commands
from ocppd.central.known_keys import LIST_MAX_LENGTH, SEND_LIST_MAX_LENGTH, KnownKeys, as_count
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, now_ms
from ocppd.errors import (
    CallErrorReceived,
    CallFailed,
    CallTimeout,
    InvalidResponse,
    OutcomeUnknown,
    StorageUnavailable,
)
from ocppd.storage.api import Storage
from ocppd.storage.records import Configured
from ocppd.storage.records.local_lists import LocalList, Work
from ocppd.v16.local_auth_list import GetLocalListVersionRequest
from ocppd.v16.types import Message, RegistrationStatus

log = Logger()

#: Lists that a node is at, at the same time.
AT_ONCE: Final = 50
#: How often id tags are looked at for changes: those that come together are sent together.
FOLLOW_INTERVAL_MS: Final = 10_000
#: Ends of a call that the charger may have had a part in.
REACHED: Final = (CallErrorReceived, CallTimeout, InvalidResponse, OutcomeUnknown)


class LocalLists(Watcher):
    """Sees to the lists of the chargers that this node holds."""

    calls: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        storage: Storage,
        rules: Rules,
        chargers: Chargers,
        commands: Commands,
        clock: Clock,
        known_keys: KnownKeys,
        may_act: Callable[[str], bool] = lambda charger: True,
    ) -> None:
        """`may_act` says whether a charger may be sent something that no operator has just asked for (B-8)."""
        self._records = storage.local_lists
        self._rules = rules
        self._chargers = chargers
        self._commands = commands
        self._clock = clock
        self._known_keys = known_keys
        self._may_act = may_act
        #: Those that are seen to, with who waits for that.
        self._running: dict[str, list[Deferred[None]]] = {}
        self._followed_ms = 0
        self._digest_of: Configured | None = None
        self._digest = ""

    @property
    def digest(self) -> str:
        """Something that changes with the id tags of the configuration."""
        configured = self._rules.configured
        if self._digest_of is not configured:
            told = sorted((key, tag.id_tag, tag.status, tag.parent, tag.expiry_ms) for key, tag in configured.items())
            self._digest = hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]
            self._digest_of = configured
        return self._digest

    # When

    def sweep(self, now_ms: int) -> Deferred[Any]:
        """See which lists have to be seen to, and whether tags have changed that some follow."""
        return Deferred.fromCoroutine(self._sweep(now_ms))

    async def _sweep(self, now_ms: int) -> None:
        if not 0 <= now_ms - self._followed_ms < FOLLOW_INTERVAL_MS:  # it is over, or the clock was set back
            self._followed_ms = now_ms
            await self._records.follow(self.digest, now_ms)
        room = AT_ONCE - len(self._running)
        if room > 0:
            # Those of chargers that may not be asked now stand in nobody's way.
            due = await self._records.due(now_ms, AT_ONCE * 20)
            for charger in [each for each in due if self._may_act(each)][:room]:
                self.look(charger)

    def look(self, charger: str) -> None:
        """See to the list of a charger now, if there is something to do and it is here."""
        connection = self._chargers.connection(charger)
        accepted = connection is not None and connection.registration is RegistrationStatus.ACCEPTED
        if accepted and charger not in self._running:
            self._running[charger] = []
            Deferred.fromCoroutine(self._see_to(charger)).addErrback(_log, charger).addBoth(self._done, charger)

    def _done(self, _: Any, charger: str) -> None:
        for waiting in self._running.pop(charger):
            waiting.callback(None)

    def wait(self, charger: str, timeout_s: float) -> Deferred[None]:
        """Fires when nobody on this node sees to the list any more, or after so many seconds."""
        waiting = self._running.get(charger)
        if waiting is None or timeout_s <= 0:
            return succeed(None)
        done: Deferred[None] = Deferred(waiting.remove)
        waiting.append(done)
        done.addTimeout(timeout_s, self._clock)  # type: ignore[arg-type]
        return done.addErrback(lambda failure: failure.trap(TimeoutError) and None)

    # What

    async def _see_to(self, charger: str) -> None:
        """Go on, step by step, until there is nothing more to do, or no way to go on."""
        asked = False
        while True:
            work = await self._work(charger)
            if work is None:
                return
            step = plan.next_step(work.found, work.wanted, await self._limits(work.found), asked=asked)
            match step:
                case plan.Ask():
                    asked = await self._call(work.found, GetLocalListVersionRequest())
                    if not asked:
                        return
                case plan.Send(request):
                    await self._records.sending(charger, request.list_version)
                    if not await self._call(work.found, request):
                        return
                case plan.Settle(state, detail):
                    if await self._records.settled(work, state, detail, now_ms(self._clock)):
                        log.info("{charger}: its local list is {state}", charger=charger, state=state, detail=detail)
                        return
                case plan.Stop():
                    return

    def _work(self, charger: str) -> Deferred[Work | None]:
        now = now_ms(self._clock)
        return self._records.work(charger, self._rules.configured, self.digest, now)

    async def _limits(self, found: LocalList) -> plan.Limits:
        """The operator's word comes first: chargers' own do not always hold what they promise."""
        send = None if found.wanted is None else found.wanted.send_limit
        if send is None:
            send = as_count(await self._known_keys(found.charger, SEND_LIST_MAX_LENGTH))
        return plan.Limits(send or plan.DEFAULT_SEND_LIMIT, as_count(await self._known_keys(found.charger, LIST_MAX_LENGTH)))

    async def _call(self, found: LocalList, request: Message) -> bool:
        """Call the charger; whether there is an answer to go on with. Else it is looked at again later."""
        try:
            await maybeDeferred(self._commands.call, found.charger, request, offline=False)
            return True
        except CallErrorReceived as error:
            answer = error
            if not isinstance(request, GetLocalListVersionRequest):
                return True  # the records say what that means
            log.info("{charger}: no version of its local list: {reason}", charger=found.charger, reason=str(error))
        except CallFailed as failed:
            answer = failed  # type: ignore[assignment]
        reached = isinstance(answer, REACHED)
        # Where the link was lost there is nothing to wait for but the next one, the first time.
        at_once = not reached or (isinstance(answer, OutcomeUnknown) and found.attempts == 0)
        due_ms = now_ms(self._clock) + (0 if at_once else plan.retry_ms(found.attempts))
        await self._records.postponed(found.charger, str(answer), due_ms, attempt=reached)
        return False


def _log(failure: Failure, charger: str) -> None:
    if failure.check(StorageUnavailable):
        log.debug("{charger}: the records of its local list cannot be reached", charger=charger)
    else:
        log.failure("{charger}: its local list was not brought in sync", failure, charger=charger)
