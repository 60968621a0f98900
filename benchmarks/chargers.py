"""Charge points on picows: one connection each, one message outstanding, each answer compared with its message's id."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from frames import Clock, Source, answer_to
from picows import WSListener, WSMsgType, ws_connect

TEXT = WSMsgType.TEXT
#: Handshakes at the same time.
DOOR = 200
PATIENCE_S = 120.0
#: What a message's answer begins with: a CALLRESULT of its id, or from an echo the message itself.
RESULT, ECHO = b'[3,"%s",', b'[2,"%s",'


class Load(Protocol):
    """What makes chargers send."""

    def answered(self, charger: Charger) -> None:
        """The message of this charger has its answer."""


class Charger(WSListener):  # type: ignore[misc]
    """One charger. `at` is when its message was sent, or was to be sent."""

    def __init__(self, source: Source, load: Load, expected: bytes) -> None:
        self.source = source
        self.load = load
        self.at = 0.0
        self.transaction_id = 0
        self.outstanding = False
        self.answer = b""
        self.lost = False
        self._form = expected
        self._expected = b""
        self._transport: Any = None

    def on_ws_connected(self, transport: Any) -> None:
        """The handshake is complete."""
        self._transport = transport

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """An answer, a call of the central system, or a ping, which picows answers."""
        data = frame.get_payload_as_bytes()
        if data.startswith(self._expected) and self.outstanding:
            self.outstanding = False
            self.answer = data
            self.load.answered(self)
        elif frame.msg_type == TEXT:
            self._other(data)

    def _other(self, data: bytes) -> None:
        if self._form is RESULT and data.startswith(b"[2,"):
            self._transport.send(TEXT, answer_to(data))
        else:
            fail(f"expected {self._expected!r}, not {data[:200]!r}")

    def on_ws_disconnected(self, transport: Any) -> None:
        """The connection is over."""
        self.lost = True
        if self.outstanding:
            fail(f"charger {self.source.index} was disconnected while it waited")

    def send(self, message: bytes) -> None:
        """Send the message that the source has just made."""
        self._expected = self._form % self.source.last_id
        self.outstanding = True
        self._transport.send(TEXT, message)

    def send_next(self) -> None:
        """Send the next message of the mix."""
        self.send(self.source.next())

    def close(self) -> None:
        """Go away."""
        self._transport.disconnect(False)


_failures: list[str] = []


def fail(reason: str) -> None:
    """Something was not as it has to be: whoever runs the load finds it."""
    if len(_failures) < 10:
        _failures.append(reason)


def check() -> None:
    """Raises ConnectionError where anything has failed."""
    if _failures:
        reasons = "; ".join(_failures)
        _failures.clear()
        raise ConnectionError(reasons)


class Once:
    """A load of one message: wakes who waits for its answer."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    def answered(self, charger: Charger) -> None:
        """See `Load`."""
        waiting = self._waiting.pop(charger.source.index, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(charger.answer)

    async def call(self, charger: Charger, message: bytes) -> bytes:
        """Send it; its answer."""
        future = self._waiting[charger.source.index] = asyncio.get_running_loop().create_future()
        charger.send(message)
        return await asyncio.wait_for(future, PATIENCE_S)


async def _begin(charger: Charger, once: Once, begin: str) -> None:
    source = charger.source
    if begin == "open":
        return
    status = json.loads(await once.call(charger, source.boot()))[2]["status"]
    if status != "Accepted":
        fail(f"a boot was answered {status}")
    if begin == "boot":
        return
    if begin == "idle":
        await once.call(charger, source.available())
        return
    charger.transaction_id = json.loads(await once.call(charger, source.start()))[2]["transactionId"]
    if begin == "whole":
        await once.call(charger, source.meter_values(charger.transaction_id))
        await once.call(charger, source.stop(charger.transaction_id))


async def connect(
    url: str, count: int, *, begin: str = "start", echo: bool = False, told: Callable[[str], None] = lambda text: None
) -> list[Charger]:
    """So many chargers, named B-0 and on.

    `begin`: "open" does nothing, "boot" boots, "idle" tells a status, too, "start" starts a transaction, "whole" ends it.
    """
    door, clock, once = asyncio.Semaphore(DOOR), Clock(), Once()
    chargers: list[Charger] = []
    offer = {"Sec-WebSocket-Protocol": "ocpp1.6"}

    async def one(index: int) -> None:
        async with door:
            charger = Charger(Source(index, clock), once, ECHO if echo else RESULT)
            address = f"{url}/B-{index}"
            await ws_connect(lambda: charger, address, websocket_handshake_timeout=PATIENCE_S, extra_headers=offer)
            if not echo:
                await _begin(charger, once, begin)
            chargers.append(charger)
            if len(chargers) % 1000 == 0:
                told(f"{len(chargers)} of {count} chargers connected")

    await asyncio.gather(*(one(index) for index in range(count)))
    chargers.sort(key=lambda each: each.source.index)
    check()
    return chargers
