"""Charge points that roam between nodes and make transactions, for a process of its own; made of `websockets` alone.

    python fleet.py COUNT PREFIX PACE URL [URL …]

Each charger picks a node at random, boots, and makes transactions with PACE seconds between its messages; when its
connection is lost it comes back after a back-off of `BACKOFF_S`, to any node. A message of a transaction is repeated, as
chargers do, until it is answered by a CALLRESULT. A line of JSON on stdout for each event, with `at` in seconds; "stop"
on stdin makes each charger end its transaction, then leave. Knows nothing of ocppd.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import sys
import time
from typing import Any

import websockets

#: Seconds between attempts to connect: the first one comes after a time in this range, each further one after twice as much.
BACKOFF_S = (0.1, 0.4)
LONGEST_BACKOFF_S = 3.0
#: How long a charger waits for the answer to a call, and for a handshake.
ANSWER_S = 12.0
#: A charger that was answered with an error repeats its message after so long.
REPEAT_S = 0.5


class Lost(Exception):
    """The connection is gone, or as good as gone."""


class Fleet:
    """What all chargers share."""

    def __init__(self, pace_s: float, urls: list[str]) -> None:
        self.pace_s = pace_s
        self.urls = urls
        self.stopping = asyncio.Event()
        self._lines: list[str] = []

    def tell(self, event: str, charger: str, **members: Any) -> None:
        """One line; written a few times a second."""
        self._lines.append(json.dumps({"at": round(time.time(), 3), "event": event, "charger": charger, **members}))

    async def write(self) -> None:
        """Write what was told, until cancelled."""
        while True:
            await asyncio.sleep(0.1)
            self.flush()

    def flush(self) -> None:
        """Write what was told."""
        lines, self._lines = self._lines, []
        data = "".join(line + "\n" for line in lines).encode()
        while data:
            data = data[os.write(1, data) :]


class Charger:
    """One charger: its connection of the moment, and what it must not forget."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self._fleet = fleet
        self.name = name
        self._connection: Any = None
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self._meter_wh = 1000

    def _tell(self, event: str, **members: Any) -> None:
        self._fleet.tell(event, self.name, **members)

    async def live(self) -> None:
        """Connect again and again until the fleet stops and nothing is left to be told."""
        work = asyncio.create_task(self._work())
        lost_at = time.time()
        attempt = 0
        while not work.done():
            try:
                await self._connect()
            except (OSError, TimeoutError, websockets.WebSocketException, Lost) as error:
                self._tell("refused", reason=str(error)[:80])
                attempt += 1
                await self._pause(work, min(LONGEST_BACKOFF_S, random.uniform(*BACKOFF_S) * 2**attempt))
                continue
            self._tell("connected", after=round(time.time() - lost_at, 3), attempts=attempt + 1)
            attempt = 0
            code = await self._serve(work)
            lost_at = time.time()
            self._tell("lost", code=code)
            await self._pause(work, random.uniform(*BACKOFF_S))
        work.result()

    @staticmethod
    async def _pause(work: asyncio.Task[None], seconds: float) -> None:
        await asyncio.wait({work}, timeout=seconds)

    async def _connect(self) -> None:
        url = f"{random.choice(self._fleet.urls)}/{self.name}"
        connection = await websockets.connect(
            url,
            subprotocols=[websockets.Subprotocol("ocpp1.6")],
            open_timeout=ANSWER_S,
            close_timeout=1,
            ping_interval=None,
            compression=None,
            proxy=None,
        )
        self._connection = connection

    async def _serve(self, work: asyncio.Task[None]) -> int | None:
        """Read until the connection is lost, or the work is done; the close code."""
        connection = self._connection
        reading = asyncio.create_task(self._read(connection))
        await asyncio.wait({reading, work}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await connection.close()
        await reading
        self._connection = None
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(Lost())
        self._answers.clear()
        return connection.close_code

    async def _read(self, connection: Any) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for data in connection:
                frame = json.loads(data)
                if frame[0] == 2:
                    self._tell("command", id=frame[1], action=frame[2])
                    await connection.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
                elif (waiting := self._answers.pop(frame[1], None)) is not None and not waiting.done():
                    waiting.set_result(frame)

    async def _attempt(self, action: str, payload: dict[str, Any]) -> Any:
        """Send a call once. Raises Lost."""
        connection = self._connection
        if connection is None:
            raise Lost
        message_id = f"{self.name}-{next(self._ids)}"
        answer = self._answers[message_id] = asyncio.get_running_loop().create_future()
        try:
            await connection.send(json.dumps([2, message_id, action, payload]))
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError:
            await connection.close(1000, "no answer")
            raise Lost from None
        except websockets.ConnectionClosed:
            raise Lost from None
        finally:
            self._answers.pop(message_id, None)

    async def _call(self, action: str, payload: dict[str, Any], key: str | None = None) -> Any:
        """Send a call until it is answered; `key` names it in the events."""
        if key is not None:
            self._tell("tries", key=key, action=action, payload=payload)
        while True:
            try:
                answer = await self._attempt(action, payload)
            except Lost:
                await asyncio.sleep(0.05)
                continue
            if answer[0] == 3:
                if key is not None:
                    self._tell("answered", key=key, action=action, answer=answer[2])
                return answer[2]
            self._tell("error", action=action, code=answer[2])
            if answer[2] == "SecurityError":  # this node has not seen a boot of this charger
                await self._call("BootNotification", self._boot())
            else:
                await asyncio.sleep(REPEAT_S)

    def _boot(self) -> dict[str, Any]:
        return {"chargePointVendor": "Fleet", "chargePointModel": self.name}

    async def _work(self) -> None:
        """Boot, and make transactions until the fleet stops."""
        await self._call("BootNotification", self._boot())
        await asyncio.sleep(random.uniform(0, self._fleet.pace_s))
        for number in itertools.count():
            if self._fleet.stopping.is_set():
                return
            await self._transaction(number)

    async def _transaction(self, number: int) -> None:
        begin = self._meter_wh
        key = f"{self.name}/{number}"
        start = {"connectorId": 1, "idTag": "TAG", "meterStart": begin, "timestamp": _now()}
        transaction_id = (await self._call("StartTransaction", start, f"{key}/start"))["transactionId"]
        for _ in range(2):
            await self._rest()
            self._meter_wh += 10
            value = [{"timestamp": _now(), "sampledValue": [{"value": str(self._meter_wh)}]}]
            meter_values = {"connectorId": 1, "transactionId": transaction_id, "meterValue": value}
            await self._call("MeterValues", meter_values, f"{key}/{self._meter_wh}")
        await self._rest()
        stop = {"transactionId": transaction_id, "meterStop": self._meter_wh, "timestamp": _now()}
        await self._call("StopTransaction", stop, f"{key}/stop")
        await self._rest()

    async def _rest(self) -> None:
        if not self._fleet.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._fleet.stopping.wait(), self._fleet.pace_s * random.uniform(0.5, 1.5))


def _now() -> str:
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03}Z"


async def run(count: int, prefix: str, pace_s: float, urls: list[str]) -> None:
    """All chargers, until they have stopped."""
    fleet = Fleet(pace_s, urls)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    writing = asyncio.create_task(fleet.write())
    chargers = [asyncio.create_task(Charger(fleet, f"{prefix}-{number}").live()) for number in range(count)]
    stop = asyncio.create_task(reader.readline())
    try:
        await stop
        fleet.stopping.set()
        await asyncio.gather(*chargers)
    finally:
        writing.cancel()
        fleet.flush()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4:]))
