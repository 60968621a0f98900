"""What a signed firmware is signed with, looked at before a charger is asked to: V-1, white paper L01 (FR.706 SHOULD).

The certificate is one X.509 certificate in PEM, without intermediates, and valid now; the signature is RSA-PSS or ECDSA over
SHA-256 of the file. Where the file is ours the signature is verified: a digest is on record, so no file is read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from ocppd.errors import ErrorCode, Violation

CERTIFICATE: Final = "/signed/signingCertificate"
SIGNATURE: Final = "/signed/signature"
#: White paper: at least these many bits (as for the keys of Y-5).
LEAST_RSA_BITS: Final = 2048
LEAST_EC_BITS: Final = 224


def problems_of(certificate: str, signature: str, now_ms: int, sha256: str | None) -> Iterator[Violation]:
    """What a charger would refuse. `sha256`: of the file, where it is known."""
    try:
        found: x509.Certificate | None = _certificate(certificate)
    except ValueError as error:
        found = None
        yield _wrong(CERTIFICATE, str(error))
    signed = _decoded(signature)
    if not signed:
        yield _wrong(SIGNATURE, "expected base64")
    if found is None:
        return
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    if now > found.not_valid_after_utc:
        yield _wrong(CERTIFICATE, "the certificate has expired")
    elif now < found.not_valid_before_utc:
        yield _wrong(CERTIFICATE, "the certificate is not valid yet")
    reason = _of_key(found)
    if reason is not None:
        yield _wrong(CERTIFICATE, reason)
    elif sha256 is not None and signed:
        reason = _of_signature(found, signed, bytes.fromhex(sha256))
        if reason is not None:
            yield _wrong(SIGNATURE, reason)


def _wrong(pointer: str, reason: str) -> Violation:
    return Violation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, pointer, reason)


def _certificate(text: str) -> x509.Certificate:
    """Raises ValueError, whose text says what is expected."""
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("expected an X.509 certificate as PEM") from None
    if len(found) != 1:
        raise ValueError("expected one certificate, without intermediates")
    return found[0]


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode("".join(signature.split()), validate=True)
    except (ValueError, binascii.Error):
        return b""


def _of_key(certificate: x509.Certificate) -> str | None:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "its key cannot be read"
    match key:
        case rsa.RSAPublicKey(key_size=bits) if bits >= LEAST_RSA_BITS:
            return None
        case ec.EllipticCurvePublicKey(key_size=bits) if bits >= LEAST_EC_BITS:
            return None
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey():
            return f"its key is too short: expected RSA of {LEAST_RSA_BITS} or EC of {LEAST_EC_BITS} bits at least"
    return "its key is neither RSA nor EC"


def _of_signature(certificate: x509.Certificate, signature: bytes, digest: bytes) -> str | None:
    key, hashed = certificate.public_key(), Prehashed(SHA256())
    if isinstance(key, ec.EllipticCurvePublicKey):
        return None if _holds(lambda: key.verify(signature, digest, ec.ECDSA(hashed))) else "not that of the file with this key"
    assert isinstance(key, rsa.RSAPublicKey)
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO)
    if _holds(lambda: key.verify(signature, digest, pss, hashed)):
        return None
    if _holds(lambda: key.verify(signature, digest, padding.PKCS1v15(), hashed)):
        return "a signature by PKCS #1 v1.5, where RSA-PSS is asked for"
    return "not that of the file with this key"


def _holds(verify: object) -> bool:
    assert callable(verify)
    try:
        verify()
    except (InvalidSignature, ValueError):
        return False
    return True
