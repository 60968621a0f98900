"""Where an authority keeps its keys: a directory that only its owner reads. Blocking; safe to use from several threads.

For each kind of key `rsa-…` and `ecdsa-…`: `root.pem`, `issuer.pem`, `issuer.key`, and `root.key`, which is never read here
and may be taken away. Whoever has an authority of their own puts its three files there. In a directory that was there before,
such as a mounted volume, what is made lies in a directory below it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ocppd.pki.authority import Authority, CannotIssue, Issuer, KeyKind, New, make_issuer
from ocppd.pki.reading import Unreadable, pem_of, read_certificates

#: A file with more is no certificate and no key.
FILE_LIMIT: Final = 64 * 1024
#: Where it is made in a directory that is there already: a mounted volume cannot be replaced as a whole.
BELOW: Final = "authority"
#: What may be in a volume that nobody has used yet, beside hidden files.
IN_NEW_VOLUMES: Final = frozenset({"lost+found", BELOW})


class Keeper:
    """The authority in `directory`; None: there is none, and never will be."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._lock = Lock()
        self._authority: Authority | None = None

    @property
    def directory(self) -> Path | None:
        """Where it is, or will be."""
        return self._directory

    def load(self) -> Authority | None:
        """The authority, None where there is none yet. Raises CannotIssue where its files are wrong; names them, shows none."""
        with self._lock:
            return self._load()

    def make(self, name: str) -> Authority:
        """The authority, which is made where there is none yet; `name` becomes its organization. Raises CannotIssue."""
        with self._lock:
            found = self._load()
            if found is not None:
                return found
            if self._directory is None:
                raise CannotIssue("there is no authority; --ca names the directory of one")
            try:
                _make(_place(self._directory), name)
            except OSError as error:
                raise CannotIssue(f"the authority in {self._directory} cannot be made: {error.strerror}") from None
            found = self._load()
            if found is None:
                raise CannotIssue(f"{self._directory} is there, and holds no authority")
            return found

    def _load(self) -> Authority | None:
        if self._authority is None and self._directory is not None:
            try:
                self._authority = _read(self._directory) or _read(self._directory / BELOW) or None
            except OSError as error:
                raise CannotIssue(f"the authority in {self._directory} cannot be read: {error.strerror}") from None
        return self._authority


def _read(directory: Path) -> Authority:
    authority: Authority = {}
    for kind in KeyKind:
        root, certificate, key = (directory / f"{kind.lower()}-{name}" for name in ("root.pem", "issuer.pem", "issuer.key"))
        if not (root.exists() or certificate.exists() or key.exists()):
            continue
        try:
            issuer = Issuer(_certificate(root), _certificate(certificate), _key(key))
            issuer.check()
        except Unreadable as error:
            raise CannotIssue(f"the {kind} issuer in {directory}: {error}") from None
        authority[kind] = issuer
    return authority


def _certificate(path: Path) -> Any:
    found = read_certificates(_contents(path).decode("ascii", "replace"), FILE_LIMIT)
    if len(found) != 1:
        raise Unreadable(f"{path.name} holds {len(found)} certificates; expected one")
    return found[0]


def _key(path: Path) -> Any:
    try:
        return load_pem_private_key(_contents(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # whatever it says may quote what is in it
        raise Unreadable(f"{path.name} holds no private key without a passphrase") from None


def _contents(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_LIMIT)
    except OSError as error:
        raise Unreadable(f"{path.name}: {error.strerror}") from None


def _place(directory: Path) -> Path:
    """Where it is to be made. One that holds something else is no directory for keys, and not taken for a volume."""
    new = directory.is_dir() and all(path.name.startswith(".") or path.name in IN_NEW_VOLUMES for path in directory.iterdir())
    return directory / BELOW if new else directory


def _make(directory: Path, name: str) -> None:
    """Make it under another name first: several processes may do so at once, and the first one wins."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))  # 0700
    try:
        for kind in KeyKind:
            _write(partial, kind.lower(), make_issuer(kind, name, datetime.now(UTC).replace(microsecond=0)))
        _sync(partial)
        try:
            partial.rename(directory)
        except OSError:
            if not directory.is_dir():
                raise
            return  # another process was first
        _sync(directory.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(directory: Path, kind: str, new: New) -> None:
    contents = {
        "root.pem": pem_of([new.issuer.root]).encode(),
        "issuer.pem": pem_of([new.issuer.certificate]).encode(),
        "root.key": _key_pem(new.root_key),
        "issuer.key": _key_pem(new.issuer.key),
    }
    for name, data in contents.items():
        mode = 0o600 if name.endswith(".key") else 0o644
        descriptor = os.open(directory / f"{kind}-{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _key_pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
