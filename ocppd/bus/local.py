"""The bus in one process: of a node that is alone, or of several that share a `LocalHub`, for tests and for embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import Deferred, succeed

from ocppd.bus.api import BusMessage, Holder, Listener
from ocppd.bus.delivery import Delivery
from ocppd.clock import Clock


class LocalHub:
    """What nodes of one process know of each other."""

    def __init__(self) -> None:
        self.nodes: dict[str, LocalBus] = {}
        self.holders: dict[str, Holder] = {}


class LocalBus:
    """A node of its hub, by default the only one (Bus). It is told everything on a later turn of the reactor."""

    def __init__(self, node: str, clock: Clock, hub: LocalHub | None = None) -> None:
        self._node = node
        self._alone = hub is None
        self._hub = LocalHub() if hub is None else hub
        self._delivery = Delivery(clock)
        self._listener: Listener | None = None

    @property
    def node(self) -> str:
        """The identity of this node."""
        return self._node

    @property
    def alone(self) -> bool:
        """True where it was given no hub."""
        return self._alone

    @property
    def available(self) -> bool:
        """Always True."""
        return True

    def start(self, listener: Listener) -> None:
        """Begin; `restored` is called on the next turn of the reactor."""
        self._listener = listener
        self._hub.nodes[self._node] = self
        self._delivery.later(listener.restored)

    def stop(self) -> Deferred[None]:
        """Give up what this node holds, and end. Has fired."""
        self._delivery.stop()
        self._hub.nodes.pop(self._node, None)
        for charger in [charger for charger, holder in self._hub.holders.items() if holder.node == self._node]:
            del self._hub.holders[charger]
        return succeed(None)

    def hold(self, charger: str, generation: int) -> None:
        """This node holds the charger by the connection of that generation; one that is older than the holder's does not."""
        holder = self._hub.holders.get(charger)
        if holder is None or holder.generation < generation:
            self._hub.holders[charger] = Holder(self._node, generation)
        if holder is not None and holder.node != self._node:
            if holder.generation > generation:
                self._supersede(charger, holder.generation)
            elif holder.generation < generation and holder.node in self._hub.nodes:
                self._hub.nodes[holder.node]._supersede(charger, generation)

    def release(self, charger: str, generation: int) -> None:
        """This node holds the charger no more, unless by another generation."""
        if self._hub.holders.get(charger) == Holder(self._node, generation):
            del self._hub.holders[charger]

    def holders(self, chargers: Sequence[str]) -> Deferred[Mapping[str, Holder]]:
        """Who holds these chargers. Has fired."""
        found = self._hub.holders
        return succeed({charger: found[charger] for charger in chargers if charger in found})

    def send(self, node: str, message: BusMessage) -> Deferred[bool]:
        """Send a message to a node of the hub. Has fired."""
        receiver = self._hub.nodes.get(node)
        if receiver is None or receiver._listener is None:
            return succeed(False)
        receiver._delivery.later(receiver._listener.received, message)
        return succeed(True)

    def _supersede(self, charger: str, generation: int) -> None:
        if self._listener is not None:
            self._delivery.later(self._listener.superseded, charger, generation)
