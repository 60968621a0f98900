"""Files as answers: whole, or one range of them. RFC 9110 section 14. Sent by Twisted's own producers, which read as the
network takes it.

Nothing of a file is ever shown or run by who fetches it: it is octets, to be saved.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import CACHED, PARTIAL_CONTENT, REQUESTED_RANGE_NOT_SATISFIABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import NoRangeStaticProducer, SingleRangeStaticProducer, StaticProducer

from ocppd.clock import Clock, DelayedCall
from ocppd.storage.records.files import StoredFile

#: A peer that has taken nothing for so long is cut off.
STALL_S: Final = 120.0

_RANGE: Final = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.ASCII | re.IGNORECASE)


def range_of(header: str, size: int) -> tuple[int, int] | None:
    """Offset and count of the one range that a Range header asks for; None where it asks for something else, which may be
    ignored. A count of 0 cannot be satisfied."""
    found = _RANGE.fullmatch(header)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        count = min(int(found[2]), size)
        return size - count, count
    begin, end = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and end < begin:
        return None
    return begin, max(0, min(end, size - 1) - begin + 1)


class Sent(Resource):
    """A file as the answer to a request."""

    isLeaf = True

    def __init__(self, path: Path, file: StoredFile, clock: Clock, ended: Callable[[bool], None] | None = None) -> None:
        """`ended` is told whether all of what was asked for has been written."""
        super().__init__()
        self._path = path
        self._file = file
        self._clock = clock
        self._ended = ended or (lambda _: None)

    def render(self, request: Any) -> Any:
        """Begin to send."""
        size, etag = self._file.size, f'"{self._file.sha256}"'.encode()
        request.setHeader(b"content-type", b"application/octet-stream")
        request.setHeader(b"content-disposition", disposition(self._file.name).encode())
        request.setHeader(b"content-security-policy", b"sandbox; default-src 'none'")
        request.setHeader(b"accept-ranges", b"bytes")
        if request.setETag(etag) is CACHED:
            self._ended(False)
            return b""
        wanted = self._range(request, etag)
        if wanted is None:
            wanted = (0, size)
        elif wanted[1] == 0:
            request.setResponseCode(REQUESTED_RANGE_NOT_SATISFIABLE)
            request.setHeader(b"content-range", f"bytes */{size}".encode())
            self._ended(False)
            return b""
        else:
            request.setResponseCode(PARTIAL_CONTENT)
            request.setHeader(b"content-range", f"bytes {wanted[0]}-{sum(wanted) - 1}/{size}".encode())
        return self._send(request, *wanted)

    def _range(self, request: Any, etag: bytes) -> tuple[int, int] | None:
        header = request.getHeader(b"range")
        if header is None or request.method not in (b"GET", b"HEAD") or request.getHeader(b"if-range") not in (None, etag):
            return None
        return range_of(header.decode("latin-1"), self._file.size)

    def _send(self, request: Any, offset: int, count: int) -> Any:
        request.setHeader(b"content-length", str(count).encode())
        if request.method == b"HEAD" or count == 0:
            self._ended(False)
            request.finish()
            return NOT_DONE_YET
        opened = self._path.open("rb")
        stalls = Stalls(request, self._clock)

        def done(result: object) -> None:
            stalls.stop()
            self._ended(not isinstance(result, Failure) and offset + count == self._file.size)

        whole: Deferred[Any] = request.notifyFinish()
        whole.addBoth(done)
        producer: StaticProducer
        if offset or count != self._file.size:
            producer = SingleRangeStaticProducer(request, opened, offset, count)
        else:
            producer = NoRangeStaticProducer(request, opened)
        producer.start()
        return NOT_DONE_YET


class Stalls:
    """Cuts off a peer that takes nothing."""

    def __init__(self, request: Any, clock: Clock) -> None:
        self._request = request
        self._clock = clock
        self._sent = -1
        self._timer: DelayedCall | None = clock.callLater(STALL_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._request.sentLength == self._sent:
            self._request.transport.abortConnection()
        else:
            self._sent = self._request.sentLength
            self._timer = self._clock.callLater(STALL_S, self._look)

    def stop(self) -> None:
        """The answer has ended."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def disposition(name: str) -> str:
    """To be saved, under this name (RFC 6266)."""
    plain = "".join(each if each.isascii() and each.isprintable() and each not in '"\\%' else "_" for each in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
