"""An answer that goes on: Server-Sent Events (https://html.spec.whatwg.org/#server-sent-events).

A client that reads slowly is not read for; what it has missed comes from the records when it reads again. One that does
not read at all is cut off, and comes back with the number of the last event that it had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ocppd.central.feed import Follower, News
from ocppd.clock import Clock, DelayedCall
from ocppd.errors import StorageUnavailable
from ocppd.net.rest import shapes

log = Logger()

MEDIA_TYPE: Final = "text/event-stream; charset=utf-8"
#: How long a client waits before it comes again, in milliseconds.
RETRY: Final = b"retry: 2000\n"
#: Proxies give up on a connection that is silent for a minute.
KEEP_ALIVE_S: Final = 15.0
#: A client that has not read for so long is gone.
STALL_S: Final = 60.0
#: How soon the records are asked again when they were away.
AGAIN_S: Final = 1.0
#: Bytes in one write, about.
WRITE: Final = 64 * 1024

_encode = msgspec.json.Encoder(decimal_format="number").encode


def text_of(news: News) -> bytes:
    """An event on the wire, the same for all who follow. JSON has line breaks between its tokens only."""
    if news.text is None:
        data = _encode(shapes.event(news.event)).replace(b"\r", b" ").replace(b"\n", b" ")
        news.text = b"id: %d\nevent: %b\ndata: %b\n\n" % (news.resume, news.event.kind.encode(), data)
    return news.text


def chunks(news: list[News]) -> Iterator[bytes]:
    """Events on the wire, in writes after which it is time to see whether the client reads."""
    written: list[bytes] = []
    size = 0
    for each in news:
        written.append(text_of(each))
        size += len(written[-1])
        if size >= WRITE:
            yield b"".join(written)
            written, size = [], 0
    yield b"".join(written)


class EventStream(Resource):
    """The body of one answer."""

    isLeaf = True

    def __init__(self, follower: Follower, clock: Clock) -> None:
        super().__init__()
        self._follower = follower
        #: Twisted's helpers want all of IReactorTime, and need the part that is there.
        self._clock: Any = clock

    def render(self, request: Any) -> int:
        """Begin; the answer ends with its client or with the daemon."""
        valve = Valve(request, self._clock)
        request.registerProducer(valve, True)
        # With an id from the beginning: who is cut off before the first event misses none, either.
        request.write(RETRY + (self._place() or b"\n"))
        running = Deferred.fromCoroutine(self._run(request, valve))
        request.notifyFinish().addErrback(lambda _: running.cancel())
        running.addCallbacks(lambda _: _finish(request), lambda failure: failure.trap(CancelledError))
        running.addErrback(_broken, request)
        return NOT_DONE_YET

    async def _run(self, request: Any, valve: Valve) -> None:
        beat = LoopingCall(self._keep_alive, request, valve)
        beat.clock = self._clock
        beat.start(KEEP_ALIVE_S, now=False)
        try:
            while news := await self._next():
                for chunk in chunks(news):
                    request.write(chunk)
                    await valve.opened()
        finally:
            beat.stop()
            valve.close()
            self._follower.close()

    async def _next(self) -> list[News]:
        while True:
            try:
                return await self._follower.next()
            except StorageUnavailable:
                await deferLater(self._clock, AGAIN_S)

    def _keep_alive(self, request: Any, valve: Valve) -> None:
        """Say how far the client is, also by events that it did not ask for; an event without data is none."""
        if valve.open:
            request.write(self._place() or b":\n\n")

    def _place(self) -> bytes:
        """Where the client would go on; nothing while that is not known."""
        resume = self._follower.resume
        return b"" if resume is None else b"id: %d\n\n" % resume


def _finish(request: Any) -> None:
    request.unregisterProducer()
    request.finish()


def _broken(failure: Failure, request: Any) -> None:
    """A bug: the client is to come again."""
    log.failure("a stream of events broke", failure)
    if request.channel is not None:
        request.channel.forceAbortClient()


class Valve:
    """The push producer of a stream: shut while its client does not read (IPushProducer)."""

    def __init__(self, request: Any, clock: Clock) -> None:
        self._request = request
        self._clock = clock
        self._opened: Deferred[None] | None = None
        self._stalled: DelayedCall | None = None
        self.open = True

    def opened(self) -> Deferred[None]:
        """Fires once the client reads; for one caller. Cancelling it stops the waiting."""
        if self.open:
            return succeed(None)
        self._opened = Deferred()
        return self._opened

    def close(self) -> None:
        """The stream is over."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def pauseProducing(self) -> None:
        """The network takes no more for now."""
        self.open = False
        if self._stalled is None:
            self._stalled = self._clock.callLater(STALL_S, self._cut_off)

    def resumeProducing(self) -> None:
        """It takes more."""
        self.close()
        self.open = True
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.callback(None)

    def stopProducing(self) -> None:
        """The connection is lost; the request tells so, too."""
        self.close()

    def _cut_off(self) -> None:
        self._stalled = None
        self._request.channel.forceAbortClient()
