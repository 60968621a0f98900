"""Jobs over many chargers. docs/http-api.md."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from klein import Response
from twisted.internet.defer import Deferred

from ocppd.central.fleet_jobs import NoFleetJob, new_job
from ocppd.clock import now_ms
from ocppd.errors import InvalidPayload
from ocppd.net.rest.answers import json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import GREATEST_SEQUENCE, choice, encode_cursor, one_of, page, sequence
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.shapes import instant
from ocppd.net.rest.v1.commands import COMMANDS
from ocppd.net.rest.v1.fleet_job_bodies import SUBJECT, Wish, read_wish, wrong
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records.fleet_jobs import FleetJob, FleetJobFilter, FleetJobState, FleetRow, FleetRowState

PATH: Final = "/api/v1/jobs"
LIST_QUERY: Final = {
    **page(sequence),
    "state": choice(FleetJobState),
    "action": one_of({name: name for name in COMMANDS}),
}
ROWS_QUERY: Final = {**page(sequence), "state": choice(FleetRowState)}


async def create(api: Api, incoming: Incoming) -> Response:
    """`POST /jobs`: 202 with the job, which begins at once. What is wrong with it is wrong before anybody is asked."""
    incoming.query()
    wish = read_wish(incoming.json_object(SUBJECT), api.chargers.knows)
    new = new_job(
        wish.action,
        wish.request,
        json.dumps(wish.selected),
        await _chosen(api, wish),
        rate_tenths=wish.rate_tenths,
        canary=wish.canary,
        offline=wish.offline,
        ttl_s=wish.ttl_s,
        created_ms=now_ms(api.clock),
    )
    made = await shielded(Deferred.fromCoroutine(api.fleet_jobs.create(new)))
    return json_answer(job(made), 202, {"Location": f"{PATH}/{made.job_id}"})


async def _chosen(api: Api, wish: Wish) -> list[str]:
    """The chargers that are meant: in the order in which they were named, else in that of their names."""
    names = api.chargers.names() if wish.names is None else list(wish.names)
    if wish.tags:
        names = [name for name in names if wish.tags <= set(api.chargers.settings(name).tags)]
    if wish.product is not None:
        told = set(await api.storage.fleet_jobs.matching(wish.product))
        names = [name for name in names if name in told]
    if not names:
        raise InvalidPayload(SUBJECT, (wrong("/select", "no charger is like that"),))
    return names


async def list_jobs(api: Api, incoming: Incoming) -> Response:
    """`GET /jobs`: newest first."""
    wanted = incoming.page(LIST_QUERY)
    rows = await api.storage.fleet_jobs.list_jobs(FleetJobFilter(**wanted.filters), wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, job, lambda row: row.job_id)


async def get_job(api: Api, incoming: Incoming, job_id: str) -> Response:
    """`GET /jobs/{id}`: the job, and a page of its chargers."""
    wanted = incoming.page(ROWS_QUERY)
    found = await api.fleet_jobs.read(_number(job_id))
    state = wanted.filters.get("state")
    rows = await api.storage.fleet_jobs.list_rows(found.job_id, state, wanted.after, wanted.limit + 1)
    shown = rows[: wanted.limit]
    following = encode_cursor(str(shown[-1].place)) if len(rows) > wanted.limit else None
    return json_answer({**job(found), "items": [_row(each) for each in shown], "next": following})


async def pause(api: Api, incoming: Incoming, job_id: str) -> Response:
    """`POST /jobs/{id}/pause`: nobody more is asked until it is resumed."""
    incoming.query()
    incoming.refuse_body()
    return json_answer(job(await shielded(Deferred.fromCoroutine(api.fleet_jobs.pause(_number(job_id))))))


async def resume(api: Api, incoming: Incoming, job_id: str) -> Response:
    """`POST /jobs/{id}/resume`: go on, where canaries failed without them."""
    incoming.query()
    incoming.refuse_body()
    return json_answer(job(await shielded(Deferred.fromCoroutine(api.fleet_jobs.resume(_number(job_id))))))


async def stop(api: Api, incoming: Incoming, job_id: str) -> Response:
    """`DELETE /jobs/{id}`: nobody more is asked, and what waits is taken back. 202: what was sent has yet to end."""
    incoming.query()
    return json_answer(job(await shielded(Deferred.fromCoroutine(api.fleet_jobs.stop(_number(job_id))))), 202)


def _number(text: str) -> int:
    """Raises NoFleetJob for what cannot be the id of one."""
    try:
        number = sequence(text)
    except ValueError:
        raise NoFleetJob(text) from None
    if number > GREATEST_SEQUENCE:
        raise NoFleetJob(text)
    return number


def job(record: FleetJob) -> dict[str, Any]:
    """A job, without its chargers. What does not apply is left out."""
    counts = {str(state): record.counts.get(state, 0) for state in FleetRowState}
    offline = None if record.offline is None else "queue" if record.offline else "fail"
    shown = {
        "id": record.job_id,
        "action": record.action,
        "payload": msgspec.Raw(record.payload.encode()),
        "select": json.loads(record.selected) or None,
        "rate": record.rate_tenths / 10,
        "canary": record.canary or None,
        "offline": offline,
        "ttl": record.ttl_s,
        "state": record.state,
        "reason": record.reason,
        "createdAt": instant(record.created_ms),
        "endedAt": None if record.ended_ms is None else instant(record.ended_ms),
        "counts": {"total": sum(counts.values()), **counts},
    }
    return {name: value for name, value in shown.items() if value is not None}


def _row(record: FleetRow) -> dict[str, Any]:
    """A job at one charger."""
    shown = {
        "charger": record.charger,
        "state": record.state,
        "messageId": None if record.message_state is None else record.message_id,
        "messageState": record.message_state,
        "outcome": record.outcome,
        "detail": record.detail,
        "endedAt": None if record.ended_ms is None else instant(record.ended_ms),
    }
    return {name: value for name, value in shown.items() if value is not None}


ROUTES: Final = (
    Route("GET", PATH, list_jobs),
    Route("POST", PATH, create),
    Route("GET", f"{PATH}/<job_id>", get_job),
    Route("DELETE", f"{PATH}/<job_id>", stop),
    Route("POST", f"{PATH}/<job_id>/pause", pause),
    Route("POST", f"{PATH}/<job_id>/resume", resume),
)
