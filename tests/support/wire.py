"""What tests on the wire share: users' handlers made in a test, raw WebSocket frames, reading records back."""

from __future__ import annotations

import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from twisted.internet.defer import Deferred

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.storage.api import Storage
from ocppd.storage.records import MessageFilter, MessageRecord, TransactionFilter, TransactionRecord
from support.central import Running
from support.peer import Peer, RawClient, Response, connect, raw, upgrade, within

OFFER = "Sec-WebSocket-Protocol: ocpp1.6"
MASK = b"\x11\x22\x33\x44"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-04T05:06:07Z"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
BOOT = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}


def use(handlers: type[CentralSystemHandlers]) -> str:
    """What `--handlers` is to be so that this class is taken."""
    module = sys.modules[__name__]
    module.Chosen = handlers  # type: ignore[attr-defined]
    return f"{__name__}:Chosen"


async def booted(daemon: Running, name: str = "CP1") -> Peer:
    """A peer that has connected and booted."""
    peer = await connect(daemon.port, f"/ocppj/1.6/{name}")
    assert (await peer.boot())["status"] == "Accepted"
    return peer


async def arrived(peer: Peer) -> None:
    """Everything that the peer has sent so far has arrived: a pong comes after it."""
    ponged: Deferred[None] = Deferred()
    peer.onPong = lambda _: ponged.callback(None)
    peer.sendPing(b"here")
    await within(ponged)


# Records


def storage_of(daemon: Running) -> Storage:
    """The records of the daemon."""
    storage = daemon.service._storage
    assert storage is not None
    return storage


async def message(daemon: Running, message_id: str) -> MessageRecord:
    """A message as it is recorded, once all that is being written is written."""
    await storage_of(daemon).check()
    record = await storage_of(daemon).read_message(message_id)
    assert record is not None
    return record


async def journal(daemon: Running, action: str | None = None, charger: str = "CP1") -> list[MessageRecord]:
    """The recorded messages of a charger, oldest first."""
    await storage_of(daemon).check()
    return list(reversed(await storage_of(daemon).list_messages(MessageFilter(charger=charger, action=action), None, 500)))


async def transactions(daemon: Running) -> list[TransactionRecord]:
    """All transactions, oldest first."""
    await storage_of(daemon).check()
    return list(reversed(await storage_of(daemon).list_transactions(TransactionFilter(), None, 500)))


async def offline(daemon: Running) -> None:
    """Wait until the daemon has noticed that nobody is connected, and has recorded what it had to."""
    await within(daemon.central.chargers.emptied())
    await storage_of(daemon).check()


@contextmanager
def nothing_committed(daemon: Running) -> Iterator[None]:
    """While this lasts no commit of the daemon ends: another program holds the write lock."""
    with closing(sqlite3.connect(daemon.directory / "ocppd.sqlite", isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def refuse_writes(daemon: Running, refuse: bool) -> None:
    """Make SQLite refuse every write of the daemon's one writing connection, or let it write again."""
    pragma(daemon, f"query_only={'ON' if refuse else 'OFF'}")


def pragma(daemon: Running, text: str) -> None:
    """Set a PRAGMA of the daemon's one writing connection."""
    database: Any = storage_of(daemon)._database  # type: ignore[attr-defined]
    # The writer keeps it, unless something went wrong with it.
    held = database._held
    connection = database.writing.raw_connection() if held is None else held.connection
    try:
        connection.driver_connection.execute(f"PRAGMA {text}")
    finally:
        if held is None:
            connection.close()


# Raw frames


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A WebSocket frame of a client (RFC 6455 section 5.2)."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    if not masked:
        return head + payload
    repeated = (MASK * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + MASK + mixed.to_bytes(size, "big")


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """The complete frames of a server in these bytes: opcode and payload."""
    found = []
    while len(data) >= 2:
        size, begin = data[1] & 0x7F, 2
        if size == 126:
            size, begin = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, begin = int.from_bytes(data[2:10], "big"), 10
        if len(data) < begin + size:
            break
        found.append((data[0] & 0x0F, data[begin : begin + size]))
        data = data[begin + size :]
    return found


class RawSession:
    """A WebSocket by hand: every byte is ours."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self._begin = len(client.received.partition(b"\r\n\r\n")[0]) + 4

    def frames(self) -> list[tuple[int, bytes]]:
        """What has come after the handshake."""
        return frames_of(self.client.received[self._begin :])

    def write(self, *parts: bytes) -> None:
        """Send bytes."""
        for part in parts:
            self.client.write(part)

    def text(self, payload: bytes) -> None:
        """Send a text message."""
        self.write(frame(TEXT, payload))

    async def close_code(self) -> int:
        """Wait for the end of the connection; the code of the close frame that came before it."""
        await within(self.client.lost)
        closes = [payload for opcode, payload in self.frames() if opcode == CLOSE]
        assert len(closes) == 1, self.frames()
        return int.from_bytes(closes[0][:2], "big")

    async def closing(self, code: int) -> None:
        """Wait for the close frame with this code, confirm it, and wait for the end."""
        await self.client.until(struct.pack("!H", code))
        self.write(frame(CLOSE, struct.pack("!H", code)))
        assert await self.close_code() == code


async def raw_session(daemon: Running, path: str = "/ocppj/1.6/CP1") -> RawSession:
    """A handshake by hand."""
    client = await raw(daemon.port)
    client.write(upgrade(path, OFFER))
    assert Response(await client.until(b"\r\n\r\n")).status == 101
    return RawSession(client)


def is_error(answer: Any, code: str) -> bool:
    """Whether it is a well-formed CALLERROR with this code (FR-03: five elements)."""
    return len(answer) == 5 and answer[0] == 4 and answer[2] == code and isinstance(answer[4], dict)


def done(waiting: Any) -> bool:
    """Whether a Deferred has a result, not merely another Deferred to wait for."""
    return bool(waiting.called and not waiting.paused)
