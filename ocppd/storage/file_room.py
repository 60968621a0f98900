"""Files of the file room on record, and the tokens they are sent and fetched with. Functions over a running transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Text, bindparam, delete, func, insert, null, select, update

from ocppd.storage import charger_job_rows as rows
from ocppd.storage import events
from ocppd.storage.records import EventKind
from ocppd.storage.records.charger_jobs import EntryKind
from ocppd.storage.records.files import FilePurpose, NewFile, NewToken, Permit, StoredFile
from ocppd.storage.schema import file_tokens, files
from ocppd.storage.spellings import one_of
from ocppd.storage.unit import Parameters, Statement, Unit, values_of

_RECORD: Final = tuple(field.name for field in fields(StoredFile))
_COLUMNS: Final = tuple(files.c[name] for name in _RECORD)

_GIVEN = Statement(values_of(insert(file_tokens), "digest", "job_id", "charger", "file_id", "expires_ms"))
_TAKEN_BACK = Statement(delete(file_tokens).where(file_tokens.c.job_id == bindparam("the_job")))
_FORGOTTEN = Statement(delete(file_tokens).where(file_tokens.c.expires_ms < bindparam("before_ms")))
_PERMIT = Statement(
    select(*(file_tokens.c[field.name] for field in fields(Permit))).where(file_tokens.c.digest == bindparam("the_digest"))
)
_USED = Statement(
    update(file_tokens)
    .where(file_tokens.c.digest == bindparam("the_digest"), file_tokens.c.used_ms.is_(null()))
    .values(used_ms=bindparam("now_ms"))
)
_KEPT = Statement(values_of(insert(files), *(name for name in _RECORD if name != "file_id")).returning(files.c.file_id))
_READ = Statement(select(*_COLUMNS).where(files.c.file_id == bindparam("the_file")))
_OF_JOB = Statement(select(*_COLUMNS).where(files.c.job_id == bindparam("the_job")).order_by(files.c.file_id))
_OLD = Statement(
    select(*_COLUMNS).where(files.c.purpose == bindparam("the_purpose"), files.c.created_ms < bindparam("before_ms"))
)
_DELETED = Statement(delete(files).where(files.c.file_id == bindparam("the_file")))


def token_given(unit: Unit, token: NewToken, job_id: int, charger: str) -> None:
    """A charger may send or fetch a file for this job."""
    row: Parameters = {"digest": token.digest, "job_id": job_id, "charger": charger, "file_id": token.file_id}
    unit.send(_GIVEN, {**row, "expires_ms": token.expires_ms})


def tokens_taken_back(unit: Unit, job_id: int) -> None:
    """The job has come to nothing."""
    unit.send(_TAKEN_BACK, {"the_job": job_id})


def permit(unit: Unit, digest: str) -> Permit | None:
    """See `FileRecords.permit`."""
    row = unit.one(_PERMIT, {"the_digest": digest})
    return None if row is None else Permit(*row)


def uploaded(unit: Unit, digest: str, file: NewFile) -> StoredFile | None:
    """See `FileRecords.file_uploaded`."""
    found = permit(unit, digest)
    if found is None or unit.run(_USED, {"the_digest": digest, "now_ms": file.created_ms}) != 1:
        return None
    kept = _keep(unit, file, found.charger, found.job_id)
    detail = f"{file.name}, {file.size} bytes"
    rows.enter(unit, found.job_id, file.created_ms, EntryKind.FILE, status="received", detail=detail)
    told = {"jobId": str(found.job_id), "fileId": str(kept.file_id), "name": file.name, "size": str(file.size)}
    events.happened(unit, EventKind.FILE_RECEIVED, found.charger, file.created_ms, **told)
    return kept


def added(unit: Unit, file: NewFile) -> StoredFile:
    """See `FileRecords.file_added`."""
    return _keep(unit, file, None, None)


def _keep(unit: Unit, file: NewFile, charger: str | None, job_id: int | None) -> StoredFile:
    members: dict[str, Any] = {name: getattr(file, name) for name in ("name", "stored", "size", "sha256", "created_ms")}
    row = {**members, "purpose": file.purpose.value, "charger": charger, "job_id": job_id}
    file_id = int(unit.one(_KEPT, row)[0])
    return StoredFile(file_id=file_id, purpose=file.purpose, charger=charger, job_id=job_id, **members)


def read(unit: Unit, file_id: int) -> StoredFile | None:
    """See `FileRecords.read_file`."""
    row = unit.one(_READ, {"the_file": file_id})
    return None if row is None else _file(row)


def of_job(unit: Unit, job_id: int) -> list[StoredFile]:
    """See `FileRecords.files_of_job`."""
    return [_file(row) for row in unit.all(_OF_JOB, {"the_job": job_id})]


def list_files(unit: Unit, purpose: FilePurpose | None, charger: str | None, after: int | None, limit: int) -> list[StoredFile]:
    """See `FileRecords.list_files`."""
    query = select(*_COLUMNS).order_by(files.c.file_id.desc()).limit(limit)
    if purpose is not None:
        query = query.where(files.c.purpose == purpose.value)
    if charger is not None:
        query = query.where(files.c.charger == charger)
    if after is not None:
        query = query.where(files.c.file_id < after)
    return [_file(row) for row in unit.connection.execute(query)]


def deleted(unit: Unit, file_id: int, now_ms: int) -> StoredFile | bool:
    """See `FileRecords.file_deleted`."""
    file = read(unit, file_id)
    if file is None:
        return False
    if file.purpose is FilePurpose.FIRMWARE and rows.is_wanted(unit, file_id, now_ms):
        return True
    unit.send(_DELETED, {"the_file": file_id})
    return file


def tidied(unit: Unit, before_ms: int, most_bytes: int, tokens_before_ms: int) -> list[StoredFile]:
    """See `FileRecords.files_tidied`."""
    unit.send(_FORGOTTEN, {"before_ms": tokens_before_ms})
    gone = [_file(row) for row in unit.all(_OLD, {"the_purpose": FilePurpose.UPLOAD.value, "before_ms": before_ms})]
    there = {file.file_id for file in gone}
    excess = stored_bytes(unit) - sum(file.size for file in gone) - most_bytes
    if excess > 0:
        query = select(*_COLUMNS).where(files.c.purpose == FilePurpose.UPLOAD.value).order_by(files.c.created_ms)
        for file in map(_file, unit.connection.execute(query).all()):
            if excess > 0 and file.file_id not in there:
                gone.append(file)
                excess -= file.size
    for file in gone:
        unit.send(_DELETED, {"the_file": file.file_id})
    return gone


def names_unknown(unit: Unit, names: Sequence[str]) -> list[str]:
    """See `FileRecords.names_unknown`."""
    given = bindparam("the_names", json.dumps(tuple(names)), type_=Text())
    known = set(unit.connection.execute(select(files.c.stored).where(one_of(files.c.stored, given))).scalars())
    return [name for name in names if name not in known]


def stored_bytes(unit: Unit) -> int:
    """See `FileRecords.stored_bytes`."""
    return int(unit.connection.execute(select(func.coalesce(func.sum(files.c.size), 0))).scalar_one())


def _file(row: Any) -> StoredFile:
    members = dict(zip(_RECORD, row, strict=True))
    return StoredFile(**{**members, "purpose": FilePurpose(members["purpose"])})
