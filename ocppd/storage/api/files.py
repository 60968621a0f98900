"""The file room, as the seam of the records has it: what files there are, and who may send or fetch one. Not their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from ocppd.storage.records.files import FilePurpose, NewFile, Permit, StoredFile


class FileRecords(Protocol):
    """Files on record. A digest is the SHA-256 of a token, which nothing here ever sees."""

    def permit(self, digest: str) -> Deferred[Permit | None]:
        """What a token is good for, used or expired ones included."""

    def file_uploaded(self, digest: str, file: NewFile) -> Deferred[StoredFile | None]:
        """A charger's file is on disk; None where another one was sooner with the same token."""

    def file_added(self, file: NewFile) -> Deferred[StoredFile]:
        """An operator's firmware is on disk."""

    def read_file(self, file_id: int) -> Deferred[StoredFile | None]: ...

    def files_of_job(self, job_id: int) -> Deferred[list[StoredFile]]:
        """What a charger has sent for a job."""

    def list_files(
        self, purpose: FilePurpose | None, charger: str | None, after: int | None, limit: int
    ) -> Deferred[list[StoredFile]]:
        """Newest first, below the id `after`."""

    def file_deleted(self, file_id: int, now_ms: int) -> Deferred[StoredFile | bool]:
        """Forget a file; False where there is none, True where a job under way may fetch it."""

    def files_tidied(self, before_ms: int, most_bytes: int, tokens_before_ms: int) -> Deferred[list[StoredFile]]:
        """Forget uploads from before that instant, and the oldest ones beyond so many bytes; fires with them."""

    def names_unknown(self, names: Sequence[str]) -> Deferred[list[str]]:
        """Which of these names on disk are no file's."""

    def stored_bytes(self) -> Deferred[int]:
        """What all files take together."""
