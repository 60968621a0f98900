"""Requests for certificates (PKCS#10) as chargers send them. REQUIREMENTS Q-1."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ocppd.pki.reading import CERTIFICATE_LIMIT, Unreadable, attempt, key_of, pem_bytes, weakness

#: SHA-256 and what stands beside it; a signature by an older one proves nothing.
_WEAK_HASHES = frozenset({"md5", "sha1"})


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a request says. `digest` is that of its bytes, so that a repeated one is recognised."""

    subject: str
    common_names: tuple[str, ...]
    organizations: tuple[str, ...]
    key: str
    signature: str
    digest: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request has to say; None is not compared. `serial_numbers` are all that the charger has told of itself."""

    organization: str | None = None
    serial_numbers: tuple[str, ...] | None = None


def load_request(text: str) -> x509.CertificateSigningRequest:
    """A request whose signature is right, with a key that may be signed. Raises Unreadable."""
    request = attempt(x509.load_pem_x509_csr, pem_bytes(text, CERTIFICATE_LIMIT))
    weak = weakness(attempt(request.public_key))
    if weak is not None:
        raise Unreadable(f"has {weak}")
    algorithm = attempt(lambda: request.signature_hash_algorithm)
    if algorithm is None or algorithm.name in _WEAK_HASHES:
        raise Unreadable(f"is signed with {algorithm.name if algorithm else 'an unknown hash'}; expected SHA-256 or better")
    if not attempt(lambda: request.is_signature_valid):
        raise Unreadable("is not signed with its own key")
    return request


def describe_request(request: x509.CertificateSigningRequest) -> RequestFacts:
    """What a request says."""
    algorithm = request.signature_hash_algorithm
    return RequestFacts(
        subject=request.subject.rfc4514_string(),
        common_names=_values(request.subject, NameOID.COMMON_NAME),
        organizations=_values(request.subject, NameOID.ORGANIZATION_NAME),
        key=key_of(request.public_key()),
        signature=algorithm.name if algorithm else "",
        digest=hashlib.sha256(request.public_bytes(Encoding.DER)).hexdigest(),
    )


def read_request(text: str) -> RequestFacts:
    """What a request says that can be signed. Raises Unreadable."""
    return attempt(describe_request, load_request(text))


def _values(name: x509.Name, kind: x509.ObjectIdentifier) -> tuple[str, ...]:
    values = (attribute.value for attribute in name.get_attributes_for_oid(kind))
    return tuple(value if isinstance(value, str) else value.decode("utf-8", "replace") for value in values)


def faults(facts: RequestFacts, expected: Expected) -> Iterator[str]:
    """What keeps a request from being signed for its charger (Q-1)."""
    if len(facts.common_names) != 1 or not facts.common_names[0].strip():
        yield "its subject does not have one common name (CN)"
    elif expected.serial_numbers and facts.common_names[0].strip() not in expected.serial_numbers:
        yield "its common name (CN) is not the serial number of the charger"
    if expected.organization is not None and [each.strip() for each in facts.organizations] != [expected.organization]:
        yield "its organization (O) is not CpoName"
