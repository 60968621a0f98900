"""Id tags that somebody else knows: whom to ask, and when. REQUIREMENTS A-5. Knows no HTTP.

Asked is only about tags that nobody here knows. What is known here is judged here, also while the other one is away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed

from ocppd.central.authorization import Rules, id_tag_key
from ocppd.storage.api import Storage
from ocppd.storage.records import Standing
from ocppd.v16.types import AuthorizationStatus, IdTagInfo


class Purpose(StrEnum):
    """What the tag was presented for."""

    AUTHORIZE = "authorize"
    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Question:
    """May this tag do that, at this charger?"""

    charger: str
    id_tag: str
    purpose: Purpose
    connector_id: int | None = None


#: Gives a verdict, within three seconds, and never fails: what it does not hear it makes up by its policy.
External = Callable[[Question], Deferred[IdTagInfo]]


class ForeignTags:
    """Asks `external`, where there is one, about tags that are not known here."""

    def __init__(self, storage: Storage, rules: Rules, external: External | None) -> None:
        self._storage = storage
        self._rules = rules
        self._external = external

    @property
    def asked(self) -> bool:
        """Whether there is somebody to ask at all."""
        return self._external is not None

    def verdict(self, question: Question, now_ms: int) -> Deferred[IdTagInfo | None]:
        """The other one's verdict; None where the tag is known here. Fails with StorageUnavailable."""
        key, configured = id_tag_key(question.id_tag), self._rules.configured
        if self._external is None or key in configured:
            return succeed(None)
        found = self._storage.id_tag_standing(key, configured, question.charger, now_ms)
        return found.addCallback(self.verdict_on, question)

    def verdict_on(self, standing: Standing, question: Question) -> Deferred[IdTagInfo | None]:
        """The same where it is known how things are with the tag."""
        if self._external is None or standing.tag is not None or standing.expected:
            return succeed(None)
        asked: Deferred[IdTagInfo] = self._external(question)
        return asked.addCallback(_for_authorize if question.purpose is not Purpose.START else _as_it_is)


def _as_it_is(verdict: IdTagInfo) -> IdTagInfo:
    return verdict


def _for_authorize(verdict: IdTagInfo) -> IdTagInfo:
    """Never ConcurrentTx there: the same request precedes a stop with another card of the group (A-1)."""
    if verdict.status is AuthorizationStatus.CONCURRENT_TX:
        return replace(verdict, status=AuthorizationStatus.ACCEPTED)
    return verdict
