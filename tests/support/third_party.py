"""A charge point made with the `ocpp` package of Mobility House and `websockets`, for a process of its own.

    python third_party.py URL NAME

A line of JSON on stdin makes it do something, a line on stdout says that it is done; every text that comes from the
central system is a line, too. All payloads are validated by that package's schemas, both ways. Knows nothing of ocppd.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

import websockets
from ocpp import exceptions
from ocpp.charge_point import camel_to_snake_case, remove_nones, snake_to_camel_case
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result


def tell(**event: Any) -> None:
    """Say something to the test."""
    print(json.dumps(event, default=str), flush=True)


class ThirdParty(ChargePoint):  # type: ignore[misc]
    """Answers a call as it was told to, with `answers` by action: a payload, an error's class name, or None for silence."""

    def __init__(self, name: str, connection: Any, answers: dict[str, Any]) -> None:
        for action in answers:
            if not hasattr(type(self), f"answer_{action}"):
                setattr(type(self), f"answer_{action}", answering(action))
        super().__init__(name, connection)
        self.answers = answers

    async def route_message(self, raw_msg: str) -> None:
        """Take a message, unless it is a call that gets no answer."""
        tell(received=raw_msg)
        message = json.loads(raw_msg)
        if message[0] != 2 or self.answers.get(message[2], "") is not None:
            await super().route_message(raw_msg)


def answering(action: str) -> Callable[..., Any]:
    """The handler of an action."""

    def answer(self: ThirdParty, **_: Any) -> Any:
        chosen = self.answers[action]
        if isinstance(chosen, str):
            raise getattr(exceptions, chosen)(description="as told", details={"why": "test"})
        return getattr(call_result, action)(**camel_to_snake_case(chosen))

    answer.__name__ = f"answer_{action}"
    return on(action)(answer)


class Session:
    """What the lines on stdin do."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self._answers: dict[str, Any] = {}
        self._connection: Any = None
        self._charger: ThirdParty | None = None
        self._reading: asyncio.Task[None] | None = None

    async def answers(self, answers: dict[str, Any]) -> None:
        """Answer these actions so. Those of the first time are all that are known."""
        self._answers.update(answers)

    async def connect(self) -> str:
        """Open the WebSocket; the subprotocol."""
        self._connection = await websockets.connect(f"{self._url}/{self._name}", subprotocols=[websockets.Subprotocol("ocpp1.6")])
        self._charger = ThirdParty(self._name, self._connection, self._answers)
        self._reading = asyncio.create_task(self._read())
        return str(self._connection.subprotocol)

    async def _read(self) -> None:
        try:
            await self._charger.start()  # type: ignore[union-attr]
        except websockets.ConnectionClosed as closed:
            tell(closed=closed.rcvd.code if closed.rcvd else None)

    async def call(self, action: str, payload: dict[str, Any]) -> Any:
        """Call the central system; its answer."""
        assert self._charger is not None
        request = getattr(call, action)(**camel_to_snake_case(payload))
        answer = await self._charger.call(request, suppress=False)
        return snake_to_camel_case(remove_nones(dataclasses.asdict(answer)))

    async def disconnect(self) -> None:
        """Close the WebSocket."""
        await self._connection.close()
        await self._reading  # type: ignore[misc]


async def main(url: str, name: str) -> None:
    """Do what the lines say, one after the other."""
    session = Session(url, name)
    while line := await asyncio.to_thread(sys.stdin.readline):
        wish = json.loads(line)
        try:
            tell(done=await getattr(session, wish.pop("do"))(**wish))
        except Exception as error:
            tell(failed=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
