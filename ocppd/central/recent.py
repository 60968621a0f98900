"""The newest messages of chargers that are not worth a row, in memory: fewer of each the more chargers there are.

Each is one string of bytes, a third of what its parts take: a charger that beats for weeks is remembered in a kibibyte or two.
"""

from __future__ import annotations

import marshal
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
#: What of a message is kept whatever a charger's share is.
LEAST_BYTES: Final = 1024

QUOTE: Final = 0x22
#: Of marshal: the last one that does not look for what is there twice.
_FORMAT: Final = 2
#: What a string of bytes takes beside what is in it, with its place in a list.
_OWN_BYTES: Final = 48


class Recent:
    """The messages of all chargers."""

    def __init__(self, most_bytes: int = RECENT_BYTES) -> None:
        self._most_bytes = most_bytes
        #: Of each charger the oldest first.
        self._kept: dict[str, list[bytes]] = {}
        self._taken: dict[str, int] = {}

    def remember(self, name: str, exchange: Exchange) -> None:
        """Keep a message; a large one without its payload, one with a hostile name not at all."""
        share = self._most_bytes // (len(self._kept) or 1)
        packed = _pack(exchange)
        if len(packed) > LEAST_BYTES and len(packed) > min(LONG_BYTES, share):
            packed = _pack(msgspec.structs.replace(exchange, call=msgspec.structs.replace(exchange.call, payload=EMPTY)))
            if len(packed) > max(LEAST_BYTES, min(LONG_BYTES, share)):
                return
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = []
        kept.append(packed)
        taken = self._taken.get(name, 0) + len(packed) + _OWN_BYTES
        while len(kept) > RECENT_KEPT or (taken > share and len(kept) > 1):
            taken -= len(kept.pop(0)) + _OWN_BYTES
        self._taken[name] = taken

    def of(self, name: str) -> list[Exchange]:
        """The messages of a charger, newest first."""
        return [_unpacked(packed) for packed in reversed(self._kept.get(name, ()))]


def _pack(exchange: Exchange) -> bytes:
    call = exchange.call
    wire_id = call.wire_id
    # As JSON each of its characters is one, so none of them is an escape.
    plain = len(wire_id) == len(call.message_id) + 2 and wire_id[0] == QUOTE and wire_id.isascii()
    parts = (exchange.received_ms, None if plain else call.message_id, wire_id, call.action, call.payload, exchange.answer)
    return marshal.dumps(parts, _FORMAT)


def _unpacked(packed: bytes) -> Exchange:
    received_ms, message_id, wire_id, action, payload, answer = marshal.loads(packed)
    if message_id is None:
        message_id = wire_id[1:-1].decode("ascii")
    return Exchange(received_ms, Call(message_id, action, payload, wire_id), answer)
