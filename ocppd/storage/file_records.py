"""`FileRecords` over SQL. See `ocppd.storage.api.files` for what each method does."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from ocppd.storage import file_room
from ocppd.storage.access import Access
from ocppd.storage.records.files import FilePurpose, NewFile, Permit, StoredFile


class SqlFiles:
    """The file room's records in one SQL database."""

    def __init__(self, storage: Access) -> None:
        self._storage = storage

    def permit(self, digest: str) -> Deferred[Permit | None]:
        return self._storage.read(file_room.permit, digest)

    def file_uploaded(self, digest: str, file: NewFile) -> Deferred[StoredFile | None]:
        return self._storage.write(file_room.uploaded, digest, file)

    def file_added(self, file: NewFile) -> Deferred[StoredFile]:
        return self._storage.write(file_room.added, file)

    def read_file(self, file_id: int) -> Deferred[StoredFile | None]:
        return self._storage.read(file_room.read, file_id)

    def files_of_job(self, job_id: int) -> Deferred[list[StoredFile]]:
        return self._storage.read(file_room.of_job, job_id)

    def list_files(
        self, purpose: FilePurpose | None, charger: str | None, after: int | None, limit: int
    ) -> Deferred[list[StoredFile]]:
        return self._storage.read(file_room.list_files, purpose, charger, after, limit)

    def file_deleted(self, file_id: int, now_ms: int) -> Deferred[StoredFile | bool]:
        return self._storage.write(file_room.deleted, file_id, now_ms)

    def files_tidied(self, before_ms: int, most_bytes: int, tokens_before_ms: int) -> Deferred[list[StoredFile]]:
        return self._storage.write(file_room.tidied, before_ms, most_bytes, tokens_before_ms)

    def names_unknown(self, names: Sequence[str]) -> Deferred[list[str]]:
        return self._storage.read(file_room.names_unknown, tuple(names))

    def stored_bytes(self) -> Deferred[int]:
        return self._storage.read(file_room.stored_bytes)
