"""The passwords of chargers: which there are, and another one in their place. docs/http-api.md. REQUIREMENTS Z-5 to Z-8."""

from __future__ import annotations

from typing import Final

from klein import Response
from twisted.internet.defer import Deferred, maybeDeferred

from ocppd.clock import now_ms
from ocppd.net.rest import shapes
from ocppd.net.rest.answers import empty_answer, json_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.parameters import seconds
from ocppd.net.rest.problems import NoCredentials
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.shapes import Shape
from ocppd.net.rest.v1.charger_bodies import CREDENTIALS, read_credentials
from ocppd.net.rest.v1.commands import MAX_WAIT_S, answered
from ocppd.net.rest.waiting import shielded
from ocppd.pki.passwords import new_key
from ocppd.storage.records.registry import Password, PasswordState
from ocppd.v16.core import ChangeConfigurationRequest

WAIT_QUERY: Final = {"wait": seconds(0, MAX_WAIT_S)}
KEY: Final = "AuthorizationKey"


async def get_credentials(api: Api, incoming: Incoming, name: str) -> Response:
    """`GET /chargers/{name}/credentials`: which passwords are valid. None is ever shown."""
    incoming.query()
    settings = api.chargers.configured(name)
    passwords = await api.registry.records.passwords(name, now_ms(api.clock))
    current = next((each for each in passwords if each.state is PasswordState.CURRENT), None)
    source = "records" if current is not None else "configuration" if settings.authorization is not None else None
    shape: Shape = {"charger": name, "set": source is not None}
    if source is not None:
        shape["source"] = source
    if current is not None:
        shape["since"] = shapes.instant(current.since_ms)
    pending = [_pending(each) for each in passwords if each.state is not PasswordState.CURRENT]
    return json_answer({**shape, **({"pending": pending} if pending else {})})


def _pending(password: Password) -> Shape:
    shape: Shape = {"state": password.state.value, "since": shapes.instant(password.since_ms)}
    if password.until_ms is not None:
        shape["until"] = shapes.instant(password.until_ms)
    if password.message_id is not None:
        shape["messageId"] = password.message_id
    return shape


async def put_credentials(api: Api, incoming: Incoming, name: str) -> Response:
    """`PUT /chargers/{name}/credentials`: another password, given or made here, by a call or for somebody to enter.

    What is made here and not sent is in the answer, and nowhere else ever.
    """
    options = incoming.query(WAIT_QUERY)
    api.chargers.configured(name)
    body = read_credentials(incoming.json_object(CREDENTIALS))
    key = new_key() if body.password is None else body.password
    if body.send:  # it is valid from the commit of the call on
        request = ChangeConfigurationRequest(key=KEY, value=key.hex().upper())
        return await answered(api, maybeDeferred(api.commands.submit, name, request), options.get("wait", 0))

    async def give() -> bool:
        # Where nobody needed a password, the one that is given is needed at once.
        await api.registry.refresh()
        at_once = not api.chargers.configured(name).needs_password
        await api.registry.records.password_given(name, key, now_ms(api.clock), at_once=at_once)
        await api.registry.refresh()
        return at_once

    at_once = await shielded(Deferred.fromCoroutine(give()))
    state = PasswordState.CURRENT if at_once else PasswordState.GIVEN
    shape: Shape = {"charger": name, "state": state.value}
    return json_answer({**shape, **({"authorizationKey": key.hex().upper()} if body.password is None else {})})


async def delete_credentials(api: Api, incoming: Incoming, name: str) -> Response:
    """`DELETE /chargers/{name}/credentials`: forget them; that of configs.json holds again, where there is one."""
    incoming.query()
    api.chargers.configured(name)

    async def forget() -> bool:
        known = await api.registry.records.passwords_forgotten(name, now_ms(api.clock))
        await api.registry.refresh()
        return known

    if not await shielded(Deferred.fromCoroutine(forget())):
        raise NoCredentials(name)
    return empty_answer()


ROUTES: Final = (
    Route("GET", "/api/v1/chargers/<name>/credentials", get_credentials),
    Route("PUT", "/api/v1/chargers/<name>/credentials", put_credentials),
    Route("DELETE", "/api/v1/chargers/<name>/credentials", delete_credentials),
)
