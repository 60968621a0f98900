"""What a signed firmware is signed with. REQUIREMENTS V-1."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from ocppd.net.rest.signing import problems_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
FIRMWARE = b"firmware" * 1000
DIGEST = hashlib.sha256(FIRMWARE).hexdigest()
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


def certificate(key: Any, begins: timedelta = timedelta(days=-1), ends: timedelta = timedelta(days=1)) -> str:
    """A certificate of this key that names itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Maker")])
    built = x509.CertificateBuilder(name, name, key.public_key(), 7).not_valid_before(NOW + begins).not_valid_after(NOW + ends)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return built.sign(key, digest).public_bytes(Encoding.PEM).decode()


def encoded(signature: bytes) -> str:
    return base64.b64encode(signature).decode()


def found(pem: str, signature: str, sha256: str | None = DIGEST) -> list[tuple[str, str]]:
    """Pointers and reasons."""
    return [(each.pointer.rpartition("/")[2], each.reason) for each in problems_of(pem, signature, NOW_MS, sha256)]


class SigningTests(SynchronousTestCase):
    """Certificates and signatures."""

    def test_good_signatures(self) -> None:
        """V-1: RSA-PSS and ECDSA over SHA-256 of the file are right, with any length of salt."""
        longest = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
        for salted in (PSS, longest):
            self.assertEqual(found(certificate(RSA), encoded(RSA.sign(FIRMWARE, salted, hashes.SHA256()))), [])
        self.assertEqual(found(certificate(EC), encoded(EC.sign(FIRMWARE, ec.ECDSA(hashes.SHA256())))), [])

    def test_wrong_signatures(self) -> None:
        """V-1: another file, another key, PKCS #1 v1.5 or another digest is no signature of this file; it is not sent."""
        wrong = "not that of the file with this key"
        good = encoded(EC.sign(FIRMWARE, ec.ECDSA(hashes.SHA256())))
        cases = [
            (certificate(EC), encoded(EC.sign(b"other", ec.ECDSA(hashes.SHA256()))), wrong),
            (certificate(ec.generate_private_key(ec.SECP256R1())), good, wrong),
            (certificate(RSA), encoded(RSA.sign(FIRMWARE, PSS, hashes.SHA512())), wrong),
            (certificate(RSA), encoded(b"short"), wrong),
            (
                certificate(RSA),
                encoded(RSA.sign(FIRMWARE, padding.PKCS1v15(), hashes.SHA256())),
                "a signature by PKCS #1 v1.5, where RSA-PSS is asked for",
            ),
        ]
        for pem, signature, reason in cases:
            self.assertEqual(found(pem, signature), [("signature", reason)])
            self.assertEqual(found(pem, signature, None), [], "of a file that is elsewhere nothing is known")

    def test_wrong_certificates(self) -> None:
        """V-1: no PEM, several certificates, one that is not valid now, keys that are too short or of another kind."""
        day = timedelta(days=1)
        cases = [
            ("nonsense", "expected an X.509 certificate as PEM"),
            (certificate(EC) + certificate(EC), "expected one certificate, without intermediates"),
            (certificate(EC, -3 * day, -day), "the certificate has expired"),
            (certificate(EC, day, 3 * day), "the certificate is not valid yet"),
            (certificate(ed25519.Ed25519PrivateKey.generate()), "its key is neither RSA nor EC"),
            (
                certificate(rsa.generate_private_key(65537, 1024)),
                "its key is too short: expected RSA of 2048 or EC of 224 bits at least",
            ),
        ]
        for pem, reason in cases:
            self.assertEqual(found(pem, "QUJD", None), [("signingCertificate", reason)])

    def test_signatures_that_are_none(self) -> None:
        """V-1: what is no base64 is told besides what is wrong with the certificate."""
        for signature in ("", "?", "QUJ", "ä"):
            self.assertEqual(found(certificate(EC), signature), [("signature", "expected base64")])
        self.assertEqual(len(found("x", "?")), 2)
