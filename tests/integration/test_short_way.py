"""The short way of HTTP requests answers as the long way does, to the byte. docs/architecture.md."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_twisted

from support.peer import raw, within

JSON = "Content-Type: application/json\r\n"
#: What differs from request to request.
_VARYING = re.compile(rb"Date: [^\r]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[0-9:.]+Z|\r\n")


async def asked(port: int, line: str, headers: str, body: bytes) -> bytes:
    """The answer to a request on a connection of its own, without what varies."""
    client = await raw(port)
    client.write(f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
    head, _, rest = (await client.until(b"\r\n\r\n")).partition(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
    while len(rest) < length:
        rest = (await client.until(rest[-1:])).partition(b"\r\n\r\n")[2]
    client.close()
    await within(client.lost)
    return _VARYING.sub(b"|", head + b"\r\n\r\n" + rest)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("GET /healthz", b""),
        ("GET /api/v1/chargers/CP1", b""),
        ("GET /api/v1/chargers/CP1?what=1", b""),
        ("GET /api/v1/chargers/nobody", b""),
        ("GET /api/v1/messages/none", b""),
        ("GET /charger/CP1/status", b""),
        ("GET /message/none/status", b""),
        ("POST /command/CP1/triggeraction/Heartbeat", b""),
        ("POST /command/CP1/triggeraction/Heartbeat", b"[]"),
        ("POST /command/nobody/triggeraction/Heartbeat", b""),
        ("POST /api/v1/chargers/CP1/commands/ClearCache", b""),
        ("POST /api/v1/chargers/CP1/commands/Reset?offline=queue", b'{"type":"Soft"}'),
        ("POST /api/v1/chargers/CP1/commands/Reset", b'{"type":"Soft"}'),
        ("POST /api/v1/chargers/CP1/commands/Reset", b'{"type":"Mild"}'),
        ("POST /api/v1/chargers/CP1/commands/Reset?wait=x", b'{"type":"Soft"}'),
        ("POST /api/v1/chargers/CP1/commands/Reset", b"{"),
        ("POST /api/v1/chargers/CP1/commands/Rest", b""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_both_ways(start: Any, line: str, body: bytes) -> None:
    """A plain request and one with a header that the short way does not know are answered alike."""
    port = start().port
    kind = JSON if body else ""
    short = await asked(port, line, kind, body)
    long = await asked(port, line, f"{kind}X-Other: 1\r\n", body)
    assert short == long
