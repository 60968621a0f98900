"""Secret frames, encrypted while they wait. Knows no table (decision 9 of docs/architecture.md).

The key comes from the environment or from a file beside the database, so that a copy of the database alone tells
nothing.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ocppd.errors import StartFailed
from ocppd.storage.files import companion, sync_directory

_PURPOSE = b"ocppd: secrets of queued calls"


class Secrets:
    """Encrypts and decrypts texts with one key."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    @classmethod
    def from_text(cls, text: str) -> Secrets:
        """With `text` as the key: a Fernet key as it is, any other text as a passphrase."""
        try:
            return cls(text.strip().encode())
        except ValueError:
            derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(
                text.encode("utf-8", "surrogateescape")
            )
            return cls(base64.urlsafe_b64encode(derived))

    @classmethod
    def random(cls) -> Secrets:
        """With a key that nobody will know again."""
        return cls(Fernet.generate_key())

    @classmethod
    def beside(cls, database: Path) -> Secrets:
        """With the key in `<database>.key`, which is made, for its owner only, where it is missing. Raises StartFailed."""
        path = companion(database, ".key")
        try:
            if not path.exists():
                _create(path)
            return cls(path.read_bytes().strip())
        except OSError as error:
            raise StartFailed(f"key file {path}: {error.strerror}; ocppd must be able to read and create it") from error
        except ValueError as error:
            raise StartFailed(
                f"key file {path} holds no key: restore it, or remove it and with it the waiting secrets"
            ) from error

    def encrypt(self, text: str) -> bytes:
        return self._fernet.encrypt(text.encode())

    def decrypt(self, token: bytes) -> str | None:
        """The text; None where it was encrypted with another key."""
        try:
            return self._fernet.decrypt(token).decode()
        except InvalidToken:
            return None


def _create(path: Path) -> None:
    """Write a new key under another name first: a half-written key file would be worse than none."""
    partial = companion(path, ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    sync_directory(path.parent)
