"""Charge points without rest, made of `websockets` alone, for a process of its own: transactions in a closed loop.

    python load.py URL COUNT PREFIX        PREFIX-0, PREFIX-1, …, until their connections are lost
    python load.py URL --repeat FILE       sends again what FILE, the lines of an earlier run, has as sent

A line of JSON on stdout for each message: `{"sent": [2, …], "charger": …}` before it leaves, `{"answered": [3, …], …}`
as soon as its answer is read, and `{"closed": code, …}` at the end of each connection. Knows nothing of ocppd.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import websockets

#: 2026-01-02T00:00:00Z as far as the minutes go; each message of a charger has an instant of its own.
INSTANT = "2026-01-02T{:02}:{:02}:{:02}.{:03}Z"
#: Messages whose repetition must change nothing.
WITH_EFFECT = ("StartTransaction", "MeterValues", "StopTransaction")


def tell(**event: Any) -> None:
    """One line, written at once: it outlives this process."""
    os.write(1, json.dumps(event).encode() + b"\n")


class Charger:
    """One connection, one message at a time."""

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self._connection = connection
        self._count = itertools.count()
        self._instants = itertools.count(1)

    def _now(self) -> str:
        milliseconds = next(self._instants) * 250
        seconds, milliseconds = divmod(milliseconds, 1000)
        return INSTANT.format(seconds // 3600, seconds // 60 % 60, seconds % 60, milliseconds)

    async def ask(self, frame: list[Any]) -> Any:
        """Send a call and wait for its answer."""
        tell(sent=frame, charger=self.name)
        await self._connection.send(json.dumps(frame))
        while (answer := json.loads(await self._connection.recv()))[0] == 2:
            await self._connection.send(json.dumps([3, answer[1], {"status": "Accepted"}]))
        tell(answered=answer, charger=self.name)
        if answer[:2] != [3, frame[1]]:
            raise RuntimeError(f"no answer to {frame}: {answer}")
        return answer[2]

    async def call(self, action: str, **payload: Any) -> Any:
        """Call with an id that nobody else has."""
        return await self.ask([2, f"{self.name}-{next(self._count)}-id", action, payload])

    async def live(self) -> None:
        """Boot, and make transactions."""
        while True:
            await self.call("BootNotification", chargePointVendor="Load", chargePointModel=self.name)
            for _ in range(5):
                await self._transaction()

    async def _transaction(self) -> None:
        await self._status("Charging")
        started = await self.call("StartTransaction", connectorId=1, idTag="TAG", meterStart=10, timestamp=self._now())
        transaction_id = started["transactionId"]
        for value in (11, 12):
            meter_value = [{"timestamp": self._now(), "sampledValue": [{"value": str(value)}]}]
            await self.call("MeterValues", connectorId=1, transactionId=transaction_id, meterValue=meter_value)
        await self.call("StopTransaction", transactionId=transaction_id, meterStop=13, timestamp=self._now())
        await self._status("Available")

    async def _status(self, status: str) -> None:
        await self.call("StatusNotification", connectorId=1, errorCode="NoError", status=status, timestamp=self._now())


async def connected(url: str, name: str, then: Any) -> None:
    """Connect a charger and let it do something until it is done or the connection is lost."""
    async with websockets.connect(f"{url}/{name}", subprotocols=[websockets.Subprotocol("ocpp1.6")]) as connection:
        try:
            await then(Charger(name, connection))
        except websockets.ConnectionClosed as closed:
            tell(closed=closed.rcvd.code if closed.rcvd else None, charger=name)


async def load(url: str, count: str, prefix: str) -> None:
    """All the chargers at once."""
    await asyncio.gather(*(connected(url, f"{prefix}-{number}", Charger.live) for number in range(int(count))))


def to_repeat(events: list[Any]) -> list[tuple[Any, Any]]:
    """The sent messages, with their answers, that a charger would send again: all that got none, and the last of each
    charger and action that has an effect, as if its answer had been lost on the way."""
    answers = {event["answered"][1]: event["answered"] for event in events if "answered" in event}
    sent = [event for event in events if "sent" in event]
    last = {(event["charger"], event["sent"][2]): event for event in sent if event["sent"][1] in answers}
    unanswered = [(event, None) for event in sent if event["sent"][1] not in answers]
    return unanswered + [(event, answers[event["sent"][1]]) for (_, action), event in last.items() if action in WITH_EFFECT]


async def repeat(url: str, file: str) -> None:
    """Sends again, each on a connection of its own after a boot. What was answered must be answered alike."""
    for event, answer in to_repeat([json.loads(line) for line in Path(file).read_text().splitlines()]):

        async def again(charger: Charger, event: Any = event, answer: Any = answer) -> None:
            await charger.call("BootNotification", chargePointVendor="Load", chargePointModel=charger.name)
            given = await charger.ask(event["sent"])
            if answer is not None and given != answer[2]:
                raise RuntimeError(f"another answer than {answer}: {given}")

        await connected(url, event["charger"], again)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--repeat"]
    asyncio.run(repeat(*arguments) if "--repeat" in sys.argv else load(*arguments))
