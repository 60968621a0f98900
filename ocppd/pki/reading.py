"""Certificates read, described and named as chargers name them. REQUIREMENTS Q-3, Q-5 to Q-7, 3.7.

What is read comes from others, so everything is bounded, and whatever it makes the library raise is `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocppd.v16.types import CertificateHashDataType, HashAlgorithmEnumType

T = TypeVar("T")

#: Of a chain, by the definition of CertificateSigned; one certificate or request has 5500 (2.1).
CHAIN_LIMIT: Final = 10_000
CERTIFICATE_LIMIT: Final = 5500
#: The least that the security white paper takes (Q-3), and the most that is worth the time.
RSA_BITS: Final = (2048, 8192)
EC_BITS: Final = 224

#: What the library raises for input that it cannot read.
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)
_HASHES: Final[dict[HashAlgorithmEnumType, type[hashes.HashAlgorithm]]] = {
    HashAlgorithmEnumType.SHA256: hashes.SHA256,
    HashAlgorithmEnumType.SHA384: hashes.SHA384,
    HashAlgorithmEnumType.SHA512: hashes.SHA512,
}


class Unreadable(Exception):
    """It is not what it should be; `str()` says why in a few words."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says. `serial_number` and `fingerprint` (SHA-256) are in hex, the subject as in RFC 4514."""

    subject: str
    issuer: str
    serial_number: str
    key: str
    not_before_ms: int
    not_after_ms: int
    fingerprint: str


def attempt(read: Callable[..., T], *arguments: Any) -> T:
    """What `read` gives. Raises Unreadable for whatever the library makes of wrong input."""
    try:
        return read(*arguments)
    except _UNREADABLE as error:
        raise Unreadable(str(error).splitlines()[0][:200] if str(error) else "cannot be read") from None


def pem_bytes(text: str, limit: int) -> bytes:
    """A PEM text as bytes; line ends that a charger has escaped twice are mended. Raises Unreadable."""
    if len(text) > limit:
        raise Unreadable(f"has more than {limit} characters")
    if "-----BEGIN " not in text:
        raise Unreadable("is not PEM")
    try:
        return text.replace("\\r", "").replace("\\n", "\n").encode("ascii")
    except UnicodeEncodeError:
        raise Unreadable("is not PEM") from None


def read_certificates(text: str, limit: int = CHAIN_LIMIT) -> list[x509.Certificate]:
    """The certificates in a PEM text, at least one. Raises Unreadable."""
    found = attempt(x509.load_pem_x509_certificates, pem_bytes(text, limit))
    for certificate in found:
        attempt(describe, certificate)
    return found


def pem_of(certificates: Sequence[x509.Certificate]) -> str:
    """These certificates as PEM, without anything else that may have stood there."""
    return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in certificates)


def describe(certificate: x509.Certificate) -> CertificateFacts:
    """What a certificate says."""
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=f"{certificate.serial_number:x}",
        key=key_of(certificate.public_key()),
        not_before_ms=in_ms(certificate.not_valid_before_utc),
        not_after_ms=in_ms(certificate.not_valid_after_utc),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def in_ms(instant: datetime) -> int:
    """An instant as milliseconds since the epoch."""
    return int(instant.timestamp()) * 1000


def key_of(key: Any) -> str:
    """The kind and the size of a public key, such as `RSA 2048` or `EC secp256r1`."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.strip("_").removesuffix("PublicKey")


def weakness(key: Any) -> str | None:
    """Why a charger may not have this key, None where it may (Q-1, Q-3)."""
    if isinstance(key, rsa.RSAPublicKey):
        least, most = RSA_BITS
        if least <= key.key_size <= most:
            return None
        return f"an RSA key of {key.key_size} bits; expected {least} to {most}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return None if key.curve.key_size >= EC_BITS else f"an EC key of {key.curve.key_size} bits; expected {EC_BITS} or more"
    return f"a key of the kind {key_of(key)}; expected RSA or EC"


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign other certificates."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` is who it says, and has signed it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


def read_root(text: str, now_ms: int) -> x509.Certificate:
    """A root certificate that chargers may be given (Q-5). Raises Unreadable."""
    found = read_certificates(text, CERTIFICATE_LIMIT)
    if len(found) != 1:
        raise Unreadable(f"has {len(found)} certificates; expected one")
    root = found[0]
    if not attempt(is_authority, root):
        raise Unreadable("is not the certificate of an authority (CA:TRUE)")
    if in_ms(root.not_valid_after_utc) <= now_ms:
        raise Unreadable("has expired")
    if len(pem_of(found)) > CERTIFICATE_LIMIT:
        raise Unreadable(f"has more than {CERTIFICATE_LIMIT} characters")
    return root


# How chargers name certificates


def hash_data(
    certificate: x509.Certificate, algorithm: HashAlgorithmEnumType, issuer: x509.Certificate | None = None
) -> CertificateHashDataType:
    """The hash data of a certificate by RFC 6960 section 4.1.1 (Q-6); `issuer` None where it has signed itself."""
    return CertificateHashDataType(
        hash_algorithm=algorithm,
        issuer_name_hash=_digest(algorithm, certificate.issuer.public_bytes()),
        issuer_key_hash=_digest(algorithm, _key_bits((issuer or certificate).public_key())),
        serial_number=f"{certificate.serial_number:x}",
    )


def _digest(algorithm: HashAlgorithmEnumType, data: bytes) -> str:
    digest = hashes.Hash(_HASHES[algorithm]())
    digest.update(data)
    return digest.finalize().hex()


def _key_bits(key: Any) -> bytes:
    """What is in the BIT STRING of a public key: no tag, no length, no count of unused bits."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return bytes(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def same_hash_data(one: CertificateHashDataType, other: CertificateHashDataType) -> bool:
    """Whether two name the same certificate: without case and leading zeros, which editions write differently (Q-6)."""
    return one.hash_algorithm == other.hash_algorithm and _bare(one) == _bare(other)


def _bare(data: CertificateHashDataType) -> tuple[str, ...]:
    return tuple(each.strip().lower().lstrip("0") for each in (data.issuer_name_hash, data.issuer_key_hash, data.serial_number))
