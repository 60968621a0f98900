"""Chargers' passwords: as bytes, as the text that carries them, and as what is kept of them. REQUIREMENTS 3.2. Pure.

Kept is a salted slow hash (Z-3). Computing one takes some hundredths of a second, so that it is no work for the reactor's
thread; `Verifier` remembers what it has found right, for chargers that come again and again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

#: Z-1: what an AuthorizationKey has.
KEY_BYTES: Final = (16, 20)
#: Z-4, Z-9: an AuthorizationKey as the text that ChangeConfiguration carries.
HEX_KEY: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}){16,20}")
#: The cost of a hash: 16 MiB, and about 40 ms. Each hash names its own, so that this may grow.
COST, BLOCK, LANES = 2**14, 8, 1
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
#: Passwords that a process remembers to be right.
REMEMBERED: Final = 20_000


def new_key() -> bytes:
    """A random key of the greatest length (Z-5, Z-8)."""
    return secrets.token_bytes(KEY_BYTES[1])


def key_of(text: str) -> bytes:
    """The bytes of a password that was given as text: 32 to 40 hexadecimal digits are those of a key (Z-9)."""
    data = text.encode()
    return binascii.unhexlify(data) if HEX_KEY.fullmatch(data) else data


def candidates(given: bytes, *, tolerant: bool) -> tuple[bytes, ...]:
    """What a charger may mean by the password that it presents: some send a key's digits (Z-4)."""
    return (given, binascii.unhexlify(given)) if tolerant and HEX_KEY.fullmatch(given) else (given,)


def hashed(key: bytes) -> str:
    """What is kept of a key."""
    salt = secrets.token_bytes(SALT_BYTES)
    return f"scrypt:{COST}:{BLOCK}:{LANES}:{_text(salt)}:{_text(_hash(key, salt, COST, BLOCK, LANES))}"


def is_hash_of(text: str, key: bytes) -> bool:
    """Whether this is kept of that key; False where a newer ocppd has written something else."""
    try:
        kind, cost, block, lanes, salt, wanted = text.split(":")
        if kind != "scrypt":
            return False
        found = _hash(key, base64.b64decode(salt), int(cost), int(block), int(lanes))
        return hmac.compare_digest(found, base64.b64decode(wanted))
    except ValueError:
        return False


def _hash(key: bytes, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    # OpenSSL wants room for what it needs beside the blocks.
    room = 128 * cost * block * lanes + 1024**2
    # A digest of it, because HMAC, which scrypt begins with, fills a key up with zeros: keys may end with some.
    return hashlib.scrypt(hashlib.sha256(key).digest(), salt=salt, n=cost, r=block, p=lanes, maxmem=room, dklen=HASH_BYTES)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Verifier:
    """Says which password it is. Of those that were right it keeps a digest, by a key of its own. May be used by threads."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def is_one_of(self, kept: str, given: Sequence[bytes]) -> bool:
        """Whether what is kept is of one of these."""
        digests = {self._digest(each): each for each in given}
        with self._lock:
            right = self._right.get(kept)
        if right is not None:
            return any(hmac.compare_digest(right, digest) for digest in digests)
        for digest, each in digests.items():
            if is_hash_of(kept, each):
                self._remember(kept, digest)
                return True
        return False

    def _remember(self, kept: str, digest: bytes) -> None:
        with self._lock:
            self._right[kept] = digest
            if len(self._right) > REMEMBERED:
                self._right.popitem(last=False)

    def _digest(self, given: bytes) -> bytes:
        return hmac.digest(self._key, given, "sha256")
