"""What is kept of a password, and what a charger may mean by one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ocppd.pki.passwords import Verifier, candidates, hashed, is_hash_of, key_of, new_key

DIGITS = "00ff" * 10


class Passwords(SynchronousTestCase):
    """Tests for `ocppd.pki.passwords`."""

    def test_what_is_kept(self) -> None:
        """Z-3: a salted hash, another one each time, of which only the password is right."""
        key = new_key()
        kept = [hashed(key), hashed(key)]
        self.assertEqual(len({key.hex() in kept[0], kept[0], kept[1]}), 3)
        self.assertTrue(all(is_hash_of(each, key) for each in kept))
        self.assertFalse(is_hash_of(kept[0], key + b"\0"))
        for other in ("", "scrypt:1", "argon:1:2:3:4:5", "scrypt:a:8:1:AA==:AA==", "scrypt:16384:8:1:*:*"):
            self.assertFalse(is_hash_of(other, key), other)

    def test_keys_as_text(self) -> None:
        """Z-4, Z-9: 32 to 40 digits are bytes, whatever else is text; in strict reading bytes are bytes."""
        self.assertEqual(key_of(DIGITS), bytes.fromhex(DIGITS))
        self.assertEqual(key_of("sixteen letters!"), b"sixteen letters!")
        self.assertEqual(key_of("0" * 30), b"0" * 30)
        self.assertEqual(candidates(DIGITS.encode(), tolerant=True), (DIGITS.encode(), bytes.fromhex(DIGITS)))
        self.assertEqual(candidates(DIGITS.encode(), tolerant=False), (DIGITS.encode(),))

    def test_verifier(self) -> None:
        """What was right once is right at once, and nothing else is."""
        verifier, kept = Verifier(), hashed(b"right")
        self.assertFalse(verifier.is_one_of(kept, (b"wrong",)))
        for _ in range(2):
            self.assertTrue(verifier.is_one_of(kept, (b"wrong", b"right")))
        self.assertFalse(verifier.is_one_of(kept, (b"wrong",)))
        self.assertFalse(verifier.is_one_of(kept, ()))
