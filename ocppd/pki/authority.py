"""A certificate authority: a root and an issuing certificate for each kind of key, and what they sign. REQUIREMENTS Q-2, Q-3.

Signatures are sha256WithRSA (PKCS #1 v1.5: the certification tool refuses PSS) or ECDSA with SHA-256. Knows no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ocppd.pki.reading import (
    CHAIN_LIMIT,
    CertificateFacts,
    Unreadable,
    attempt,
    describe,
    in_ms,
    is_authority,
    is_signed_by,
    pem_of,
    read_certificates,
    weakness,
)
from ocppd.pki.requests import load_request

#: A charger's clock may be behind ours by so much (REQUIREMENTS G-2).
BACKDATED: Final = timedelta(minutes=5)
ROOT_LIFE: Final = timedelta(days=365 * 20)
ISSUER_LIFE: Final = timedelta(days=365 * 10)
#: Chargers whose clock has 32 bits take no later end (REQUIREMENTS G-1).
LATEST: Final = datetime(2037, 12, 31, 23, 59, 59, tzinfo=UTC)
#: NIST SP 800-57 part 1, table 4: beyond 2030.
RSA_KEY_BITS: Final = 3072
#: RFC 5280, appendix A.
NAME_LENGTH: Final = 64
#: What of a request's subject is signed; nobody has checked anything else.
_TAKEN: Final = (NameOID.COUNTRY_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME)


class KeyKind(StrEnum):
    """The kinds of keys that chargers have (REQUIREMENTS Y-4: both are to be served)."""

    RSA = "RSA"
    ECDSA = "ECDSA"


class CannotIssue(Exception):
    """The authority cannot sign this; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with the chain that a charger is sent: itself, then who has signed it, without the root."""

    chain: str
    facts: CertificateFacts


@dataclass(frozen=True, slots=True)
class Issuer:
    """A root, and the certificate below it that signs with `key`. The root's own key is not needed to sign."""

    root: x509.Certificate
    certificate: x509.Certificate
    key: Any

    def check(self) -> None:
        """Raises Unreadable where these three do not belong together."""
        if self.key.public_key() != self.certificate.public_key():
            raise Unreadable("the key of the issuing certificate is another one")
        if not attempt(is_authority, self.root) or not attempt(is_authority, self.certificate):
            raise Unreadable("a certificate is not that of an authority (CA:TRUE)")
        if not is_signed_by(self.certificate, self.root):
            raise Unreadable("the issuing certificate is not signed by the root")


Authority = dict[KeyKind, Issuer]


@dataclass(frozen=True, slots=True)
class New:
    """What a new authority is kept as: the issuer, and the root's key, which belongs in a safe."""

    issuer: Issuer
    root_key: Any


def make_issuer(kind: KeyKind, name: str, now: datetime) -> New:
    """A new root and a new issuing certificate of this kind."""
    root_key, key = _new_key(kind), _new_key(kind)
    root_name, issuer_name = (_name(name, f"{kind} {role}") for role in ("root", "issuing CA"))
    root = _authority(root_name, root_key.public_key(), root_name, root_key, now, ROOT_LIFE, path_length=1)
    issuer = _authority(issuer_name, key.public_key(), root_name, root_key, now, ISSUER_LIFE, path_length=0)
    return New(Issuer(root, issuer, key), root_key)


def _new_key(kind: KeyKind) -> Any:
    if kind is KeyKind.RSA:
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_KEY_BITS)
    return ec.generate_private_key(ec.SECP256R1())


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization[:NAME_LENGTH]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{organization[: NAME_LENGTH - 20]} {common_name}"),
        ]
    )


def _authority(
    subject: x509.Name, key: Any, issuer: x509.Name, issuer_key: Any, now: datetime, life: timedelta, *, path_length: int
) -> x509.Certificate:
    builder = _builder(subject, key, issuer, issuer_key.public_key(), now, _end(now, life))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def _end(now: datetime, life: timedelta) -> datetime:
    """When what lives so long ends: not in 2038, as long as that is some years away."""
    end = now + life
    return LATEST if now + timedelta(days=365) < LATEST < end else end


def _builder(
    subject: x509.Name, key: Any, issuer: x509.Name, issuer_key: Any, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(**usage: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: usage.get(name, False) for name in names})


def issue(authority: Authority, request_pem: str, days: int, now: datetime) -> Issued:
    """Sign the key of a request, for a client of TLS. Raises Unreadable and CannotIssue."""
    request = load_request(request_pem)
    key = request.public_key()
    kind = KeyKind.RSA if isinstance(key, rsa.RSAPublicKey) else KeyKind.ECDSA
    issuer = authority.get(kind)
    if issuer is None:
        raise CannotIssue(f"the authority has no issuer for {kind} keys")
    end = min(now + timedelta(days=days), issuer.certificate.not_valid_after_utc)
    if end <= now:
        raise CannotIssue("the issuing certificate has expired")
    subject = attempt(_taken, request.subject)
    own = issuer.certificate.subject
    builder = _builder(subject, key, own, issuer.certificate.public_key(), now, end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    usage = _usage(digital_signature=True, key_encipherment=kind is KeyKind.RSA)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    certificate = builder.sign(issuer.key, hashes.SHA256())
    return Issued(pem_of([certificate, issuer.certificate]), describe(certificate))


def _taken(subject: x509.Name) -> x509.Name:
    found = [attribute for kind in _TAKEN for attribute in subject.get_attributes_for_oid(kind)]
    return x509.Name(found)


def read_chain(text: str, request_pem: str, now_ms: int) -> Issued:
    """A chain that another authority has made of a request: leaf first, a root left out. Raises Unreadable (Q-3)."""
    chain = read_certificates(text)
    leaf = chain[0]
    if leaf.public_key() != load_request(request_pem).public_key():
        raise Unreadable("its first certificate does not have the key of the request")
    weak = weakness(leaf.public_key())
    if weak is not None:
        raise Unreadable(f"has {weak}")
    for place, (certificate, signer) in enumerate(pairwise(chain), 1):
        if not is_signed_by(certificate, signer) or not attempt(is_authority, signer):
            raise Unreadable(f"its certificate {place} is not signed by the next one")
    if any(in_ms(each.not_valid_after_utc) <= now_ms for each in chain):
        raise Unreadable("has expired")
    return Issued(_fitting(_without_root(chain)), describe(leaf))


def _without_root(chain: Sequence[x509.Certificate]) -> Sequence[x509.Certificate]:
    last = chain[-1]
    return chain[:-1] if len(chain) > 1 and last.subject == last.issuer else chain


def _fitting(chain: Sequence[x509.Certificate]) -> str:
    text = pem_of(chain)
    if len(text) > CHAIN_LIMIT:
        raise Unreadable(f"has more than {CHAIN_LIMIT} characters")
    return text
