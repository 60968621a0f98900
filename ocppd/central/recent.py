"""The newest messages of chargers that are not worth a row, in memory: fewer of each the more chargers there are.

Each is one string of bytes, a third of what its parts take: a charger that beats for weeks is remembered in a kibibyte or two.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import Final

import msgspec

from ocppd.central.connection import Exchange
from ocppd.ocppj.frames import EMPTY, Call

#: Messages per charger (docs/http-api.md).
RECENT_KEPT: Final = 50
#: What all of them may take together, shared out evenly: 1.6 KiB, or nine heartbeats, for each of 10,000 chargers.
RECENT_BYTES: Final = 16 * 1024 * 1024
#: A message beyond this is remembered without its payload, so that no charger fills its share with one.
LONG_BYTES: Final = 16 * 1024
#: What is looked through in one go: some 0.4 ms of work.
PIECE_BYTES: Final = 1024 * 1024
#: What of a message is kept whatever a charger's share is.
LEAST_BYTES: Final = 1024

QUOTE: Final = 0x22
#: Of marshal: the last one that does not look for what is there twice.
_FORMAT: Final = 2
#: What a string of bytes takes beside what is in it, with its place in a list.
_OWN_BYTES: Final = 48


class _Kept:
    """The messages of one charger, the oldest first, and what they take in bytes."""

    __slots__ = ("messages", "taken")

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.taken = 0


class Recent:
    """The messages of all chargers."""

    def __init__(self, most_bytes: int = RECENT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: dict[str, _Kept] = {}

    def remember(self, name: str, exchange: Exchange) -> None:
        """Keep a message; a large one without its payload, one with a hostile name not at all."""
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = _Kept()
        share = self._most_bytes // len(self._kept)
        packed = _pack(exchange)
        size = len(packed)
        if size > LEAST_BYTES and size > min(LONG_BYTES, share):
            packed = _pack(msgspec.structs.replace(exchange, call=msgspec.structs.replace(exchange.call, payload=EMPTY)))
            size = len(packed)
            if size > max(LEAST_BYTES, min(LONG_BYTES, share)):
                return
        messages = kept.messages
        messages.append(packed)
        taken = kept.taken + size + _OWN_BYTES
        while len(messages) > RECENT_KEPT or (taken > share and len(messages) > 1):
            taken -= len(messages.pop(0)) + _OWN_BYTES
        kept.taken = taken

    def of(self, name: str) -> list[Exchange]:
        """The messages of a charger, newest first."""
        return [_unpacked(packed) for packed in reversed(self._kept[name].messages)] if name in self._kept else []

    def find(self, message_id: str) -> Iterator[tuple[str, Exchange] | None]:
        """The messages of that id with their chargers; None between two pieces of the work, where others may have their turn.

        Nothing is kept for it: messages are many, and hardly any is asked for.
        """
        # As it came, in quotes, or as `_pack` has it: a short id alone would be in nearly all of them, as a part of others.
        quoted = b'"%b"' % message_id.encode("utf-8", "surrogatepass")
        packed, looked_at = marshal.dumps(message_id, _FORMAT)[1:], 0
        for name, kept in list(self._kept.items()):
            if looked_at >= PIECE_BYTES:
                looked_at = 0
                yield None
            looked_at += kept.taken
            joined = b"".join(kept.messages)
            if quoted in joined or packed in joined:
                yield from ((name, exchange) for exchange in self.of(name) if exchange.call.message_id == message_id)


def _pack(exchange: Exchange) -> bytes:
    call = exchange.call
    wire_id = call.wire_id
    # As JSON each of its characters is one, so none of them is an escape. Either way it is in there as it is (`Recent.find`).
    plain = len(wire_id) == len(call.message_id) + 2 and wire_id[0] == QUOTE and wire_id.isascii()
    parts = (exchange.received_ms, None if plain else call.message_id, wire_id, call.action, call.payload, exchange.answer)
    return marshal.dumps(parts, _FORMAT)


def _unpacked(packed: bytes) -> Exchange:
    received_ms, message_id, wire_id, action, payload, answer = marshal.loads(packed)
    if message_id is None:
        message_id = wire_id[1:-1].decode("ascii")
    return Exchange(received_ms, Call(message_id, action, payload, wire_id), answer)
