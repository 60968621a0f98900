"""The authority, what it signs, and where it keeps its keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from ocppd.pki.authority import LATEST, Authority, CannotIssue, KeyKind, issue, make_issuer, read_chain
from ocppd.pki.keeper import Keeper
from ocppd.pki.reading import Unreadable, is_signed_by, read_certificates
from support.certificates import authority, certificate, csr, ec_key, pem, rsa_key

NOW = datetime.now(UTC).replace(microsecond=0)
NOW_MS = int(NOW.timestamp()) * 1000


class IssueTests(SynchronousTestCase):
    """What it signs."""

    def setUp(self) -> None:
        """An authority."""
        self.authority: Authority = authority(Path(self.mktemp())).make("")

    def test_each_kind_has_its_issuer(self) -> None:
        """Q-3: RSA is signed with RSA, EC with ECDSA; each certificate has a number of its own."""
        numbers = set()
        for key in (rsa_key(), ec_key(), ec_key()):
            leaf, issuer = read_certificates(issue(self.authority, csr(key), 30, NOW).chain)
            kind = KeyKind.RSA if isinstance(leaf.public_key(), rsa.RSAPublicKey) else KeyKind.ECDSA
            self.assertEqual(issuer, self.authority[kind].certificate)
            self.assertTrue(is_signed_by(leaf, issuer))
            self.assertEqual(leaf.not_valid_after_utc, NOW + timedelta(days=30))
            self.assertLess(leaf.not_valid_before_utc, NOW)
            numbers.add(leaf.serial_number)
        self.assertEqual(len(numbers), 3)

    def test_only_what_was_checked_is_signed(self) -> None:
        """3.7: of the subject CN, O, OU and C; extensions that a request wishes for are not granted."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name(
                [
                    x509.NameAttribute(x509.NameOID.LOCALITY_NAME, "Here"),
                    x509.NameAttribute(x509.NameOID.COMMON_NAME, "SN-1"),
                    x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Acme"),
                ]
            )
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=False)
        request = builder.sign(ec_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
        leaf = read_certificates(issue(self.authority, request, 30, NOW).chain)[0]
        self.assertEqual(leaf.subject.rfc4514_string(), "CN=SN-1,O=Acme")
        self.assertFalse(leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        with self.assertRaises(x509.ExtensionNotFound):
            leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)

    def test_no_certificate_outlives_its_issuer(self) -> None:
        """Q-3: it ends with its issuer at the latest; an issuer that has expired signs nothing."""
        issuer = self.authority[KeyKind.ECDSA].certificate
        leaf = read_certificates(issue(self.authority, csr(), 9999, NOW).chain)[0]
        self.assertEqual(leaf.not_valid_after_utc, issuer.not_valid_after_utc)
        with self.assertRaisesRegex(CannotIssue, "expired"):
            issue(self.authority, csr(), 30, issuer.not_valid_after_utc)

    def test_a_kind_without_issuer(self) -> None:
        """An authority of somebody's own may have one kind alone."""
        with self.assertRaisesRegex(CannotIssue, "RSA"):
            issue({KeyKind.ECDSA: self.authority[KeyKind.ECDSA]}, csr(rsa_key()), 30, NOW)

    def test_clocks_of_32_bits(self) -> None:
        """G-1: nothing ends in 2038 or later as long as that is some years away, and then nothing ends too soon."""
        new = make_issuer(KeyKind.ECDSA, "Acme", datetime(2030, 1, 1, tzinfo=UTC)).issuer
        self.assertEqual(new.root.not_valid_after_utc, LATEST)
        later = make_issuer(KeyKind.ECDSA, "Acme", datetime(2037, 6, 1, tzinfo=UTC)).issuer
        self.assertGreater(later.certificate.not_valid_after_utc, datetime(2046, 1, 1, tzinfo=UTC))

    def test_long_names(self) -> None:
        """RFC 5280: a CpoName of 64 characters still makes names that fit."""
        new = make_issuer(KeyKind.ECDSA, "C" * 64, NOW).issuer
        for attribute in new.certificate.subject:
            self.assertLessEqual(len(str(attribute.value)), 64)

    def test_chains_of_others(self) -> None:
        """Q-3: leaf first, each signed by the next; a root at the end is left out, a leaf alone is taken."""
        key, root_key = ec_key(), ec_key()
        root, leaf = certificate(root_key), certificate(key, "SN-1", ("Root", root_key), ca=False)
        request = csr(key)
        self.assertEqual(read_chain(pem(leaf, root), request, NOW_MS).chain, pem(leaf))
        self.assertEqual(read_chain(pem(leaf), request, NOW_MS).facts.subject, "CN=SN-1")
        for reason, text in {
            "key of the request": pem(root, leaf),
            "certificate 1 is not signed": pem(leaf, certificate(ec_key(), "Root")),
            "certificate 2 is not signed": pem(leaf, root, certificate(ec_key(), "Else")),
        }.items():
            with self.assertRaisesRegex(Unreadable, reason):
                read_chain(text, request, NOW_MS)


class KeeperTests(SynchronousTestCase):
    """Where it keeps its keys."""

    def test_nowhere(self) -> None:
        """Without a directory there is none, and none is made."""
        self.assertIsNone(Keeper(None).load())
        with self.assertRaisesRegex(CannotIssue, "--ca"):
            Keeper(None).make("Acme")

    def test_made_once_by_many(self) -> None:
        """Several processes may begin with it at once: all have the same one."""
        directory = Path(self.mktemp()) / "ca"
        made: list[Authority] = []
        threads = [Thread(target=lambda: made.append(Keeper(directory).make("Acme"))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(made[0][KeyKind.RSA].root, made[1][KeyKind.RSA].root)
        self.assertEqual(list(directory.parent.iterdir()), [directory])

    def test_made_in_a_volume(self) -> None:
        """A directory that is there already, as a mounted volume is, stays the one it is: all have what is made below it."""
        directory = Path(self.mktemp()) / "ca"
        (directory / "lost+found").mkdir(parents=True)
        parent, number = directory.parent.stat().st_mtime_ns, directory.stat().st_ino
        made: list[Authority] = []
        threads = [Thread(target=lambda: made.append(Keeper(directory).make("Acme"))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(made[0][KeyKind.RSA].root, made[1][KeyKind.RSA].root)
        self.assertEqual((directory.parent.stat().st_mtime_ns, directory.stat().st_ino), (parent, number))
        self.assertEqual(sorted(path.name for path in directory.iterdir()), ["authority", "lost+found"])
        self.assertEqual((directory / "authority").stat().st_mode & 0o777, 0o700)
        found = Keeper(directory).load()
        assert found is not None
        self.assertEqual(found[KeyKind.RSA].root, made[0][KeyKind.RSA].root)
        self.assertEqual(Keeper(directory).make("Else")[KeyKind.RSA].root, found[KeyKind.RSA].root)

    def test_keys_of_somebodys_own(self) -> None:
        """Three files make an issuer; the root's key is not among them, and may be taken away."""
        directory = Path(self.mktemp())
        authority(directory)
        for path in [*directory.glob("rsa-*"), directory / "ecdsa-root.key"]:
            path.unlink()
        found = Keeper(directory).load()
        assert found is not None
        self.assertEqual(list(found), [KeyKind.ECDSA])

    def test_files_that_are_wrong(self) -> None:
        """Each is named, and nothing of a key is shown."""
        other = authority(Path(self.mktemp()))
        assert other.directory is not None
        for name, text, reason in (
            ("rsa-issuer.key", None, "rsa-issuer.key: No such file"),
            ("rsa-issuer.key", "SECRET", "rsa-issuer.key holds no private key"),
            ("rsa-issuer.key", (other.directory / "ecdsa-issuer.key").read_text(), "key of the issuing certificate is another"),
            ("rsa-issuer.pem", "x", "is not PEM"),
            ("rsa-root.pem", pem(certificate(ec_key(), "ocppd RSA root")), "not signed by the root"),
            ("rsa-root.pem", pem(certificate(ec_key(), ca=False)), "CA:TRUE"),
        ):
            directory = Path(self.mktemp())
            authority(directory)
            path = directory / name
            path.unlink()
            if text is not None:
                path.write_text(text)
            with self.assertRaisesRegex(CannotIssue, reason) as raised:
                Keeper(directory).load()
            self.assertNotIn("SECRET", str(raised.exception))

    def test_no_place(self) -> None:
        """A directory that cannot be made, or holds something else, is named."""
        file = Path(self.mktemp())
        file.write_text("x")
        with self.assertRaisesRegex(CannotIssue, "cannot be made"):
            Keeper(file / "ca").make("Acme")
        full = Path(self.mktemp())
        full.mkdir()
        (full / "notes.txt").write_text("x")
        with self.assertRaisesRegex(CannotIssue, "holds no authority"):
            Keeper(full).make("Acme")
