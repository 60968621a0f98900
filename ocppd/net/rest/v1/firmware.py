"""Firmware of a charger: UpdateFirmware, or SignedUpdateFirmware where it is signed. docs/http-api.md; REQUIREMENTS 2.4, V-1."""

from __future__ import annotations

from typing import Any, Final

from klein import Response
from msgspec import UNSET

from ocppd.central.commands import new_message_id
from ocppd.clock import now_ms
from ocppd.errors import InvalidPayload
from ocppd.net.rest.api import Api
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.signing import problems_of
from ocppd.net.rest.v1 import charger_jobs as common
from ocppd.net.rest.v1.job_bodies import FirmwareBody, given, read_firmware, wrong
from ocppd.storage.records.charger_jobs import FIRMWARE_KINDS, Job, JobKind, NewJob
from ocppd.storage.records.files import FilePurpose, StoredFile
from ocppd.v16.firmware import UpdateFirmwareRequest
from ocppd.v16.security import SignedUpdateFirmwareRequest
from ocppd.v16.timestamps import format_timestamp, parse_timestamp
from ocppd.v16.types import FirmwareType, Message

#: How long the job may take (appendix A).
LASTS_MS: Final = 24 * 3600 * 1000


async def post_firmware(api: Api, incoming: Incoming, name: str) -> Response:
    """`POST /chargers/{name}/firmware`."""
    api.chargers.settings(name)
    options = incoming.query(common.ASK_QUERY)
    body = read_firmware(incoming.json_object("firmware"))
    file = await _file(api, body)
    now = now_ms(api.clock)
    if body.signed is not UNSET:
        signed = body.signed
        wrongs = tuple(problems_of(signed.signing_certificate, signed.signature, now, file.sha256 if file else None))
        if wrongs:
            raise InvalidPayload("firmware", wrongs)
    retrieve_ms = now if body.retrieve_date is UNSET else parse_timestamp(body.retrieve_date)
    install_ms = None if body.install_date is UNSET else parse_timestamp(body.install_date)
    if file is None:
        place = common.Place(given(body.location))
    else:
        expires_ms = common.expiry_of(api, options, max(retrieve_ms, install_ms or 0), LASTS_MS)
        place = common.place_here(api, name, expires_ms, file.file_id)
        place = common.Place(f"{place.url}{_plain(file.name)}", place.token)
    wanted = NewJob(
        charger=name,
        kind=JobKind.FIRMWARE if body.signed is UNSET else JobKind.SIGNED_FIRMWARE,
        message_id=new_message_id(),
        created_ms=now,
        location=place.shown,
        request_id=given(body.request_id),
        file_id=None if file is None else file.file_id,
        retrieve_ms=retrieve_ms,
        install_ms=install_ms,
        retries=given(body.retries),
        retry_interval_s=given(body.retry_interval),
    )
    return await common.asked(api, options, wanted, place, lambda job: _request(job, body, place.url))


async def _file(api: Api, body: FirmwareBody) -> StoredFile | None:
    """The firmware that is here. Raises InvalidPayload where it is none, NoFile where it is on another disk."""
    if body.file is UNSET:
        return None
    room = common.room_of(api)
    file = await room.files.read_file(body.file)
    if file is None or file.purpose is not FilePurpose.FIRMWARE:
        raise InvalidPayload("firmware", (wrong("/file", "there is no firmware of that id"),))
    room.path_of(file)
    return file


def _plain(name: str) -> str:
    """The name of a firmware as the last part of its URL: some chargers look at how it ends."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "_" for each in name)[-80:]


def _request(job: Job, body: FirmwareBody, location: str) -> Message:
    retrieve: Any = format_timestamp(job.retrieve_ms or 0)
    if body.signed is UNSET:
        return UpdateFirmwareRequest(
            location=location, retrieve_date=retrieve, retries=body.retries, retry_interval=body.retry_interval
        )
    firmware = FirmwareType(
        location=location,
        retrieve_date_time=retrieve,
        signing_certificate=body.signed.signing_certificate,
        signature=body.signed.signature,
        install_date_time=body.install_date,
    )
    return SignedUpdateFirmwareRequest(
        request_id=job.request_id or 0, firmware=firmware, retries=body.retries, retry_interval=body.retry_interval
    )


async def list_firmware(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/firmware`."""
    return await common.listed(api, incoming, name, FIRMWARE_KINDS)


async def get_firmware(api: Api, incoming: Incoming, name: str, job_id: str) -> Response:
    """`GET /chargers/{name}/firmware/{id}`."""
    return await common.shown(api, incoming, name, job_id, FIRMWARE_KINDS)


async def delete_firmware(api: Api, incoming: Incoming, name: str, job_id: str) -> Response:
    """`DELETE /chargers/{name}/firmware/{id}`."""
    return await common.taken_back(api, incoming, name, job_id, FIRMWARE_KINDS)


ROUTES: Final = (
    Route("POST", "/api/v1/chargers/<name>/firmware", post_firmware),
    Route("GET", "/api/v1/chargers/<name>/firmware", list_firmware),
    Route("GET", "/api/v1/chargers/<name>/firmware/<job_id>", get_firmware),
    Route("DELETE", "/api/v1/chargers/<name>/firmware/<job_id>", delete_firmware),
)
