"""A charger that does not read is not read from, and none is while it is held. Knows no WebSocket."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


@implementer(IPushProducer)
class Backpressure:
    """Stops reading from a charger that does not read: what is to be written for it must not fill the memory."""

    __slots__ = ("_full", "_held", "_transport")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._full = False
        self._held = False

    def pauseProducing(self) -> None:
        """The transport has enough to write."""
        self._full = True
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It has written it."""
        self._full = False
        if not self._held:
            self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone."""

    def hold(self) -> None:
        """Read nothing, for another reason."""
        self._held = True
        self._transport.pauseProducing()

    def release(self) -> None:
        """That reason is over."""
        self._held = False
        if not self._full:
            self._transport.resumeProducing()


def guarded(transport: Any) -> Backpressure:
    """That of a charger's transport, which tells it when there is enough to write."""
    backpressure = Backpressure(transport)
    transport.unregisterProducer()  # Twisted Web's, after a late Upgrade
    transport.registerProducer(backpressure, True)
    return backpressure
