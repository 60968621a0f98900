"""Files that a charger really sends and fetches: by HTTP alone. OCPP 1.6 sections 4.4, 4.5; white paper L01, N01.

A location is a directory: what is sent gets its name behind it. Nothing that is fetched is kept.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final
from urllib.parse import quote, urlsplit

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

SCHEMES: Final = frozenset({"http", "https"})
#: Of a firmware that is asked for at a time.
PIECE_BYTES: Final = 1024 * 1024
#: What is more is no firmware.
MOST_BYTES: Final = 512 * 1024 * 1024
#: For each request and for its answer.
TIMEOUT_S: Final = 60.0

OK, PARTIAL, SUCCESS = 200, 206, range(200, 300)


class TransferFailed(Exception):
    """The other side does not want or does not give what was asked for."""


def is_real(location: str) -> bool:
    """Whether a location is one that files are really moved to and from."""
    return urlsplit(location).scheme.lower() in SCHEMES


class Transfers:
    """Sends and fetches. `authority_pem`: the roots that are trusted for https in place of the system's."""

    def __init__(self, reactor: Any, authority_pem: bytes | None = None) -> None:
        self._reactor = reactor
        self._authority_pem = authority_pem
        self._made: Any = None

    async def send(self, location: str, name: str, data: bytes) -> bool:
        """PUT a file into the directory; whether it was taken."""
        url = f"{location.rstrip('/')}/{quote(name)}"
        try:
            answer = await self._request(b"PUT", url, {}, data)
            await self._count(answer, 0)
        except CancelledError:
            raise
        except Exception:  # the boundary: whatever a server, a name or a certificate does, the file was not taken
            return False
        return answer.code in SUCCESS

    async def fetch(self, location: str) -> int | None:
        """GET a file piece by piece; the bytes that came, None where not all did."""
        received = 0
        try:
            while True:
                wanted = {"Range": [f"bytes={received}-{received + PIECE_BYTES - 1}"]}
                answer = await self._request(b"GET", location, wanted)
                if answer.code == OK:
                    return await self._count(answer, MOST_BYTES)
                if answer.code != PARTIAL:
                    return None
                received += await self._count(answer, PIECE_BYTES)
                if received >= _whole(answer):
                    return received
        except CancelledError:
            raise
        except Exception:  # the boundary, as above
            return None

    def _request(self, method: bytes, url: str, headers: dict[str, list[str]], data: bytes | None = None) -> Deferred[Any]:
        # Twisted's client takes the global reactor when it is imported.
        from twisted.web.client import FileBodyProducer
        from twisted.web.http_headers import Headers

        body = None if data is None else FileBodyProducer(BytesIO(data), cooperator=self._cooperator())
        sent: Deferred[Any] = self._agent().request(method, url.encode("ascii"), Headers(headers), body)
        return sent.addTimeout(TIMEOUT_S, self._reactor)

    def _agent(self) -> Any:
        from twisted.internet.ssl import Certificate, trustRootFromCertificates
        from twisted.web.client import Agent, BrowserLikePolicyForHTTPS

        if self._made is None:
            roots = None if self._authority_pem is None else trustRootFromCertificates([Certificate.loadPEM(self._authority_pem)])
            self._made = Agent(self._reactor, BrowserLikePolicyForHTTPS(roots), connectTimeout=TIMEOUT_S)
        return self._made

    def _cooperator(self) -> Any:
        from twisted.internet.task import Cooperator

        return Cooperator(scheduler=lambda work: self._reactor.callLater(0, work))

    def _count(self, answer: Any, most: int) -> Deferred[int]:
        """The bytes of a body; beyond `most` it is cut off."""
        counted = _Counted(most)
        answer.deliverBody(counted)
        return counted.whole.addTimeout(TIMEOUT_S, self._reactor)


def _whole(answer: Any) -> int:
    """The size of the file of which this is a part. Raises TransferFailed."""
    header = (answer.headers.getRawHeaders("content-range") or [""])[0]
    size = header.rpartition("/")[2]
    if not size.isdigit() or int(size) > MOST_BYTES:
        raise TransferFailed("the part of the file does not say of what")
    return int(size)


class _Counted(Protocol):
    """Counts a body and drops it."""

    def __init__(self, most: int) -> None:
        self.whole: Deferred[int] = Deferred(lambda _: self._cut_off())
        self._most = most
        self._count = 0

    def dataReceived(self, data: bytes) -> None:
        self._count += len(data)
        if self._most and self._count > self._most:
            self._cut_off()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        from twisted.web.client import ResponseDone

        if self.whole.called:
            return
        if reason.check(ResponseDone):
            self.whole.callback(self._count)
        else:
            self.whole.errback(reason)

    def _cut_off(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()
