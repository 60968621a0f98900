"""Certificates and requests as they are read, and named."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.trial.unittest import SynchronousTestCase

from ocppd.pki.reading import (
    Unreadable,
    describe,
    hash_data,
    is_signed_by,
    key_of,
    pem_of,
    read_certificates,
    read_root,
    same_hash_data,
    weakness,
)
from ocppd.pki.requests import Expected, faults, read_request
from ocppd.v16.types import CertificateHashDataType, HashAlgorithmEnumType
from support.certificates import certificate, csr, ec_key, pem, rsa_key, spoilt

NOW_MS = int(datetime.now(UTC).timestamp()) * 1000

#: A request for CN=SN-1 whose signature is made with SHA-1, as old chargers do; today's libraries refuse to make one.
SHA1_REQUEST = """-----BEGIN CERTIFICATE REQUEST-----
MIHIMHECAQAwDzENMAsGA1UEAwwEU04tMTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABCJBuNQ8445AwXLoeKDicCMtVjBmstBWt9W7GiH3wnRx4fVwIGg9ruOEGtci
PRc5rH36NTwvWU2FmYbeFAfOoe2gADAJBgcqhkjOPQQBA0gAMEUCICAvzsPJ4bes
7wJHZuzksRRR1QKomKQRTHIyRIjR9C9sAiEA9kOLOiNgL8Hzdcl68YbydWeXqdoe
vGmQLd2+A7mG+Gc=
-----END CERTIFICATE REQUEST-----
"""


class HashDataTests(SynchronousTestCase):
    """How chargers name certificates."""

    def test_all_kinds_of_keys(self) -> None:
        """Q-6: the issuer's name in DER and the bits of its key, whatever the key; with each of the three algorithms."""
        for key in (rsa_key(), ec_key(), ec_key(ec.SECP384R1())):
            root = certificate(key)
            for algorithm in HashAlgorithmEnumType:
                named = hash_data(root, algorithm)
                digest = hashlib.new(algorithm.value.lower(), root.issuer.public_bytes()).hexdigest()
                self.assertEqual(named.issuer_name_hash, digest)
                info = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                bits = x509.SubjectKeyIdentifier.from_public_key(root.public_key())
                self.assertTrue(info.endswith(_bits(root)))
                self.assertEqual(hashlib.sha1(_bits(root)).digest(), bits.digest, "SHA-1 of the same bits (RFC 5280)")
                self.assertEqual(named.issuer_key_hash, hashlib.new(algorithm.value.lower(), _bits(root)).hexdigest())
                self.assertEqual(named.serial_number, f"{root.serial_number:x}")

    def test_spellings(self) -> None:
        """Q-6: without case and leading zeros; another algorithm names another certificate."""
        one = CertificateHashDataType(
            hash_algorithm=HashAlgorithmEnumType.SHA256, issuer_name_hash="0aB", issuer_key_hash="cd", serial_number="001f"
        )
        other = CertificateHashDataType(
            hash_algorithm=HashAlgorithmEnumType.SHA256, issuer_name_hash="ab", issuer_key_hash="00CD", serial_number="1F"
        )
        self.assertTrue(same_hash_data(one, other))
        longer = CertificateHashDataType(
            hash_algorithm=HashAlgorithmEnumType.SHA384, issuer_name_hash="ab", issuer_key_hash="cd", serial_number="1f"
        )
        self.assertFalse(same_hash_data(one, longer))

    def test_an_intermediate_is_named_by_its_issuer(self) -> None:
        """Q-6: issuerKeyHash is that of who has signed it."""
        root_key = ec_key()
        root, below = certificate(root_key), certificate(ec_key(), "Below", ("Root", root_key))
        named = hash_data(below, HashAlgorithmEnumType.SHA256, root)
        self.assertEqual(named.issuer_key_hash, hash_data(root, HashAlgorithmEnumType.SHA256).issuer_key_hash)


def _bits(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)


