"""A daemon whose records cannot keep up: chargers wait in the network, and nothing that they say is lost."""

from __future__ import annotations

import struct
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from ocppd.storage.crowding import CROWDED
from support.holding import held
from support.peer import within
from support.storing import inbound
from support.wire import CLOSE, TEXT, RawSession, frame, offline, raw_session, storage_of

ensure = pytest_twisted.ensureDeferred
pytestmark = pytest.mark.usefixtures("both_ways")


async def boot(session: RawSession) -> None:
    """It is accepted."""
    session.text(b'[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]')
    await session.client.until(b'"Accepted"')


def call(number: int) -> bytes:
    """A message that is recorded."""
    return frame(TEXT, b'[2,"n%d","DataTransfer",{"vendorId":"v"}]' % number)


@ensure
async def test_chargers_wait_in_the_network(start: Any) -> None:
    """While too many use cases wait, a charger that has sent something is read no further; then all is answered, in order."""
    daemon = start()
    storage = storage_of(daemon)
    session = await raw_session(daemon)
    await boot(session)
    connection: Any = daemon.central.chargers.connection("CP1")
    transport = connection.link.transport
    release = held(storage)
    waiting = [storage.message_received(inbound(charger="CP2")) for _ in range(CROWDED)]
    assert transport in reactor.getReaders(), "it has sent nothing"
    session.write(call(1))
    for _ in range(1000):
        if transport not in reactor.getReaders():
            break
        await deferLater(reactor, 0.001)
    assert transport not in reactor.getReaders()
    heard_ms = connection.last_seen_ms
    session.write(call(2) + call(3))
    await deferLater(reactor, 0)
    assert connection.last_seen_ms == heard_ms
    release.set()
    await within(gatherResults(waiting))
    for number in (1, 2, 3):
        await session.client.until(b'[3,"n%d"' % number)
    assert transport in reactor.getReaders()
    session.write(frame(CLOSE, struct.pack("!H", 1000)))
    await within(session.client.lost)
    await offline(daemon)
