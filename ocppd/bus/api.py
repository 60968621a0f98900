"""The seam between nodes: presence, and messages from node to node. Knows no Redis and no charger's connection.

A node is one process of ocppd. Its identity is new with each start, so that nobody takes a restarted node for the one
that died. Nothing that must not be lost is on the bus: what a message tells is in the records already, and a message
that is lost costs time, never truth (decision 19 of docs/architecture.md).

Every Deferred here fires within `DEADLINE_S`, and fails with BusUnavailable and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
from twisted.internet.defer import Deferred

#: A bus that has not answered by then is down.
DEADLINE_S: Final = 1.0
#: A node that has not renewed its lease for so long holds nothing.
LEASE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a charger: a node, by the connection of this generation."""

    node: str
    generation: int


class Look(msgspec.Struct, frozen=True, tag="look"):
    """To the holder of a charger: a call of ours waits for it in the records."""

    charger: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """To the node that accepted a call of ours: it has ended, and how is in the records."""

    message_id: str


class CloseConnection(msgspec.Struct, frozen=True, tag="close"):
    """To the holder of a charger: an operator wants its connection closed."""

    charger: str


BusMessage = Look | Ended | CloseConnection


class Listener(Protocol):
    """What the bus tells its node. Called on the reactor's thread; what it raises is logged and costs one message."""

    def received(self, message: BusMessage) -> None:
        """A message for this node."""

    def superseded(self, charger: str, generation: int) -> None:
        """Another node holds the charger by a connection of this higher generation: ours is to be closed."""

    def restored(self) -> None:
        """Messages for this node arrive from now on; what was sent to it before may be lost. Also after the first connect."""


class Bus(Protocol):
    """Presence and messages. `hold` and `release` cost nothing but memory while the bus is down, and are made up for."""

    @property
    def node(self) -> str:
        """The identity of this node."""

    @property
    def alone(self) -> bool:
        """Whether this bus knows no other nodes, and never will."""

    @property
    def available(self) -> bool:
        """Whether the last that is known of the bus is that it works; always True where there is but one node."""

    def start(self, listener: Listener) -> None:
        """Begin. Returns at once: the bus may come up later."""

    def stop(self) -> Deferred[None]:
        """Give up what this node holds, and end. May be called without `start`, and more than once."""

    def hold(self, charger: str, generation: int) -> None:
        """This node holds the charger by the connection of that generation.

        A holder with a lower generation is told by `Listener.superseded`; where another has a higher one, we are.
        """

    def release(self, charger: str, generation: int) -> None:
        """This node holds the charger no more, unless by another generation."""

    def holders(self, chargers: Sequence[str]) -> Deferred[Mapping[str, Holder]]:
        """Who holds these chargers; one that no living node holds is left out."""

    def send(self, node: str, message: BusMessage) -> Deferred[bool]:
        """Send a message to a node, this one or another; fires with whether a living node took it.

        Messages between two nodes keep their order.
        """
