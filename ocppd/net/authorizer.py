"""Asks another service about id tags, by HTTP. REQUIREMENTS A-5; docs/http-api.md.

Imports Twisted's client, and with it the global reactor: import this at the start, not before.
"""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any, Final, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseDone
from twisted.web.http_headers import Headers

from ocppd.central.foreign_tags import Question
from ocppd.config import UnknownIdTags
from ocppd.errors import Violation
from ocppd.v16.codec import decode
from ocppd.v16.types import AuthorizationStatus, IdTagInfo

log = Logger()

#: Questions at the same time; the others wait, within their deadline.
CONNECTIONS: Final = 50
#: A verdict has some hundred bytes.
MAX_ANSWER_BYTES: Final = 64 * 1024
HTTP_OK: Final = 200


class NoVerdict(Exception):
    """What came is no verdict; the text says why."""


class HttpAuthorizer:
    """Asks `url` by POST. An `External`: what it does not hear in `timeout_s` seconds it answers by its policy."""

    def __init__(self, url: str, timeout_s: float, failing: UnknownIdTags, reactor: Any) -> None:
        """`url` may hold a user and a password, for HTTP Basic; `failing` says what becomes of tags while nobody answers."""
        parts = urlsplit(url)
        self._shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        self._url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, "")).encode()
        self._headers = {"Content-Type": ["application/json"], "Accept": ["application/json"], "User-Agent": ["ocppd"]}
        if parts.username is not None:
            who = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = [f"Basic {base64.b64encode(who).decode()}"]
        self._timeout_s = timeout_s
        self._failing = failing
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = CONNECTIONS
        self._agent = Agent(reactor, connectTimeout=timeout_s, pool=self._pool)
        self._places = DeferredSemaphore(CONNECTIONS)
        self._away = False
        self._asked: set[Deferred[IdTagInfo]] = set()

    def __call__(self, question: Question) -> Deferred[IdTagInfo]:
        """The verdict. Never fails."""
        asked: Deferred[IdTagInfo] = self._places.run(self._ask, question)
        self._asked.add(asked)
        asked.addTimeout(self._timeout_s, self._reactor, self._late)
        return asked.addCallbacks(self._heard, self._not_heard).addCallback(self._answered, asked)

    def _answered(self, verdict: IdTagInfo, asked: Deferred[IdTagInfo]) -> IdTagInfo:
        self._asked.discard(asked)
        return verdict

    def _late(self, _: object, timeout_s: float) -> NoReturn:
        raise NoVerdict(f"it did not answer within {timeout_s:g} s")

    def stop(self) -> Deferred[None]:
        """Wait for no verdict any more, and close the connections that are kept."""
        for asked in list(self._asked):
            asked.cancel()
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    def _ask(self, question: Question) -> Deferred[IdTagInfo]:
        members: dict[str, Any] = {"charger": question.charger, "idTag": question.id_tag, "purpose": question.purpose}
        if question.connector_id is not None:
            members["connectorId"] = question.connector_id
        body: Any = FileBodyProducer(BytesIO(msgspec.json.encode(members)))
        return Deferred.fromCoroutine(self._verdict(body))

    async def _verdict(self, body: Any) -> IdTagInfo:
        answer: Any = await self._agent.request(b"POST", self._url, Headers(self._headers), body)
        text = await _body_of(answer)
        if answer.code != HTTP_OK:
            raise NoVerdict(f"it answered {answer.code}")
        try:
            verdict, _ = decode(IdTagInfo, text, strict=True)
        except Violation as violation:
            raise NoVerdict(f"its verdict cannot be read: {violation}") from None
        assert isinstance(verdict, IdTagInfo)
        return verdict

    def _heard(self, verdict: IdTagInfo) -> IdTagInfo:
        if self._away:
            self._away = False
            log.info("{url} answers about id tags again", url=self._shown)
        return verdict

    def _not_heard(self, failure: Failure) -> IdTagInfo:
        """One line for an outage, not for each question."""
        causes = getattr(failure.value, "reasons", None) or [failure]  # Twisted's client wraps what went wrong
        note = log.debug if self._away else log.warn
        self._away = True
        note(
            "{url} gives no verdict on id tags, which are {policy} meanwhile: {reason}",
            url=self._shown,
            policy="accepted" if self._failing is UnknownIdTags.ACCEPT else "refused",
            reason=causes[0].getErrorMessage() or repr(causes[0].value),
        )
        accepted = self._failing is UnknownIdTags.ACCEPT
        return IdTagInfo(status=AuthorizationStatus.ACCEPTED if accepted else AuthorizationStatus.INVALID)


class _Body(Protocol):
    """Collects a body, up to a limit."""

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._cut_off())
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        """Whoever sends too much is not listened to."""
        self._received += data
        if len(self._received) > MAX_ANSWER_BYTES:
            self._cut_off()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end."""
        if self.whole.called:
            return
        if reason.check(ResponseDone) and len(self._received) <= MAX_ANSWER_BYTES:
            self.whole.callback(self._received)
        else:
            self.whole.errback(Failure(NoVerdict("its answer is too long, or was cut off")))

    def _cut_off(self) -> None:
        abort = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()


def _body_of(answer: Any) -> Deferred[bytes]:
    collector: Any = _Body()
    answer.deliverBody(collector)
    whole: Deferred[bytes] = collector.whole
    return whole
