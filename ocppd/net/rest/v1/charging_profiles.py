"""The charging profiles of a charger: what is installed, sent and cleared. docs/http-api.md; REQUIREMENTS K-1 to K-8."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from klein import Response
from twisted.internet.defer import Deferred, maybeDeferred

from ocppd.central.charging.limits import beyond
from ocppd.central.charging.sending import Wish
from ocppd.errors import InvalidPayload, UnknownTransaction
from ocppd.net.rest.answers import page_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import GREATEST_INTEGER, choice, integer, page, sequence
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1 import charging_shapes
from ocppd.net.rest.v1.charging_bodies import APPLYING, Application, as_request, of_request, read_application, wrong
from ocppd.net.rest.v1.commands import COMMAND_QUERY, answered
from ocppd.storage.records.charging import Mark, Template
from ocppd.v16.codec import build
from ocppd.v16.core import RemoteStartTransactionRequest
from ocppd.v16.smart_charging import ClearChargingProfileRequest, SetChargingProfileRequest
from ocppd.v16.types import ChargingProfile, ChargingProfilePurposeType

#: The parameters that name profiles, and the members of ClearChargingProfile that they are.
NAMING: Final = {
    "id": "id",
    "connectorId": "connector_id",
    "purpose": "charging_profile_purpose",
    "stackLevel": "stack_level",
}
CLEAR_QUERY: Final = {
    **COMMAND_QUERY,
    "id": integer(0, GREATEST_INTEGER),
    "connectorId": integer(0, GREATEST_INTEGER),
    "purpose": choice(ChargingProfilePurposeType),
    "stackLevel": integer(0, GREATEST_INTEGER),
}
LIST_QUERY: Final = {
    **page(sequence),
    "connectorId": integer(0, GREATEST_INTEGER),
    "purpose": choice(ChargingProfilePurposeType),
    "mark": choice(Mark),
}
FILTERS: Final = {"connectorId": "connector_id", "purpose": "purpose", "mark": "mark"}


async def list_profiles(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/charging-profiles`: what is known to be there, oldest first."""
    api.chargers.settings(name)
    wanted = incoming.page(LIST_QUERY)
    rows = [
        row
        for row in await api.storage.charging.installed_profiles(name)
        if (wanted.after is None or row.row_id > wanted.after)
        and all(getattr(row, FILTERS[key]) == value for key, value in wanted.filters.items())
    ]
    return page_answer(rows, wanted.limit, charging_shapes.installed, lambda row: row.row_id)


async def send_profile(api: Api, incoming: Incoming, name: str) -> Response:
    """`POST /chargers/{name}/charging-profiles`: a template or a profile as SetChargingProfile. The answer is the command's."""
    api.chargers.settings(name)
    options = incoming.query(COMMAND_QUERY)
    application = read_application(incoming.json_object(APPLYING))
    wish, inside = await _wish(api, name, application)
    sending = api.charging.send(wish, offline=options.get("offline"), ttl_s=options.get("ttl"))
    try:
        return await answered(api, Deferred.fromCoroutine(sending), options.get("wait", 0))
    except InvalidPayload as error:
        raise _told(error, application, inside) from None


async def _wish(api: Api, name: str, application: Application) -> tuple[Wish, bool]:
    """What is to be sent, and whether its transaction is named inside the profile. Raises InvalidPayload."""
    body = application.body
    template = await _template(api, application)
    profile: dict[str, Any] = (
        dict(application.profile or {}) if template is None else charging_shapes.template(template)["profile"]
    )
    inside = "transactionId" in profile
    connector_id = await _connector(api, application, profile)
    try:
        request: SetChargingProfileRequest = as_request(profile, connector_id, application.transaction_id)
    except InvalidPayload as error:
        raise _told(error, application, inside) from None
    fall_back = body.fall_back if isinstance(body.fall_back, bool) else template is not None and template.fallback
    is_of_transaction = request.cs_charging_profiles.charging_profile_purpose is ChargingProfilePurposeType.TX_PROFILE
    if fall_back and not is_of_transaction:
        raise wrong(APPLYING, "/fallBack", "only with purpose TxProfile")
    template_id = None if template is None else template.template_id
    return Wish(charger=name, request=request, template_id=template_id, fallback=fall_back), inside


async def _template(api: Api, application: Application) -> Template | None:
    template_id = application.body.template_id
    if not isinstance(template_id, int):
        return None
    found = await api.storage.charging.read_template(template_id)
    if found is None:
        raise wrong(APPLYING, "/templateId", "there is no such template")
    return found


async def _connector(api: Api, application: Application, profile: dict[str, Any]) -> int:
    """The connector: as it is given, else that of the transaction, else 0."""
    if isinstance(application.body.connector_id, int):
        return application.body.connector_id
    if profile.get("chargingProfilePurpose") == ChargingProfilePurposeType.TX_PROFILE:
        # What is wrong with the transaction is found where it is checked; a connector that no message is refused for.
        try:
            return max(1, (await api.queries.transaction(application.transaction_id or 0)).connector_id)
        except UnknownTransaction:
            return 1
    return 0


def _told(error: InvalidPayload, application: Application, inside: bool) -> InvalidPayload:
    of_template = application.profile is None
    return InvalidPayload(APPLYING, tuple(of_request(error.violations, of_template=of_template, inside=inside)))


async def clear_profiles(api: Api, incoming: Incoming, name: str) -> Response:
    """`DELETE /chargers/{name}/charging-profiles`: a ClearChargingProfile with the members that are given, and no others.

    Without any it clears all. The answer is the command's.
    """
    api.chargers.settings(name)
    options = incoming.query(CLEAR_QUERY)
    members = {NAMING[key]: value for key, value in options.items() if key in NAMING}
    request = ClearChargingProfileRequest(**members)
    submitted = maybeDeferred(api.commands.submit, name, request, offline=options.get("offline"), ttl_s=options.get("ttl"))
    return await answered(api, submitted, options.get("wait", 0))


async def remote_start_of(api: Api, name: str, value: dict[str, Any]) -> RemoteStartTransactionRequest:
    """A remote start from an operator's JSON: its profile, if any, is one that the charger can take, and has an id.

    Raises InvalidPayload.
    """
    profile = value.get("chargingProfile")
    nameless = isinstance(profile, dict) and "chargingProfileId" not in profile
    if nameless:
        value = {**value, "chargingProfile": {**value["chargingProfile"], "chargingProfileId": 0}}
    request = build(RemoteStartTransactionRequest, value)
    brought = request.charging_profile
    if not isinstance(brought, ChargingProfile):
        return request
    violations = tuple(beyond(brought, await api.charging.limits(name), "/chargingProfile"))
    if violations:
        raise InvalidPayload("RemoteStartTransaction", violations)
    if nameless:
        brought = msgspec.structs.replace(brought, charging_profile_id=await api.storage.charging.fresh_profile_id(name))
    return msgspec.structs.replace(request, charging_profile=brought)


ROUTES: Final = (
    Route("GET", "/api/v1/chargers/<name>/charging-profiles", list_profiles),
    Route("POST", "/api/v1/chargers/<name>/charging-profiles", send_profile),
    Route("DELETE", "/api/v1/chargers/<name>/charging-profiles", clear_profiles),
)
