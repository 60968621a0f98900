"""Certificates in the whole daemon, with the simulated charger over its WebSocket, and with handlers of users."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ocppd.central.handlers import CentralSystemHandlers
from ocppd.pki.reading import pem_of, read_certificates
from ocppd.simulator import Charger
from ocppd.storage.records.certificates import ChargerCertificates, RequestFilter, RequestRecord
from ocppd.v16.security import (
    ExtendedTriggerMessageRequest,
    GetInstalledCertificateIdsRequest,
    InstallCertificateRequest,
    SignCertificateConfirmation,
)
from ocppd.v16.types import CertificateUseEnumType, GenericStatusEnumType, MessageTriggerEnumType
from support.central import Running, chargers
from support.certificates import authority, csr
from support.peer import within
from support.wire import booted, storage_of, use

ensure = pytest_twisted.ensureDeferred
SIGN = ExtendedTriggerMessageRequest(requested_message=MessageTriggerEnumType.SIGN_CHARGE_POINT_CERTIFICATE)
ROOT = CertificateUseEnumType.CENTRAL_SYSTEM_ROOT_CERTIFICATE


async def newest(daemon: Running, *states: str) -> RequestRecord:
    """The newest request, once it is in one of these states."""

    async def wait() -> RequestRecord:
        while True:
            found = await storage_of(daemon).certificates.list_certificate_requests(RequestFilter(), None, 1)
            if found and found[0].state in states:
                return found[0]
            await deferLater(reactor, 0.01)  # type: ignore[arg-type]

    return await within(Deferred.fromCoroutine(wait()))


async def known(daemon: Running) -> ChargerCertificates:
    """What is known of CP1."""
    return await storage_of(daemon).certificates.read_certificates("CP1")


@pytest_twisted.async_yield_fixture
async def simulate() -> AsyncIterator[Callable[..., Charger]]:
    """Makes a simulated charger of a daemon, shut down after the test."""
    made: list[Charger] = []

    def make(daemon: Running, **options: Any) -> Charger:
        made.append(Charger("CP1", f"ws://127.0.0.1:{daemon.port}/ocppj/1.6", reactor, **options))
        return made[-1]

    yield make
    for charger in made:
        await charger.shutdown()


@ensure
@pytest.mark.parametrize(("rsa", "kind", "key"), [(False, "ECDSA", "EC secp256r1"), (True, "RSA", "RSA 2048")])
async def test_a_simulated_charger_gets_its_certificate(
    start: Any, tmp_path: Path, simulate: Any, rsa: bool, kind: str, key: str
) -> None:
    """SE-15, SE-18, Q-1, Q-3: asked for, signed with its key, taken; our root is installed, and listed as ours."""
    keeper = authority(tmp_path / "ca")
    daemon = start(chargers("CP1"), ca=tmp_path / "ca")
    charger = simulate(daemon, rsa=rsa)
    await charger.connect()
    await charger.boot()
    await daemon.central.commands.call("CP1", SIGN)
    found = await newest(daemon, "accepted", "failed", "rejected")
    assert (found.state, found.key) == ("accepted", key)
    own = charger.certificates.own_pem
    assert own is not None
    (tmp_path / "own.pem").write_bytes(own)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(tmp_path / "own.pem")  # raises where key and chain do not match
    issuer = keeper.make("")[kind]  # type: ignore[index]
    assert read_certificates(own.decode().partition("-----BEGIN PRIVATE")[0])[1] == issuer.certificate
    await daemon.central.commands.call("CP1", InstallCertificateRequest(certificate_type=ROOT, certificate=pem_of([issuer.root])))
    await daemon.central.commands.call("CP1", GetInstalledCertificateIdsRequest(certificate_type=ROOT))
    [installed] = (await known(daemon)).installed
    assert installed.reported and installed.hash_data.serial_number == f"{issuer.root.serial_number:x}"


@ensure
async def test_an_authority_that_is_made_for_the_first_request(start: Any, tmp_path: Path) -> None:
    """Q-2: where there is none yet the first request makes it, while the charger is served."""
    peer = await booted(start(chargers("CP1"), ca=tmp_path / "new" / "ca"))
    assert (await peer.call("SignCertificate", {"csr": csr()}))[2] == {"status": "Accepted"}
    assert "currentTime" in (await peer.call("Heartbeat"))[2]
    sent = await peer.frame()
    assert sent[2] == "CertificateSigned"
    peer.send([3, sent[1], {"status": "Accepted"}])
    assert len(list((tmp_path / "new" / "ca").iterdir())) == 8


@ensure
async def test_a_handler_decides(start: Any, tmp_path: Path) -> None:
    """Q-1: a user's handler refuses what we would sign, and lets wait what we would refuse."""
    verdicts = [GenericStatusEnumType.REJECTED, GenericStatusEnumType.ACCEPTED]

    def decide(self: Any, charger: Any, request: Any, answer: Any) -> Any:
        return SignCertificateConfirmation(status=verdicts.pop(0))

    handlers = use(type("Handlers", (CentralSystemHandlers,), {"SignCertificateRequestHandler": decide}))
    authority(tmp_path / "ca")
    daemon = start(chargers("CP1"), ca=tmp_path / "ca", handlers=handlers)
    peer = await booted(daemon)
    assert (await peer.call("SignCertificate", {"csr": csr()}))[2] == {"status": "Rejected"}
    assert (await newest(daemon, "refused")).reason == "a handler has refused it"
    assert (await peer.call("SignCertificate", {"csr": "unreadable"}))[2] == {"status": "Accepted"}
    found = await newest(daemon, "pending")
    assert (found.reason, found.csr) == ("a handler has accepted it", "unreadable")
