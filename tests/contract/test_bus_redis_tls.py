"""RedisBus over TLS: whom it trusts, and who it says it is."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet import reactor

from ocppd.bus.redis import RedisBus
from ocppd.errors import StartFailed
from support.buses import Node, logged, until
from support.redis import RedisServer, Sentinel, TlsFiles

ensure = pytest_twisted.ensureDeferred


class Authority:
    """A certificate authority of its own."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._certificate(self._name, self._key, [], ca=True)
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, hosts: list[x509.GeneralName]) -> TlsFiles:
        """A key and its certificate for these hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert_file, key_file = self._directory / f"{name}-cert.pem", self._directory / f"{name}-key.pem"
        cert_file.write_bytes(self._certificate(subject, key, hosts, ca=False).public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return TlsFiles(self.file, cert_file, key_file)

    def _certificate(self, subject: x509.Name, key: Any, hosts: list[x509.GeneralName], *, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(self._key, SHA256())


LOCAL = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the servers' certificates are from."""
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("other"), "theirs")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[RedisServer]:
    """A server with TLS for this machine; it asks nobody for a certificate."""
    files = authority.issue("server", LOCAL)
    running = RedisServer(password="sesame", tls=files, settings="tls-auth-clients no\n").start()
    yield running
    running.close()


async def works(url: str) -> None:
    """A node connects by this URL and uses what it is connected to."""
    node = await Node(RedisBus(url, "here", reactor)).started()
    node.bus.hold("CP1", 1)
    await node.knows("CP1", node, 1)
    await node.bus.stop()


async def fails(url: str) -> str:
    """A node does not connect by this URL; gives what it tells."""
    node = Node(RedisBus(url, "here", reactor))
    with logged("Redis at") as lines:
        node.bus.start(node.heard)
        await until(lambda: lines)
        await node.bus.stop()
    assert node.heard.restorations == 0
    return lines[0]


@ensure
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_verified(server: RedisServer, authority: Authority, host: str) -> None:
    """A server whose certificate is of the given authority, and for the host that was asked for, is trusted."""
    await works(server.url(host=host, query=f"/1?ca={authority.file}"))


@ensure
@pytest.mark.parametrize("query", [lambda other: f"?ca={other.file}", lambda _: ""], ids=["another authority", "the system's"])
async def test_unknown_authority(server: RedisServer, other: Authority, query: Callable[[Authority], str]) -> None:
    """A certificate of an authority that is not the given one, or not the system's, is refused."""
    assert "certificate verify failed" in await fails(server.url(query=query(other)))


@ensure
async def test_another_host(authority: Authority) -> None:
    """A certificate for another host is refused, whoever has issued it."""
    files = authority.issue("elsewhere", [x509.DNSName("redis.example")])
    running = RedisServer(tls=files, settings="tls-auth-clients no\n").start()
    try:
        for host in ("localhost", "127.0.0.1"):
            assert "its certificate is that of another host" in await fails(running.url(host=host, query=f"?ca={authority.file}"))
    finally:
        running.close()


@ensure
async def test_client_certificate(authority: Authority, other: Authority) -> None:
    """A server that asks for a certificate is shown ours."""
    running = RedisServer(tls=authority.issue("strict", LOCAL)).start()
    try:
        good, bad = authority.issue("node", []), other.issue("stranger", [])
        await works(running.url(query=f"?ca={authority.file}&cert={good.cert}&key={good.key}"))
        assert "cannot be used" in await fails(running.url(query=f"?ca={authority.file}&cert={bad.cert}&key={bad.key}"))
        assert "cannot be used" in await fails(running.url(query=f"?ca={authority.file}"))
    finally:
        running.close()


@ensure
async def test_sentinels(authority: Authority) -> None:
    """Sentinels and the master that they name are both talked to over TLS."""
    master = RedisServer(password="sesame", tls=authority.issue("master", LOCAL)).start()
    sentinel = Sentinel(master).start()
    node = authority.issue("client", [])
    try:
        hosts, files = f"127.0.0.1:{sentinel.port}", f"ca={authority.file}&cert={node.cert}&key={node.key}"
        await works(f"rediss+sentinel://:sesame@{hosts}?service={Sentinel.SERVICE}&{files}")
    finally:
        sentinel.close()
        master.close()


def test_files_that_cannot_be_used(authority: Authority, other: Authority, tmp_path: Path) -> None:
    """A file that is missing, holds something else, or does not fit, stops the start with one line that names it."""
    ours, theirs, empty = authority.issue("ours", []), other.issue("theirs", []), tmp_path / "empty.pem"
    empty.write_bytes(b"")
    locked = tmp_path / "locked.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"xyzzy")))
    for query, reason in {
        "ca=/nowhere.pem": "/nowhere.pem cannot be read: No such file or directory",
        f"ca={tmp_path}": "Is a directory",
        f"ca={empty}": "empty.pem cannot be read: it does not hold certificates in PEM",
        f"ca={ours.key}": "it does not hold certificates in PEM",
        f"cert={ours.cert}&key={ours.cert}": "it does not hold a key in PEM without a password",
        f"cert={ours.cert}&key={locked}": "it does not hold a key in PEM without a password",
        f"cert={ours.key}&key={ours.key}": "it does not hold certificates in PEM",
        f"cert={ours.cert}&key={theirs.key}": "is not that of the key",
    }.items():
        with pytest.raises(StartFailed) as caught:
            RedisBus(f"rediss://:xyzzy@localhost?{query}", "here", reactor)
        assert reason in str(caught.value)
        assert "xyzzy" not in str(caught.value)


@ensure
async def test_no_tls_there(authority: Authority) -> None:
    """A server without TLS is not talked to."""
    running = RedisServer().start()
    try:
        assert "cannot be used" in await fails(f"rediss://127.0.0.1:{running.port}?ca={authority.file}")
    finally:
        running.close()
