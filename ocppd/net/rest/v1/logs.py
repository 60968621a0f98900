"""Logs of a charger: GetDiagnostics, or GetLog. docs/http-api.md; REQUIREMENTS 2.4, V-10."""

from __future__ import annotations

from typing import Any, Final

from klein import Response
from msgspec import UNSET

from ocppd.central.commands import new_message_id
from ocppd.clock import now_ms
from ocppd.net.files.errors import NoFile
from ocppd.net.files.serving import Sent
from ocppd.net.rest.api import Api
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1 import charger_jobs as common
from ocppd.net.rest.v1.job_bodies import LogBody, LogKind, given, read_log
from ocppd.storage.records.charger_jobs import LOG_KINDS, Job, JobKind, NewJob
from ocppd.v16.firmware import GetDiagnosticsRequest
from ocppd.v16.security import GetLogRequest
from ocppd.v16.timestamps import parse_timestamp
from ocppd.v16.types import LogEnumType, LogParametersType, Message

LOG_TYPES: Final = {LogKind.DIAGNOSTICS_LOG: LogEnumType.DIAGNOSTICS_LOG, LogKind.SECURITY_LOG: LogEnumType.SECURITY_LOG}
#: How long the job may take (appendix A), its retries aside.
LASTS_MS: Final = 3600 * 1000


async def post_log(api: Api, incoming: Incoming, name: str) -> Response:
    """`POST /chargers/{name}/logs`."""
    api.chargers.settings(name)
    options = incoming.query(common.ASK_QUERY)
    body = read_log(incoming.json_object("log"))
    now = now_ms(api.clock)
    if body.location is UNSET:
        retries_ms = (given(body.retries) or 0) * (given(body.retry_interval) or 0) * 1000
        place = common.place_here(api, name, common.expiry_of(api, options, now, LASTS_MS + retries_ms))
    else:
        place = common.Place(body.location)
    log_type = LOG_TYPES.get(body.kind)
    wanted = NewJob(
        charger=name,
        kind=JobKind.DIAGNOSTICS if log_type is None else JobKind.LOG,
        log_type=None if log_type is None else str(log_type),
        message_id=new_message_id(),
        created_ms=now,
        location=place.shown,
        request_id=given(body.request_id),
        oldest_ms=_instant(body.oldest_timestamp),
        latest_ms=_instant(body.latest_timestamp),
        retries=given(body.retries),
        retry_interval_s=given(body.retry_interval),
    )
    return await common.asked(api, options, wanted, place, lambda job: _request(job, body, place.url))


def _instant(text: Any) -> int | None:
    return None if text is UNSET else parse_timestamp(text)


def _request(job: Job, body: LogBody, location: str) -> Message:
    log_type = LOG_TYPES.get(body.kind)
    if log_type is None:
        return GetDiagnosticsRequest(
            location=location,
            start_time=body.oldest_timestamp,
            stop_time=body.latest_timestamp,
            retries=body.retries,
            retry_interval=body.retry_interval,
        )
    log = LogParametersType(
        remote_location=location, oldest_timestamp=body.oldest_timestamp, latest_timestamp=body.latest_timestamp
    )
    return GetLogRequest(
        log=log, log_type=log_type, request_id=job.request_id or 0, retries=body.retries, retry_interval=body.retry_interval
    )


async def list_logs(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/logs`."""
    return await common.listed(api, incoming, name, LOG_KINDS)


async def get_log(api: Api, incoming: Incoming, name: str, job_id: str) -> Response:
    """`GET /chargers/{name}/logs/{id}`."""
    return await common.shown(api, incoming, name, job_id, LOG_KINDS)


async def get_content(api: Api, incoming: Incoming, name: str, job_id: str) -> Any:
    """`GET /chargers/{name}/logs/{id}/content`: the file that its charger has sent."""
    incoming.query()
    job, _ = await common.found(api, name, job_id, LOG_KINDS)
    room = common.room_of(api)
    files = await room.files.files_of_job(job.job_id)
    if not files:
        raise NoFile(f"of job {job.job_id}")
    return Sent(room.path_of(files[-1]), files[-1], api.clock)


async def delete_log(api: Api, incoming: Incoming, name: str, job_id: str) -> Response:
    """`DELETE /chargers/{name}/logs/{id}`."""
    return await common.taken_back(api, incoming, name, job_id, LOG_KINDS)


ROUTES: Final = (
    Route("POST", "/api/v1/chargers/<name>/logs", post_log),
    Route("GET", "/api/v1/chargers/<name>/logs", list_logs),
    Route("GET", "/api/v1/chargers/<name>/logs/<job_id>", get_log),
    Route("GET", "/api/v1/chargers/<name>/logs/<job_id>/content", get_content),
    Route("DELETE", "/api/v1/chargers/<name>/logs/<job_id>", delete_log),
)
