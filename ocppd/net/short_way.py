"""The short way of an HTTP request, in and out, around Twisted Web's long one. RFC 9112.

What comes often is asked by programs on connections that they keep: one whole request, its head in one piece and its body with
it or behind it, with a few plain headers, where nothing is pending, for one of a few routes. Those are read, handed to their
route and answered here. Whatever differs goes to Twisted Web untouched: further headers, requests in pieces or several at once,
other paths and methods, callers that are not let in, all of them once the daemon stops. The answers are the same, byte for byte.

The parts of Twisted that are touched here and are not documented are named in `CHANNEL`; without one of them everything goes
the long way.
"""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Any, Final
from typing import Protocol as Seam

from twisted.internet import tcp
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.net.fast_frames import TRANSPORT, write
from ocppd.net.identity import plain_address
from ocppd.net.rest.entrance import COMMON_HEADERS, refusal_of
from ocppd.net.rest.short import ShortRequest, ShortRoutes, plain_length

log = Logger()

CHANNEL: Final = ("requests", "_buffer", "timeOut", "resetTimeout", "setTimeout", "timeoutConnection")
END_OF_HEAD: Final = b"\r\n\r\n"
VERSION: Final = b"HTTP/1.1"
#: What a client may send while its request is carried out, before nothing more is read of it.
EARLY_BYTES: Final = 16 * 1024
#: Heads of a connection that are known to be plain.
HEADS_KEPT: Final = 64

_BEGIN: Final = "".join(f"{name}: {value}\r\n" for name, value in COMMON_HEADERS.items())


class ShortSite(Seam):
    """The part of the site that this needs."""

    short: ShortRoutes

    @property
    def stopping(self) -> bool:
        """Whether requests are answered otherwise than ever."""

    def began(self, request: object) -> None:
        """A request is being carried out."""

    def finished(self, request: object) -> None:
        """It has been answered, or its client is gone."""

    def tell(self, ip: str, method: bytes, uri: bytes, code: int, sent: int) -> None:
        """Log a request."""


class ShortWay(Protocol):
    """One HTTP connection: around Twisted Web's protocol of it."""

    def __init__(self, site: ShortSite, long_way: Any) -> None:
        self._site = site
        self._long_way = long_way
        #: The channel itself; the one that is wrapped around it is for HTTP/2.
        self._channel: Any = getattr(long_way, "_channel", None)
        self._short = self._channel is not None and all(hasattr(self._channel, name) for name in CHANNEL)
        self._heads: dict[tuple[int, bytes], int] = {}
        self._answering: Deferred[Any] | None = None
        self._early: list[bytes] = []
        #: A head whose body is still to come.
        self._head = b""

    def connectionMade(self) -> None:
        """Both ways begin."""
        transport: Any = self.transport
        self._long_way.makeConnection(transport)
        self._peer = transport.getPeer()
        self._ip = plain_address(getattr(self._peer, "host", "") or "")
        self._secure = ISSLTransport(transport, None) is not None
        self._plain = type(transport) is tcp.Server and all(hasattr(transport, name) for name in TRANSPORT) and not transport.TLS
        if self._short:
            self._time_out = self._channel.timeoutConnection
            self._channel.timeoutConnection = self._timed_out

    def dataReceived(self, data: bytes) -> None:
        """What has come: the whole request that it mostly is, or anything."""
        if self._answering is not None:
            self._early.append(data)
            if sum(map(len, self._early)) > EARLY_BYTES:
                self._reading(goes_on=False)
            return
        head, self._head = self._head, b""
        data = head + data
        channel = self._channel
        if (
            not self._short or channel.requests or channel._buffer or self._site.stopping
            or not self._take(data, waited=bool(head))
        ):  # fmt: skip
            self._long_way.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever asked is gone; as Klein does, the waiting is cancelled."""
        answering, self._answering = self._answering, None
        if answering is not None:
            self._site.finished(self)
            answering.cancel()
        self._long_way.connectionLost(reason)

    def _take(self, data: bytes, *, waited: bool) -> bool:
        """Carry out the one whole, plain request that `data` is; False where it is anything else.

        Many clients send a head and its body one after the other: once the body is waited for.
        """
        head, found, body = data.partition(END_OF_HEAD)
        line, _, headers = head.partition(b"\r\n")
        words = line.split(b" ")
        if not found or len(words) != 3 or words[2] != VERSION:
            return False
        method, uri, _ = words
        route = self._site.short.find(method, uri)
        if route is None:
            return False
        missing = self._length(route.number, method, uri, headers) - len(body)
        if missing > 0 and not waited:
            self._head = data
            return True
        if missing:
            return False
        request = ShortRequest(method, uri, body)
        self._site.began(self)
        answering = self._answering = Deferred.fromCoroutine(route.answer(request))
        answering.addErrback(self._failed, request)
        answering.addCallback(self._answered, request)
        answering.addErrback(self._broken)
        return True

    def _length(self, number: int, method: bytes, uri: bytes, headers: bytes) -> int:
        """The length of a body after these headers; -1 where they are not plain, or their sender is not let in here."""
        length = self._heads.get((number, headers))
        if length is None:
            length = plain_length(method, headers)
            short = self._site.short
            if length >= 0 and refusal_of(short.access, self._peer, method, uri, self._secure, headers) is not None:
                length = -1
            if len(self._heads) >= HEADS_KEPT:
                self._heads.clear()
            self._heads[number, headers] = length
        return length

    def _failed(self, failure: Failure, request: ShortRequest) -> Any:
        if self._answering is None and failure.check(CancelledError):
            return None
        return self._site.short.failed(request, failure)

    def _answered(self, response: Any, request: ShortRequest) -> None:
        transport: Any = self.transport
        if response is None or self._answering is None:
            return
        answer = head_of(response.code, response.headers) + response.body
        if self._plain:
            write(transport, answer)
        else:
            transport.write(answer)
        self._answering = None
        self._channel.resetTimeout()
        self._site.tell(self._ip, request.method, request.uri, response.code, len(response.body))
        self._site.finished(self)
        if self._early:
            early, self._early = b"".join(self._early), []
            self._reading(goes_on=True)
            self.dataReceived(early)

    def _broken(self, failure: Failure) -> None:
        log.failure("a request could not be answered", failure)
        transport: Any = self.transport
        transport.abortConnection()

    def _reading(self, *, goes_on: bool) -> None:
        transport: Any = self.transport
        if goes_on:
            transport.resumeProducing()
        else:
            transport.pauseProducing()

    def _timed_out(self) -> None:
        """Silence: of the client, or while its request is carried out."""
        if self._answering is None:
            self._time_out()
        else:
            self._channel.setTimeout(self._channel.timeOut)


def head_of(code: int, headers: Any) -> bytes:
    """The head of an answer as Twisted Web writes it here."""
    further = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{_status_line(code)}Server: ocppd\r\nDate: {_date(int(time()))}\r\n{_BEGIN}{further}\r\n".encode("latin-1")


@lru_cache
def _status_line(code: int) -> str:
    return f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\n"


@lru_cache(maxsize=1)
def _date(now_s: int) -> str:
    return formatdate(now_s, usegmt=True)
