"""Reads the configuration of chargers that have booted, and looks after what is desired of them.

REQUIREMENTS B-8: nothing is asked right after a boot, nothing at all in quiet mode. What is due is in the records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.calls import Ended
from ocppd.central.capabilities import Capabilities
from ocppd.central.chargers import Chargers
from ocppd.central.configuration import Mirror, key_names
from ocppd.central.handlers import Charger
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, now_ms
from ocppd.errors import CallErrorReceived, CallFailed, StorageUnavailable, UnknownCharger
from ocppd.storage.api.configuration import ConfigurationRecords
from ocppd.storage.records.configuration import DesiredState
from ocppd.v16.actions import ACTIONS
from ocppd.v16.configuration_keys import key_of
from ocppd.v16.core import (
    BootNotificationRequest,
    ChangeConfigurationConfirmation,
    ChangeConfigurationRequest,
    GetConfigurationConfirmation,
    GetConfigurationRequest,
)
from ocppd.v16.types import ConfigurationStatus, Message, RegistrationStatus

log = Logger()

_OF_CONFIGURATION: Final = (GetConfigurationRequest, ChangeConfigurationRequest)
#: A charger that has told statuses after its boot, and no more for so long, may be asked before its minute is over.
CALM_MS: Final = 10_000
#: Another status within so long of the last one makes no difference to that.
UNCALM_MS: Final = 1_000
#: At the end of that minute at the latest the records say what is due.
SETTLING_MS: Final = 60_000
#: Readings of one node at the same time: a hundred chargers that come back together are not all asked together.
READINGS_AT_ONCE: Final = 10
#: Sweeps between two looks for desired values that no message carries.
SWEEPS: Final = 12


class ConfigurationWatcher(Watcher):
    """See the module."""

    messages: ClassVar[frozenset[str]] = frozenset({"BootNotification", "StatusNotification"})
    calls: ClassVar[frozenset[str]] = frozenset(name for name, action in ACTIONS.items() if action.to_charger)

    def __init__(
        self,
        storage: ConfigurationRecords,
        mirror: Mirror,
        chargers: Chargers,
        clock: Clock,
        may_ask: Callable[[str], bool],
    ) -> None:
        self._storage = storage
        self._mirror = mirror
        self._chargers = chargers
        self._clock = clock
        self._may_ask = may_ask
        #: Chargers that have booted here a short while ago: when, and when they last told a status.
        self._booted: dict[str, tuple[int, int | None]] = {}
        self._reading: set[str] = set()
        self._sweeps = 0

    @property
    def _capabilities(self) -> Capabilities:
        return self._mirror.capabilities

    def wants(self, charger: str, action: str) -> bool:
        """Statuses matter in the first minute after a boot."""
        if action != "StatusNotification":
            return True
        booted = self._booted.get(charger)
        if booted is None:
            return False
        _, status_ms = booted
        return status_ms is None or not 0 <= now_ms(self._clock) - status_ms < UNCALM_MS

    def received(self, charger: Charger, request: Message, answer: Message) -> None:
        """A boot begins a minute of silence; statuses tell when it may end."""
        if isinstance(request, BootNotificationRequest):
            self._capabilities.forget(charger.name)
            self._booted[charger.name] = now_ms(self._clock), None
        elif charger.name in self._booted:
            booted_ms, _ = self._booted[charger.name]
            self._booted[charger.name] = booted_ms, now_ms(self._clock)

    def ended(self, charger: str, request: Message, ended: Ended) -> Deferred[None] | None:
        """What was known is out of date; a desired value that was accepted is read back.

        Keys that the charger left out or told twice are told to whoever reads the log.
        """
        if isinstance(ended.result, CallErrorReceived) or isinstance(request, _OF_CONFIGURATION):
            self._capabilities.forget(charger)
        if isinstance(request, GetConfigurationRequest) and isinstance(ended.result, GetConfigurationConfirmation):
            _log_oddities(charger, request, ended.result)
        if isinstance(request, ChangeConfigurationRequest) and _was_accepted(ended) and self._permitted(charger):
            return Deferred.fromCoroutine(self._read_back(charger, request.key))
        return None

    async def _read_back(self, charger: str, name: str) -> None:
        """Some chargers accept what they do not take (2.4)."""
        key = await self._storage.read_key(charger, name)
        if key is None or key.desired is None or key.desired_state is not DesiredState.ACCEPTED:
            return
        with suppress(CallFailed):
            await self._mirror.refresh(charger, (key.name,))

    def sweep(self, now_ms: int) -> Deferred[None]:
        """Read what is due at chargers that are connected here."""
        return Deferred.fromCoroutine(self._sweep(now_ms))

    async def _sweep(self, now_ms: int) -> None:
        self._sweeps += 1
        if self._sweeps % SWEEPS == 1:
            await self._storage.wishes_abandoned(now_ms)
        for name in self._calm(now_ms):
            await self._read(name, now_ms + SETTLING_MS, now_ms)
        room = READINGS_AT_ONCE - len(self._reading)
        for name in await self._storage.readings_due(now_ms, room) if room > 0 else ():
            await self._read(name, now_ms, now_ms)

    def _calm(self, now_ms: int) -> list[str]:
        """Those that have told their statuses; whoever has not told any for a minute is left to the records."""
        calm = [name for name, (_, status_ms) in self._booted.items() if status_ms is not None and now_ms - status_ms >= CALM_MS]
        calm = calm[: max(READINGS_AT_ONCE - len(self._reading), 0)]
        late = [name for name, (booted_ms, _) in self._booted.items() if now_ms - booted_ms >= SETTLING_MS]
        for name in (*calm, *late):
            self._booted.pop(name, None)
        return calm

    async def _read(self, name: str, until_ms: int, now_ms: int) -> None:
        """Claim a reading, then begin it: one that may not be begun now is due again later."""
        if name in self._reading or not await self._storage.claim_reading(name, until_ms, now_ms) or not self._permitted(name):
            return
        self._reading.add(name)
        reading = Deferred.fromCoroutine(self._mirror.refresh(name))
        reading.addBoth(self._has_read, name).addErrback(_log_failure, name)

    def _permitted(self, name: str) -> bool:
        connection = self._chargers.connection(name)
        if connection is None or connection.registration is not RegistrationStatus.ACCEPTED:
            return False
        try:
            settings = self._chargers.settings(name)
        except UnknownCharger:
            return False
        return settings.read_configuration and self._may_ask(settings.name)

    def _has_read(self, result: Failure | None, name: str) -> Failure | None:
        self._reading.discard(name)
        return result


def _was_accepted(ended: Ended) -> bool:
    answer = ended.result
    return isinstance(answer, ChangeConfigurationConfirmation) and answer.status is ConfigurationStatus.ACCEPTED


def _log_oddities(charger: str, request: GetConfigurationRequest, answer: GetConfigurationConfirmation) -> None:
    told = Counter(key_names(answer))
    twice = sorted(name for name, count in told.items() if count > 1)
    if twice:
        log.info("{charger}: GetConfiguration told keys more than once: {keys}", charger=charger, keys=", ".join(twice[:20]))
    left_out = [name for name in request.key or () if key_of(name) not in told]
    if left_out:
        log.info("{charger}: GetConfiguration left out {keys}", charger=charger, keys=", ".join(left_out[:20]))


def _log_failure(failure: Failure, name: str) -> None:
    if failure.check(CallFailed, StorageUnavailable):
        log.info("{charger}: its configuration was not read: {reason}", charger=name, reason=failure.getErrorMessage())
    else:
        log.failure("{charger}: its configuration was not read", failure, charger=name)
