"""Operators in a closed loop: HTTP clients that keep their connections and trigger messages of connected chargers."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

from loads import Result, Window, quiet
from measure import latencies

#: The documented call that comes back with the charger's answer.
PATH = "/api/v1/chargers/B-{}/commands/TriggerMessage?wait=10"
BODY = b'{"requestedMessage":"Heartbeat"}'
END = b"\r\n\r\n"


class Operator(asyncio.Protocol):
    """One connection, with one call outstanding."""

    def __init__(self, host: str, chargers: list[int], window: Window) -> None:
        self._requests = [
            f"POST {PATH.format(each)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\n\r\n".encode()
            + BODY
            for each in chargers
        ]
        self._window = window
        self._turn = 0
        self._received = b""
        self._at = 0.0
        self._transport: Any = None
        self.running = True
        self.failure = ""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._turn += 1
        self._at = time.perf_counter()
        self._transport.write(self._requests[self._turn % len(self._requests)])

    def data_received(self, data: bytes) -> None:
        """Part of an answer, or all of it."""
        self._received += data
        head, end, body = self._received.partition(END)
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._received = b""
        self._window.took.append(time.perf_counter() - self._at)
        if not head.startswith(b"HTTP/1.1 200") or b'"completed"' not in body:
            self.failure = self.failure or f"{head[:80]!r} {body[:200]!r}"
        elif self.running:
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is over."""
        if self.running:
            self.failure = self.failure or "the connection is lost"

    def close(self) -> None:
        """Go away."""
        self._transport.close()


async def triggers(url: str, pid: int, chargers: int, clients: int, seconds: float, warm: float) -> Result:
    """So many clients, each of which triggers its own part of the chargers."""
    window, address, operators = Window(pid), urlsplit(url), []
    loop = asyncio.get_running_loop()
    with quiet():
        for number in range(clients):
            own = list(range(number, chargers, clients))
            operator = Operator(address.netloc, own, window)
            await loop.create_connection(lambda operator=operator: operator, address.hostname, address.port)  # type: ignore[misc]
            operators.append(operator)
        await asyncio.sleep(warm)
        window.begin()
        await asyncio.sleep(seconds)
        result = window.result()
    for operator in operators:
        operator.running = False
    await asyncio.sleep(0.5)
    for operator in operators:
        operator.close()
    failures = [operator.failure for operator in operators if operator.failure]
    if failures:
        raise ConnectionError(failures[0])
    return result | latencies(window.took)
