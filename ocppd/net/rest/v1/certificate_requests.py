"""Requests of chargers for certificates, and what operators say to them. docs/http-api.md; REQUIREMENTS Q-1 to Q-3."""

from __future__ import annotations

from typing import Any, Final

from klein import Response
from msgspec import UNSET
from twisted.internet.defer import Deferred, maybeDeferred

from ocppd.central.certificate_desk import NO_AUTHORITY
from ocppd.clock import now_ms
from ocppd.errors import Conflict, InvalidPayload, NotFound
from ocppd.net.rest.answers import json_answer, page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import GREATEST_SEQUENCE, choice, integer, page, sequence, text
from ocppd.net.rest.problems import BadRequest
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.certificate_bodies import ApprovalBody, ReasonBody, read_body, request, wrong
from ocppd.net.rest.v1.commands import answered
from ocppd.net.rest.v1.transactions import WAIT_QUERY
from ocppd.net.rest.waiting import shielded
from ocppd.pki.authority import Issued, read_chain
from ocppd.pki.reading import Unreadable
from ocppd.storage.records.certificates import RequestFilter, RequestRecord, RequestState
from ocppd.v16.security import ExtendedTriggerMessageRequest
from ocppd.v16.types import MessageTriggerEnumType

REQUESTS_QUERY: Final = {**page(sequence), "charger": text, "state": choice(RequestState)}


class NoRequest(NotFound):
    """No charger has made such a request."""

    what = "request for a certificate"


async def list_requests(api: Api, incoming: Incoming) -> Response:
    """`GET /certificate-requests`: newest first."""
    wanted = incoming.page(REQUESTS_QUERY)
    rows = await api.storage.certificates.list_certificate_requests(
        RequestFilter(**wanted.filters), wanted.after, wanted.limit + 1
    )
    return page_answer(rows, wanted.limit, request, lambda row: row.request_id)


async def get_request(api: Api, incoming: Incoming, request_id: str) -> Response:
    """`GET /certificate-requests/{id}`: with the request itself, and what it says."""
    incoming.query()
    return json_answer(await _whole(api, await _find(api, request_id)))


async def _whole(api: Api, found: RequestRecord) -> dict[str, Any]:
    shape = {**request(found), "csr": found.csr}
    try:
        facts = await api.certificates.read(found.csr)
    except Unreadable:
        return shape
    names = {"commonNames": list(facts.common_names), "organizations": list(facts.organizations)}
    return {**shape, **names, "signature": facts.signature}


async def _find(api: Api, request_id: str) -> RequestRecord:
    """Raises NoRequest."""
    try:
        number = integer(0, GREATEST_SEQUENCE)(request_id)
    except ValueError:
        raise NoRequest(request_id) from None
    found = await api.storage.certificates.read_certificate_request(number)
    if found is None:
        raise NoRequest(request_id)
    return found


async def approve(api: Api, incoming: Incoming, request_id: str) -> Response:
    """`POST /certificate-requests/{id}/approve`: sign it here, or take the chain that another authority has made of it.

    One that has failed is tried again.
    """
    incoming.query()
    body = read_body(ApprovalBody, "Approve", incoming.json_object("Approve"))
    found = await _find(api, request_id)
    issued = None
    if body.certificate_chain is not UNSET:
        issued = await _chain(api, str(body.certificate_chain), found)
    elif not api.certificates.can_sign and found.chain is None:
        raise Conflict(f"{NO_AUTHORITY}; or give the certificateChain that yours has made")
    reason = "approved by an operator" + (", with a certificate of another authority" if issued else "")
    return await _decided(api, found, RequestState.APPROVED, reason, issued)


async def _chain(api: Api, chain: str, found: RequestRecord) -> Issued:
    """Raises InvalidPayload where it is not the chain for this request."""
    try:
        issued: Issued = await api.certificates.run(read_chain, chain, found.csr, now_ms(api.clock))
    except Unreadable as error:
        raise InvalidPayload("Approve", (wrong("/certificateChain", f"the chain {error}"),)) from None
    return issued


async def refuse(api: Api, incoming: Incoming, request_id: str) -> Response:
    """`POST /certificate-requests/{id}/refuse`: it is not signed. The charger hears nothing of it; OCPP has no word for that."""
    incoming.query()
    body = read_body(ReasonBody, "Refuse", incoming.json_object("Refuse"))
    found = await _find(api, request_id)
    return await _decided(api, found, RequestState.REFUSED, body.reason, None)


async def _decided(api: Api, found: RequestRecord, state: RequestState, reason: str, issued: Issued | None) -> Response:
    certificate = None if issued is None else api.certificates.record_of(issued, found)
    decide = api.storage.certificates.decide_certificate_request
    work = Deferred.fromCoroutine(_decide(decide(found.request_id, state, reason, certificate, now_ms(api.clock)), api))
    record, was = await shielded(work)
    if record is None:
        raise NoRequest(str(found.request_id))
    if not was:
        raise Conflict(f"the request is {record.state.value}")
    return json_answer(await _whole(api, record))


async def _decide(decision: Deferred[tuple[RequestRecord | None, bool]], api: Api) -> tuple[RequestRecord | None, bool]:
    record, was = await decision
    if was:
        api.certificates.work()
    return record, was


async def ask_for_request(api: Api, incoming: Incoming, name: str) -> Response:
    """`POST /chargers/{name}/certificate-requests`: ask the charger for one. The answer is that of the command.

    Without `connectorId` (Q-1): the certificate is that of the whole charger.
    """
    options = incoming.query(WAIT_QUERY)
    api.chargers.settings(name)
    if incoming.json_object("ExtendedTriggerMessage"):
        raise BadRequest("this path takes no body")
    message = ExtendedTriggerMessageRequest(requested_message=MessageTriggerEnumType.SIGN_CHARGE_POINT_CERTIFICATE)
    return await answered(api, maybeDeferred(api.commands.submit, name, message), options.get("wait", 0))


ROUTES: Final = (
    Route("GET", "/api/v1/certificate-requests", list_requests),
    Route("GET", "/api/v1/certificate-requests/<request_id>", get_request),
    Route("POST", "/api/v1/certificate-requests/<request_id>/approve", approve),
    Route("POST", "/api/v1/certificate-requests/<request_id>/refuse", refuse),
    Route("POST", "/api/v1/chargers/<name>/certificate-requests", ask_for_request),
)
