"""Exports beside chargers. docs/http-api.md."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from twisted.internet.task import Clock
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from ocppd.net.rest import exports
from ocppd.net.rest.exports import Export, Format, Row


def test_a_rest_after_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a page that took three seconds the next one is not read for three seconds, nor after the export was given up."""
    clock = Clock()
    monkeypatch.setattr(exports, "monotonic", clock.seconds)
    read: list[int] = []

    async def pages() -> AsyncIterator[list[Row]]:
        for number in (2, 3, 4):
            clock.advance(3.0)
            read.append(number)
            yield [{"number": number}]

    channel = DummyChannel()
    request = Request(channel, False)
    Export(Format.NDJSON, [{"number": 1}], pages(), ("number",), clock).render(request)
    assert read == [2]
    clock.advance(2.9)
    assert read == [2]
    clock.advance(0.2)
    assert read == [2, 3]
    written = channel.transport.written.getvalue()
    assert written.endswith(b'{"number":1}\n{"number":2}\n{"number":3}\n')
    request.connectionLost(ConnectionError())
    clock.advance(9.0)
    assert read == [2, 3] and not clock.getDelayedCalls()
