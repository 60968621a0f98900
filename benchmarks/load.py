"""A load generator: charge points in a closed loop, each with one message outstanding. Knows nothing of ocppd.

    python benchmarks/load.py COUNT PREFIX SECONDS MIX URL [URL …]

Charger n connects to URL n modulo their number, boots and starts a transaction; then, on a line "go" on stdin, all send
the mix as fast as they are answered, for so many seconds: `real` is 60 % MeterValues of six samples, 20 %
StatusNotification, 20 % Heartbeat; `heartbeat` is Heartbeats alone; `idle` sends nothing and stays until stdin ends. Lines
of JSON on stdout: `ready`, then the result.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from frames import MEASURANDS


def masked(payload: bytes) -> bytes:
    """A text frame of a client; the mask is zero, which a server has to take off all the same."""
    if len(payload) < 126:
        head = bytes((0x81, 0x80 | len(payload)))
    elif len(payload) < 65536:
        head = b"\x81\xfe" + len(payload).to_bytes(2, "big")
    else:
        head = b"\x81\xff" + len(payload).to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


class Charger(asyncio.Protocol):
    """One connection, from the handshake on."""

    def __init__(self, name: str, path: str, host: str) -> None:
        self.name = name
        self._request = (
            f"GET {path}/{name} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        ).encode()
        self._transport: Any = None
        self._received = b""
        self._open = False
        self._waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transaction_id = 0
        self.number = 0

    def connection_made(self, transport: Any) -> None:
        """Ask for the upgrade."""
        self._transport = transport
        transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        """Whoever waits waits in vain."""
        if not self._waiting.done():
            self._waiting.set_exception(ConnectionError(f"{self.name}: the connection is lost"))
            self._waiting.exception()

    def data_received(self, data: bytes) -> None:
        """Take frames apart. Calls of the central system are answered, pings ignored."""
        self._received += data
        if not self._open:
            head, end, self._received = self._received.partition(b"\r\n\r\n")
            if not end:
                self._received = head
                return
            self._open = True
            self._answer(head)
        while (frame := self._frame()) is not None:
            if frame.startswith(b"[2"):
                self._transport.write(masked(b'[3,"%s",{"status":"Accepted"}]' % frame.split(b'"', 2)[1]))
            elif frame:
                self._answer(frame)

    def _frame(self) -> bytes | None:
        received = self._received
        if len(received) < 2:
            return None
        length, begin = received[1], 2
        if length == 126:
            length, begin = int.from_bytes(received[2:4], "big"), 4
        elif length == 127:
            length, begin = int.from_bytes(received[2:10], "big"), 10
        if len(received) < begin + length:
            return None
        self._received = received[begin + length :]
        return received[begin : begin + length] if received[0] == 0x81 else b""

    def _answer(self, answer: bytes) -> None:
        if not self._waiting.done():
            self._waiting.set_result(answer)

    async def opened(self) -> None:
        """The handshake is complete. Raises ConnectionError where it is refused."""
        head = await self._waiting
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(f"{self.name}: {head[:80]!r}")

    async def call(self, action: bytes, payload: bytes) -> bytes:
        """Send a call and wait for its answer."""
        self.number += 1
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(masked(b'[2,"%d","%s",%s]' % (self.number, action, payload)))
        answer = await self._waiting
        if not answer.startswith(b'[3,"%d",' % self.number):
            raise ConnectionError(f"{self.name}: {answer[:200]!r}")
        return answer

    def meter_values(self) -> bytes:
        """Six samples of an instant that no other message has."""
        number = self.number
        samples = ",".join(
            f'{{"value":"{1000 + number}.{index}","context":"Sample.Periodic","measurand":"{measurand}","unit":"{unit}"}}'
            for index, (measurand, unit) in enumerate(MEASURANDS)
        )
        hours, minutes, seconds = number // 3600 % 24, number // 60 % 60, number % 60
        instant = f"2026-01-{1 + number // 86400:02}T{hours:02}:{minutes:02}:{seconds:02}Z"
        return (
            f'{{"connectorId":1,"transactionId":{self.transaction_id},'
            f'"meterValue":[{{"timestamp":"{instant}","sampledValue":[{samples}]}}]}}'
        ).encode()

    async def begin(self) -> None:
        """Boot, and start a transaction."""
        await self.opened()
        await self.call(b"BootNotification", b'{"chargePointVendor":"Load","chargePointModel":"L"}')
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        start = f'{{"connectorId":1,"idTag":"TAG","meterStart":{time.time_ns() % 10**9},"timestamp":"{began}"}}'
        answer = await self.call(b"StartTransaction", start.encode())
        self.transaction_id = json.loads(answer)[2]["transactionId"]

    async def beat(self, end: float, took: list[float]) -> None:
        """Send Heartbeats until `end`, of `time.perf_counter`."""
        while (now := time.perf_counter()) < end:
            await self.call(b"Heartbeat", b"{}")
            took.append(time.perf_counter() - now)

    async def work(self, end: float, took: list[float]) -> None:
        """Send the real mix until `end`, of `time.perf_counter`."""
        turn = 0
        while (now := time.perf_counter()) < end:
            turn += 1
            if turn % 5 < 3:
                await self.call(b"MeterValues", self.meter_values())
            elif turn % 5 == 3:
                await self.call(b"StatusNotification", b'{"connectorId":1,"errorCode":"NoError","status":"Charging"}')
            else:
                await self.call(b"Heartbeat", b"{}")
            took.append(time.perf_counter() - now)


async def run(count: int, prefix: str, seconds: float, mix: str, urls: list[str]) -> None:
    """All chargers, through their life."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    door = asyncio.Semaphore(200)

    async def connect(number: int) -> Charger:
        url = urlsplit(urls[number % len(urls)])
        async with door:
            _, charger = await loop.create_connection(
                lambda: Charger(f"{prefix}-{number}", url.path, url.netloc), url.hostname, url.port
            )
            await charger.begin()
        return charger

    began = time.perf_counter()
    chargers = await asyncio.gather(*(connect(number) for number in range(count)))
    print(json.dumps({"ready": count, "seconds": time.perf_counter() - began}), flush=True)
    if mix == "idle":
        await reader.read()
        return
    await reader.readline()
    took: list[float] = []
    began = time.perf_counter()
    end = began + seconds
    await asyncio.gather(*(charger.beat(end, took) if mix == "heartbeat" else charger.work(end, took) for charger in chargers))
    elapsed = time.perf_counter() - began
    took.sort()
    middle, high = (took[int(len(took) * share)] for share in (0.5, 0.99))
    print(json.dumps({"messages": len(took), "seconds": elapsed, "p50": middle, "p99": high}), flush=True)


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4], sys.argv[5:]))
