"""Files of the file room: firmware that operators put there, and what chargers have sent. docs/http-api.md."""

from __future__ import annotations

from typing import Any, Final

from klein import Response
from twisted.internet.defer import Deferred

from ocppd.clock import now_ms
from ocppd.errors import Conflict
from ocppd.net.files.errors import NoFile
from ocppd.net.files.room import MAX_NAME_LENGTH
from ocppd.net.files.serving import Sent
from ocppd.net.rest.answers import empty_answer, json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.body import FILE_TYPE, FILES_PATH
from ocppd.net.rest.parameters import choice, integer, page, sequence, text
from ocppd.net.rest.problems import NotJsonType
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.charger_jobs import room_of
from ocppd.net.rest.v1.job_shapes import stored_file
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records.files import FilePurpose, StoredFile


def file_name(value: str) -> str:
    """What a firmware is called: no path, and fit to be shown."""
    if not 1 <= len(value) <= MAX_NAME_LENGTH or not value.isprintable() or "/" in value or "\\" in value:
        raise ValueError(f"expected a file name of 1 to {MAX_NAME_LENGTH} printable characters, without slashes")
    return value


NAME_QUERY: Final = {"name": file_name}
FILES_QUERY: Final = {**page(sequence), "purpose": choice(FilePurpose), "charger": text}


async def post_file(api: Api, incoming: Incoming) -> Response:
    """`POST /files?name=…`: a firmware. Its body went to disk as it came."""
    room_of(api)
    name = incoming.query(NAME_QUERY).get("name")
    upload = incoming.request.upload
    if upload is None:
        raise NotJsonType((FILE_TYPE,))
    if name is not None:
        upload.rename(name)
    file = await shielded(Deferred.fromCoroutine(upload.stored()))
    return json_answer(stored_file(file), 201, {"Location": f"{FILES_PATH}/{file.file_id}"})


async def list_files(api: Api, incoming: Incoming) -> Response:
    """`GET /files`: newest first."""
    wanted = incoming.page(FILES_QUERY)
    purpose, charger = wanted.filters.get("purpose"), wanted.filters.get("charger")
    rows = await room_of(api).files.list_files(purpose, charger, wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, stored_file, lambda file: file.file_id)


async def _found(api: Api, incoming: Incoming, file_id: str) -> StoredFile:
    incoming.query()
    room = room_of(api)
    try:
        file = await room.files.read_file(integer(1, 2**63 - 1)(file_id))
    except ValueError:
        file = None
    if file is None:
        raise NoFile(file_id)
    return file


async def get_file(api: Api, incoming: Incoming, file_id: str) -> Response:
    """`GET /files/{id}`."""
    return json_answer(stored_file(await _found(api, incoming, file_id)))


async def get_content(api: Api, incoming: Incoming, file_id: str) -> Any:
    """`GET /files/{id}/content`."""
    file = await _found(api, incoming, file_id)
    return Sent(room_of(api).path_of(file), file, api.clock)


async def delete_file(api: Api, incoming: Incoming, file_id: str) -> Response:
    """`DELETE /files/{id}`: 409 where a job that has not ended may fetch it."""
    file = await _found(api, incoming, file_id)
    await shielded(Deferred.fromCoroutine(_delete(api, file)))
    return empty_answer()


async def _delete(api: Api, file: StoredFile) -> None:
    room = room_of(api)
    gone = await room.files.file_deleted(file.file_id, now_ms(api.clock))
    if gone is True:
        raise Conflict(f"file {file.file_id} is what a job has been given that has not ended")
    if gone is False:
        raise NoFile(str(file.file_id))
    await room.remove(file.stored)


ROUTES: Final = (
    Route("POST", FILES_PATH, post_file),
    Route("GET", FILES_PATH, list_files),
    Route("GET", f"{FILES_PATH}/<file_id>", get_file),
    Route("GET", f"{FILES_PATH}/<file_id>/content", get_content),
    Route("DELETE", f"{FILES_PATH}/<file_id>", delete_file),
)
