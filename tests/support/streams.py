"""Readers of event streams: one in the process for tests of the answer, and one on a thread that follows through outages."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from support.peer import Response, within

#: Seconds that a viewer stays with a node.
HOP_S = (0.5, 5.0)


@dataclass(frozen=True)
class Told:
    """An event as it came: its data, and what its client would come back with."""

    data: dict[str, Any]
    resume: int

    @property
    def kind(self) -> str:
        """Its type; that of the wire and that of the data are the same."""
        return str(self.data["type"])


class Parser:
    """Server-Sent Events from their text, as the standard reads them."""

    def __init__(self) -> None:
        self._rest = ""
        self.last_id: int | None = None
        self.comments = 0

    def feed(self, text: str) -> Iterator[Told]:
        """The events that are complete with this."""
        *blocks, self._rest = (self._rest + text).split("\n\n")
        for block in blocks:
            members = [line.partition(": ")[::2] for line in block.split("\n")]
            self.comments += any(line.startswith(":") for line in block.split("\n"))
            fields = {name: value for name, value in members if name}
            if "id" in fields:
                self.last_id = int(fields["id"])
            if "data" in fields:
                data = json.loads(fields["data"])
                assert fields["event"] == data["type"] and self.last_id is not None
                yield Told(data, self.last_id)


class Stream(Protocol):
    """One open stream; HTTP/1.0, so that it comes as it is."""

    def __init__(self) -> None:
        self.parser = Parser()
        self.head: Deferred[Response] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self.received = 0
        self._head = b""
        self._events: DeferredQueue[Told] = DeferredQueue()

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        if not self.head.called:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self.head.callback(Response(head + end))
        for told in self.parser.feed(data.decode()):
            self._events.put(told)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)

    async def next(self) -> Told:
        """The next event."""
        told: Told = await within(self._events.get())
        return told

    async def take(self, count: int) -> list[Told]:
        """So many events."""
        return [await self.next() for _ in range(count)]

    def pause(self) -> None:
        """Read no more."""
        assert self.transport is not None
        self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read again."""
        assert self.transport is not None
        self.transport.resumeProducing()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Go."""
        assert self.transport is not None
        self.transport.abortConnection()  # type: ignore[attr-defined]


async def open_stream(port: int, query: str = "", **headers: str) -> Stream:
    """Follow the events of the daemon on this port."""
    stream: Stream = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Stream())
    assert stream.transport is not None
    lines = [f"GET /api/v1/events/stream{query} HTTP/1.0", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    stream.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    assert (await within(stream.head)).status == 200
    return stream


class Viewer:
    """Follows the events of several nodes on a thread, from wherever it stopped, until it is ended.

    It goes to the next node when it loses the one it follows, and after `HOP_S` at most.
    """

    def __init__(self, ports: Callable[[], Sequence[int]], after: int = 0) -> None:
        self._ports = ports
        self._after = after
        self._ending = threading.Event()
        self.seen: dict[int, dict[str, Any]] = {}
        self.connections = 0
        self.repeated = 0
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._ending.wait(0.1):
            ports = self._ports()
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self._read(ports[self.connections % len(ports)])
            self.connections += 1

    def _read(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/api/v1/events/stream", headers={"Last-Event-ID": str(self._after)})
            answer = connection.getresponse()
            if answer.status != 200:
                return
            parser = Parser()
            end_s = time.monotonic() + random.uniform(*HOP_S)
            while time.monotonic() < end_s and not self._ending.is_set() and (line := answer.readline()):
                for told in parser.feed(line.decode()):
                    self.repeated += told.data["id"] in self.seen
                    self.seen[told.data["id"]] = told.data
                if parser.last_id is not None:
                    self._after = parser.last_id
        finally:
            connection.close()

    def wait_for(self, wanted: set[int], patience_s: float = 60.0) -> set[int]:
        """What is still missing of these events, once nothing is or the patience is over; ends the reader."""
        end_s = time.monotonic() + patience_s
        while wanted - self.seen.keys() and time.monotonic() < end_s:
            self._ending.wait(0.1)
        self._ending.set()
        return wanted - self.seen.keys()
