"""Those of the central system that follow what happens at chargers, beyond answering them. Knows none of them by name.

A watcher acts after what it hears of: what it asks of a charger is sent when the answer in progress has been written (S-3).
What it must not forget is in the records, by a use case of its own or by `storage.consequences`; whatever it has in
memory may be lost with its node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.central.calls import Ended
from ocppd.central.handlers import Charger
from ocppd.errors import StorageUnavailable
from ocppd.v16.types import Message

log = Logger()


class Watcher:
    """One that follows. It hears of the messages and calls that it names, each after its record is on disk."""

    #: Actions of chargers.
    messages: ClassVar[frozenset[str]] = frozenset()
    #: Actions of ours.
    calls: ClassVar[frozenset[str]] = frozenset()

    def received(self, charger: Charger, request: Message, answer: Message) -> None:
        """A charger has sent `request` and is about to be answered `answer`. `charger.follow_up` is sent after that."""

    def ended(self, charger: str, request: Message, ended: Ended) -> Deferred[Any] | None:
        """A call of ours that was sent from this node has ended, in whatever way; once more when a late answer came."""

    def connected(self, charger: Charger) -> None:
        """A charger has connected to this node."""

    def sweep(self, now_ms: int) -> Deferred[Any] | None:
        """Some seconds have passed: see what is due. Every node is told; the records decide who acts."""


class Watchers:
    """All watchers. What one of them fails with costs nobody else anything."""

    def __init__(self, watchers: Sequence[Watcher] = ()) -> None:
        self._all = tuple(watchers)
        self._of_message = {name: [each for each in self._all if name in each.messages] for name in _named(self._all, "messages")}
        self._of_call = {name: [each for each in self._all if name in each.calls] for name in _named(self._all, "calls")}

    def received(self, charger: Charger, action: str, request: Message, answer: Message) -> None:
        """Tell those whom a message concerns."""
        for watcher in self._of_message.get(action, ()):
            self._tell(watcher, charger.name, watcher.received, charger, request, answer)

    def ended(self, charger: str, action: str, request: Message, ended: Ended) -> None:
        """Tell those whom the end of a call concerns."""
        for watcher in self._of_call.get(action, ()):
            self._tell(watcher, charger, watcher.ended, charger, request, ended)

    def connected(self, charger: Charger) -> None:
        """Tell all that a charger has connected."""
        for watcher in self._all:
            self._tell(watcher, charger.name, watcher.connected, charger)

    def sweep(self, now_ms: int) -> None:
        """Tell all that it is time to look."""
        for watcher in self._all:
            self._tell(watcher, "all chargers", watcher.sweep, now_ms)

    def _tell(self, watcher: Watcher, subject: str, told: Any, *arguments: Any) -> None:
        done = maybeDeferred(told, *arguments)
        done.addErrback(_log_failure, type(watcher).__name__, subject)


def _named(watchers: Sequence[Watcher], kind: str) -> set[str]:
    return {name for watcher in watchers for name in getattr(watcher, kind)}


def _log_failure(failure: Failure, watcher: str, subject: str) -> None:
    if failure.check(StorageUnavailable):  # the writer tells of it; what is due is looked for again
        log.debug("{subject}: {watcher} could not reach the records", subject=subject, watcher=watcher)
    else:
        log.failure("{subject}: {watcher} failed", failure, subject=subject, watcher=watcher)
