"""The line between a supervisor and one worker: a pair of sockets, a word per line.

::

    worker → supervisor    ready      it listens
    supervisor → worker    restart    stop: a successor listens on the same socket already
                           hurry      stop now, whatever a drain has still to do

SIGTERM stops a worker for good, and is no word of the channel. Its end means that the other process is gone: a worker
then stops, so that none serves on that nobody watches over.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

log = Logger()

READY: Final = b"ready"
RESTART: Final = b"restart"
HURRY: Final = b"hurry"


class Channel(LineOnlyReceiver):
    """One end. `heard` are the words that it understands, `ended` is called once when the other end has gone."""

    delimiter = b"\n"
    MAX_LENGTH = 100

    def __init__(self, heard: Mapping[bytes, Callable[[], object]], ended: Callable[[], object]) -> None:
        self._heard = heard
        self._ended = ended

    def lineReceived(self, line: bytes) -> None:
        """A word of the other process; one that is not known is of another version, and changes nothing."""
        word = self._heard.get(line)
        if word is not None:
            word()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other process has ended, or has closed its end."""
        self._ended()

    def say(self, word: bytes) -> None:
        """Send a word; lost where the other process is gone."""
        LineOnlyReceiver.sendLine(self, word)

    def close(self) -> None:
        """End it."""
        transport: Any = self.transport
        transport.loseConnection()


class _Only(Factory):
    """Gives the one protocol that there is."""

    noisy = False

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def buildProtocol(self, addr: object) -> Channel:
        """The protocol of the one connection."""
        return self._channel


def open_channel(descriptor: int, channel: Channel, reactor: Any) -> Channel:
    """Put a channel on its end of the pair; the descriptor is taken over, and closed."""
    os.set_blocking(descriptor, False)
    os.set_inheritable(descriptor, False)
    reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, _Only(channel))
    os.close(descriptor)
    return channel
