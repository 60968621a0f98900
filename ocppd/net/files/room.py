"""The file room: its directory, its limits, its tokens. Bodies are `intake`'s business, answers `serving`'s.

Files are in one flat directory, under names of ours; what others call a file is on record alone, and is never a path.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ocppd.clock import Clock, now_ms
from ocppd.errors import StorageUnavailable
from ocppd.net.files.errors import NoFile, RoomBusy
from ocppd.net.files.landing import PART, Run
from ocppd.storage.api.charger_jobs import JobRecords
from ocppd.storage.api.files import FileRecords
from ocppd.storage.records.files import NewToken, StoredFile

log = Logger()

PREFIX: Final = "/files/"
TOKEN_BYTES: Final = 32
DAY_MS: Final = 24 * 3600 * 1000
#: What nobody knows is left of a crash once it is so old: no file takes so long to come.
ORPHAN_S: Final = 24 * 3600
#: Characters of a name that somebody else has given.
MAX_NAME_LENGTH: Final = 255
NAME_BYTES: Final = 16
#: What a file of ours is called on disk; any other is somebody else's, wherever --files points.
_OURS: Final = re.compile(rf"[0-9a-f]{{{2 * NAME_BYTES}}}({re.escape(PART)})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the file room may take; the daemon's options. `keep_days` and `most_bytes` bound what chargers have sent."""

    file_bytes: int = 100 * 1024 * 1024
    most_bytes: int = 10 * 1024 * 1024 * 1024
    keep_days: float = 90.0
    #: Files on their way to this node at the same time.
    uploads: int = 20
    #: Files that chargers fetch from this node at the same time.
    downloads: int = 500
    #: Silence in the midst of a file, and all the time that it may take to come, in seconds.
    idle_s: float = 30.0
    whole_s: float = 6 * 3600.0


class FileRoom:
    """Where files are. `url` is the `http:` or `https:` URL that chargers reach us by, None for the one that each has used."""

    def __init__(
        self,
        directory: Path,
        files: FileRecords,
        jobs: JobRecords,
        clock: Clock,
        run: Run,
        limits: Limits | None = None,
        url: str | None = None,
    ) -> None:
        self.directory = directory
        self.files = files
        self.jobs = jobs
        self.clock = clock
        self.run = run
        self.limits = limits or Limits()
        self.url = url
        #: What is being sent: digests of tokens, and numbers for operators.
        self.sending: set[str] = set()
        self.downloads = 0

    def take_place(self, who: str) -> None:
        """Somebody begins to send. Raises RoomBusy."""
        if who in self.sending or len(self.sending) >= self.limits.uploads:
            raise RoomBusy("something is being sent already; try again later")
        self.sending.add(who)

    def leave(self, who: str) -> None:
        """Nothing more is sent by it."""
        self.sending.discard(who)

    def path_of(self, file: StoredFile) -> Path:
        """Where the file is. Raises NoFile where it is not on this disk."""
        path = self.directory / file.stored
        if not path.is_file():
            log.error("file {id} is on record, but not in {directory}", id=file.file_id, directory=str(self.directory))
            raise NoFile(str(file.file_id))
        return path

    def new_name(self) -> str:
        """What a new file is called on disk."""
        return secrets.token_hex(NAME_BYTES)

    def new_token(self, expires_ms: int, file_id: int | None = None) -> tuple[str, NewToken]:
        """A path that a charger may send one file to, or fetch `file_id` from, and what is recorded of it."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        return f"{PREFIX}{token}/", NewToken(digest_of(token), expires_ms, file_id)

    def tidy(self) -> Deferred[None]:
        """Remove what is too old, what is too much, and what nobody knows. Fails with StorageUnavailable."""
        return Deferred.fromCoroutine(self._tidy())

    async def _tidy(self) -> None:
        now = now_ms(self.clock)
        before_ms = now - int(self.limits.keep_days * DAY_MS)
        for file in await self.files.files_tidied(before_ms, self.limits.most_bytes, now - DAY_MS):
            log.info("file {id} of {charger} is removed from the file room", id=file.file_id, charger=file.charger)
            await self.remove(file.stored)
        old: list[str] = await self.run(self._old_names)
        unknown = [name for name in old if name.endswith(PART)]
        unknown += await self.files.names_unknown([name for name in old if not name.endswith(PART)])
        for name in unknown:
            await self.remove(name)

    async def remove(self, stored: str) -> None:
        """Remove a file from the disk."""
        try:
            await self.run(self._unlink, stored)
        except OSError as error:
            log.warn("{name} stays in the file room: {reason}", name=stored, reason=str(error))

    def _unlink(self, stored: str) -> None:
        (self.directory / stored).unlink(missing_ok=True)

    def _old_names(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        oldest = time.time() - ORPHAN_S
        ours = [path for path in self.directory.iterdir() if _OURS.fullmatch(path.name)]
        return [path.name for path in ours if path.is_file() and path.stat().st_mtime < oldest]

    async def note(self, job_id: int, detail: str) -> None:
        """Tell a job's timeline what happened to its file."""
        try:
            await self.jobs.job_noted(job_id, now_ms(self.clock), detail)
        except StorageUnavailable as error:
            log.warn("job {id} was not told: {detail}: {reason}", id=job_id, detail=detail, reason=str(error))


def digest_of(token: str) -> str:
    """What is on record of a token: looked up by this, so that no comparison tells how much of a token was right."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_of(path: bytes) -> tuple[str, str]:
    """The token in the raw path of a request, and what is behind it: a name, perhaps none."""
    token, _, name = path.removeprefix(PREFIX.encode()).partition(b"/")
    return token.decode("latin-1"), name.rpartition(b"/")[2].decode("latin-1")


def shown_name(text: Any) -> str:
    """A name that somebody else has given, fit to be shown: no path, nothing that cannot be printed."""
    name = str(text).replace("\\", "/").rpartition("/")[2].strip()
    return "".join(character if character.isprintable() else "_" for character in name)[:MAX_NAME_LENGTH]
