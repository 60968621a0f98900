"""Secrets of queued calls."""

from __future__ import annotations

from cryptography.fernet import Fernet
from twisted.trial.unittest import SynchronousTestCase

from ocppd.storage.secrets import Secrets


class SecretsTests(SynchronousTestCase):
    """Tests for `Secrets`."""

    def test_the_same_passphrase_is_the_same_key(self) -> None:
        """What one process encrypts the next one decrypts, with any text as its key."""
        for text in ("short", "a long passphrase with blanks \u00fc", Fernet.generate_key().decode()):
            self.assertEqual(Secrets.from_text(text).decrypt(Secrets.from_text(text).encrypt("sesame")), "sesame")

    def test_a_fernet_key_is_taken_as_it_is(self) -> None:
        """A key made by other tools works."""
        key = Fernet.generate_key()
        self.assertEqual(Fernet(key).decrypt(Secrets.from_text(key.decode() + "\n").encrypt("x")), b"x")

    def test_another_key_gives_nothing(self) -> None:
        """Without the right key there is no text and no error."""
        self.assertIsNone(Secrets.random().decrypt(Secrets.random().encrypt("x")))
