"""What is asked of Redis within one turn of the reactor, to be sent together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ocppd.bus.api import Holder
from ocppd.bus.outage import unavailable
from ocppd.bus.redis_session import Session, together
from ocppd.bus.scripts import CHUNK
from ocppd.errors import BusUnavailable

T = TypeVar("T")


class Requests:
    """Searches and messages that wait for the end of the turn."""

    def __init__(self) -> None:
        self._searches: list[tuple[Sequence[str], Deferred[Mapping[str, Holder]]]] = []
        self._messages: list[tuple[tuple[str, str], Deferred[bool]]] = []

    def find(self, chargers: Sequence[str]) -> Deferred[Mapping[str, Holder]]:
        """Who holds these chargers, which are one at least."""
        answer: Deferred[Mapping[str, Holder]] = Deferred()
        self._searches.append((chargers, answer))
        return answer

    def send(self, node: str, text: str) -> Deferred[bool]:
        """Publish this to a node; fires with whether it was received."""
        answer: Deferred[bool] = Deferred()
        self._messages.append(((node, text), answer))
        return answer

    def submit(self, session: Session) -> None:
        """Send all."""
        searches, self._searches = self._searches, []
        messages, self._messages = self._messages, []
        for chargers, answer in searches:
            found = together(*(session.find(chunk) for chunk in chunks(chargers)))
            found.addCallbacks(_merge, _explain).chainDeferred(answer)
        for sent in chunks(messages):
            answers = [answer for _, answer in sent]
            published = session.publish([message for message, _ in sent])
            published.addCallbacks(_tell_receivers, _tell_failure, (answers,), errbackArgs=(answers,))

    def refuse(self, reason: str) -> None:
        """Send nothing: all fail with BusUnavailable."""
        waiting: list[Deferred[Any]] = [answer for _, answer in self._searches]
        waiting.extend(answer for _, answer in self._messages)
        self._searches, self._messages = [], []
        for answer in waiting:
            answer.errback(unavailable(reason))


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in parts that one run of a script handles."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _merge(parts: list[dict[str, Holder]]) -> dict[str, Holder]:
    return {charger: holder for part in parts for charger, holder in part.items()}


def _tell_receivers(receivers: list[int], answers: list[Deferred[bool]]) -> None:
    for answer, count in zip(answers, receivers, strict=True):
        answer.callback(count > 0)


def _tell_failure(failure: Failure, answers: list[Deferred[bool]]) -> None:
    failure.trap(BusUnavailable)
    for answer in answers:
        answer.errback(unavailable(failure.getErrorMessage()))


def _explain(failure: Failure) -> Any:
    failure.trap(BusUnavailable)
    raise unavailable(failure.getErrorMessage())
