"""What nodes publish to each other, as JSON, and the arguments of the scripts. Knows no Redis.

::

    {"type": "look", "charger": "CP1"}                  the messages of the seam
    {"type": "ended", "message_id": "…"}
    {"type": "close", "charger": "CP1"}
    {"type": "superseded", "chargers": {"CP1": 7}}      from a script, to a node that lost chargers
    {"type": "pulse", "token": "…"}                     from a node to itself

A node that does not know a type drops the message, so that nodes of two versions can run side by side.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ocppd.bus.api import BusMessage

#: The longest that nodes send each other is a `superseded` for all the chargers of one chunk.
MAX_MESSAGE_BYTES: Final = 1024 * 1024


class Superseded(msgspec.Struct, frozen=True, tag="superseded"):
    """Other nodes hold these chargers, by connections of these generations."""

    chargers: dict[str, int]


class Pulse(msgspec.Struct, frozen=True, tag="pulse"):
    """What a node publishes to itself, to see that it arrives."""

    token: str


class Unreadable(Exception):
    """A message that no node of ours has sent; `str()` of it is the kind of mistake, with nothing of the message in it."""


_decoder: msgspec.json.Decoder[BusMessage | Superseded | Pulse] = msgspec.json.Decoder(BusMessage | Superseded | Pulse)


def write(message: BusMessage | Pulse) -> bytes:
    """A message as it is published."""
    return msgspec.json.encode(message)


def read(data: bytes) -> BusMessage | Superseded | Pulse:
    """A message as it was published. Raises Unreadable."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise Unreadable(f"it is larger than {MAX_MESSAGE_BYTES} bytes")
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        raise Unreadable("it is no message that this version knows") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Unreadable("it is not JSON") from None