class CertificateTests(SynchronousTestCase):
    """Certificates in PEM."""

    def test_several(self) -> None:
        """All that stand there, without what stands between them; escaped line ends are mended."""
        root = certificate(ec_key())
        text = f"# mine\n{pem(root)}and\n{pem(root)}"
        self.assertEqual(pem_of(read_certificates(text)), pem(root, root))
        self.assertEqual(read_certificates(pem(root).replace("\n", "\\n")), [root])

    def test_what_is_none(self) -> None:
        """3.7: whatever is no certificate, or too much, is Unreadable and nothing else."""
        root = pem(certificate(ec_key()))
        for text in ("", "x", "-----BEGIN ", "-----BEGIN CERTIFICATE-----", root[:200], root.replace("M", "é"), root * 30, csr()):
            with self.assertRaises(Unreadable):
                read_certificates(text)
        begin, middle, end = root.partition("\n")
        for place in range(0, len(end) - 40, 7):
            wrong = begin + middle + end[:place] + ("A" if end[place] != "A" else "B") + end[place + 1 :]
            try:
                describe(read_certificates(wrong)[0])
            except Unreadable:
                continue

    def test_roots(self) -> None:
        """Q-5: one certificate, of an authority, that has not expired."""
        key = ec_key()
        root = certificate(key)
        self.assertEqual(read_root(pem(root), NOW_MS), root)
        wrong = {
            "2 certificates": pem(root, root),
            "CA:TRUE": pem(certificate(key, ca=False)),
            "expired": pem(certificate(key, days=(-9, -1))),
        }
        for reason, text in wrong.items():
            with self.assertRaisesRegex(Unreadable, reason):
                read_root(text, NOW_MS)

    def test_who_has_signed(self) -> None:
        """Q-3: by name and signature, not by name alone."""
        key = ec_key()
        root, impostor = certificate(key), certificate(ec_key())
        below = certificate(ec_key(), "Below", ("Root", key))
        self.assertTrue(is_signed_by(below, root))
        self.assertFalse(is_signed_by(below, impostor))
        self.assertFalse(is_signed_by(root, below))

    def test_facts(self) -> None:
        """What is shown of a certificate."""
        facts = describe(certificate(rsa_key(), "SN"))
        self.assertEqual((facts.subject, facts.issuer, facts.key, len(facts.fingerprint)), ("CN=SN", "CN=SN", "RSA 2048", 64))
        self.assertLess(facts.not_before_ms, NOW_MS)
        self.assertLess(NOW_MS + timedelta(days=300) // timedelta(milliseconds=1), facts.not_after_ms)


class KeyTests(SynchronousTestCase):
    """Keys that chargers may have."""

    def test_strength(self) -> None:
        """Q-1, Q-3: RSA from 2048 bits on, EC from 224 bits on, nothing else."""
        good = (rsa_key(), ec_key(ec.SECP224R1()), ec_key(ec.SECP521R1()))
        weak = (rsa_key(1024), ec_key(ec.SECP192R1()), ed25519.Ed25519PrivateKey.generate(), dsa.generate_private_key(1024))
        self.assertEqual([weakness(key.public_key()) for key in good], [None] * 3)
        for key in weak:
            self.assertIsNotNone(weakness(key.public_key()), key_of(key.public_key()))


class RequestTests(SynchronousTestCase):
    """Requests as chargers send them."""

    def test_good_ones(self) -> None:
        """Q-1: what they say, with RSA and EC; the other label of PEM and escaped line ends are taken."""
        request = csr(rsa_key(), "SN-1", "Acme")
        facts = read_request(request)
        self.assertEqual((facts.common_names, facts.organizations, facts.key), (("SN-1",), ("Acme",), "RSA 2048"))
        self.assertEqual(read_request(request.replace("BEGIN C", "BEGIN NEW C").replace("END C", "END NEW C")), facts)
        self.assertEqual(read_request(request.replace("\n", "\\n")), facts)
        self.assertEqual(read_request(csr(ec_key())).key, "EC secp256r1")

    def test_bad_ones(self) -> None:
        """Q-1: no PKCS#10, another signature than its own key's, a weak key or hash."""
        wrong = {
            "not PEM": "x",
            "more than 5500": csr() + "x" * 5500,
            "not signed": spoilt(csr(rsa_key())),
            "RSA key of 1024": csr(rsa_key(1024)),
            "EC key of 192": csr(ec_key(ec.SECP192R1())),
            "sha1": SHA1_REQUEST,
            "": pem(certificate(ec_key())),
        }
        for reason, text in wrong.items():
            with self.assertRaisesRegex(Unreadable, reason):
                read_request(text)

    def test_every_byte_counts(self) -> None:
        """3.7, Q-1: a request that is changed anywhere is refused as Unreadable, whatever the library makes of it."""
        request = csr()
        begin, middle, end = request.partition("\n")
        for place in range(0, len(end) - 45, 3):
            wrong = begin + middle + end[:place] + ("A" if end[place] != "A" else "B") + end[place + 1 :]
            with self.assertRaises(Unreadable):
                read_request(wrong)

    def test_comparisons(self) -> None:
        """Q-1: CN is one of the serial numbers, O is CpoName; what is not known or not wanted is not compared."""
        facts = read_request(csr(None, "SN-1", "Acme"))
        cases = (
            (Expected("Acme", ("SN-1",)), 0),
            (Expected(None, None), 0),
            (Expected("Acme", ()), 0),
            (Expected("Acme", ("SN-2", "SN-1")), 0),
            (Expected("Acm", ("SN-1",)), 1),
            (Expected("Acme", ("sn-1",)), 1),
            (Expected("Other", ("SN-2",)), 2),
        )
        for expected, count in cases:
            self.assertEqual(len(list(faults(facts, expected))), count, expected)
        nobody = read_request(csr(None, None))
        self.assertEqual(len(list(faults(nobody, Expected()))), 1)
        blank = read_request(csr(None, " "))
        self.assertEqual(len(list(faults(blank, Expected()))), 1)
