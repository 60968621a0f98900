"""Requests that are carried out once: `Idempotency-Key`, for every path of the API that changes something. docs/http-api.md.

The key is claimed in the records before the request is carried out, together with the id of what it will make (a message, a
job), and the answer is kept with it. A request that had no effect, because it was refused, gives its key back.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from klein import Response
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from ocppd.clock import now_ms
from ocppd.errors import OcppdError, StorageUnavailable, UnknownMessage
from ocppd.net.rest.api import Api
from ocppd.net.rest.body import body_of
from ocppd.net.rest.problems import BadRequest, KeyInProgress, KeyOfAnother, TooManyKeys, is_known
from ocppd.net.rest.routing import Incoming
from ocppd.net.rest.v1.commands import answered
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records.idempotency import Claim, Claimed, KeptAnswer

log = Logger()

HEADER: Final = "idempotency-key"
#: Says that an answer is the one of before.
REPLAYED: Final = "Idempotency-Replayed"
#: Whose keys they are, while all callers are this machine.
EVERYBODY: Final = ""
#: Claims that may have been committed when the records went away; what comes later was refused at once.
DOUBTFUL_LIMIT: Final = 1_000
#: Headers that are told once more.
KEPT_HEADERS: Final = ("Content-Type", "Location", "ETag")

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

Handle = Callable[[Incoming], Awaitable[Response]]


class Once:
    """Requests with a key, of this node."""

    def __init__(self, api: Api) -> None:
        self._api = api
        #: Keys that this node works at.
        self._running: set[str] = set()
        #: References of keys of which it is not known whether this node has them.
        self._doubtful: set[str] = set()

    async def run(self, incoming: Incoming, handle: Handle) -> Response:
        """The answer of `handle`, or the one that the same request had before.

        Raises BadRequest, KeyOfAnother, KeyInProgress, TooManyKeys, and what `handle` raises.
        """
        key = key_of(incoming)
        if key in self._running:
            raise KeyInProgress
        self._running.add(key)
        try:
            claimed = await self._claim(key, incoming)
        except BaseException:
            self._running.discard(key)
            raise
        if claimed.claim is Claim.DONE:
            self._running.discard(key)
            return _replayed(claimed.answer)
        identified = replace(incoming, reference=claimed.reference)
        abandoned = claimed.claim is Claim.ABANDONED
        # Shielded: whoever goes away meanwhile finds the answer when he asks again.
        return await shielded(Deferred.fromCoroutine(self._carry_out(key, identified, handle, abandoned=abandoned)))

    async def _claim(self, key: str, incoming: Incoming) -> Claimed:
        records, now = self._api.storage.idempotency, now_ms(self._api.clock)
        reference = str(uuid.uuid4())
        fingerprint = fingerprint_of(incoming.request, await _content_of(incoming.request))
        try:
            claimed = await records.claim(EVERYBODY, key, fingerprint, reference, now)
        except StorageUnavailable:
            self._doubt(key, reference)
            raise
        if claimed.claim in REFUSALS:
            raise REFUSALS[claimed.claim]()
        return claimed

    def _doubt(self, key: str, reference: str) -> None:
        """The key may have been claimed all the same, where the connection was lost in the commit: nobody works at it then."""

        def leave() -> Deferred[None]:
            if key in self._running:  # it has been sent again, and its end is recorded
                self._doubtful.discard(reference)
                return succeed(None)
            # Not by the reference: of a key that was taken over, or claimed by an earlier attempt, that is another one.
            left = self._api.storage.idempotency.leave(EVERYBODY, key, None)
            return left.addCallback(lambda _: self._doubtful.discard(reference))

        if len(self._doubtful) < DOUBTFUL_LIMIT:
            self._doubtful.add(reference)
            self._api.keep(f"claim {reference}", leave)

    async def _carry_out(self, key: str, incoming: Incoming, handle: Handle, *, abandoned: bool) -> Response:
        records, reference = self._api.storage.idempotency, str(incoming.reference)
        try:
            found = await self._found(reference) if abandoned else None
            answer = found or await handle(incoming)
        except Exception as error:
            # Where the records could not be reached nobody knows what was written: the next one finds out by the reference.
            end = records.release if _had_no_effect(error) else records.leave
            await self._record(key, lambda: end(EVERYBODY, key, reference))
            raise
        else:
            kept = _kept(answer)
            await self._record(key, lambda: records.answer(EVERYBODY, key, reference, kept))
            return answer
        finally:
            self._running.discard(key)

    async def _found(self, reference: str) -> Response | None:
        """The answer of a request that was abandoned once its message was accepted."""
        try:
            message = await self._api.queries.message(reference)
        except UnknownMessage:
            return None
        return await answered(self._api, succeed(message), 0)

    async def _record(self, key: str, write: Callable[[], Deferred[None]]) -> None:
        """Write now, or as soon as the records take it: until then other nodes take the request for one that is carried out."""

        def write_again() -> Deferred[None]:
            return succeed(None) if key in self._running else write()

        try:
            await write()
        except StorageUnavailable:
            log.warn("what became of a request with an Idempotency-Key cannot be recorded now, and will be")
            self._api.keep(f"request {key}", write_again)


REFUSALS: Final[Mapping[Claim, type[OcppdError]]] = {
    Claim.OTHER: KeyOfAnother,
    Claim.BUSY: KeyInProgress,
    Claim.FULL: TooManyKeys,
}


def key_of(incoming: Incoming) -> str:
    """The key of a request that has one. Raises BadRequest."""
    keys = incoming.request.requestHeaders.getRawHeaders(HEADER.encode())
    key: str = keys[0].decode("latin-1").strip()
    if len(keys) > 1 or not _KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key is not one key of 1 to 255 visible ASCII characters")
    return key


async def _content_of(request: Any) -> bytes:
    """The body, or the digest of a file, which went to disk as it came. Raises what the file is refused with."""
    if request.upload is None:
        return body_of(request)
    digest: str = await shielded(Deferred.fromCoroutine(request.upload.digest()))
    return digest.encode()


def fingerprint_of(request: Any, content: bytes) -> str:
    """What tells a request from another: method, path with query, type of the body, and what it holds."""
    parts = (request.method, request.uri, request.getHeader(b"content-type") or b"", content)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:%b" % (len(part), part))
    return digest.hexdigest()


def _had_no_effect(error: Exception) -> bool:
    return isinstance(error, OcppdError) and is_known(error) and not isinstance(error, StorageUnavailable)


def _kept(answer: Response) -> KeptAnswer:
    headers: Mapping[Any, Any] = answer.headers
    kept = tuple((name, str(headers[name])) for name in KEPT_HEADERS if name in headers)
    body: Any = answer.body
    return KeptAnswer(int(answer.code), kept, body.decode() if isinstance(body, bytes) else None)


def _replayed(answer: KeptAnswer | None) -> Response:
    assert answer is not None, "what is done has an answer"
    if answer.body is None:
        raise KeyOfAnother("the request with this Idempotency-Key was carried out; its answer was not kept")
    body = answer.body.encode()
    headers: dict[Any, Any] = {**dict(answer.headers), "Content-Length": str(len(body)), REPLAYED: "true"}
    if answer.status == 204:
        del headers["Content-Length"]
    return Response(code=answer.status, headers=headers, body=body)
