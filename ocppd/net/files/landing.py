"""A file that arrives: written and hashed in threads, piece by piece, while its sender is paused. Knows no HTTP, no records."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ocppd.errors import OcppdError
from ocppd.net.files.errors import RoomBroken, RoomFull

log = Logger()

#: Runs a function in a thread; its Deferred fires on the reactor's.
Run = Callable[..., Deferred[Any]]

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
PART: Final = ".part"


@dataclass(frozen=True, slots=True)
class Landed:
    """A file that is on disk, whole, as `stored` in the directory."""

    stored: str
    size: int
    sha256: str


class Landing:
    """One file on its way to `directory`. Its errors are RoomFull and RoomBroken."""

    def __init__(self, directory: Path, stored: str, run: Run, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._path = directory / (stored + PART)
        self._stored = stored
        self._run = run
        self._pause = pause
        self._resume = resume
        self._digest = hashlib.sha256()
        self._size = 0
        self._file: BinaryIO | None = None
        self._pending: list[bytes] = []
        self._writing = False
        self._idle: list[Deferred[None]] = []
        self.failure: OcppdError | None = None

    def received(self, data: bytes) -> None:
        """The next bytes. They come while the ones before are being written, until the sender is found to be paused."""
        if self.failure is None and data:
            self._pending.append(data)
            self._pump()

    def _pump(self) -> None:
        if self._writing or not self._pending:
            return
        pieces, self._pending = self._pending, []
        self._writing = True
        self._pause()
        self._run(self._write, b"".join(pieces)).addErrback(self._broken).addCallback(self._written)

    def _write(self, data: bytes) -> None:
        """In a thread."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = open(self._path, "xb", opener=_private)  # noqa: SIM115  # closed in `_close`
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def _broken(self, failure: Failure) -> None:
        self.failure = failure_of(failure)
        self._pending = []

    def _written(self, _: None) -> None:
        self._writing = False
        self._resume()
        self._pump()
        if not self._writing:
            idle, self._idle = self._idle, []
            for each in idle:
                each.callback(None)

    def _quiet(self) -> Deferred[None]:
        """Fires once nothing is being written."""
        quiet: Deferred[None] = Deferred()
        if self._writing:
            self._idle.append(quiet)
        else:
            quiet.callback(None)
        return quiet

    async def digest(self) -> str:
        """All bytes have come: their digest. Nothing is kept by that. Raises RoomFull, RoomBroken."""
        await self._quiet()
        if self.failure is not None:
            raise self.failure
        return self._digest.hexdigest()

    async def finish(self) -> Landed:
        """All bytes have come: make them durable under their name. Raises RoomFull, RoomBroken."""
        await self._quiet()
        if self.failure is None:
            try:
                await self._run(self._keep)
            except OSError as error:
                self.failure = error_of(error)
        if self.failure is not None:
            await self.abandon()
            raise self.failure
        return Landed(self._stored, self._size, self._digest.hexdigest())

    def _keep(self) -> None:
        """In a thread. An empty file is one, too."""
        if self._file is None:
            self._write(b"")
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._path.with_name(self._stored))
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    async def abandon(self) -> None:
        """Nothing of it is kept."""
        self.failure = self.failure or RoomBroken("given up")
        self._pending = []
        await self._quiet()
        try:
            await self._run(self._remove)
        except OSError as error:
            log.warn("a file that came in part stays in the file room: {reason}", reason=str(error))

    def _remove(self) -> None:
        """In a thread."""
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def failure_of(failure: Failure) -> OcppdError:
    """What a failed write is to its sender."""
    if isinstance(failure.value, OSError):
        return error_of(failure.value)
    log.failure("the file room cannot be written", failure)
    return RoomBroken("the file room cannot be written")


def error_of(error: OSError) -> OcppdError:
    """What an error of the disk is to a sender."""
    if error.errno in NO_ROOM:
        log.error("the file room's disk is full: {reason}", reason=str(error))
        return RoomFull("there is no room for the file")
    log.error("the file room cannot be written: {reason}", reason=str(error))
    return RoomBroken("the file room cannot be written")
