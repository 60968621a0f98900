"""The certificates in a charger: roots it trusts, its own with its key. White paper A02, M03 to M05. Knows no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from ocppd.v16.types import (
    CertificateHashDataType,
    CertificateSignedStatusEnumType,
    CertificateUseEnumType,
    DeleteCertificateStatusEnumType,
    HashAlgorithmEnumType,
    InstallCertificateStatusEnumType,
)

_HASHES: dict[HashAlgorithmEnumType, type[hashes.HashAlgorithm]] = {
    HashAlgorithmEnumType.SHA256: hashes.SHA256,
    HashAlgorithmEnumType.SHA384: hashes.SHA384,
    HashAlgorithmEnumType.SHA512: hashes.SHA512,
}
#: X.509 (RFC 5280, appendix A): the longest common and organization names.
_NAME_LENGTH = 64
#: The least that a central system takes (REQUIREMENTS Q-3).
_RSA_BITS = 2048


def read_pem(text: str) -> list[x509.Certificate]:
    """The certificates in a PEM text; empty where it holds none that can be read."""
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


def _digest(kind: HashAlgorithmEnumType, data: bytes) -> str:
    digest = hashes.Hash(_HASHES[kind]())
    digest.update(data)
    return digest.finalize().hex()


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The bits of the public key, without tag, length and count of unused bits (RFC 6960 section 4.1.1)."""
    public = certificate.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _bit_string(der)


def _bit_string(der: bytes) -> bytes:
    """The content of the BIT STRING in a SubjectPublicKeyInfo: behind its header and the algorithm."""
    inside = _header(der, 0)[0]
    algorithm, length = _header(der, inside)
    bits = _header(der, algorithm + length)[0]
    return der[bits + 1 :]


def _header(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER element at `at` begins, and its length."""
    length = der[at + 1]
    if length < 0x80:
        return at + 2, length
    size = length & 0x7F
    return at + 2 + size, int.from_bytes(der[at + 2 : at + 2 + size], "big")


def hash_data(
    certificate: x509.Certificate, issuer: x509.Certificate | None, algorithm: HashAlgorithmEnumType
) -> CertificateHashDataType:
    """What names a certificate (REQUIREMENTS Q-6); `issuer` None where it is its own."""
    return CertificateHashDataType(
        hash_algorithm=algorithm,
        issuer_name_hash=_digest(algorithm, certificate.issuer.public_bytes()),
        issuer_key_hash=_digest(algorithm, _key_bits(issuer or certificate)),
        serial_number=f"{certificate.serial_number:x}",
    )


@dataclass(frozen=True, slots=True)
class _Stored:
    use: CertificateUseEnumType
    certificate: x509.Certificate


class Certificates:
    """The store of a charger. `own_pem` is its certificate chain with its key once the central system has signed one."""

    def __init__(self, limit: int, *, rsa_keys: bool = False) -> None:
        self._limit = limit
        self._rsa_keys = rsa_keys
        self._stored: list[_Stored] = []
        self._requested: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None
        self.own_pem: bytes | None = None

    def install(self, use: CertificateUseEnumType, pem: str) -> InstallCertificateStatusEnumType:
        """Trust a root: Rejected where it is none or the store is full (REQUIREMENTS Q-5)."""
        read = read_pem(pem)
        if len(read) != 1 or len(self._stored) >= self._limit:
            return InstallCertificateStatusEnumType.REJECTED
        if all((each.use, each.certificate) != (use, read[0]) for each in self._stored):
            self._stored.append(_Stored(use, read[0]))
        return InstallCertificateStatusEnumType.ACCEPTED

    def installed(self, use: CertificateUseEnumType) -> tuple[CertificateHashDataType, ...]:
        """The hash data of all roots of one use, with SHA-256."""
        return tuple(self._named(each, HashAlgorithmEnumType.SHA256) for each in self._stored if each.use is use)

    def delete(self, wanted: CertificateHashDataType) -> DeleteCertificateStatusEnumType:
        """Remove the root that the hash data name."""
        for stored in self._stored:
            if _same(self._named(stored, wanted.hash_algorithm), wanted):
                self._stored.remove(stored)
                return DeleteCertificateStatusEnumType.ACCEPTED
        return DeleteCertificateStatusEnumType.NOT_FOUND

    def _named(self, stored: _Stored, algorithm: HashAlgorithmEnumType) -> CertificateHashDataType:
        issuers = (each.certificate for each in self._stored if each.certificate.subject == stored.certificate.issuer)
        return hash_data(stored.certificate, next(issuers, None), algorithm)

    def request(self, serial_number: str, organization: str) -> str:
        """A new key, and a PKCS#10 request for it: CN the serial number, O the CpoName (REQUIREMENTS Y-6, Q-1)."""
        self._requested = (
            rsa.generate_private_key(65537, _RSA_BITS) if self._rsa_keys else ec.generate_private_key(ec.SECP256R1())
        )
        names = [x509.NameAttribute(NameOID.COMMON_NAME, serial_number[:_NAME_LENGTH])]
        if organization:
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization[:_NAME_LENGTH]))
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        return request.sign(self._requested, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")

    def signed(self, chain_pem: str) -> CertificateSignedStatusEnumType:
        """Take a signed certificate; Rejected where its key is not the one of the last request (REQUIREMENTS Q-4)."""
        chain = read_pem(chain_pem)
        if not chain or self._requested is None or chain[0].public_key() != self._requested.public_key():
            return CertificateSignedStatusEnumType.REJECTED
        key = self._requested.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.own_pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain) + key
        self._requested = None
        return CertificateSignedStatusEnumType.ACCEPTED


def _same(one: CertificateHashDataType, other: CertificateHashDataType) -> bool:
    """Hashes and serial numbers compare without case and leading zeros (REQUIREMENTS Q-6)."""
    return (
        one.issuer_name_hash.lower() == other.issuer_name_hash.lower()
        and one.issuer_key_hash.lower() == other.issuer_key_hash.lower()
        and one.serial_number.lower().lstrip("0") == other.serial_number.lower().lstrip("0")
    )
