"""A charger that does not read is not read from. Knows no WebSocket."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


@implementer(IPushProducer)
class Backpressure:
    """Stops reading from a charger that does not read: what is to be written for it must not fill the memory."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def pauseProducing(self) -> None:
        """The transport has enough to write."""
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It has written it."""
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone."""
