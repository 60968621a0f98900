"""A TLS endpoint string as `--port`: chargers and operators on one port, with ALPN and without."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from support.peer import Response, upgrade, within
from support.tls import self_signed
from support.wire import OFFER

ensure = pytest_twisted.ensureDeferred


@pytest.fixture
def port(start: Any, tmp_path: Path) -> int:
    """The port of a daemon on a TLS endpoint."""
    key, certificate = self_signed()
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_bytes(certificate)
    endpoint = f"ssl:0:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem:interface=127.0.0.1"
    return int(start(port=endpoint).port)


def exchange(port: int, request: bytes, alpn: list[str]) -> Response:
    """Send a request over TLS and give the answer's head; blocking."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += secure.recv(4096)
        return Response(received)


@ensure
@pytest.mark.parametrize("alpn", [[], ["http/1.1"], ["h2", "http/1.1"]], ids=["no ALPN", "http/1.1", "h2 and http/1.1"])
async def test_tls_endpoint(port: int, alpn: list[str]) -> None:
    """Operators and chargers are served over TLS whatever they offer by ALPN; HTTP/2 is not agreed upon."""
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert (await within(deferToThread(exchange, port, get, alpn))).status == 200
    assert (await within(deferToThread(exchange, port, upgrade("/ocppj/1.6/CP1", OFFER), alpn))).status == 101
