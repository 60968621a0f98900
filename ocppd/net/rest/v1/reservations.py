"""Reservations. docs/http-api.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from klein import Response
from msgspec import UNSET, Meta, UnsetType
from twisted.internet.defer import Deferred

from ocppd.central.authorization import id_tag_key
from ocppd.central.reservations import Wish
from ocppd.clock import now_ms
from ocppd.errors import ErrorCode, InvalidPayload, NotFound, StorageUnavailable, Violation
from ocppd.net.rest.answers import json_answer, page_answer, problem_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import GREATEST_INTEGER, boolean, choice, integer, page, seconds, sequence, text
from ocppd.net.rest.problems import problem_of_end
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.shapes import instant
from ocppd.net.rest.v1.commands import MAX_WAIT_S, UNFINISHED, answered
from ocppd.net.rest.waiting import shielded
from ocppd.storage.records import MessageRecord, MessageState
from ocppd.storage.records.reservations import Reservation, ReservationFilter, ReservationState
from ocppd.v16.timestamps import LAST_SENDABLE_MS, parse_timestamp
from ocppd.v16.types import INT64_MAX, INT64_MIN, ConnectorId, DateTime, OptionalIdToken
from ocppd.v16.validation import check

SUBJECT: Final = "reservation"
PATH: Final = "/api/v1/reservations"
POST_QUERY: Final = {"wait": seconds(0, MAX_WAIT_S), "force": boolean}
DELETE_QUERY: Final = {"wait": seconds(0, MAX_WAIT_S)}
LIST_QUERY: Final = {
    **page(sequence),
    "charger": text,
    "connectorId": integer(0, GREATEST_INTEGER),
    "idTag": text,
    "reservationId": integer(0, GREATEST_INTEGER),
    "state": choice(ReservationState),
}
#: What a query parameter is called in `ReservationFilter`.
FILTERS: Final = {
    "charger": "charger",
    "connectorId": "connector_id",
    "idTag": "id_tag_key",
    "reservationId": "reservation_id",
    "state": "state",
}


class NoReservation(NotFound):
    """No reservation has such an id."""

    what = "reservation"


class ReservationBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to be reserved."""

    charger: Annotated[str, Meta(min_length=1, max_length=255)]
    connector_id: ConnectorId
    id_tag: OptionalIdToken
    expiry_date: DateTime
    parent_id_tag: OptionalIdToken | UnsetType = UNSET
    reservation_id: Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX, extra={"minimum": 1})] | UnsetType = UNSET


def read_wish(value: dict[str, Any], now: int) -> Wish:
    """What a body asks for. Raises InvalidPayload with all that is wrong."""
    violations = list(check(ReservationBody, value))
    told = {violation.pointer for violation in violations}
    violations += [each for each in _beyond(value, now) if each.pointer not in told]
    if violations:
        raise InvalidPayload(SUBJECT, tuple(violations))
    body = msgspec.convert(value, ReservationBody)
    return Wish(
        charger=body.charger,
        connector_id=body.connector_id,
        id_tag=body.id_tag,
        expiry=body.expiry_date,
        parent=body.parent_id_tag or None,
        reservation_id=None if body.reservation_id is UNSET else body.reservation_id,
    )


def _beyond(value: dict[str, Any], now: int) -> Iterator[Violation]:
    """What is wrong with members that are right by themselves."""
    wrong = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
    for name in ("idTag", "parentIdTag"):
        tag = value.get(name)
        if isinstance(tag, str) and not tag.isprintable():
            yield Violation(wrong, f"/{name}", "the tag has characters that cannot be printed")
    expiry = value.get("expiryDate")
    try:
        if isinstance(expiry, str) and min(parse_timestamp(expiry), LAST_SENDABLE_MS) <= now:
            yield Violation(wrong, "/expiryDate", "not in the future")
    except ValueError:
        return  # told of already


async def reserve(api: Api, incoming: Incoming) -> Response:
    """`POST /reservations`: a ReserveNow. 202 with the reservation, 200 where its charger has answered in time."""
    options = incoming.query(POST_QUERY)
    wish = read_wish(incoming.json_object(SUBJECT), now_ms(api.clock))
    reserving = api.reservations.reserve(wish, force=options.get("force", False))
    record = await shielded(Deferred.fromCoroutine(reserving))
    headers = {"Location": f"{PATH}/{record.message_id}"}
    found = None
    try:
        record = await api.commands.wait(record, options.get("wait", 0))
        if record.state in UNFINISHED or record.state is MessageState.COMPLETED:
            found = await api.storage.reservations.read(record.message_id)
    except StorageUnavailable:
        pass  # what became of it cannot be read, but it was accepted
    if found is not None:
        return json_answer(reservation(found), 202 if record.state in UNFINISHED else 200, headers)
    if record.state in UNFINISHED:
        return json_answer(_accepted(record), 202, headers)
    return problem_answer(problem_of_end(record), headers)


def _accepted(record: MessageRecord) -> dict[str, Any]:
    """All there is to say of one that cannot be read at the moment."""
    return {"id": record.message_id, "charger": record.charger, "state": ReservationState.REQUESTED}


async def list_reservations(api: Api, incoming: Incoming) -> Response:
    """`GET /reservations`: newest first."""
    wanted = incoming.page(LIST_QUERY)
    filters = {FILTERS[name]: value for name, value in wanted.filters.items()}
    if "id_tag_key" in filters:
        filters["id_tag_key"] = id_tag_key(filters["id_tag_key"])
    rows = await api.storage.reservations.list(ReservationFilter(**filters), wanted.after, wanted.limit + 1)
    return page_answer(rows, wanted.limit, reservation, lambda row: row.sequence)


async def get_reservation(api: Api, incoming: Incoming, reservation_id: str) -> Response:
    """`GET /reservations/{id}`."""
    incoming.query()
    return json_answer(reservation(await _find(api, reservation_id)))


async def cancel(api: Api, incoming: Incoming, reservation_id: str) -> Response:
    """`DELETE /reservations/{id}`: a CancelReservation. The answer is that of the command."""
    options = incoming.query(DELETE_QUERY)
    found = await _find(api, reservation_id)
    cancelling = Deferred.fromCoroutine(api.reservations.cancel(found))
    return await answered(api, cancelling, options.get("wait", 0))


async def _find(api: Api, reservation_id: str) -> Reservation:
    """Raises NoReservation."""
    found = await api.storage.reservations.read(reservation_id)
    if found is None:
        raise NoReservation(reservation_id)
    return found


def reservation(record: Reservation) -> dict[str, Any]:
    """A reservation. What does not apply is left out."""
    shown = {
        "id": record.message_id,
        "charger": record.charger,
        "reservationId": record.reservation_id,
        "connectorId": record.connector_id,
        "idTag": record.id_tag,
        "parentIdTag": record.parent,
        "expiryDate": instant(record.expiry_ms),
        "state": record.state,
        "status": record.status,
        "reason": record.reason,
        "flags": list(record.flags) or None,
        "createdAt": instant(record.created_ms),
        "endedAt": None if record.ended_ms is None else instant(record.ended_ms),
        "transactionId": record.transaction_id,
    }
    return {name: value for name, value in shown.items() if value is not None}


ROUTES: Final = (
    Route("GET", PATH, list_reservations),
    Route("POST", PATH, reserve),
    Route("GET", f"{PATH}/<reservation_id>", get_reservation),
    Route("DELETE", f"{PATH}/<reservation_id>", cancel),
)
