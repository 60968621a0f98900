"""The one place that decides whether something is sent to a charger that nobody has asked for. REQUIREMENTS B-8, 2.4 (Reset).

Watchers send through it: what they hand to `charger.follow_up` goes by `allowed`, and what they send at another moment through
`Unasked.submit` and `Unasked.call`, which are those of `Commands` otherwise. What an operator has asked for, be it in parts or
later, is sent through `Commands`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred

from ocppd.central.calls import Ended, action_of
from ocppd.central.chargers import Chargers
from ocppd.central.commands import Commands
from ocppd.central.handlers import Charger
from ocppd.central.watching import Watcher
from ocppd.clock import Clock, steady_ms
from ocppd.errors import NotPermitted, UnknownCharger
from ocppd.storage.records import MessageRecord
from ocppd.storage.records.follow_ups import BOOT_MS
from ocppd.v16.core import ResetConfirmation
from ocppd.v16.types import Message, ResetStatus

QUIET: Final = "nothing is sent to it unasked (Quiet)"
RESETTING: Final = "it is about to reset, and nothing is sent to it unasked until it has booted"


class Unasked(Watcher):
    """Calls that nobody asked for. The first of all watchers, so that a boot ends the silence before the others hear of it."""

    messages: ClassVar[frozenset[str]] = frozenset({"BootNotification"})
    calls: ClassVar[frozenset[str]] = frozenset({"Reset"})

    def __init__(self, chargers: Chargers, commands: Commands, clock: Clock) -> None:
        self._chargers = chargers
        self._commands = commands
        self._clock = clock
        #: Until when (`steady_ms`) a charger that was reset is left alone.
        self._resetting: dict[str, int] = {}

    def allowed(self, charger: str) -> bool:
        """Whether something may be sent to this charger now that nobody has asked for."""
        return self._why_not(charger) is None

    def _why_not(self, charger: str) -> str | None:
        try:
            if self._chargers.settings(charger).quiet:
                return QUIET
        except UnknownCharger:
            return None
        return RESETTING if self._resetting.get(charger, 0) > steady_ms(self._clock) else None

    def submit(
        self, charger: str, request: Message, *, offline: bool | None = None, ttl_s: float | None = None
    ) -> Deferred[MessageRecord]:
        """As `Commands.submit`; raises NotPermitted where nothing may be sent unasked."""
        self._check(charger, request)
        return self._commands.submit(charger, request, offline=offline, ttl_s=ttl_s)

    def call(self, charger: str, request: Message, *, offline: bool | None = None) -> Deferred[Message]:
        """As `Commands.call`; raises NotPermitted where nothing may be sent unasked."""
        self._check(charger, request)
        return self._commands.call(charger, request, offline=offline)

    def _check(self, charger: str, request: Message) -> None:
        reason = self._why_not(charger)
        if reason is not None:
            raise NotPermitted(charger, action_of(request).name, reason)

    def received(self, charger: Charger, request: Message, answer: Message) -> None:
        """It has booted."""
        self._resetting.pop(charger.name, None)

    def ended(self, charger: str, request: Message, ended: Ended) -> Deferred[Any] | None:
        """It may be about to reset (TC_013, TC_014: no calls between)."""
        if isinstance(ended.result, ResetConfirmation) and ended.result.status is ResetStatus.ACCEPTED:
            self._resetting[charger] = steady_ms(self._clock) + BOOT_MS
        return None

    def sweep(self, now_ms: int) -> None:
        """Forget those whose time is over."""
        passed_ms = steady_ms(self._clock)
        self._resetting = {name: until_ms for name, until_ms in self._resetting.items() if until_ms > passed_ms}
