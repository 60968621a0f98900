"""A TLS endpoint string as `--port`: chargers and operators on one port, with ALPN and without."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from ocppd.errors import StartFailed
from ocppd.net.listening import parse_endpoint
from support.central import Running
from support.peer import Response, upgrade, within
from support.tls import self_signed
from support.wire import OFFER

ensure = pytest_twisted.ensureDeferred


def renew(directory: Path) -> bytes:
    """Write a new key and certificate; gives the certificate."""
    key, certificate = self_signed()
    (directory / "key.pem").write_bytes(key)
    (directory / "cert.pem").write_bytes(certificate)
    return certificate


@pytest.fixture
def daemon(start: Any, tmp_path: Path) -> Running:
    """A daemon on a TLS endpoint."""
    renew(tmp_path)
    endpoint = f"ssl:0:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem:interface=127.0.0.1"
    running: Running = start(port=endpoint)
    return running


@pytest.fixture
def port(daemon: Running) -> int:
    """Its port."""
    return daemon.port


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


def shown(port: int) -> bytes:
    """The certificate that a new connection is shown, as PEM; blocking."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10).encode()


@ensure
async def test_a_new_certificate(daemon: Running, tmp_path: Path) -> None:
    """A reload shows the new certificate to who connects from then on, on the same port; who is connected stays."""
    first = await within(deferToThread(shown, daemon.port))
    context = ssl.create_default_context(cadata=first.decode())
    plain = await within(deferToThread(socket.create_connection, ("127.0.0.1", daemon.port), 10))
    with await within(deferToThread(context.wrap_socket, plain, server_hostname="localhost")) as secure:
        renewed = renew(tmp_path)
        daemon.service.reload()
        assert await within(deferToThread(shown, daemon.port)) == renewed != first
        await within(deferToThread(secure.sendall, upgrade("/ocppj/1.6/CP1", OFFER)))
        assert (await within(deferToThread(secure.recv, 4096))).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("broken", "text", "said"),
    [
        ("key.pem", None, "No such file or directory"),
        ("cert.pem", b"nonsense", "no start line (it must be PEM without a passphrase)"),
        ("cert.pem", self_signed()[1], "do not match"),
    ],
    ids=["missing", "nonsense", "of another"],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, broken: str, text: bytes | None, said: str) -> None:
    """The line of a start that fails by a key or a certificate says so, and takes nothing for a mistake in the endpoint."""
    renew(tmp_path)
    (tmp_path / broken).unlink()
    if text is not None:
        (tmp_path / broken).write_bytes(text)
    endpoint = f"ssl:0:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem"
    with pytest.raises(StartFailed, match="its key or its certificate cannot be used") as failed:
        parse_endpoint(endpoint, reactor)
    assert said in str(failed.value)


@ensure
@pytest.mark.parametrize("broken", ["key.pem", "cert.pem"])
@pytest.mark.parametrize("how", ["missing", "nonsense", "of another"])
async def test_a_broken_certificate(daemon: Running, tmp_path: Path, logged_errors: Any, how: str, broken: str) -> None:
    """A key or certificate that cannot be used is one logged error; the old one is shown until there is a good one."""
    first = await within(deferToThread(shown, daemon.port))
    other = dict(zip(("key.pem", "cert.pem"), self_signed(), strict=True))
    if how == "missing":
        (tmp_path / broken).unlink()
    else:
        (tmp_path / broken).write_bytes(b"nonsense" if how == "nonsense" else other[broken])
    daemon.service.reload()
    [error] = logged_errors.flush()
    assert "the certificate stays as it was" in error["log_format"]
    assert await within(deferToThread(shown, daemon.port)) == first
    renewed = renew(tmp_path)
    daemon.service.reload()
    assert await within(deferToThread(shown, daemon.port)) == renewed
