"""The certificate authority of this installation. docs/http-api.md; REQUIREMENTS Q-2, Q-6."""

from __future__ import annotations

from typing import Any, Final

from klein import Response
from twisted.internet.defer import Deferred

from ocppd.errors import Conflict, NotFound
from ocppd.net.rest.answers import json_answer
from ocppd.net.rest.api import Api
from ocppd.net.rest.problems import BadRequest
from ocppd.net.rest.routing import Incoming, Route
from ocppd.net.rest.v1.certificate_bodies import authority_shape
from ocppd.net.rest.waiting import shielded
from ocppd.pki.authority import CannotIssue


class NoAuthority(NotFound):
    """There is no certificate authority, or it has not been made yet."""

    def __init__(self) -> None:
        super().__init__("ca")
        self.args = ("there is no certificate authority yet; POST /api/v1/ca makes it, and so does the first request to sign",)


async def get_authority(api: Api, incoming: Incoming) -> Response:
    """`GET /ca`: its certificates, as PEM, with the hashes by which chargers will list its roots (Q-6)."""
    incoming.query()
    found = await _authority(api, make=False)
    if found is None:
        raise NoAuthority
    return json_answer(await api.certificates.run(authority_shape, found))


async def make_authority(api: Api, incoming: Incoming) -> Response:
    """`POST /ca`: 201 where it is made, 200 where it was there."""
    incoming.query()
    if incoming.json_object("CertificateAuthority"):
        raise BadRequest("this path takes no body")
    there = await _authority(api, make=False) is not None
    made = await shielded(Deferred.fromCoroutine(_authority(api, make=True)))
    shape = await api.certificates.run(authority_shape, made)
    return json_answer(shape, 200 if there else 201, {"Location": "/api/v1/ca"})


async def _authority(api: Api, *, make: bool) -> Any:
    try:
        return await api.certificates.authority(make=make)
    except CannotIssue as error:
        raise Conflict(str(error)) from None


ROUTES: Final = (
    Route("GET", "/api/v1/ca", get_authority),
    Route("POST", "/api/v1/ca", make_authority),
)
