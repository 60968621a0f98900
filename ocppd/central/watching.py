"""Those of the central system that follow what happens at chargers, beyond answering them. Knows none of them by name.

A watcher acts after what it hears of: what it asks of a charger is sent when the answer in progress has been written (S-3).
What it must not forget is in the records, by a use case of its own or by `storage.consequences`; whatever it has in
memory may be lost with its node.

Nothing that a watcher sends by itself reaches a charger that is to be left alone (B-8): `charger.follow_up` drops it there, and
what it sends elsewhere it sends through `ocppd.central.unasked.Unasked`, which is to be asked before anything else is begun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
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

    def wants(self, charger: str, action: str) -> bool:
        """Whether a message of an action that it names may concern it, of this charger now. Asked for the frequent ones."""
        return True

    def ended(self, charger: str, request: Message, ended: Ended) -> Deferred[Any] | None:
        """A call of ours that was sent from this node has ended, in whatever way; once more when a late answer came."""

    def connected(self, charger: Charger) -> None:
        """A charger has connected to this node."""

    def refused(self, charger: Charger, action: str) -> None:
        """A message of a charger that nobody knows the registration of was answered SecurityError (B-5)."""

    def sweep(self, now_ms: int) -> Deferred[Any] | None:
        """Some seconds have passed: see what is due. Every node is told; the records decide who acts."""


class Awaited:
    """Messages of chargers that somebody waits for at the moment. Empty nearly always, which is what it is made for."""

    def __init__(self) -> None:
        #: By charger and action. To be read only.
        self.open: dict[tuple[str, str], list[tuple[Callable[[Message], bool], int]]] = {}

    def expect(self, charger: str, action: str, heard: Callable[[Message], bool], until_ms: int) -> None:
        """Tell `heard` of such messages until it says that it was the one, or until then."""
        self.open.setdefault((charger, action), []).append((heard, until_ms))

    def heard(self, charger: str, action: str, request: Message) -> None:
        """A message came."""
        waiting = self.open.pop((charger, action), None)
        if waiting is not None:
            self._keep((charger, action), [each for each in waiting if not each[0](request)])

    def forget(self, now_ms: int) -> None:
        """Nobody waits any longer than he said."""
        for key, waiting in list(self.open.items()):
            self._keep(key, [each for each in waiting if each[1] > now_ms])

    def _keep(self, key: tuple[str, str], waiting: list[tuple[Callable[[Message], bool], int]]) -> None:
        if waiting:
            self.open[key] = waiting
        else:
            self.open.pop(key, None)


class Watched:
    """The charger that a watcher is given: what it sends by itself goes out only where that is allowed."""

    def __init__(self, charger: Charger, allowed: Callable[[str], bool]) -> None:
        self._charger = charger
        self._allowed = allowed

    @property
    def name(self) -> str:
        """Its identity."""
        return self._charger.name

    @property
    def remote_ip(self) -> str:
        """The address it is connected from."""
        return self._charger.remote_ip

    def follow_up(self, request: Message) -> None:
        """Send `request` after the answer in progress, unless the charger is to be left alone (B-8)."""
        if self._allowed(self.name):
            self._charger.follow_up(request)
        else:
            log.debug("{charger}: {request} was not sent unasked", charger=self.name, request=type(request).__name__)

    def close_after_answer(self, code: int = 1001, reason: str = "") -> None:
        """Close once the answer in progress has been written."""
        self._charger.close_after_answer(code, reason)


class Watchers:
    """All watchers. What one of them fails with costs nobody else anything."""

    def __init__(
        self, watchers: Sequence[Watcher] = (), allowed: Callable[[str], bool] = lambda _: True, awaited: Awaited | None = None
    ) -> None:
        """`allowed` says whether a charger may be sent something unasked."""
        self._allowed = allowed
        self._awaited = Awaited() if awaited is None else awaited
        self._all = tuple(watchers)
        self._of_connections = [each for each in self._all if type(each).connected is not Watcher.connected]
        self._of_message = {name: [each for each in self._all if name in each.messages] for name in _named(self._all, "messages")}
        self._wants = {name: [each.wants for each in watchers] for name, watchers in self._of_message.items()}
        self._of_call = {name: [each for each in self._all if name in each.calls] for name in _named(self._all, "calls")}

    def want(self, charger: str, action: str) -> bool:
        """Whether a message of this action may concern anybody, of this charger now."""
        if self._awaited.open:
            return True
        for wants in self._wants.get(action, ()):  # noqa: SIM110 - a generator costs more than all that it asks
            if wants(charger, action):
                return True
        return False

    def received(self, charger: Charger, action: str, request: Message, answer: Message) -> None:
        """Tell those whom a message concerns."""
        if self._awaited.open:
            self._awaited.heard(charger.name, action, request)
        watchers = self._of_message.get(action)
        if watchers is not None:
            watched = Watched(charger, self._allowed)
            for watcher in watchers:
                self._tell(watcher, charger.name, watcher.received, watched, request, answer)

    def ended(self, charger: str, action: str, request: Message, ended: Ended) -> None:
        """Tell those whom the end of a call concerns."""
        for watcher in self._of_call.get(action, ()):
            self._tell(watcher, charger, watcher.ended, charger, request, ended)

    def connected(self, charger: Charger) -> None:
        """Tell those whom that concerns that a charger has connected."""
        watched = Watched(charger, self._allowed)
        for watcher in self._of_connections:
            self._tell(watcher, charger.name, watcher.connected, watched)

    def refused(self, charger: Charger, action: str) -> None:
        """Tell all that a message came before the registration."""
        watched = Watched(charger, self._allowed)
        for watcher in self._all:
            self._tell(watcher, charger.name, watcher.refused, watched, action)

    def sweep(self, now_ms: int) -> None:
        """Tell all that it is time to look."""
        for watcher in self._all:
            self._tell(watcher, "all chargers", watcher.sweep, now_ms)

    def _tell(self, watcher: Watcher, subject: str, told: Any, *arguments: Any) -> None:
        try:
            done = told(*arguments)
        except Exception:  # the boundary between watchers
            _log_failure(Failure(), type(watcher).__name__, subject)
        else:
            if isinstance(done, Deferred):
                done.addErrback(_log_failure, type(watcher).__name__, subject)


def _named(watchers: Sequence[Watcher], kind: str) -> set[str]:
    return {name for watcher in watchers for name in getattr(watcher, kind)}


def _log_failure(failure: Failure, watcher: str, subject: str) -> None:
    if failure.check(StorageUnavailable):  # the writer tells of it; what is due is looked for again
        log.debug("{subject}: {watcher} could not reach the records", subject=subject, watcher=watcher)
    else:
        log.failure("{subject}: {watcher} failed", failure, subject=subject, watcher=watcher)
