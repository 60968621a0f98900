"""Finds the server: where the URL says, or where the sentinels say that the master is. Knows how TLS is set up."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure

from ocppd.bus.api import DEADLINE_S
from ocppd.bus.redis_link import LATE, Connection, connect
from ocppd.bus.redis_url import Address, RedisUrl
from ocppd.errors import BusUnavailable, StartFailed


class Master(NamedTuple):
    """What a sentinel says: the master, and the number of the failover that made it so."""

    epoch: int
    address: Address


class Servers:
    """Where the server of a URL is. Its files are read when it is made, which raises StartFailed."""

    def __init__(self, url: RedisUrl, reactor: Any) -> None:
        self._url = url
        self._reactor = reactor
        self._tls = Tls(url.ca, url.cert, url.key) if url.tls else None

    def __str__(self) -> str:
        addresses = ", ".join(map(str, self._url.addresses))
        return addresses if self._url.service is None else f"{self._url.service} of the sentinels {addresses}"

    def endpoint(self, address: Address) -> Any:
        """How that server is connected to: an IStreamClientEndpoint."""
        endpoint: Any = HostnameEndpoint(self._reactor, address.host, address.port)
        return endpoint if self._tls is None else wrapClientTLS(self._tls.options(address.host), endpoint)

    async def find(self) -> Address:
        """The address of the server as it is now. Raises BusUnavailable."""
        if self._url.service is None:
            return self._url.addresses[0]
        asked = [
            deadline(self._ask(address, self._url.service), f"sentinel {address}", self._reactor)
            for address in self._url.addresses
        ]
        # A majority elects a master, so one that is no longer it is found out by a majority.
        masters, reasons = await gather(asked, len(asked) // 2 + 1)
        if not masters:
            raise BusUnavailable("; ".join(reasons))
        return max(masters, key=lambda master: master.epoch).address

    async def _ask(self, address: Address, service: str) -> Master:
        connection = await connect(self.endpoint(address), lambda: Connection(self._reactor), self._reactor)
        try:
            if self._url.sentinel_password is not None:
                await connection.log_in(None, self._url.sentinel_password)
            return read_master(await connection.command("SENTINEL", "MASTER", service))
        finally:
            connection.abort("it has been asked")


class Tls:
    """How servers are verified and who we say we are; the certificate must be one for the host that was connected to."""

    def __init__(self, ca: Path | None, cert: Path | None, key: Path | None) -> None:
        self._trust = platformTrust() if ca is None else trustRootFromCertificates(
            [Certificate.loadPEM(pem) for pem in _certificates(ca)]
        )  # fmt: skip
        self._extra: dict[str, Any] = {}
        if cert is not None and key is not None:
            own, *chain = _load_certificates(cert)
            secret = _load_key(key)
            if own.public_key() != secret.public_key():
                raise StartFailed(f"--redis: the first certificate in {cert} is not that of the key in {key}")
            self._extra = {"privateKey": secret, "certificate": own, "extraCertChain": chain}

    def options(self, host: str) -> Any:
        """Options for a connection to that host."""
        return optionsForClientTLS(host, self._trust, extraCertificateOptions=dict(self._extra))


def _load_certificates(path: Path) -> Sequence[Any]:
    try:
        return load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StartFailed(_unreadable(path, "certificates in PEM", error)) from error


def _certificates(path: Path) -> list[bytes]:
    return [certificate.public_bytes(Encoding.PEM) for certificate in _load_certificates(path)]


def _load_key(path: Path) -> Any:
    try:
        return load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:  # TypeError: it has a password
        raise StartFailed(_unreadable(path, "a key in PEM without a password", error)) from error


def _unreadable(path: Path, what: str, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else f"it does not hold {what}"
    return f"--redis: {path} cannot be read: {reason}"


def read_master(reply: Any) -> Master:
    """What `SENTINEL MASTER` was answered. Raises BusUnavailable."""
    try:
        fields: Mapping[bytes, bytes] = dict(zip(reply[::2], reply[1::2], strict=True))
        return Master(int(fields[b"config-epoch"]), Address(fields[b"ip"].decode(), int(fields[b"port"])))
    except (TypeError, ValueError, KeyError, AttributeError):
        raise BusUnavailable("what answers is no sentinel") from None


def deadline(work: Coroutine[Any, Any, Master], who: str, clock: Any) -> Deferred[Master]:
    """Do this within the deadline of the bus. Fails with BusUnavailable, which says who failed."""

    def late(_: object, __: float) -> Any:
        raise BusUnavailable(LATE)

    def name(failure: Failure) -> Any:
        failure.trap(BusUnavailable)
        raise BusUnavailable(f"{who}: {failure.getErrorMessage()}")

    return Deferred.fromCoroutine(work).addTimeout(DEADLINE_S, clock, late).addErrback(name)


async def gather(asked: Sequence[Deferred[Master]], enough: int) -> tuple[list[Master], list[str]]:
    """What the first `enough` answer, or all that do, and why the others do not. Those that are left are cancelled."""
    masters: list[Master] = []
    reasons: list[str] = []
    done: Deferred[None] = Deferred()

    def ended(outcome: Any) -> None:
        if isinstance(outcome, Failure):
            reasons.append(outcome.getErrorMessage())
        else:
            masters.append(outcome)
        if not done.called and (len(masters) == enough or len(masters) + len(reasons) == len(asked)):
            done.callback(None)

    for one in asked:
        one.addBoth(ended)
    try:
        await done
    finally:
        for one in asked:
            one.cancel()
    return masters, reasons
