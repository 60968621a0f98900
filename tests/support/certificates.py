"""Requests, certificates and authorities as chargers and other people make them."""

from __future__ import annotations

import base64
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ocppd.pki.keeper import Keeper

NOW = datetime.now(UTC).replace(microsecond=0)


@cache
def _authority() -> Path:
    """One authority for all tests: its RSA keys take a second to make."""
    directory = Path(tempfile.mkdtemp()) / "ca"
    Keeper(directory).make("Test CPO")
    return directory


def authority(directory: Path) -> Keeper:
    """A keeper of an authority in this directory, which is made."""
    shutil.copytree(_authority(), directory)
    return Keeper(directory)


@cache
def rsa_key(bits: int = 2048, number: int = 0) -> Any:
    """An RSA key; the same one each time for the same number."""
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: Any = None) -> Any:
    """A new EC key, on P-256 where nothing else is asked for."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def name(common_name: str | None = "SN-1", organization: str | None = None) -> x509.Name:
    """A subject."""
    found = [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    return x509.Name([*found, *([] if organization is None else [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])])


def csr(key: Any = None, common_name: str | None = "SN-1", organization: str | None = None, **how: Any) -> str:
    """A request for a certificate as PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(common_name, organization))
    return builder.sign(key or ec_key(), how.get("hash", hashes.SHA256())).public_bytes(Encoding.PEM).decode()


def spoilt(pem: str) -> str:
    """The same request with another signature."""
    request = x509.load_pem_x509_csr(pem.encode())
    der = bytearray(request.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.encodebytes(bytes(der)).decode()}-----END CERTIFICATE REQUEST-----\n"


def certificate(
    key: Any,
    subject: str = "Root",
    issuer: tuple[str, Any] | None = None,
    *,
    ca: bool = True,
    days: tuple[int, int] = (-1, 365),
) -> x509.Certificate:
    """A certificate, by default a root; `issuer` is the name and the key of who signs."""
    issuer_name, issuer_key = issuer or (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> str:
    """Certificates as PEM."""
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)
